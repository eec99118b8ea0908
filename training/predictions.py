"""Collects the predictions of the model and of the heuristics for labelled photos, with the code of the service.

Each photo passes decoding, face detection, cropping and prediction, and the boxes are converted back to photo pixels.
Boxes of any confidence are kept, as a client gets them with min_confidence=0, for average precision.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bentos.skin.findings import SEVERITIES, WRINKLE_ZONES, LesionsAndWrinkles
from bentos.skin.measure import find
from bentos.skin.model import postprocess
from bentos.skin.model.bundle import Calibration
from bentos.skin.model.postprocess import Outputs
from bentos.skin.photo.crop import CROP_SIZE, Crop, boxes_to_photo, points_to_crop
from bentos.skin.photo.decode import Photo, decode
from bentos.skin.photo.face_reader import FaceReader
from bentos.skin.photo.view import FaceView, on_skin, unseen_wrinkles, view_of_face
from training import metrics
from training.distortions import Distortion, distort
from training.labels import AcnePhoto, LondonFace, WrinklePhoto


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predictor's result for one crop.

    Attributes:
        served: the result as served.
        wrinkle_maps: computes the maps, float32 (cells, cells, 4), 0..1; None where the predictor has no maps.
        milliseconds: CPU time of the served result.
    """

    served: LesionsAndWrinkles
    wrinkle_maps: Callable[[], NDArray[np.float32]] | None
    milliseconds: float


Predictor = Callable[[FaceView], Prediction]


class NetworkRunner(Protocol):
    """The method of `OnnxEngine` that is measured."""

    def run(self, crops: NDArray[np.uint8]) -> Outputs: ...


def predict_with_heuristics(view: FaceView) -> Prediction:
    """Predict acne and wrinkles with the heuristics."""
    start = time.thread_time()
    served = find(view)
    return Prediction(served, None, 1000 * (time.thread_time() - start))


def model_predictor(engine: NetworkRunner, calibration: Calibration) -> Predictor:
    """Make the predictor that runs a bundle's network as the service does.

    Args:
        engine: runs the network.
        calibration: of the bundle's manifest.
    """

    def predict(view: FaceView) -> Prediction:
        start = time.thread_time()
        outputs = engine.run(view.crop.pixels[None])
        served = postprocess.lesions_and_wrinkles(outputs, 0, calibration)
        milliseconds = 1000 * (time.thread_time() - start)
        return Prediction(served, lambda: outputs["wrinkle_maps"][0], milliseconds)

    return predict


@dataclass
class Predictions:
    """One predictor's predictions for a set of photos; the tables of `metrics` are made from them.

    Attributes:
        acne: column → a value or an array for each acne photo.
        wrinkles: column → a value or an array for each wrinkle photo.
        milliseconds: CPU time of each photo.
    """

    acne: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    wrinkles: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    milliseconds: list[float] = field(default_factory=list)

    def add_acne(
        self,
        label: AcnePhoto,
        labelled_boxes: NDArray[np.float64],
        prediction: Prediction,
        view: FaceView,
        photo: Photo,
    ) -> None:
        """Add the prediction for one acne photo.

        Args:
            label: of the photo; its boxes are not used.
            labelled_boxes: (m, 4) in px of the photo that was sent.
            prediction: for its view.
            view: of the photo.
            photo: as decoded.
        """
        columns, served = self.acne, prediction.served
        boxes, confidence = boxes_on_skin(view, served)
        boxes = boxes_to_photo(view.crop.to_photo, boxes, photo.width, photo.height)
        columns["box_photo"].append(np.full(len(boxes), len(columns["true_count"]), dtype=np.intp))
        columns["true_count"].append(len(labelled_boxes))
        columns["true_severity"].append(label.severity)
        columns["count"].append(served.count)
        columns["severity"].append(max(SEVERITIES.index(served.severity) - 1, 0))
        columns["severity_confidence"].append(
            np.nan if served.severity_confidence is None else served.severity_confidence
        )
        columns["box_confidence"].append(confidence)
        columns["box_shown"].append(confidence >= served.min_confidence)
        for min_iou, correct in metrics.correct_boxes(boxes, labelled_boxes).items():
            columns[f"box_correct {min_iou}"].append(correct)

    def add_wrinkles(
        self, label: WrinklePhoto, prediction: Prediction, view: FaceView, photo: Photo, with_maps: bool
    ) -> None:
        """Add the prediction for one wrinkle photo.

        Args:
            label: of the photo.
            prediction: for its view.
            view: of the photo.
            photo: as decoded.
            with_maps: whether to compare the wrinkle maps with the labelled boxes; they must not have moved.
        """
        columns, served = self.wrinkles, prediction.served
        columns["truth"].append([len(label.boxes[zone]) > 0 for zone in WRINKLE_ZONES])
        unseen = unseen_wrinkles(view)
        chances = [None if zone in unseen else served.wrinkles[zone] for zone in WRINKLE_ZONES]
        columns["probabilities"].append([np.nan if chance is None else chance for chance in chances])
        columns["shown_boxes"].append(int((boxes_on_skin(view, served)[1] >= served.min_confidence).sum()))
        if prediction.wrinkle_maps is not None and with_maps:
            size = np.array([photo.width, photo.height] * 2)
            maps = np.moveaxis(prediction.wrinkle_maps(), -1, 0)
            labelled = [labelled_cells(view.crop, label.boxes[zone] * size, maps.shape[1]) for zone in WRINKLE_ZONES]
            columns["map_cells"].append([metrics.count_levels(*pair) for pair in zip(maps, labelled, strict=True)])

    def acne_table(self) -> metrics.AcneTable:
        """Make the table of the acne photos, in the order in which they were added."""
        columns = self.acne
        by_photo = ("true_count", "true_severity", "count", "severity", "severity_confidence")
        by_box = ("box_photo", "box_confidence", "box_shown")
        return metrics.AcneTable(
            **{name: np.array(columns[name]) for name in by_photo},
            **{name: np.concatenate(columns[name]) for name in by_box},
            box_correct={iou: np.concatenate(columns[f"box_correct {iou}"]) for iou in metrics.MIN_IOUS},
        )

    def wrinkle_table(self) -> metrics.WrinkleTable:
        """Make the table of the wrinkle photos, in the order in which they were added."""
        columns = {name: np.array(values) for name, values in self.wrinkles.items()}
        return metrics.WrinkleTable(
            columns["truth"], columns["probabilities"], columns["shown_boxes"], columns.get("map_cells")
        )


