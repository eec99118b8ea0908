"""The overlay: boxes and zones where they belong, a complete legend, and never a failure."""

import copy
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bentos.skin import legend
from bentos.skin.findings import Unseen
from bentos.skin.layers import HeatMaps, Point
from bentos.skin.options import MAX_WIDTH, MIN_WIDTH, Layer, Options
from bentos.skin.overlay import MAX_HEIGHT, MAX_SIDE, MIN_SIDE, Outlines, draw
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face_parts import ZONES
from bentos.skin.schema import EXAMPLE_ANALYSIS, Analysis, QualityIssue, Reason, Severity, ToneGroup
from tests.properties import examples

ASTRONAUT = Path(__file__).resolve().parents[1] / "photos/astronaut.png"
GREY = (128, 128, 128)
NOTHING: Outlines = {}
PLACES = {
    **{"forehead": (500, 260), "frown": (500, 380), "crows_feet_left": (660, 400), "crows_feet_right": (340, 400)},
    **{"nasolabial_left": (590, 600), "nasolabial_right": (410, 600), "cheek_left": (650, 520)},
    **{"cheek_right": (350, 520), "nose": (500, 500), "chin": (500, 740)},
}
SQUARES: Outlines = {
    name: [(x - 30.0, y - 30.0), (x + 30.0, y - 30.0), (x + 30.0, y + 30.0), (x - 30.0, y + 30.0)]
    for name, (x, y) in PLACES.items()
}


def plain(width: int, height: int, colour: tuple[int, int, int] = GREY) -> Photo:
    return Photo(np.full((height, width, 3), colour, np.uint8), width, height, "JPEG")


def analysis(**changes: Any) -> Analysis:
    """The example with nothing drawn into the photo, and then changed; acne=… changes the acne alone."""
    values = copy.deepcopy(EXAMPLE_ANALYSIS) | {"face": None}
    values["concerns"]["acne"]["boxes"] = []
    values["concerns"]["acne"] |= changes.pop("acne", {})
    return Analysis.model_validate(values | changes)


def picture(
    photo: Photo, findings: Analysis, outlines: Outlines = NOTHING, heat: HeatMaps | None = None, **options: Any
) -> NDArray[np.uint8]:
    with Image.open(BytesIO(draw(photo, findings, outlines, heat, Options(**options)))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def lines_of(
    findings: Analysis, monkeypatch: pytest.MonkeyPatch, photo: Photo | None = None, **options: Any
) -> list[str]:
    """All lines of the legend."""
    lines: list[str] = []
    write = legend._Pen.text

    def text(pen: legend._Pen, words: str, *args: Any, **options: Any) -> None:
        lines.append(words)
        write(pen, words, *args, **options)

    monkeypatch.setattr(legend._Pen, "text", text)
    draw(photo or plain(1200, 1200), findings, NOTHING, options=Options(**options))
    return lines


def has(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(pixels.astype(int) - colour).max(axis=-1) <= 2).any())


def test_the_face_box_is_drawn_where_it_is() -> None:
    face = {"box": [300.0, 400.0, 500.0, 500.0], "confidence": 0.9, "pose": None}
    pixels = picture(plain(1200, 1200), analysis(face=face))
    for x, y in ((300, 650), (800, 650), (550, 400), (550, 900)):
        assert tuple(pixels[y, x]) == legend.FACE
    assert tuple(pixels[650, 550]) == GREY
    assert tuple(pixels[650, 250]) == GREY


def test_boxes_follow_the_photo_when_it_is_shown_smaller() -> None:
    face = {"box": [600.0, 800.0, 1000.0, 1000.0], "confidence": 0.9, "pose": None}
    reduced = plain(1200, 1200)
    reduced = Photo(reduced.pixels, 3200, 3200, "JPEG")
    pixels = picture(reduced, analysis(face=face))
    assert pixels.shape[0] == MAX_SIDE
    assert tuple(pixels[650, 300]) == legend.FACE
    assert tuple(pixels[650, 800]) == legend.FACE


