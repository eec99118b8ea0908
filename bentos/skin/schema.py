"""What goes over HTTP. Within a major version it only grows; clients ignore what they do not know."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from bentos.skin.findings import Unseen
from bentos.skin.settings import Phase

SCHEMA_VERSION: Literal[1] = 1
NOTICE = (
    "Not a medical diagnosis. These are estimates from one photograph; light, camera and make-up change them. "
    "Ask a dermatologist about anything that worries you."
)
WEIGHTS_NOTICE = "The model's weights are for research and evaluation only."

Source = Literal["model", "heuristic"]
Severity = Literal["clear", "mild", "moderate", "severe", "very_severe"]
ToneGroup = Literal["very_light", "light", "intermediate", "tan", "brown", "dark"]
QualityIssue = Literal[
    "too_small",
    "blurred",
    "too_dark",
    "too_bright",
    "uneven_light",
    "tinted",
    "no_colour",
    "no_face",
    "several_faces",
    "little_skin",
    "turned_away",
    "cut_off",
    "covered",
    "compressed",
]
WrinkleZone = Literal["forehead", "crows_feet", "frown", "nasolabial"]
ColourZone = Literal["forehead", "nose", "cheek_left", "cheek_right", "chin"]
Reason = Literal[
    "model_disabled",
    "model_loading",
    "weights_missing",
    "weights_unreachable",
    "weights_corrupt",
    "weights_incompatible",
    "self_test_failed",
    "model_timeout",
    "model_crashed",
    "circuit_open",
]
ErrorCode = Literal[
    "api_key_missing",
    "api_key_wrong",
    "bad_base64",
    "bad_request",
    "batch_too_large",
    "body_too_large",
    "content_type_unsupported",
    "image_format_unsupported",
    "image_missing",
    "image_too_many_pixels",
    "image_too_small",
    "image_unreadable",
    "internal_error",
    "method_not_allowed",
    "model_unavailable",
    "not_found",
    "overloaded",
    "quality_too_low",
    "rate_limited",
    "request_timeout",
    "shutting_down",
    "timeout",
]
ModelState = Literal["disabled", "loading", "ready", "degraded"]
BreakerState = Literal["closed", "open", "half_open"]
Share = Annotated[float, Field(ge=0, le=1)]
Score = Annotated[int, Field(ge=0, le=100, description="0 (none) to 100 (worst seen)")]
Why = Annotated[Unseen | None, Field(description="why this cannot be judged; null where it is")]
Box = Annotated[
    tuple[float, float, float, float],
    WithJsonSchema(  # as a list: not all generators of clients understand the schema of a tuple (prefixItems)
        {
            "type": "array",
            "items": {"type": "number"},
            "minItems": 4,
            "maxItems": 4,
            "description": "[x, y, width, height] in pixels of the upright photo, inside it",
        }
    ),
]

Polygon = Annotated[
    list[tuple[float, float]] | None,
    WithJsonSchema(  # the types as a list: BentoML's client takes an array out of `anyOf` and cannot read null
        {
            "type": ["array", "null"],
            "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
            "minItems": 3,
            "description": "[[x, y], …] in pixels of the upright photo, inside it",
        }
    ),
]
HeatMap = Annotated[
    str,
    Field(
        pattern="^data:image/png;base64,",
        description="a data: URL of an 8-bit grey PNG, to be drawn over `box`; 0: nothing, 255: the most",
    ),
]
Advice = Annotated[
    list[str], Field(description="one sentence for each issue of the photo, for the person who takes it")
]


def _no_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


# A key that is left out, and never null.
ONLY_WHEN_ASKED: Any = Field(exclude_if=lambda value: value is None, json_schema_extra=_no_default)


class _Value(BaseModel):
    # Every field is always sent, those with a default too: the OpenAPI document says so.
    model_config = ConfigDict(frozen=True, protected_namespaces=(), json_schema_serialization_defaults_required=True)


class ImageInfo(_Value):
    """The photo as the service saw it, upright (after EXIF orientation).

    `turned_degrees` is how it had to be turned, clockwise, for its face to be upright; sizes and boxes are unturned.
    """

    width: int
    height: int
    format: Literal["JPEG", "PNG", "WEBP", "HEIC", "AVIF"]
    turned_degrees: Literal[0, 90, 180, 270]


class Quality(_Value):
    """How fit the photo is for analysis; `score` is null where the service does not assess it."""

    score: Share | None
    issues: list[QualityIssue]


class PoseInfo(_Value):
    """How the head is turned, in whole degrees, as the photo is turned.

    Positive: it looks to the right of the photo (`yaw`), up (`pitch`), is tilted clockwise (`roll`).
    """

    yaw: int
    pitch: int
    roll: int


class FaceInfo(_Value):
    """The largest face; `pose` is null where no landmarks were found."""

    box: Box
    confidence: Share
    pose: PoseInfo | None


class ToneInfo(_Value):
    """Colour of the skin in this photo: individual typology angle, uncalibrated; not Fitzpatrick type."""

    ita_degrees: float
    group: ToneGroup
    calibrated: Literal[False] = False


class LesionBox(_Value):
    """One lesion; `confidence` is the share of such boxes that are right, measured on labelled photos."""

    box: Box
    confidence: Share


class Acne(_Value):
    """Lesions. `severity` is on Hayashi's scale, estimated for itself; `count` may differ from the number of boxes.

    `boxes` are those of at least `min_confidence`; `count`, `score` and `severity` do not depend on it.
    """

    score: Score | None
    reason: Why
    severity: Severity | None
    count: Annotated[int, Field(ge=0)] | None
    boxes: list[LesionBox]
    confidence: Share | None
    source: Source


class WrinkleZones(_Value):
    forehead: Share | None
    crows_feet: Share | None
    frown: Share | None
    nasolabial: Share | None


class Wrinkles(_Value):
    """Wrinkles by zone; `unseen` says of each zone that is null why. Of two sides, one that is seen is enough."""

    score: Score | None
    reason: Why
    zones: WrinkleZones
    unseen: dict[WrinkleZone, Unseen]
    confidence: Share | None
    source: Source


class ColourZones(_Value):
    """Left and right are the person's own, in a photo that is not mirrored."""

    forehead: Share | None
    nose: Share | None
    cheek_left: Share | None
    cheek_right: Share | None
    chin: Share | None


