"""The page in a real browser, opened from a file."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from auditor.model import AuditRun, Verdict
from reports.html import as_html

pytestmark = pytest.mark.browser
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--force-prefers-reduced-motion",
    "--window-size=1300,1000",
)

HOSTILE = (
    "<script>document.title='betrayed'</script>",
    "<img src=x onerror=\"document.title='betrayed'\">",
    "</script><script>document.title='betrayed'</script>",
    "<!--<script>",
    "{{7*7}}{% raise %}",
    "=cmd|' /C calc'!A0",
    "\"' onmouseover=document.title='betrayed' x='",
    "javascript:document.title='betrayed'",
    "x" * 10_000,
    "&lt;b&gt; \u2028\u2029",
)


class Page:
    """A browser with one report open."""

    def __init__(self, driver: webdriver.Chrome, folder: Path) -> None:
        self.driver = driver
        self._folder = folder

    def open(self, run: AuditRun, fragment: str = "") -> None:
        """Write the report and open it from its file, forgetting what was open before."""
        path = self._folder / "audit.html"
        path.write_bytes(b"".join(as_html.render(run)))
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get(path.as_uri() + fragment)
        assert self.js("return document.documentElement.dataset.usable") == "true"

    def js(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        """What all of them show in one moment: a table that is drawn again takes single ones away."""
        script = "return [...document.querySelectorAll(arguments[0])].map(one => one.innerText.trim())"
        texts: list[str] = self.js(script, selector)
        return texts

    def names(self) -> list[str]:
        return self.texts("#table tbody .name")

    def press(self, *keys: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def heading(self, name: str) -> None:
        """Wait until the details are those of `name`; following a link takes the browser a moment."""
        content = "return document.querySelector('#detail[open] h2')?.textContent"
        WebDriverWait(self.driver, 10).until(lambda _: self.js(content) == name)

    def shows(self, names: list[str]) -> bool:
        """Whether the table comes to show exactly these machines."""
        return bool(WebDriverWait(self.driver, 10).until(lambda _: sorted(self.names()) == names))

    def counts(self, words: str) -> bool:
        """Whether the line above the table comes to say this."""
        return bool(WebDriverWait(self.driver, 10).until(lambda _: self.texts("#count") == [words]))

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    _require_browser()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    started = webdriver.Chrome(options=options, service=service)
    yield started
    started.quit()


def _require_browser() -> None:
    if shutil.which("chromium") and shutil.which("chromedriver"):
        return
    if os.environ.get("AUDITOR_REQUIRE_LANES"):
        pytest.fail("the browser lane is required here and is not installed", pytrace=False)
    pytest.skip("no chromium with chromedriver")


@pytest.fixture
def page(driver: webdriver.Chrome, tmp_path: Path) -> Iterator[Page]:
    opened = Page(driver, tmp_path)
    yield opened
    assert opened.complaints() == []


def not_ready(run: AuditRun) -> list[str]:
    return sorted(result.machine.name for result in run.machines if result.verdict is Verdict.NOT_READY)


def test_opens_with_the_worst_machines_first(page: Page, demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run()
    page.open(run)
    bad = not_ready(run)
    assert bad
    assert page.names()[: len(bad)] == bad
    assert len(page.names()) == 50
    assert page.one("#count").text == "60 machines"
    assert page.one("#page").text == "1 of 2"


def test_touches_no_network(page: Page, demo_run: Callable[..., AuditRun]) -> None:
    page.open(demo_run())
    requested = page.js("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in requested if not name.startswith("data:")] == []


def test_sorts_by_every_heading_and_says_so(page: Page, demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run(40)
    page.open(run)
    heading = page.one("th[data-sort=name]")
    heading.find_element("css selector", "button").click()
    names = sorted((result.machine.name for result in run.machines), key=str.casefold)
    assert page.names() == names
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.find_element("css selector", "button").click()
    assert page.names() == names[::-1]
    assert heading.get_attribute("aria-sort") == "descending"
    for other in page.driver.find_elements("css selector", "th[data-sort] button"):
        other.click()
        assert sorted(page.names()) == sorted(names)
        assert len(page.driver.find_elements("css selector", "th[aria-sort]")) == 1


def test_filters_by_verdict_platform_and_tag(page: Page, demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run()
    page.open(run)
    page.one(".pill.not-ready").click()
    assert sorted(page.names()) == not_ready(run)
    assert page.one(".pill.not-ready").get_attribute("aria-pressed") == "true"
    page.one("#clear").click()
    assert page.one("#count").text == "60 machines"
    page.js(
        "const tag = document.getElementById('tag'); tag.value = 'owner=retail';"
        "tag.dispatchEvent(new Event('change'))"
    )
    expected = sorted(r.machine.name for r in run.machines if r.machine.tags.get("owner") == "retail")
    assert expected
    assert sorted(page.names()) == expected


def test_a_count_of_a_check_leads_to_its_machines(page: Page, demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run()
    page.open(run)
    page.one(".count.fail[href='#check=vm-agent-ready:fail']").click()
    expected = sorted(
        result.machine.name
        for result in run.machines
        if any(f.check == "vm-agent-ready" and f.status == "fail" for f in result.findings)
    )
    assert expected
    assert page.shows(expected)
    assert page.one("#check").get_attribute("value") == "vm-agent-ready:fail"


def test_searches_names_tags_and_evidence(page: Page, demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run()
    page.open(run)
    page.press("/")
    page.press("400206")
    expected = sorted(
        r.machine.name
        for r in run.machines
        if any("400206" in e.value for f in r.findings for e in f.evidence)
    )
    assert expected
    assert page.shows(expected)
    page.press(Keys.ESCAPE)
    assert page.counts("60 machines")
    page.press("nothing-is-called-so")
    assert page.shows([])
    assert page.one("#empty").is_displayed()
    assert page.one("#count").text == "0 of 60 machines"


def test_a_reason_of_unknown_findings_leads_to_their_machines(
    page: Page, demo_run: Callable[..., AuditRun]
) -> None:
    run = demo_run()
    page.open(run)
    reason = page.one("a.why").text
    expected = sorted(r.machine.name for r in run.machines if any(f.reason == reason for f in r.findings))
    assert expected
    page.one("a.why").click()
    assert page.shows(expected)


def test_works_by_keyboard_alone(page: Page, demo_run: Callable[..., AuditRun]) -> None:
    page.open(demo_run())
    names = page.names()
    page.press("/", Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    page.heading(names[1])
    assert page.js("return document.activeElement.id") == "detail-title"
    page.press(Keys.ARROW_RIGHT)
    page.heading(names[2])
    page.press(Keys.ESCAPE)
    assert not page.one("#detail").get_attribute("open")
    assert page.js("return document.activeElement.textContent") == names[1]
    assert "machine=" not in page.driver.current_url


def test_a_machine_has_an_address_of_its_own(page: Page, demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run()
    result = next(r for r in run.machines if r.verdict is Verdict.NOT_READY)
    page.open(run, f"#machine={quote(result.machine.id)}&verdict=not-ready")
    page.heading(result.machine.name)
    bad = next(f for f in result.findings if f.status == "fail")
    text = page.one("#detail").text
    for part in (
        bad.title,
        bad.summary,
        bad.evidence[0].value,
        bad.evidence[0].source,
        "Next step",
        "Evidence",
    ):
        assert part in text
    page.one("#detail [data-action=close]").click()
    assert sorted(page.names()) == not_ready(run)
    page.one("#table tbody .name").click()
    page.heading(not_ready(run)[0])
    page.driver.back()
    WebDriverWait(page.driver, 10).until(lambda _: not page.one("#detail").get_attribute("open"))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_shown_and_does_nothing(
    page: Page, one_machine: Callable[..., AuditRun], text: str
) -> None:
    page.open(one_machine(text))
    title = page.driver.title
    shown = text.replace("\u2028", "<U+2028>").replace("\u2029", "<U+2029>")
    assert page.js("return document.querySelector('#table .name').textContent").startswith(shown[:300])
    page.js("document.querySelector('#table .name').click()")
    page.heading(shown)
    assert page.js("return document.querySelector('#detail .evidence .value').textContent") == shown
    page.js("window.dispatchEvent(new Event('beforeprint'))")
    assert page.driver.title == title
    assert page.js("return document.querySelectorAll('script, img, iframe').length") == 2


def test_controls_and_overrides_are_spelled_out(page: Page, one_machine: Callable[..., AuditRun]) -> None:
    page.open(one_machine("a\x00b\u202ecod.exe\x1b[31m\ud800"))
    shown = page.js("return document.querySelector('#table .name').textContent")
    assert shown == "a<U+0000>b<U+202E>cod.exe<U+001B>[31m<U+D800>"


def test_the_policy_forbids_foreign_scripts(
    driver: webdriver.Chrome, tmp_path: Path, demo_run: Callable[..., AuditRun]
) -> None:
    page = Page(driver, tmp_path)
    page.open(demo_run(3))
    page.js(
        "const s = document.createElement('script'); s.textContent = \"document.title = 'betrayed'\";"
        "document.body.append(s)"
    )
    assert page.driver.title != "betrayed"
    assert any("Content Security Policy" in message for message in page.complaints())


def test_prints_every_machine_that_is_not_ready(page: Page, demo_run: Callable[..., AuditRun]) -> None:
    run = demo_run()
    page.open(run)
    page.js("window.dispatchEvent(new Event('beforeprint'))")
    printed = page.js("return document.getElementById('printed').textContent")
    assert all(name in printed for name in not_ready(run))
    page.js("window.dispatchEvent(new Event('afterprint'))")
    assert page.js("return document.getElementById('printed').childElementCount") == 0


def test_follows_the_scheme_and_the_button(page: Page, demo_run: Callable[..., AuditRun]) -> None:
    page.open(demo_run(3))
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = page.js(colour)
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    dark = page.js(colour)
    assert dark != light
    page.one("#theme").click()
    assert page.js(colour) == light
    page.one("#theme").click()
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert page.js(colour) == dark
    page.one("#theme").click()


def test_ten_thousand_machines_are_usable_at_once(page: Page, demo_run: Callable[..., AuditRun]) -> None:
    page.open(demo_run(10_000))
    assert page.one("#count").text == "10,000 machines"
    assert page.js("return performance.getEntriesByName('usable')[0].startTime") < 5000


def test_an_empty_run_has_a_page_too(page: Page, demo_run: Callable[..., AuditRun]) -> None:
    page.open(demo_run(0, complete=True))
    assert page.one("h1").text == "No machine was audited"
