"""How long Chromium takes for a report: `python -m benchmarks.browser REPORT PROFILE_FOLDER`.

The page is watched from inside: rows count when the frame that shows them has been drawn.
"""

import shutil
import statistics
import sys
from pathlib import Path

import orjson
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

OPENS = 5
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--window-size=1300,1000",
)
WATCH = """
window.seen = {};
const drawn = (note) => requestAnimationFrame(() => setTimeout(() => note(performance.now())));
new MutationObserver((changes) => {
  const rows = changes.some((change) => change.target.nodeName === "TBODY" && change.addedNodes.length);
  if (!rows) return;
  if (!seen.rows) { seen.rows = -1; drawn((at) => { seen.rows = at; }); }
  else if (seen.key && !seen.found) { seen.found = -1; drawn((at) => { seen.found = at; }); }
}).observe(document, { childList: true, subtree: true });
addEventListener("keydown", () => { seen.key = seen.key || performance.now(); }, true);
"""


def main(report: Path, profile: Path) -> None:
    """Print the medians, in seconds, from opening to rows and from a key to its answer."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    with webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver"))) as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        opens = [_open(driver, report) for _ in range(OPENS)]
    rows, search = (statistics.median(times) for times in zip(*opens, strict=True))
    print(orjson.dumps({"rows": rows, "search": search}).decode(), flush=True)


def _open(driver: webdriver.Chrome, report: Path) -> tuple[float, float]:
    driver.get("about:blank")
    driver.get(report.as_uri())
    rows = _moment(driver, "rows")
    driver.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys("7")
    return rows / 1000, (_moment(driver, "found") - _moment(driver, "key")) / 1000


def _moment(driver: webdriver.Chrome, name: str) -> float:
    def read(page: webdriver.Chrome) -> float | None:
        at = page.execute_script("return seen[arguments[0]]", name)
        return float(at) if at and at > 0 else None

    found = WebDriverWait(driver, 60, poll_frequency=0.05).until(read)
    assert found is not None
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
