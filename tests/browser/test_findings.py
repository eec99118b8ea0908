"""What the component shows: findings, layers over the photo, what was not judged, and for whom it can be read."""

import base64
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.component import (
    CONCERNS,
    TEXT,
    Analysis,
    changed,
    give,
    open_component,
    overflowing,
    violations,
)
from tests.browser.conftest import Visits
from tests.drawing import flush, lesions, png, portrait
from tests.server import Server

pytestmark = pytest.mark.long

WORDS = TEXT["en"]["component"]
Answer = tuple[bytes, Analysis]


SIDE = 768  # px of the photo


@pytest.fixture(scope="module")
def spotted() -> bytes:
    """A photo with lesions and red cheeks drawn in."""
    pixels, _, landmarks = portrait(SIDE)
    buffer = BytesIO()
    Image.fromarray(flush(lesions(pixels, landmarks, 14).pixels, landmarks, 0.6).pixels).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def by_model(shine: Server, spotted: bytes) -> Analysis:
    return analyze(shine, spotted)


@pytest.fixture(scope="module")
def by_heuristics(shine: Server, spotted: bytes) -> Analysis:
    return analyze(shine, spotted, {"X-Shine-Drill": "fallback"})


@pytest.fixture(scope="module")
def status(shine: Server) -> dict[str, Any]:
    return httpx.get(f"{shine.url}/ml/status", timeout=30).json()


def analyze(shine: Server, photo: bytes, headers: dict[str, str] | None = None) -> Analysis:
    include = {"include": "outlines,maps"}
    answer = httpx.post(f"{shine.url}/analyze", files={"image": photo}, data=include, headers=headers, timeout=30)
    return answer.raise_for_status().json()


@pytest.fixture
def show(visit: Visits, shine: Server, spotted: bytes, by_model: Analysis) -> Callable[..., Locator]:
    """Show an Analysis, that of the model by default, with the photo, in a new window."""

    def shown(analysis: Analysis = by_model, lang: str = "en", status: Any = None, **window: Any) -> Locator:
        page = visit(f"{shine.url}/livez", **window)
        component = open_component(page, shine.url, lang=lang, photo__png=spotted)
        give(component, analysis, status=status)
        return component

    return shown


def card(component: Locator, concern: str, lang: str = "en") -> Locator:
    return component.get_by_role("article", name=TEXT[lang]["concerns"][concern])


def lit(component: Locator, kind: str) -> list[str]:
    """The names of the marks or lines that are conspicuous."""
    return component.locator(f"{kind}.lit").evaluate_all(
        "(nodes) => nodes.map((node) => node.getAttribute('aria-label') ?? node.firstChild.textContent)"
    )


# --- findings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["en", "de"])
def test_each_finding_is_shown_with_its_scale_zones_source_and_confidence(
    show: Callable[..., Locator], by_model: Analysis, lang: str
) -> None:
    component = show(lang=lang)
    text = TEXT[lang]
    words = text["component"]
    for name in CONCERNS:
        finding, shown = by_model["concerns"][name], card(component, name, lang)
        meter = shown.get_by_role("meter")
        expect(meter).to_have_attribute("aria-valuenow", str(finding["score"]))
        expect(meter).to_have_attribute("aria-valuemax", "100")
        width = meter.evaluate("(bar) => 100 * bar.firstChild.offsetWidth / bar.offsetWidth")
        assert width == pytest.approx(finding["score"], abs=1)
        for part in (str(finding["score"]), words["scale_low"], words["scale_high"]):
            expect(shown).to_contain_text(part)
        expect(shown).to_contain_text(words["by_model" if name in ("acne", "wrinkles") else "by_heuristic"])
        for zone, value in finding.get("zones", {}).items():
            said = text["unseen"][finding["unseen"][zone]] if value is None else localized(value, lang)
            expect(shown.get_by_role("option", name=f"{text['zones'][zone]} {said}", exact=True)).to_be_visible()
    acne = by_model["concerns"]["acne"]
    assert acne["confidence"] is not None
    percent = f"{acne['confidence'] * 100:.0f}" + ("%" if lang == "en" else "\u00a0%")
    severity = text["severities"][acne["severity"]]
    sure = words["sure_of_severity"].format(percent=percent, severity=severity, measured=words["measured_on_better"])
    assert by_model["quality"]["issues"]
    expect(card(component, "acne", lang)).to_contain_text(sure)
    expect(card(component, "acne", lang)).to_contain_text(severity)
    expect(card(component, "acne", lang)).to_contain_text(words["lesions_other"].replace("{n}", str(acne["count"])))
    expect(card(component, "redness", lang)).to_contain_text(words["measurement"])
    assert by_model["concerns"]["wrinkles"]["confidence"] is None
    expect(card(component, "wrinkles", lang)).to_contain_text(words["sure_unknown"])


