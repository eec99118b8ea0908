"""Everything at once: any crop is measured, in range, without a warning, from many threads."""

import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from bentos.skin.findings import COLOUR_ZONES, SEVERITIES, WRINKLE_ZONES, LesionsAndWrinkles, Measured, Unseen
from bentos.skin.measure import find, measure, surface
from bentos.skin.measure.surface import Curve, surroundings
from bentos.skin.measure.tone import GROUPS
from bentos.skin.photo.crop import CROP_SIZE, Crop
from bentos.skin.photo.landmarks import POINTS
from bentos.skin.photo.view import view_of
from tests import drawing
from tests.properties import examples
from tests.unit.measure.faces import AS_IT_IS, flat, painted

PORTRAIT = drawing.portrait_crop()


def hold_to_the_contract(measured: Measured) -> None:
    """Every number is finite and in its range, or not there."""
    for graded in (measured.redness, measured.pigmentation, measured.shine, measured.texture):
        assert graded.score is None or 0 <= graded.score <= 100
        assert tuple(graded.zones) == COLOUR_ZONES
        assert all(value is None or 0 <= value <= 1 for value in graded.zones.values())
        assert graded.heat.shape == (128, 128)
    if measured.tone is not None:
        assert -90 <= measured.tone.ita_degrees <= 90
        assert measured.tone.group in GROUPS


def hold_found_to_the_contract(found: LesionsAndWrinkles) -> None:
    """The same of acne and wrinkles."""
    assert tuple(found.wrinkles) == WRINKLE_ZONES
    assert all(value is None or 0 <= value <= 1 for value in found.wrinkles.values())
    assert found.count >= 0
    assert found.severity in SEVERITIES
    for lesion in found.lesions:
        assert 0 <= lesion.confidence <= 1
        assert all(math.isfinite(value) for value in lesion.box)
        assert min(lesion.box[2:]) > 0


