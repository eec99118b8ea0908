"""The photos that are sent: several sizes, each of several files, so that nothing gains by remembering an answer."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.drawing import lesions, portrait

FILES = 8  # of each size
QUALITY = 90  # of JPEG, as phones write
DRAWN_AT = 1024  # px; the portrait's side while lesions are drawn on it
# Of that, px: the face fills nearly half the width, as in a photo that somebody takes of themselves.
LEFT, TOP, WIDTH, HEIGHT = 216, 0, 480, 640
SHIFT = 6  # px of that from one file to the next
FEWEST = 6  # lesions; each file has one more, so that answers have boxes to compare
BRIGHTNESS = 0.03  # from one file to the next
GRAIN = 2.0  # grey levels, standard deviation: an enlarged picture without noise is quicker to decode than a photo
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif")


def derived(side: int, number: int) -> bytes:
    """A JPEG made of the portrait, which is free to redistribute.

    Args:
        side: long side, px.
        number: 0 to FILES - 1; each has another crop, brightness and grain, and other lesions.
    """
    left, top = LEFT + SHIFT * (number % 4 - 2), TOP + SHIFT * (number // 4)
    size = (side * WIDTH // HEIGHT, side)
    enlarged = Image.fromarray(_drawn(number)).resize(
        size, Image.Resampling.BICUBIC, (left, top, left + WIDTH, top + HEIGHT)
    )
    grain = np.random.default_rng(number).normal(0, GRAIN, (size[1], size[0], 1)).astype(np.float32)
    pixels = np.asarray(enlarged) * np.float32(1 + BRIGHTNESS * (number - FILES / 2)) + grain
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


@cache
def _drawn(number: int) -> NDArray[np.uint8]:
    pixels, _, landmarks = portrait(DRAWN_AT)
    return lesions(pixels, landmarks, FEWEST + number, seed=number).pixels


def write(sides: Sequence[int], folder: Path) -> dict[str, list[Path]]:
    """Write the derived photos.

    Args:
        sides: long sides, px.
        folder: where to; it is made.

    Returns:
        Name of a set, its long side in px → its files.
    """
    sets: dict[str, list[Path]] = {}
    for side in sides:
        place = folder / str(side)
        place.mkdir(parents=True, exist_ok=True)
        paths = [place / f"{number}.jpg" for number in range(FILES)]
        for number, path in enumerate(paths):
            path.write_bytes(derived(side, number))
        sets[str(side)] = paths
    return sets


def of_folder(folder: Path) -> dict[str, list[Path]]:
    """The photos of a folder, as one set of its name.

    Raises:
        SystemExit: there is no such folder, or no photo in it.
    """
    if not folder.is_dir():
        raise SystemExit(f"bench: there is no folder {folder}.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise SystemExit(f"bench: no file in {folder} ends with {', '.join(SUFFIXES)}.")
    return {folder.resolve().name: paths}