def localized(value: float, lang: str) -> str:
    return f"{value + 1e-9:.2f}".replace(".", "," if lang == "de" else ".")


@pytest.mark.parametrize(
    ("count", "boxes", "said"),
    [
        (1, 1, "1 lesion"),
        (2, 2, "2 lesions"),
        (3, 2, "3 lesions; 1 more was counted, but is too unsure to mark"),
        (5, 2, "5 lesions; 3 more were counted, but are too unsure to mark"),
        (4, 0, "4 lesions; too unsure to mark"),
        (0, 0, "0 lesions"),
        (1, 2, "1 lesion; 2 are marked, for some of the marks can be wrong"),
        (0, 1, "0 lesions; 1 is marked, for a mark can be wrong"),
        (None, 2, "2 marked in the photo"),
    ],
)
def test_lesions_are_counted_and_what_is_not_marked_is_said(
    show: Callable[..., Locator], by_model: Analysis, count: int | None, boxes: int, said: str
) -> None:
    marked = by_model["concerns"]["acne"]["boxes"][:boxes]
    component = show(changed(by_model, concerns__acne__count=count, concerns__acne__boxes=marked))
    severity = TEXT["en"]["severities"][by_model["concerns"]["acne"]["severity"]]
    expect(card(component, "acne").locator("p:has(.tag)")).to_have_text(f"{severity} {said}")


def test_how_sure_it_is_says_what_it_was_measured_on(show: Callable[..., Locator], by_model: Analysis) -> None:
    good = changed(by_model, quality__issues=[], advice=[], concerns__wrinkles__confidence=0.7)
    component = show(good)
    expect(card(component, "wrinkles")).to_contain_text(f"70% sure, {WORDS['measured_on_labelled']}.")
    expect(card(component, "acne")).to_contain_text(f"a lesion is there ({WORDS['measured_on_labelled']}):")
    expect(component).not_to_contain_text(WORDS["measured_on_better"])
    poor = show(changed(good, quality__issues=["blurred"], advice=["Hold still."]))
    expect(card(poor, "wrinkles")).to_contain_text(f"70% sure, {WORDS['measured_on_better']}.")
    expect(card(poor, "acne")).to_contain_text(f"a lesion is there ({WORDS['measured_on_better']}):")


def test_a_limit_of_repeatability_is_told_where_it_is_known(show: Callable[..., Locator]) -> None:
    limits = {"model": {"acne": 13, "wrinkles": 1}, "heuristic": {"redness": 17}}
    component = show(status={"accuracy": None, "repeatability": limits})
    expect(card(component, "acne")).to_contain_text("up to 13 points")
    expect(card(component, "wrinkles")).to_contain_text("up to 1 point more")
    expect(card(component, "redness")).to_contain_text("up to 17 points")
    expect(card(component, "shine")).not_to_contain_text("points")


def test_what_was_not_judged_is_said_with_its_reason(show: Callable[..., Locator], by_model: Analysis) -> None:
    nothing: dict[str, Any] = {"score": None, "reason": "too_blurred", "severity": None, "count": None, "boxes": []}
    unjudged = changed(by_model, tone=None, maps__acne=None)
    unjudged["concerns"]["acne"] |= nothing
    zones = unjudged["concerns"]["shine"]["zones"]
    unjudged["concerns"]["shine"] |= {"zones": dict.fromkeys(zones), "unseen": dict.fromkeys(zones, "no_face")}
    component = show(unjudged)
    expect(card(component, "acne")).to_contain_text("not judged")
    expect(card(component, "acne")).to_contain_text(f"{TEXT['en']['unseen']['too_blurred']}.")
    expect(card(component, "acne").get_by_role("meter")).to_have_count(0)
    expect(component.get_by_role("radio", name="Acne")).to_be_disabled()
    expect(card(component, "shine")).to_contain_text(f"No zones: {TEXT['en']['unseen']['no_face']}.")
    expect(component.get_by_role("article").filter(has_text=WORDS["tone"])).to_contain_text(WORDS["tone_unknown"])
    expect(component.locator(".empty")).to_have_count(0)


