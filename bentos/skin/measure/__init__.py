"""The heuristics: all that is measured on a crop without learned weights."""

from collections.abc import Callable

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
    """Measure redness, pigmentation, shine, texture and tone of a crop; safe to call from several threads."""
    surface = prepare(view)

    def graded(name: str, measurement: Callable[[Surface], Graded]) -> Graded:
        return unmeasured() if name in view.reasons else measurement(surface)

    return Measured(
        redness=graded("redness", redness),
        pigmentation=graded("pigmentation", pigmentation),
        shine=graded("shine", shine),
        texture=graded("texture", texture),
        tone=None if "tone" in view.reasons else tone(surface.lab, surface.skin, view.exposure),
    )


def find(view: FaceView) -> LesionsAndWrinkles:
    """Find acne and wrinkles of a crop without the model; safe to call from several threads."""
    acne, wrinkles = blemishes.find(view), lines.find(view)
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
