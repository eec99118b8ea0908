"""Reads the faces of a photo: where they are, the landmarks of the largest, and how the photo must be turned for it.

A photo that is stored upside down or on its side, without EXIF to say so, is turned. Upside down, the detector can be
as sure as upright, and puts eyes where the mouth is; the mesh's presence tells: of 53 upright faces its logit was 21 at
least, of the same upside down 13 at most.
"""

import logging
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bentos.skin.photo.crop import Crop, cut
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face import SURE, Face, FaceDetector
from bentos.skin.photo.landmarks import PRESENT, FaceMesh, Landmarks

log = logging.getLogger("shine.photo")

SURE_LOGIT = 16.0  # of presence; from here on a face is upright, see above
STAYS = 2.0  # that another orientation's logit must be higher by
MOST_ROLL = 45.0  # degrees; beyond, another orientation of the photo is nearer to upright
COMPARED_AT = 512  # px of the long side, at least, at which other orientations are compared
Turn = Literal[0, 90, 180, 270]
OTHER_TURNS: tuple[Turn, ...] = (90, 180, 270)


@dataclass(frozen=True, slots=True)
class PhotoFaces:
    """The faces of a photo, in pixels of the photo as it was decoded, upright by EXIF.

    Attributes:
        faces: all, largest first.
        landmarks: of the largest; None without a face, where the mesh did not load, or where it sees no face.
        turned_degrees: 0, 90, 180 or 270: how the photo was turned, clockwise, to read them.
        crop: around the largest face, or the whole photo; turned like the photo.
        has_mesh: whether landmarks could be looked for: the mesh has loaded.
    """

    faces: list[Face]
    landmarks: Landmarks | None
    turned_degrees: Turn
    crop: Crop
    has_mesh: bool = True

    @property
    def largest(self) -> Face | None:
        """The largest face; None without one."""
        return self.faces[0] if self.faces else None


@dataclass(frozen=True, slots=True)
class _View:
    """The photo turned, and what is found in it."""

    degrees: Turn
    photo: Photo
    faces: list[Face]
    landmarks: Landmarks | None

    @property
    def uprightness(self) -> float:
        """The higher, the surer is the largest face to be one, and upright; in units of the presence's logit.

        The mesh levels what it is shown by the eyes, so that a face on its side is as sure as an upright one.
        """
        landmarks = self.landmarks
        if landmarks is None or landmarks.presence < PRESENT or abs(landmarks.pose.roll) > MOST_ROLL:
            return 0.0
        return min(landmarks.presence_logit, SURE_LOGIT) + (0.0 if self.degrees else STAYS)


class FaceReader:
    """Reads photos; one reader may serve many threads.

    Args:
        threads: of ONNX Runtime, per call.
    """

    def __init__(self, threads: int = 1) -> None:
        self._detector = FaceDetector(threads=threads)
        self._mesh: FaceMesh | None = None
        try:
            self._mesh = FaceMesh(threads=threads)
        except Exception:  # whatever ONNX Runtime raises; photos are answered without landmarks
            log.exception("the face mesh cannot be loaded; photos have no landmarks")

    @property
    def has_mesh(self) -> bool:
        """Whether the face mesh is loaded."""
        return self._mesh is not None

    def read(self, photo: Photo) -> PhotoFaces:
        """The faces of a photo and its crop, in the orientation in which the largest face is surest to be upright."""
        as_it_is = self._look(photo, 0)
        small = _reduced(photo)
        views = [as_it_is, *(self._look(small, degrees) for degrees in self._other_turns(as_it_is))]
        best = max(views, key=lambda view: view.uprightness)  # the first of equals: as it is
        if best.degrees and small is not photo:
            best = self._look(photo, best.degrees)
        back = from_turned(photo, best.degrees)
        landmarks = best.landmarks
        if landmarks is not None and landmarks.presence < PRESENT:
            landmarks = None
        crop = cut(best.photo, best.faces[0] if best.faces else None, None if landmarks is None else landmarks.points)
        crop = replace(crop, to_photo=_composed(back, crop.to_photo))
        faces = [_moved(face, back) for face in best.faces]
        if landmarks is None:
            return PhotoFaces(faces, None, best.degrees, crop, self.has_mesh)
        points = landmarks.points.copy()
        points[:, :2] = landmarks.points[:, :2] @ back[:, :2].T + back[:, 2]
        points.setflags(write=False)
        return PhotoFaces(faces, replace(landmarks, points=points), best.degrees, crop)

    def _look(self, photo: Photo, degrees: Turn) -> _View:
        turned = photo if degrees == 0 else _turned(photo, degrees)
        faces = self._detector.detect(turned, small=degrees == 0)
        landmarks = self._mesh.locate(turned, faces[0]) if faces and self._mesh else None
        return _View(degrees, turned, faces, landmarks)

    def _other_turns(self, view: _View) -> tuple[Turn, ...]:
        """Which other orientations are worth looking at; none without a mesh, which alone can compare them."""
        if self._mesh is None:
            return ()
        landmarks = view.landmarks
        if landmarks is None or view.faces[0].confidence < SURE or landmarks.presence < PRESENT:
            return OTHER_TURNS
        if abs(landmarks.pose.roll) > MOST_ROLL:
            return OTHER_TURNS
        return (180,) if landmarks.presence_logit < SURE_LOGIT else ()


def from_turned(photo: Photo, degrees: Turn) -> NDArray[np.float64]:
    """The affine, float64 (2, 3), from pixels of the photo turned clockwise by `degrees` to those of the photo."""
    width, height = photo.width, photo.height
    return np.array(
        {
            0: [[1, 0, 0], [0, 1, 0]],
            90: [[0, 1, 0], [-1, 0, height]],
            180: [[-1, 0, width], [0, -1, height]],
            270: [[0, -1, width], [1, 0, 0]],
        }[degrees],
        dtype=np.float64,
    )


def _turned(photo: Photo, degrees: Turn) -> Photo:
    pixels = np.ascontiguousarray(np.rot90(photo.pixels, -degrees // 90))
    swapped = degrees % 180 == 90
    width, height = (photo.height, photo.width) if swapped else (photo.width, photo.height)
    return replace(photo, pixels=pixels, width=width, height=height)


def _reduced(photo: Photo) -> Photo:
    """The photo with fewer pixels, of the same size: enough to compare orientations, and quickly turned."""
    stride = max(photo.pixels.shape[:2]) // COMPARED_AT
    return replace(photo, pixels=photo.pixels[::stride, ::stride]) if stride > 1 else photo


def _composed(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine that applies `inner`, then `outer`; all (2, 3)."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def _moved(face: Face, affine: NDArray[np.float64]) -> Face:
    """A face under an affine that turns by quarters."""
    x, y, width, height = face.box
    corners = np.array([(x, y), (x + width, y + height)]) @ affine[:, :2].T + affine[:, 2]
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    points = face.keypoints @ affine[:, :2].T.astype(np.float32) + affine[:, 2].astype(np.float32)
    return Face((left, top, right - left, bottom - top), face.confidence, points.astype(np.float32))
