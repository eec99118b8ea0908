"""Lab as scikit-image computes it, and the typology angle."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2lab

from bentos.skin.measure.colour import ita_degrees, reduced_lab, srgb_to_lab


def every_colour(step: int) -> NDArray[np.uint8]:
    """A lattice of sRGB colours, black, white and the primaries among them."""
    codes = np.arange(0, 256, step, dtype=np.uint8)
    return np.stack(np.meshgrid(codes, codes, codes, indexing="ij"), -1)


def test_lab_agrees_with_scikit_image_over_all_of_srgb() -> None:
    colours = every_colour(5)

    np.testing.assert_allclose(srgb_to_lab(colours), rgb2lab(colours), atol=0.01)


def test_white_is_100_and_black_is_0_and_greys_have_no_colour() -> None:
    lab = srgb_to_lab(np.array([[255] * 3, [0] * 3, [127] * 3], dtype=np.uint8))

    np.testing.assert_allclose(lab, np.array([[100, 0, 0], [0, 0, 0], [53.19, 0, 0]]), atol=0.02)


def test_lab_keeps_the_shape_and_is_float32() -> None:
    lab = srgb_to_lab(np.zeros((2, 3, 4, 3), dtype=np.uint8))

    assert lab.shape == (2, 3, 4, 3)
    assert lab.dtype == np.float32


def test_pixels_that_are_not_bytes_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="float64"):
        srgb_to_lab(np.zeros((2, 3)))  # type: ignore[arg-type]


def test_reduced_lab_is_the_lab_of_means() -> None:
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[:, ::2] = 200

    np.testing.assert_allclose(
        reduced_lab(pixels, 2), np.broadcast_to(srgb_to_lab(np.full((3,), 100, np.uint8)), (2, 3, 3)), atol=1e-4
    )
    np.testing.assert_array_equal(reduced_lab(pixels, 1), srgb_to_lab(pixels))


@pytest.mark.parametrize(("lightness", "b", "angle"), [(70, 20, 45.0), (50, 15, 0.0), (40, 10, -45.0), (60, 0, 90.0)])
def test_the_typology_angle_is_the_arctangent_of_lightness_over_yellowness(
    lightness: float, b: float, angle: float
) -> None:
    assert ita_degrees(lightness, b) == pytest.approx(angle)
