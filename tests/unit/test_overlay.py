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
from bentos.skin.overlay import MAX_SIDE, MIN_SIDE, draw
from bentos.skin.photo.decode import Photo
from bentos.skin.schema import EXAMPLE_ANALYSIS, Analysis, QualityIssue, Reason, Severity, ToneGroup
from tests.properties import examples

ASTRONAUT = Path(__file__).resolve().parents[1] / "photos/astronaut.png"
GREY = (128, 128, 128)
KEYPOINTS = np.array([(400, 400), (600, 400), (500, 520), (500, 640), (290, 440), (710, 440)], np.float32)


def plain(width: int, height: int, colour: tuple[int, int, int] = GREY) -> Photo:
    return Photo(np.full((height, width, 3), colour, np.uint8), width, height, "JPEG")


def analysis(**changes: Any) -> Analysis:
    """The example with nothing drawn into the photo, and then changed; acne=… changes the acne alone."""
    values = copy.deepcopy(EXAMPLE_ANALYSIS) | {"face": None}
    values["concerns"]["acne"]["boxes"] = []
    values["concerns"]["acne"] |= changes.pop("acne", {})
    return Analysis.model_validate(values | changes)


def picture(photo: Photo, findings: Analysis, keypoints: NDArray[np.float32] | None = None) -> NDArray[np.uint8]:
    with Image.open(BytesIO(draw(photo, findings, keypoints))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def lines_of(findings: Analysis, monkeypatch: pytest.MonkeyPatch, photo: Photo | None = None) -> list[str]:
    """All lines of the legend."""
    lines: list[str] = []
    write = legend._Pen.text

    def text(pen: legend._Pen, words: str, *args: Any, **options: Any) -> None:
        lines.append(words)
        write(pen, words, *args, **options)

    monkeypatch.setattr(legend._Pen, "text", text)
    draw(photo or plain(1200, 1200), findings, None)
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


def test_zones_are_drawn_with_key_points_only() -> None:
    without = picture(plain(1200, 1200), analysis())[:, :1200]
    assert (without == 128).all()
    with_zones = picture(plain(1200, 1200), analysis(), KEYPOINTS)[:, :1200].astype(int)
    changed = (with_zones != 128).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert 250 < columns.min() < columns.max() < 750
    assert 150 < rows.min() < rows.max() < 850


def test_a_wrinkled_zone_is_tinted_more() -> None:
    def tint(share: float) -> float:
        zones = {"forehead": share, "crows_feet": 0.0, "frown": 0.0, "nasolabial": 0.0}
        values = copy.deepcopy(EXAMPLE_ANALYSIS)
        values["concerns"]["wrinkles"]["zones"] = zones
        pixels = picture(plain(1200, 1200), Analysis.model_validate(values), KEYPOINTS).astype(int)
        return float(np.abs(pixels[240:280, 480:520] - 128).mean())

    assert tint(0.0) < tint(0.3) < tint(0.9)


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
        "35",
        "41",
        "22",
        "18",
        "27",
    ):
        assert words in lines
    assert "moderate · 12 lesions · heuristic · confidence 0.80" in lines
    assert "forehead 0.70, nasolabial 0.40 · heuristic · confidence 0.70" in lines
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


def test_key_points_out_of_all_bounds_draw_nothing() -> None:
    assert (picture(plain(1200, 1200), analysis(), (KEYPOINTS - 500) * 1e7)[:, :1200] == 128).all()


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
        "score": draw(SHARES),
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
    return Analysis.model_validate(values)


@settings(max_examples=examples(40))
@given(
    findings=analyses(),
    size=st.sampled_from([(64, 64), (300, 64), (64, 600)]),
    keypoints=st.none() | st.lists(st.floats(width=32), min_size=12, max_size=12),
)
def test_it_never_fails_for_a_valid_analysis(
    findings: Analysis, size: tuple[int, int], keypoints: list[float] | None
) -> None:
    points = None if keypoints is None else np.array(keypoints, np.float32).reshape(6, 2)
    assert picture(plain(*size), findings, points).ndim == 3
