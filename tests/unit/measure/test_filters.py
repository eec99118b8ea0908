"""The filters, against scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from bentos.skin import filters
from tests.properties import examples


def noise(height: int = 96, width: int = 130, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((height, width), np.float32)


@pytest.mark.parametrize("sigma", [0.7, 1.5, 2.0, 4.3, 7.9])
def test_a_gaussian_equals_scipys(sigma: float) -> None:
    image = noise()
    expected = ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=filters.TRUNCATE)
    np.testing.assert_allclose(filters.gaussian(image, sigma), expected, atol=2e-5)


@pytest.mark.parametrize("sigma", [8.0, 13.0, 20.0, 40.0])
def test_a_wide_gaussian_is_within_a_hundredth_of_scipys(sigma: float) -> None:
    image = ndimage.gaussian_filter(noise(200, 260), 3.0)
    image[40:120, 30:160] += 1.0  # a little over 1 from darkest to lightest
    expected = ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=filters.TRUNCATE)
    difference = np.abs(filters.gaussian(image, sigma) - expected)
    assert difference.max() < 0.05  # at the border the outermost square is repeated, not the outermost pixel
    assert difference[30:-30, 30:-30].max() < 0.01


@settings(max_examples=examples(25))
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1.0, 3.0, 9.0]))
def test_a_flat_image_stays_flat_whatever_its_size(height: int, width: int, sigma: float) -> None:
    image = np.full((height, width), 0.25, np.float32)
    np.testing.assert_allclose(filters.gaussian(image, sigma), 0.25, atol=1e-5)
    for second in filters.hessian(image, sigma):
        np.testing.assert_allclose(second, 0, atol=1e-4)


def test_a_stack_is_filtered_image_by_image() -> None:
    stack = np.stack([noise(seed=1), noise(seed=2)])
    np.testing.assert_allclose(filters.gaussian(stack, 2)[1], filters.gaussian(stack[1], 2), atol=1e-6)


@pytest.mark.parametrize("width", [1, 3, 9, 31])
def test_a_box_mean_equals_scipys(width: int) -> None:
    image = noise()
    expected = ndimage.uniform_filter(image, width, mode="nearest")
    np.testing.assert_allclose(filters.box_mean(image, width), expected, atol=1e-5)


@pytest.mark.parametrize("width", [1, 3, 5, 7, 13, 33])
def test_a_local_max_equals_scipys(width: int) -> None:
    image = noise()
    np.testing.assert_array_equal(filters.local_max(image, width), ndimage.maximum_filter(image, width, mode="nearest"))


@pytest.mark.parametrize("filter_", [filters.box_mean, filters.local_max])
def test_an_even_width_is_refused(filter_) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="not 4"):
        filter_(noise(), 4)


def test_a_masked_gaussian_ignores_what_does_not_count() -> None:
    image = np.full((60, 60), 0.5, np.float32)
    image[:, 30:] = 100.0
    counts = np.zeros((60, 60), bool)
    counts[:, :30] = True
    smooth = filters.masked_gaussian(image, counts, 3.0, fill=-1.0)
    np.testing.assert_allclose(smooth[:, :36], 0.5, atol=1e-4)
    assert (smooth[:, 50:] == -1.0).all()


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_enlarging_what_was_reduced_gives_a_ramp_back(factor: int) -> None:
    ramp = np.add.outer(np.arange(32), 2 * np.arange(48)).astype(np.float32)
    back = filters.upsample(filters.downsample(ramp, factor), factor)
    inner = slice(factor, -factor)
    np.testing.assert_allclose(back[inner, inner], ramp[inner, inner], atol=1e-3)


def test_reducing_takes_means_and_keeps_the_rest_at_the_border() -> None:
    image = np.arange(15, dtype=np.float32).reshape(3, 5)
    np.testing.assert_allclose(filters.downsample(image, 2), [[3, 5, 6.5], [10.5, 12.5, 14]])


def test_second_derivatives_equal_scipys() -> None:
    image = ndimage.gaussian_filter(noise(), 1.0)
    xx, xy, yy = filters.hessian(image, 2.0)
    for got, order in ((xx, (0, 2)), (xy, (1, 1)), (yy, (2, 0))):
        expected = 4.0 * ndimage.gaussian_filter(image, 2.0, order=order, mode="nearest", truncate=6)
        np.testing.assert_allclose(got[10:-10, 10:-10], expected[10:-10, 10:-10], atol=0.02)


def line_at(angle: float) -> NDArray[np.float32]:
    """A dark line through the middle of a light square."""
    y, x = np.mgrid[-32:33, -32:33]
    across = -np.sin(angle) * x + np.cos(angle) * y
    line: NDArray[np.float32] = (1 - np.exp(-0.5 * (across / 1.5) ** 2)).astype(np.float32)
    return line


@pytest.mark.parametrize("degrees", [-80, -45, -10, 0, 30, 60, 85])
def test_a_dark_line_is_strongest_along_its_own_direction(degrees: int) -> None:
    angle = np.deg2rad(degrees)
    curvature = filters.hessian(line_at(angle), 1.5)
    along, across = (filters.line_response(curvature, a)[32, 32] for a in (angle, angle + np.pi / 2))
    assert along > 0.3
    assert across < 0
    strength, direction = filters.ridges(curvature)
    assert strength[32, 32] == pytest.approx(along, rel=0.02)
    assert np.abs(np.sin(direction[32, 32] - angle)) < 0.05


def test_a_round_spot_is_no_line() -> None:
    y, x = np.mgrid[-32:33, -32:33]
    spot = (1 - np.exp(-0.5 * (x**2 + y**2) / 2.25)).astype(np.float32)
    assert filters.ridges(filters.hessian(spot, 1.5))[0][32, 32] < 0.01
