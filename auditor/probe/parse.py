"""A guest's answer to a `Guest`: any bytes in, facts or a `HostError` with the reason out."""

import re
from datetime import datetime
from typing import Any

from auditor.errors import HostError
from auditor.facts import (
    Attempt,
    Freeze,
    Guest,
    GuestAgent,
    Interface,
    LogTail,
    Mount,
    Package,
    Python,
    Unseen,
)
from auditor.probe import readers
from auditor.probe.firewall import blocking
from auditor.probe.readers import Document, fact, many, required
from auditor.text import one_line

BEGIN, END = b"AUDITOR-PROBE-BEGIN ", b" AUDITOR-PROBE-END"
SCHEMA = 1

_OCTAL = re.compile(r"\\([0-3][0-7]{2})")


def parse(output: bytes, *, observed_at: datetime, transport: str) -> Guest:
    """The facts in a probe's output, whatever stands around them; raises `HostError` with the reason.

    A single value that makes no sense becomes `Unseen`; the others are kept.
    """
    document = _document(output)
    if document.get("schema") != SCHEMA:
        raise HostError(
            f"the guest answered in an unknown form: schema {one_line(repr(document.get('schema')))}"
        )
    return Guest(observed_at=observed_at, transport=transport, **_machine(document), **_facts(document))


def _machine(document: Document) -> dict[str, Any]:
    os = readers.mapping(document.get("os"))
    bits = document.get("bits")
    return {
        "platform": readers.text(document.get("platform")) or "unknown",
        "privileged": document.get("privileged") is True,
        "os_name": readers.text(os.get("name")),
        "os_version": readers.text(os.get("version")),
        "kernel": readers.text(document.get("kernel")),
        "hostname": readers.text(document.get("hostname")),
        "architecture": readers.text(document.get("architecture")),
        "bits": bits if readers.is_count(bits) else None,
        "clock": readers.instant(document.get("clock")),
    }


def _facts(document: Document) -> dict[str, Any]:
    return {
        "agent": fact(document, "agent", _agent),
        "extensions_enabled": fact(document, "extensions_enabled", readers.flag),
        "auto_update": fact(document, "auto_update", readers.flag),
        "snapshot_extension": many(document, "snapshot_extension", readers.word),
        "snapshot_log": fact(document, "snapshot_log", _log),
        "wire_server": _wire_server(document),
        "firewall": _firewall(document),
        "imds": required(document, "imds", readers.attempt),
        "vm_id": fact(document, "vm_id", readers.word),
        "firmware_id": fact(document, "firmware_id", readers.word),
        "on_azure_host": fact(document, "on_azure_host", readers.flag),
        "endpoints": many(document, "endpoints", readers.attempt),
        "disk": fact(document, "disk", readers.disk),
        "interfaces": many(document, "interfaces", _interface),
        "proxies": many(document, "proxies", readers.proxy),
        "python": fact(document, "python", _python),
        "freeze": _freeze(document),
        "installable": fact(document, "installable", _package),
    }


def _document(output: bytes) -> Document:
    _, begin, rest = output.rpartition(BEGIN)
    body, end, _ = rest.partition(END)
    if not begin or not end:
        said = one_line(output) or "nothing"
        raise HostError(f"the guest did not answer the probe; it said: {said}")
    return readers.json_object(body)


# ---- facts that several values decide ------------------------------------------------------------


def _wire_server(document: Document) -> tuple[Attempt, ...] | Unseen:
    attempts = many(document, "wire_server", readers.attempt)
    as_root = document.get("privileged") is True
    if as_root or isinstance(attempts, Unseen) or all(attempt.ok for attempt in attempts):
        return attempts
    failed = next(attempt for attempt in attempts if not attempt.ok)
    problem = readers.text(document.get("privilege_problem"))
    return Unseen(
        f"not tried as root{f' ({problem})' if problem else ''}, and the agent's firewall rule may let only "
        f"root through ({failed.target}: {failed.stage}, {failed.detail})"
    )


def _firewall(document: Document) -> tuple[str, ...] | Unseen:
    rules = many(document, "firewall", readers.word)
    return rules if isinstance(rules, Unseen) else blocking(rules)


def _freeze(document: Document) -> Freeze | Unseen:
    rows = {key: readers.without_login(document[key]) for key in document if key == "freeze_mounts"}
    mounts = many(rows, "freeze_mounts", _mount)
    if isinstance(mounts, Unseen):
        return mounts
    settings = fact(document, "freeze_settings", lambda value: readers.items(value, readers.pair))
    if isinstance(settings, Unseen):
        return settings
    return Freeze(mounts, settings, readers.text(document.get("freeze_problem")))


# ---- readers: a JSON value to a fact, or Malformed -----------------------------------------------


def _agent(value: Any) -> GuestAgent:
    names = (
        "path", "daemon_version", "goal_state_version", "package", "package_version",
        "unit", "active", "enabled", "problem", "origin",
    )  # fmt: skip
    found = readers.object_of(value)
    texts: dict[str, Any] = {name: readers.text(found.get(name)) for name in names}
    return GuestAgent(**texts, timed_out=found.get("timed_out") is True)


def _python(value: Any) -> Python:
    found = readers.object_of(value)
    imports = found.get("imports_agent")
    return Python(
        path=readers.word(found.get("path")),
        version=readers.text(found.get("version")),
        imports_agent=imports if isinstance(imports, bool) else None,
        problem=readers.text(found.get("problem")),
    )


def _log(value: Any) -> LogTail:
    found = readers.object_of(value)
    return LogTail(
        path=readers.word(found.get("path")),
        lines=readers.items(found.get("lines"), readers.log_line),
        changed_at=readers.instant(found.get("changed_at")),
    )


def _interface(value: Any) -> Interface:
    found = readers.object_of(value)
    dhcp = found.get("dhcp")
    return Interface(
        name=readers.word(found.get("name")),
        dhcp=dhcp if isinstance(dhcp, bool) else None,
        addresses=readers.items(found.get("addresses"), readers.word),
        source=readers.text(found.get("source")) or "",
    )


def _mount(value: Any) -> Mount:
    if not isinstance(value, list) or len(value) != 3:
        raise readers.Malformed
    path, kind, source = (_unescaped(readers.word(part)) for part in value)
    return Mount(path, kind, source)


def _unescaped(text: str) -> str:
    """The kernel writes blanks and backslashes of a mount as octal numbers."""
    return one_line(_OCTAL.sub(lambda match: chr(int(match[1], 8)), text), 400)


def _package(value: Any) -> Package:
    found = readers.object_of(value)
    return Package(
        manager=readers.word(found.get("manager")),
        name=readers.word(found.get("name")),
        version=readers.text(found.get("version")),
    )
