"""Photos of every kind given to the page in every way: each ends in findings or in a sentence and a way on."""

import io
import re
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from playwright.sync_api import Page, Request, expect

from tests.browser.actions import (
    choose,
    fault,
    file_of,
    give,
    jpeg,
    live,
    portrait_file,
    wait_for_findings,
)
from tests.browser.conftest import Visits
from tests.server import PORTRAIT

pytestmark = pytest.mark.long


@pytest.fixture
def page(visit: Visits, demo: str) -> Page:
    return visit(demo)


def analyses(page: Page) -> list[Request]:
    """Collects the photos that are sent for analysis from now on."""
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.url.endswith("/analyze") else None)
    return sent


def noise(width: int, height: int) -> Image.Image:
    """A picture that compresses badly."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def in_corner(side: int) -> Image.Image:
    """The portrait at the top of a much larger noisy picture."""
    image = noise(side, side)
    image.paste(Image.open(PORTRAIT).convert("RGB").resize((side // 2, side // 2)), (0, 0))
    return image


def test_a_photo_is_chosen_dropped_or_pasted(page: Page) -> None:
    for how in ("choose", "drop", "paste"):
        name = f"{how}.png"
        if how == "choose":
            choose(page, portrait_file(name))
        else:
            give(page, how, portrait_file(name))
        findings = wait_for_findings(page, name)
        expect(page.locator("#result-title")).to_be_focused()
        expect(findings.get_by_role("status")).to_have_text("The findings are ready.")
    expect(page.locator("#thumbnails li")).to_have_count(3)


@pytest.mark.parametrize(("how", "said"), [("drop", "in what you dropped"), ("paste", "in what you pasted")])
def test_what_holds_no_photo_is_said_and_dismissed(page: Page, how: str, said: str) -> None:
    give(page, how)
    message = page.locator("#message")
    expect(message).to_contain_text(f"There was no photo {said}.")
    message.get_by_role("button", name="Close").click()
    expect(message).to_be_hidden()


def test_dragging_over_the_page_is_shown_and_never_leaves_it(page: Page) -> None:
    stopped = page.evaluate(
        """() => ["dragover", "drop"].map((type) => {
          const event = new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: new DataTransfer() });
          document.body.dispatchEvent(event);
          return event.defaultPrevented;
        })"""
    )
    assert stopped == [True, True]
    page.evaluate("document.body.dispatchEvent(new DragEvent('dragover', { bubbles: true, cancelable: true }))")
    expect(page.locator("body.dropping")).to_have_count(1)


def test_text_that_is_pasted_into_the_key_is_no_photo(page: Page) -> None:
    page.evaluate(
        """() => {
          document.getElementById("key").hidden = false;
          const data = { bubbles: true, cancelable: true, clipboardData: new DataTransfer() };
          document.getElementById("key-value").dispatchEvent(new ClipboardEvent("paste", data));
        }"""
    )
    expect(page.locator("#message")).to_be_hidden()


def _heic() -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.open(PORTRAIT).convert("RGB")).save(buffer, format="HEIF")
    return buffer.getvalue()


def test_a_heic_photo_is_analysed_and_drawn_by_the_service(page: Page) -> None:
    choose(page, file_of(_heic(), "face.heic", "image/heic"))
    findings = wait_for_findings(page, "face.heic")
    assert findings.evaluate("element => element.analysis.image.format") == "HEIC"
    drawn = findings.evaluate(
        """async (element) => {
          const { width } = await createImageBitmap(element.photo);
          const canvas = element.shadowRoot.querySelector(".stage canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return [element.photo.type, width, new Set(data).size > 100];
        }"""
    )
    assert drawn == ["image/png", 512, True]


@pytest.mark.parametrize(
    ("content", "kind", "said", "way_on"),
    [
        (b"%PDF-1.7\n" + bytes(2000), "application/pdf", "not a photo that can be analysed", "JPEG, PNG, WebP, HEIC"),
        (PORTRAIT.read_bytes()[:100_000], "image/png", "damaged or incomplete", "another photo"),
        (jpeg(Image.new("RGB", (40, 40))), "image/jpeg", "too small", "at least 64 pixels"),
    ],
    ids=["a PDF", "half a photo", "a tiny photo"],
)
def test_a_file_that_cannot_be_analysed_is_a_sentence_and_a_way_on(
    visit: Visits, page: Page, content: bytes, kind: str, said: str, way_on: str
) -> None:
    visit.expected |= {"415", "422"}
    choose(page, file_of(content, "file", kind))
    expect(fault(page)).to_contain_text(said)
    expect(fault(page)).to_contain_text(way_on)
    expect(fault(page)).to_contain_text(re.compile("Request id: [0-9a-f]{32}"))
    expect(fault(page).get_by_role("button", name="Try again")).to_have_count(0)  # it would not help
    expect(live(page)).to_contain_text(said)
    with page.expect_file_chooser():
        fault(page).get_by_role("button", name="Choose another photo").click()
    choose(page, portrait_file("right.png"))
    wait_for_findings(page, "right.png")


def test_an_empty_file_is_said_to_be_so_and_is_not_sent(page: Page) -> None:
    sent = analyses(page)
    choose(page, file_of(b"", "zero.jpg", "image/jpeg"))
    expect(fault(page)).to_contain_text("This file is empty.")
    expect(fault(page)).to_contain_text("another photo")
    expect(fault(page).get_by_role("button", name="Try again")).to_have_count(0)
    expect(live(page)).to_contain_text("This file is empty.")
    assert sent == []
    page.get_by_role("button", name="Deutsch").click()
    expect(fault(page)).to_contain_text("Diese Datei ist leer.")


def test_thirty_megabytes_are_refused_before_they_are_sent_and_can_be_made_smaller(page: Page, tmp_path: Path) -> None:
    sent = analyses(page)
    large = tmp_path / "large.png"
    in_corner(3500).save(large, compress_level=1)
    assert large.stat().st_size > 30e6
    page.set_input_files("#files", large)
    expect(fault(page)).to_contain_text("This photo is too large.")
    assert sent == []
    fault(page).get_by_role("button", name="Make it smaller and send it").click()
    findings = wait_for_findings(page, "large.png")
    assert findings.evaluate("element => element.analysis.image") == {
        "width": 2000,
        "height": 2000,
        "format": "JPEG",
        "turned_degrees": 0,
    }
    assert findings.evaluate("element => element.analysis.face !== null")


def test_too_many_pixels_are_the_services_word_and_can_be_made_smaller(visit: Visits, page: Page) -> None:
    visit.expected.add("413")
    image = Image.open(PORTRAIT).convert("RGB").resize((6500, 6500), Image.Resampling.NEAREST)
    choose(page, file_of(jpeg(image, 50), "many.jpg", "image/jpeg"))
    expect(fault(page)).to_contain_text("too many pixels")
    fault(page).get_by_role("button", name="Make it smaller and send it").click()
    wait_for_findings(page, "many.jpg")


def test_a_large_file_that_the_browser_cannot_read_is_said_to_be_so(page: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.heic"
    large.write_bytes(bytes(11 * 2**20))
    page.set_input_files("#files", large)
    fault(page).get_by_role("button", name="Make it smaller and send it").click()
    expect(page.locator("#message")).to_contain_text("This browser cannot read the photo")


def test_a_photo_with_nothing_to_see_says_so_and_why(page: Page) -> None:
    choose(page, file_of(jpeg(Image.new("RGB", (640, 480), (60, 90, 160))), "wall.jpg", "image/jpeg"))
    findings = wait_for_findings(page, "wall.jpg")
    expect(findings).to_contain_text("Nothing could be judged in this photo.")
    expect(findings).to_contain_text("no face was found")
    choose(page, portrait_file())
    wait_for_findings(page, "face.png")
    states = page.locator("#thumbnails .of-state")
    expect(states).to_have_text(["Nothing could be judged", "Findings are ready"])


def test_several_photos_are_one_tab_stop_and_compared_from_there(page: Page) -> None:
    choose(page, *[portrait_file(f"{i}.png") for i in range(4)])
    expect(page.locator("#strip-title")).to_be_focused()
    expect(page.locator("#thumbnails [data-state=done]")).to_have_count(4)
    thumbnails = page.locator("#thumbnails button")
    keyboard = page.keyboard
    keyboard.press("Tab")
    expect(page.get_by_role("button", name="Compare two photos")).to_be_focused()
    keyboard.press("Tab")
    expect(thumbnails.nth(0)).to_be_focused()
    keyboard.press("ArrowRight")
    keyboard.press("ArrowRight")
    keyboard.press("Enter")
    expect(thumbnails.nth(2)).to_be_focused()
    expect(thumbnails.nth(2)).to_have_attribute("aria-current", "true")
    keyboard.press("Tab")
    expect(page.get_by_role("button", name="Save as JSON")).to_be_focused()
    keyboard.press("Shift+Tab")
    expect(thumbnails.nth(2)).to_be_focused()
    choose(page, portrait_file("next.png"))
    wait_for_findings(page, "next.png")
    keyboard.press("Shift+Tab")
    expect(thumbnails.nth(4)).to_be_focused()
    keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Compare two photos")).to_be_focused()


def test_several_photos_are_sent_a_few_at_a_time_and_each_keeps_its_own_state(visit: Visits, page: Page) -> None:
    visit.expected.add("415")
    running, most = 0, 0

    def began(request: Request) -> None:
        nonlocal running, most
        if request.url.endswith("/analyze"):
            running += 1
            most = max(most, running)

    def ended(request: Request) -> None:
        nonlocal running
        running -= request.url.endswith("/analyze")

    page.on("request", began)
    page.on("requestfinished", ended)
    names = [f"{i}.png" for i in range(6)]
    files = [portrait_file(name) for name in names]
    files[3] = file_of(b"no photo", names[3], "text/plain")
    choose(page, *files)
    items = page.locator("#thumbnails li")
    expect(items).to_have_count(6)
    expect(items.filter(has_text="Findings are ready")).to_have_count(5)
    expect(items.nth(3)).to_contain_text("Not analysed")
    assert 1 < most <= 3
    items.nth(3).get_by_role("button").click()
    expect(fault(page)).to_contain_text("not a photo")
    expect(items.nth(3).get_by_role("button")).to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="Remove this photo").click()
    expect(items).to_have_count(5)
    wait_for_findings(page, "4.png")


def test_what_is_removed_while_it_is_sent_is_gone(page: Page) -> None:
    page.route("**/analyze", lambda _: None)  # never answered
    choose(page, portrait_file())
    expect(page.locator("#state progress")).to_be_visible()
    page.get_by_role("button", name="Remove this photo").click()
    expect(page.locator("#result")).to_be_hidden()
    page.unroute("**/analyze")
    choose(page, portrait_file("next.png"))
    wait_for_findings(page, "next.png")


def test_progress_is_shown_while_a_photo_is_sent(page: Page) -> None:
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000}
    network.send("Network.emulateNetworkConditions", slow)
    page.evaluate(
        """() => {
          window.seen = [];
          new MutationObserver(() => window.seen.push(document.querySelector("#state")?.textContent))
            .observe(document.getElementById("state"), { childList: true, characterData: true, subtree: true });
        }"""
    )
    choose(page, file_of(jpeg(noise(1200, 900), 90), "slow.jpg", "image/jpeg"))
    wait_for_findings(page, "slow.jpg")
    seen = page.evaluate("window.seen")
    shares = [int(said[1]) for text in seen if (said := re.search(r"Sending: (\d+) %", text))]
    assert len(set(shares)) > 2, seen
    assert shares == sorted(shares)
    assert any("Analysing" in text for text in seen)


def test_the_language_is_that_of_the_browser_and_can_be_switched(visit: Visits, demo: str) -> None:
    page = visit(demo, language="de-AT")
    expect(page.get_by_role("heading", level=1)).to_have_text("Was sagt ein Foto über die Haut?")
    assert page.evaluate("document.documentElement.lang") == "de"
    page.get_by_role("button", name="Mit diesem Porträt testen").click()
    findings = wait_for_findings(page, "Porträt")
    expect(findings).to_contain_text("Falten")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="Save as JSON")).to_be_visible()
    expect(findings).to_contain_text("Wrinkles")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("What does a photo tell about the skin?")
    expect(visit(demo, language="fr").locator("html")).to_have_attribute("lang", "en")
