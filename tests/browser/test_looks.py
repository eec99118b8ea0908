"""How the page looks, and that everybody can use it: sizes, colours, languages, axe, keyboard alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.actions import choose, fault, file_of, portrait_file, wait_for_findings
from tests.browser.conftest import Visits
from tests.browser.test_compare import red_face

pytestmark = pytest.mark.long

WIDTHS = (320, 768, 1440)
MOST_KEYS = 40  # presses of Tab until something is reached
FOCUSED = """() => {
  let node = document.activeElement;
  while (node.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  return node === document.body ? null : node.id || node.textContent.trim() || node.getAttribute("aria-label");
}"""


def violations(page: Page) -> list[str]:
    """Of axe's rules: the rule, and where."""
    report: Any = Axe().run(page).response
    assert len(report["passes"]) > 10  # it has seen the page
    return [
        f"{rule['id']}: {node['target']} {node['html'][:150]}"
        for rule in report["violations"]
        for node in rule["nodes"]
    ]


def is_wider_than_its_window(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_view_fits_its_window_and_has_no_violation_of_axe(
    visit: Visits, demo: str, screenshot: Callable[[Page, str], Path], language: str, dark: bool
) -> None:
    visit.expected.add("415")
    page = visit(demo, language=language, dark=dark, reduced_motion="reduce")
    look = f"{language}-{'dark' if dark else 'light'}"

    def see(view: str) -> None:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert not is_wider_than_its_window(page), (view, width)
            screenshot(page, f"{view}-{width}-{look}")
        assert violations(page) == [], view

    see("start")
    choose(page, portrait_file("monday.png"))
    wait_for_findings(page, "monday.png")
    see("findings")
    choose(page, file_of(red_face(), "friday.png"), file_of(b"no photo", "letter.pdf", "application/pdf"))
    expect(page.locator("#thumbnails [data-state=done]")).to_have_count(2)
    page.locator("#thumbnails [data-state=failed]").click()
    expect(fault(page)).to_be_visible()
    see("fault")
    page.locator("#open-compare").click()
    see("compare")


def test_the_camera_and_the_key_have_no_violation_of_axe(
    visit: Visits, demo: str, screenshot: Callable[[Page, str], Path]
) -> None:
    page = visit(demo, width=320)
    page.evaluate("document.getElementById('key').hidden = false")
    assert violations(page) == []
    assert not is_wider_than_its_window(page)
    screenshot(page, "key-320-en-light")
    page.evaluate("document.getElementById('camera').showModal()")
    assert violations(page) == []
    assert not is_wider_than_its_window(page)


def tab_to(page: Page, wanted: str, key: str = "Tab") -> None:
    """Press Tab until something with this id or text has the focus."""
    seen = []
    for _ in range(MOST_KEYS):
        page.keyboard.press(key)
        seen.append(page.evaluate(FOCUSED))
        if seen[-1] == wanted:
            return
    raise AssertionError(f"{wanted} was not reached: {seen}")


def test_everything_is_reached_by_keyboard_alone(visit: Visits, demo: str) -> None:
    page = visit(demo)
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "Skip to the content"
    tab_to(page, "files")
    tab_to(page, "open-camera")
    tab_to(page, "sample")
    page.keyboard.press("Enter")
    findings = wait_for_findings(page, "Portrait")
    assert page.evaluate(FOCUSED) == "result-title"
    tab_to(page, "save-json")
    with page.expect_download():
        page.keyboard.press("Enter")
    tab_to(page, "save-png")
    tab_to(page, "print")
    tab_to(page, "remove")
    for _ in range(3):  # into the component and on
        page.keyboard.press("Tab")
    assert findings.evaluate("element => element === document.activeElement")
    tab_to(page, "remove", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#result")).to_be_hidden()
    assert page.evaluate(FOCUSED) == "files"


def test_motion_is_reduced_where_that_is_wanted(visit: Visits, demo: str) -> None:
    page = visit(demo, reduced_motion="reduce")
    seconds = page.evaluate("getComputedStyle(document.getElementById('open-camera')).transitionDuration")
    assert seconds == "0s"
