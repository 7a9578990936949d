"""The page as bytes: inert, complete, bounded; how it behaves is tried in a browser."""

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import jinja2
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.model import AuditRun, Status, Verdict
from reports.charts import parts
from reports.html import as_html
from reports.page import environment

TEXT = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(
    [
        "</script>",
        "<!--<script>",
        "]]>",
        "\u2028",
        "<script>alert(1)</script>",
        "' onload='x",
        "{{7*7}}",
        "\ud800",
    ]
)


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of every script and style."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.raw.append((tag, ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            tag, text = self.raw[-1]
            self.raw[-1] = (tag, text + data)


def written(run: AuditRun) -> str:
    return b"".join(as_html.render(run)).decode()


def parsed(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    elements.close()
    return elements


def data(page: str) -> dict[str, Any]:
    loaded: dict[str, Any] = orjson.loads(parsed(page).raw[1][1])
    return loaded


@given(text=TEXT)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_text_never_becomes_markup(one_machine: Callable[..., AuditRun], text: str) -> None:
    harmless, page = parsed(written(one_machine("x"))), written(one_machine(text))
    hostile = parsed(page)
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    assert [sorted(attributes) for _, attributes in hostile.tags] == [sorted(a) for _, a in harmless.tags]
    assert data(page)["machines"]


def test_the_data_hold_every_machine_and_finding(demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run(80)
    page = data(written(run))
    strings, verdicts, statuses = page["strings"], list(Verdict), list(Status)
    assert strings[0] is None
    assert len(set(strings)) == len(strings)
    for row, result in zip(page["machines"], run.machines, strict=True):
        assert row[0] == result.machine.name
        assert strings[row[1]] + row[2] == result.machine.id
        assert verdicts[row[7]] is result.verdict
        assert {
            strings[row[9][at]]: strings[row[9][at + 1]] for at in range(0, len(row[9]), 2)
        } == result.machine.tags
        for index, finding in zip(row[10], result.findings, strict=True):
            check, _, status, _, summary, reason, step, evidence = page["findings"][index]
            assert (strings[check], strings[summary], strings[reason]) == (
                finding.check,
                finding.summary,
                finding.reason,
            )
            assert statuses[status] is finding.status
            assert strings[step] == finding.remediation
            for at, one in enumerate(finding.evidence):
                plane, source, value, slot = evidence[4 * at : 4 * at + 4]
                assert (strings[plane], strings[source], strings[value]) == (one.plane, one.source, one.value)
                assert one.observed_at is not None
                assert row[11][slot] == int(one.observed_at.timestamp())


def test_ten_thousand_machines_fit_and_stream(demo_run: Callable[..., AuditRun]) -> None:
    sizes = [len(chunk) for chunk in as_html.render(demo_run(10_000))]
    assert sum(sizes) < 15_000_000 / 2
    assert max(sizes) < 400_000


def test_the_policy_names_exactly_the_script_and_style_within(demo_run: Callable[..., AuditRun]) -> None:
    page = parsed(written(demo_run(3)))
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    for tag, text in (page.raw[0], page.raw[2]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_page_refers_to_nothing_outside(demo_run: Callable[..., AuditRun]) -> None:
    addresses = [
        value
        for _, attributes in parsed(written(demo_run(20))).tags
        for name, value in attributes.items()
        if name in ("href", "src", "action", "poster", "srcset") and value
    ]
    assert addresses
    assert [value for value in addresses if not value.startswith(("#", "data:"))] == []


def test_figures_stand_in_the_page_without_javascript(demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run(400)
    page = written(run)
    for name, count in run.verdicts().items():
        assert re.search(rf'class="tile {name}[^>]*>.*?<b>{count:,}</b>', page, re.DOTALL), name
    shown = re.findall(r'class="count (\w+)".*?<b>([\d,]+)</b>', page, re.DOTALL)
    for status, count in run.findings().items():
        assert sum(int(number.replace(",", "")) for name, number in shown if name == status) == count
    for limit in run.coverage.limits[:5]:
        assert limit.reason in page
    assert run.coverage.lost[0].id in page


def test_a_complete_run_says_so(demo_run: Callable[..., AuditRun]) -> None:
    page = written(demo_run(1, complete=True))
    assert "1 of 1 machine audited, nothing missing." in page


def test_every_template_is_strict_and_escapes() -> None:
    templates = environment()
    assert templates.autoescape is True
    with pytest.raises(jinja2.UndefinedError):
        templates.from_string("{{ forgotten }}").render()


@given(counts=st.dictionaries(st.sampled_from(list(Status)), st.integers(0, 10**6)))
def test_parts_fill_the_whole(counts: dict[Status, int]) -> None:
    every = {status: counts.get(status, 0) for status in Status}
    found = parts(every, list(Status))
    assert {part.key: part.count for part in found} == {k: n for k, n in every.items() if n}
    if found:
        assert sum(part.length for part in found) == pytest.approx(100, abs=0.01)
        assert all(part.length > 1 for part in found)
        for before, after in pairwise(found):
            assert after.start == pytest.approx(before.start + before.length, abs=0.01)
