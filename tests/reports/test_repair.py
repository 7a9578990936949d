"""Plans and repairs as pages, JSON and terminal text: complete, and inert whatever machines said."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from auditor.cli.plans import blast_radius, print_plan, print_run
from auditor.plugin import load_renderers, load_repair_renderers
from auditor.remedy import Plan, RepairRun, Result
from reports.page import source
from reports.repair_html import RESULTS, plan_page, run_page
from reports.repair_json import run_json
from tests.reports.repairs import CHECK, plan_of, run_of, unfinished

HOSTILE = (
    "<script>document.title='betrayed'</script>",
    '"><img src=x onerror=alert(1)>',
    "</pre></details></style><script>1</script>",
    "{{7*7}}{% raise %}",
    "\x1b[31mred\u202e\u2028",
    "\ud800 lone",
    "[bold red]markup[/]",
)
TEXT = st.text(st.characters(exclude_categories=()), min_size=1, max_size=40) | st.sampled_from(HOSTILE)
ALLOWED = {
    "html", "head", "meta", "title", "link", "style", "body", "a", "svg", "symbol", "circle", "path", "rect",
    "use", "text", "tspan", "header", "p", "dl", "div", "dt", "dd", "main", "section", "h1", "h2", "h3", "ul",
    "li", "i", "b", "span", "small", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "details",
    "summary", "time", "footer", "br",
}  # fmt: skip


class Tags(HTMLParser):
    """Every element with its attributes, and how deep what is open at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if "id" in dict(attrs):
            self.ids.append(dict(attrs)["id"])


def read(chunks: Iterator[bytes]) -> tuple[str, Tags]:
    page = b"".join(chunks).decode()
    tags = Tags()
    tags.feed(page)
    return page, tags


def pages(words: tuple[str, ...]) -> Iterator[tuple[str, Tags]]:
    run = run_of(words)
    yield read(plan_page(plan_of(words)))
    yield read(run_page(run))
    yield read(run_page(unfinished(run)))


def assert_inert(page: str, tags: Tags) -> None:
    assert {tag for tag, _ in tags.tags} <= ALLOWED
    for tag, attributes in tags.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        target = attributes.get("href")
        assert target is None or target.startswith(("#", "data:image/svg+xml")), target
    assert len(tags.ids) == len(set(tags.ids))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2028]", page)


def test_hostile_words_stay_words() -> None:
    for page, tags in pages(HOSTILE):
        assert_inert(page, tags)
        assert "&lt;script&gt;" in page
        assert "{{7*7}}" in page


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TEXT, min_size=1, max_size=3))
def test_no_words_get_out_of_their_place(words: list[str]) -> None:
    usual = [[tag for tag, _ in tags.tags] for _, tags in pages(("plain",) * len(words))]
    for (page, tags), expected in zip(pages(tuple(words)), usual, strict=True):
        assert_inert(page, tags)
        assert [tag for tag, _ in tags.tags if tag != "br"] == [tag for tag in expected if tag != "br"]


def test_the_policy_allows_the_style_and_no_script() -> None:
    for page, _ in pages(("web",)):
        style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
        assert style is not None
        assert policy is not None
        assert f"style-src {source(style[1])};" in policy[1].replace("&#39;", "'")
        assert "script" not in policy[1]


def test_the_plan_shows_every_command_whole() -> None:
    page, _ = read(plan_page(plan_of(("echo 'a' && echo \"b\"\n\techo c",))))
    assert "echo &#39;a&#39; &amp;&amp; echo &#34;b&#34;\n\techo c" in page
    assert "may reboot" in page
    assert "ef" * 32 in page


def test_a_plan_with_nothing_to_do_says_so() -> None:
    empty = replace(plan_of(("web",)), machines=())
    page, _ = read(plan_page(empty))
    assert "Nothing to repair" in page


def test_results_are_words_and_not_only_colours() -> None:
    page, _ = read(run_page(run_of(("web",))))
    for label, _, _ in RESULTS.values():
        assert re.search(rf'<span class="badge [a-z-]+"><svg.*?</svg>{label}</span>', page), label
    assert "Not settled" in page
    assert f"1 of {len(Result) + 1} machines verified" in page


