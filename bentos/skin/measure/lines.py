"""Wrinkles without a learned encoder: the energy of dark ridges by scale, direction and place.

Oriented second derivatives at three scales, in directions that turn with the head, describe the lines at each place of
the face. A small perceptron that also gets the position on the face rates whether they are wrinkles of a zone; the
strongest places of each zone decide. All weights were fitted by `training/tune.py` on train photos.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bentos.skin import filters
from bentos.skin.findings import WRINKLE_PARTS, WRINKLE_ZONES, grey_map
from bentos.skin.measure.pose import face_coordinates, roll
from bentos.skin.measure.tuned import Network, sigmoid, tuned
from bentos.skin.photo.crop import CROP_SIZE
from bentos.skin.photo.face_parts import raster
from bentos.skin.photo.view import FaceView

FACTOR = 2  # the crop is reduced by so much
CELL = 4  # px at half size; the places of the face are the cells of a grid of 64 × 64
GRID = CROP_SIZE // FACTOR // CELL
SCALES = (0.8, 1.4, 2.4)  # px at half size: fine lines to folds
ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)  # along the line: level, falling outwards, upright, rising
SHADE_SCALE = 8.0  # px at half size; ridges are measured against the brightness around them
SHADE_FLOOR = 12.0  # grey levels, so that noise in the dark does not look like contrast
MOSTLY_SKIN = 0.5  # share of a cell that must be skin
POOL = 1.0  # cells; over which energy is averaged
ENERGY_FLOOR = 1e-3  # of contrast; below it there is only noise
SHARES = (0.01, 0.05)  # of the places: the strongest, which decide, beside the mean


@dataclass(frozen=True, slots=True)
class Wrinkles:
    """Wrinkles on one crop; attributes as in `LesionsAndWrinkles`."""

    zones: dict[str, float | None]
    wrinkle_map: NDArray[np.uint8]


def find(view: FaceView) -> Wrinkles:
    """The probability of wrinkles in each zone of one crop; None for a zone that is not seen."""
    where, rows = place_features(view)
    heat = np.zeros((GRID, GRID), np.float32)
    if not len(rows) or view.parts is None:
        return Wrinkles(dict.fromkeys(WRINKLE_ZONES), grey_map(heat))
    fitted = _fitted()
    logits = fitted.places(rows)
    heat[where] = sigmoid(logits).max(axis=1)
    face = face_features(logits, where, view)
    chances = {
        zone: round(float(sigmoid(net(face[None])[0, 0])), 4) if seen_parts(view, zone) else None
        for zone, net in fitted.zones.items()
    }
    return Wrinkles(chances, grey_map(heat))


def seen_parts(view: FaceView, zone: str) -> list[str]:
    """The parts of a wrinkle zone that are seen."""
    return [part for part in WRINKLE_PARTS[zone] if part not in view.unseen]


def place_features(view: FaceView) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """The features of each place of the face.

    Returns:
        (where, rows): bool (64, 64), the places on the face; float32 (n, f), their features in reading order.
    """
    where = filters.downsample(view.skin.astype(np.float32), CELL) > MOSTLY_SKIN
    if not where.any():
        return where, np.empty((0, 0), np.float32)
    grey = filters.downsample(np.asarray(Image.fromarray(view.crop.pixels).convert("L"), np.float32), FACTOR)
    shade = filters.gaussian(grey, SHADE_SCALE) + np.float32(SHADE_FLOOR)
    contrast = grey / shade
    across, along = face_coordinates(view.parts, GRID)
    mirrored = across < 0
    maps: list[NDArray[np.float32]] = []
    for sigma in SCALES:
        curvature = filters.hessian(contrast, sigma)
        energies = _energies(curvature, roll(view.parts))
        # On the person's right side falling and rising lines are swapped, so that both sides have the same features.
        energies[[1, 3]] = np.where(mirrored[None], energies[[3, 1]], energies[[1, 3]])
        energies[[5, 7]] = np.where(mirrored[None], energies[[7, 5]], energies[[5, 7]])
        logs = np.log(energies + np.float32(ENERGY_FLOOR))
        typical = np.median(logs[:4][:, where])
        maps += [*(logs - typical), np.full((GRID, GRID), typical, np.float32)]
    busy = filters.downsample((contrast - filters.gaussian(contrast, 3.0)) ** 2, CELL)
    light = filters.downsample(shade, CELL)
    features = raster(() if view.parts is None else view.parts.features, GRID, 1 / (FACTOR * CELL))
    maps += [
        np.log(np.sqrt(filters.gaussian(busy, POOL)) + np.float32(ENERGY_FLOOR)),
        np.log(light / np.median(light[where])),
        filters.gaussian(features.astype(np.float32), POOL),
        across,
        np.abs(across),
        along,
    ]
    return where, np.stack([values[where] for values in maps], axis=1).astype(np.float32)


def face_features(logits: NDArray[np.float32], where: NDArray[np.bool_], view: FaceView) -> NDArray[np.float32]:
    """The features that the zones are rated on, float32 (f,): the strongest places and the mean of each, as logits.

    Args:
        logits: float32 (n, 4), of the places on the face, one column per WRINKLE_ZONES.
        where: bool (64, 64).
        view: of the crop, with the parts of a face.
    """
    values_by_zone: list[float] = []
    for column, zone in enumerate(WRINKLE_ZONES):
        outlines = [] if view.parts is None else [(view.parts.zones[part], 0.0) for part in seen_parts(view, zone)]
        own = raster(outlines, GRID, 1 / (FACTOR * CELL))
        chances = sigmoid(logits[:, column])
        inside = chances[own[where]]
        values = np.sort(chances)[::-1]
        tops = [float(values[: max(1, round(share * len(values)))].mean()) for share in SHARES]
        mean = float(inside.mean()) if len(inside) else float(chances.mean())
        best = float(np.sort(inside)[-5:].mean()) if len(inside) else tops[0]
        values_by_zone += [*tops, best, mean]
    bounded = np.clip(np.array(values_by_zone, np.float32), 1e-4, 1 - 1e-4)
    return np.asarray(np.log(bounded / (1 - bounded)), dtype=np.float32)


def _energies(curvature: tuple[NDArray[np.float32], ...], turn: float) -> NDArray[np.float32]:
    """Mean (first four) and strongest (last four) dark-line response by direction, float32 (8, 64, 64)."""
    xx, xy, yy = curvature
    responses = np.stack([filters.line_response((xx, xy, yy), angle + turn) for angle in ANGLES])
    np.maximum(responses, 0, out=responses)
    tallest = np.maximum.reduce([responses[:, row::CELL] for row in range(CELL)])
    tallest = np.maximum.reduce([tallest[:, :, column::CELL] for column in range(CELL)])
    return filters.gaussian(np.concatenate([filters.downsample(responses, CELL), tallest]), POOL)


@dataclass(frozen=True, slots=True)
class _Fitted:
    places: Network  # place features → logits, one per WRINKLE_ZONES
    zones: dict[str, Network]  # face features → logit


@lru_cache(maxsize=1)
def _fitted() -> _Fitted:
    numbers: dict[str, Any] = tuned()["lines"]
    return _Fitted(Network(numbers["places"]), {zone: Network(numbers["zones"][zone]) for zone in WRINKLE_ZONES})