def test_a_photo_with_nothing_to_see_says_so_and_what_to_do(shine: Server, show: Callable[..., Locator]) -> None:
    component = show(analyze(shine, png(np.full((300, 240, 3), (90, 120, 90), dtype=np.uint8))))
    expect(component.locator(".empty")).to_contain_text(WORDS["nothing"])
    expect(component.get_by_text(WORDS["not_judged"], exact=True)).to_have_count(7)
    expect(component).to_contain_text(TEXT["en"]["issues"]["no_face"])
    expect(component.get_by_role("group", name=WORDS["layer_map"])).to_have_count(0)


@pytest.mark.parametrize("lang", ["en", "de"])
def test_tone_and_quality_are_shown(show: Callable[..., Locator], by_model: Analysis, lang: str) -> None:
    tone = {"ita_degrees": 31.2, "group": "intermediate", "calibrated": False}
    quality = {"score": 0.47, "issues": ["cut_off", "newer"]}
    component = show(changed(by_model, tone=tone, quality=quality, advice=["", "Newer advice."]), lang=lang)
    text = TEXT[lang]
    of_tone = component.get_by_role("article").filter(has_text=text["component"]["tone"])
    expect(of_tone).to_contain_text(text["tones"]["intermediate"])
    expect(of_tone).to_contain_text(text["component"]["tone_measured"].replace("{degrees}", "31"))
    of_quality = component.get_by_role("article").filter(has_text=text["component"]["quality"])
    expect(of_quality.get_by_role("meter")).to_have_attribute("aria-valuenow", "0.47")
    assert of_quality.get_by_role("listitem").all_inner_texts() == [text["issues"]["cut_off"], "Newer advice."]


def test_a_service_that_does_not_assess_quality_gives_no_figure(
    show: Callable[..., Locator], by_model: Analysis
) -> None:
    component = show(changed(by_model, quality={"score": None, "issues": []}, advice=[]))
    expect(component).to_contain_text(WORDS["quality_off"])
    assert component.get_by_role("meter").count() == len(CONCERNS)


@pytest.mark.parametrize("lang", ["en", "de"])
def test_heuristics_are_told_loudly_with_the_reason_and_the_accuracy_of_both(
    show: Callable[..., Locator], by_heuristics: Analysis, status: dict[str, Any], lang: str
) -> None:
    component = show(by_heuristics, lang, status)
    banner = component.get_by_role("complementary")
    text = TEXT[lang]
    assert by_heuristics["degraded"]
    for sentence in (text["component"]["banner_degraded"], text["reasons"][by_heuristics["reason"]]):
        expect(banner).to_contain_text(sentence)
    expect(component.get_by_role("status")).to_contain_text(text["component"]["banner_degraded"])
    percent = "%" if lang == "en" else "\u00a0%"
    for key, path, scale, digits, unit in (
        ("accuracy_severity", ("acne", "severity_accuracy"), 100, 0, percent),
        ("accuracy_count", ("acne", "count_mae"), 1, 1, ""),
        ("accuracy_wrinkles", ("wrinkles", "accuracy"), 100, 0, percent),
    ):
        both = [status["accuracy"][one][path[0]][path[1]]["value"] * scale for one in ("model", "heuristic")]
        shown = [f"{value:.{digits}f}{unit}".replace(".", "," if lang == "de" else ".") for value in both]
        row = banner.get_by_role("row").filter(has_text=text["component"][key])
        assert row.get_by_role("cell").all_inner_texts() == shown
    expect(card(component, "acne", lang)).to_contain_text(text["component"]["by_heuristic"])


def test_heuristics_that_nobody_asked_to_be_more_have_a_banner_too(
    show: Callable[..., Locator], by_heuristics: Analysis, status: dict[str, Any]
) -> None:
    unweighted = changed(status, accuracy__model=None)
    component = show(changed(by_heuristics, degraded=False), status=unweighted)
    banner = component.get_by_role("complementary")
    expect(banner).to_contain_text(WORDS["banner_heuristic"])
    heads = [WORDS["accuracy_figure"], WORDS["accuracy_heuristic"]]
    expect(banner.get_by_role("columnheader")).to_have_text(heads)
    expect(banner.get_by_role("cell", name=WORDS["unknown"])).to_have_count(0)


