"""`shine report`: one page that holds everything, loads nothing, and is there as a whole or not at all."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from bentos.cli.report import BINS, SEVERITIES, distributions
from bentos.skin import Analyzer
from tests.cli.conftest import Shine
from tests.server import PORTRAIT

CHROMIUM = shutil.which("chromium")


class Page(HTMLParser):
    """What a page holds: its elements, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_a_page_holds_every_photo_and_loads_nothing(shine: Shine, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    (photos / "<b>&\udcff.jpg").write_text("no photo")
    ended = shine("report", photos, "--out", out)
    assert (ended.code, ended.out) == (1, f"3 photos, 1 failed: {out}\n")
    text = out.read_text("utf-8")
    page = Page(text)
    pictures = page.all("img")
    assert len(pictures) == 2
    assert all(str(picture["src"]).startswith("data:image/jpeg;base64,") for picture in pictures)
    assert "://" not in re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", text)
    assert not [attributes for _, attributes in page.elements if {"href", "srcset"} & attributes.keys()]
    assert page.all("b") == []
    assert "<b>&\\udcff.jpg" in page.text
    assert "image_format_unsupported: The file is text, not a photo." in page.text
    assert "Not a medical diagnosis" in page.text
    assert "1 of them could not be analysed" in page.text
    assert len(page.all("svg")) == 8
    assert len(text) < 500_000


def test_the_heuristics_are_marked(shine: Shine, photos: Path, tmp_path: Path, no_weights: Path) -> None:
    assert shine("report", photos, "--out", tmp_path / "r.html", "--weights", no_weights).code == 0
    page = Page((tmp_path / "r.html").read_text())
    assert "2 of them were answered by the heuristics in place of the model: weights_missing." in page.text
    assert page.text.count("heuristic: weights_missing") == 2


def test_a_page_that_exists_is_kept_unless_overwritten(shine: Shine, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("mine")
    assert shine("report", photos, "--out", out).code == 3
    assert out.read_text() == "mine"
    assert shine("report", photos, "--out", out, "--overwrite").code == 0
    assert out.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "r.html"], "Missing argument"),
        (["{tmp}", "--out", "{tmp}/r.html"], "holds no file"),
        (["{tmp}/gone.jpg", "--out", "{tmp}/r.html"], "All failed (1 photo); the first: It cannot be read"),
        (["{tmp}", "--out", "{tmp}/nowhere/r.html"], "There is no folder"),
        (["{tmp}", "--out", "{tmp}"], "is a folder; name a file in it"),
        (["{tmp}"], "Missing option '--out'"),
        (["{tmp}", "--out", "-"], "such as report.html"),
        (["{tmp}", "--out", "/proc/self/r.html"], "Nothing can be written into /proc/self"),
    ],
)
def test_what_cannot_be_done_is_2_and_a_sentence(shine: Shine, tmp_path: Path, words: list[str], says: str) -> None:
    ended = shine("report", *(word.format(tmp=tmp_path) for word in words))
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert list(tmp_path.iterdir()) == []


def test_distributions_count_what_was_judged(analyzer: Analyzer) -> None:
    analysis = analyzer.analyze(PORTRAIT).model_dump(mode="json")
    unseen: dict[str, Any] = {**analysis["concerns"], "redness": {"score": None}, "shine": {"score": 100}}
    severity, *scores = distributions([analysis, {**analysis, "concerns": unseen}])
    assert [bar.label for bar in severity.bars] == [name.replace("_", " ") for name in SEVERITIES]
    assert [bar.number for bar in severity.bars] == [2, 0, 0, 0, 0]
    by_title = {one.title: one for one in scores}
    redness, own = by_title["redness"], analysis["concerns"]["redness"]["score"]
    assert redness.summary == f"1 judged, median {own}, {own} to {own}"
    assert [bar.number for bar in redness.bars] == [int(place == own // BINS) for place in range(BINS)]
    assert by_title["shine"].bars[-1].number == 1  # 100 belongs to the last
    assert distributions([])[1].summary == "0 judged"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_the_table_is_sorted_by_its_headings(shine: Shine, photos: Path, tmp_path: Path) -> None:
    (photos / "aaa.jpg").write_text("no photo")
    shutil.copy("tests/photos/overlay.jpg", photos / "bbb.jpg")
    shine("report", photos, "--out", tmp_path / "report.html")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        page.on("request", lambda request: problems.append(request.url[:40]))
        page.goto((tmp_path / "report.html").as_uri())
        first = [request for request in problems if not request.startswith("data:")]
        heading = page.get_by_role("columnheader", name="redness")
        place = heading.evaluate("heading => [...heading.parentElement.children].indexOf(heading)")
        values = f"rows => rows.map(row => row.children[{place}].textContent)"
        orders = []
        for _ in range(2):
            heading.get_by_role("button").click()
            orders.append((heading.get_attribute("aria-sort"), page.locator("tbody tr").evaluate_all(values)))
        assert page.locator("img").first.evaluate("image => image.naturalWidth") == 480
        browser.close()
    assert first == [(tmp_path / "report.html").as_uri()[:40]]
    (up, ascending), (down, descending) = orders
    assert (up, down) == ("ascending", "descending")
    assert ascending[-1] == descending[-1] == "–"  # what was not judged comes last
    assert ascending[:-1] == sorted(ascending[:-1], key=int)
    assert descending[:-1] == ascending[-2::-1]
