"""The camera: guidance while it runs, a photo, and a sentence where there is none; by Chromium's fake device."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, Request, expect
from scipy.ndimage import gaussian_filter

from tests.browser.actions import choose, jpeg, portrait_file, wait_for_findings
from tests.browser.conftest import Visits, launch
from tests.drawing import parts_of, portrait

pytestmark = pytest.mark.long

CLOSE, FAR = (64, 0, 384, 240), (0, 0, 448, 336)  # parts of the portrait that the camera sees
GOOD = "Good. Take the photo now."
BOX = [320, 240, 320, 320]  # of a face, in a picture of 960 × 720


def bare_face() -> Image.Image:
    """The portrait with skin drawn over the hair on her forehead: a face with nothing to find fault with."""
    pixels, _, points = portrait()
    inverse = np.linalg.inv(np.vstack([parts_of(points).axes, [0, 0, 1]]))
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]] + 0.5
    u, v = (a * columns + b * rows + c for a, b, c in inverse[:2])
    forehead = ((u / 0.98) ** 2 + ((v + 0.05) / 0.98) ** 2 < 1) & (v < -0.33)
    alpha = gaussian_filter(forehead.astype(np.float64), 2.5)[..., None]
    skin = np.median(pixels[(abs(u) < 0.15) & (abs(v + 0.38) < 0.06)], axis=0)
    grain = np.random.default_rng(0).normal(0, 3, (*forehead.shape, 1))
    return Image.fromarray(np.clip(pixels * (1 - alpha) + (skin + grain) * alpha, 0, 255).astype(np.uint8))


@contextmanager
def camera(playwright: Playwright, folder: Path, seen: tuple[int, int, int, int]) -> Iterator[Browser]:
    """A Chromium whose camera sees a part of that face."""
    image = np.asarray(bare_face().crop(seen).resize((960, 720), Image.Resampling.BICUBIC))
    frame = jpeg(Image.fromarray((16 + image * (219 / 255)).astype(np.uint8)))  # the range in which cameras send
    video = folder / "camera.mjpeg"
    video.write_bytes(frame * 4)
    fake = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={video}")
    browser = launch(playwright, *fake)
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="module")
def close_up(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with camera(playwright, tmp_path_factory.mktemp("camera"), CLOSE) as browser:
        yield browser


@pytest.fixture
def see(close_up: Browser) -> Iterator[Visits]:
    """Open pages in a browser with a camera."""
    visits = Visits(close_up)
    yield visits
    visits.close()
    assert visits.unexpected() == []


def open_camera(page: Page) -> None:
    page.get_by_role("button", name="Use the camera").click()


def test_a_photo_is_taken_when_the_guidance_says_good(
    see: Visits, demo: str, screenshot: Callable[[Page, str], Path]
) -> None:
    page = see(demo, permissions=("camera",))
    running, most, judged = 0, 0, 0

    def began(request: Request) -> None:
        nonlocal running, most, judged
        if request.url.endswith("/quality"):
            running, judged = running + 1, judged + 1
            most = max(most, running)

    def ended(request: Request) -> None:
        nonlocal running
        running -= request.url.endswith("/quality")

    page.on("request", began)
    page.on("requestfinished", ended)
    open_camera(page)
    dialog = page.get_by_role("dialog", name="Take a photo")
    expect(dialog).to_be_visible()
    shutter = dialog.get_by_role("button", name="Take the photo")
    expect(shutter).to_be_enabled()
    expect(dialog.get_by_role("status")).to_have_text(GOOD)
    expect(dialog).to_have_class("good")
    screenshot(page, "camera-light-en")
    before = judged
    page.wait_for_timeout(2000)
    assert 1 <= judged - before <= 5  # about two a second, and never two at a time
    assert most == 1

    shutter.click()
    findings = wait_for_findings(page, "Camera 1")
    assert findings.evaluate("element => element.analysis.image.width") == 960
    assert findings.evaluate("element => element.analysis.quality.issues") == []
    assert page.evaluate("document.getElementById('video').srcObject") is None
    after = judged
    page.wait_for_timeout(1200)
    assert judged == after


def test_a_face_far_away_is_told_to_come_closer(playwright: Playwright, demo: str, tmp_path: Path) -> None:
    with camera(playwright, tmp_path, FAR) as browser:
        visits = Visits(browser)
        page = visits(demo, language="de", permissions=("camera",))
        page.get_by_role("button", name="Kamera nutzen").click()
        expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Kommen Sie näher.")
        visits.close()
        assert visits.unexpected() == []


def test_escape_closes_the_camera_and_the_focus_returns(see: Visits, demo: str) -> None:
    page = see(demo, permissions=("camera",))
    button = page.get_by_role("button", name="Use the camera")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    track = page.evaluate_handle("document.getElementById('video').srcObject.getVideoTracks()[0]")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(button).to_be_focused()
    assert track.evaluate("track => track.readyState") == "ended"
    open_camera(page)  # once more
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text(GOOD)


def test_without_guidance_the_photo_can_be_taken_all_the_same(see: Visits, demo: str) -> None:
    see.expected.add("net::ERR_FAILED")
    page = see(demo, permissions=("camera",))
    page.route("**/quality", lambda route: route.abort())
    open_camera(page)
    expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("no guidance at the moment")
    page.get_by_role("button", name="Take the photo").click()
    wait_for_findings(page, "Camera 1")


def test_without_permission_the_page_says_what_to_do(see: Visits, demo: str) -> None:
    page = see(demo)
    open_camera(page)
    expect(page.locator("#message")).to_contain_text("The camera may not be used. Allow it in the browser's settings")
    choose(page, portrait_file())
    wait_for_findings(page, "face.png")
    expect(page.locator("#message")).to_be_hidden()


def test_without_a_camera_the_page_says_so(visit: Visits, demo: str) -> None:
    page = visit(demo, permissions=("camera",))
    open_camera(page)
    expect(page.locator("#message")).to_contain_text("No camera was found.")


def test_a_page_without_https_is_told_that_it_is_the_reason(visit: Visits, demo: str) -> None:
    page = visit(demo)
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    open_camera(page)
    expect(page.locator("#message")).to_contain_text("pages with https or on localhost alone")


FRAMES: list[tuple[dict[str, Any], str]] = [
    ({}, "guide_good"),
    ({"face": None, "issues": ["no_face"]}, "guide_oval"),
    ({"box": [330, 260, 200, 200]}, "guide_closer"),
    ({"box": [600, 240, 320, 320]}, "guide_oval"),
    ({"yaw": -28}, "guide_straight"),
    ({"issues": ["turned_away", "too_dark"]}, "guide_straight"),
    ({"issues": ["several_faces"]}, "guide_several"),
    ({"issues": ["too_dark"]}, "guide_dark"),
    ({"issues": ["too_bright"]}, "guide_bright"),
    ({"issues": ["uneven_light"]}, "guide_window"),
    ({"issues": ["tinted"]}, "guide_white"),
    ({"issues": ["blurred"]}, "guide_still"),
    ({"issues": ["covered"]}, "guide_bare"),
    ({"issues": ["little_skin"]}, "guide_bare"),
    ({"issues": ["no_colour"]}, "guide_colour"),
    ({"box": [300, 10, 600, 700], "issues": ["cut_off"]}, "guide_back"),
    ({"issues": ["compressed"]}, "guide_good"),  # that is the page's own doing
    ({"issues": ["newer_than_this_page"]}, "guide_good"),
]


def test_each_fault_of_a_frame_has_one_sentence(visit: Visits, demo: str) -> None:
    answers = []
    for changed, _ in FRAMES:
        face = {"box": changed.get("box", BOX), "pose": {"yaw": changed.get("yaw", 0)}}
        image, quality = {"width": 960, "height": 720}, {"issues": changed.get("issues", [])}
        answers.append({"face": changed.get("face", face), "image": image, "quality": quality})
    page = visit(demo)
    said = page.evaluate("async (answers) => answers.map((await import('./demo/camera.js')).guidance)", answers)
    for (changed, expected), key in zip(FRAMES, said, strict=True):
        assert key == expected, changed