def collect(
    photos: Sequence[AcnePhoto | WrinklePhoto],
    predictors: Mapping[str, Predictor],
    distortion: Distortion | None = None,
    on_photo: Callable[[], object] = lambda: None,
) -> tuple[dict[str, Predictions], int]:
    """Run predictors on labelled photos.

    Args:
        photos: labels of the photos.
        predictors: name → predictor.
        distortion: applied to each photo before it is decoded.
        on_photo: called after each photo, for progress.

    Returns:
        (name → predictions, number of photos without a face).

    Raises:
        OSError: a photo cannot be read.
        ShineError: a photo cannot be decoded.
    """
    reader = FaceReader()
    collected = {name: Predictions() for name in predictors}
    faceless = 0
    for label in photos:
        data, labelled_boxes = (
            label.path.read_bytes(),
            label.boxes if isinstance(label, AcnePhoto) else np.empty((0, 4)),
        )
        if distortion is not None:
            data, labelled_boxes = distort(distortion, data, labelled_boxes)
        photo = decode(data)
        faces = reader.read(photo)
        view = view_of_face(photo, faces)
        faceless += faces.largest is None
        for name, predict in predictors.items():
            prediction = predict(view)
            collected[name].milliseconds.append(prediction.milliseconds)
            if isinstance(label, AcnePhoto):
                collected[name].add_acne(label, labelled_boxes, prediction, view, photo)
            else:
                collected[name].add_wrinkles(label, prediction, view, photo, with_maps=distortion is None)
        on_photo()
    return collected, faceless


def collect_london(
    faces: Sequence[LondonFace], predictors: Mapping[str, Predictor], on_photo: Callable[[], object] = lambda: None
) -> dict[str, metrics.LondonTable]:
    """Run predictors on the London faces.

    Args:
        faces: labels of the photos.
        predictors: name → predictor.
        on_photo: called after each photo, for progress.

    Raises:
        OSError, ShineError: as `collect`.
    """
    reader = FaceReader()
    counts: dict[str, list[int]] = defaultdict(list)
    shown: dict[str, list[int]] = defaultdict(list)
    severities: dict[str, list[int]] = defaultdict(list)
    chances: dict[str, list[list[float]]] = defaultdict(list)
    unseen = []
    for label in faces:
        photo = decode(label.path.read_bytes())
        view = view_of_face(photo, reader.read(photo))
        unseen.append(len(view.unseen))
        for name, predict in predictors.items():
            served = predict(view).served
            counts[name].append(served.count)
            shown[name].append(int((boxes_on_skin(view, served)[1] >= served.min_confidence).sum()))
            severities[name].append(SEVERITIES.index(served.severity))
            values = [None if zone in unseen_wrinkles(view) else served.wrinkles[zone] for zone in WRINKLE_ZONES]
            chances[name].append([np.nan if value is None else value for value in values])
        on_photo()
    return {
        name: metrics.LondonTable(
            list(faces),
            np.array(counts[name]),
            np.array(shown[name]),
            np.array(unseen),
            np.array(severities[name]),
            np.array(chances[name]),
        )
        for name in predictors
    }


def boxes_on_skin(view: FaceView, served: LesionsAndWrinkles) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All boxes that are served of a view with min_confidence 0: (n, 4) in crop pixels, and confidences (n,)."""
    boxes = np.array([lesion.box for lesion in served.lesions], dtype=np.float64).reshape(-1, 4)
    confidence = np.array([lesion.confidence for lesion in served.lesions], dtype=np.float64)
    kept = on_skin(view, boxes)
    return boxes[kept], confidence[kept]


def labelled_cells(crop: Crop, boxes: NDArray[np.float64], cells: int) -> NDArray[np.bool_]:
    """Find the cells of a wrinkle map that lie in a labelled box.

    Args:
        crop: of the map.
        boxes: (n, 4), x, y, width, height in photo pixels; each box inside the crop covers at least one cell.
        cells: side of the map.

    Returns:
        bool (cells, cells).
    """
    mask = np.zeros((cells, cells), dtype=np.bool_)
    low, high = (
        points_to_crop(crop, corner) * cells / CROP_SIZE for corner in (boxes[:, :2], boxes[:, :2] + boxes[:, 2:])
    )
    first = np.rint(low).astype(int)
    last = np.maximum(np.rint(high).astype(int), first + 1).clip(0, cells)
    first = first.clip(0, cells)  # after `last` is known: a box outside the crop must not cover a cell at its border
    for (x0, y0), (x1, y1) in zip(first, last, strict=True):
        mask[y0:y1, x0:x1] = True
    return mask