def test_before_and_after_stand_side_by_side() -> None:
    page, _ = read(run_page(run_of(("web",), [Result.VERIFIED])))
    assert re.search(rf"{CHECK}:</span> fail → <b>pass</b>", page)


def test_the_verdict_before_and_now_is_shown() -> None:
    page, _ = read(run_page(run_of(("web",), [Result.VERIFIED, Result.REFUSED])))
    row = re.search(r"<tr><td><span[^<]*<svg.*?</svg>Verified.*?</tr>", page, re.DOTALL)
    assert row is not None
    assert re.search(r"</svg>Ready</span><br><span class=\"quiet\">was not-ready</span>", row[0])
    assert "not seen again" in page


def test_a_run_that_was_killed_says_how_to_go_on() -> None:
    page, _ = read(run_page(unfinished(run_of(("web",)))))
    assert "auditor remediate resume run-1" in page
    assert "5 machines of the plan were not begun" in page


# ---- JSON ----------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.lists(TEXT, min_size=1, max_size=3))
def test_json_is_read_back_whatever_was_said(words: list[str]) -> None:
    run = run_of(words)
    content: Any = json.loads(b"".join(run_json(run)))
    assert len(content["machines"]) == len(run.machines)
    assert content["summary"]["results"] == {result.value: 1 for result in Result}
    assert content["summary"]["not_settled"] == 1
    assert content["plan"]["digest"] == run.plan.digest


def test_json_holds_the_evidence_of_a_machine() -> None:
    content: Any = json.loads(b"".join(run_json(run_of(("web",), [Result.VERIFIED]))))
    (machine,) = content["machines"]
    assert (machine["name"], machine["result"], machine["backup"]) == ("web-0", "verified", "web")
    assert (machine["before"][CHECK]["status"], machine["after"][CHECK]["status"]) == ("fail", "pass")
    assert machine["verdict"] == {"before": "not-ready", "after": "ready"}
    assert machine["gates"] == ["lock: open, web", "power: closed, web"]
    (step,) = machine["steps"]
    assert (step["state"], step["exit_status"], step["output"]) == ("done", 0, "web")
    assert (step["begun_at"], step["ended_at"]) == ("2026-11-23T04:00:00Z", "2026-11-23T04:00:09Z")


def test_audits_and_repairs_keep_their_renderers_apart() -> None:
    assert [one.id for one in load_renderers()] == ["html", "json"]
    assert [one.id for one in load_repair_renderers()] == ["html", "json"]


# ---- terminal ------------------------------------------------------------------------------------


def told(thing: Plan | RepairRun, **words: Any) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=100)
    if isinstance(thing, Plan):
        print_plan(thing, console, **words)
    else:
        print_run(thing, console, **words)
    return stream.getvalue()


@given(st.lists(TEXT, min_size=1, max_size=3))
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_a_terminal_is_sent_nothing_that_acts(words: list[str]) -> None:
    for text in (told(plan_of(words), commands=True), told(run_of(words))):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\ud800-\udfff]", text)


def test_markup_of_a_machine_is_text() -> None:
    assert "[bold red]markup[/]" in told(plan_of(("[bold red]markup[/]",)))


def test_the_blast_radius_counts_machines_steps_risks_and_reboots() -> None:
    radius = blast_radius(plan_of(("a", "b", "c", "d")))
    assert radius == "4 machines, 4 steps by risk: 2 low, 1 medium, 1 high; 2 reboots are possible"
    assert blast_radius(replace(plan_of(("a",)), machines=())) == "Nothing is touched"


def test_a_long_plan_is_cut_and_says_so() -> None:
    text = told(plan_of(tuple("abcdef")), most=2)
    assert "and 5 more machines; `auditor remediate show` prints all" in text


def test_the_worst_results_come_first() -> None:
    text = told(run_of(("web",)))
    places = [
        text.index(f"\n {words}") for words in ("not settled", "skipped", "refused", "failed", "verified")
    ]
    assert places == sorted(places)


def test_a_terminal_shows_the_verdict_too() -> None:
    assert "verdict: not-ready → ready" in told(run_of(("web",), [Result.VERIFIED]))


@pytest.mark.parametrize("result", list(Result))
def test_a_result_is_counted(result: Result) -> None:
    assert f"1 {result.value}" in told(run_of(("web",), [result]))
