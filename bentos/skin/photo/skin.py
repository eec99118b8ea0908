"""Which pixels show skin."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bentos.skin.photo import zones
from bentos.skin.photo.crop import CROP_SIZE, Crop

WORKING_SIZE = 128  # px; skin is a matter of regions, and a sixteenth of the pixels is enough for them
SEED_ZONES = ("forehead", "cheek_left", "cheek_right", "nose", "chin")
SEEDS_NEEDED = 40  # working pixels; fewer do not make a colour model
SPREAD_LIMIT = 3.5  # Mahalanobis distance within which a pixel is of the seeds' colour


def skin_mask(crop: Crop) -> NDArray[np.bool_]:
    """Skin, bool (512, 512): of the face's own colour and on it, or of any plausible skin colour without a face.

    Eyes, brows, nostrils, lips, hair, background and padding are left out.
    """
    pixels = np.asarray(Image.fromarray(crop.pixels).reduce(CROP_SIZE // WORKING_SIZE))
    colour = _colour(pixels)
    likely = plausible(pixels)
    if crop.keypoints is not None:
        on_face = _small(zones.oval(crop)) & ~_small(zones.features(crop))
        marks = zones.masks(crop)
        seeds = np.zeros_like(likely)
        for name in SEED_ZONES:
            seeds |= _small(marks[name])
        seeds &= on_face
        if np.count_nonzero(seeds & likely) >= SEEDS_NEEDED:
            likely = _near(colour, colour[seeds & likely])
        likely &= on_face
    smooth = Image.fromarray(likely.astype(np.uint8) * 255).filter(ImageFilter.MedianFilter(5))
    mask = np.asarray(smooth.resize((CROP_SIZE, CROP_SIZE), Image.Resampling.BILINEAR)) > 127
    x0, y0, x1, y1 = crop.valid
    shown = np.zeros_like(mask)
    shown[y0:y1, x0:x1] = True
    return np.asarray(mask & shown & ~zones.features(crop), dtype=np.bool_)


def skin_share(mask: NDArray[np.bool_], crop: Crop) -> float:
    """Skin pixels over the pixels that show the photo, 0..1."""
    x0, y0, x1, y1 = crop.valid
    return float(np.count_nonzero(mask[y0:y1, x0:x1]) / max((x1 - x0) * (y1 - y0), 1))


def plausible(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels whose colour some skin has under some light: red over green over (nearly) blue.

    Args:
        pixels: uint8 (..., 3), sRGB.
    """
    _, red, blue = np.moveaxis(_colour(pixels), -1, 0)
    brightness = pixels.max(axis=-1)
    return np.asarray((brightness > 30) & (red > 0.04) & (red < 0.55) & (blue < 0.0) & (blue > -0.5), dtype=np.bool_)


def _colour(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Log luma, and chroma over luma (Cr/Y, Cb/Y), which a brighter or dimmer light leaves as it is."""
    ycc = np.asarray(Image.fromarray(pixels).convert("YCbCr"), dtype=np.float32)
    luma = ycc[..., 0] + 8.0  # keeps noise in the dark from looking like colour
    return np.stack([np.log(luma), (ycc[..., 2] - 128.0) / luma, (ycc[..., 1] - 128.0) / luma], axis=-1)


def _near(colour: NDArray[np.float32], seeds: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels within a robust Gaussian of the seeds."""
    centre = np.median(seeds, axis=0)
    spread = 1.4826 * np.median(np.abs(seeds - centre), axis=0) + np.array([0.18, 0.03, 0.03])
    return np.asarray((((colour - centre) / spread) ** 2).sum(axis=-1) < SPREAD_LIMIT**2, dtype=np.bool_)


def _small(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A crop mask at the working size."""
    step = CROP_SIZE // WORKING_SIZE
    return mask[step // 2 :: step, step // 2 :: step]
