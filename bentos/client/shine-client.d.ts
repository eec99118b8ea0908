// Types of shine-client.js. Those of answers are checked, field by field, against the service's /docs.json.

/** The bytes of a photo's file: JPEG, PNG, WebP, HEIC or AVIF. In Node also the path of a file. */
export type Photo = Blob | ArrayBuffer | ArrayBufferView | string;

export type Include = "outlines" | "maps";

export type Layer = "boxes" | "zones" | "acne" | "wrinkles" | "redness" | "pigmentation" | "shine" | "texture";

export interface ClientOptions {
  /** Sent as X-API-Key. */
  apiKey?: string | null | undefined;
  /** Milliseconds for a call with all its attempts and waits; 60,000 by default, at most 999,999,999. */
  timeoutMs?: number | undefined;
  /** Attempts after the first; 3 by default. */
  retries?: number | undefined;
  /** In place of the global fetch; upload progress is not reported then. */
  fetch?: typeof fetch | undefined;
}

export interface CallOptions {
  /** Ends requests and waits at once; the call rejects with the signal's reason. */
  signal?: AbortSignal | null | undefined;
}

/** Bytes of the request's body. */
export interface Progress {
  loaded: number;
  total: number;
}

export interface UploadOptions extends CallOptions {
  /** Called while the photo is sent, in browsers alone. Each attempt begins at 0. */
  onProgress?: ((progress: Progress) => void) | undefined;
}

export interface FindingOptions {
  /** Refuse findings of the heuristics: error `model_unavailable` where the model does not answer. */
  require?: "model" | null | undefined;
  /** Of the boxes that are listed, 0 to 1; 0: all candidates. By default where F1 on labelled photos is best. */
  minConfidence?: number | null | undefined;
}

export interface BatchOptions extends FindingOptions, UploadOptions {}

export interface AnalyzeOptions extends FindingOptions, UploadOptions {
  /** What is added to the Analysis. */
  include?: readonly Include[] | null | undefined;
}

export interface OverlayOptions extends AnalyzeOptions {
  /** What is drawn in; by default boxes and zones. */
  layers?: readonly Layer[] | null | undefined;
  /** Whether the findings are written beside or below the photo; true by default. */
  legend?: boolean | null | undefined;
  /** Of the picture in pixels, 64 to 2048. */
  width?: number | null | undefined;
}

export interface ManyOptions extends FindingOptions, CallOptions {
  /** What is added to the Analysis. */
  include?: readonly Include[] | null | undefined;
  /** The most photos that are analysed at the same time; 4 by default. */
  concurrency?: number | undefined;
}

/** A photo of analyzeMany without findings. */
export interface FailedPhoto {
  error: ShineError;
}

/** The service's codes, and the client's own: without an answer, or with one that is not the service's. */
export type ShineErrorCode = ErrorCode | "connection_failed" | "timeout" | "unexpected_answer" | "photo_unreadable";

export class ShineError extends Error {
  constructor(code: ShineErrorCode, message: string, details?: Partial<ShineErrorDetails>);
  readonly code: ShineErrorCode;
  /** Of HTTP; null where no answer came. */
  readonly status: number | null;
  /** What would be right, in one sentence. */
  readonly hint: string;
  readonly requestId: string | null;
  /** Seconds; null where the service did not say. */
  readonly retryAfter: number | null;
}

export interface ShineErrorDetails {
  status: number | null;
  hint: string;
  requestId: string | null;
  retryAfter: number | null;
  cause: unknown;
}

