"""What is seen of a face: its skin, and which zones can be judged. Worked out once a photo, for all that follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from bentos.skin.filters import box_mean, local_max
from bentos.skin.findings import CONCERNS, WRINKLE_PARTS, Unseen
from bentos.skin.photo.crop import Crop
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face_parts import ZONES, FaceParts, face_coordinates, face_parts, raster
from bentos.skin.photo.face_reader import PhotoFaces
from bentos.skin.photo.light import Light, measure_light, unjudged
from bentos.skin.photo.skin import SIZE, face_mask, half_grey, shown_mask, skin_mask, skin_share

NO_SKIN: dict[str, Unseen] = dict.fromkeys((*CONCERNS, "tone"), "no_skin")  # reasons where there is none
TURNED_AWAY = 0.25  # cosine between zone and camera; below it silhouette and background are seen, not skin
INSIDE = 0.6  # share of a zone that must lie in the photo
# Share of what lies in the photo that must be skin: of London's chins, beards leave .28 and less, stubble .66 and more;
# of foreheads, fringes leave .23 and less, single strands .4 and more.
SKIN_IN_ZONE = 0.37
# Of 233 faces in photos the darkest of the mouth is darker than the skin around it by 0.19 and more (natural logarithm
# of luma); of masks and scarves over it, by 0.14 and less.
FEATURE_DARKER = -0.16
AROUND = 0.15  # distances between the pupils around a feature
FEATURE_PIXELS = 12  # px of the mask
BELOW_NOSE, BELOW_EYES = 0.75, 0.3  # distances between the pupils below them
FLAT_SKIN = 0.5  # share of the skin without any contrast: 0.87 of a drawing, 0.08 at most of photos
SHADE = 0.4  # luma of a zone over that of the skin: the shaded side of a face in uneven light
HAIRY = ("forehead", "chin")
LOST_IN_ZONE = 0.5  # share of a zone that may be crushed or blown
SKIN_ON_FACE = 0.15  # share of a face that must be skin, or nothing is judged on it
SKIN_ALONE = 0.5  # share of a photo without a face that must be skin: a close-up
# Contrast of neighbouring pixels, in grey levels, of a close-up: a lower median is of flat colours, a higher mean of a
# pattern.
LEAST_CONTRAST, MOST_CONTRAST = 0.25, 12.0
LESION_RIM = 7  # px of the mask: a lesion at the border of the skin may not have its colour


@dataclass(frozen=True, slots=True)
class FaceView:
    """What is seen of one face, or of the skin in a photo without one; plain data, which BentoML can send to a runner.

    Attributes:
        crop: the pixels, and the transform to the photo.
        parts: of the face, in crop pixels; None without landmarks.
        skin: bool (256, 256), of the crop at half its size, read-only: skin of this face, or of a close-up.
        unseen: the zones of ZONES that cannot be judged → why; without landmarks all.
        reasons: the concerns, and "tone", that cannot be judged at all → why.
        light: issue → how far the photo is from it, as of `Light.ratios`.
        exposure: as of `Light`.
    """

    crop: Crop
    parts: FaceParts | None
    skin: NDArray[np.bool_]
    unseen: Mapping[str, Unseen]
    reasons: Mapping[str, Unseen]
    light: Mapping[str, float] = field(default_factory=dict)
    exposure: float = 1.0


def view_of_face(photo: Photo, faces: PhotoFaces) -> FaceView:
    """The view of the largest face of a photo, or of its skin where there is none."""
    face = faces.largest
    if face is None or faces.landmarks is not None:
        return view_of(faces.crop)
    if not faces.has_mesh:
        return view_of(faces.crop, "no_face")
    x, y, width, height = face.box
    corners = np.concatenate([face.keypoints, [(x - 1, y - 1), (x + width + 1, y + height + 1)]])
    outside = (corners < 0).any() or (corners > (photo.width, photo.height)).any()
    return view_of(faces.crop, "outside_photo" if outside else "turned_away")


def view_of(crop: Crop, face_without_landmarks: Unseen | None = None) -> FaceView:
    """The view of a crop.

    Args:
        crop: the crop.
        face_without_landmarks: why there are no landmarks of a face that was found; None where none was found.
    """
    parts = None if crop.landmarks is None else face_parts(crop.landmarks)
    grey = half_grey(crop)
    skin = skin_mask(crop, parts, None if parts is None else _bare_mask(crop, parts, grey), grey)
    light = measure_light(np.asarray(Image.fromarray(crop.pixels).reduce(2)), skin, parts, shown_mask(crop))
    if parts is None:
        view = _without_parts(crop, skin, grey, light, face_without_landmarks)
        return replace(view, reasons={**unjudged(light), **view.reasons})
    unseen = _unseen_zones(crop, parts, skin, grey, light)
    face = face_mask(parts) & shown_mask(crop)
    if np.count_nonzero(skin) < SKIN_ON_FACE * np.count_nonzero(face) or _is_drawn(crop, skin):
        return FaceView(crop, parts, skin, {**dict.fromkeys(ZONES, "no_skin"), **unseen}, NO_SKIN, light.ratios)
    return FaceView(crop, parts, skin, unseen, unjudged(light), light.ratios, light.exposure)


def _unseen_zones(
    crop: Crop, parts: FaceParts, skin: NDArray[np.bool_], grey: NDArray[np.float32], light: Light
) -> dict[str, Unseen]:
    unseen: dict[str, Unseen] = {}
    for name, zone in zone_shares(crop, parts, skin, grey, light).items():
        if parts.facing[name] < TURNED_AWAY:
            unseen[name] = "turned_away"
        elif zone.inside < INSIDE:
            unseen[name] = "outside_photo"
        elif zone.blown > LOST_IN_ZONE:
            unseen[name] = "too_bright"
        elif zone.crushed > LOST_IN_ZONE:
            unseen[name] = "too_dark" if light.ratios["too_dark"] < 1 else "covered"  # by sunglasses, for example
        elif zone.skin < SKIN_IN_ZONE:
            in_shade = light.ratios["uneven_light"] < 1 and zone.light < SHADE and name not in HAIRY
            unseen[name] = "too_dark" if in_shade else "covered"
    return unseen


def _bare_mask(crop: Crop, parts: FaceParts, grey: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """What lies above a mask or scarf in the colour of skin, bool (256, 256); None where there is none.

    It is told by the mouth, or mouth and nostrils, that are not seen.
    """
    shown = shown_mask(crop)
    _, _, _, _, (lips, rim), *nostrils = parts.features

    def stands_out(outlines: list[NDArray[np.float64]]) -> bool:
        """Whether the darkest of a feature is much darker than what is around it."""
        inside = raster([(outline, rim) for outline in outlines], SIZE, 0.5) & shown
        around = raster([(outline, AROUND * parts.unit) for outline in outlines], SIZE, 0.5) & shown & ~inside
        if np.count_nonzero(inside) < FEATURE_PIXELS or np.count_nonzero(around) < FEATURE_PIXELS:
            return True
        dark, light = np.percentile(grey[inside], 5), np.median(grey[around])
        return bool(np.log((dark + 8) / (light + 8)) < FEATURE_DARKER)

    if stands_out([lips]):
        return None
    covered_from = BELOW_NOSE if stands_out([outline for outline, _ in nostrils]) else BELOW_EYES
    _, along = face_coordinates(parts.axes, SIZE, 2.0)
    return np.asarray(along < covered_from)


def _is_drawn(crop: Crop, skin: NDArray[np.bool_]) -> bool:
    """Whether the skin is of flat colours, as in a drawing: photos have noise, JPEG's too."""
    grey = np.asarray(Image.fromarray(crop.pixels).convert("L"))

    def by_square(extreme: np.ufunc) -> NDArray[np.uint8]:
        rows = extreme.reduce([grey[row::4] for row in range(4)])
        return np.asarray(extreme.reduce([rows[:, column::4] for column in range(4)]))

    flat = (by_square(np.maximum) - by_square(np.minimum))[skin[::2, ::2]] <= 1
    return bool(flat.size) and float(flat.mean()) > FLAT_SKIN


