"""The component as an element of any page: attributes, properties, events, requests, errors, languages, examples."""

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from bentos.skin.settings import PAGE_PATH
from tests.browser.component import TEXT, Analysis, changed, events, give, open_component, serve_file
from tests.browser.conftest import Visits
from tests.server import PORTRAIT, Server, free_port
from tests.unit.photo.test_decode import heic

pytestmark = pytest.mark.long

EXAMPLES = Path(__file__).parent / "examples"
REACT = ("react@19.3.1", "react-dom@19.3.1")
SERVICE_OF_EXAMPLES = "http://localhost:5000"
ONE = '<shine-analysis src="photo.png"></shine-analysis>'


@dataclass(frozen=True)
class App:
    """An app of another origin than the service's: a folder of files, served."""

    origin: str
    folder: Path


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("app")
    (folder / "favicon.ico").touch()  # browsers ask for it
    with ThreadingHTTPServer(("127.0.0.1", free_port()), partial(QuietHandler, directory=folder)) as server:
        Thread(target=server.serve_forever).start()
        yield App(f"http://localhost:{server.server_port}", folder)
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files, and writes no log."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def service(app: App, serve_shared: Callable[..., Server]) -> str:
    """The address of a service that the app may ask."""
    return serve_shared(SHINE_PHASE="hybrid", SHINE_CORS_ORIGINS=app.origin).wait_for_workers().url


@pytest.fixture(scope="module")
def analysis(service: str, portrait: bytes) -> Analysis:
    """Findings on the portrait."""
    answer = httpx.post(f"{service}/analyze", files={"image": portrait}, data={"include": "outlines,maps"}, timeout=30)
    return answer.raise_for_status().json()


@pytest.fixture
def page(visit: Visits, service: str) -> Page:
    """A page of the service's origin."""
    return visit(f"{service}/livez")


@pytest.fixture
def asked(page: Page) -> list[str]:
    """The paths that the page asks for, in order, without files."""
    paths: list[str] = []
    page.on("request", lambda request: paths.append(re.sub(r"https?://[^/]+", "", request.url)))
    return paths


def texts_over_time(component: Locator) -> Callable[[], list[str]]:
    """Note all that the component shows, from now on."""
    component.evaluate("""(node) => { window.texts = [];
        const { shadowRoot } = node;
        const note = () => window.texts.push(shadowRoot.textContent);
        new MutationObserver(note).observe(shadowRoot, { childList: true, subtree: true, characterData: true }); }""")
    return lambda: component.page.evaluate("() => window.texts")


# --- examples -------------------------------------------------------------------------------------------------------


def test_three_lines_put_findings_into_an_app_of_another_origin(visit: Visits, service: str, app: App) -> None:
    shutil.copy(PORTRAIT, app.folder / "photo.jpg")
    page = open_example(visit, service, app, "plain.html")
    expect(page.locator("#result")).to_have_text(re.compile(r"Acne: \d+ of 100"))
    expect(page.locator("shine-analysis").get_by_role("heading", name="Findings")).to_be_visible()


def test_it_works_in_react(visit: Visits, service: str, app: App, tmp_path: Path) -> None:
    for name, module in react_modules(tmp_path).items():
        (app.folder / f"{name}.js").write_text(module)
    page = open_example(visit, service, app, "react.html")
    visit.expected |= {"415"}
    choose = page.locator("input[type=file]")
    choose.set_input_files(PORTRAIT)
    expect(page.locator("#result")).to_have_text(re.compile(r"Acne: \d+ of 100"))
    expect(page.locator("shine-analysis").get_by_role("heading", name="Findings")).to_be_visible()
    choose.set_input_files(EXAMPLES / "react.html")
    expect(page.locator("#result")).to_have_text("Error: image_format_unsupported")


def open_example(visit: Visits, service: str, app: App, name: str) -> Page:
    """A page of the app: the example, with the address of this service."""
    text = (EXAMPLES / name).read_text()
    assert SERVICE_OF_EXAMPLES in text
    (app.folder / name).write_text(text.replace(SERVICE_OF_EXAMPLES, service))
    visit.expected = {f"request to another host: {service}/"}
    return visit(f"{app.origin}/{name}")


