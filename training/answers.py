"""What both paths say of labelled photos, by the code that serves: bytes → decode → face → crop → path → photo pixels.

Beside the findings that are served stand all candidate boxes with their scores, for average precision.
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
from training import figures
from training.distortions import Distortion, distorted
from training.labels import AcnePhoto, WrinklePhoto

MAPS = "wrinkle_maps"  # output of the network that serving does not read: chance of each zone's wrinkles by cell


@dataclass(frozen=True, slots=True)
class Found:
    """What a path says of a crop.

    Attributes:
        learned: as served; its lesions are the first of the candidates.
        boxes: float64 (n, 4) in crop pixels, all candidates, best first.
        score: float64 (n,), by which they are ranked.
        maps: makes the maps of wrinkles, float32 (cells, cells, 4), where asked; None of a path without.
        milliseconds: CPU time of what is served.
    """

    learned: LesionsAndWrinkles
    boxes: NDArray[np.float64]
    score: NDArray[np.float64]
    maps: Callable[[], NDArray[np.float32]] | None
    milliseconds: float


Look = Callable[[Crop], Found]


class Runs(Protocol):
    """The part of `OnnxEngine` that is measured."""

    def run(self, crops: NDArray[np.uint8]) -> Outputs: ...


def heuristic(crop: Crop) -> Found:
    """The heuristics: the parts of `measure.measure` that find acne and wrinkles, and the candidates behind them."""
    lab, masks = reduced_lab(crop.pixels, blemishes.FACTOR), zones.face_masks(crop)
    skin = skin_mask(crop, masks)
    start = time.thread_time()
    acne, wrinkles = blemishes.find(crop, lab, skin, masks), lines.find(crop, masks)
    spent = 1000 * (time.thread_time() - start)
    served = LesionsAndWrinkles(
        acne.lesions, acne.count, acne.severity, acne.severity_confidence, wrinkles.zones, wrinkles.confidence
    )
    where, rows = blemishes.pixel_features(crop, lab, skin, masks)
    if not len(rows):
        return Found(served, np.empty((0, 4)), np.empty(0), None, spent)
    fitted = blemishes._fitted()
    centres, features = blemishes.candidates(fitted.pixels(rows)[:, 0], where, rows)
    boxes = blemishes.place(centres, fitted.boxes(features))
    score = sigmoid(fitted.candidates(features)[:, 0])
    kept = nms(boxes, score, blemishes.OVERLAP)
    return Found(served, boxes[kept].astype(np.float64), score[kept].astype(np.float64), None, spent)


def model(engine: Runs, calibration: Calibration, maps: ort.InferenceSession | None = None) -> Look:
    """The network of a bundle, as served.

    Args:
        engine: runs it.
        calibration: of its manifest.
        maps: a session on the same network, asked for MAPS; without it no maps are measured.
    """

    def look(crop: Crop) -> Found:
        start = time.thread_time()
        outputs = engine.run(crop.pixels[None])
        served = lesions_and_wrinkles(outputs, 0, calibration)
        spent = 1000 * (time.thread_time() - start)
        boxes, score = peaks(outputs, 0, calibration)
        return Found(served, boxes, score, None if maps is None else lambda: drawn(maps, crop), spent)

    def drawn(session: ort.InferenceSession, crop: Crop) -> NDArray[np.float32]:
        cells: NDArray[np.float32] = session.run([MAPS], {session.get_inputs()[0].name: crop.pixels[None]})[0][0]
        return cells

    return look


@dataclass
class Answers:
    """What is gathered while photos go by; the tables come out of it."""

    acne: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    wrinkles: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    milliseconds: list[float] = field(default_factory=list)

    def add_acne(self, label: AcnePhoto, true: NDArray[np.float64], group: str, found: Found, boxes: Any) -> None:
        """One acne photo: true boxes and found ones, both in photo pixels, the latter best first."""
        rows, said = self.acne, found.learned
        shown = np.arange(len(boxes)) < len(said.lesions)
        confidence = np.zeros(len(boxes))
        confidence[shown] = [lesion.confidence for lesion in said.lesions]
        rows["photo"].append(np.full(len(boxes), len(rows["lesions"]), dtype=np.intp))
        rows["lesions"].append(len(true))
        rows["grade"].append(label.severity)
        rows["tone"].append(group)
        rows["count"].append(said.count)
        rows["said"].append(max(SEVERITIES.index(said.severity) - 1, 0))
        rows["sure"].append(np.nan if said.severity_confidence is None else said.severity_confidence)
        rows["score"].append(found.score)
        rows["confidence"].append(confidence)
        rows["shown"].append(shown)
        for least, right in figures.right_boxes(boxes, true).items():
            rows[f"right {least}"].append(right)

    def add_wrinkles(
        self, label: WrinklePhoto, group: str, found: Found, crop: Crop, photo: Photo, with_maps: bool
    ) -> None:
        """One wrinkle photo; maps are looked at where its boxes lie as they were drawn."""
        rows, said = self.wrinkles, found.learned
        rows["truth"].append([len(label.boxes[zone]) > 0 for zone in WRINKLE_ZONES])
        rows["tone"].append(group)
        rows["chances"].append([said.wrinkles[zone] for zone in WRINKLE_ZONES])
        rows["sure"].append(np.nan if said.wrinkles_confidence is None else said.wrinkles_confidence)
        if found.maps is not None and with_maps:
            size = np.array([photo.width, photo.height] * 2)
            maps = np.moveaxis(found.maps(), -1, 0)
            cells = [drawn_cells(crop, label.boxes[zone] * size, maps.shape[1]) for zone in WRINKLE_ZONES]
            rows["maps"].append([figures.map_levels(*pair) for pair in zip(maps, cells, strict=True)])

    def acne_table(self) -> figures.Acne:
        """Of the photos so far, in the order they came."""
        rows = self.acne
        joined = {name: np.concatenate(rows[name]) for name in ("photo", "score", "confidence", "shown")}
        single = {name: np.array(rows[name]) for name in ("lesions", "grade", "tone", "count", "said", "sure")}
        right = {least: np.concatenate(rows[f"right {least}"]) for least in figures.OVERLAPS}
        return figures.Acne(**single, **joined, right=right)

    def wrinkle_table(self) -> figures.Wrinkles:
        """Of the photos so far, in the order they came."""
        rows = {name: np.array(values) for name, values in self.wrinkles.items()}
        return figures.Wrinkles(rows["truth"], rows["tone"], rows["chances"], rows["sure"], rows.get("maps"))


def gather(
    photos: Sequence[AcnePhoto | WrinklePhoto],
    paths: Mapping[str, Look],
    distortion: Distortion | None = None,
    seen: Callable[[], object] = lambda: None,
) -> tuple[dict[str, Answers], int]:
    """Send photos through the paths.

    Args:
        photos: labelled.
        paths: name → path.
        distortion: done to each before; tones are told of undistorted photos only.
        seen: called after each photo.

    Returns:
        (name → answers, photos without a face).
    """
    detector = FaceDetector()
    answers = {name: Answers() for name in paths}
    faceless = 0
    for label in photos:
        data, true = label.path.read_bytes(), label.boxes if isinstance(label, AcnePhoto) else np.empty((0, 4))
        if distortion is not None:
            data, true = distorted(distortion, data, true)
        photo = decode(data)
        faces = detector.detect(photo)
        crop = cut(photo, faces[0] if faces else None)
        faceless += not faces
        group = "" if distortion is not None else tone_group(crop)
        for name, look in paths.items():
            found = look(crop)
            answers[name].milliseconds.append(found.milliseconds)
            if isinstance(label, AcnePhoto):
                boxes = boxes_to_photo(crop.to_photo, found.boxes, photo.width, photo.height)
                answers[name].add_acne(label, true, group, found, boxes)
            else:
                answers[name].add_wrinkles(label, group, found, crop, photo, with_maps=distortion is None)
        seen()
    return answers, faceless


def tone_group(crop: Crop) -> str:
    """Group of the skin tone as served; "" where none is told."""
    masks = zones.face_masks(crop)
    surface = prepare(crop, skin_mask(crop, masks), masks)
    found = tone(surface.lab, surface.skin)
    return "" if found is None else found.group


def drawn_cells(crop: Crop, boxes: NDArray[np.float64], cells: int) -> NDArray[np.bool_]:
    """Cells of a map on which one of the boxes (n, 4) in photo pixels lies, one each at least; bool (cells, cells)."""
    drawn = np.zeros((cells, cells), dtype=np.bool_)
    low, high = (
        points_to_crop(crop, corner) * cells / CROP_SIZE for corner in (boxes[:, :2], boxes[:, :2] + boxes[:, 2:])
    )
    first = np.rint(low).astype(int)
    last = np.maximum(np.rint(high).astype(int), first + 1).clip(0, cells)
    first = first.clip(0, cells)  # only now: a box beside the crop must not get its one cell at the border
    for (x0, y0), (x1, y1) in zip(first, last, strict=True):
        drawn[y0:y1, x0:x1] = True
    return drawn