def test_a_status_that_comes_later_is_shown_and_what_was_chosen_stays(
    show: Callable[..., Locator], by_heuristics: Analysis, status: dict[str, Any]
) -> None:
    component = show(by_heuristics, status={"accuracy": None, "repeatability": None})
    component.get_by_role("radio", name="Redness").check()
    expect(component.get_by_role("table")).to_have_count(0)
    component.evaluate("(node, status) => { node.status = status; }", status)
    expect(component.get_by_role("table")).to_be_visible()
    expect(component.get_by_role("radio", name="Redness")).to_be_checked()
    expect(component.locator(".ramp")).to_be_visible()
    button = card(component, "shine").get_by_role("button", name="Heat map")
    button.focus()
    component.evaluate("(node) => { node.status = node.status; }")  # nothing new
    expect(button).to_be_focused()


def test_the_model_has_no_banner_and_is_named(show: Callable[..., Locator], by_model: Analysis) -> None:
    component = show()
    expect(component.get_by_role("complementary")).to_have_count(0)
    about = component.get_by_role("contentinfo").or_(component.locator(".about"))
    model = by_model["model"]
    for part in (model["name"], model["version"], model["sha256"][:12], by_model["request_id"], by_model["notice"]):
        expect(about).to_contain_text(part)
    expect(about).to_contain_text(WORDS["not_medical"])


def test_the_notice_is_translated(show: Callable[..., Locator]) -> None:
    words = TEXT["de"]["component"]
    about = show(lang="de").locator(".about")
    expect(about).to_contain_text(f"{words['not_medical']} {words['notice']} {words['notice_weights']}")


# --- the photo and its layers ---------------------------------------------------------------------------------------


def test_marks_lie_where_the_analysis_says_also_in_the_whole_photo(
    show: Callable[..., Locator], by_model: Analysis
) -> None:
    component = show()
    for view in ("Face", "Whole photo"):
        component.get_by_label(view).check()
        placed = component.locator(".lesion .ink").evaluate_all(PLACES)
        boxes = [lesion["box"] for lesion in by_model["concerns"]["acne"]["boxes"]]
        assert len(placed) == len(boxes) > 10
        for place, box in zip(placed, boxes, strict=True):
            assert place == pytest.approx(box, abs=1.5)
    assert component.locator(".stage svg").get_attribute("viewBox") == f"0 0 {SIDE} {SIDE}"


# Where a mark lies in the photo: its place in the window, by what of the photo the canvas shows there.
PLACES = """(marks) => {
    const svg = marks[0].ownerSVGElement;
    const view = svg.viewBox.baseVal;
    const stage = svg.closest(".stage").querySelector("canvas").getBoundingClientRect();
    const scale = view.width / stage.width;
    return marks.map((mark) => {
        const box = mark.getBoundingClientRect();
        return [view.x + (box.x - stage.x) * scale, view.y + (box.y - stage.y) * scale,
            box.width * scale, box.height * scale];
    });
}"""


def test_layers_are_switched(show: Callable[..., Locator]) -> None:
    component = show()
    for name, kind in (("Lesions", "lesion"), ("Zones", "zone")):
        ink = component.locator(f".{kind} .ink").first
        expect(ink).to_be_visible()
        component.get_by_role("checkbox", name=name).uncheck()
        expect(ink).to_be_hidden()
    assert component.locator('svg [tabindex="0"]').count() == 0  # nothing there to move to
    component.get_by_role("checkbox", name="Lesions").check()
    first = re.compile("^Lesion 1 of ")
    expect(component.locator('svg [tabindex="0"]')).to_have_attribute("aria-label", first)


