"""Machines from a hosts file, YAML or CSV: data only, nothing in it can run or reach anything."""

import csv
import difflib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from auditor.errors import InventoryFileError
from auditor.model import Connection, Machine, Platform

SIZE_LIMIT = 16 * 1024 * 1024
DEPTH_LIMIT = 16
FIELDS = ("name", "platform", "address", "user", "key", "port", "tags", "azure_id", "location")
PLATFORMS = tuple(platform.value for platform in Platform)
_VM_ID = re.compile(
    r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/microsoft\.compute/virtualmachines/([^/]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One host as it stands in the file, and where."""

    where: str
    fields: Mapping[str, Any]

    def fail(self, message: str) -> NoReturn:
        raise InventoryFileError(f"{self.where}: {message}")


def read_hosts(path: Path) -> tuple[Machine, ...]:
    """The machines of a hosts file, in its order; raises `InventoryFileError` naming place and way out.

    A `.csv` file is CSV (comma or semicolon), everything else YAML. A host with an `azure_id` gets
    that id, lower-cased, so that it meets the Azure VM; the others get `host/<name>`.
    """
    text = _text(path)
    entries = list(_csv(path, text) if path.suffix.lower() == ".csv" else _yaml(path, text))
    if not entries:
        raise InventoryFileError(f"{path} names no host; each needs at least a name and an address")
    machines = tuple(_machine(entry) for entry in entries)
    _refuse_twins(entries, machines)
    return machines


def _text(path: Path) -> str:
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


# ---- CSV ----------------------------------------------------------------------------------------


def _csv(path: Path, text: str) -> Iterator[_Entry]:
    if "\0" in text:
        raise InventoryFileError(f"{path} holds a NUL character: it is not a text file")
    head = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    try:
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if header is None:
                header = _header(where, row)
                continue
            yield _Entry(where, _cells(where, header, row))
    except csv.Error as error:
        raise InventoryFileError(f"{path}, line {reader.line_num}: not CSV: {error}") from error


def _cells(where: str, header: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    if any(cell.strip() for cell in row[len(header) :]):
        raise InventoryFileError(
            f"{where}: {len(row)} cells, the header has {len(header)}; quote a cell that holds the delimiter"
        )
    return {name: cell.strip() for name, cell in zip(header, row, strict=False) if cell.strip()}


def _header(where: str, row: Sequence[str]) -> list[str]:
    names = [cell.strip().lower() for cell in row]
    while names and not names[-1]:
        names.pop()
    for name in names:
        _check_field(where, name)
        if names.count(name) > 1:
            raise InventoryFileError(f"{where}: the column {name!r} stands there twice")
    return names


# ---- YAML ---------------------------------------------------------------------------------------


def _yaml(path: Path, text: str) -> Iterator[_Entry]:
    document = _document(path, text)
    if document is None:
        return
    hosts, defaults = _parts(path, document)
    for number, fields in enumerate(hosts, 1):
        if not isinstance(fields, dict):
            raise InventoryFileError(f"{path}, host {number}: a mapping (name: ..., address: ...) is wanted")
        label = f" ({fields['name']!r})" if isinstance(fields.get("name"), str) else ""
        yield _Entry(f"{path}, host {number}{label}", _merged(defaults, fields))


def _document(path: Path, text: str) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _refuse_bombs(path, yaml.parse(text, loader))
        return yaml.load(text, loader)  # noqa: S506 - a safe loader, whichever of the two
    except yaml.YAMLError as error:
        raise InventoryFileError(
            f"{path}{_line(getattr(error, 'problem_mark', None))}: not usable YAML: {_problem(error)}"
        ) from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise InventoryFileError(f"{path}: not usable YAML: {type(error).__name__}") from error


def _parts(path: Path, document: Any) -> tuple[list[Any], dict[Any, Any]]:
    if isinstance(document, list):
        return document, {}
    if not isinstance(document, dict) or "hosts" not in document:
        raise InventoryFileError(
            f"{path}: a list of hosts is wanted, or a mapping with 'hosts' and 'defaults'"
        )
    for key in document:
        if key not in {"hosts", "defaults"}:
            raise InventoryFileError(f"{path}: unknown key {key!r}; known: defaults, hosts")
    hosts, defaults = document["hosts"] or [], document.get("defaults") or {}
    if not isinstance(hosts, list) or not isinstance(defaults, dict):
        raise InventoryFileError(f"{path}: 'hosts' must be a list and 'defaults' a mapping")
    for key in defaults:
        _check_field(f"{path}, defaults", key)
    return hosts, defaults


def _merged(defaults: Mapping[Any, Any], fields: Mapping[Any, Any]) -> dict[Any, Any]:
    merged = {**defaults, **{key: value for key, value in fields.items() if value is not None}}
    if isinstance(defaults.get("tags"), dict) and isinstance(fields.get("tags"), dict):
        merged["tags"] = {**defaults["tags"], **fields["tags"]}
    return merged


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


# ---- one host -----------------------------------------------------------------------------------


def _machine(entry: _Entry) -> Machine:
    for key in entry.fields:
        _check_field(entry.where, key)
    name = _word(entry, "name", required=True)
    azure = _azure_id(entry)
    platform = _platform(entry)
    connection = Connection(
        address=_word(entry, "address", required=True),
        port=_port(entry),
        user=_word(entry, "user") or None,
        key=_word(entry, "key") or None,
        transport="winrm" if platform is Platform.WINDOWS else "ssh",
    )
    return Machine(
        id=azure.group(0).lower() if azure else f"host/{name.lower()}",
        name=name,
        platform=platform,
        source="hosts-file",
        location=_word(entry, "location"),
        subscription=azure.group(1).lower() if azure else "",
        resource_group=azure.group(2).lower() if azure else "",
        tags=_tags(entry),
        connection=connection,
    )


def _check_field(where: str, name: Any) -> None:
    if name in FIELDS:
        return
    near = difflib.get_close_matches(str(name), FIELDS, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(FIELDS)}"
    raise InventoryFileError(f"{where}: unknown field {name!r}; {hint}")


def _word(entry: _Entry, name: str, *, required: bool = False) -> str:
    value = entry.fields.get(name)
    if isinstance(value, bool | float | list | dict):
        entry.fail(f"{name} is {value!r}; text is wanted, put it in quotes")
    text = "" if value is None else str(value).strip()
    if required and not text:
        entry.fail(f"{name} is missing")
    if not text.isprintable():
        entry.fail(f"{name} holds a control character: {text!r}")
    return text


def _platform(entry: _Entry) -> Platform:
    text = _word(entry, "platform").lower() or Platform.UNKNOWN.value
    if text not in PLATFORMS:
        entry.fail(f"platform {text!r} is not supported; choose one of {', '.join(PLATFORMS)}")
    return Platform(text)


def _port(entry: _Entry) -> int | None:
    text = _word(entry, "port")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        entry.fail(f"port {text!r} is not a number from 1 to 65535")
    return int(text)


def _azure_id(entry: _Entry) -> re.Match[str] | None:
    text = _word(entry, "azure_id").rstrip("/")
    if not text:
        return None
    match = _VM_ID.fullmatch(text)
    if match is None:
        entry.fail(
            f"azure_id {text!r} is not the resource id of a VM: /subscriptions/<id>/resourceGroups/<group>"
            "/providers/Microsoft.Compute/virtualMachines/<name>"
        )
    return match


def _tags(entry: _Entry) -> dict[str, str]:
    value = entry.fields.get("tags")
    if value is None:
        return {}
    if isinstance(value, dict):
        return {str(key): "" if item is None else str(item) for key, item in value.items()}
    if not isinstance(value, str):
        entry.fail(f"tags are {value!r}; a mapping or k=v;k=v is wanted")
    pairs = [part.partition("=") for part in value.split(";") if part.strip()]
    for key, equals, _ in pairs:
        if not key.strip() or not equals:
            entry.fail(f"tags {value!r}: every tag is written k=v, with ';' between them")
    return {key.strip(): item.strip() for key, _, item in pairs}


def _refuse_twins(entries: Sequence[_Entry], machines: Sequence[Machine]) -> None:
    seen: dict[str, str] = {}
    for entry, machine in zip(entries, machines, strict=True):
        for key, what in ((f"name {machine.name.lower()}", "name"), (machine.id, "azure_id")):
            if seen.get(key, entry.where) != entry.where:
                entry.fail(f"the {what} of {machine.name!r} stands at {seen[key]} already; choose another")
            seen[key] = entry.where
