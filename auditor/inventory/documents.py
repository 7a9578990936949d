"""Text and YAML from files of other people: bounded, and never more than data."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from auditor.errors import InventoryFileError

SIZE_LIMIT = 16 * 1024 * 1024
DEPTH_LIMIT = 32
_DECIMAL = re.compile(r"0|-?[1-9][0-9]*")


class Vaulted:
    """A value that `ansible-vault` has encrypted; what it holds is not kept."""


class Literal(str):
    """A text that its author marked as no template."""

    __slots__ = ()


class Converted(int):
    """A whole number that is not what stands there: `0123` is octal, `12:30:45` counts by sixties."""

    written: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds; `twice` tells of a key that stands twice in one mapping, whose last value counts."""

    content: Any
    twice: str = ""


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


def read_yaml(path: Path, text: str) -> Document:
    """The document of a text; tags of Ansible become `Vaulted` and `Literal`, no other builds anything."""
    try:
        twice = _looked_through(path, yaml.parse(text, _Loader))
        return Document(yaml.load(text, _Loader), twice)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        # without the cause, whose text shows lines of the file
        raise InventoryFileError(
            f"{path}{_line(getattr(error, 'problem_mark', None))}: not usable YAML: {_problem(error)}"
        ) from None
    except (RecursionError, ValueError, OverflowError, LookupError, AttributeError) as error:
        # the last two are how the loader takes a tag that its text does not fit, as in `!!bool x`
        raise InventoryFileError(f"{path}: not usable YAML: {type(error).__name__}") from None


def _loader() -> Any:
    loader: Any = type("Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})
    for tag in ("!vault", "!vault-encrypted"):
        loader.add_constructor(tag, lambda _loader, _node: Vaulted())
    loader.add_constructor("!unsafe", _literal)
    loader.add_constructor("tag:yaml.org,2002:int", _integer)
    return loader


def _integer(loader: Any, node: yaml.Node) -> int:
    found: int = loader.construct_yaml_int(node)
    if _DECIMAL.fullmatch(str(node.value)):
        return found
    converted = Converted(found)
    converted.written = str(node.value)
    return converted


def _literal(loader: Any, node: yaml.Node) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(None, None, "!unsafe on no text", node.start_mark)
    return Literal(loader.construct_scalar(node))


_Loader = _loader()


def read_json(path: Path, text: str) -> Document:
    """The document of a text in braces: JSON, or YAML, which has braces too."""
    twice: list[str] = []

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        found = dict(pairs)
        if len(found) < len(keys) and not twice:
            twice.append(f"{path}: the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
        return found

    try:
        return Document(json.loads(text, object_pairs_hook=mapping), "".join(twice))
    except json.JSONDecodeError:
        return read_yaml(path, text)
    except (RecursionError, ValueError) as error:
        raise InventoryFileError(f"{path}: not usable JSON: {type(error).__name__}") from None


def _looked_through(path: Path, events: Iterable[yaml.Event]) -> str:
    """Refuse what can do harm; the place of a key that stands twice.

    A few lines of aliases can stand for gigabytes, and deep nesting overruns the C stack of the loader.
    """
    depth, keys, twice = 0, _Keys(), ""
    for event in events:
        twice = twice or keys.twice(path, event)
        where = f"{path}{_line(event.start_mark)}"
        if isinstance(event, yaml.AliasEvent):
            raise InventoryFileError(
                f"{where}: aliases (*name) are not read; use 'defaults', or write it out"
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_LIMIT:
            raise InventoryFileError(f"{where}: nested more than {DEPTH_LIMIT} deep; this is no hosts file")
    return twice


class _Keys:
    """The keys of the mappings that events are inside of."""

    def __init__(self) -> None:
        self._keys: list[set[str] | None] = []
        self._is_key: list[bool] = []

    def twice(self, path: Path, event: yaml.Event) -> str:
        """The place of an event that is a key for the second time, else nothing."""
        found = ""
        if isinstance(event, yaml.CollectionEndEvent):
            self._keys.pop()
            self._is_key.pop()
        elif isinstance(event, yaml.NodeEvent):
            found = self._node(path, event)
            if isinstance(event, yaml.CollectionStartEvent):
                self._keys.append(set() if isinstance(event, yaml.MappingStartEvent) else None)
                self._is_key.append(True)
        return found

    def _node(self, path: Path, event: yaml.NodeEvent) -> str:
        keys = self._keys[-1] if self._keys else None
        if keys is None:
            return ""
        is_key, self._is_key[-1] = self._is_key[-1], not self._is_key[-1]
        if not is_key or not isinstance(event, yaml.ScalarEvent):
            return ""
        known = event.value in keys
        keys.add(event.value)
        return f"{path}{_line(event.start_mark)}: the key {event.value!r} stands there twice" if known else ""


def _line(mark: Any) -> str:
    return f", line {mark.line + 1}" if mark is not None else ""


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read")