def react_modules(folder: Path) -> dict[str, str]:
    """React as modules of a browser: it comes from npm as CommonJS."""
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *REACT]
    subprocess.run(command, check=True, timeout=100)
    needs = {
        "react": (),
        "scheduler": (),
        "react-dom": ("react",),
        "react-dom-client": ("react", "react-dom", "scheduler"),
    }
    modules = {}
    for name, imports in needs.items():
        package = name.removesuffix("-client")
        source = (folder / "node_modules" / package / "cjs" / f"{name}.production.js").read_text()
        lines = [f'import needed{i} from "./{other}.js";' for i, other in enumerate(imports)]
        known = ", ".join(f'"{other}": needed{i}' for i, other in enumerate(imports))
        lines += ["const exports = {};", f"const require = (name) => ({{ {known} }})[name];", source]
        exported = {"react": "createElement, useState", "react-dom-client": "createRoot"}.get(name, "")
        modules[name] = "\n".join([*lines, "export default exports;", f"export const {{ {exported} }} = exports;"])
    return modules


# --- what is asked of the service -----------------------------------------------------------------------------------


def test_a_photo_by_address_is_sent_to_the_service_that_the_file_came_from(
    page: Page, service: str, portrait: bytes, asked: list[str]
) -> None:
    # Under a prefix, as behind a proxy.
    page.route(f"{service}/skin/**", lambda route: route.continue_(url=route.request.url.replace("/skin", "")))
    component = open_component(page, f"{service}/skin", ONE, photo__png=portrait)
    expect(component.get_by_role("heading", name="Findings")).to_be_visible()
    assert asked[-3:] == ["/skin/demo/photo.png", "/skin/analyze", "/skin/ml/status"]


def test_a_photo_by_property_is_sent_with_the_key_and_the_answer_is_told(
    page: Page, service: str, portrait: bytes
) -> None:
    component = open_component(page, service, f'<shine-analysis endpoint="{service}/"></shine-analysis>')
    kept = events(component, "shine-analysis", "shine-error")
    serve_file(page, f"{service}/demo/photo.png", portrait, "image/png")
    with page.expect_request(f"{service}/analyze") as request:
        component.evaluate(
            """async (node) => {
                node.apiKey = "a-key"; node.photo = await (await fetch("photo.png")).blob(); }"""
        )
    assert request.value.headers["x-api-key"] == "a-key"
    (told,) = kept()
    assert told["type"] == "shine-analysis"
    assert told["concerns"]["wrinkles"]["score"] == component.evaluate(
        "(node) => node.analysis.concerns.wrinkles.score"
    )
    assert {"outlines", "maps"} <= told.keys()


def test_a_canvas_is_a_photo_too(page: Page, service: str) -> None:
    component = open_component(page, service)
    component.evaluate("""(node) => { const canvas = document.createElement("canvas");
        canvas.getContext("2d").fillRect(0, 0, 99, 99); node.photo = canvas; }""")
    expect(component).to_contain_text(TEXT["en"]["component"]["nothing"])


def test_an_analysis_that_is_given_is_shown_without_a_request(
    page: Page, service: str, portrait: bytes, analysis: Analysis, asked: list[str]
) -> None:
    component = open_component(page, service, photo__png=portrait)
    component.evaluate(
        """(node) => { window.told = 0; node.addEventListener("shine-analysis", () => window.told++); }"""
    )
    give(component, analysis)
    expect(component.get_by_role("heading", name="Findings")).to_be_visible()
    assert asked[-1] == "/demo/photo.png"
    assert page.evaluate("window.told") == 0
    assert component.evaluate("(node) => node.analysis.request_id") == analysis["request_id"]


def test_the_status_is_asked_for_only_where_it_is_not_given(
    page: Page, service: str, portrait: bytes, analysis: Analysis, asked: list[str]
) -> None:
    component = open_component(page, service, '<shine-analysis endpoint=".."></shine-analysis>', photo__png=portrait)
    give(component, analysis, status={"accuracy": None, "repeatability": None})
    assert asked[-1] == "/demo/photo.png"
    give(component, changed(analysis, request_id="another"), status=None)
    expect(component).to_contain_text("another")
    assert asked[-1] == "/ml/status"
    assert component.evaluate("(node) => node.status.state") == "ready"


