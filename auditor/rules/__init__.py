"""Dated rules: version floors, limits, endpoints and severities, each with its source and date.

A rule set is a TOML file. The one that ships is `default.toml`; a user's copy (`--rules FILE`) may
hold only what it changes.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from auditor.errors import RuleSetError
from auditor.model import Severity

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Rule:
    """One value with the place it was read and the day it was true."""

    value: Scalar | tuple[str, ...]
    source: str
    date: date


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place on the internet that a guest tries to reach; TLS is verified when `tls` is true."""

    host: str
    port: int
    tls: bool
    why: str


@dataclass(frozen=True, slots=True)
class Rules:
    """A rule set, checked and complete."""

    name: str
    severities: Mapping[str, Severity]
    values: Mapping[str, Rule]
    endpoints: tuple[Endpoint, ...]

    def severity(self, check: str, default: Severity) -> Severity:
        """The severity of a check, or the check's own where the rule set names none."""
        return self.severities.get(check, default)

    def text(self, key: str) -> str:
        """The value of a rule as text."""
        return str(self._rule(key).value)

    def texts(self, key: str) -> tuple[str, ...]:
        """The value of a rule as a list of texts."""
        value = self._rule(key).value
        return value if isinstance(value, tuple) else (str(value),)

    def number(self, key: str) -> float:
        """The value of a rule as a number; raises `RuleSetError` where it is none."""
        value = self._rule(key).value
        if isinstance(value, int | float):
            return float(value)
        raise RuleSetError(f"rule set {self.name}: rule {key!r} is {value!r}, not a number")

    def minutes(self, key: str) -> timedelta:
        """The value of a rule, a number of minutes."""
        return timedelta(minutes=self.number(key))

    def _rule(self, key: str) -> Rule:
        try:
            return self.values[key]
        except KeyError:
            raise RuleSetError(f"rule set {self.name} has no rule {key!r}") from None


def load_rules(path: Path | None = None) -> Rules:
    """The shipped rule set with `path` laid over it; raises `RuleSetError` naming file and key."""
    base = _parse(default_rules_text(), "default.toml")
    if path is None:
        return _rules(base, "default.toml")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleSetError(f"cannot read rule set {path}: {error}") from error
    return _rules(_overlay(base, _parse(text, str(path)), str(path)), str(path))


def default_rules_text() -> str:
    """The shipped rule set as it stands in its file, to copy and change."""
    return (resources.files(__package__) / "default.toml").read_text(encoding="utf-8")


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RuleSetError(f"{where} is not valid TOML: {error}") from error


def _overlay(base: dict[str, Any], change: dict[str, Any], where: str) -> dict[str, Any]:
    unknown = sorted(set(change) - set(base))
    if unknown:
        raise RuleSetError(f"{where}: unknown table {unknown[0]!r}; known: {', '.join(sorted(base))}")
    merged = dict(base)
    for table, content in change.items():
        mergeable = isinstance(content, dict) and isinstance(base[table], dict)
        merged[table] = {**base[table], **content} if mergeable else content
    return merged


def _rules(data: dict[str, Any], where: str) -> Rules:
    try:
        return Rules(
            name=str(data["name"]),
            severities={check: Severity(value) for check, value in data["severity"].items()},
            values={key: _rule(row) for key, row in data["rule"].items()},
            endpoints=tuple(
                Endpoint(str(row["host"]), int(row["port"]), bool(row["tls"]), str(row["why"]))
                for row in data["endpoint"]
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RuleSetError(f"{where} is not a rule set: {error}") from error


def _rule(row: Mapping[str, Any]) -> Rule:
    value = row["value"]
    return Rule(tuple(map(str, value)) if isinstance(value, list) else value, str(row["source"]), row["date"])