@pytest.mark.parametrize("view", ["Face", "Whole photo"])
def test_a_heat_map_lies_over_its_part_of_the_photo(
    show: Callable[..., Locator], by_model: Analysis, view: str
) -> None:
    component = show()
    component.get_by_label(view).check()
    component.get_by_role("radio", name="Redness").check()
    expect(component.locator(".ramp")).to_be_visible()
    expect(component.locator(".ramp")).to_match_aria_snapshot(f"- paragraph: {WORDS['ramp']}")
    x, y, width, height = by_model["maps"]["box"]
    content = base64.b64decode(by_model["maps"]["redness"].partition(",")[2])
    opacity = np.minimum(np.asarray(Image.open(BytesIO(content)), dtype=float) * 3, 255)
    rows, columns = np.mgrid[: opacity.shape[0], : opacity.shape[1]] + 0.5
    centre = [(at * opacity).sum() / opacity.sum() for at in (columns, rows)]
    wanted = [x + centre[0] * width / opacity.shape[1], y + centre[1] * height / opacity.shape[0]]
    assert heat(component)[1:] == pytest.approx(wanted, abs=2)


def test_one_heat_map_is_shown_at_a_time_and_chosen_from_either_side(show: Callable[..., Locator]) -> None:
    component = show()
    redness, shine = (card(component, name).get_by_role("button", name="Heat map") for name in ("redness", "shine"))
    component.get_by_role("radio", name="Redness").check()
    expect(redness).to_have_attribute("aria-pressed", "true")
    first = heat(component)
    shine.click()
    expect(component.get_by_role("radio", name="Shine")).to_be_checked()
    expect(redness).to_have_attribute("aria-pressed", "false")
    assert heat(component, other_than=first) != first
    shine.click()
    expect(component.get_by_role("radio", name="None")).to_be_checked()
    expect(component.locator(".ramp")).to_be_hidden()
    assert component.evaluate(HEAT) is None


# How much heat is drawn, and where its centre lies in the photo; null where there is none.
HEAT = """(node) => {
    const canvas = node.shadowRoot.querySelector(".heat");
    const view = node.shadowRoot.querySelector("svg").viewBox.baseVal;
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    let [sum, x, y] = [0, 0, 0];
    for (let i = 0; i < data.length / 4; i++) {
        const alpha = data[4 * i + 3];
        [sum, x, y] = [sum + alpha, x + alpha * (i % canvas.width), y + alpha * Math.floor(i / canvas.width)];
    }
    const scale = view.width / canvas.width;
    return sum ? [sum, view.x + (x / sum) * scale, view.y + (y / sum) * scale] : null;
}"""


def heat(component: Locator, other_than: list[float] | None = None) -> list[float]:
    """The heat that is drawn, as soon as there is some."""
    for _ in range(100):
        drawn = component.evaluate(HEAT)
        if drawn and drawn != other_than:
            return drawn
        component.page.wait_for_timeout(30)
    raise AssertionError("no heat map is drawn")


# --- findings and marks highlight each other ------------------------------------------------------------------------


def test_a_finding_under_the_pointer_highlights_its_marks(show: Callable[..., Locator], by_model: Analysis) -> None:
    component = show()
    assert lit(component, "g") == []
    lines = card(component, "acne").get_by_role("option")
    lines.nth(3).hover()
    (label,) = lit(component, "g")
    assert label.startswith("Lesion 4 of ")
    expect(component.locator(".caption")).to_have_text(label)
    card(component, "acne").get_by_role("heading").hover()
    assert len(lit(component, "g")) == len(by_model["concerns"]["acne"]["boxes"])
    card(component, "wrinkles").get_by_role("option", name="Crow's feet").hover()
    assert lit(component, "g") == ["Crow's feet, left", "Crow's feet, right"]
    component.page.mouse.move(1, 1)
    assert lit(component, "g") == []
    expect(component.locator(".caption")).to_have_text(WORDS["marks_hint"])


def test_a_mark_under_the_pointer_highlights_its_lines(show: Callable[..., Locator]) -> None:
    component = show()
    component.locator(".lesion").nth(2).hover()
    (line,) = lit(component, ".chips li")
    assert line.startswith("Lesion 3 of ")
    component.locator("polygon.hit").nth(part_of(component, "Nose")).hover()
    assert lit(component, ".row") == ["Nose"] * 4
    component.page.mouse.move(1, 1)
    assert lit(component, ".row") == []


def part_of(component: Locator, name: str) -> int:
    labels = component.locator(".zone").evaluate_all("(nodes) => nodes.map((node) => node.getAttribute('aria-label'))")
    return labels.index(name)


