"""Two photos side by side: a difference is shown where it means something, and only there."""

import re
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.actions import choose, file_of, jpeg, portrait_file
from tests.browser.conftest import Visits
from tests.drawing import flush, png, portrait
from tests.server import Server

pytestmark = pytest.mark.long

CHANCE = {"redness": 5, "pigmentation": 6, "shine": 90, "texture": 7, "acne": 8, "count": 6, "wrinkles": 40}


def red_face() -> bytes:
    """The portrait with flushed cheeks."""
    pixels, _, points = portrait()
    return png(flush(pixels, points, 1.5).pixels)


def compared(visit: Visits, shine: Server, repeatability: Any, *, with_photos: bool = True) -> Page:
    """A page that compares the portrait with the flushed one."""
    status = httpx.get(f"{shine.url}/ml/status").json()
    status.pop("repeatability", None)
    if repeatability is not None:
        status["repeatability"] = repeatability
    page = visit(f"{shine.url}/demo")
    page.route("**/ml/status", lambda route: route.fulfill(json=status))
    page.reload()
    if with_photos:
        choose(page, portrait_file("monday.png"), file_of(red_face(), "friday.png"))
        page.get_by_role("button", name="Compare two photos").click()
    return page


def row(page: Page, name: str) -> Locator:
    return page.locator("#compare tbody tr").filter(has=page.get_by_role("rowheader", name=name, exact=True))


def scores(page: Page, name: str) -> list[int]:
    cells = row(page, name).locator("td")
    return [int(cells.nth(i).inner_text()) for i in (0, 1)]


def test_a_difference_beyond_chance_is_shown_and_no_other(visit: Visits, shine: Server) -> None:
    page = compared(visit, shine, {"model": CHANCE, "heuristic": CHANCE})
    expect(page.get_by_role("heading", name="Two photos side by side")).to_be_focused()
    left, right = scores(page, "Redness")
    assert right - left > CHANCE["redness"]
    expect(row(page, "Redness")).to_contain_text(f"{right - left} more on the right (up to 5 is chance).")
    for name, chance in (("Shine", 90), ("Wrinkles", 40), ("Lesions", 6)):
        left, right = scores(page, name)
        assert abs(right - left) <= chance
        expect(row(page, name)).to_contain_text(f"No difference that can be measured (up to {chance} is chance).")
    expect(page.locator("#compare tr.differs")).to_have_count(
        page.locator("#compare .difference").filter(has_text=re.compile("more|less")).count()
    )


def test_without_repeatability_no_difference_is_claimed(visit: Visits, shine: Server) -> None:
    page = compared(visit, shine, None)
    expect(row(page, "Redness")).to_contain_text("Cannot be judged: how much is chance is not known.")
    expect(page.locator("#compare tr.differs")).to_have_count(0)


def test_a_source_without_repeatability_claims_none(visit: Visits, shine: Server) -> None:
    page = compared(visit, shine, {"model": None, "heuristic": CHANCE})
    expect(row(page, "Wrinkles")).to_contain_text("Cannot be judged: how much is chance is not known.")
    expect(row(page, "Redness")).to_contain_text("more on the right")


def test_other_photos_are_chosen_and_the_comparison_closes_by_keyboard(visit: Visits, shine: Server) -> None:
    page = compared(visit, shine, {"model": CHANCE, "heuristic": CHANCE})
    choice = page.get_by_label("Right", exact=True)
    choice.focus()
    choice.select_option("monday.png")
    expect(choice).to_be_focused()
    assert scores(page, "Redness")[0] == scores(page, "Redness")[1]
    expect(page.locator("#compare tr.differs")).to_have_count(0)
    page.get_by_label("Left", exact=True).select_option("friday.png")
    expect(row(page, "Redness")).to_contain_text("less on the right")
    page.get_by_role("button", name="Close the comparison").press("Enter")
    expect(page.locator("#compare")).to_be_hidden()
    expect(page.get_by_role("button", name="Compare two photos")).to_be_focused()
    expect(page.locator("#result")).to_be_visible()


def test_what_is_not_judged_in_both_is_said_to_be_so(visit: Visits, shine: Server) -> None:
    page = compared(visit, shine, {"model": CHANCE, "heuristic": CHANCE}, with_photos=False)
    grey = jpeg(Image.fromarray(portrait()[0]).convert("L"), 95)
    choose(page, portrait_file("colour.png"), file_of(grey, "grey.jpg", "image/jpeg"))
    page.get_by_role("button", name="Compare two photos").click()
    expect(row(page, "Redness")).to_contain_text("the photo does not show the colours of the skin")
    expect(row(page, "Redness")).to_contain_text("Not judged in both photos.")


# The scores and sources of acne in two photos, what is known of chance, and what is said of it.
RULES: list[tuple[Any, Any, Any, str, int | None]] = [
    ((30, "model"), (41, "model"), {"model": {"acne": 10}}, "diff_more", 11),
    ((30, "model"), (40, "model"), {"model": {"acne": 10}}, "diff_none", None),
    ((41, "model"), (30, "model"), {"model": {"acne": 10}}, "diff_less", -11),
    ((30, "model"), (90, "heuristic"), {"model": {"acne": 10}, "heuristic": {"acne": 1}}, "diff_sources", None),
    ((30, "heuristic"), (90, "heuristic"), {"model": {"acne": 10}}, "diff_unknown", None),
    ((None, "model"), (90, "heuristic"), {"model": {"acne": 10}}, "diff_unseen", None),
    ((30, "model"), (30, "model"), None, "diff_unknown", None),
    ((30, "model"), (31, "model"), {"model": {"acne": 0}}, "diff_more", 1),
]


def test_the_rule_of_differences(visit: Visits, demo: str) -> None:
    page = visit(demo)
    results = page.evaluate(
        """async (rules) => {
          const { difference } = await import("./demo/compare.js");
          const finding = ([score, source]) => ({ score, source });
          return rules.map(([left, right, known]) => difference(finding(left), finding(right), "score", "acne", known));
        }""",
        [rule[:3] for rule in RULES],
    )
    assert [(result["text"], result["by"]) for result in results] == [rule[3:] for rule in RULES]
