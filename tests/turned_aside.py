"""A head turned aside, drawn from a photo of its front by the depth of its landmarks."""

import numpy as np
from scipy.interpolate import NearestNDInterpolator
from scipy.ndimage import map_coordinates
from scipy.spatial import Delaunay

from tests.paint import EARS, Pixels, Subject


def turned_aside(subject: Subject, yaw: float) -> Pixels:
    """The head turned about its upright axis, positive to the right of the photo, by its landmarks' depth.

    Triangles between the landmarks are drawn the farthest first; a ring around the face moves half as much, the
    photo's border not at all.
    """
    height, width = subject.pixels.shape[:2]
    points, unit = subject.points, subject.parts.unit
    centre = subject.parts.outline.mean(axis=0)
    axis_depth = float(points[list(EARS), 2].mean())
    outline = subject.parts.outline
    depths = NearestNDInterpolator(points[:, :2], points[:, 2])(outline)
    rings = [
        np.column_stack([outline + (grow - 1) * (outline - centre), depths + deeper * unit])
        for grow, deeper in ((1.04, 0.1), (1.18, 0.3), (1.4, 0.6))
    ]
    x, y = np.linspace(0, width, 9), np.linspace(0, height, 9)
    border = np.array([(a, b, axis_depth + unit) for a in x for b in y if a in (0, width) or b in (0, height)])
    source = np.concatenate([points, *rings, border])
    share = np.concatenate(
        [np.ones(len(points)), *(np.full(len(outline), part) for part in (1.0, 0.75, 0.3)), np.zeros(len(border))]
    )
    turn = np.radians(yaw)
    moved = source.copy()
    x, z = source[:, 0] - centre[0], source[:, 2] - axis_depth
    moved[:, 0] += share * (x * (np.cos(turn) - 1) - z * np.sin(turn))
    moved[:, 2] = axis_depth + z * np.cos(turn) + share * x * np.sin(turn)
    inside = ((source[:, :2] >= 0) & (source[:, :2] <= (width, height))).all(axis=1)
    source, moved = source[inside], moved[inside]
    rows, columns = np.mgrid[:height, :width] + 0.5
    places = np.stack([columns, rows])
    triangles = Delaunay(source[:, :2]).simplices
    for triangle in triangles[np.argsort(-moved[triangles, 2].mean(axis=1))]:
        to, corners = moved[triangle, :2], source[triangle, :2]
        matrix = np.vstack([to.T, np.ones(3)])
        if abs(np.linalg.det(matrix)) < 1e-3:
            continue
        low, high = np.floor(to.min(axis=0)).astype(int), np.ceil(to.max(axis=0)).astype(int) + 1
        part = (slice(max(low[1], 0), max(high[1], 0)), slice(max(low[0], 0), max(high[0], 0)))
        here = np.stack([columns[part], rows[part], np.ones_like(rows[part])])
        weights = np.einsum("ij,jkl->ikl", np.linalg.inv(matrix), here)
        within = (weights >= -1e-3).all(axis=0)
        for channel in (0, 1):
            places[channel][part][within] = np.einsum("i,ikl->kl", corners[:, channel], weights)[within]
    sampled = [
        map_coordinates(
            subject.pixels[..., channel].astype(np.float64), [places[1] - 0.5, places[0] - 0.5], order=1, mode="nearest"
        )
        for channel in range(3)
    ]
    return np.clip(np.rint(np.stack(sampled, axis=-1)), 0, 255).astype(np.uint8)
