"""The page of the report in a real browser: it answers, sorts, fits, and asks for nothing."""

import base64
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_run import NAMES, edit_audit, edit_csv, make_run

from atom_nas.report import write_report

selenium = pytest.importorskip("selenium", reason="the browser tests need selenium")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
VISITS = itertools.count()

pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="the browser tests need chromium and chromedriver"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_run(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, page):
    """At the page, freshly loaded, 1280 pixels wide."""
    resize(chromium, 1280)
    chromium.get_log("performance")
    visit(chromium, page)
    return chromium


def visit(driver, page):
    """Load `page` at an address of its own: `get` may return before the new page is there."""
    address = f"{page.as_uri()}?visit={next(VISITS)}"
    driver.get(address)
    is_there = "return location.href === arguments[0] && document.readyState === 'complete'"
    WebDriverWait(driver, 60).until(lambda at: at.execute_script(is_there, address))


def resize(driver, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def column(driver, head):
    """The cells of the visible rows under `head`, in their order."""
    return driver.execute_script(
        """const table = document.querySelector("table.sortable");
        const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
        const column = heads.indexOf(arguments[0]);
        return [...table.tBodies[0].rows].filter((row) => row.offsetParent !== null)
            .map((row) => row.cells[column].textContent.trim());""",
        head,
    )


def head_of(driver, text):
    (head,) = [
        each
        for each in driver.find_elements(By.CSS_SELECTOR, "table.sortable th")
        if each.text.strip() == text
    ]
    return head


def told(driver):
    return driver.find_element(By.ID, "told").text


def point(driver, name):
    (found,) = [
        each
        for each in driver.find_elements(By.CSS_SELECTOR, "svg.scatter .point")
        if each.get_attribute("data-name") == name
    ]
    return found


def test_nothing_goes_wrong_and_nothing_is_asked_for(browser):
    point(browser, "net-3").click()
    head_of(browser, "MACs").find_element(By.TAG_NAME, "button").click()
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert browser.current_url in asked
    assert all(url == browser.current_url or url.startswith("data:") for url in asked)


def test_another_script_than_its_own_is_refused(browser, page, tmp_path):
    changed = tmp_path / "changed.html"
    text = page.read_text(encoding="utf-8").replace("isWhole = false", "isWhole = true")
    changed.write_text(text, encoding="utf-8")
    visit(browser, changed)
    assert len(column(browser, "Place")) == 13  # as without any script
    assert any(
        "Content Security Policy" in entry["message"] for entry in browser.get_log("browser")
    )


def test_the_first_screen_answers_four_questions(browser):
    shown = browser.find_elements(By.CSS_SELECTOR, ".answers section")
    assert [each.find_element(By.TAG_NAME, "h2").text for each in shown] == [
        *("Which architectures?", "What do they cost?"),
        *("How sure is the ranking?", "Was the proxy worth it?"),
    ]
    assert all(each.rect["y"] + each.rect["height"] <= 800 for each in shown)


def test_ten_candidates_are_shown_and_the_others_on_request(browser):
    assert column(browser, "Place") == [str(place) for place in range(1, 11)]
    more = browser.find_element(By.ID, "more-candidates")
    assert more.text == "Show all 13"
    more.click()
    assert column(browser, "Place") == [str(place) for place in range(1, 14)]
    assert more.get_attribute("aria-expanded") == "true"
    more.click()
    assert len(column(browser, "Place")) == 10


def test_a_column_of_numbers_sorts_by_number(browser):
    browser.find_element(By.ID, "more-candidates").click()
    head = head_of(browser, "Parameters")
    button = head.find_element(By.TAG_NAME, "button")
    names = [NAMES[index] for index in range(14) if index != 4]
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(browser, "Candidate") == names
    assert column(browser, "Parameters")[:3] == ["532", "1.53 k", "2.53 k"]
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    assert column(browser, "Candidate") == names[::-1]
    assert len(browser.find_elements(By.CSS_SELECTOR, "th[aria-sort]")) == 1


@pytest.mark.parametrize("clicks", [1, 2])
def test_what_is_not_known_stays_last(browser, clicks):
    browser.find_element(By.ID, "more-candidates").click()
    for _ in range(clicks):
        head_of(browser, "Validation (%)").find_element(By.TAG_NAME, "button").click()
    found = column(browser, "Validation (%)")
    assert found.index("n/a") == 10
    assert set(found[10:]) == {"n/a"}


def test_a_head_sorts_by_the_keyboard_and_words_by_letter(browser):
    head = head_of(browser, "Candidate")
    head.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(browser, "Candidate")[:4] == [NAMES[9], "net-0", "net-1", "net-2"]
    head.find_element(By.TAG_NAME, "button").send_keys(Keys.SPACE)
    assert column(browser, "Candidate")[:2] == ["net-13", "net-12"]


def test_a_point_says_its_name_and_numbers_when_clicked(browser):
    before = told(browser)
    point(browser, "net-3").click()
    said = told(browser)
    assert said != before
    assert said == (
        "net-3: validation accuracy on the proxy 59.0 %, 64.2 % after training on the full data; "
        "place 5 by the proxy and 5 by full data, of 8; 3.53 k parameters, 669 k multiply-adds."
    )
    point(browser, "net-13").click()
    assert told(browser).startswith("net-13: ")
    assert "picked by the optimiser, not audited" in told(browser)


def test_a_point_says_its_name_when_pointed_at(browser):
    webdriver.ActionChains(browser).move_to_element(point(browser, "net-5")).perform()
    assert told(browser).startswith("net-5: ")


def test_points_are_gone_through_by_the_keyboard(browser):
    points = browser.find_elements(By.CSS_SELECTOR, "svg.scatter .point")
    names = [each.get_attribute("data-name") for each in points]
    assert [each.get_attribute("tabindex") for each in points] == ["0", *["-1"] * 9]
    browser.execute_script("arguments[0].focus()", points[0])
    assert told(browser).startswith(f"{names[0]}: ")
    points[0].send_keys(Keys.ARROW_RIGHT)
    assert told(browser).startswith(f"{names[1]}: ")
    assert browser.switch_to.active_element == points[1]
    points[1].send_keys(Keys.ARROW_LEFT)
    points[0].send_keys(Keys.ARROW_LEFT)
    assert told(browser).startswith(f"{names[-1]}: ")
    assert [each.get_attribute("tabindex") for each in points] == [*["-1"] * 9, "0"]


def long_names(run):
    name = "|nor_conv_3x3~0|+" * 12
    for table in ("candidates", "truth"):
        edit_csv(
            run / f"{table}.csv",
            lambda rows: [{**row, "candidate": f"{name}{row['candidate']}"} for row in rows],
        )
    edit_audit(run, candidates=tuple(f"{name}{index}" for index in range(8)))


@pytest.mark.parametrize("change", [lambda run: None, long_names])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_is_not_scrolled_sideways(chromium, tmp_path, width, change):
    run = make_run(tmp_path)
    change(run)
    resize(chromium, width)
    visit(chromium, write_report(run))
    wide = "return document.documentElement.scrollWidth"
    assert chromium.execute_script(wide) <= width
    chromium.find_element(By.ID, "more-candidates").click()
    assert chromium.execute_script(wide) <= width


def colours(driver, scheme):
    feature = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
    style = "return getComputedStyle(document.body)"
    found = [driver.execute_script(f"{style}.{name}") for name in ("color", "backgroundColor")]
    return [sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in found]


def test_ink_is_dark_on_light_and_light_on_dark(browser):
    try:
        ink, page = colours(browser, "light")
        assert page - ink > 150
        ink, page = colours(browser, "dark")
        assert ink - page > 150
        feature = [{"name": "prefers-color-scheme", "value": "dark"}]
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": "print", "features": feature}
        )
        paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        assert len(column(browser, "Place")) == 13
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_what_is_folded_is_opened_for_print_and_folded_again(browser):
    script = "return document.querySelector('details').open"
    assert browser.execute_script(script) is False
    browser.execute_script(
        "addEventListener('beforeprint', () => "
        "{ window.wasOpen = document.querySelector('details').open; })"
    )
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
    assert base64.b64decode(pdf).startswith(b"%PDF")
    assert browser.execute_script("return window.wasOpen") is True
    assert browser.execute_script(script) is False