def test_a_lesion_is_named_with_the_zone_that_it_lies_in(show: Callable[..., Locator], by_model: Analysis) -> None:
    places = [np.mean(by_model["outlines"][zone], axis=0) for zone in ("nose", "chin")] + [np.array([20, 30])]
    boxes = [{"box": [*(place - 2).tolist(), 4, 4], "confidence": 0.5} for place in places]
    component = show(changed(by_model, concerns__acne__boxes=boxes))
    labels = component.locator(".lesion").evaluate_all("(nodes) => nodes.map((node) => node.ariaLabel)")
    zones = (" · Nose", " · Chin", "")
    assert labels == [f"Lesion {i} of 3{zone} · 50% sure" for i, zone in enumerate(zones, 1)]
    listed = card(component, "acne").locator("li")
    assert listed.evaluate_all("(nodes) => nodes.map((node) => node.ariaLabel)") == labels


def test_a_tap_highlights_too(show: Callable[..., Locator]) -> None:
    component = show(has_touch=True)
    component.locator(".lesion").nth(2).tap()
    (line,) = lit(component, ".chips li")
    assert line.startswith("Lesion 3 of ")
    card(component, "redness").get_by_role("option", name="Nose").tap()
    assert lit(component, "g") == ["Nose"]


def test_marks_of_a_layer_that_is_off_are_shown_for_their_finding(show: Callable[..., Locator]) -> None:
    component = show()
    component.get_by_role("checkbox", name="Zones").uncheck()
    nose = component.locator(".zone .ink").nth(part_of(component, "Nose"))
    expect(nose).to_be_hidden()
    card(component, "redness").get_by_role("option", name="Nose").hover()
    expect(nose).to_be_visible()


def test_marks_are_one_tab_stop_from_both_sides_and_the_one_in_focus_has_a_ring(
    show: Callable[..., Locator], screenshot: Callable[[Page, str], Path]
) -> None:
    component = show()
    keyboard = component.page.keyboard
    names = component.locator("svg [role=option]").evaluate_all("(nodes) => nodes.map((node) => node.ariaLabel)")
    lesion = next(i for i, name in enumerate(names) if name.startswith("Lesion"))
    assert focused(component) is None
    keyboard.press("Tab")
    assert focused(component) == names[0]
    assert ring(component, ".rim") == ("rgb(0, 0, 0)", "10px")
    screenshot(component.page, "component-focus-zone")
    keyboard.press("ArrowLeft")
    assert focused(component) == names[0]
    for _ in range(lesion):
        keyboard.press("ArrowRight")
    assert focused(component) == names[lesion]
    assert lit(component, "g") == [names[lesion]]
    assert ring(component, ".halo") == ("rgb(0, 0, 0)", "10px")
    assert ring(component, ".ring") == ("rgb(255, 255, 255)", "5px")
    screenshot(component.page, "component-focus-lesion")
    keyboard.press("Tab")
    assert focused(component) == "lesion"  # the choice of layers
    assert lit(component, "g") == []
    keyboard.press("Shift+Tab")
    assert focused(component) == names[lesion]
    keyboard.press("End")
    keyboard.press("Shift+Tab")
    assert focused(component) is None
    keyboard.press("Tab")
    assert focused(component) == names[-1]
    keyboard.press("Home")
    assert focused(component) == names[0]


def focused(component: Locator) -> str | None:
    """The name of what has the focus in the component."""
    return component.evaluate(
        "({ shadowRoot }) => shadowRoot.activeElement?.ariaLabel ?? shadowRoot.activeElement?.name ?? null"
    )


def ring(component: Locator, layer: str) -> tuple[str, str]:
    """The stroke of a layer of the mark in focus: its colour and width."""
    style = component.locator(f"svg :focus-visible {layer}").evaluate(
        "(node) => { const { stroke, strokeWidth } = getComputedStyle(node); return [stroke, strokeWidth]; }"
    )
    return style[0], style[1]


