"""What a user takes away: the JSON, a picture, a page of paper."""

import io
import json
import os
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Download, Page, expect

from tests.browser.actions import choose, file_of, portrait_file, wait_for_findings
from tests.browser.conftest import Visits
from tests.browser.test_compare import red_face
from tests.server import Server

pytestmark = pytest.mark.long


@pytest.fixture
def page(visit: Visits, demo: str) -> Page:
    page = visit(demo)
    choose(page, portrait_file("anna.b.png"))
    wait_for_findings(page, "anna.b.png")
    return page


def saved(page: Page, button: str) -> Download:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return download.value


def test_the_analysis_is_saved_as_it_came(page: Page) -> None:
    download = saved(page, "Save as JSON")
    assert download.suggested_filename == "anna.b-shine.json"
    content = json.loads(Path(download.path()).read_text())
    assert content == page.locator("#analysis").evaluate("element => element.analysis")
    assert content["schema_version"] == 1
    expect(page.locator("#live")).to_have_text("Saved.")


def test_the_picture_with_its_legend_is_saved(page: Page) -> None:
    download = saved(page, "Save as picture")
    assert download.suggested_filename == "anna.b-shine.png"
    picture = Image.open(io.BytesIO(Path(download.path()).read_bytes()))
    assert picture.format == "PNG"
    assert picture.width > 512


def test_a_picture_that_cannot_be_drawn_is_a_sentence(visit: Visits, page: Page) -> None:
    visit.expected.add("net::ERR_FAILED")
    page.route("**/overlay", lambda route: route.abort())
    page.get_by_role("button", name="Save as picture").click()
    expect(page.locator("#message")).to_contain_text("The picture could not be drawn by the service.")
    page.unroute("**/overlay")
    saved(page, "Save as picture")
    expect(page.locator("#message")).to_be_hidden()


def test_the_button_prints(page: Page) -> None:
    page.evaluate("window.print = () => (window.printed = true)")
    page.get_by_role("button", name="Print").click()
    assert page.evaluate("window.printed")


@pytest.mark.parametrize("by", ["model", "heuristic"])
def test_findings_fit_one_page_of_paper(visit: Visits, shine: Server, server: Server, by: str, tmp_path: Path) -> None:
    is_dark = by == "heuristic"  # which is nothing for paper
    page = visit(f"{(shine if by == 'model' else server).url}/demo", dark=is_dark)
    choose(page, portrait_file())
    findings = wait_for_findings(page, "face.png")
    assert sheets(page, tmp_path, f"findings-{by}") == 1
    page.emulate_media(media="print")
    expect(page.locator("#printed")).to_have_text(
        re.compile(r"^face\.png · .+ · Shine 1\.0\.0 · request [0-9a-f]{32}$")
    )
    expect(page.locator("#printed")).to_be_visible()
    for name in ("Wrinkles", "Texture", "Photo quality"):
        expect(findings.get_by_role("heading", name=name, exact=True)).to_be_visible()
    for name in ("Choose photos", "Save as JSON", "Deutsch", "Remove this photo", "Heat map of Acne"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)  # of those that can be seen


def test_a_comparison_fits_one_page_of_paper(page: Page, tmp_path: Path) -> None:
    choose(page, file_of(red_face(), "later.png"))
    page.get_by_role("button", name="Compare two photos").click()
    expect(page.locator("#compare tbody tr")).to_have_count(7)
    assert sheets(page, tmp_path, "comparison") == 1


def sheets(page: Page, folder: Path, name: str) -> int:
    """The number of sheets of A4 that a page is printed on; kept among the screenshots."""
    path = Path(os.environ.get("SCREENSHOTS") or folder) / f"{name}.pdf"
    page.pdf(path=path, prefer_css_page_size=True, print_background=True)
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", path.read_bytes()))