export class ShineClient {
  /** Of a service's URL, prefix included; in browsers also an address relative to the page, by default its folder. */
  constructor(base?: string | URL, options?: ClientOptions);
  analyze(photo: Photo, options?: AnalyzeOptions): Promise<Analysis>;
  quality(photo: Photo, options?: UploadOptions): Promise<QualityAnswer>;
  /** The upright photo with findings drawn in: image/png. */
  overlay(photo: Photo, options?: OverlayOptions): Promise<Blob>;
  /** Up to 16 photos by one request, results in their order. */
  analyzeBatch(photos: Iterable<Photo>, options?: BatchOptions): Promise<(Analysis | ErrorAnswer)[]>;
  /** Any number of photos, results in their order; each has `timeoutMs`, and one that fails does not end it. */
  analyzeMany(
    photos: Iterable<Photo> | AsyncIterable<Photo>,
    options?: ManyOptions,
  ): AsyncGenerator<Analysis | FailedPhoto, void, undefined>;
  status(options?: CallOptions): Promise<MlStatus>;
  version(options?: CallOptions): Promise<Version>;
  health(options?: CallOptions): Promise<Health>;
  /** It resolves also where the service is not ready. */
  ready(options?: CallOptions): Promise<Readiness>;
}

// The service's answers.

/** [x, y, width, height] in pixels of the upright photo, inside it. */
export type Box = [number, number, number, number];

/** [[x, y], …] in pixels of the upright photo, inside it; at least three. */
export type Polygon = [number, number][];

export type Severity = "clear" | "mild" | "moderate" | "severe" | "very_severe";

export type ToneGroup = "very_light" | "light" | "intermediate" | "tan" | "brown" | "dark";

export type QualityIssue =
  | "too_small"
  | "blurred"
  | "too_dark"
  | "too_bright"
  | "uneven_light"
  | "tinted"
  | "no_colour"
  | "no_face"
  | "several_faces"
  | "little_skin"
  | "turned_away"
  | "cut_off"
  | "covered"
  | "compressed";

export type WrinkleZone = "forehead" | "crows_feet" | "frown" | "nasolabial";

export type ColourZone = "forehead" | "nose" | "cheek_left" | "cheek_right" | "chin";

export type Reason =
  | "model_disabled"
  | "model_loading"
  | "weights_missing"
  | "weights_unreachable"
  | "weights_corrupt"
  | "weights_incompatible"
  | "self_test_failed"
  | "model_timeout"
  | "model_crashed"
  | "circuit_open";

export type ErrorCode =
  | "api_key_missing"
  | "api_key_wrong"
  | "bad_base64"
  | "bad_request"
  | "batch_too_large"
  | "body_too_large"
  | "content_type_unsupported"
  | "image_format_unsupported"
  | "image_missing"
  | "image_too_many_pixels"
  | "image_too_small"
  | "image_unreadable"
  | "internal_error"
  | "method_not_allowed"
  | "model_unavailable"
  | "not_found"
  | "overloaded"
  | "quality_too_low"
  | "rate_limited"
  | "request_timeout"
  | "shutting_down"
  | "timeout";

export type ModelState = "disabled" | "loading" | "ready" | "degraded";

export type BreakerState = "closed" | "open" | "half_open";

export type Source = "model" | "heuristic";

export type Unseen =
  | "no_face"
  | "no_skin"
  | "no_colour"
  | "too_dark"
  | "too_bright"
  | "too_blurred"
  | "too_small"
  | "turned_away"
  | "covered"
  | "outside_photo";

export type Phase = "simple" | "hybrid" | "foundation" | "full";

/** Findings on one photo, with who found them. */
export interface Analysis {
  schema_version: 1;
  request_id: string;
  /** Which runner produced the learned concerns, acne and wrinkles. */
  source: Source;
  /** The phase wants the model and the model did not answer. */
  degraded: boolean;
  /** Why the model did not answer; null when it did. */
  reason: Reason | null;
  model: ModelInfo | null;
  image: ImageInfo;
  quality: Quality;
  /** One sentence for each issue of the photo, for the person who takes it. */
  advice: string[];
  face: FaceInfo | null;
  /** Null where light, colour or too little skin do not allow it. */
  tone: ToneInfo | null;
  concerns: Concerns;
  /** Only with include=outlines. */
  outlines?: Outlines;
  /** Only with include=maps. */
  maps?: Maps;
  timing_ms: Timing;
  notice: string;
}

/** How fit a photo is, and what would make it so; nothing is measured on it, and no model is asked. */
export interface QualityAnswer {
  request_id: string;
  image: ImageInfo;
  quality: Quality;
  /** One sentence for each issue of the photo, for the person who takes it. */
  advice: string[];
  face: FaceInfo | null;
}