def test_eighty_lesions_are_one_tab_stop_and_reached_by_arrow_keys(
    show: Callable[..., Locator], by_model: Analysis
) -> None:
    boxes = [{"box": [400 + 9 * i, 300 + 9 * j, 8, 8], "confidence": 0.9} for i in range(8) for j in range(10)]
    component = show(changed(by_model, concerns__acne__boxes=boxes))
    keyboard = component.page.keyboard
    component.get_by_role("checkbox", name="Zones").uncheck()
    component.get_by_role("checkbox", name="Zones").press("Shift+Tab")
    component.page.keyboard.press("Shift+Tab")
    assert lit(component, "g") == ["Lesion 1 of 80 · 90% sure"]
    expect(component.get_by_role("option", selected=True).first).to_be_focused()
    keyboard.press("ArrowRight")
    keyboard.press("ArrowDown")
    assert lit(component, "g")[0].startswith("Lesion 3 of 80")
    keyboard.press("ArrowLeft")
    assert lit(component, ".chips li")[0].startswith("Lesion 2 of 80")
    keyboard.press("End")
    keyboard.press("ArrowRight")
    assert lit(component, ".chips li")[0].startswith("Lesion 80 of 80")
    shown = component.locator(".chips .lit").evaluate(
        "(line) => line.offsetTop + line.offsetHeight <= line.parentNode.scrollTop + line.parentNode.clientHeight"
    )
    assert shown  # the list was scrolled to it
    stops = component.evaluate("(node) => node.shadowRoot.querySelectorAll('button, input, [tabindex=\"0\"]').length")
    assert stops < 30
    card(component, "acne").get_by_role("option").first.focus()
    keyboard.press("Home")
    keyboard.press("ArrowDown")
    assert lit(component, "g")[0].startswith("Lesion 2 of 80")


# --- for everybody --------------------------------------------------------------------------------------------------

WINDOWS = [(width, dark, lang) for width in (320, 768, 1440) for dark, lang in ((False, "en"), (True, "de"))]


@pytest.mark.parametrize(("width", "dark", "lang"), WINDOWS)
def test_it_is_accessible_and_fits_the_window(
    show: Callable[..., Locator],
    screenshot: Callable[[Page, str], Path],
    by_heuristics: Analysis,
    status: dict[str, Any],
    width: int,
    dark: bool,
    lang: str,
) -> None:
    component = show(by_heuristics, lang, status, width=width, dark=dark)
    component.get_by_role("radio").nth(3).check()
    component.locator(".lesion").first.focus()
    screenshot(component.page, f"component-{width}-{'dark' if dark else 'light'}-{lang}")
    assert component.page.evaluate("document.documentElement.scrollWidth") <= width
    assert overflowing(component) == []
    assert violations(component.page) == []


@pytest.mark.parametrize("dark", [False, True])
def test_errors_and_progress_are_accessible(visit: Visits, shine: Server, dark: bool) -> None:
    visit.expected = {"415"}
    page = visit(f"{shine.url}/livez", width=320, dark=dark)
    page.route(f"{shine.url}/demo/second.png", lambda _: None)  # without an answer
    body = '<shine-analysis src="first.png"></shine-analysis><shine-analysis src="second.png"></shine-analysis>'
    component = open_component(page, shine.url, body, first__png=b"no photo")
    component.locator(".fault").wait_for()
    page.get_by_role("progressbar").wait_for()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_forced_colours_leave_bars_and_what_is_chosen_visible(
    show: Callable[..., Locator], screenshot: Callable[[Page, str], Path]
) -> None:
    component = show(forced_colors="active")
    component.get_by_role("option", name="Nose").first.hover()
    screenshot(component.page, "component-forced-colours")
    filled, track, chosen, other = component.evaluate(
        """(node) => {
            const colour = (selector) => getComputedStyle(node.shadowRoot.querySelector(selector)).backgroundColor;
            return [".bar i", ".bar", "input:checked + span", "input:not(:checked) + span"].map(colour); }"""
    )
    assert filled != track
    assert chosen != other
    expect(component.locator(".row.lit").first).to_have_css("outline-style", "solid")


def test_nothing_moves_where_less_motion_is_wanted(show: Callable[..., Locator]) -> None:
    moving = "(node) => getComputedStyle(node).transitionDuration"
    assert card(show(), "acne").evaluate(moving) != "0s"
    assert card(show(reduced_motion="reduce"), "acne").evaluate(moving) == "0s"


def test_an_app_sets_colours_and_font(show: Callable[..., Locator]) -> None:
    component = show()
    component.evaluate("""(node) => { node.style.setProperty("--shine-accent", "rgb(120, 30, 150)");
        node.style.setProperty("--shine-font", "serif"); }""")
    expect(component.locator(".bar i").first).to_have_css("background-color", "rgb(120, 30, 150)")
    expect(component.get_by_role("heading", name="Findings")).to_have_css("font-family", "serif")
