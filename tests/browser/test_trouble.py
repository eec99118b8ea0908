"""What goes wrong between the page and the service: each a sentence, and the photo is analysed as soon as it can be."""

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.actions import choose, fault, file_of, jpeg, portrait_file, wait_for_findings
from tests.browser.conftest import Visits
from tests.browser.proxy import LossyProxy
from tests.browser.test_intake import noise
from tests.server import Server

pytestmark = pytest.mark.long

KEY = "the-key-that-has-a-rate-4711"
RATE = 10  # photos a minute: one more comes every six seconds
LOST = ("net::ERR_", "502", "504")  # what Chromium says of connections that are lost, and a proxy of a lost service


@pytest.fixture
def proxy(shine: Server) -> Iterator[LossyProxy]:
    proxy = LossyProxy(shine.port)
    yield proxy
    proxy.close()


def state(page: Page, text: str) -> None:
    """Wait until the page says of the photo that is shown."""
    expect(page.locator("#state")).to_contain_text(text)


def test_a_photo_chosen_offline_is_sent_when_the_device_is_back(visit: Visits, demo: str) -> None:
    visit.expected |= set(LOST)
    page = visit(demo)
    page.context.set_offline(True)
    expect(page.locator("#message")).to_contain_text("This device is offline.")
    choose(page, portrait_file())
    state(page, "The service cannot be reached.")
    state(page, "Kept here, and sent as soon as the service answers")
    page.context.set_offline(False)
    wait_for_findings(page, "face.png")
    expect(page.locator("#message")).to_be_hidden()


def test_a_connection_cut_in_the_middle_of_a_photo_is_made_again(visit: Visits, proxy: LossyProxy) -> None:
    visit.expected |= set(LOST)
    page = visit(f"{proxy.url}/demo")
    expect(page.locator("#service")).to_contain_text("hybrid")
    proxy.cuts = 100
    choose(page, portrait_file())
    state(page, "Kept here")
    assert proxy.cuts < 100
    proxy.cuts = 0
    wait_for_findings(page, "face.png")


def test_a_photo_that_loses_every_connection_is_given_up_with_a_way_on(visit: Visits, proxy: LossyProxy) -> None:
    visit.expected |= set(LOST)
    page = visit(f"{proxy.url}/demo")
    page.route("**/analyze", lambda route: route.abort("connectionreset"))
    choose(page, portrait_file())
    state(page, "Kept here")
    for _ in range(2):
        page.get_by_role("button", name="Try now").click()
    expect(fault(page)).to_contain_text("Check your connection to the network")
    page.unroute("**/analyze")
    fault(page).get_by_role("button", name="Try again").click()
    wait_for_findings(page, "face.png")


def test_the_service_dies_in_the_middle_and_comes_back(
    visit: Visits, serve: Callable[..., Server], proxy: LossyProxy
) -> None:
    visit.expected |= set(LOST)
    first = serve(SHINE_PHASE="simple").wait_for_workers()
    proxy.target = first.port
    page = visit(f"{proxy.url}/demo")
    choose(page, portrait_file("before.png"))
    wait_for_findings(page, "before.png")
    first.worker("Gateway").suspend()  # the photo is under way when it dies
    choose(page, portrait_file("during.png"))
    expect(page.locator("#state progress")).to_be_visible()
    with contextlib.suppress(subprocess.TimeoutExpired):
        first.stop(within_s=0.1)  # and is killed
    proxy.target = None
    state(page, "Kept here")
    choose(page, portrait_file("after.png"))
    state(page, "Kept here")
    proxy.target = serve(SHINE_PHASE="simple").wait_for_workers().port
    expect(page.locator("#thumbnails li").filter(has_text="Findings are ready")).to_have_count(3, timeout=30_000)


