"""Any number of drawn photos: the portrait, cropped, brightened and grained by a seed, with drawn lesions.

python -m tests.batch.drawn FOLDER 2000        # 2,000 files of 1080 px
"""

import io
import sys
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.drawing import lesions, portrait

DRAWN_AT = 1024  # px; the portrait's side while lesions are drawn on it
BASES = 12  # drawings, each with one lesion more; the rest differs from file to file
LEFT, TOP, WIDTH, HEIGHT = 216, 0, 480, 640  # of DRAWN_AT: the face fills nearly half the width


def photo(number: int, side: int = 1080) -> bytes:
    """A JPEG made of the portrait, which is free to redistribute; the same for the same number.

    Args:
        number: of the photo; each has another crop, brightness and grain.
        side: long side, px.
    """
    source = np.random.default_rng(number)
    left, top = LEFT + int(source.integers(-24, 25)), TOP + int(source.integers(0, 13))
    size = (side * WIDTH // HEIGHT, side)
    base = Image.fromarray(_base(number % BASES))
    pixels = np.asarray(base.resize(size, Image.Resampling.BICUBIC, (left, top, left + WIDTH, top + HEIGHT)))
    brighter = pixels * np.float32(source.uniform(0.85, 1.1))
    grain = np.resize(source.normal(0, 2, 1 << 16).astype(np.float32), (size[1], size[0], 1))
    file = io.BytesIO()
    Image.fromarray(np.clip(brighter + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def write(folder: Path, count: int, side: int = 1080) -> list[Path]:
    """Write so many photos into a folder, a hundred in each of its own; those that are there stay."""
    paths = [folder / f"{number // 100:04}" / f"{number:06}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photo(number, side))
    return paths


@cache
def _base(number: int) -> NDArray[np.uint8]:
    pixels, _, landmarks = portrait(DRAWN_AT)
    return lesions(pixels, landmarks, 4 + number, seed=number).pixels


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
