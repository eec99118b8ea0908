"""Collects the predictions of the model and of the heuristics for labelled photos, with the code of the service.

Each photo passes decoding, face detection, cropping and prediction, and the boxes are converted back to photo pixels.
Beside the served predictions all candidate boxes are kept with their scores, for average precision.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bentos.skin.boxes import nms
from bentos.skin.findings import SEVERITIES, WRINKLE_ZONES, LesionsAndWrinkles
from bentos.skin.measure import blemishes, lines
from bentos.skin.measure.colour import reduced_lab
from bentos.skin.measure.surface import prepare
from bentos.skin.measure.tone import tone
from bentos.skin.measure.tuned import sigmoid
from bentos.skin.model.bundle import Calibration
from bentos.skin.model.postprocess import Outputs, lesions_and_wrinkles, peaks
from bentos.skin.photo import zones
from bentos.skin.photo.crop import CROP_SIZE, Crop, boxes_to_photo, cut, points_to_crop
from bentos.skin.photo.decode import Photo, decode
from bentos.skin.photo.face import FaceDetector
from bentos.skin.photo.skin import skin_mask
from training import metrics
from training.distortions import Distortion, distort
from training.labels import AcnePhoto, WrinklePhoto

WRINKLE_MAPS = "wrinkle_maps"  # output of the network that serving does not read: each cell's probability, by zone


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predictor's result for one crop.

    Attributes:
        served: the result as served; its lesions are the first of the candidates.
        boxes: float64 (n, 4), all candidates, x, y, width, height in crop pixels, best first.
        scores: float64 (n,), by which the candidates are ranked.
        wrinkle_maps: computes the maps, float32 (cells, cells, 4), 0..1; None where the predictor has no maps.
        milliseconds: CPU time of the served result.
    """

    served: LesionsAndWrinkles
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    wrinkle_maps: Callable[[], NDArray[np.float32]] | None
    milliseconds: float


Predictor = Callable[[Crop], Prediction]


class NetworkRunner(Protocol):
    """The method of `OnnxEngine` that is measured."""

    def run(self, crops: NDArray[np.uint8]) -> Outputs: ...


def predict_with_heuristics(crop: Crop) -> Prediction:
    """Predict acne and wrinkles with the heuristics, as `measure.measure` does, and keep all candidate boxes."""
    lab, masks = reduced_lab(crop.pixels, blemishes.FACTOR), zones.face_masks(crop)
    skin = skin_mask(crop, masks)
    start = time.thread_time()
    acne, wrinkles = blemishes.find(crop, lab, skin, masks), lines.find(crop, masks)
    milliseconds = 1000 * (time.thread_time() - start)
    served = LesionsAndWrinkles(
        acne.lesions, acne.count, acne.severity, acne.severity_confidence, wrinkles.zones, wrinkles.confidence
    )
    mask, rows = blemishes.pixel_features(crop, lab, skin, masks)
    if not len(rows):
        return Prediction(served, np.empty((0, 4)), np.empty(0), None, milliseconds)
    fitted = blemishes._fitted()
    centres, features = blemishes.candidates(fitted.pixels(rows)[:, 0], mask, rows)
    boxes = blemishes.place(centres, fitted.boxes(features))
    scores = sigmoid(fitted.candidates(features)[:, 0])
    kept = nms(boxes, scores, blemishes.OVERLAP)
    return Prediction(served, boxes[kept].astype(np.float64), scores[kept].astype(np.float64), None, milliseconds)


