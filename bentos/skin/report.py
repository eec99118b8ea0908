"""Measurements and predictions → Analysis: boxes into pixels of the upright photo, shares into scores.

Nothing is said of what was not seen: a zone that is not seen is null, and so is a concern without a zone.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bentos.skin.findings import (
    COLOUR_ZONES,
    CONCERNS,
    WRINKLE_ZONES,
    Graded,
    Lesion,
    LesionsAndWrinkles,
    Measured,
    Unseen,
)
from bentos.skin.layers import HeatMaps, box_on_grid, data_url, heat_maps, outlines
from bentos.skin.options import Options
from bentos.skin.photo.crop import boxes_to_photo
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face_reader import PhotoFaces
from bentos.skin.photo.quality import Quality as PhotoQuality
from bentos.skin.photo.view import FaceView, on_skin, unseen_wrinkles
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
    Maps,
    Measurement,
    ModelInfo,
    Outlines,
    PoseInfo,
    Quality,
    QualityAnswer,
    Reason,
    Source,
    Timing,
    ToneInfo,
    Wrinkles,
    WrinkleZones,
)

ACNE_COUNT_SCALE = 29.0  # lesions at which the acne score reaches 63; 12 lesions score 34, 50 score 82
NOT_MEASURED: Unseen = "covered"  # a zone that is seen, but of which too few pixels are skin ...
NOT_MEASURED_OF_TEXTURE: Unseen = "too_dark"  # ... or bright enough to have a texture


@dataclass(frozen=True, slots=True)
class PreparedPhoto:
    """A photo before anything is measured on it.

    Attributes:
        photo: decoded and upright.
        faces: in it.
        view: of the largest face, or of a close-up.
        quality: how fit it is; None where the service does not assess it.
    """

    photo: Photo
    faces: PhotoFaces
    view: FaceView
    quality: PhotoQuality | None


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


def wrinkle_score(zones: Iterable[float | None]) -> int | None:
    """0..100: the mean over the zones that are seen; None without one."""
    seen = [share for share in zones if share is not None]
    return round(100 * sum(seen) / len(seen)) if seen else None


def build(prepared: PreparedPhoto, result: RunnerResult, options: Options, request_id: str, timing: Timing) -> Analysis:
    """The answer to one photo.

    Args:
        prepared: the photo, its faces and what is seen of the largest.
        result: of the runners.
        options: of the request.
        request_id: of the request.
        timing: milliseconds by stage.
    """
    learned, measured, view = result.lesions_and_wrinkles, result.measured, prepared.view
    tone = None if "tone" in view.reasons else measured.tone
    concerns = Concerns(
        acne=_acne(prepared, learned, options.min_confidence, result.source),
        wrinkles=_wrinkles(view, learned.wrinkles, result.source),
        redness=_measurement(view, "redness", measured.redness),
        pigmentation=_measurement(view, "pigmentation", measured.pigmentation),
        shine=_measurement(view, "shine", measured.shine),
        texture=_measurement(view, "texture", measured.texture),
    )
    return Analysis(
        request_id=request_id,
        notice=f"{NOTICE} {WEIGHTS_NOTICE}" if result.source == "model" else NOTICE,
        source=result.source,
        degraded=result.degraded,
        reason=result.reason,
        model=result.model,
        image=_image(prepared),
        quality=_quality(prepared.quality),
        advice=_advice(prepared.quality),
        face=_face(prepared),
        tone=None if tone is None else ToneInfo(ita_degrees=round(tone.ita_degrees, 1), group=tone.group),
        concerns=concerns,
        outlines=_outlines(prepared) if "outlines" in options.include else None,
        maps=_maps(maps_of(prepared, result, concerns)) if "maps" in options.include else None,
        timing_ms=timing,
    )


def quality_answer(prepared: PreparedPhoto, request_id: str) -> QualityAnswer:
    """How fit a photo is, without findings."""
    return QualityAnswer(
        request_id=request_id,
        image=_image(prepared),
        quality=_quality(prepared.quality),
        advice=_advice(prepared.quality),
        face=_face(prepared),
    )


def maps_of(prepared: PreparedPhoto, result: RunnerResult, concerns: Concerns) -> HeatMaps:
    """The heat maps of the concerns that are judged."""
    judged = [name for name in CONCERNS if getattr(concerns, name).score is not None]
    turned = prepared.faces.turned_degrees
    return heat_maps(prepared.view, result.measured, result.lesions_and_wrinkles, judged, turned)


def shown_lesions(view: FaceView, lesions: Sequence[Lesion], min_confidence: float) -> list[Lesion]:
    """The lesions of at least a confidence, as it is reported, whose middle lies on the skin of the face."""
    lie = on_skin(view, [lesion.box for lesion in lesions])
    return [
        lesion
        for lesion, lies in zip(lesions, lie, strict=True)
        if lies and _share(lesion.confidence) >= min_confidence
    ]


def _acne(prepared: PreparedPhoto, learned: LesionsAndWrinkles, min_confidence: float | None, source: Source) -> Acne:
    view, photo = prepared.view, prepared.photo
    reason = view.reasons.get("acne")
    if reason is not None:
        return Acne(score=None, reason=reason, severity=None, count=None, boxes=[], confidence=None, source=source)
    lesions = shown_lesions(view, learned.lesions, learned.min_confidence if min_confidence is None else min_confidence)
    boxes = boxes_to_photo(view.crop.to_photo, [lesion.box for lesion in lesions], photo.width, photo.height)
    # The class's probability was measured on faces; for skin without a face it is not known.
    chance = learned.severity_confidence if prepared.faces.faces else None
    return Acne(
        score=acne_score(learned.count),
        reason=None,
        severity=learned.severity,
        count=learned.count,
        boxes=[
            LesionBox(box=_box(box), confidence=_share(lesion.confidence))
            for box, lesion in zip(boxes.tolist(), lesions, strict=True)
        ],
        confidence=None if chance is None else _share(chance),
        source=source,
    )


def _wrinkles(view: FaceView, values: Mapping[str, float | None], source: Source) -> Wrinkles:
    reason = view.reasons.get("wrinkles")
    zones, unseen = _zones(WRINKLE_ZONES, values, unseen_wrinkles(view), reason)
    score = wrinkle_score(zones.values())
    return Wrinkles(
        score=score,
        reason=reason or (_commonest(unseen) if score is None else None),
        zones=WrinkleZones(**zones),
        unseen=unseen,
        confidence=None,  # one that is measured photo by photo is not there yet
        source=source,
    )


def _measurement(view: FaceView, name: str, graded: Graded) -> Measurement:
    hidden = {zone: view.unseen[zone] for zone in COLOUR_ZONES if zone in view.unseen}
    reason = view.reasons.get(name)
    if reason is None and graded.score is None and view.parts is None:
        reason = "no_skin"
    values = graded.zones if graded.score is not None else dict.fromkeys(COLOUR_ZONES)
    not_measured = NOT_MEASURED_OF_TEXTURE if name == "texture" else NOT_MEASURED
    zones, unseen = _zones(COLOUR_ZONES, values, hidden, reason, not_measured)
    if reason is None and view.parts is not None and len(unseen) == len(COLOUR_ZONES):
        reason = _commonest(unseen)
    return Measurement(
        score=None if reason is not None or graded.score is None else round(graded.score),
        reason=reason,
        zones=ColourZones(**zones),
        unseen=unseen,
    )


def _zones(
    names: Sequence[str],
    values: Mapping[str, float | None],
    hidden: Mapping[str, Unseen],
    reason: Unseen | None,
    not_measured: Unseen = NOT_MEASURED,
) -> tuple[dict[str, float | None], dict[Any, Unseen]]:
    """The value of each zone, and of each without one why.

    Args:
        names: of the zones.
        values: that were measured.
        hidden: the zones that are not seen → why.
        reason: why none of them is judged; None where they are.
        not_measured: why a zone that is seen could not be measured.
    """
    zones: dict[str, float | None] = {}
    unseen: dict[Any, Unseen] = {}
    for name in names:
        value = None if reason is not None or name in hidden else values[name]
        zones[name] = None if value is None else _share(value)
        if value is None:
            unseen[name] = hidden.get(name) or reason or not_measured
    return zones, unseen


def _commonest(unseen: Mapping[Any, Unseen]) -> Unseen:
    return Counter(unseen.values()).most_common(1)[0][0]


def _outlines(prepared: PreparedPhoto) -> Outlines:
    return Outlines(**outlines(prepared.view, prepared.photo.width, prepared.photo.height))


def _maps(heat: HeatMaps) -> Maps:
    urls = {name: None if picture is None else data_url(picture) for name, picture in heat.pictures.items()}
    return Maps(box=heat.box, **urls)


def _image(prepared: PreparedPhoto) -> ImageInfo:
    photo = prepared.photo
    return ImageInfo(
        width=photo.width, height=photo.height, format=photo.format, turned_degrees=prepared.faces.turned_degrees
    )


def _quality(quality: PhotoQuality | None) -> Quality:
    if quality is None:
        return Quality(score=None, issues=[])
    return Quality(score=_share(quality.score), issues=list(quality.issues))


def _advice(quality: PhotoQuality | None) -> list[str]:
    return [] if quality is None else list(quality.advice)


def _face(prepared: PreparedPhoto) -> FaceInfo | None:
    face = prepared.faces.largest
    if face is None:
        return None
    landmarks = prepared.faces.landmarks
    pose = None
    if landmarks is not None and prepared.view.parts is not None:
        turned = landmarks.pose
        pose = PoseInfo(yaw=round(turned.yaw), pitch=round(turned.pitch), roll=round(turned.roll))
    return FaceInfo(box=_box(face.box), confidence=_share(face.confidence), pose=pose)


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, float(value))), 3)


def _box(box: Sequence[float]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return box_on_grid(x, y, x + width, y + height)
