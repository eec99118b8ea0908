"""The service's answers. They may grow: a field that is unknown here is ignored, a code is kept as it is."""

from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

# What a field may have in this release of the service, and, since more may be added, the type that all of it has.
Source: TypeAlias = Literal["model", "heuristic"] | str
Severity: TypeAlias = Literal["clear", "mild", "moderate", "severe", "very_severe"] | str
ToneGroup: TypeAlias = Literal["very_light", "light", "intermediate", "tan", "brown", "dark"] | str
ImageFormat: TypeAlias = Literal["JPEG", "PNG", "WEBP", "HEIC", "AVIF"] | str
Phase: TypeAlias = Literal["simple", "hybrid", "foundation", "full"] | str
ModelState: TypeAlias = Literal["disabled", "loading", "ready", "degraded"] | str
BreakerState: TypeAlias = Literal["closed", "open", "half_open"] | str
QualityIssue: TypeAlias = (
    Literal[
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
    | str
)
Unseen: TypeAlias = (
    Literal[
        "no_face",
        "no_skin",
        "no_colour",
        "too_dark",
        "too_bright",
        "too_blurred",
        "too_small",
        "turned_away",
        "covered",
        "outside_photo",
    ]
    | str
)
Reason: TypeAlias = (
    Literal[
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
    | str
)


class Box(NamedTuple):
    """A rectangle in pixels of the upright photo, inside it."""

    x: float
    y: float
    width: float
    height: float


class Point(NamedTuple):
    """A corner of a polygon in pixels of the upright photo."""

    x: float
    y: float


Polygon: TypeAlias = list[Point]
HeatMap: TypeAlias = Annotated[str | None, Field(repr=False)]  # a data: URL of an 8-bit grey PNG; long


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class ImageInfo(_Value):
    """The photo, upright. `turned_degrees`: how it was turned, clockwise, to read its face; boxes are unturned."""

    width: int
    height: int
    format: ImageFormat
    turned_degrees: Literal[0, 90, 180, 270] | int


class Quality(_Value):
    """How fit the photo is for analysis, 0 to 1; `score` is null where the service does not assess it."""

    score: float | None
    issues: list[QualityIssue]


class PoseInfo(_Value):
    """Whole degrees. Positive: it looks to the photo's right (`yaw`), up (`pitch`), is tilted clockwise (`roll`)."""

    yaw: int
    pitch: int
    roll: int


class FaceInfo(_Value):
    """The largest face; `pose` is null where no landmarks were found."""

    box: Box
    confidence: float
    pose: PoseInfo | None


class ToneInfo(_Value):
    """Colour of the skin in this photo: individual typology angle, uncalibrated; not Fitzpatrick type."""

    ita_degrees: float
    group: ToneGroup
    calibrated: Literal[False] | bool


class LesionBox(_Value):
    """One lesion; `confidence` is the share of such boxes that are right, measured on labelled photos."""

    box: Box
    confidence: float


class Acne(_Value):
    """Lesions. `score` is 0 to 100; `severity` is on Hayashi's scale; all is null where `reason` says why."""

    score: int | None
    reason: Unseen | None
    severity: Severity | None
    count: int | None
    boxes: list[LesionBox]
    confidence: float | None
    source: Source


class WrinkleZones(_Value):
    """0 to 1, or null where it is not seen."""

    forehead: float | None
    crows_feet: float | None
    frown: float | None
    nasolabial: float | None


class Wrinkles(_Value):
    """`score` is 0 to 100; `unseen` says of each zone that is null why."""

    score: int | None
    reason: Unseen | None
    zones: WrinkleZones
    unseen: dict[str, Unseen]
    confidence: float | None
    source: Source


class ColourZones(_Value):
    """0 to 1, or null where it is not seen. Left and right are the person's own, in a photo that is not mirrored."""

    forehead: float | None
    nose: float | None
    cheek_left: float | None
    cheek_right: float | None
    chin: float | None


class Measurement(_Value):
    """`score` is 0 to 100; `unseen` says of each zone that is null why."""

    score: int | None
    reason: Unseen | None
    zones: ColourZones
    unseen: dict[str, Unseen]
    confidence: float | None
    source: Literal["heuristic"] | str


class Concerns(_Value):
    """What is looked for. Iterating gives pairs of name and value."""

    acne: Acne
    wrinkles: Wrinkles
    redness: Measurement
    pigmentation: Measurement
    shine: Measurement
    texture: Measurement


class Outlines(_Value):
    """The face and its zones as polygons; null where they are not seen."""

    forehead: Polygon | None
    crows_feet_left: Polygon | None
    crows_feet_right: Polygon | None
    frown: Polygon | None
    nasolabial_left: Polygon | None
    nasolabial_right: Polygon | None
    cheek_left: Polygon | None
    cheek_right: Polygon | None
    nose: Polygon | None
    chin: Polygon | None
    face: Polygon | None


class Maps(_Value):
    """Heat maps as data: URLs of 8-bit grey PNGs, to be drawn over `box`; null for a concern that is not judged."""

    box: Box
    acne: HeatMap
    wrinkles: HeatMap
    redness: HeatMap
    pigmentation: HeatMap
    shine: HeatMap
    texture: HeatMap


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
    """Findings on one photo, with who found them.

    `source` is the runner that found acne and wrinkles, `reason` why it was not the model, `degraded` whether it should
    have been. `outlines` and `maps` are None unless `include` asked for them.
    """

    schema_version: Literal[1] | int
    request_id: str
    source: Source
    degraded: bool
    reason: Reason | None
    model: ModelInfo | None
    image: ImageInfo
    quality: Quality
    advice: list[str]
    face: FaceInfo | None
    tone: ToneInfo | None
    concerns: Concerns
    outlines: Outlines | None = None
    maps: Maps | None = None
    timing_ms: Timing
    notice: str


class QualityAnswer(_Value):
    """How fit a photo is, and what would make it so; nothing is measured on it."""

    request_id: str
    image: ImageInfo
    quality: Quality
    advice: list[str]
    face: FaceInfo | None


class ErrorDetail(_Value):
    """What is in an error; this client raises or gives a ShineError of its code."""

    code: str
    message: str
    hint: str
    request_id: str


class ErrorAnswer(_Value):
    """The one shape of every error."""

    error: ErrorDetail


class BatchAnswer(_Value):
    """One result per photo, in the order sent."""

    results: list[Analysis | ErrorAnswer]


class Health(_Value):
    """Whether the process can answer; never depends on the model."""

    status: Literal["ok"] | str
    phase: Phase
    uptime_s: float


class Readiness(_Value):
    """Whether requests are answered as the phase demands; `reason` says why the model is not asked."""

    ready: bool
    state: ModelState
    reason: Reason | None


class Version(_Value):
    """What runs: release, git commit, bento, and weights; null where there is none or it is not known."""

    service: Literal["shine"] | str
    version: str
    revision: str | None
    bento: str | None
    phase: Phase
    model: ModelInfo | None
    schema_version: Literal[1] | int


class Policy(_Value):
    """What is done with and without the model, by the settings."""

    model_wanted: bool
    require_model: bool
    without_the_model: Literal["503 model_unavailable", "heuristic answers"] | str
    model_deadline_ms: int
    request_deadline_ms: int


class LoadedModel(ModelInfo):
    """The loaded weights and their source; `note` says what is unusual about them."""

    source: str
    loaded_at: str
    engine: str
    input_size: int
    note: str | None


class LastError(_Value):
    """What fails now in loading the model; `at` is its time in RFC 3339."""

    code: str
    message: str
    at: str


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


class ModelLimits(_Value):
    """By how much findings of two photos of one face may differ without meaning: points of a score, lesions."""

    acne: int
    count: int
    wrinkles: int


class HeuristicLimits(ModelLimits):
    """The same of the heuristics, and of what they alone measure; `ita_degrees` is that of the tone."""

    redness: int
    pigmentation: int
    shine: int
    texture: int
    ita_degrees: int


class Repeatability(_Value):
    """The limits of both; null where the weights bring none."""

    model: ModelLimits | None
    heuristic: HeuristicLimits


class MlStatus(_Value):
    """The whole truth about the model. `next_retry_s`: seconds until loading is tried again."""

    state: ModelState
    reason: Reason | None
    phase: Phase
    policy: Policy
    landmarks: bool
    model: LoadedModel | None
    attempts: int
    last_error: LastError | None
    next_retry_s: float | None
    breaker: BreakerState
    breakers: Breakers
    answers: Answers
    batching: Batching
    accuracy: Accuracy
    repeatability: Repeatability