/** One result per photo, in the order sent; a bad photo is an error of its own and never fails the others. */
export interface BatchAnswer {
  results: (Analysis | ErrorAnswer)[];
}

/** The one shape of every error. */
export interface ErrorAnswer {
  error: ErrorDetail;
}

export interface ErrorDetail {
  code: ErrorCode;
  /** What was wrong, in one sentence. */
  message: string;
  /** What would be right. */
  hint: string;
  request_id: string;
}

/**
 * The photo as the service saw it, upright (after EXIF orientation). `turned_degrees` is how it had to be turned,
 * clockwise, for its face to be upright; sizes and boxes are unturned.
 */
export interface ImageInfo {
  width: number;
  height: number;
  format: "JPEG" | "PNG" | "WEBP" | "HEIC" | "AVIF";
  turned_degrees: 0 | 90 | 180 | 270;
}

/** How fit the photo is for analysis; `score` is null where the service does not assess it. */
export interface Quality {
  score: number | null;
  issues: QualityIssue[];
}

/** The largest face; `pose` is null where no landmarks were found. */
export interface FaceInfo {
  box: Box;
  confidence: number;
  pose: PoseInfo | null;
}

/**
 * How the head is turned, in whole degrees, as the photo is turned. Positive: it looks to the right of the photo
 * (`yaw`), up (`pitch`), is tilted clockwise (`roll`).
 */
export interface PoseInfo {
  yaw: number;
  pitch: number;
  roll: number;
}

/** Colour of the skin in this photo: individual typology angle, uncalibrated; not Fitzpatrick type. */
export interface ToneInfo {
  ita_degrees: number;
  group: ToneGroup;
  calibrated: false;
}

export interface Concerns {
  acne: Acne;
  wrinkles: Wrinkles;
  redness: Measurement;
  pigmentation: Measurement;
  shine: Measurement;
  texture: Measurement;
}

/**
 * Lesions. `severity` is on Hayashi's scale, estimated for itself; `count` may differ from the number of boxes.
 * `boxes` are those of at least `min_confidence`; `count`, `score` and `severity` do not depend on it.
 */
export interface Acne {
  score: number | null;
  /** Why this cannot be judged; null where it is. */
  reason: Unseen | null;
  severity: Severity | null;
  count: number | null;
  boxes: LesionBox[];
  confidence: number | null;
  source: Source;
}

/** One lesion; `confidence` is the share of such boxes that are right, measured on labelled photos. */
export interface LesionBox {
  box: Box;
  confidence: number;
}

/** Wrinkles by zone; `unseen` says of each zone that is null why. Of two sides, one that is seen is enough. */
export interface Wrinkles {
  score: number | null;
  /** Why this cannot be judged; null where it is. */
  reason: Unseen | null;
  zones: WrinkleZones;
  unseen: Partial<Record<WrinkleZone, Unseen>>;
  confidence: number | null;
  source: Source;
}

export interface WrinkleZones {
  forehead: number | null;
  crows_feet: number | null;
  frown: number | null;
  nasolabial: number | null;
}

/**
 * A colour or texture measurement; no labelled data exist for it, so its confidence is null. `score` is of the zones
 * that are seen, in a close-up without a face of all skin. `unseen` says of each zone that is null why.
 */
export interface Measurement {
  score: number | null;
  /** Why this cannot be judged; null where it is. */
  reason: Unseen | null;
  zones: ColourZones;
  unseen: Partial<Record<ColourZone, Unseen>>;
  confidence: number | null;
  source: "heuristic";
}

/** Left and right are the person's own, in a photo that is not mirrored. */
export interface ColourZones {
  forehead: number | null;
  nose: number | null;
  cheek_left: number | null;
  cheek_right: number | null;
  chin: number | null;
}

