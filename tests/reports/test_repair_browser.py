"""The pages of repairs in a real browser, opened from a file."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from reports.repair_html import plan_page, run_page
from tests.conftest import require_lane
from tests.reports.repairs import plan_of, run_of

pytestmark = pytest.mark.browser
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-first-run",
)
HOSTILE = (
    "<script>document.title='betrayed'</script>",
    "<img src=x onerror=\"document.title='betrayed'\">",
    "\"' onmouseover=document.title='betrayed' x='",
    "x" * 3000,
    "ordinary",
)
PAGES: tuple[Callable[[], Iterator[bytes]], ...] = (
    lambda: plan_page(plan_of(HOSTILE)),
    lambda: run_page(run_of(HOSTILE)),
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    require_lane("browser", bool(shutil.which("chromium") and shutil.which("chromedriver")))
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield started
    started.quit()


@pytest.fixture(params=PAGES, ids=("plan", "run"))
def page(request: pytest.FixtureRequest, driver: webdriver.Chrome, tmp_path: Path) -> webdriver.Chrome:
    path = tmp_path / "page.html"
    path.write_bytes(b"".join(request.param()))
    driver.set_window_size(1300, 1000)
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get(path.as_uri())
    return driver


def test_nothing_runs_and_nobody_complains(page: webdriver.Chrome) -> None:
    assert "betrayed" not in page.title
    assert page.get_log("browser") == []
    assert page.find_elements(By.TAG_NAME, "script") == []
    assert page.find_elements(By.TAG_NAME, "img") == []


@pytest.mark.parametrize("width", [1300, 1150, 800])
def test_no_word_leaves_its_tile(page: webdriver.Chrome, width: int) -> None:
    page.set_window_size(width, 1000)
    wide = "return [...document.querySelectorAll('.tile')].some(one => one.scrollWidth > one.clientWidth)"
    assert page.execute_script(wide) is False


@pytest.mark.parametrize("width", [1300, 800, 500])
def test_nothing_is_wider_than_the_window(page: webdriver.Chrome, width: int) -> None:
    page.set_window_size(width, 1000)
    wide = page.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 0


def test_commands_unfold_without_a_script(page: webdriver.Chrome) -> None:
    details = page.find_element(By.CSS_SELECTOR, ".step details")
    sent = details.find_element(By.TAG_NAME, "pre")
    assert not sent.is_displayed()
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", details)
    details.find_element(By.TAG_NAME, "summary").click()
    assert sent.is_displayed()


def test_the_index_leads_to_each_machine(page: webdriver.Chrome) -> None:
    links = page.find_elements(By.CSS_SELECTOR, ".index a")
    targets = [str(link.get_attribute("href")).rpartition("#")[2] for link in links]
    assert len(targets) > 4
    assert all(page.find_elements(By.ID, target) for target in targets)
