"""Draws synthetic crops in place of labelled photos, without faces; tests and `--smoke` train on them."""

import numpy as np

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.photo.crop import CROP_SIZE, Crop
from training.crops import Example
from training.data import Labelled, Split


def synthetic_dataset(count: int = 12, seed: int = 0) -> Labelled:
    """Draw red spots on skin colour as acne, and dark bars as wrinkles.

    Args:
        count: acne crops and wrinkle crops, each, of the training part and of the held-out part.
        seed: of the pixels and the places.
    """
    rng = np.random.default_rng(seed)

    def example(number: int, acne: bool) -> Example:
        pixels = np.clip(rng.normal((190, 150, 130), 6, (CROP_SIZE, CROP_SIZE, 3)), 0, 255).astype(np.uint8)
        boxes, severity = [], number % 4
        for _ in range((2, 10, 30, 55)[severity] if acne else 4):
            x, y = rng.integers(60, CROP_SIZE - 90, 2).tolist()
            width, height = (24, 24) if acne else (60, 10)
            pixels[y : y + height, x : x + width] = (170, 60, 60) if acne else (120, 90, 80)
            boxes.append([float(x), float(y), float(width), float(height)])
        rows, none = np.array(boxes), np.empty((0, 4))
        wrinkled = [k for k in range(len(WRINKLE_ZONES)) if not acne and (number + k) % 2]
        zones = {zone: rows[[k]] if k in wrinkled else none for k, zone in enumerate(WRINKLE_ZONES)}
        crop = Crop(pixels, np.eye(2, 3), (0, 0, CROP_SIZE, CROP_SIZE), None)
        return Example(
            crop, f"synthetic-{number}", severity if acne else -1, rows if acne else none, {} if acne else zones
        )

    def split(first: int) -> Split:
        numbers = range(first, first + count)
        return Split([example(number, True) for number in numbers], [example(number, False) for number in numbers])

    return Labelled(split(0), split(count), [])
