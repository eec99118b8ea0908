"""Finds the pixels that show skin.

Colour is measured as log luma and chroma over luma (Cr/Y, Cb/Y of JPEG's YCbCr): a brighter or dimmer light moves only
the first. With a face, its cheeks, nose and forehead give the colour of its skin in this light, and its outline
limits where skin may be; without a face, the range of skin colours under daylight and lamps is used.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bentos.skin.photo.crop import CROP_SIZE, Crop
from bentos.skin.photo.zones import FaceMasks

WORKING_SIZE = 128  # px; skin forms regions, for which a sixteenth of the pixels is enough
STEP = CROP_SIZE // WORKING_SIZE
SEED_ZONES = ("forehead", "cheek_left", "cheek_right", "nose")  # not the chin: beards
MUCH = 0.25  # of a faceless photo: from here on its plausible pixels give a colour model of skin
SEEDS_NEEDED = 60  # working pixels; fewer do not give a colour model

# Skin of 1st to 99th percentile over 530 faces of ACNE04 and the wrinkle photos, lamplight included, widened by a
# fifth; the ratio, the 96th percentile, keeps wood out (oak, pine: 1.34), which is yellower for its redness.
RED_RANGE = (0.045, 0.36)  # Cr/Y
BLUE_RANGE = (-0.28, -0.02)  # Cb/Y
YELLOW_TO_RED = 1.25  # -Cb/Cr
LUMA_MIN = 22.0  # of 255; below it colour is noise
LUMA_FLOOR = 8.0  # added to the luma that chroma is divided by, so that noise in the dark does not look like colour

# Median absolute deviations of one face's seeds: luma 0.2, chroma 0.04; the floors stand for flatly lit faces.
SPREAD_FLOOR = np.array([0.25, 0.03, 0.03])
NEAR_ON_FACE = 3.5  # Mahalanobis distance, in chroma, from the seeds: on the face
DARKEST, BRIGHTEST = -1.5, 1.2  # log luma from the seeds' median: shaded cheek, specular highlight
# Beside the outline (jaw, temples, ears) background may look like skin: nearer colours only, up to an edge.
NEAR_BESIDE = 0.07  # distance in chroma
LIGHT_BESIDE = 0.8  # distance in log luma
EDGE = 0.22  # step in log luma between neighbouring working pixels


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


def skin_mask(crop: Crop, masks: FaceMasks) -> NDArray[np.bool_]:
    """Skin, bool (512, 512); False on eyes, brows, nostrils, lips, hair, background and padding.

    With a face in the crop: what has the colour of its skin, on the face and next to it. Without: whatever has a
    colour that skin can have.

    Args:
        crop: the crop.
        masks: of the crop.
    """
    shown = masks.shown
    colour = _colour(np.asarray(Image.fromarray(crop.pixels).reduce(STEP)))
    if crop.keypoints is None:
        coarse = _anywhere(colour, _small(shown))
        features = ~shown
    else:
        features = masks.features
        coarse = _on_face(colour, masks, _small(shown & ~features))
    # Closing fills lesions, highlights and hairs; the majority of 5×5 removes specks.
    closed = ~_widened(~_widened(coarse, 2), 2)
    mask = Image.fromarray(closed.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(2))
    fine = np.asarray(mask.resize((CROP_SIZE, CROP_SIZE), Image.Resampling.BILINEAR)) > 127
    return np.asarray(fine & shown & ~features, dtype=np.bool_)


def skin_share(mask: NDArray[np.bool_], crop: Crop) -> float:
    """Skin pixels over the pixels that show the photo, 0..1."""
    x0, y0, x1, y1 = crop.valid
    return float(np.count_nonzero(mask[y0:y1, x0:x1]) / max((x1 - x0) * (y1 - y0), 1))


def _colour(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Log luma, Cr/Y and Cb/Y, float32 (..., 3), of uint8 (h, w, 3) sRGB."""
    ycc = np.asarray(Image.fromarray(pixels).convert("YCbCr"), dtype=np.float32)
    luma = ycc[..., 0] + LUMA_FLOOR
    return np.stack([np.log(luma), (ycc[..., 2] - 128.0) / luma, (ycc[..., 1] - 128.0) / luma], axis=-1)


def _plausible(colour: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels whose colour skin can have under usual light."""
    luma, red, blue = np.moveaxis(colour, -1, 0)
    within = (red > RED_RANGE[0]) & (red < RED_RANGE[1]) & (blue > BLUE_RANGE[0]) & (blue < BLUE_RANGE[1])
    bright = luma > np.log(LUMA_MIN + LUMA_FLOOR)
    return np.asarray(within & bright & (-blue < YELLOW_TO_RED * red), dtype=np.bool_)


def _anywhere(colour: NDArray[np.float32], shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Skin without a face: plausible colours, and those near to most of them."""
    likely = _plausible(colour) & shown
    if np.count_nonzero(likely) < SEEDS_NEEDED:
        return likely
    if np.count_nonzero(likely) < MUCH * np.count_nonzero(shown):
        return likely
    model = _model(colour[likely])
    light = colour[..., 0] - model.luma
    near = (model.distance(colour) < NEAR_ON_FACE) & (colour[..., 1] > RED_RANGE[0] / 2) & (light > DARKEST)
    return np.asarray((likely | near) & shown, dtype=np.bool_)


def _on_face(colour: NDArray[np.float32], masks: FaceMasks, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Skin of the face in the crop."""
    face = _small(masks.oval) & allowed
    seeds = np.logical_or.reduce([_small(masks.zones[name]) for name in SEED_ZONES]) & face
    if np.count_nonzero(seeds) < SEEDS_NEEDED:
        return np.asarray(_plausible(colour) & face, dtype=np.bool_)
    model = _model(colour[seeds])
    distance, light = model.distance(colour), colour[..., 0] - model.luma
    skin = face & (distance < NEAR_ON_FACE) & (light > DARKEST) & (light < BRIGHTEST)
    near = np.hypot(*np.moveaxis(colour[..., 1:] - model.chroma, -1, 0)) < NEAR_BESIDE
    beside = _small(masks.widest_oval) & allowed & near & (np.abs(light) < LIGHT_BESIDE) & ~_edges(colour)
    return _grown(skin, skin | beside)


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


def _edges(colour: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Steps of log luma between neighbouring pixels: the outlines against hair, background, collar."""
    luma = colour[..., 0]
    down, across = np.abs(np.diff(luma, axis=0)) > EDGE, np.abs(np.diff(luma, axis=1)) > EDGE
    edges = np.zeros(luma.shape, dtype=np.bool_)
    edges[1:] |= down
    edges[:-1] |= down
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    return edges


def _grown(start: NDArray[np.bool_], within: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part of `within` that is connected with `start`; background with the colour of skin elsewhere is not."""
    region = start
    for _ in range(WORKING_SIZE // 4):
        wider = _widened(region, 2) & within
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


def _small(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A crop mask at the working size."""
    return mask[STEP // 2 :: STEP, STEP // 2 :: STEP]
