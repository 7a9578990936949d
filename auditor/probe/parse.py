"""A guest's answer to a `Guest`: any bytes in, facts or a `HostError` with the reason out."""

from datetime import datetime
from typing import Any

from auditor.errors import HostError
from auditor.facts import Attempt, Guest, GuestAgent, Python, Unseen
from auditor.probe import readers
from auditor.probe.readers import Document, fact, many, required
from auditor.text import one_line

BEGIN, END = b"AUDITOR-PROBE-BEGIN ", b" AUDITOR-PROBE-END"
SCHEMA = 1


def parse(output: bytes, *, observed_at: datetime, transport: str) -> Guest:
    """The facts in a probe's output, whatever stands around them; raises `HostError` with the reason.

    A single value that makes no sense becomes `Unseen`; the others are kept.
    """
    document = _document(output)
    if document.get("schema") != SCHEMA:
        raise HostError(
            f"the guest answered in an unknown form: schema {one_line(repr(document.get('schema')))}"
        )
    privileged = document.get("privileged") is True
    os = readers.mapping(document.get("os"))
    return Guest(
        platform=readers.text(document.get("platform")) or "unknown",
        observed_at=observed_at,
        transport=transport,
        privileged=privileged,
        os_name=readers.text(os.get("name")),
        os_version=readers.text(os.get("version")),
        kernel=readers.text(document.get("kernel")),
        hostname=readers.text(document.get("hostname")),
        architecture=readers.text(document.get("architecture")),
        agent=fact(document, "agent", _agent),
        extensions_enabled=fact(document, "extensions_enabled", readers.flag),
        auto_update=fact(document, "auto_update", readers.flag),
        snapshot_extension=many(document, "snapshot_extension", readers.word),
        wire_server=_wire_server(document, privileged),
        imds=required(document, "imds", readers.attempt),
        vm_id=fact(document, "vm_id", readers.word),
        on_azure_host=fact(document, "on_azure_host", readers.flag),
        endpoints=many(document, "endpoints", readers.attempt),
        disk=fact(document, "disk", readers.disk),
        python=fact(document, "python", _python),
        proxies=many(document, "proxies", readers.proxy),
        clock=readers.instant(document.get("clock")),
    )


def _document(output: bytes) -> Document:
    _, begin, rest = output.rpartition(BEGIN)
    body, end, _ = rest.partition(END)
    if not begin or not end:
        said = one_line(output) or "nothing"
        raise HostError(f"the guest did not answer the probe; it said: {said}")
    return readers.json_object(body)


def _wire_server(document: Document, privileged: bool) -> tuple[Attempt, ...] | Unseen:
    attempts = many(document, "wire_server", readers.attempt)
    if privileged or isinstance(attempts, Unseen) or all(attempt.ok for attempt in attempts):
        return attempts
    failed = next(attempt for attempt in attempts if not attempt.ok)
    return Unseen(
        f"not tried as root, and the agent's firewall rule may let only root through "
        f"({failed.target}: {failed.stage}, {failed.detail})"
    )


def _agent(value: Any) -> GuestAgent:
    if not isinstance(value, dict):
        raise readers.Malformed
    names = (
        "path", "daemon_version", "goal_state_version", "package", "package_version",
        "unit", "active", "enabled", "problem",
    )  # fmt: skip
    texts: dict[str, Any] = {name: readers.text(value.get(name)) for name in names}
    return GuestAgent(**texts)


def _python(value: Any) -> Python:
    return Python(path="", version=readers.word(value))
