"""Face detection: BlazeFace in ONNX Runtime.

Bazarevsky et al., BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs, 2019 (arXiv:1907.05047);
the weights are MediaPipe's short-range model, trained for faces within two metres.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bentos.skin.inference import new_session
from bentos.skin.photo.decode import Photo

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "face_detection_short_range.onnx"
INPUT = 128  # px; the network's square input
ANCHORS = ((8, 2), (16, 6))  # (stride in px, anchors per cell) of the two feature maps
COLUMNS = 17  # of a detection: score, x0, y0, x1, y1, six key points x, y
LOGIT_LIMIT = 100.0  # MediaPipe's score_clipping_thresh: keeps exp() finite
# Thresholds chosen on ACNE04 and scikit-image's sample pictures: a cat scores 0.52 in the whole photo, a colour wheel
# 0.61 shrunk, cells, galaxies and a coat 0.65 to 0.73 in tiles; faces from the front score 0.8 and more, half-profiles
# 0.5 to 0.8.
THRESHOLD_WHOLE = 0.53
THRESHOLD_SHRUNK = 0.62
THRESHOLD_TILES = 0.75
SURE = 0.75  # a detection with this score needs no further view; a lower one may be a coat, and the face too small
# The largest face is detected again where it is small: on photos shrunk to 0.16 of the side, the key points' error
# falls from 0.098 to 0.036 of the pupils' distance, and still from 0.054 to 0.035 at 0.31.
CLOSER_BELOW = 0.4  # box side over the photo's long side
CLOSER_VIEW = 2.0  # side of that view over the side of the box
OVERLAP = 0.3  # intersection over union from which two boxes are one face (MediaPipe's min_suppression_threshold)
CONTAINED = 0.7  # share of the smaller box within the larger: the same face, cut by a tile's border
TILES_ALONG = 12  # at most; a panorama has gaps between its tiles, or it would cost seconds


@dataclass(frozen=True, slots=True)
class Face:
    """A face, in pixels of the upright photo (`Photo.width` × `Photo.height`), whatever size was decoded.

    Attributes:
        box: (x, y, width, height), float, inside the photo.
        confidence: the detector's score, 0..1.
        keypoints: float32 (6, 2): the person's right eye, left eye, nose tip, mouth centre, right ear, left ear.
            They may lie outside the photo.
    """

    box: tuple[float, float, float, float]
    confidence: float
    keypoints: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _View:
    """A square of the photo that the network sees: left, top and side in photo pixels; may extend beyond the photo."""

    left: float
    top: float
    side: float


class FaceDetector:
    """Finds faces; one detector may serve many threads.

    Args:
        path: the ONNX file.
        threads: of ONNX Runtime, per call.
    """

    def __init__(self, path: Path = WEIGHTS, threads: int = 1) -> None:
        self._session = new_session(path, threads)
        self._anchors = anchors()

    def detect(self, photo: Photo, *, small: bool = True) -> list[Face]:
        """Faces in the photo, largest first; an empty list where there is none.

        The whole photo comes first. Where that gives no sure detection, shrunk copies follow, for faces larger than
        the frame, then parts of the photo, for small faces.

        Args:
            photo: the upright photo.
            small: whether parts of the photo are looked at, which takes several times as long as all before.
        """
        image = _working_image(photo)
        detections = np.empty((0, COLUMNS))
        steps = ((_whole, THRESHOLD_WHOLE), (_shrunk, THRESHOLD_SHRUNK), (_tiles, THRESHOLD_TILES))
        for views, threshold in steps if small else steps[:-1]:
            rows = np.concatenate([self._detect_in(image, photo, view, threshold) for view in views(photo)])
            sure = len(rows) > 0 and rows[:, 0].max() >= SURE
            if sure or not len(detections):
                detections = rows
            if sure:
                break
        rows = weighted_nms(detections)
        rows = rows[np.argsort(-_areas(rows, photo), kind="stable")]
        faces = [
            _face(self._refined(image, photo, row) if index == 0 else row, photo) for index, row in enumerate(rows)
        ]
        return sorted((face for face in faces if face), key=lambda face: -face.box[2] * face.box[3])

    def _refined(self, image: Image.Image, photo: Photo, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """A small face, detected again in a view of its own; the score stays."""
        side = float(max(row[3] - row[1], row[4] - row[2]))
        if side >= CLOSER_BELOW * max(photo.width, photo.height):
            return row
        wide = CLOSER_VIEW * side
        view = _View(float(row[1] + row[3] - wide) / 2, float(row[2] + row[4] - wide) / 2, wide)
        again = weighted_nms(self._detect_in(image, photo, view, THRESHOLD_WHOLE))
        same = again[_overlap(row[1:5], again[:, 1:5])[0] > OVERLAP]
        return np.concatenate([row[:1], same[0, 1:]]) if len(same) else row

    def _detect_in(self, image: Image.Image, photo: Photo, view: _View, threshold: float) -> NDArray[np.float64]:
        """Detections in one view, (n, 17): score, x0, y0, x1, y1, six key points, in photo pixels."""
        regressors, logits = self._session.run(
            ["regressors", "classificators"], {"input": _input_of(image, photo, view)}
        )
        rows = decode(regressors[0], logits[0, :, 0], self._anchors)
        rows = rows[rows[:, 0] >= threshold]
        rows[:, 1::2] = rows[:, 1::2] * view.side + view.left
        rows[:, 2::2] = rows[:, 2::2] * view.side + view.top
        return rows


def anchors() -> NDArray[np.float64]:
    """Anchor centres, (896, 2), as fractions of the input side; all of size 1 (`fixed_anchor_size`)."""
    centres = []
    for stride, per_cell in ANCHORS:
        cells = INPUT // stride
        y, x = np.mgrid[0:cells, 0:cells]
        centres.append(np.repeat((np.stack([x, y], -1).reshape(-1, 2) + 0.5) / cells, per_cell, axis=0))
    return np.concatenate(centres)


def decode(
    regressors: NDArray[np.float32], logits: NDArray[np.float32], centres: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Raw outputs → (n, 17): score, x0, y0, x1, y1, then six key points x, y, as fractions of the input side.

    As MediaPipe's TensorsToDetectionsCalculator with reverse_output_order: everything is over the input side and
    relative to the anchor's centre.

    Args:
        regressors: (n, 16), centre x, centre y, width, height, six times x, y, in input pixels.
        logits: (n,).
        centres: (n, 2) from `anchors`.
    """
    score = 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -LOGIT_LIMIT, LOGIT_LIMIT)))
    values = regressors.astype(np.float64) / INPUT
    middle, half = values[:, 0:2] + centres, values[:, 2:4] / 2
    points = (values[:, 4:].reshape(len(values), -1, 2) + centres[:, None]).reshape(len(values), -1)
    return np.concatenate([score[:, None], middle - half, middle + half, points], axis=1)


