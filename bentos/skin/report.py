"""Measurements and predictions → Analysis: boxes into pixels of the upright photo, shares into scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bentos.skin.findings import Graded, LesionsAndWrinkles, Measured
from bentos.skin.photo.crop import boxes_to_photo
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face_reader import PhotoFaces
from bentos.skin.photo.landmarks import Landmarks
from bentos.skin.photo.quality import Quality as PhotoQuality
from bentos.skin.schema import (
    NOTICE,
    WEIGHTS_NOTICE,
    Acne,
    Analysis,
    ColourZones,
    Concerns,
    FaceInfo,
    ImageInfo,
    LesionBox,
    Measurement,
    ModelInfo,
    PoseInfo,
    Quality,
    Reason,
    Source,
    Timing,
    ToneInfo,
    Wrinkles,
    WrinkleZones,
)

ACNE_COUNT_SCALE = 29.0  # lesions at which the acne score reaches 63; 12 lesions score 34, 50 score 82


@dataclass(frozen=True, slots=True)
class PreparedPhoto:
    """A photo before anything is measured on it: decoded, its faces, and the crop of the largest."""

    photo: Photo
    faces: PhotoFaces


@dataclass(frozen=True, slots=True)
class RunnerResult:
    """What the runners found on a crop, and which of them answered."""

    measured: Measured
    lesions_and_wrinkles: LesionsAndWrinkles
    source: Source
    degraded: bool
    reason: Reason | None
    model: ModelInfo | None


def acne_score(count: int) -> int:
    """0..100 for a lesion count. It saturates: the step from 5 to 15 lesions matters more than that from 65 to 75."""
    return round(100 * (1 - math.exp(-count / ACNE_COUNT_SCALE)))


def wrinkle_score(zones: dict[str, float]) -> int:
    """0..100: the mean over the zones."""
    return round(100 * sum(zones.values()) / len(zones))


def build(
    prepared: PreparedPhoto,
    result: RunnerResult,
    quality: PhotoQuality,
    request_id: str,
    timing: Timing,
    report_issues: bool = True,
) -> Analysis:
    """The answer to one photo.

    Args:
        prepared: the photo, its faces and the crop that was analysed.
        result: of the runners.
        quality: how fit the photo is.
        request_id: of the request.
        timing: milliseconds by stage.
        report_issues: whether quality issues are listed.
    """
    photo, learned, measured = prepared.photo, result.lesions_and_wrinkles, result.measured
    faces = prepared.faces
    face = faces.largest
    # Confidence was measured on faces; for a photo without a face it is not known.
    confidence = None if face is None else learned.severity_confidence
    wrinkles_confidence = None if face is None else learned.wrinkles_confidence
    boxes = boxes_to_photo(faces.crop.to_photo, [lesion.box for lesion in learned.lesions], photo.width, photo.height)
    return Analysis(
        request_id=request_id,
        notice=f"{NOTICE} {WEIGHTS_NOTICE}" if result.source == "model" else NOTICE,
        source=result.source,
        degraded=result.degraded,
        reason=result.reason,
        model=result.model,
        image=ImageInfo(
            width=photo.width, height=photo.height, format=photo.format, turned_degrees=faces.turned_degrees
        ),
        quality=Quality(score=_share(quality.score), issues=list(quality.issues) if report_issues else []),
        face=None
        if face is None
        else FaceInfo(box=_box(face.box), confidence=_share(face.confidence), pose=_pose(faces.landmarks)),
        tone=None
        if measured.tone is None
        else ToneInfo(ita_degrees=round(measured.tone.ita_degrees, 1), group=measured.tone.group),
        concerns=Concerns(
            acne=Acne(
                score=acne_score(learned.count),
                severity=learned.severity,
                count=learned.count,
                boxes=[
                    LesionBox(box=_box(box), confidence=_share(lesion.confidence))
                    for box, lesion in zip(boxes, learned.lesions, strict=True)
                ],
                confidence=_optional_share(confidence),
                source=result.source,
            ),
            wrinkles=Wrinkles(
                score=wrinkle_score(learned.wrinkles),
                zones=WrinkleZones(**{zone: _share(value) for zone, value in learned.wrinkles.items()}),
                confidence=_optional_share(wrinkles_confidence),
                source=result.source,
            ),
            redness=_measurement(measured.redness),
            pigmentation=_measurement(measured.pigmentation),
            shine=_measurement(measured.shine),
            texture=_measurement(measured.texture),
        ),
        timing_ms=timing,
    )


def _pose(landmarks: Landmarks | None) -> PoseInfo | None:
    if landmarks is None:
        return None
    pose = landmarks.pose
    return PoseInfo(yaw=round(pose.yaw), pitch=round(pose.pitch), roll=round(pose.roll))


def _measurement(graded: Graded) -> Measurement:
    return Measurement(
        score=round(graded.score), zones=ColourZones(**{zone: _share(value) for zone, value in graded.zones.items()})
    )


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, float(value))), 3)


def _optional_share(value: float | None) -> float | None:
    return None if value is None else _share(value)


def _box(box: Sequence[float]) -> tuple[float, float, float, float]:
    # Quarters of a pixel are exact in binary, so that no rounding error makes x + width exceed the photo.
    x, y, width, height = (float(value) for value in box)
    left, top, right, bottom = (round(edge * 4) / 4 for edge in (x, y, x + width, y + height))
    return left, top, right - left, bottom - top
