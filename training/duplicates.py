"""Finds photos that show the same face in the same moment: variants of one export, mosaics, copies in another split."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from bentos.skin.photo import crop as cropping
from training.crops import Example

PATCH = 48  # px; side of the aligned face that is compared
PATCH_BLUR = 3.0  # px; coarser structure is removed: light, and the shape that all faces share
PATCH_SPAN = 3.4  # side of the aligned face over the pupils' distance: brows to chin, little background
SAME_PHOTO = 0.6  # least correlation of aligned faces that show the same photo; see `near_duplicates`


def near_duplicates(examples: list[Example], others: list[Example]) -> list[tuple[int, int, float]]:
    """Find pairs that show the same photo.

    Each face is rotated, scaled and shifted by its pupils onto a small patch, which undoes the exporter's crop,
    rotation and scale; mirrored pairs count too. One photo in two mosaics correlates by .6 or more. Faces of different
    people in the same pose correlate by up to .68 in ACNE04, so SAME_PHOTO leaves out a few photos too many there.

    Returns:
        (index in examples, index in others, correlation of the aligned faces).
    """
    if not examples or not others:
        return []
    a, b = (np.stack([_patch(example) for example in part]) for part in (examples, others))
    mean = np.concatenate([a, b, _mirrored(a), _mirrored(b)]).mean(axis=0)  # common to all faces
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a - mean, b - mean))
    upright, mirrored = a @ b.T, a @ _mirrored(b).T
    correlation = np.maximum(upright, mirrored)
    return [(int(i), int(j), float(correlation[i, j])) for i, j in np.argwhere(correlation >= SAME_PHOTO)]


def groups(examples: list[Example]) -> list[str]:
    """Name the group of each example; examples of one file or with matching faces have the same group."""
    parent = {example.group: example.group for example in examples}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for i, j, _ in near_duplicates(examples, examples):
        a, b = sorted((root(examples[i].group), root(examples[j].group)))
        parent[b] = a
    return [root(example.group) for example in examples]


def _patch(example: Example) -> NDArray[np.float32]:
    """Return the face aligned by its pupils, float32 (PATCH²,), grey, of unit norm; without a face, the whole crop."""
    image = Image.fromarray(example.crop.pixels).convert("L").resize((4 * PATCH, 4 * PATCH), Image.Resampling.BOX)
    scale = image.width / cropping.CROP_SIZE
    if example.pupils is None:
        small = image.resize((PATCH, PATCH), Image.Resampling.BOX)
    else:
        right, left = example.pupils * scale
        across = (left - right) * PATCH_SPAN / PATCH  # one patch pixel along the line of the pupils
        down = np.array([-across[1], across[0]])
        corner = (right + left) / 2 - across * PATCH / 2 - down * PATCH * 0.38  # more below the eyes than above
        small = image.transform(
            (PATCH, PATCH),
            Image.Transform.AFFINE,
            (across[0], down[0], corner[0], across[1], down[1], corner[1]),
            Image.Resampling.BILINEAR,
        )
    grey = np.asarray(small, dtype=np.float32)
    grey = (grey - gaussian_filter(grey, PATCH_BLUR)).ravel()
    grey = grey - grey.mean()
    return np.asarray(grey / max(float(np.linalg.norm(grey)), 1e-6), dtype=np.float32)


def _mirrored(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    return patches.reshape(-1, PATCH, PATCH)[:, :, ::-1].reshape(len(patches), -1)