def test_a_status_that_comes_while_the_photo_is_loaded_is_shown(
    page: Page, service: str, portrait: bytes, analysis: Analysis
) -> None:
    component = open_component(page, service)
    held = hold_first(page, f"{service}/demo/photo.png")
    with page.expect_request("**/photo.png"):
        component.evaluate("(node, analysis) => Object.assign(node, { analysis, photo: 'photo.png' })", analysis)
    component.evaluate("(node) => { node.status = { repeatability: { model: { acne: 12 } } }; }")
    held[0].fulfill(body=portrait, content_type="image/png")
    expect(component).to_contain_text("up to 12 points")


def test_properties_that_were_set_before_the_element_was_defined_count(
    page: Page, service: str, portrait: bytes, analysis: Analysis
) -> None:
    script = f"""const node = document.querySelector("shine-analysis");
        node.analysis = {json.dumps(analysis)}; node.photo = "photo.png";"""
    body = "<shine-analysis></shine-analysis><script src='early.js'></script>"
    component = open_component(page, service, body, photo__png=portrait, early__js=script.encode())
    expect(component.get_by_role("heading", name="Findings")).to_be_visible()


def test_a_changed_photo_stops_the_request_of_the_one_before(page: Page, service: str, portrait: bytes) -> None:
    component = open_component(page, service, photo__png=portrait, other__png=portrait)
    kept = events(component, "shine-analysis", "shine-error")
    held = hold_first(page, f"{service}/analyze")
    with page.expect_request(f"{service}/analyze"):
        component.evaluate("""(node) => { node.src = "photo.png"; }""")
    with page.expect_event("requestfailed", lambda request: request == held[0].request):
        component.evaluate("""(node) => { node.src = "other.png"; }""")
    expect(component.get_by_role("heading", name="Findings")).to_be_visible()
    assert [event["type"] for event in kept()] == ["shine-analysis"]


def test_an_element_that_is_removed_stops_its_request(page: Page, service: str, portrait: bytes) -> None:
    held = hold_first(page, f"{service}/analyze")
    with page.expect_request(f"{service}/analyze"):
        component = open_component(page, service, ONE, photo__png=portrait)
    kept = events(component, "shine-analysis", "shine-error")
    with page.expect_event("requestfailed", lambda request: request == held[0].request):
        component.evaluate("(node) => { window.removed = node; node.remove(); }")
    page.evaluate("() => document.querySelector('main').append(window.removed)")
    expect(component.get_by_role("heading", name="Findings")).to_be_visible()
    assert [event["type"] for event in kept()] == ["shine-analysis"]


def test_an_element_that_is_moved_keeps_its_findings(
    page: Page, service: str, portrait: bytes, asked: list[str]
) -> None:
    component = open_component(page, service, ONE, photo__png=portrait)
    component.locator(".about").wait_for()
    component.evaluate("(node) => document.querySelector('main').prepend(node)")
    expect(component.get_by_role("heading", name="Findings")).to_be_visible()
    assert asked.count("/analyze") == 1


def test_without_a_photo_nothing_is_shown(page: Page, service: str, portrait: bytes) -> None:
    component = open_component(page, service, ONE, photo__png=portrait)
    component.locator(".about").wait_for()
    component.evaluate("(node) => { node.src = null; }")
    expect(component).to_have_text("")
    assert component.evaluate("(node) => node.analysis") is None


def hold_first(page: Page, address: str) -> list[Route]:
    """Leave the first request for an address without an answer; what is returned holds it."""
    held: list[Route] = []

    def answer(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route(address, answer)
    return held


# --- progress and errors --------------------------------------------------------------------------------------------


def test_progress_is_shown_while_the_photo_is_sent_and_analysed(page: Page, service: str, portrait: bytes) -> None:
    component = open_component(page, service, photo__png=portrait + b"\0" * 1_000_000)
    shown = texts_over_time(component)
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1_000_000}
    network.send("Network.emulateNetworkConditions", slow)
    component.evaluate("(node) => { node.src = 'photo.png'; }")
    expect(component.get_by_role("progressbar")).to_be_visible()
    component.locator(".about").wait_for()
    words = TEXT["en"]["component"]
    steps = [words["working_photo"], r"Sending the photo: (\d+)%", words["working_analysis"], words["done"]]
    places = [[i for i, text in enumerate(shown()) if re.search(step, text)] for step in steps]
    assert all(places)
    assert [where[0] for where in places] == sorted(where[0] for where in places)
    percents = {int(found) for text in shown() for found in re.findall(steps[1], text)}
    assert len(percents) > 2
    assert max(percents) < 100
    # What a screen reader is told: the steps, and not each percent.
    status = component.get_by_role("status")
    expect(status).to_have_text(words["done"])
    expect(status).to_have_attribute("aria-live", "polite")


