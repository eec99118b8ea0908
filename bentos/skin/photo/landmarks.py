"""Face landmarks: MediaPipe's face mesh in ONNX Runtime, 468 points on the face's surface.

Kartynnik et al., Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs, 2019 (arXiv:1907.06724).
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bentos.skin.inference import new_session
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face import Face

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "face_landmarks.onnx"
INPUT = 192  # px; the network's square input
POINTS = 468
MARGIN = 1.5  # side of the network's view over the longer side of the box that it is placed by
PRESENT = 0.5  # presence below it: every placement that was looked at was wrong (profiles, cut or pixelated faces)
RIGHT_EYE, LEFT_EYE = 33, 263  # outer corners, of the person
# The face's oval from the middle of the forehead by the person's left to the chin and back by the right.
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
_LEFT_SIDE, _RIGHT_SIDE = OVAL[1:18], OVAL[:18:-1]  # mirror images of each other, in the same order
_TOP, _BOTTOM = 10, 152
LEVEL_PITCH = -1.2  # degrees between forehead and chin in depth, of a head held level: median of 53 frontal faces


@dataclass(frozen=True, slots=True)
class Pose:
    """How the head is turned, in degrees.

    Attributes:
        yaw: positive where the person looks to the right of the photo.
        pitch: positive where the person looks up; differs by up to 4 degrees between people.
        roll: positive where the head is tilted clockwise in the photo.
    """

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True)
class Landmarks:
    """The landmarks of one face.

    Attributes:
        points: float32 (468, 3), read-only: x, y in pixels of the upright photo, which may lie outside of it; z in the
            same unit, smaller is nearer to the camera.
        presence_logit: of the network's probability that it was shown a face; it tells the sure from the surer.
        pose: of the head.
    """

    points: NDArray[np.float32]
    presence_logit: float
    pose: Pose

    @property
    def presence(self) -> float:
        """The network's probability that it was shown a face, 0..1."""
        return _sigmoid(self.presence_logit)


class FaceMesh:
    """Finds landmarks; one mesh may serve many threads.

    Args:
        path: the ONNX file.
        threads: of ONNX Runtime, per call.
    """

    def __init__(self, path: Path = WEIGHTS, threads: int = 1) -> None:
        self._session = new_session(path, threads)

    def locate(self, photo: Photo, face: Face) -> Landmarks:
        """The landmarks of a detected face, by two passes: the first places the second.

        Args:
            photo: the upright photo.
            face: in it.
        """
        x, y, width, height = face.box
        right, left = face.keypoints[0].astype(np.float64), face.keypoints[1].astype(np.float64)
        points, logit = self._run(photo, (x + width / 2, y + height / 2), max(width, height), left - right)
        if _sigmoid(logit) >= PRESENT:
            low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
            level = points[LEFT_EYE, :2] - points[RIGHT_EYE, :2]
            centre = ((low + high) / 2).tolist()
            points, logit = self._run(photo, (centre[0], centre[1]), float((high - low).max()), level)
        single = points.astype(np.float32)
        single.setflags(write=False)
        return Landmarks(single, logit, pose_of(points))

    def _run(
        self, photo: Photo, centre: tuple[float, float], side: float, level: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float]:
        """Points (468, 3) in photo pixels and the logit of presence, of a square about a centre.

        Args:
            photo: the upright photo.
            centre: of the square, in photo pixels.
            side: of what the square is MARGIN times as large as, px.
            level: the direction, in the photo, that is horizontal in the square.
        """
        turn = math.atan2(level[1], level[0]) if np.isfinite(level).all() else 0.0
        step = max(MARGIN * side, 1.0) / INPUT
        along = step * np.array([math.cos(turn), math.sin(turn)])
        down = step * np.array([-math.sin(turn), math.cos(turn)])
        affine = np.column_stack([along, down, np.array(centre) - (along + down) * INPUT / 2])
        pixels = _sampled(photo, affine)
        landmarks, logit = self._session.run(["landmarks", "presence"], {"input": (pixels / np.float32(255))[None]})
        raw = landmarks.reshape(POINTS, 3).astype(np.float64)
        placed = raw[:, :2] @ affine[:, :2].T + affine[:, 2]
        return np.column_stack([placed, raw[:, 2] * step]), float(logit.ravel()[0])


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(logit, -60.0), 60.0)))


def pose_of(points: NDArray[np.float64] | NDArray[np.float32]) -> Pose:
    """The pose of a head: by the line between the sides of its oval, and by that from forehead to chin.

    Args:
        points: (468, 3), as of `Landmarks`.
    """
    across = (points[list(_LEFT_SIDE)] - points[list(_RIGHT_SIDE)]).mean(axis=0)
    along = points[_BOTTOM] - points[_TOP]
    roll = math.atan2(across[1], across[0])
    down = -math.sin(roll) * along[0] + math.cos(roll) * along[1]  # on the screen, upright
    return Pose(
        yaw=math.degrees(math.atan2(across[2], math.hypot(across[0], across[1]))),
        pitch=math.degrees(math.atan2(-along[2], max(down, 1e-6))) - LEVEL_PITCH,
        roll=math.degrees(roll),
    )


def _sampled(photo: Photo, affine: NDArray[np.float64]) -> NDArray[np.float32]:
    """The network's view: float32 (192, 192, 3), whole grey levels 0..255, edge pixels repeated beyond the photo.

    Args:
        photo: the upright photo.
        affine: (2, 3), from pixels of the view to pixels of the photo.
    """
    rows, columns = photo.pixels.shape[:2]
    scale = np.array([columns / photo.width, rows / photo.height])
    to_pixels = affine * scale[:, None]
    # Reduced first, so that bilinear samples see every pixel; only the part that the view shows.
    corners = np.array([(0, 0), (INPUT, 0), (0, INPUT), (INPUT, INPUT)]) @ to_pixels[:, :2].T + to_pixels[:, 2]
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 2, 0, (columns - 1, rows - 1))
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2, low + 1, (columns, rows))
    part = Image.fromarray(np.ascontiguousarray(photo.pixels[low[1] : high[1], low[0] : high[0]]))
    factor = max(int(np.linalg.norm(to_pixels[:, 0])), 1)
    if factor > 1:
        part = part.reduce(factor)
    local = (to_pixels - np.array([[0, 0, low[0]], [0, 0, low[1]]])) / factor
    # Pillow has no pixels to repeat beyond the edges: they are there before.
    corners = np.array([(0, 0), (INPUT, 0), (0, INPUT), (INPUT, INPUT)]) @ local[:, :2].T + local[:, 2]
    before = np.maximum(np.ceil(-corners.min(axis=0)).astype(int), 0)
    after = np.maximum(np.ceil(corners.max(axis=0) - part.size).astype(int), 0)
    if before.any() or after.any():
        margins = ((before[1], after[1]), (before[0], after[0]), (0, 0))
        part = Image.fromarray(np.pad(np.asarray(part), margins, mode="edge"))
        local[:, 2] += before
    bands = [
        band.convert("F").transform(
            (INPUT, INPUT), Image.Transform.AFFINE, local.ravel().tolist(), Image.Resampling.BILINEAR
        )
        for band in part.split()
    ]
    return np.asarray(np.rint(np.stack([np.asarray(band) for band in bands], axis=-1)), dtype=np.float32)
