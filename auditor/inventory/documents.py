"""Text and YAML from files of other people: bounded, and never more than data."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from auditor.errors import InventoryFileError

SIZE_LIMIT = 16 * 1024 * 1024
DEPTH_LIMIT = 32


class Vaulted:
    """A value that `ansible-vault` has encrypted; what it holds is not kept."""


class Literal(str):
    """A text that its author marked as no template."""

    __slots__ = ()


def read_text(path: Path) -> str:
    """The text of a file; raises `InventoryFileError` where there is none, or too much."""
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise InventoryFileError(f"cannot read the hosts file {path}: {error.strerror or error}") from error
    if len(raw) > SIZE_LIMIT:
        raise InventoryFileError(f"{path} is larger than {SIZE_LIMIT // 1024 // 1024} MB; split it")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InventoryFileError(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from error


def read_yaml(path: Path, text: str) -> Any:
    """The document of a text; tags of Ansible become `Vaulted` and `Literal`, no other builds anything."""
    try:
        _refuse_bombs(path, yaml.parse(text, _Loader))
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        # without the cause, whose text shows lines of the file
        raise InventoryFileError(
            f"{path}{_line(getattr(error, 'problem_mark', None))}: not usable YAML: {_problem(error)}"
        ) from None
    except (RecursionError, ValueError, OverflowError) as error:
        raise InventoryFileError(f"{path}: not usable YAML: {type(error).__name__}") from None


def _loader() -> Any:
    loader: Any = type("Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})
    for tag in ("!vault", "!vault-encrypted"):
        loader.add_constructor(tag, lambda _loader, _node: Vaulted())
    loader.add_constructor("!unsafe", _literal)
    return loader


def _literal(loader: Any, node: yaml.Node) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(None, None, "!unsafe on no text", node.start_mark)
    return Literal(loader.construct_scalar(node))


_Loader = _loader()


def _refuse_bombs(path: Path, events: Iterable[yaml.Event]) -> None:
    """A few lines of aliases can stand for gigabytes, and deep nesting overruns the C stack of the loader."""
    depth = 0
    for event in events:
        where = f"{path}{_line(event.start_mark)}"
        if isinstance(event, yaml.AliasEvent):
            raise InventoryFileError(
                f"{where}: aliases (*name) are not read; use 'defaults', or write it out"
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_LIMIT:
            raise InventoryFileError(f"{where}: nested more than {DEPTH_LIMIT} deep; this is no hosts file")


def _line(mark: Any) -> str:
    return f", line {mark.line + 1}" if mark is not None else ""


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read")