def _without_parts(
    crop: Crop, skin: NDArray[np.bool_], grey: NDArray[np.float32], light: Light, face: Unseen | None
) -> FaceView:
    """The view of a crop without landmarks: of a face seen from the side, of a close-up of skin, or of neither."""
    unseen = dict.fromkeys(ZONES, face or "no_face")
    if face is not None:
        enough = skin_share(skin, crop) >= SKIN_ON_FACE or light.ratios["no_colour"] < 1
        enough = enough and not _is_drawn(crop, skin)
        reasons = dict.fromkeys([*CONCERNS, "tone"][1 if enough else 0 :], face)
        return FaceView(crop, None, skin, unseen, reasons | ({} if enough else {"acne": "no_skin"}), light.ratios)
    if _is_close_up(crop, skin, grey):
        return FaceView(crop, None, skin, unseen, {"wrinkles": "no_face"}, light.ratios)
    return FaceView(crop, None, np.zeros_like(skin), unseen, NO_SKIN, light.ratios)


def _is_close_up(crop: Crop, skin: NDArray[np.bool_], grey: NDArray[np.float32]) -> bool:
    """Whether skin fills the photo: its colour does, and it is neither flat nor a pattern."""
    if skin_share(skin, crop) < SKIN_ALONE:
        return False
    contrast = np.abs(grey - box_mean(grey, 3))[skin]
    return bool(np.median(contrast) >= LEAST_CONTRAST and contrast.mean() <= MOST_CONTRAST)


