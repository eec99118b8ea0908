"""The OpenAPI document: BentoML's, with the GET endpoints, examples, every error, and nullable fields.

BentoML writes OpenAPI 3.0 and loses "or null" in the schemas; this document is OpenAPI 3.1, with pydantic's own
schemas.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from bentos.skin import __version__, errors
from bentos.skin import options as options_of
from bentos.skin.errors import ShineError
from bentos.skin.model.status import LastError, LoadedModel
from bentos.skin.options import INCLUDES, LAYERS, MAX_WIDTH, MIN_WIDTH, USUAL_LAYERS
from bentos.skin.overlay import MAX_SIDE, MIN_SIDE
from bentos.skin.runtime.error_responses import error_body
from bentos.skin.schema import (
    EXAMPLE_ANALYSIS,
    Accuracy,
    Analysis,
    Answers,
    BatchAnswer,
    Batching,
    Breakers,
    BreakerState,
    ErrorAnswer,
    Health,
    ModelState,
    Policy,
    QualityAnswer,
    Readiness,
    Reason,
    Repeatability,
    Version,
)
from bentos.skin.settings import DEADLINE_HEADER, DRILL, DRILL_HEADER, HEALTH_PATH, MAX_BATCH_PHOTOS, OPEN_PATHS, Phase

ANALYSIS, OPERATION = "Analysis", "Operation"
ID = "x-request-id"
REF = "#/components/schemas/"
EXAMPLE_ID = EXAMPLE_ANALYSIS["request_id"]
EXAMPLE_QUALITY = {name: EXAMPLE_ANALYSIS[name] for name in QualityAnswer.model_fields}
DESCRIPTION = (
    "Skin analysis of a photo: acne, wrinkles, redness, pigmentation, shine, texture. Every answer says who found it: "
    "the model, or the heuristics that stand in for it; what cannot be seen is null, with the reason. Not a medical "
    "diagnosis."
)

# Errors, each with an example of its message. Those of COMMON belong to every POST endpoint.
COMMON: tuple[tuple[type[ShineError], str], ...] = (
    (errors.BadRequest, "This endpoint has no field 'confidence'."),
    (errors.ImageMissing, "No file in the field 'image'."),
    (errors.ApiKeyMissing, "This service requires an API key."),
    (errors.ApiKeyWrong, "This API key is not known."),
    (errors.RequestTimeout, "The body of the request came too slowly; 8 KiB/s are the least."),
    (errors.BodyTooLarge, "The body of the request is larger than 10.06 MiB."),
    (errors.ContentTypeUnsupported, "The Content-Type is text/plain, where multipart/form-data is expected."),
    (errors.Overloaded, "The service is answering as many photos as it can at the moment."),
    (errors.RateLimited, "This request goes beyond the 60 photos a minute that its API key may send."),
    (errors.ShuttingDown, "This instance is shutting down."),
    (errors.TimedOut, "The photo could not be analysed within 10 seconds."),
)
# Of the endpoints that ask the runners for findings; a batch has them in its results.
FINDINGS: tuple[tuple[type[ShineError], str], ...] = (
    (errors.ModelUnavailable, "The model is required and does not answer (weights_missing)."),
)
PHOTO: tuple[tuple[type[ShineError], str], ...] = (
    (errors.ImageTooManyPixels, "The photo has 2500 megapixels; 40 are the most."),
    (errors.ImageFormatUnsupported, "The file is HEIC, which is not supported."),
    (errors.ImageUnreadable, "The JPEG file is truncated."),
    (errors.ImageTooSmall, "The photo is 1 × 1 pixels."),
)
STRICT: tuple[tuple[type[ShineError], str], ...] = (
    (errors.QualityTooLow, "The photo is not fit for analysis: blurred."),
)


def _comma_list(names: Sequence[str], description: str) -> dict[str, Any]:
    one = f"({'|'.join(names)})"
    return {"type": "string", "pattern": f"^{one}(,{one})*$", "description": description}


INCLUDED = "`outlines`: the face and its zones as polygons; `maps`: a heat map of each concern"
REQUIRE = {"type": "string", "enum": ["model"], "description": "answer 503 instead of falling back to heuristics"}
MIN_CONFIDENCE = {
    "type": "number",
    "minimum": 0,
    "maximum": 1,
    "description": "of the boxes that are listed; by default where F1 on labelled photos is best; 0: all candidates",
}
FORM_OPTIONS: dict[str, dict[str, Any]] = {
    "require": REQUIRE,
    "min_confidence": MIN_CONFIDENCE,
    "include": _comma_list(INCLUDES, f"comma list, what is added to the Analysis. {INCLUDED}"),
    "layers": _comma_list(
        LAYERS,
        "comma list, what is drawn in: `boxes` of face and lesions, `zones`, the heat map of a concern; by default "
        f"{','.join(USUAL_LAYERS)}",
    ),
    "legend": {"type": "boolean", "description": "whether the findings are written beside or below the photo"},
    "width": {
        "type": "integer",
        "minimum": MIN_WIDTH,
        "maximum": MAX_WIDTH,
        "description": "of the picture in pixels, a legend is then below the photo; by default the photo's long side "
        f"has {MIN_SIDE} to {MAX_SIDE}",
    },
}
JSON_OPTIONS: dict[str, dict[str, Any]] = {
    "require": REQUIRE,
    "min_confidence": MIN_CONFIDENCE,
    "include": {
        "type": "array",
        "items": {"type": "string", "enum": list(INCLUDES)},
        "description": f"what is added to the Analysis. {INCLUDED}",
    },
}
DRILL_PARAMETER = {
    "name": DRILL_HEADER,
    "in": "header",
    "required": False,
    "description": "a rehearsal: answer as if the model were absent, and count it as a drill alone",
    "schema": {"type": "string", "enum": [DRILL]},
}
DEADLINE_PARAMETER = {
    "name": DEADLINE_HEADER,
    "in": "header",
    "required": False,
    "description": "milliseconds that the client waits, from sending on: a photo that cannot be answered by then is "
    "refused with 429 at once; the service's own deadline stays",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
}
# Binary by the words of OpenAPI 3.0, which most generators of clients know, and by those of 3.1.
BINARY = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
FILE = {**BINARY, "description": "JPEG, PNG, WebP, HEIC or AVIF, at most 10 MiB and 40 megapixels"}


class MlStatus(BaseModel):
    """The whole truth about the model. It is here and not in schema.py, since it has parts of the model runner's state.

    `breaker` is the model's; `next_retry_s` are seconds until loading is tried again; without `landmarks` the face mesh
    could not be loaded, and no zone is seen.
    """

    model_config = ConfigDict(protected_namespaces=(), json_schema_serialization_defaults_required=True)

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


MODELS = (Analysis, QualityAnswer, BatchAnswer, ErrorAnswer, Health, Readiness, MlStatus, Version)


def complete(spec: dict[str, Any]) -> dict[str, Any]:
    """The document that is served.

    Args:
        spec: BentoML's OpenAPI document of the gateway, as a dict; not changed.
    """
    _, schemas = models_json_schema([(model, "serialization") for model in MODELS], ref_template=REF + "{model}")
    return {
        **spec,
        "openapi": "3.1.0",
        "tags": [
            {"name": ANALYSIS, "description": "A photo in, findings out."},
            {"name": OPERATION, "description": "For load balancers, operators and monitoring."},
        ],
        "info": {
            "title": "Shine",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "paths": {**_get_paths(), **{path: {"post": _post(path, spec["paths"][path]["post"])} for path in REQUESTS}},
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{}, {"key": []}, {"bearer": []}],
    }


def _form(name: str, schema: dict[str, Any], options: Sequence[str]) -> dict[str, Any]:
    properties = {name: schema, **{option: FORM_OPTIONS[option] for option in options}}
    if "layers" in options:
        properties["include"] = {
            **properties["include"],
            "description": "as for /analyze; it does not change a picture",
        }
    content = {"type": "object", "required": [name], "properties": properties, "additionalProperties": False}
    return {"required": True, "content": {"multipart/form-data": {"schema": content}}}


def _json() -> dict[str, Any]:
    image = {"type": "string", "description": "base64 of the file, or a data: URL of it"}
    options = {name: {"anyOf": [JSON_OPTIONS[name], {"type": "null"}]} for name in options_of.ANALYZE}
    content = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": image, **options},
        "additionalProperties": False,
    }
    example = {"image": "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ…", "min_confidence": 0.5, "include": ["outlines"]}
    return {"required": True, "content": {"application/json": {"schema": content, "example": example}}}


REQUESTS: dict[str, dict[str, Any]] = {
    "/analyze": _form("image", FILE, options_of.ANALYZE),
    "/quality": _form("image", FILE, ()),
    "/analyze_base64": _json(),
    "/analyze_batch": _form(
        "images", {"type": "array", "items": FILE, "minItems": 1, "maxItems": MAX_BATCH_PHOTOS}, options_of.BATCH
    ),
    "/overlay": _form("image", FILE, options_of.OVERLAY),
}
# What an endpoint answers with beyond its own errors, by its path.
PROBLEMS: dict[str, tuple[tuple[type[ShineError], str], ...]] = {
    "/analyze": (*FINDINGS, *PHOTO, *STRICT),
    "/quality": PHOTO,
    "/analyze_base64": (*FINDINGS, *PHOTO, *STRICT, (errors.BadBase64, "'image' is not valid base64.")),
    "/analyze_batch": (*FINDINGS, (errors.BatchTooLarge, "The batch holds 17 photos; 16 are the most.")),
    "/overlay": (*FINDINGS, *PHOTO, *STRICT),
}


def _post(path: str, given: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: given[name] for name in ("x-bentoml-name", "description")},
        "operationId": _operation_id(path),
        "tags": [ANALYSIS],
        "parameters": [DEADLINE_PARAMETER, *([] if path == "/quality" else [DRILL_PARAMETER])],
        "requestBody": REQUESTS[path],
        "responses": {"200": _success(path), **_failures([*COMMON, *PROBLEMS[path]])},
    }


def _success(path: str) -> dict[str, Any]:
    headers = {
        ID: {"description": "the caller's own if it sent a sane one", "schema": {"type": "string"}},
        "x-analysis-source": {"description": "model or heuristic", "schema": {"type": "string"}},
        "x-degraded": {"description": "true or false", "schema": {"type": "string"}},
    }
    if path == "/quality":
        content = _content("QualityAnswer", EXAMPLE_QUALITY)
        return {"description": "how fit the photo is", "headers": {ID: headers[ID]}, "content": content}
    if path == "/overlay":
        content = {"image/png": {"schema": {**BINARY, "contentMediaType": "image/png"}}}
    elif path == "/analyze_batch":
        failed = error_body(errors.ImageUnreadable("The JPEG file is truncated."), EXAMPLE_ID).model_dump()
        content = _content("BatchAnswer", {"results": [EXAMPLE_ANALYSIS, failed]})
    else:
        content = _content("Analysis", EXAMPLE_ANALYSIS)
    return {"description": "the findings", "headers": headers, "content": content}


def _content(schema: str, example: Any) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF + schema}, "example": example}}


def _failures(problems: list[tuple[type[ShineError], str]]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for kind, message in problems:
        response = responses.setdefault(
            str(kind.status),
            {
                "description": "",
                "content": {"application/json": {"schema": {"$ref": REF + "ErrorAnswer"}, "examples": {}}},
            },
        )
        response["description"] = ", ".join(filter(None, [response["description"], kind.code]))
        if kind.retry_after_s is not None:
            response["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
        example = error_body(kind(message), EXAMPLE_ID).model_dump()
        response["content"]["application/json"]["examples"][kind.code] = {"value": example}
    return dict(sorted(responses.items()))


def _operation_id(path: str) -> str:
    """What generated clients call an operation: its path, as a name."""
    return path.strip("/").replace("/", "_")


def _get_paths() -> dict[str, Any]:
    keys = _failures([(kind, message) for kind, message in COMMON if kind.status == 401])
    not_ready = {"ready": False, "state": "loading", "reason": "model_loading"}
    operations = {
        HEALTH_PATH: ("Whether the process answers; never depends on the model", _answer("Health"), {}),
        "/ready": (
            "Whether requests are answered as the phase demands",
            _answer("Readiness"),
            {"503": _answer("Readiness", not_ready)},
        ),
        "/ml/status": ("State, errors and batching of the model", _answer("MlStatus"), keys),
        "/version": ("What runs here", _answer("Version"), keys),
        "/metrics": ("Metrics for Prometheus", _text(), keys),
        "/livez": ("As /health, in BentoML's form", _text(), {}),
        "/readyz": (
            "As /ready, in BentoML's form",
            _text(),
            _failures([(errors.ModelUnavailable, "Not ready.")]),
        ),
    }
    paths: dict[str, Any] = {}
    for path, (summary, success, others) in operations.items():
        operation = {
            "operationId": _operation_id(path),
            "tags": [OPERATION],
            "summary": summary,
            "responses": {"200": success, **others},
        }
        paths[path] = {"get": operation | ({"security": []} if path in OPEN_PATHS else {})}
    return paths


EXAMPLES: dict[str, dict[str, Any]] = {
    "Health": {"status": "ok", "phase": "hybrid", "uptime_s": 12.3},
    "Readiness": {"ready": True, "state": "ready", "reason": None},
    "Version": {
        "service": "shine",
        "version": __version__,
        "revision": None,
        "bento": None,
        "phase": "hybrid",
        "model": {"name": "face-skin", "version": "1.0.0", "sha256": "9f86d081884c7d65…"},
        "schema_version": 1,
    },
    "MlStatus": {
        "state": "degraded",
        "reason": "weights_missing",
        "phase": "hybrid",
        "policy": {
            "model_wanted": True,
            "require_model": False,
            "without_the_model": "heuristic answers",
            "model_deadline_ms": 2000,
            "request_deadline_ms": 10000,
        },
        "landmarks": True,
        "model": None,
        "attempts": 3,
        "last_error": {"code": "weights_missing", "message": "There is no bundle.", "at": "2026-01-31T12:00:00+00:00"},
        "next_retry_s": 8.5,
        "breaker": "closed",
        "breakers": {"model": "closed", "heuristic": "closed"},
        "answers": {"model": 0, "heuristic": 7, "refused": 0},
        "batching": {"max_batch_size": 8, "max_latency_ms": 60000, "mean_batch": None},
        "accuracy": {"model": None, "heuristic": {}},
        "repeatability": {
            "model": None,
            "heuristic": {
                **{"acne": 24, "count": 18, "wrinkles": 12, "redness": 18},
                **{"pigmentation": 11, "shine": 36, "texture": 10, "ita_degrees": 46},
            },
        },
    },
}


def _answer(schema: str, example: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"description": "as the example", "content": _content(schema, example or EXAMPLES[schema])}


def _text() -> dict[str, Any]:
    return {"description": "text", "content": {"text/plain": {"schema": {"type": "string"}}}}