class Measurement(_Value):
    """A colour or texture measurement; no labelled data exist for it, so its confidence is null.

    `score` is of the zones that are seen, in a close-up without a face of all skin. `unseen` says of each zone that is
    null why.
    """

    score: Score | None
    reason: Why
    zones: ColourZones
    unseen: dict[ColourZone, Unseen]
    confidence: Share | None = None
    source: Literal["heuristic"] = "heuristic"


class Concerns(_Value):
    acne: Acne
    wrinkles: Wrinkles
    redness: Measurement
    pigmentation: Measurement
    shine: Measurement
    texture: Measurement


class Outlines(_Value):
    """The face and its zones as polygons in the photo; null where they are not seen."""

    forehead: Polygon
    crows_feet_left: Polygon
    crows_feet_right: Polygon
    frown: Polygon
    nasolabial_left: Polygon
    nasolabial_right: Polygon
    cheek_left: Polygon
    cheek_right: Polygon
    nose: Polygon
    chin: Polygon
    face: Polygon


class Maps(_Value):
    """Heat maps of one part of the photo; null for a concern that is not judged."""

    box: Annotated[Box, Field(description="[x, y, width, height] of that part, in pixels of the upright photo")]
    acne: HeatMap | None
    wrinkles: HeatMap | None
    redness: HeatMap | None
    pigmentation: HeatMap | None
    shine: HeatMap | None
    texture: HeatMap | None


class ModelInfo(_Value):
    """The weights that answered; `sha256` is that of their manifest."""

    name: str
    version: str
    sha256: str


class Timing(_Value):
    """Milliseconds by stage. `total` counts from receipt of the whole body."""

    decode: float
    face: float
    analysis: float
    total: float


class Analysis(_Value):
    """Findings on one photo, with who found them."""

    schema_version: Literal[1] = SCHEMA_VERSION
    request_id: str
    source: Annotated[Source, Field(description="which runner produced the learned concerns, acne and wrinkles")]
    degraded: Annotated[bool, Field(description="the phase wants the model and the model did not answer")]
    reason: Annotated[Reason | None, Field(description="why the model did not answer; null when it did")]
    model: ModelInfo | None
    image: ImageInfo
    quality: Quality
    advice: Advice
    face: FaceInfo | None
    tone: Annotated[ToneInfo | None, Field(description="null where light, colour or too little skin do not allow it")]
    concerns: Concerns
    outlines: Annotated[Outlines | SkipJsonSchema[None], ONLY_WHEN_ASKED] = Field(
        None, description="only with include=outlines"
    )
    maps: Annotated[Maps | SkipJsonSchema[None], ONLY_WHEN_ASKED] = Field(None, description="only with include=maps")
    timing_ms: Timing
    notice: str = NOTICE


class QualityAnswer(_Value):
    """How fit a photo is, and what would make it so; nothing is measured on it, and no model is asked."""

    request_id: str
    image: ImageInfo
    quality: Quality
    advice: Advice
    face: FaceInfo | None


