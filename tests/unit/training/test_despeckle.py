"""The exporter's noise goes, lesions and edges stay."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

pytest.importorskip("cv2")

from training.despeckle import despeckle


def face() -> NDArray[np.uint8]:
    """Skin with a dark edge and red lesions of 6 px and more, a little soft as every photo."""
    pixels = np.full((160, 160, 3), (205, 160, 140), dtype=np.uint8)
    pixels[:, 120:] = (40, 30, 30)
    for number, side in enumerate((6, 9, 14)):
        pixels[30 * number + 20 :][:side, 30 : 30 + side] = (150, 60, 60)
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1)), dtype=np.uint8)


def test_speckles_are_replaced_by_the_skin_about_them() -> None:
    clean, rng = face(), np.random.default_rng(0)
    noisy = clean.copy()
    places = rng.integers(3, 110, (40, 2))
    noisy[places[:, 0], places[:, 1]] = rng.choice([0, 255], (40, 1))
    before, after = (np.abs(pixels.astype(int) - clean).max(axis=2) > 60 for pixels in (noisy, despeckle(noisy)))
    assert before.sum() >= 20
    assert after.sum() <= 2


def test_lesions_and_edges_stay() -> None:
    clean = face()
    np.testing.assert_array_equal(despeckle(clean), clean)