def test_the_surer_a_lesion_the_bolder_its_box() -> None:
    def drawn(confidence: float) -> int:
        boxes = [{"box": [500.0, 500.0, 60.0, 60.0], "confidence": confidence}]
        pixels = picture(plain(1200, 1200), analysis(acne={"boxes": boxes}))[:1200, :1200]
        return int((np.abs(pixels.astype(int) - legend.LESION).max(axis=2) < 60).sum())

    assert 0 < drawn(0.1) < drawn(0.5) < drawn(0.9)


def test_a_lesion_stays_visible_inside_its_box() -> None:
    boxes = [{"box": [500.0, 500.0, 20.0, 20.0], "confidence": 0.9}]
    pixels = picture(plain(1200, 1200), analysis(acne={"boxes": boxes}))
    assert (pixels[502:518, 502:518] == 128).all()


def changed_at(pixels: NDArray[np.uint8], name: str) -> bool:
    """Whether something is drawn about the place of a zone."""
    x, y = PLACES[name]
    return bool((pixels[y - 40 : y + 40, x - 40 : x + 40] != 128).any())


def test_zones_are_drawn_where_they_are_seen_only() -> None:
    without = picture(plain(1200, 1200), analysis(), dict.fromkeys(ZONES))[:, :1200]
    assert (without == 128).all()
    some: Outlines = {**SQUARES, "chin": None, "crows_feet_left": None, "face": SQUARES["chin"]}
    pixels = picture(plain(1200, 1200), analysis(), some)[:, :1200]
    assert {name for name in ZONES if not changed_at(pixels, name)} == {"chin", "crows_feet_left"}
    rows, columns = np.nonzero((pixels != 128).any(axis=2))
    assert 300 < columns.min() < columns.max() < 700
    assert 220 < rows.min() < rows.max() < 780


def test_a_wrinkled_zone_is_tinted_more() -> None:
    def tint(share: float | None) -> float:
        zones = {"forehead": share, "crows_feet": 0.0, "frown": 0.0, "nasolabial": 0.0}
        values = copy.deepcopy(EXAMPLE_ANALYSIS)
        values["concerns"]["wrinkles"]["zones"] = zones
        values["concerns"]["wrinkles"]["unseen"] = {} if share is not None else {"forehead": "covered"}
        pixels = picture(plain(1200, 1200), Analysis.model_validate(values), SQUARES).astype(int)
        return float(np.abs(pixels[240:280, 480:520] - 128).mean())

    assert tint(None) == tint(0.0) < tint(0.3) < tint(0.9)


@pytest.mark.parametrize("background", [(10, 10, 10), (245, 245, 245)])
def test_every_line_stands_out_on_dark_and_on_light_photos(background: tuple[int, int, int]) -> None:
    face = {"box": [300.0, 400.0, 500.0, 500.0], "confidence": 0.9, "pose": None}
    pixels = picture(plain(1200, 1200, background), analysis(face=face)).astype(int)
    profile = pixels[650, 280:320].sum(axis=1)
    assert profile.max() - profile.min() > 300