@pytest.mark.parametrize("lang", ["en", "de"])
def test_a_file_that_is_no_photo_is_an_error_in_a_sentence_and_can_be_tried_again(
    visit: Visits, page: Page, service: str, portrait: bytes, lang: str
) -> None:
    visit.expected = {"415"}
    component = open_component(page, service, ONE, lang, photo__png=b"no photo")
    error = TEXT[lang]["errors"]["image_format_unsupported"]
    shown = component.locator(".fault")
    expect(shown).to_contain_text(error["message"])
    expect(shown).to_contain_text(error["hint"])
    expect(shown).to_contain_text(re.compile(r": [0-9a-f]{32}"))  # the request id
    expect(component.get_by_role("status")).to_have_text(f"{error['message']} {error['hint']}")
    kept = events(component, "shine-analysis", "shine-error")
    serve_file(page, f"{service}/demo/photo.png", portrait, "image/png")
    component.get_by_role("button", name=TEXT[lang]["component"]["retry"]).press("Enter")
    expect(component.locator(".about")).to_be_visible()
    assert component.evaluate("(node) => document.activeElement === node")  # a keyboard goes on from here
    expect(shown).to_have_count(0)
    assert [event["type"] for event in kept()] == ["shine-analysis"]


def refusal(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "What was wrong.", "hint": "What is right.", "request_id": "r-1"}}


@pytest.mark.parametrize(
    ("status", "code", "shown"),
    [
        (401, "api_key_wrong", TEXT["en"]["errors"]["api_key_wrong"].values()),
        (503, "model_unavailable", [*TEXT["en"]["errors"]["model_unavailable"].values(), "wait 3,600 seconds"]),
        (422, "newer_than_this_file", ["What was wrong.", "What is right."]),
    ],
)
def test_an_error_of_the_service_is_told(
    visit: Visits, page: Page, service: str, portrait: bytes, status: int, code: str, shown: list[str]
) -> None:
    visit.expected = {str(status)}
    headers = {"retry-after": "3600"} if status == 503 else {}
    answer = json.dumps(refusal(code))
    page.route(
        f"{service}/analyze",
        lambda route: route.fulfill(status=status, body=answer, headers=headers, content_type="application/json"),
    )
    component = open_component(page, service, photo__png=portrait)
    kept = events(component, "shine-analysis", "shine-error")
    component.evaluate("(node) => { node.src = 'photo.png'; }")
    for sentence in shown:
        expect(component.locator(".fault")).to_contain_text(sentence)
    (told,) = kept()
    assert (told["type"], told["code"], told["status"], told["requestId"]) == ("shine-error", code, status, "r-1")


@pytest.mark.parametrize(
    ("attributes", "shown", "expected"),
    [
        ('src="missing.png"', TEXT["en"]["errors"]["photo_unreadable"]["message"], "404"),
        ('src="photo.png" endpoint="ftp://host"', "must begin with http", ""),
        ('src="photo.png" endpoint="/elsewhere"', TEXT["en"]["errors"]["not_found"]["message"], "404"),
    ],
)
def test_a_wrong_address_is_told(
    visit: Visits, page: Page, service: str, portrait: bytes, attributes: str, shown: str, expected: str
) -> None:
    visit.expected = {expected} if expected else set()
    component = open_component(page, service, f"<shine-analysis {attributes}></shine-analysis>", photo__png=portrait)
    expect(component.locator(".fault")).to_contain_text(shown)