def model_predictor(
    engine: NetworkRunner, calibration: Calibration, session: ort.InferenceSession | None = None
) -> Predictor:
    """Make the predictor that runs a bundle's network as the service does.

    Args:
        engine: runs the network.
        calibration: of the bundle's manifest.
        session: of the same network, for the output WRINKLE_MAPS; None: the maps are not measured.
    """

    def predict(crop: Crop) -> Prediction:
        start = time.thread_time()
        outputs = engine.run(crop.pixels[None])
        served = lesions_and_wrinkles(outputs, 0, calibration)
        milliseconds = 1000 * (time.thread_time() - start)
        boxes, scores = peaks(outputs, 0, calibration)
        wrinkle_maps = None if session is None else lambda: run_maps(session, crop)
        return Prediction(served, boxes, scores, wrinkle_maps, milliseconds)

    def run_maps(session: ort.InferenceSession, crop: Crop) -> NDArray[np.float32]:
        maps: NDArray[np.float32] = session.run([WRINKLE_MAPS], {session.get_inputs()[0].name: crop.pixels[None]})[0][0]
        return maps

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
        tone_group: str,
        prediction: Prediction,
        boxes: NDArray[np.float64],
    ) -> None:
        """Add the prediction for one acne photo.

        Args:
            label: of the photo; its boxes are not used.
            labelled_boxes: (m, 4) in px of the photo that was sent.
            tone_group: of the photo's skin tone, or "".
            prediction: for its crop.
            boxes: (n, 4), the prediction's boxes in px of the photo that was sent.
        """
        columns, served = self.acne, prediction.served
        shown = np.arange(len(boxes)) < len(served.lesions)
        confidence = np.zeros(len(boxes))
        confidence[shown] = [lesion.confidence for lesion in served.lesions]
        columns["box_photo"].append(np.full(len(boxes), len(columns["true_count"]), dtype=np.intp))
        columns["true_count"].append(len(labelled_boxes))
        columns["true_severity"].append(label.severity)
        columns["tone"].append(tone_group)
        columns["count"].append(served.count)
        columns["severity"].append(max(SEVERITIES.index(served.severity) - 1, 0))
        columns["severity_confidence"].append(
            np.nan if served.severity_confidence is None else served.severity_confidence
        )
        columns["box_score"].append(prediction.scores)
        columns["box_confidence"].append(confidence)
        columns["box_shown"].append(shown)
        for min_iou, correct in metrics.correct_boxes(boxes, labelled_boxes).items():
            columns[f"box_correct {min_iou}"].append(correct)

    def add_wrinkles(
        self, label: WrinklePhoto, tone_group: str, prediction: Prediction, crop: Crop, photo: Photo, with_maps: bool
    ) -> None:
        """Add the prediction for one wrinkle photo.

        Args:
            label: of the photo.
            tone_group: of the photo's skin tone, or "".
            prediction: for its crop.
            crop: of the photo.
            photo: as decoded.
            with_maps: whether to compare the wrinkle maps with the labelled boxes; they must not have moved.
        """
        columns, served = self.wrinkles, prediction.served
        columns["truth"].append([len(label.boxes[zone]) > 0 for zone in WRINKLE_ZONES])
        columns["tone"].append(tone_group)
        columns["probabilities"].append([served.wrinkles[zone] for zone in WRINKLE_ZONES])
        columns["confidence"].append(np.nan if served.wrinkles_confidence is None else served.wrinkles_confidence)
        if prediction.wrinkle_maps is not None and with_maps:
            size = np.array([photo.width, photo.height] * 2)
            maps = np.moveaxis(prediction.wrinkle_maps(), -1, 0)
            labelled = [labelled_cells(crop, label.boxes[zone] * size, maps.shape[1]) for zone in WRINKLE_ZONES]
            columns["map_cells"].append([metrics.count_levels(*pair) for pair in zip(maps, labelled, strict=True)])

    def acne_table(self) -> metrics.AcneTable:
        """Make the table of the acne photos, in the order in which they were added."""
        columns = self.acne
        by_photo = ("true_count", "true_severity", "tone", "count", "severity", "severity_confidence")
        by_box = ("box_photo", "box_score", "box_confidence", "box_shown")
        return metrics.AcneTable(
            **{name: np.array(columns[name]) for name in by_photo},
            **{name: np.concatenate(columns[name]) for name in by_box},
            box_correct={iou: np.concatenate(columns[f"box_correct {iou}"]) for iou in metrics.MIN_IOUS},
        )

    def wrinkle_table(self) -> metrics.WrinkleTable:
        """Make the table of the wrinkle photos, in the order in which they were added."""
        columns = {name: np.array(values) for name, values in self.wrinkles.items()}
        return metrics.WrinkleTable(
            columns["truth"],
            columns["tone"],
            columns["probabilities"],
            columns["confidence"],
            columns.get("map_cells"),
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
        distortion: applied to each photo before it is decoded; the skin tone is measured without it only.
        on_photo: called after each photo, for progress.

    Returns:
        (name → predictions, number of photos without a face).

    Raises:
        OSError: a photo cannot be read.
        ShineError: a photo cannot be decoded.
    """
    detector = FaceDetector()
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
        faces = detector.detect(photo)
        crop = cut(photo, faces[0] if faces else None)
        faceless += not faces
        group = "" if distortion is not None else tone_group(crop)
        for name, predict in predictors.items():
            prediction = predict(crop)
            collected[name].milliseconds.append(prediction.milliseconds)
            if isinstance(label, AcnePhoto):
                boxes = boxes_to_photo(crop.to_photo, prediction.boxes, photo.width, photo.height)
                collected[name].add_acne(label, labelled_boxes, group, prediction, boxes)
            else:
                collected[name].add_wrinkles(label, group, prediction, crop, photo, with_maps=distortion is None)
        on_photo()
    return collected, faceless


def tone_group(crop: Crop) -> str:
    """Return the group of the skin tone as the service does; "" where the tone cannot be measured."""
    masks = zones.face_masks(crop)
    surface = prepare(crop, skin_mask(crop, masks), masks)
    measured = tone(surface.lab, surface.skin)
    return "" if measured is None else measured.group


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