def weighted_nms(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted non-maximum suppression: overlapping detections become their mean, weighted by score.

    The paper averages boxes and key points instead of dropping some, which makes both more
    stable. Boxes that overlap little but lie mostly within a better one are dropped: they are parts of the same face.

    Args:
        rows: (n, 17) as from `decode`.

    Returns:
        (m, 17), best score first, each with the score of the best it was made of.
    """
    rest = rows[np.argsort(-rows[:, 0], kind="stable")]
    kept = []
    while len(rest):
        union, smaller = _overlap(rest[0, 1:5], rest[:, 1:5])
        union[0] = 1.0  # a degenerate box does not overlap even itself
        group = rest[union > OVERLAP]
        blend = np.average(group, axis=0, weights=group[:, 0])
        blend[0] = group[0, 0]
        kept.append(blend)
        rest = rest[(union <= OVERLAP) & (smaller <= CONTAINED)]
    return np.array(kept).reshape(-1, rows.shape[1])


def _overlap(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intersection of one box with many, over their union and over the smaller of the two; corners x0, y0, x1, y1."""
    shared = np.prod(np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None), axis=1)
    areas = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)
    area = np.prod(np.clip(box[2:] - box[:2], 0, None))
    return shared / np.maximum(area + areas - shared, 1e-12), shared / np.maximum(np.minimum(area, areas), 1e-12)