/** The face and its zones as polygons in the photo; null where they are not seen. */
export interface Outlines {
  forehead: Polygon | null;
  crows_feet_left: Polygon | null;
  crows_feet_right: Polygon | null;
  frown: Polygon | null;
  nasolabial_left: Polygon | null;
  nasolabial_right: Polygon | null;
  cheek_left: Polygon | null;
  cheek_right: Polygon | null;
  nose: Polygon | null;
  chin: Polygon | null;
  face: Polygon | null;
}

/** Heat maps of one part of the photo; null for a concern that is not judged. */
export interface Maps {
  box: Box;
  acne: string | null;
  wrinkles: string | null;
  redness: string | null;
  pigmentation: string | null;
  shine: string | null;
  texture: string | null;
}

/** The weights that answered; `sha256` is that of their manifest. */
export interface ModelInfo {
  name: string;
  version: string;
  sha256: string;
}

/** Milliseconds by stage. `total` counts from receipt of the whole body. */
export interface Timing {
  decode: number;
  face: number;
  analysis: number;
  total: number;
}

/**
 * The whole truth about the model. `breaker` is the model's; `next_retry_s` are seconds until loading is tried again;
 * without `landmarks` the face mesh could not be loaded, and no zone is seen.
 */
export interface MlStatus {
  state: ModelState;
  reason: Reason | null;
  phase: Phase;
  policy: Policy;
  landmarks: boolean;
  model: LoadedModel | null;
  attempts: number;
  last_error: LastError | null;
  next_retry_s: number | null;
  breaker: BreakerState;
  breakers: Breakers;
  answers: Answers;
  batching: Batching;
  accuracy: Accuracy;
  repeatability: Repeatability;
}

/** The loaded weights and their source; `note` says what is unusual about them. */
export interface LoadedModel {
  name: string;
  version: string;
  sha256: string;
  source: string;
  loaded_at: string;
  engine: string;
  input_size: number;
  note: string | null;
}

/** What fails now in the lifecycle, the last error; `at` is its time in RFC 3339. */
export interface LastError {
  code: string;
  message: string;
  at: string;
}

/** What is done with and without the model, by the settings. */
export interface Policy {
  model_wanted: boolean;
  require_model: boolean;
  without_the_model: "503 model_unavailable" | "heuristic answers";
  model_deadline_ms: number;
  request_deadline_ms: number;
}

/** Circuit breaker of each runner. */
export interface Breakers {
  model: BreakerState;
  heuristic: BreakerState;
}

/** Photos since the start: answered by each runner, and refused because the model was required. */
export interface Answers {
  model: number;
  heuristic: number;
  refused: number;
}

/** Limits of the model's batches, and photos in one on average; null before the first. */
export interface Batching {
  max_batch_size: number;
  max_latency_ms: number;
  mean_batch: number | null;
}

/** Figures measured on labelled photos; null where the weights bring none. */
export interface Accuracy {
  model: Record<string, unknown> | null;
  heuristic: Record<string, unknown>;
}

/** By how much two photos of one face may differ without a difference of the skin; null where the weights bring none. */
export interface Repeatability {
  model: ModelLimits | null;
  heuristic: HeuristicLimits;
}

/** The largest difference that means nothing, by the model's findings: in points of the score, `count` in lesions. */
export interface ModelLimits {
  acne: number;
  count: number;
  wrinkles: number;
}

/** The same of the heuristics, and of what they alone measure; `ita_degrees` is that of the tone. */
export interface HeuristicLimits {
  acne: number;
  count: number;
  wrinkles: number;
  redness: number;
  pigmentation: number;
  shine: number;
  texture: number;
  ita_degrees: number;
}

/** Whether the process can answer; never depends on the model. */
export interface Health {
  status: "ok";
  phase: Phase;
  uptime_s: number;
}

/** Whether requests are answered as the phase demands; `reason` says why the model is not asked. */
export interface Readiness {
  ready: boolean;
  state: ModelState;
  reason: Reason | null;
}

/** What runs: release, git commit, bento, and weights; null where there is none or it is not known. */
export interface Version {
  service: "shine";
  version: string;
  revision: string | null;
  bento: string | null;
  phase: Phase;
  model: ModelInfo | null;
  schema_version: 1;
}
