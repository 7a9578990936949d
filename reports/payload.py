"""The machines of a run as compact JSON for a page: every text and every finding stands there once."""

from collections.abc import Iterator

import orjson

from auditor.model import AuditRun, Finding, MachineResult, Severity, Status, Verdict
from auditor.summary import decisive
from auditor.text import visible, well_formed

VERDICTS = tuple(Verdict)
STATUSES = tuple(Status)
SEVERITIES = tuple(Severity)

# Inside <script>, these could end the element or open a comment; in JSON they occur in strings only.
_ESCAPES = (
    (b"&", b"\\u0026"),
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def payload(run: AuditRun) -> Iterator[str]:
    """A JSON object in chunks, safe inside a script element: machines, findings, strings.

    A machine is [name, id prefix, id rest, platform, location, power state, source, verdict, decisive
    finding or -1, [tag, value, …], [finding, …], [seconds since 1970 or null, …]]; a finding is [check,
    title, status, severity, summary, reason, remediation, [plane, source, value, index of time, …]].
    Every text is an index into strings, whose first entry is null.
    """
    table = _Table()
    separator = '{"machines":[\n'
    for result in run.machines:
        yield separator + _text(orjson.dumps(_machine(result, table)))
        separator = ",\n"
    yield '{"machines":[' if not run.machines else ""
    yield '],\n"findings":['
    yield from _joined(table.findings)
    yield '],\n"strings":[null'
    for string in table.strings:
        yield "," + _text(orjson.dumps(string))
    yield "]}"


class _Table:
    """Indices of texts and findings, in the order of their first use."""

    def __init__(self) -> None:
        self.strings: dict[str, int] = {}
        self.findings: dict[bytes, int] = {}

    def string(self, text: str | None) -> int:
        """The index of a text as it may be shown; 0 for None."""
        if text is None:
            return 0
        shown = visible(text, keep="\n\t")
        return self.strings.setdefault(shown, len(self.strings) + 1)

    def finding(self, finding: Finding, times: dict[int | None, int]) -> int:
        """The index of a finding; its times go to `times`, so that equal findings stay equal."""
        row = (
            self.string(finding.check),
            self.string(finding.title),
            STATUSES.index(finding.status),
            SEVERITIES.index(finding.severity),
            self.string(finding.summary),
            self.string(finding.reason),
            self.string(finding.remediation),
            self._evidence(finding, times),
        )
        return self.findings.setdefault(orjson.dumps(row), len(self.findings))

    def _evidence(self, finding: Finding, times: dict[int | None, int]) -> list[int]:
        flat: list[int] = []
        for evidence in finding.evidence:
            at = None if evidence.observed_at is None else int(evidence.observed_at.timestamp())
            slot = times.setdefault(at, len(times))
            flat += (
                self.string(evidence.plane.value),
                self.string(evidence.source),
                self.string(evidence.value),
                slot,
            )
        return flat


def _machine(result: MachineResult, table: _Table) -> tuple[object, ...]:
    machine, times = result.machine, dict[int | None, int]()
    prefix, slash, rest = visible(machine.id).rpartition("/")
    findings = [table.finding(finding, times) for finding in result.findings]
    decider = decisive(result)
    return (
        visible(machine.name),
        table.string(prefix + slash),
        rest,
        table.string(machine.platform.value),
        table.string(machine.location),
        table.string(result.power_state),
        table.string(machine.source),
        VERDICTS.index(result.verdict),
        -1 if decider is None else result.findings.index(decider),
        [table.string(text) for tag in machine.tags.items() for text in tag],
        findings,
        list(times),
    )


def _joined(rows: dict[bytes, int]) -> Iterator[str]:
    separator = "\n"
    for row in rows:
        yield separator + row.decode()
        separator = ",\n"


def _text(encoded: bytes) -> str:
    for raw, escaped in _ESCAPES:
        encoded = encoded.replace(raw, escaped)
    return well_formed(encoded.decode())
