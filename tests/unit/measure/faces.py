"""Crops and surfaces for the tests of the measurements."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from skimage.color import lab2rgb

from bentos.skin.filters import upsample
from bentos.skin.findings import Graded
from bentos.skin.measure.surface import Surface, prepare
from bentos.skin.photo.crop import CROP_SIZE, Crop
from bentos.skin.photo.view import view_of
from tests import drawing

AS_IT_IS = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def painted(pixels: NDArray[np.uint8], landmarks: NDArray[np.float32] | None = None) -> Crop:
    """A crop that shows these pixels, all of them valid."""
    return Crop(pixels, AS_IT_IS, (0, 0, CROP_SIZE, CROP_SIZE), landmarks)


def surface_of(crop: Crop) -> Surface:
    """The crop made ready to be measured; what is drawn on the portrait does not change what is seen of it."""
    portrait = drawing.portrait_view()
    drawn_on = crop.landmarks is not None and crop.landmarks is portrait.crop.landmarks
    return prepare(replace(portrait, crop=crop) if drawn_on else view_of(crop))


def heat_of(graded: Graded) -> NDArray[np.float32]:
    """The map of a measurement, 0..1, float32 (256, 256)."""
    return upsample(graded.heat.astype(np.float32) / np.float32(255), 2)


def flat(lightness: float, a: float, b: float) -> NDArray[np.uint8]:
    """One CIELAB colour over the whole crop, uint8 (512, 512, 3)."""
    colour = np.rint(lab2rgb(np.array([[[lightness, a, b]]], dtype=np.float64)) * 255).astype(np.uint8)
    return np.tile(colour, (CROP_SIZE, CROP_SIZE, 1))
