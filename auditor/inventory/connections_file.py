"""Rules out of a connections file; every mistake is named with its line."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from auditor.errors import SettingsError
from auditor.inventory.connections import NAME, PRIVATE, PUBLIC, Connections, Rule
from auditor.inventory.fields import (
    FIELDS,
    PLACEHOLDER,
    Entry,
    clash,
    connection_fields,
    hint,
    is_address,
    without_password,
)
from auditor.inventory.scope import normal_location
from auditor.model import Platform

TABLE = "connection"
CONDITIONS = ("name", "tag", "subscription", "resource_group", "location", "platform", "id")
KEYS = (*CONDITIONS, *FIELDS, "skip")
_HEADER = re.compile(r"\s*\[\[\s*connection\s*\]\]")


def read_connections(path: Path) -> Connections:
    """The rules of a file; raises `SettingsError` naming the line and the way out."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"cannot read the connections file {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"the connections file {path} is not usable TOML: {error}") from None
    for key in data:
        if key != TABLE:
            raise SettingsError(f"{path}: unknown key {key!r}; every rule is a table [[{TABLE}]]")
    tables = data.get(TABLE, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise SettingsError(f"{path}: every rule is a table [[{TABLE}]]")
    places = _Places(path, text, len(tables))
    return Connections([_rule(table, places, number) for number, table in enumerate(tables)])


class _Places:
    """Where the tables and their keys stand, as far as the text shows it."""

    def __init__(self, path: Path, text: str, tables: int) -> None:
        self._path = path
        self._lines = text.splitlines()
        heads = [number for number, line in enumerate(self._lines) if _HEADER.match(line)]
        self._heads = [*heads, len(self._lines)] if len(heads) == tables else []

    def of(self, table: int, key: str | None = None) -> str:
        """The place of a table, or of one of its keys."""
        if not self._heads:
            return f"{self._path}, connection {table + 1}"
        first, end = self._heads[table], self._heads[table + 1]
        return f"{self._path}, line {1 + (self._line(first, end, key) if key else first)}"

    def _line(self, first: int, end: int, key: str) -> int:
        stands = re.compile(rf"\s*(?:\[\s*connection\s*\.\s*)?[\"']?{re.escape(key)}[\"']?\s*[=.\]]")
        return next((line for line in range(first, end) if stands.match(self._lines[line])), first)


def _rule(table: Mapping[str, Any], places: _Places, number: int) -> Rule:
    for key in table:
        if key not in KEYS:
            raise SettingsError(f"{places.of(number, key)}: unknown key {key!r}; {hint(key, KEYS)}")
    entry = Entry(places.of(number), table, SettingsError)
    fields = connection_fields(entry)
    if problem := clash(fields, fields.get("transport")):
        entry.fail(problem)
    address = _address(entry)
    skip = table.get("skip", False)
    if not isinstance(skip, bool):
        entry.fail("skip is true or false")
    if skip and (fields or address):
        entry.fail("a rule with skip = true says nothing else of a connection")
    return Rule(entry.where, dict(_conditions(entry)), _tags(entry), fields, address, skip)


def _conditions(entry: Entry) -> Iterator[tuple[str, tuple[str, ...]]]:
    for key in CONDITIONS:
        if key not in entry.fields or key == "tag":
            continue
        words = tuple(word.lower().rstrip("/") for word in _words(entry, key, entry.fields[key]))
        for word in words:
            if key == "platform" and word not in tuple(Platform):
                entry.fail(f"platform {word!r} is not supported; choose one of {', '.join(Platform)}")
        yield key, tuple(map(normal_location, words)) if key == "location" else words


def _tags(entry: Entry) -> dict[str, tuple[str, ...]]:
    table = entry.fields.get("tag", {})
    if not isinstance(table, dict):
        entry.fail('tag is a table, as in tag = { env = "prod" }')
    return {key.lower(): _words(entry, f"tag {key}", value) for key, value in table.items()}


def _words(entry: Entry, name: str, value: Any) -> tuple[str, ...]:
    items: Sequence[Any] = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, str) and item.strip() for item in items):
        entry.fail(f"{name} is a text or a list of texts, none of them empty")
    return tuple(items)


def _address(entry: Entry) -> str | None:
    address, name = entry.word("address"), entry.word("server_name")
    if address and address not in {PRIVATE, PUBLIC, NAME} and not _is_pattern(address):
        entry.fail(
            f"address {without_password(address)!r} is none of {PRIVATE}, {PUBLIC}, {NAME}, an address, or a "
            f"host name with {PLACEHOLDER} in it"
        )
    if name and not _is_pattern(name):
        entry.fail(f"server_name {name!r} is no host name; only {PLACEHOLDER} may stand in it")
    return address or None


def _is_pattern(text: str) -> bool:
    return is_address(text.replace(PLACEHOLDER, "x"))
