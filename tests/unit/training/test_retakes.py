"""Retakes are of the same face, within the ranges that are documented, and the same with the same seed."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from training.distortions import CAST
from training.retakes import CUT, JPEG_HIGH, JPEG_LOW, SMALLEST, STOPS, Retake, draw, take

SAME = Retake(cut=(0, 0, 0, 0), size=1, stops=0, red=1, blue=1, jpeg=95)


def ramp() -> Image.Image:
    """Draw a grey photo that gets lighter to the right and whose lower half is darker."""
    pixels = np.repeat(np.linspace(60, 140, 200)[None, :, None], 100, axis=0)
    pixels[50:] /= 2
    return Image.fromarray(np.repeat(np.rint(pixels), 3, axis=2).astype(np.uint8))


def retaken(retake: Retake) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(Image.open(BytesIO(take(retake, ramp()))), dtype=np.float64)


def light(code: float) -> float:
    return ((code / 255 + 0.055) / 1.055) ** 2.4


def test_a_seed_gives_the_same_retakes_and_another_seed_others() -> None:
    first, second = np.random.default_rng(1), np.random.default_rng(1)
    retakes = [draw(first) for _ in range(5)]
    assert retakes == [draw(second) for _ in range(5)]
    assert len({retake.stops for retake in (*retakes, draw(np.random.default_rng(2)))}) == 6
    assert take(retakes[0], ramp()) == take(retakes[0], ramp())


def test_values_fill_their_ranges() -> None:
    rng = np.random.default_rng(0)
    retakes = [draw(rng) for _ in range(2000)]
    for values, low, high in (
        ([share for retake in retakes for share in retake.cut], 0, CUT),
        ([retake.size for retake in retakes], SMALLEST, 1),
        ([retake.stops for retake in retakes], -STOPS, STOPS),
        ([retake.red for retake in retakes], 1 - CAST, 1 + CAST),
        ([retake.blue for retake in retakes], 1 - CAST, 1 + CAST),
        ([retake.jpeg for retake in retakes], JPEG_LOW, JPEG_HIGH),
    ):
        assert low <= min(values) < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < max(values) <= high
        assert np.mean(values) == pytest.approx((low + high) / 2, abs=0.03 * (high - low))


def test_nothing_changed_is_the_photo_itself() -> None:
    assert np.abs(retaken(SAME) - np.asarray(ramp())).mean() < 1


def test_what_is_cut_off_is_gone_at_its_own_side() -> None:
    pixels = retaken(replace(SAME, cut=(0.1, 0.0, 0.05, 0.5)))
    assert pixels.shape == (50, 170, 3)
    assert pixels[25, 2:-2].mean(axis=1)[[0, -1]] == pytest.approx([69, 135], abs=2)
    assert retaken(replace(SAME, cut=(0, 0.5, 0, 0)))[25, -3].mean() == pytest.approx(70, abs=2)


def test_half_the_size_has_half_the_pixels() -> None:
    pixels = retaken(replace(SAME, size=0.5))
    assert pixels.shape == (50, 100, 3)
    assert pixels[10, 50].mean() == pytest.approx(100, abs=2)


def test_a_stop_doubles_the_light_and_a_cast_changes_one_channel() -> None:
    before = retaken(SAME)[20, 100]
    brighter, redder, bluer = (
        retaken(retake)[20, 100]
        for retake in (replace(SAME, stops=1), replace(SAME, red=1.15), replace(SAME, blue=0.85))
    )
    assert light(brighter.mean()) == pytest.approx(2 * light(before.mean()), rel=0.05)
    assert light(redder[0]) == pytest.approx(1.15 * light(before[0]), rel=0.05)
    assert redder[1] == pytest.approx(before[1], abs=2)
    assert light(bluer[2]) == pytest.approx(0.85 * light(before[2]), rel=0.05)


def test_a_lower_quality_makes_a_smaller_file() -> None:
    noisy = Image.fromarray(np.random.default_rng(0).integers(0, 255, (100, 100, 3), dtype=np.uint8))
    assert len(take(replace(SAME, jpeg=JPEG_LOW), noisy)) < 0.6 * len(take(SAME, noisy))
