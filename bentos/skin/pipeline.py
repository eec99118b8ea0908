"""The steps from a photo to its answer that every way shares: the server, the Analyzer, the command line, the batch."""

import time
from dataclasses import dataclass, replace

from bentos.skin import overlay
from bentos.skin.errors import QualityTooLow
from bentos.skin.findings import CONCERNS, LesionsAndWrinkles, Measured
from bentos.skin.layers import outlines
from bentos.skin.model.status import ModelAnswer
from bentos.skin.options import Options
from bentos.skin.photo import quality
from bentos.skin.photo.decode import Photo, decode
from bentos.skin.photo.face_reader import FaceReader, PhotoFaces
from bentos.skin.photo.view import view_of_face
from bentos.skin.report import PreparedPhoto, RunnerResult, maps_of
from bentos.skin.schema import Analysis, Reason, Timing
from bentos.skin.settings import Settings


@dataclass(frozen=True, slots=True)
class Prepared:
    """A photo before anything is measured on it, and how long that took.

    Attributes:
        photo: with its faces, its view and its quality.
        decode_ms: of decoding.
        face_ms: of the rest.
    """

    photo: PreparedPhoto
    decode_ms: float
    face_ms: float


class Preparation:
    """Decodes photos and reads their faces; one may serve many threads.

    Args:
        settings: the largest photo, and whether quality is assessed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.reader = FaceReader(threads=1)

    def __call__(self, data: bytes) -> Prepared:
        """What is seen of a photo.

        Args:
            data: the whole file.

        Raises:
            ShineError: the photo cannot be read.
        """
        began = time.perf_counter()
        photo = decode(data, max_bytes=self._settings.max_photo_bytes, max_pixels=self._settings.max_pixels)
        return self.of_decoded(photo, began)

    def of_decoded(self, photo: Photo, began: float) -> Prepared:
        """What is seen of a photo that is decoded.

        Args:
            photo: upright.
            began: time.perf_counter() when its decoding began.
        """
        decoded = time.perf_counter()
        faces = self.reader.read(photo)
        prepared = prepare(photo, faces, assess=self._settings.quality != "off")
        return Prepared(prepared, 1000 * (decoded - began), 1000 * (time.perf_counter() - decoded))


def timing(prepared: Prepared, *, analysis_s: float, total_s: float) -> Timing:
    """The time of each stage, as an Analysis reports it.

    Args:
        prepared: the photo.
        analysis_s: seconds of the runners.
        total_s: seconds since the photo was received.
    """
    return Timing(
        decode=round(prepared.decode_ms, 1),
        face=round(prepared.face_ms, 1),
        analysis=round(1000 * analysis_s, 1),
        total=round(1000 * total_s, 1),
    )


def prepare(photo: Photo, faces: PhotoFaces, *, assess: bool = True) -> PreparedPhoto:
    """What is seen of a photo, in which light, and how fit it is.

    Args:
        photo: decoded and upright.
        faces: of the photo.
        assess: whether its quality is.
    """
    view = view_of_face(photo, faces)
    assessed = quality.assess(photo, faces, view)
    view = replace(view, reasons={**assessed.unjudged, **view.reasons})
    return PreparedPhoto(photo, faces, view, assessed if assess else None)


def refuse_unfit(prepared: PreparedPhoto, settings: Settings) -> None:
    """Refuse a photo with quality issues where the settings are strict.

    Raises:
        QualityTooLow: it has some.
    """
    if settings.quality == "strict" and prepared.quality is not None and prepared.quality.issues:
        raise QualityTooLow(f"The photo is not fit for analysis: {', '.join(prepared.quality.issues)}.")


def of_model(measured: Measured, answer: ModelAnswer) -> RunnerResult:
    """The result where the model has answered."""
    found = answer.lesions_and_wrinkles
    return RunnerResult(measured, found, "model", degraded=False, reason=None, model=answer.model)


def of_heuristics(
    measured: Measured, found: LesionsAndWrinkles, reason: Reason | None, settings: Settings
) -> RunnerResult:
    """The result where the model has not answered.

    Args:
        measured: colour and texture.
        found: acne and wrinkles.
        reason: why the model has not answered.
        settings: whether the phase wants the model.
    """
    return RunnerResult(measured, found, "heuristic", degraded=settings.wants_model, reason=reason, model=None)


def pictured(analysis: Analysis, prepared: PreparedPhoto, result: RunnerResult, options: Options) -> bytes:
    """The photo as PNG with the findings of its analysis drawn in; heat maps only where they are asked for."""
    photo = prepared.photo
    heat = maps_of(prepared, result, analysis.concerns) if set(options.layers) & set(CONCERNS) else None
    return overlay.draw(photo, analysis, outlines(prepared.view, photo.width, photo.height), heat, options)