def test_a_rate_that_is_spent_is_waited_for_and_said(visit: Visits, serve_shared: Callable[..., Server]) -> None:
    visit.expected |= {"429", "401"}
    server = serve_shared(SHINE_PHASE="simple", SHINE_API_KEYS=KEY, SHINE_RATE_PER_MINUTE=str(RATE)).wait()
    page = visit(f"{server.url}/demo")
    page.get_by_label("Key of this service").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#service")).to_contain_text("phase simple")
    with httpx.Client(headers={"x-api-key": KEY}) as spender:
        while spender.post(f"{server.url}/analyze", files={"image": b"no photo"}).status_code != 429:
            pass
    choose(page, portrait_file())
    state(page, "Too many photos were sent in a short time.")
    expect(page.locator("#state .of-state")).to_have_text(re.compile(r"Sent again in [1-6] s"))
    expect(page.locator("#live")).to_have_text(re.compile(r"Sent again in [1-6] s"))
    wait_for_findings(page, "face.png")


def test_a_busy_service_is_waited_for_as_long_as_it_says(visit: Visits, demo: str) -> None:
    visit.expected.add("429")
    page = visit(demo)
    body = {"error": {"code": "overloaded", "message": "m", "hint": "h", "request_id": "0" * 32}}
    page.route("**/analyze", lambda route: route.fulfill(status=429, headers={"Retry-After": "2"}, json=body), times=1)
    choose(page, portrait_file())
    state(page, "The service is busy at the moment.")
    wait_for_findings(page, "face.png")


def test_a_model_that_is_required_and_missing_is_a_sentence(
    visit: Visits, serve_shared: Callable[..., Server], no_weights: Path
) -> None:
    visit.expected.add("503")
    env = {"SHINE_PHASE": "foundation", "SHINE_WEIGHTS_URI": str(no_weights), "SHINE_REQUIRE_MODEL": "true"}
    page = visit(f"{serve_shared(**env).wait_until_healthy().url}/demo")
    expect(page.locator("#service")).to_contain_text("phase foundation · model: none (not available)")
    choose(page, portrait_file())
    expect(fault(page)).to_contain_text("The model is not available at the moment.")
    expect(fault(page).get_by_role("button", name="Try again")).to_be_visible()


def test_a_photo_that_is_not_good_enough_is_told_what_would_be(
    visit: Visits, serve_shared: Callable[..., Server]
) -> None:
    visit.expected |= {"422", "413"}
    server = serve_shared(SHINE_PHASE="simple", SHINE_QUALITY="strict", SHINE_MAX_BODY_MIB="1").wait_until_healthy()
    page = visit(f"{server.url}/demo")
    choose(page, portrait_file())
    expect(fault(page)).to_contain_text("not good enough to be analysed")
    expect(fault(page)).to_contain_text("one face, in focus, evenly lit")
    expect(fault(page).get_by_role("listitem").first).to_have_text(
        "Come closer to the camera: the face is too small in the photo."
    )
    # A service whose limit is lower than the contract's says so itself.
    choose(page, file_of(jpeg(noise(1200, 1000), 95), "large.jpg", "image/jpeg"))
    expect(fault(page)).to_contain_text("This photo is too large.")
    expect(fault(page).get_by_role("button", name="Make it smaller and send it")).to_be_visible()


@pytest.mark.parametrize(
    ("phase", "banner"),
    [("simple", "by heuristics, without the model"), ("hybrid", "heuristics took its place")],
)
def test_without_the_model_the_page_says_so_loudly(
    visit: Visits, serve_shared: Callable[..., Server], no_weights: Path, phase: str, banner: str
) -> None:
    env = {"SHINE_WEIGHTS_URI": str(no_weights)} if phase != "simple" else {}
    server = serve_shared(SHINE_PHASE=phase, **env).wait_for_workers()
    page = visit(f"{server.url}/demo")
    expect(page.locator("#service")).to_contain_text(f"phase {phase} · model: none")
    choose(page, portrait_file())
    findings = wait_for_findings(page, "face.png")
    expect(findings.locator(".banner")).to_contain_text(banner)
    expect(findings.locator(".banner table")).to_be_visible()
