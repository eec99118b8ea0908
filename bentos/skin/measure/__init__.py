"""What can be measured on a crop without learned weights: colours, shine, texture, tone, and classical acne, wrinkles."""

from bentos.skin.findings import WRINKLE_ZONES, Learned, Measured, severity_of
from bentos.skin.measure.pigmentation import pigmentation
from bentos.skin.measure.redness import redness
from bentos.skin.measure.shine import shine
from bentos.skin.measure.surface import prepare
from bentos.skin.measure.texture import texture
from bentos.skin.measure.tone import tone
from bentos.skin.photo.crop import Crop
from bentos.skin.photo.skin import skin_mask, skin_share


def measure(crop: Crop) -> Measured:
    """Everything that is measured on a crop; safe to call from several threads.

    Args:
        crop: any crop; faces without key points and photos without skin have measurements too.
    """
    skin = skin_mask(crop)
    surface = prepare(crop, skin)
    learned = Learned([], 0, severity_of(0), None, dict.fromkeys(WRINKLE_ZONES, 0.0), None)
    return Measured(
        learned=learned,
        redness=redness(surface)[0],
        pigmentation=pigmentation(surface)[0],
        shine=shine(surface)[0],
        texture=texture(surface)[0],
        tone=tone(surface.lab, surface.skin),
        skin_share=skin_share(skin, crop),
    )
