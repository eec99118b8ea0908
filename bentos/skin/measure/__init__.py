"""The heuristics: all that is measured on a crop without learned weights."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import Graded, LesionsAndWrinkles, Measured
from bentos.skin.measure import blemishes, lines
from bentos.skin.measure.pigmentation import pigmentation
from bentos.skin.measure.redness import redness
from bentos.skin.measure.shine import shine
from bentos.skin.measure.surface import Surface, prepare, unmeasured
from bentos.skin.measure.texture import texture
from bentos.skin.measure.tone import tone
from bentos.skin.measure.tuned import tuned
from bentos.skin.photo.view import FaceView


def measure(view: FaceView) -> Measured:
    """Measure everything on a crop; safe to call from several threads."""
    surface = prepare(view)

    def graded(name: str, measurement: Callable[[Surface], Graded]) -> Graded:
        return unmeasured() if name in view.reasons else measurement(surface)

    return Measured(
        lesions_and_wrinkles=lesions_and_wrinkles(view, surface.lab),
        redness=graded("redness", redness),
        pigmentation=graded("pigmentation", pigmentation),
        shine=graded("shine", shine),
        texture=graded("texture", texture),
        tone=None if "tone" in view.reasons else tone(surface.lab, surface.skin, view.exposure),
    )


def lesions_and_wrinkles(view: FaceView, lab: NDArray[np.float32]) -> LesionsAndWrinkles:
    """Acne and wrinkles of a crop.

    Args:
        view: of the crop.
        lab: float32 (256, 256, 3), `colour.reduced_lab(crop.pixels, blemishes.FACTOR)`.
    """
    acne, wrinkles = blemishes.find(view, lab), lines.find(view)
    return LesionsAndWrinkles(
        lesions=acne.lesions,
        min_confidence=tuned()["blemishes"]["min_confidence"],
        count=acne.count,
        severity=acne.severity,
        severity_confidence=acne.severity_confidence,
        wrinkles=wrinkles.zones,
        acne_map=acne.acne_map,
        wrinkle_map=wrinkles.wrinkle_map,
    )
