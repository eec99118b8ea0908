"""Finds the pixels that show skin.

Colour is measured as log luma and chroma over luma (Cr/Y, Cb/Y of JPEG's YCbCr): a brighter or dimmer light moves only
the first. On a face, its own cheeks, nose and forehead give the colour of its skin in this light, and its landmarks
limit where skin may be; without a face, the range of skin colours under daylight and lamps is used.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bentos.skin.filters import box_mean, downsample
from bentos.skin.photo.crop import CROP_SIZE, Crop
from bentos.skin.photo.face_parts import FaceParts, raster

SIZE = CROP_SIZE // 2  # px; of the masks
WORKING_SIZE = 128  # px; skin forms regions, for which a quarter of the pixels is enough
STEP = CROP_SIZE // WORKING_SIZE
SEED_ZONES = ("cheek_left", "cheek_right", "nose")  # not the chin: beards; the forehead, where they are covered
SEEDS_NEEDED = 60  # working pixels; fewer do not give a colour model
MUCH = 0.06  # of a faceless photo: from here on its plausible pixels give a colour model of skin
GROWN = 0.05  # of the face's width: skin beyond its outline by so much is the face's

# Skin of 1st to 99th percentile over 530 faces of ACNE04 and the wrinkle photos, lamplight included, widened by a
# fifth; the ratio, the 96th percentile, keeps wood out (oak, pine: 1.34), which is yellower for its redness.
RED_RANGE = (0.045, 0.36)  # Cr/Y
PALE_RED_MIN = 0.03  # of close-ups, of which nothing else is known; walls have less
BLUE_RANGE = (-0.28, -0.02)  # Cb/Y
TINTED_RED_MIN, TINTED_BLUE_MAX = -0.05, 0.1  # skin in tinted light, or without colour, is beyond those ranges
YELLOW_TO_RED = 1.25  # -Cb/Cr
LUMA_MIN = 22.0  # of 255; below it colour is noise
LUMA_FLOOR = 8.0  # added to the luma that chroma is divided by, so that noise in the dark does not look like colour

# Median absolute deviations of one face's seeds: luma 0.2, chroma 0.04; the floors stand for flatly lit faces.
SPREAD_FLOOR = np.array([0.25, 0.03, 0.03])
NEAR_ON_FACE = 3.5  # Mahalanobis distance, in chroma, from the seeds: on the face
NEAR_REDDER = 6.0  # the same, of what is redder than the seeds: lesions
SURE = 1.5  # the same; what is farther must be connected with what is nearer
DARKEST, BRIGHTEST = -1.5, 1.2  # log luma from the seeds' median: shaded cheek, specular highlight
# Beyond the outline (jaw, temples) background may look like skin: nearer colours only.
NEAR_BEYOND = 0.05  # distance in chroma
LIGHT_BEYOND = 0.6  # distance in log luma
# Hair, beards and brows may have the colour of skin, but are darker or paler, and uneven from pixel to pixel.
DARK_HAIR = -0.35  # log luma from the seeds' median
DARK_FRINGE = -0.2  # the same, of fringes
DARK_HAIR_IN_GREY, COLOURLESS = -0.9, 0.03  # the same in black-and-white photos, and chroma of their skin
UNEVEN_WHITE_BEARD, UNEVEN_BEARD = 1.7, 0.03  # times the unevenness of the seeds; contrast, as below
BEARD, PALE_HAIR = 0.25, 0.6  # distances between the pupils around the chin; share of the skin's chroma
WHITE_HAIR = 0.7  # the same, of white beards on dark skin; half the unevenness tells them from highlights
FAR_HAIR = 2.0  # Mahalanobis distance, in chroma, from the seeds
UNEVEN_HAIR = 0.045  # mean contrast of neighbours at half the crop's size, in log luma; wrinkles are broader
UNEVEN_TO_ROUGH_SKIN = 1.6  # times that of the seeds: old skin in a sharpened photo is as uneven as hair in others
UNEVEN_TO_SKIN = 2.5  # of fringes and brown beards: times that of the seeds, since hair in a magnified face is smoother
UNEVEN_FRINGE = (0.006, 0.0225)
FRINGE = 0.25  # distances between the pupils around the forehead where a fringe is looked for
GROWTH_STEPS = 24  # working px
UNEVEN_LIMIT = 0.25  # the maximum that one pixel adds


@dataclass(frozen=True, slots=True)
class _Model:
    """The colour of one face's skin: median and inverse covariance of chroma, median log luma."""

    luma: float
    chroma: NDArray[np.float64]
    inverse: NDArray[np.float64]

    def distance(self, colour: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mahalanobis distance of chroma, (...), of colours (..., 3)."""
        red, blue = colour[..., 1] - self.chroma[0], colour[..., 2] - self.chroma[1]
        (rr, rb), (_, bb) = self.inverse
        return np.asarray(np.sqrt(rr * red**2 + 2 * rb * red * blue + bb * blue**2), dtype=np.float64)


def skin_mask(
    crop: Crop,
    parts: FaceParts | None,
    bare: NDArray[np.bool_] | None = None,
    grey: NDArray[np.float32] | None = None,
) -> NDArray[np.bool_]:
    """Skin, bool (256, 256), read-only; False on eyes, brows, nostrils, lips, hair, cloth, background and padding.

    With a face: what has the colour of its skin, on the face. Without: whatever has a colour that skin can have.

    Args:
        crop: the crop.
        parts: of the face, in crop pixels; None without landmarks.
        bare: bool (256, 256), what no mask or scarf covers; None where nothing is known of one.
        grey: as of `half_grey`, where it is there already.
    """
    colour = _colour(np.asarray(Image.fromarray(crop.pixels).reduce(STEP)))
    shown = shown_mask(crop)
    allowed = shown if parts is None else shown & face_mask(parts)
    if bare is not None:
        allowed = allowed & bare
    small = allowed[:: STEP // 2, :: STEP // 2]
    coarse = (
        _anywhere(colour, small)
        if parts is None
        else _on_face(colour, _unevenness(half_grey(crop) if grey is None else grey), parts, small)
    )
    # Closing fills lesions, highlights and hairs; the majority of 5×5 removes specks.
    closed = ~_widened(~_widened(coarse, 2), 2)
    mask = Image.fromarray(closed.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(2))
    fine = np.asarray(mask.resize((SIZE, SIZE), Image.Resampling.BILINEAR)) > 127
    skin = np.asarray(fine & allowed, dtype=np.bool_)
    skin.setflags(write=False)
    return skin


def shown_mask(crop: Crop) -> NDArray[np.bool_]:
    """What shows the photo, bool (256, 256); the rest is padding."""
    shown = np.zeros((SIZE, SIZE), dtype=np.bool_)
    x0, y0, x1, y1 = crop.valid
    shown[-(-y0 // 2) : y1 // 2, -(-x0 // 2) : x1 // 2] = True
    return shown


def half_grey(crop: Crop) -> NDArray[np.float32]:
    """Luma 0..255 of the crop at half its size, float32 (256, 256)."""
    return np.asarray(Image.fromarray(crop.pixels).convert("L").reduce(2), dtype=np.float32)


def face_mask(parts: FaceParts) -> NDArray[np.bool_]:
    """The face without eyes, brows, lips and nostrils, bool (256, 256): its outline grown by GROWN of its width."""
    rim = GROWN * float(np.ptp(parts.outline[:, 0]))
    return np.asarray(raster([(parts.outline, rim)], SIZE, 0.5) & ~raster(parts.features, SIZE, 0.5), dtype=np.bool_)


def skin_share(mask: NDArray[np.bool_], crop: Crop) -> float:
    """Skin pixels over the pixels that show the photo, 0..1."""
    return int(mask.sum()) / max(int(shown_mask(crop).sum()), 1)


def _colour(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Log luma, Cr/Y and Cb/Y, float32 (..., 3), of uint8 (h, w, 3) sRGB."""
    ycc = np.asarray(Image.fromarray(pixels).convert("YCbCr"), dtype=np.float32)
    luma = ycc[..., 0] + LUMA_FLOOR
    return np.stack([np.log(luma), (ycc[..., 2] - 128.0) / luma, (ycc[..., 1] - 128.0) / luma], axis=-1)


def _plausible(colour: NDArray[np.float32], red_min: float = RED_RANGE[0]) -> NDArray[np.bool_]:
    """Pixels whose colour skin can have under usual light."""
    luma, red, blue = np.moveaxis(colour, -1, 0)
    within = (red > red_min) & (red < RED_RANGE[1]) & (blue > BLUE_RANGE[0]) & (blue < BLUE_RANGE[1])
    bright = luma > np.log(LUMA_MIN + LUMA_FLOOR)
    return np.asarray(within & bright & (-blue < YELLOW_TO_RED * red), dtype=np.bool_)


def _anywhere(colour: NDArray[np.float32], shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Skin without a face: plausible colours, and those near to most of them."""
    likely = _plausible(colour, PALE_RED_MIN) & shown
    if np.count_nonzero(likely) < SEEDS_NEEDED:
        return likely
    if np.count_nonzero(likely) < MUCH * np.count_nonzero(shown):
        return likely
    model = _model(colour[likely])
    light = colour[..., 0] - model.luma
    near = (model.distance(colour) < NEAR_ON_FACE) & (colour[..., 1] > PALE_RED_MIN / 2) & (light > DARKEST)
    return np.asarray((likely | near) & shown, dtype=np.bool_)


def _on_face(
    colour: NDArray[np.float32], uneven: NDArray[np.float32], parts: FaceParts, allowed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Skin of the face in the crop."""
    plausible = _plausible(colour)
    zones = raster([(parts.zones[name], 0.0) for name in SEED_ZONES], WORKING_SIZE, 1 / STEP) & allowed
    seeds = zones & plausible
    if np.count_nonzero(seeds) < SEEDS_NEEDED:
        seeds = raster([(parts.zones["forehead"], 0.0)], WORKING_SIZE, 1 / STEP) & allowed & plausible
    if np.count_nonzero(seeds) < SEEDS_NEEDED:  # another light, or no colour
        seeds = zones & (colour[..., 1] > TINTED_RED_MIN) & (colour[..., 2] < TINTED_BLUE_MAX)
    usual = float(np.median(uneven[seeds])) if seeds.any() else 0.0
    rough = max(UNEVEN_HAIR, UNEVEN_TO_ROUGH_SKIN * usual)
    smooth = seeds & (uneven < rough)
    if np.count_nonzero(smooth) >= SEEDS_NEEDED:
        seeds = smooth
    if np.count_nonzero(seeds) < SEEDS_NEEDED:
        return np.asarray(plausible & allowed, dtype=np.bool_)
    model = _model(colour[seeds])
    distance, light = model.distance(colour), colour[..., 0] - model.luma
    near = (distance < NEAR_ON_FACE) | (plausible & (distance < NEAR_REDDER) & (colour[..., 1] > model.chroma[0]))
    skin = allowed & near & (light > DARKEST) & (light < BRIGHTEST)
    nearest = np.hypot(*np.moveaxis(colour[..., 1:] - model.chroma, -1, 0)) < NEAR_BEYOND
    within = raster([(parts.outline, 0.0)], WORKING_SIZE, 1 / STEP)
    skin &= within | (nearest & (np.abs(light) < LIGHT_BEYOND))
    colourless = float(np.hypot(*model.chroma)) < COLOURLESS
    other = (light < (DARK_HAIR_IN_GREY if colourless else DARK_HAIR)) | (distance > FAR_HAIR)
    hair = skin & ((other & (uneven > rough)) | ((light > WHITE_HAIR) & (uneven > rough / 2)))
    # Of a fringe less is enough: it comes down over the forehead from the border, wrinkles and lesions do not.
    limit = np.clip(UNEVEN_TO_SKIN * usual, *UNEVEN_FRINGE)
    forehead = raster([(parts.zones["forehead"], FRINGE * parts.unit)], WORKING_SIZE, 1 / STEP)
    dark = DARK_HAIR_IN_GREY if colourless else DARK_FRINGE
    suspect = skin & forehead & (light < dark) & (uneven > limit)
    border = suspect & (box_mean(skin.astype(np.float32), 5) < 0.999)
    # Beards may be less uneven, but are darker or paler than the skin.
    below = raster([(parts.zones["chin"], BEARD * parts.unit)], WORKING_SIZE, 1 / STEP)
    pale = np.hypot(colour[..., 1], colour[..., 2]) < PALE_HAIR * np.hypot(*model.chroma)
    white = pale & (uneven > max(UNEVEN_HAIR / 2, UNEVEN_WHITE_BEARD * usual))
    brown = (light < DARK_FRINGE) & (uneven > max(UNEVEN_BEARD, UNEVEN_TO_SKIN * usual))
    hair |= skin & below & (white | (brown & ~np.array(colourless)))
    skin &= ~(_widened(hair, 1) | _grown(border, suspect))
    return _grown(skin & (distance < SURE) & ((light > DARK_FRINGE) | ~forehead), skin)


def _unevenness(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean contrast of neighbours around each working pixel, in log luma, float32 (128, 128)."""
    luma = np.log(grey + np.float32(LUMA_FLOOR))
    contrast = np.minimum(np.abs(luma - box_mean(luma, 3)), np.float32(UNEVEN_LIMIT))
    return box_mean(downsample(contrast, STEP // 2), 5)


def _model(seeds: NDArray[np.float32]) -> _Model:
    """Robust centre and covariance of seeds (n, 3): hair, lesions and highlights among them are trimmed away."""
    kept = seeds.astype(np.float64)
    for _ in range(2):
        centre = np.median(kept, axis=0)
        spread = np.maximum(1.4826 * np.median(np.abs(kept - centre), axis=0), SPREAD_FLOOR)
        kept = seeds[(np.abs(seeds - centre) < 2.5 * spread).all(axis=1)]
    chroma = kept[:, 1:]
    covariance = np.cov(chroma, rowvar=False) + np.diag(SPREAD_FLOOR[1:] ** 2) / 2
    inverse = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
    return _Model(float(np.median(kept[:, 0])), np.median(chroma, axis=0), inverse)


def _grown(start: NDArray[np.bool_], within: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part of `within` that is connected with `start`, by GROWTH_STEPS steps at most."""
    region = start
    for _ in range(GROWTH_STEPS):
        wider = _widened(region, 1) & within
        if np.array_equal(wider, region):
            break
        region = wider
    return region


def _widened(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Dilation by a square of 2 × radius + 1 pixels."""
    for _ in range(radius):
        wider = mask.copy()
        wider[1:] |= mask[:-1]
        wider[:-1] |= mask[1:]
        mask = wider.copy()
        mask[:, 1:] |= wider[:, :-1]
        mask[:, :-1] |= wider[:, 1:]
    return mask
