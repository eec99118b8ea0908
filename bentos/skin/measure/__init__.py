"""The heuristics: all that is measured on a crop without learned weights."""

from bentos.skin.findings import LesionsAndWrinkles, Measured
from bentos.skin.measure import blemishes, lines
from bentos.skin.measure.pigmentation import pigmentation
from bentos.skin.measure.redness import redness
from bentos.skin.measure.shine import shine
from bentos.skin.measure.surface import prepare
from bentos.skin.measure.texture import texture
from bentos.skin.measure.tone import tone
from bentos.skin.photo.crop import Crop
from bentos.skin.photo.skin import skin_mask, skin_share
from bentos.skin.photo.zones import face_masks


def measure(crop: Crop) -> Measured:
    """Measure everything on a crop; safe to call from several threads.

    Args:
        crop: any crop, also without key points or without skin.
    """
    masks = face_masks(crop)
    skin = skin_mask(crop, masks)
    surface = prepare(crop, skin, masks)
    acne = blemishes.find(crop, surface.lab, skin, masks)
    wrinkles = lines.find(crop, masks)
    return Measured(
        lesions_and_wrinkles=LesionsAndWrinkles(
            lesions=acne.lesions,
            count=acne.count,
            severity=acne.severity,
            severity_confidence=acne.severity_confidence,
            wrinkles=wrinkles.zones,
            wrinkles_confidence=wrinkles.confidence,
        ),
        redness=redness(surface)[0],
        pigmentation=pigmentation(surface)[0],
        shine=shine(surface)[0],
        texture=texture(surface)[0],
        tone=tone(surface.lab, surface.skin),
        skin_share=skin_share(skin, crop),
    )
