"""What is seen of a face: its skin, and which zones can be judged. Worked out once a photo, for all that follows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import Unseen
from bentos.skin.photo.crop import Crop
from bentos.skin.photo.face_parts import ZONES, FaceParts, face_parts, raster
from bentos.skin.photo.skin import SIZE, shown_mask, skin_mask

TURNED_AWAY = 0.25  # cosine between zone and camera; below it silhouette and background are seen, not skin
INSIDE = 0.6  # share of a zone that must lie in the photo
SKIN_IN_ZONE = 0.44  # share of what lies in the photo that must be skin


@dataclass(frozen=True, slots=True)
class FaceView:
    """What is seen of one face, or of the skin in a photo without one; plain data, which BentoML can send to a runner.

    Attributes:
        crop: the pixels, and the transform to the photo.
        parts: of the face, in crop pixels; None without landmarks.
        skin: bool (256, 256), of the crop at half its size, read-only: skin of this face, or of a close-up.
        unseen: the zones of ZONES that cannot be judged → why; without landmarks all.
        reasons: the concerns, and "tone", that cannot be judged at all → why.
    """

    crop: Crop
    parts: FaceParts | None
    skin: NDArray[np.bool_]
    unseen: Mapping[str, Unseen]
    reasons: Mapping[str, Unseen]


def view_of(crop: Crop, without_parts: Unseen = "no_face") -> FaceView:
    """The view of a crop.

    Args:
        crop: the crop.
        without_parts: why there are no landmarks, where there are none.
    """
    parts = None if crop.landmarks is None else face_parts(crop.landmarks)
    skin = skin_mask(crop, parts)
    if parts is None:
        return FaceView(crop, None, skin, dict.fromkeys(ZONES, without_parts), {})
    shares = zone_shares(crop, parts, skin)
    unseen: dict[str, Unseen] = {}
    for name, (inside, covered) in shares.items():
        if parts.facing[name] < TURNED_AWAY:
            unseen[name] = "turned_away"
        elif inside < INSIDE:
            unseen[name] = "outside_photo"
        elif covered < SKIN_IN_ZONE:
            unseen[name] = "covered"
    return FaceView(crop, parts, skin, unseen, {})


def zone_shares(crop: Crop, parts: FaceParts, skin: NDArray[np.bool_]) -> dict[str, tuple[float, float]]:
    """ZONES → share of the zone that lies in the photo, and share of that which is skin; features are left out."""
    shown = shown_mask(crop)
    features = raster(parts.features, SIZE, 0.5)
    shares = {}
    for name, outline in parts.zones.items():
        zone = raster([(outline, 0.0)], SIZE, 0.5)
        x, y = (outline - outline[0]).T
        area = abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))) / 8  # of the polygon, in mask pixels
        inside = zone & shown
        bare = inside & ~features
        shares[name] = (
            min(np.count_nonzero(inside) / max(area, 1.0), 1.0),
            np.count_nonzero(bare & skin) / max(np.count_nonzero(bare), 1),
        )
    return shares