@st.composite
def pixels(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Flat colours, noise, gradients and the portrait, mirrored, dimmed or drowned."""
    kind = draw(st.sampled_from(["flat", "skin", "noise", "gradient", "portrait"]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    if kind == "flat":
        return np.full((CROP_SIZE, CROP_SIZE, 3), draw(st.tuples(*[st.integers(0, 255)] * 3)), np.uint8)
    if kind == "skin":
        noise = random.normal(0, draw(st.floats(0, 40)), (CROP_SIZE, CROP_SIZE, 3))
        return np.clip(flat(draw(st.floats(20, 85)), 11, 18) + noise, 0, 255).astype(np.uint8)
    if kind == "noise":
        noisy: NDArray[np.uint8] = random.integers(0, 256, (CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
        return noisy
    if kind == "gradient":
        ramp = np.linspace(0, 255, CROP_SIZE).astype(np.uint8)
        return np.stack([*np.meshgrid(ramp, ramp), np.full((CROP_SIZE, CROP_SIZE), 90, np.uint8)], -1).astype(np.uint8)
    return np.clip(PORTRAIT.pixels * draw(st.floats(0, 4)), 0, 255).astype(np.uint8)


@st.composite
def crops(draw: st.DrawFn) -> Crop:
    x0, x1 = sorted(draw(st.tuples(st.integers(0, CROP_SIZE - 1), st.integers(0, CROP_SIZE - 1))))
    y0, y1 = sorted(draw(st.tuples(st.integers(0, CROP_SIZE - 1), st.integers(0, CROP_SIZE - 1))))
    anywhere = arrays.arrays(np.float32, (POINTS, 3), elements=st.floats(-2000, 2000, width=32))
    same = st.builds(lambda x: np.full((POINTS, 3), x, np.float32), st.floats(0, 512, width=32))
    points = draw(st.one_of(st.none(), st.just(PORTRAIT.landmarks), same, anywhere))
    return Crop(draw(pixels()), AS_IT_IS, (x0, y0, x1 + 1, y1 + 1), points)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(crops())
def test_any_crop_is_measured(crop: Crop) -> None:
    with np.errstate(all="raise", under="ignore"):
        view = view_of(crop)
        measured, found = measure(view), find(view)

    hold_to_the_contract(measured)
    hold_found_to_the_contract(found)


@pytest.mark.parametrize("grey", [0, 127, 255])
@pytest.mark.parametrize("landmarks", [None, PORTRAIT.landmarks], ids=["no face", "face"])
def test_nothing_to_see_measures_nothing(grey: int, landmarks: NDArray[np.float32] | None) -> None:
    view = view_of(painted(np.full((CROP_SIZE, CROP_SIZE, 3), grey, np.uint8), landmarks))
    measured = measure(view)

    hold_to_the_contract(measured)
    hold_found_to_the_contract(find(view))
    assert not measured.redness.score
    assert not measured.pigmentation.score
    assert measured.tone is None


def test_skin_without_a_face_is_measured_and_has_no_zones() -> None:
    noise = np.random.default_rng(0).normal(0, 4, (CROP_SIZE, CROP_SIZE, 1))
    measured = measure(view_of(painted(np.clip(flat(65, 14, 18) + noise, 0, 255).astype(np.uint8))))

    hold_to_the_contract(measured)
    assert measured.tone is not None
    assert measured.redness.score is not None
    assert set(measured.redness.zones.values()) == {None}


def test_a_zone_that_is_not_seen_is_not_measured() -> None:
    x0, y0, x1, _ = PORTRAIT.valid
    assert PORTRAIT.landmarks is not None
    upper = replace(PORTRAIT, valid=(x0, y0, x1, int(PORTRAIT.landmarks[13, 1])))

    redness = measure(view_of(upper)).redness

    assert redness.zones["chin"] is redness.zones["forehead"] is None  # outside, and under her fringe
    assert redness.zones["cheek_left"] is not None


def test_a_score_is_of_the_zones_that_are_seen() -> None:
    red, _ = drawing.redrawn(PORTRAIT, drawing.flush, strength=2.0)
    view = view_of(red)
    calm = replace(view, unseen={"nose": "covered", "cheek_left": "covered", "cheek_right": "covered"})

    everything, rest = measure(view).redness.score, measure(calm).redness.score

    assert everything is not None
    assert rest is not None
    assert rest < everything - 10


def test_what_has_a_reason_is_not_measured() -> None:
    reasons: dict[str, Unseen] = dict.fromkeys(("redness", "pigmentation", "shine", "tone"), "no_colour")
    measured = measure(replace(view_of(PORTRAIT), reasons=reasons))

    assert (measured.redness.score, measured.pigmentation.score, measured.shine.score) == (None, None, None)
    assert measured.tone is None
    assert set(measured.shine.zones.values()) == {None}
    assert measured.texture.score is not None


def test_a_fringe_of_the_skins_colour_is_not_measured() -> None:
    skin = drawing.portrait_view().skin

    assert np.count_nonzero(skin[40:60, 60:190]) < 0.2 * 20 * 130  # her hair covers all of that
    assert skin[120:135, 85:95].all()  # her cheek


def test_what_is_measured_does_not_depend_on_where_the_skin_lies_in_the_crop() -> None:
    """Only a window around the skin is filtered; the whole crop must give the same."""
    view = drawing.portrait_view()
    within = measure(view)
    with mock.patch.object(surface, "WINDOW_MARGIN", surface.SIZE):
        whole = measure(view)

    for name in ("redness", "pigmentation", "shine", "texture"):
        few, all_ = getattr(within, name), getattr(whole, name)
        assert few.score == pytest.approx(all_.score, abs=1e-3)
        assert few.zones == pytest.approx(all_.zones, abs=1e-4)
        assert np.abs(few.heat.astype(int) - all_.heat).max() <= 1
    assert within.tone == whole.tone


def test_threads_do_not_disturb_each_other() -> None:
    views = [view_of(drawing.redrawn(PORTRAIT, drawing.flush, strength=strength)[0]) for strength in (0.0, 1.0, 1.5)]
    for function in (measure, find):
        alone = [pickle.dumps(function(view)) for view in views]

        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(function, views * 4))

        assert [pickle.dumps(answer) for answer in together] == alone * 4


def test_boxes_land_on_drawn_lesions() -> None:
    crop, drawn = drawing.redrawn(PORTRAIT, drawing.lesions, strength=1.5)
    before, after = (find(view_of(shown)) for shown in (PORTRAIT, crop))
    centres = drawn.boxes[:, :2] + drawn.boxes[:, 2:] / 2
    hits = [
        any(
            x <= u <= x + width and y <= v <= y + height
            for x, y, width, height in (box.box for box in after.lesions if box.confidence >= after.min_confidence)
        )
        for u, v in centres
    ]

    assert np.mean(hits) >= 0.5
    assert after.count > before.count


def test_a_curve_goes_through_its_two_points_and_never_falls() -> None:
    curve = Curve(0.02, 0.3)
    values = [curve(raw) for raw in np.linspace(0, 1, 50)]

    assert curve(0) == 0
    assert curve(0.02) == pytest.approx(0.05)
    assert curve(0.3) == pytest.approx(0.85)
    assert all(np.diff(values) >= 0)
    assert values[-1] <= 1


def test_surroundings_follow_a_slope_up_to_the_border_of_the_mask() -> None:
    y, x = np.mgrid[:256, :256].astype(np.float32)
    slope = 0.2 * x - 0.1 * y
    left = x < 120

    expected = surroundings(slope, left, 12.0)

    assert np.abs(expected - slope)[left].max() < 1.5  # a mean would be 2 off
    assert np.abs(expected - slope)[40:210, 40:80].max() < 0.2
