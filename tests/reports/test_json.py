"""The JSON report keeps to its published schema, whatever the machines say."""

import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from types import GeneratorType
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.judge import verdict
from auditor.model import (
    AuditRun,
    Coverage,
    Evidence,
    Finding,
    Limit,
    Lost,
    Machine,
    MachineResult,
    Plane,
    Platform,
    Severity,
    Status,
    Verdict,
)
from reports.json import as_json, schema

Check = Callable[[bytes], dict[str, Any]]

# Everything that Python can hold in a str, lone surrogates included.
TEXT = st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from(
    ["", "\x00", "\ud800", "\udc00\ud800", "</script>", "{{7*7}}", "\u202e", "\x1b[31m", "é" * 5_000]
)
NAME = st.text(string.ascii_lowercase + "-", min_size=1, max_size=12)
TIME = st.datetimes(
    datetime(1970, 1, 2), datetime(2099, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=5))])
)
EVIDENCE = st.builds(Evidence, st.sampled_from(Plane), TEXT, st.none() | TIME, TEXT)
FINDING = st.builds(
    Finding,
    check=NAME,
    title=TEXT,
    status=st.sampled_from(Status),
    severity=st.sampled_from(Severity),
    summary=TEXT,
    reason=st.none() | TEXT,
    evidence=st.lists(EVIDENCE, max_size=3).map(tuple),
    remediation=st.none() | TEXT,
)
MACHINE = st.builds(
    Machine,
    id=TEXT,
    name=TEXT,
    platform=st.sampled_from(Platform),
    source=TEXT,
    location=TEXT,
    tags=st.dictionaries(TEXT, TEXT, max_size=3),
)


def result(machine: Machine, power: str | None, findings: list[Finding]) -> MachineResult:
    return MachineResult(machine, power, verdict(findings), tuple(findings))


RUN = st.builds(
    AuditRun,
    id=NAME,
    started_at=TIME,
    finished_at=TIME,
    cloud=TEXT,
    rule_set=TEXT,
    scope=st.dictionaries(TEXT, st.lists(TEXT, max_size=2).map(tuple), max_size=2),
    coverage=st.builds(
        Coverage,
        st.integers(0, 10_000),
        st.integers(0, 10_000),
        st.lists(st.builds(Lost, TEXT, TEXT), max_size=2).map(tuple),
        st.lists(st.builds(Limit, TEXT, st.sampled_from(Plane), TEXT), max_size=2).map(tuple),
    ),
    machines=st.lists(
        st.builds(result, MACHINE, st.none() | TEXT, st.lists(FINDING, max_size=3)), max_size=4
    ).map(tuple),
)


def written(run: AuditRun) -> bytes:
    return b"".join(as_json.render(run))


@given(run=RUN)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_every_run_keeps_to_the_schema(check_json: Check, run: AuditRun) -> None:
    document = check_json(written(run))
    assert document["summary"]["machines"] == len(document["machines"]) == len(run.machines)
    for key, counted in (("verdicts", document["machines"]), ("findings", findings_of(document))):
        field = "verdict" if key == "verdicts" else "status"
        counts = document["summary"][key]
        assert {name: sum(row[field] == name for row in counted) for name in counts} == counts


def findings_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [finding for machine in document["machines"] for finding in machine["findings"]]


def test_nothing_of_a_run_is_left_out(check_json: Check, demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run(30)
    document = check_json(written(run))
    assert document["coverage"]["lost"] == [
        {"id": lost.id, "reason": lost.reason} for lost in run.coverage.lost
    ]
    assert len(document["coverage"]["limits"]) == len(run.coverage.limits) > 0
    for shown, machine in zip(document["machines"], run.machines, strict=True):
        assert shown["id"] == machine.machine.id
        assert shown["tags"] == machine.machine.tags
        assert shown["verdict"] == machine.verdict
        assert [finding["check"] for finding in shown["findings"]] == [f.check for f in machine.findings]
        for one, finding in zip(shown["findings"], machine.findings, strict=True):
            assert (one["status"], one["reason"]) == (finding.status, finding.reason)
            assert [e["value"] for e in one["evidence"]] == [e.value for e in finding.evidence]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\x00b", "a\x00b"),
        ("\u202egnp.exe", "\u202egnp.exe"),
        ("x" * 10_000, "x" * 10_000),
        ("</script><!--", "</script><!--"),
        ("\x1b[31m", "\x1b[31m"),
        ("lone \ud800 high", "lone \ufffd high"),
        ("pair \ud83d\ude00", "pair 😀"),
    ],
)
def test_hostile_text_survives(
    check_json: Check, one_machine: Callable[..., AuditRun], text: str, kept: str
) -> None:
    raw = written(one_machine(text))
    raw.decode("utf-8", "strict")
    machine = check_json(raw)["machines"][0]
    assert machine["name"] == kept
    assert machine["tags"] == {kept: kept}
    assert machine["findings"][0]["evidence"][0]["value"] == kept


def test_times_are_utc(check_json: Check, one_machine: Callable[..., AuditRun]) -> None:
    document = check_json(written(one_machine("x")))
    assert document["run"]["started_at"] == "2026-11-22T06:14:09.312000Z"


def test_machines_come_one_by_one(demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run(300)
    chunks = as_json.render(run)
    assert isinstance(chunks, GeneratorType)
    sizes = [len(chunk) for chunk in chunks]
    assert len(sizes) == 300 + 2
    assert max(sizes) < sum(sizes) / 20


@pytest.mark.parametrize(
    ("name", "values"),
    [("verdict", Verdict), ("status", Status), ("severity", Severity), ("plane", Plane)],
)
def test_the_schema_knows_every_word_of_the_model(name: str, values: type[StrEnum]) -> None:
    assert set(schema()["$defs"][name]["enum"]) == set(values)


def test_the_schema_describes_every_field_and_allows_no_other() -> None:
    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            if "properties" in node:
                assert node["additionalProperties"] is False, path
                assert set(node["required"]) == set(node["properties"]), path
                for name, child in node["properties"].items():
                    assert "description" in child or "$ref" in child, f"{path}/{name}"
            for name, child in node.items():
                walk(child, f"{path}/{name}")

    walk(schema(), "#")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("coverage"),
        lambda document: document.update(extra=1),
        lambda document: document["machines"][0].update(verdict="fine"),
        lambda document: document["machines"][0]["findings"][0].pop("reason"),
        lambda document: document["run"].update(started_at="yesterday"),
    ],
)
def test_the_schema_notices_a_wrong_report(
    check_json: Check, demo_run: Callable[..., AuditRun], spoil: Callable[[dict[str, Any]], object]
) -> None:
    document = orjson.loads(written(demo_run(2)))
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        check_json(orjson.dumps(document))