class ErrorDetail(_Value):
    code: ErrorCode
    message: Annotated[str, Field(description="what was wrong, in one sentence")]
    hint: Annotated[str, Field(description="what would be right")]
    request_id: str


class ErrorAnswer(_Value):
    """The one shape of every error."""

    error: ErrorDetail


class BatchAnswer(_Value):
    """One result per photo, in the order sent; a bad photo is an error of its own and never fails the others."""

    results: list[Analysis | ErrorAnswer]


class Health(_Value):
    """Whether the process can answer; never depends on the model."""

    status: Literal["ok"]
    phase: Phase
    uptime_s: Annotated[float, Field(ge=0)]


class Readiness(_Value):
    """Whether requests are answered as the phase demands; `reason` says why the model is not asked."""

    ready: bool
    state: ModelState
    reason: Reason | None


class Version(_Value):
    """What runs: release, git commit, bento, and weights; null where there is none or it is not known."""

    service: Literal["shine"]
    version: str
    revision: str | None
    bento: str | None
    phase: Phase
    model: ModelInfo | None
    schema_version: Literal[1]


class Policy(_Value):
    """What is done with and without the model, by the settings."""

    model_wanted: bool
    require_model: bool
    without_the_model: Literal["503 model_unavailable", "heuristic answers"]
    model_deadline_ms: int
    request_deadline_ms: int


class Breakers(_Value):
    """Circuit breaker of each runner."""

    model: BreakerState
    heuristic: BreakerState


class Answers(_Value):
    """Photos since the start: answered by each runner, and refused because the model was required."""

    model: int
    heuristic: int
    refused: int


class Batching(_Value):
    """Limits of the model's batches, and photos in one on average; null before the first."""

    max_batch_size: int
    max_latency_ms: int
    mean_batch: float | None


class Accuracy(_Value):
    """Figures measured on labelled photos; null where the weights bring none."""

    model: dict[str, Any] | None
    heuristic: dict[str, Any]


Limit = Annotated[int, Field(strict=True, ge=0, le=1000)]


class ModelLimits(_Value):
    """By how much two photos of one face may differ without a difference of the skin, by the model's findings.

    A difference up to the limit means nothing: 95 % of those between retakes of one photo in other crop, size,
    compression and light lie within it. Scores are in points of 0 to 100, `count` in lesions.
    """

    acne: Limit
    count: Limit
    wrinkles: Limit


class HeuristicLimits(ModelLimits):
    """The same of the heuristics, and of what they alone measure; `ita_degrees` is that of the tone."""

    redness: Limit
    pigmentation: Limit
    shine: Limit
    texture: Limit
    ita_degrees: Limit


LIMITS: dict[Source, type[ModelLimits]] = {"model": ModelLimits, "heuristic": HeuristicLimits}


class Repeatability(_Value):
    """The limits of both; null where the weights bring none."""

    model: ModelLimits | None
    heuristic: HeuristicLimits


EXAMPLE_ANALYSIS: dict[str, Any] = {
    "schema_version": 1,
    "request_id": "0f1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e",
    "source": "heuristic",
    "degraded": False,
    "reason": "model_disabled",
    "model": None,
    "image": {"width": 1080, "height": 1350, "format": "JPEG", "turned_degrees": 0},
    "quality": {"score": 0.47, "issues": ["cut_off"]},
    "advice": ["Move back or lower the camera, so that the whole face fits into the photo."],
    "face": {"box": [301.0, 402.5, 480.0, 480.0], "confidence": 0.97, "pose": {"yaw": -12, "pitch": 3, "roll": 1}},
    "tone": {"ita_degrees": 31.2, "group": "intermediate", "calibrated": False},
    "concerns": {
        "acne": {
            "score": 34,
            "reason": None,
            "severity": "moderate",
            "count": 12,
            "boxes": [{"box": [410.25, 655.0, 18.5, 18.0], "confidence": 0.71}],
            "confidence": 0.8,
            "source": "heuristic",
        },
        "wrinkles": {
            "score": 43,
            "reason": None,
            "zones": {"forehead": 0.7, "crows_feet": 0.2, "frown": None, "nasolabial": 0.4},
            "unseen": {"frown": "covered"},
            "confidence": None,
            "source": "heuristic",
        },
        **{
            name: {
                "score": score,
                "reason": None,
                "zones": {"forehead": 0.2, "nose": 0.5, "cheek_left": 0.4, "cheek_right": 0.4, "chin": None},
                "unseen": {"chin": "outside_photo"},
                "confidence": None,
                "source": "heuristic",
            }
            for name, score in (("redness", 41), ("pigmentation", 22), ("shine", 18), ("texture", 27))
        },
    },
    "timing_ms": {"decode": 6.1, "face": 3.2, "analysis": 48.0, "total": 61.0},
    "notice": NOTICE,
}