def test_a_service_that_cannot_be_reached_is_told(visit: Visits, page: Page, service: str, portrait: bytes) -> None:
    visit.expected = {"net::ERR_CONNECTION_REFUSED"}
    page.route(f"{service}/analyze", lambda route: route.abort("connectionrefused"))
    page.clock.install()
    component = open_component(page, service, ONE, photo__png=portrait)
    for _ in range(10):  # the client waits before it tries again
        page.clock.run_for(3000)
        page.wait_for_timeout(20)
    expect(component.locator(".fault")).to_contain_text(TEXT["en"]["errors"]["connection_failed"]["message"])
    expect(component.locator(".fault")).not_to_contain_text("SHINE_CORS_ORIGINS")


def test_a_service_that_does_not_allow_the_pages_origin_is_told_to_be_that_perhaps(
    visit: Visits, service: str, app: App
) -> None:
    visit.expected = {f"request to another host: {service}/", "CORS", "net::ERR_FAILED"}
    origin = app.origin.replace("localhost", "127.0.0.1")  # the same app, and not the origin that is allowed
    shutil.copy(PORTRAIT, app.folder / "photo.jpg")
    text = (EXAMPLES / "plain.html").read_text()
    (app.folder / "other.html").write_text(text.replace(SERVICE_OF_EXAMPLES, service))
    component = visit(f"{origin}/other.html").locator("shine-analysis")
    said = TEXT["en"]["component"]["other_origin"].format(origin=origin)
    expect(component.locator(".fault")).to_contain_text(said)
    expect(component.get_by_role("status")).to_contain_text(said)


# --- photos that the browser cannot read ----------------------------------------------------------------------------


def test_a_heic_is_shown_as_the_service_draws_it_without_marks(page: Page, service: str, analysis: Analysis) -> None:
    photo = heic(Image.open(PORTRAIT).convert("RGB"), quality=90)
    component = open_component(page, service, ONE, photo__png=photo)
    component.locator(".about").wait_for()
    component.get_by_label("Whole photo").check()
    wanted = np.asarray(Image.open(PORTRAIT).convert("RGB"), dtype=float)
    differences = np.abs(pixels_of(component, len(wanted)) - wanted)
    assert differences.mean() < 6
    left, top, width, _ = (round(value) for value in analysis["face"]["box"])
    assert differences[top - 1 : top + 2, left : left + width].mean() < 12  # where a frame would be


@pytest.mark.parametrize("address", ["photo.png", "missing.png"])
def test_without_a_picture_the_findings_are_complete(
    visit: Visits, page: Page, service: str, analysis: Analysis, address: str
) -> None:
    visit.expected = {"404"}
    component = open_component(page, service, photo__png=b"no photo")
    give(component, analysis, address)
    expect(component).to_contain_text(TEXT["en"]["component"]["photo_missing"])
    expect(component.get_by_role("meter", name="Wrinkles")).to_be_visible()
    expect(component.get_by_label("Whole photo")).to_have_count(0)


def pixels_of(component: Locator, side: int) -> NDArray[np.float64]:
    """The photo's canvas in another size, (side, side, 3)."""
    values = component.evaluate(
        """(node, side) => { const copy = new OffscreenCanvas(side, side).getContext("2d");
            copy.imageSmoothingQuality = "high";
            copy.drawImage(node.shadowRoot.querySelector("canvas"), 0, 0, side, side);
            const letters = Array.from(copy.getImageData(0, 0, side, side).data, (value) => String.fromCharCode(value));
            return btoa(letters.join("")); }""",
        side,
    )
    return np.frombuffer(base64.b64decode(values), dtype=np.uint8).reshape(side, side, 4)[..., :3].astype(float)


# --- languages, several on a page -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preferred", "by_page_lang"),
    [
        ("en-GB", {"en": "Findings", "de": "Befunde", "de-AT": "Befunde", "fr": "Findings", "": "Findings"}),
        ("de-DE", {"en": "Findings", "de": "Befunde", "fr": "Findings", "": "Befunde"}),
    ],
)
def test_the_language_is_its_own_or_the_pages_or_the_browsers(
    visit: Visits, service: str, analysis: Analysis, preferred: str, by_page_lang: dict[str, str]
) -> None:
    page = visit(f"{service}/livez", language=preferred)
    own = '<shine-analysis lang="de"></shine-analysis><p lang="en"><shine-analysis></shine-analysis></p>'
    others = "".join(f'<p lang="{lang}"><shine-analysis></shine-analysis></p>' for lang in by_page_lang)
    open_component(page, service, own + others, "")
    components = page.locator("shine-analysis")
    components.evaluate_all("(nodes, analysis) => { for (const node of nodes) node.analysis = analysis; }", analysis)
    expect(page.locator("#findings")).to_have_text(["Befunde", "Findings", *by_page_lang.values()])