def _areas(rows: NDArray[np.float64], photo: Photo) -> NDArray[np.float64]:
    """Area of each box within the photo, px²."""
    limit = np.array([photo.width, photo.height, photo.width, photo.height])
    corners = np.clip(rows[:, 1:5], 0, limit)
    return np.asarray((corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1]), dtype=np.float64)


def _working_image(photo: Photo) -> Image.Image:
    """The photo reduced to 512..1023 pixels on its long side: enough for any view, and cheap to resample."""
    stride = max(1, max(photo.pixels.shape[:2]) // (4 * INPUT))
    return Image.fromarray(np.ascontiguousarray(photo.pixels[::stride, ::stride]))


def _whole(photo: Photo, scale: float = 1.0) -> list[_View]:
    """The photo in the centre of a square of `scale` times its long side."""
    side = scale * max(photo.width, photo.height)
    return [_View((photo.width - side) / 2, (photo.height - side) / 2, side)]


def _shrunk(photo: Photo) -> list[_View]:
    """The photo shrunk, with a border: for faces that fill the frame; the network expects them in a scene."""
    return [*_whole(photo, 1.5), *_whole(photo, 2.2)]


def _tiles(photo: Photo) -> list[_View]:
    """Squares of the short side along the long one, then of half the short side, each overlapping by half."""
    views = []
    short = float(min(photo.width, photo.height))
    for side in (short, short / 2):
        for top in _starts(photo.height, side):
            for left in _starts(photo.width, side):
                views.append(_View(left, top, side))
    return views


def _starts(length: int, side: float) -> list[float]:
    """Where tiles begin along one axis, half overlapping."""
    steps = max(int(np.ceil((length - side) / (side / 2) - 1e-9)), 0)
    return [float(value) for value in np.linspace(0.0, length - side, min(steps + 1, TILES_ALONG))]


def _input_of(image: Image.Image, photo: Photo, view: _View) -> NDArray[np.float32]:
    """The view as the network's input, float32 (1, 3, 128, 128) in [-1, 1], black beyond the photo."""
    step = view.side / INPUT
    x0, x1 = (round(float(np.clip((edge - view.left) / step, 0, INPUT))) for edge in (0, photo.width))
    y0, y1 = (round(float(np.clip((edge - view.top) / step, 0, INPUT))) for edge in (0, photo.height))
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    scale_x, scale_y = image.width / photo.width, image.height / photo.height
    box = (
        max(view.left + x0 * step, 0.0) * scale_x,
        max(view.top + y0 * step, 0.0) * scale_y,
        min(view.left + x1 * step, photo.width) * scale_x,
        min(view.top + y1 * step, photo.height) * scale_y,
    )
    part = image.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    pixels = np.zeros((INPUT, INPUT, 3), dtype=np.float32)
    pixels[y0:y1, x0:x1] = np.asarray(part)
    return np.ascontiguousarray((pixels / 127.5 - 1.0).transpose(2, 0, 1)[None], dtype=np.float32)


def _face(row: NDArray[np.float64], photo: Photo) -> Face | None:
    """A detection as a Face, its box cut to the photo; None where nothing of it lies inside."""
    x0, x1 = np.clip(row[[1, 3]], 0, photo.width)
    y0, y1 = np.clip(row[[2, 4]], 0, photo.height)
    if x1 - x0 < 1 or y1 - y0 < 1:
        return None
    box = (float(x0), float(y0), float(x1 - x0), float(y1 - y0))
    return Face(box, float(row[0]), row[5:].reshape(-1, 2).astype(np.float32))