@pytest.mark.parametrize("size", [(64, 64), (64, 4000), (4000, 64), (1080, 1350), (2400, 1600), (6300, 6300)])
def test_any_size_gets_a_photo_with_a_legend_beside_or_below(size: tuple[int, int]) -> None:
    width, height = size
    photo = Photo(plain(max(width // 4, 16), max(height // 4, 16)).pixels, width, height, "PNG")
    pixels = picture(photo, analysis())
    factor = min(max(width, height, MIN_SIDE), MAX_SIDE) / max(width, height)
    shown = round(width * factor), round(height * factor)
    if width > height:
        assert pixels.shape[1] == shown[0]
        assert pixels.shape[0] > shown[1] + 200
        assert tuple(pixels[0, 0]) == GREY
    else:
        assert pixels.shape[0] >= shown[1]
        assert pixels.shape[1] > shown[0] + 300
        assert tuple(pixels[pixels.shape[0] // 2, 0]) == GREY
    assert has(pixels, legend.BACKGROUND)


# Legend


def test_a_degraded_answer_is_marked_loudly_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    degraded = analysis(degraded=True, reason="weights_missing")
    pixels = picture(plain(1200, 1200), degraded)
    for corner in (pixels[0, 0], pixels[-1, 0], pixels[0, -1], pixels[-1, -1]):
        assert tuple(corner) == legend.DEGRADED
    assert (pixels[:200, 1210:] == legend.DEGRADED).all(axis=2).mean() > 0.2
    lines = lines_of(degraded, monkeypatch)
    assert "DEGRADED: HEURISTIC" in lines
    assert "The model did not answer: weights missing" in lines


def test_the_source_is_named_and_nothing_degraded_where_nothing_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"name": "face-skin", "version": "1.2.3", "sha256": "0" * 64}
    findings = analysis(source="model", reason=None, model=model)
    assert not has(picture(plain(1200, 1200), findings), legend.DEGRADED)
    assert {"MODEL", "face-skin 1.2.3"} <= set(lines_of(findings, monkeypatch))
    assert {"HEURISTIC", "model disabled"} <= set(lines_of(analysis(), monkeypatch))


@pytest.mark.parametrize("photo", [plain(1200, 1200), plain(1600, 1000)], ids=["beside", "below"])
def test_the_legend_tells_every_finding(photo: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    quality = {"score": 0.42, "issues": ["blurred", "several_faces"]}
    lines = lines_of(analysis(quality=quality), monkeypatch, photo)
    for words in (
        "Acne",
        "Wrinkles",
        "Redness",
        "Pigmentation",
        "Shine",
        "Texture",
        "34",
        "43",
        "41",
        "22",
        "18",
        "27",
    ):
        assert words in lines
    assert "moderate · 12 lesions · heuristic · confidence 0.80" in lines
    assert "forehead 0.70, nasolabial 0.40 · heuristic" in lines
    assert "covered: frown" in lines
    assert "outside photo: chin" in lines
    assert {"0.42", "blurred", "several faces", "intermediate"} <= set(lines)
    assert "ITA 31° in this photo, uncalibrated" in lines
    assert EXAMPLE_ANALYSIS["notice"] in " ".join(lines)


def test_line_breaks_and_control_characters_in_names_are_spaces() -> None:
    def named(name: str) -> NDArray[np.uint8]:
        model = {"name": name, "version": "1", "sha256": "0" * 64}
        return picture(plain(1200, 1200), analysis(source="model", reason=None, model=model))

    np.testing.assert_array_equal(named("a\nb\0\tc"), named("a b c"))


def test_a_line_too_long_is_cut_and_stays_inside() -> None:
    model = {"name": "x" * 5000, "version": "1", "sha256": "0" * 64}
    findings = analysis(source="model", reason=None, model=model, notice="word " * 20 + "y" * 5000)
    pixels = picture(plain(1200, 1200), findings)
    assert (pixels[:, -10:] == legend.BACKGROUND).all()


def test_outlines_out_of_all_bounds_draw_nothing() -> None:
    far: Outlines = {name: [(x * 1e7, y * 1e7) for x, y in outline or ()] for name, outline in SQUARES.items()}
    assert (picture(plain(1200, 1200), analysis(), far)[:, :1200] == 128).all()


def test_what_is_not_judged_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    values = copy.deepcopy(EXAMPLE_ANALYSIS) | {"tone": None, "quality": {"score": None, "issues": []}}
    acne: dict[str, Any] = {"score": None, "severity": None, "count": None, "boxes": [], "confidence": None}
    values["concerns"]["acne"] |= acne | {"reason": "no_skin"}
    for name, reason in (("wrinkles", "covered"), ("redness", "no_colour"), ("texture", "too_blurred")):
        concern = values["concerns"][name]
        zones = dict.fromkeys(concern["zones"])
        concern |= {"score": None, "reason": reason, "zones": zones, "unseen": dict.fromkeys(zones, reason)}
    lines = lines_of(Analysis.model_validate(values), monkeypatch)
    assert lines.count("not judged") == 5  # with the tone
    assert {"no skin", "covered", "no colour", "too blurred", "not assessed"} <= set(lines)
    assert not [line for line in lines if "None" in line or "null" in line]


def test_a_close_up_is_said_to_be_judged_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    values = copy.deepcopy(EXAMPLE_ANALYSIS) | {"face": None}
    for name in ("redness", "pigmentation", "shine", "texture"):
        zones = dict.fromkeys(values["concerns"][name]["zones"])
        values["concerns"][name] |= {"zones": zones, "unseen": dict.fromkeys(zones, "no_face")}
    lines = lines_of(Analysis.model_validate(values), monkeypatch)
    assert lines.count("all skin that is seen") == 4
    assert not [line for line in lines if "no face" in line]


# Layers, legend and width

HEAT = HeatMaps(
    (300.0, 200.0, 600.0, 600.0),
    {name: np.pad(np.full((32, 32), 255, np.uint8), 48) for name in ("acne", "wrinkles", "redness", "shine", "texture")}
    | {"pigmentation": None},
)
FACE = {"box": [300.0, 200.0, 400.0, 600.0], "confidence": 0.9, "pose": None}


def layered(*layers: Layer) -> NDArray[np.uint8]:
    """What is drawn into a grey photo by some layers."""
    boxes = [{"box": [100.0, 100.0, 60.0, 60.0], "confidence": 0.9}]
    findings = analysis(face=FACE, acne={"boxes": boxes})
    return picture(plain(1200, 1200), findings, SQUARES, HEAT, layers=layers, legend=False)


def test_only_the_layers_that_are_asked_for_are_drawn() -> None:
    face, lesion, heat = (500, 300), (130, 100), (500, 600)  # y, x: on the face's box, on a lesion's, in the heat
    usual, boxes, zones, redness = layered("boxes", "zones"), layered("boxes"), layered("zones"), layered("redness")
    assert tuple(boxes[face]) == legend.FACE
    assert (boxes[lesion] != 128).any()
    assert not changed_at(boxes, "chin")
    assert (zones[face] == 128).all()
    assert changed_at(zones, "chin")
    np.testing.assert_array_equal(usual[:180], boxes[:180])
    assert (redness[face] == 128).all()
    assert redness[heat][0] > 200 > 60 > redness[heat][1]
    assert (layered("pigmentation") == 128).all()
    assert (layered() == 128).all()


def test_a_heat_map_lies_in_its_box() -> None:
    pixels = layered("shine")
    rows, columns = np.nonzero((np.abs(pixels.astype(int) - 128) > 20).any(axis=2))
    found = np.array([columns.min(), columns.max() + 1, rows.min(), rows.max() + 1])
    assert np.abs(found - [525, 675, 425, 575]).max() <= 6  # the middle quarter


def test_every_concern_has_a_colour_of_its_own() -> None:
    names: tuple[Layer, ...] = ("acne", "wrinkles", "redness", "shine", "texture")
    colours = {tuple(layered(name)[500, 600].tolist()) for name in names}
    assert len(colours) == 5
    assert set(legend.HEAT) == set(EXAMPLE_ANALYSIS["concerns"])


def test_the_legend_explains_the_layers_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_of(analysis(), monkeypatch, layers=("zones", "redness"))
    assert {"wrinkle zone", "skin zone", "map of redness"} <= set(lines)
    assert not {"face", "lesion, bold: sure", "map of acne"} & set(lines)


@pytest.mark.parametrize(
    "size", [(64, 64), (64, 4000), (4000, 64), (1080, 1350), pytest.param((2400, 1600), marks=pytest.mark.long)]
)
@pytest.mark.parametrize("width", [MIN_WIDTH, 400, pytest.param(1000, marks=pytest.mark.long), MAX_WIDTH])
@pytest.mark.parametrize("with_legend", [True, False])
def test_a_picture_is_as_wide_as_it_is_asked_to_be(size: tuple[int, int], width: int, with_legend: bool) -> None:
    photo = Photo(plain(max(size[0] // 4, 16), max(size[1] // 4, 16)).pixels, *size, "PNG")
    pixels = picture(photo, analysis(), width=width, legend=with_legend)
    high = round(min(width * size[1] / size[0], MAX_HEIGHT))
    assert pixels.shape[1] == width
    assert pixels.shape[0] > high + 100 if with_legend else abs(pixels.shape[0] - max(high, 1)) <= 1
    assert tuple(pixels[0, width // 2]) == GREY
    assert has(pixels, legend.BACKGROUND) or not with_legend


def test_without_a_legend_a_degraded_answer_is_still_marked() -> None:
    degraded = analysis(degraded=True, reason="weights_missing")
    pixels = picture(plain(1200, 1200), degraded, legend=False)
    assert pixels.shape == (1200, 1200, 3)
    assert tuple(pixels[0, 0]) == tuple(pixels[-1, -1]) == legend.DEGRADED


def test_a_bar_is_as_long_as_its_score() -> None:
    def filled(score: int) -> int:
        canvas = Image.new("RGB", (220, 20))
        legend._Pen(canvas, 10, 5, 200, 1).bar(score / 100, (255, 255, 255))
        return int((np.asarray(canvas)[9, :, 0] > 128).sum())

    assert [filled(score) for score in (0, 25, 50, 100)] == pytest.approx([0, 50, 100, 200], abs=1)


# Robustness and speed

SHARES = st.floats(0, 1)
ANY_BOX = st.tuples(*[st.floats(width=32)] * 4)


@st.composite
def analyses(draw: st.DrawFn) -> Analysis:
    """Any valid Analysis, senseless numbers and strings included."""
    values = copy.deepcopy(EXAMPLE_ANALYSIS)
    values["source"] = draw(st.sampled_from(["model", "heuristic"]))
    values["degraded"] = draw(st.booleans())
    values["reason"] = draw(st.none() | st.sampled_from(get_args(Reason)))
    model = st.fixed_dictionaries({"name": st.text(), "version": st.text(), "sha256": st.text()})
    values["model"] = draw(st.none() | model)
    values["quality"] = {
        "score": draw(st.none() | SHARES),
        "issues": draw(st.lists(st.sampled_from(get_args(QualityIssue)), max_size=20)),
    }
    values["face"] = draw(st.none() | st.fixed_dictionaries({"box": ANY_BOX, "confidence": SHARES, "pose": st.none()}))
    tone = st.fixed_dictionaries({"ita_degrees": st.floats(), "group": st.sampled_from(get_args(ToneGroup))})
    values["tone"] = draw(st.none() | tone)
    values["notice"] = draw(st.text() | st.text(min_size=3000))
    acne = values["concerns"]["acne"]
    acne["score"] = draw(st.integers(0, 100))
    acne["severity"] = draw(st.sampled_from(get_args(Severity)))
    acne["count"] = draw(st.integers(0, 10**30))
    acne["boxes"] = draw(
        st.lists(st.fixed_dictionaries({"box": ANY_BOX, "confidence": SHARES, "pose": st.none()}), max_size=20)
    )
    acne["confidence"] = draw(st.none() | SHARES)
    for concern in values["concerns"].values():
        if draw(st.booleans()):
            concern |= {"score": None, "reason": draw(st.sampled_from(get_args(Unseen)))}
        for zone in concern.get("zones", ()):
            concern["zones"][zone] = draw(st.none() | SHARES)
    for field in ("severity", "count"):
        acne[field] = draw(st.sampled_from([None, acne[field]]))
    return Analysis.model_validate(values)


@st.composite
def any_options(draw: st.DrawFn) -> Options:
    """Any options of a picture; of a width that is drawn in no long time."""
    return Options(
        layers=draw(st.lists(st.sampled_from(get_args(Layer)), unique=True).map(tuple)),
        legend=draw(st.booleans()),
        width=draw(st.none() | st.integers(MIN_WIDTH, 300)),
    )


@settings(max_examples=examples(40))
@given(
    findings=analyses(),
    size=st.sampled_from([(64, 64), (300, 64), (64, 600)]),
    outlines=st.dictionaries(
        st.sampled_from(ZONES), st.none() | st.lists(st.tuples(*[st.floats(width=32)] * 2), min_size=3, max_size=5)
    ),
    options=any_options(),
)
def test_it_never_fails_for_a_valid_analysis(
    findings: Analysis, size: tuple[int, int], outlines: dict[str, list[Point] | None], options: Options
) -> None:
    assert Image.open(BytesIO(draw(plain(*size), findings, outlines, HEAT, options))).mode == "RGB"