def test_the_language_follows_the_page(page: Page, service: str, analysis: Analysis) -> None:
    component = open_component(page, service)
    give(component, analysis, photo=None)
    for lang, findings, score in (("de", "Befunde", "0,93"), ("en", "Findings", "0.93")):
        page.evaluate("(lang) => { document.documentElement.lang = lang; }", lang)
        expect(component.get_by_role("heading", name=findings, exact=True)).to_be_visible()
        expect(component.get_by_role("option").filter(has_text=TEXT[lang]["zones"]["nasolabial"])).to_contain_text(
            score
        )
        expect(component.get_by_role("status")).to_have_text(TEXT[lang]["component"]["done"])
    component.evaluate("(node) => { node.lang = 'de'; }")
    expect(component.get_by_role("heading", name="Befunde", exact=True)).to_be_visible()


def test_progress_and_errors_follow_the_language_too(visit: Visits, page: Page, service: str) -> None:
    visit.expected = {"415"}
    component = open_component(page, service)
    held = hold_first(page, f"{service}/demo/photo.png")
    with page.expect_request(f"{service}/demo/photo.png"):
        component.evaluate("(node) => { node.src = 'photo.png'; }")
    status = component.get_by_role("status")
    expect(status).to_have_text(TEXT["en"]["component"]["working_photo"])
    component.evaluate("(node) => { node.lang = 'de'; }")
    german = TEXT["de"]["component"]["working_photo"]
    expect(component.locator(".working p")).to_have_text(german)
    expect(status).to_have_text(german)
    held[0].fulfill(body=b"no photo", content_type="image/png")
    expect(status).to_have_text(" ".join(TEXT["de"]["errors"]["image_format_unsupported"].values()))
    component.evaluate("(node) => { node.lang = 'en'; }")
    expect(status).to_have_text(" ".join(TEXT["en"]["errors"]["image_format_unsupported"].values()))


def test_several_on_a_page_do_not_touch_each_other(
    page: Page, service: str, portrait: bytes, analysis: Analysis
) -> None:
    body = "<shine-analysis></shine-analysis><shine-analysis lang='de'></shine-analysis>"
    first = open_component(page, service, body, photo__png=portrait)
    second = page.locator("shine-analysis").nth(1)
    give(first, analysis)
    give(second, changed(analysis, concerns__redness__score=77))
    first.get_by_role("radio", name="Redness").check()
    second.get_by_role("radio", name="Glanz").check()
    expect(first.get_by_role("radio", name="Redness")).to_be_checked()
    expect(second.get_by_role("radio", name="Glanz")).to_be_checked()
    expect(second.get_by_role("meter", name="Rötung")).to_have_attribute("aria-valuenow", "77")
    score = str(analysis["concerns"]["redness"]["score"])
    expect(first.get_by_role("meter", name="Redness")).to_have_attribute("aria-valuenow", score)


def test_what_the_service_says_is_never_read_as_markup(page: Page, service: str, analysis: Analysis) -> None:
    markup = "<img src=x onerror=\"document.title='run'\">"
    model = {"name": markup, "version": markup, "sha256": markup}
    spoilt = changed(analysis, model=model, request_id=markup, notice=markup, reason=markup, degraded=True)
    spoilt["quality"] = {"score": 0.5, "issues": [markup]}
    spoilt["advice"] = [markup]
    component = open_component(page, service)
    give(component, spoilt, photo=None)
    expect(component).to_contain_text(markup)
    assert component.locator("img").count() == 0
    assert page.title() == "Component"


def test_the_page_path_of_the_examples_is_that_of_the_service() -> None:
    for name in ("plain.html", "react.html"):
        assert f"{SERVICE_OF_EXAMPLES}{PAGE_PATH}/shine-analysis.js" in (EXAMPLES / name).read_text()