def unseen_wrinkles(view: FaceView) -> dict[str, Unseen]:
    """The wrinkle zones that cannot be judged → why: those of which neither side is seen."""
    unseen = {}
    for zone, parts in WRINKLE_PARTS.items():
        codes = [view.unseen[part] for part in parts if part in view.unseen]
        if len(codes) == len(parts):
            # Of a turned head the side that faces the camera tells.
            unseen[zone] = next((code for code in codes if code != "turned_away"), codes[0])
    return unseen


def on_skin(view: FaceView, boxes: ArrayLike) -> NDArray[np.bool_]:
    """Which boxes, (n, 4), x, y, width, height in crop pixels, have their middle on the skin of `lesion_mask`."""
    rows = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    middles = np.clip((rows[:, :2] + rows[:, 2:] / 2) / 2, 0, SIZE - 1).astype(int)
    return np.asarray(lesion_mask(view)[middles[:, 1], middles[:, 0]], dtype=np.bool_)


def lesion_mask(view: FaceView) -> NDArray[np.bool_]:
    """Where a lesion's middle may lie, bool (256, 256): on skin and at its border, not on eyes, brows and lips.

    Everywhere on a face without landmarks: its outline is not known.
    """
    if view.parts is None and "no_face" not in view.unseen.values():
        return np.ones_like(view.skin)
    near = local_max(view.skin.astype(np.float32), 2 * LESION_RIM + 1) > 0
    return np.asarray(near if view.parts is None else near & face_mask(view.parts), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class ZoneShares:
    """Shares of a zone, 0..1: of it in the photo (`inside`); of that, without features, skin, crushed and blown.

    `light`: its mean luma over that of all skin.
    """

    inside: float
    skin: float
    crushed: float
    blown: float
    light: float


def zone_shares(
    crop: Crop, parts: FaceParts, skin: NDArray[np.bool_], grey: NDArray[np.float32], light: Light
) -> dict[str, ZoneShares]:
    """ZONES → shares of what is seen of the zone; `grey` as of `half_grey`."""
    shown = shown_mask(crop)
    bare = shown & ~raster(parts.features, SIZE, 0.5)
    usual = float(grey[skin].mean()) if skin.any() else 255.0
    shares = {}
    for name, outline in parts.zones.items():
        x, y = (outline - outline[0]).T
        area = abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))) / 8  # of the polygon, in mask pixels
        # The zone's own rows and columns are enough.
        low = np.clip(np.floor(outline.min(axis=0) / 2).astype(int) - 1, 0, SIZE - 1)
        high = np.clip(np.ceil(outline.max(axis=0) / 2).astype(int) + 2, low + 1, SIZE)
        own = slice(low[1], high[1]), slice(low[0], high[0])
        zone = raster([(outline, 0.0)], SIZE, 0.5)[own]
        inside, seen = zone & shown[own], zone & bare[own]
        pixels = max(int(np.count_nonzero(seen)), 1)
        shares[name] = ZoneShares(
            inside=min(int(np.count_nonzero(inside)) / max(area, 1.0), 1.0),
            skin=int(np.count_nonzero(seen & skin[own])) / pixels,
            crushed=int(np.count_nonzero(seen & light.crushed[own])) / pixels,
            blown=int(np.count_nonzero(seen & light.blown[own])) / pixels,
            light=float(grey[own][seen].sum()) / pixels / max(usual, 1.0),
        )
    return shares
