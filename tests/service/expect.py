"""Checks of what the contract promises for every response, and photos for requests."""

import re
from io import BytesIO
from typing import Any

import httpx
from PIL import Image, ImageOps

from bentos.skin.findings import COLOUR_ZONES, HAYASHI_LIMITS, SEVERITIES, WRINKLE_ZONES

CODES = {
    400: {"bad_request", "image_missing", "bad_base64"},
    401: {"api_key_missing", "api_key_wrong"},
    404: {"not_found"},
    405: {"method_not_allowed"},
    408: {"request_timeout"},
    413: {"body_too_large", "image_too_many_pixels", "batch_too_large"},
    415: {"content_type_unsupported", "image_format_unsupported"},
    422: {"image_unreadable", "image_too_small", "quality_too_low"},
    429: {"overloaded", "rate_limited"},
    503: {"model_unavailable", "shutting_down"},
    504: {"timeout"},
}
ISSUES = {"too_small", "blurred", "too_dark", "too_bright", "no_face", "several_faces", "little_skin"}
TONES = {"very_light", "light", "intermediate", "tan", "brown", "dark"}
LEAKS = re.compile(r"Traceback|\.py\b|/(?:tmp|home|app|usr|root|opt)/|0x[0-9a-f]{6,}|site-packages")
JSON = "application/json"


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    """An image as a file."""
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def turned(image: Image.Image, orientation: int) -> bytes:
    """A JPEG whose pixels lie as its EXIF orientation says, so that it is upright once that is applied."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    inverse = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    opposite = Image.Exif()
    opposite[0x0112] = inverse
    stored = image.copy()
    stored.info["exif"] = opposite.tobytes()
    return encoded(ImageOps.exif_transpose(stored), "JPEG", quality=95, exif=exif)


def is_error_body(body: Any, status: int, request_id: str | None) -> dict[str, str]:
    """Assert the one error shape, a code of the status, and that nothing leaks; the error itself."""
    assert isinstance(body, dict), body
    assert body.keys() == {"error"}, body
    error: dict[str, str] = body["error"]
    assert error.keys() == {"code", "message", "hint", "request_id"}, error
    assert all(isinstance(value, str) and value for value in error.values()), error
    assert error["code"] in CODES.get(status, ()), (status, error)
    assert request_id is None or error["request_id"] == request_id
    assert not LEAKS.search(error["message"] + error["hint"]), error
    return error


def is_error(answer: httpx.Response, status: int, code: str) -> dict[str, str]:
    """Assert that an answer is this error, in the one shape, with Retry-After where the contract wants one."""
    assert answer.status_code == status, (answer.status_code, answer.text[:500])
    assert answer.headers["content-type"] == JSON
    error = is_error_body(answer.json(), status, answer.headers["x-request-id"])
    assert error["code"] == code, error
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    else:
        assert "retry-after" not in answer.headers
    return error


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_box(box: Any, width: int, height: int) -> bool:
    x, y, w, h = box
    return bool(x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= width + 1e-6 and y + h <= height + 1e-6)


def is_analysis(body: dict[str, Any], source: str = "heuristic") -> dict[str, Any]:
    """Assert keys, types and ranges of an Analysis as the contract lists them, boxes inside the photo; the Analysis."""
    assert body.keys() == {
        "schema_version", "request_id", "source", "degraded", "reason", "model", "image", "quality", "face", "tone",
        "concerns", "timing_ms", "notice",
    }  # fmt: skip
    assert body["schema_version"] == 1
    assert body["source"] == source
    assert isinstance(body["degraded"], bool)
    assert "Not a medical diagnosis" in body["notice"]
    image = body["image"]
    assert image.keys() == {"width", "height", "format", "turned_degrees"}
    assert type(image["width"]) is int
    assert type(image["height"]) is int
    assert image["format"] in {"JPEG", "PNG", "WEBP", "HEIC", "AVIF"}
    assert body["quality"].keys() == {"score", "issues"}
    assert _is_share(body["quality"]["score"])
    assert set(body["quality"]["issues"]) <= ISSUES
    assert image["turned_degrees"] in (0, 90, 180, 270)
    if body["face"] is not None:
        assert body["face"].keys() == {"box", "confidence", "pose"}
        if body["face"]["pose"] is not None:
            assert body["face"]["pose"].keys() == {"yaw", "pitch", "roll"}
            assert all(type(angle) is int and -180 <= angle <= 180 for angle in body["face"]["pose"].values())
        assert _is_share(body["face"]["confidence"])
        assert _is_box(body["face"]["box"], image["width"], image["height"])
    if body["tone"] is not None:
        assert body["tone"].keys() == {"ita_degrees", "group", "calibrated"}
        assert -180 <= body["tone"]["ita_degrees"] <= 180
        assert body["tone"]["group"] in TONES
        assert body["tone"]["calibrated"] is False
    assert body["timing_ms"].keys() == {"decode", "face", "analysis", "total"}
    assert all(value >= 0 for value in body["timing_ms"].values())
    _are_concerns(body["concerns"], image["width"], image["height"], source)
    return body


def _are_concerns(concerns: dict[str, Any], width: int, height: int, source: str) -> None:
    colours = ("redness", "pigmentation", "shine", "texture")
    assert concerns.keys() == {"acne", "wrinkles", *colours}
    for name, concern in concerns.items():
        assert type(concern["score"]) is int, name
        assert 0 <= concern["score"] <= 100, name
    acne, wrinkles = concerns["acne"], concerns["wrinkles"]
    assert acne.keys() == {"score", "severity", "count", "boxes", "confidence", "source"}
    assert acne["source"] == wrinkles["source"] == source
    assert type(acne["count"]) is int
    expected = sum(acne["count"] > limit for limit in HAYASHI_LIMITS)
    assert abs(SEVERITIES.index(acne["severity"]) - expected) <= 1
    for lesion in acne["boxes"]:
        assert lesion.keys() == {"box", "confidence"}
        assert _is_share(lesion["confidence"])
        assert _is_box(lesion["box"], width, height)
    assert wrinkles.keys() == {"score", "zones", "confidence", "source"}
    assert wrinkles["zones"].keys() == set(WRINKLE_ZONES)
    assert all(_is_share(value) for value in wrinkles["zones"].values())
    for confidence in (acne["confidence"], wrinkles["confidence"]):
        assert confidence is None or _is_share(confidence)
    for name in colours:
        assert concerns[name].keys() == {"score", "zones", "confidence", "source"}, name
        assert concerns[name]["zones"].keys() == set(COLOUR_ZONES), name
        assert all(_is_share(value) for value in concerns[name]["zones"].values()), name
        assert concerns[name]["confidence"] is None, name
        assert concerns[name]["source"] == "heuristic", name
