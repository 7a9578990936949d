"""Hosts from our own kind of file, CSV or YAML."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from auditor.errors import InventoryFileError
from auditor.inventory.documents import Converted
from auditor.inventory.fields import (
    FIELDS,
    Entry,
    conflict,
    connection_fields,
    is_address,
    no_address,
    platform,
)
from auditor.inventory.host import Host, default_transport
from auditor.model import RUN_COMMAND, Machine

SOURCE = "hosts-file"
KNOWN = ("name", "platform", *FIELDS, "tags", "azure_id", "location")
_VM_ID = re.compile(
    r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/microsoft\.compute/virtualmachines/([^/]+)",
    re.IGNORECASE,
)


def azure_vm(identifier: str) -> re.Match[str] | None:
    """The resource id of a VM, with subscription and resource group as its groups; None for anything else."""
    return _VM_ID.fullmatch(identifier.strip().rstrip("/"))


# ---- CSV ----------------------------------------------------------------------------------------


def csv_hosts(path: Path, text: str) -> Iterator[tuple[str, Host]]:
    """The hosts of a CSV text, each with its place."""
    for entry in _rows(path, text):
        yield entry.where, _host(entry)


def _rows(path: Path, text: str) -> Iterator[Entry]:
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
            yield Entry(where, _cells(where, header, row))
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
    Entry(where, dict.fromkeys(names)).check_names(KNOWN)
    for name in names:
        if names.count(name) > 1:
            raise InventoryFileError(f"{where}: the column {name!r} stands there twice")
    return names


# ---- YAML ---------------------------------------------------------------------------------------


def yaml_hosts(path: Path, document: Any) -> Iterator[tuple[str, Host]]:
    """The hosts of a YAML document, each with its place."""
    hosts, defaults = _parts(path, document)
    for number, fields in enumerate(hosts, 1):
        if not isinstance(fields, dict):
            raise InventoryFileError(f"{path}, host {number}: a mapping (name: ..., address: ...) is wanted")
        label = f" ({fields['name']!r})" if isinstance(fields.get("name"), str) else ""
        entry = Entry(f"{path}, host {number}{label}", _merged(defaults, fields))
        yield entry.where, _host(entry)


def _parts(path: Path, document: Any) -> tuple[list[Any], dict[Any, Any]]:
    if isinstance(document, list):
        return document, {}
    if not isinstance(document, dict) or "hosts" not in document:
        raise InventoryFileError(
            f"{path}: a list of hosts is wanted, a mapping with 'hosts' and 'defaults', "
            "or an Ansible inventory"
        )
    for key in document:
        if key not in {"hosts", "defaults"}:
            raise InventoryFileError(f"{path}: unknown key {key!r}; known: defaults, hosts")
    hosts, defaults = document["hosts"] or [], document.get("defaults") or {}
    if not isinstance(hosts, list) or not isinstance(defaults, dict):
        raise InventoryFileError(f"{path}: 'hosts' must be a list and 'defaults' a mapping")
    Entry(f"{path}, defaults", defaults).check_names(KNOWN)
    return hosts, defaults


def _merged(defaults: Mapping[Any, Any], fields: Mapping[Any, Any]) -> dict[Any, Any]:
    merged = {**defaults, **{key: value for key, value in fields.items() if value is not None}}
    if isinstance(defaults.get("tags"), dict) and isinstance(fields.get("tags"), dict):
        merged["tags"] = {**defaults["tags"], **fields["tags"]}
    return merged


# ---- one host -----------------------------------------------------------------------------------


def _host(entry: Entry) -> Host:
    entry.check_names(KNOWN)
    name = entry.word("name", required=True)
    azure = _azure_id(entry)
    machine = Machine(
        id=azure.group(0).lower() if azure else f"host/{name.lower()}",
        name=name,
        platform=platform(entry),
        source=SOURCE,
        location=entry.word("location"),
        subscription=azure.group(1).lower() if azure else "",
        resource_group=azure.group(2).lower() if azure else "",
        tags=_tags(entry),
    )
    return Host(machine, _given(entry, machine))


def _given(entry: Entry, machine: Machine) -> dict[str, Any]:
    given = connection_fields(entry)
    transport = given.get("transport") or default_transport(machine.platform)
    if problem := conflict(given, transport):
        entry.fail(problem)
    if transport == RUN_COMMAND and not machine.in_azure:
        entry.fail("the transport run-command leads into Azure VMs; give the azure_id")
    address = entry.word("address", required=transport != RUN_COMMAND)
    if address and not is_address(address):
        entry.fail(no_address(address))
    return {"address": address, **given} if address else given


def _azure_id(entry: Entry) -> re.Match[str] | None:
    text = entry.word("azure_id").rstrip("/")
    if not text:
        return None
    match = azure_vm(text)
    if match is None:
        entry.fail(
            f"azure_id {text!r} is not the resource id of a VM: /subscriptions/<id>/resourceGroups/<group>"
            "/providers/Microsoft.Compute/virtualMachines/<name>"
        )
    return match


def _tags(entry: Entry) -> dict[str, str]:
    value = entry.fields.get("tags")
    if value is None:
        return {}
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, bool | float) or isinstance(key, bool | float):
                entry.fail(f"the tag {key} is {item!r}; text is wanted, put it in quotes")
            for one in (key, item):
                if isinstance(one, Converted):
                    entry.fail(f"the tags hold {one.written}, of which YAML makes another number; quote it")
        return {str(key): "" if item is None else str(item) for key, item in value.items()}
    if not isinstance(value, str):
        entry.fail(f"tags are {value!r}; a mapping or k=v;k=v is wanted")
    pairs = [part.partition("=") for part in value.split(";") if part.strip()]
    for key, equals, _ in pairs:
        if not key.strip() or not equals:
            entry.fail(f"tags {value!r}: every tag is written k=v, with ';' between them")
    return {key.strip(): item.strip() for key, _, item in pairs}
