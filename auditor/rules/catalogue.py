"""The error catalogue: what a code of Azure Backup means and what to do next."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

_WORD = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class KnownError:
    """One error: its symbolic name, the numbers it comes with, its meaning and the next step.

    A `wrapper` only says that another service failed: a name in the text says more.
    """

    symbol: str
    numbers: tuple[int, ...]
    meaning: str
    next_step: str
    source: str
    wrapper: bool = False


def explain(code: int | None, *texts: str | None) -> KnownError | None:
    """The known error of a number, or of the first symbolic name that stands in one of the texts."""
    by_number, by_symbol = _catalogue()
    numbered = by_number.get(code) if code is not None else None
    if numbered is not None and not numbered.wrapper:
        return numbered
    words = (word.lower() for text in texts if text for word in _WORD.findall(text))
    named = [by_symbol[word] for word in words if word in by_symbol]
    return next((error for error in named if not error.wrapper), numbered or next(iter(named), None))


def known_errors() -> tuple[KnownError, ...]:
    """The whole catalogue, in the order of its file."""
    text = (resources.files("auditor.rules") / "error-codes.toml").read_text(encoding="utf-8")
    return tuple(
        KnownError(
            symbol,
            tuple(row.get("numbers", ())),
            row["meaning"],
            row["next"],
            row["source"],
            row.get("wrapper", False),
        )
        for symbol, row in tomllib.loads(text)["error"].items()
    )


@cache
def _catalogue() -> tuple[Mapping[int, KnownError], Mapping[str, KnownError]]:
    errors = known_errors()
    return _by_number(errors), {error.symbol.lower(): error for error in errors}


def _by_number(errors: Iterable[KnownError]) -> dict[int, KnownError]:
    return {number: error for error in errors for number in error.numbers}
