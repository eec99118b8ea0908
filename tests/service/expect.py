"""Checks of what the contract promises for every response, and photos for requests."""

import base64
import re
from collections.abc import Collection
from io import BytesIO
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
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
ISSUES = (
    *("too_small", "blurred", "too_dark", "too_bright", "uneven_light", "tinted", "no_colour", "no_face"),
    *("several_faces", "little_skin", "turned_away", "cut_off", "covered", "compressed"),
)
UNSEEN = {
    *("no_face", "no_skin", "no_colour", "too_dark", "too_bright", "too_blurred", "too_small", "turned_away"),
    *("covered", "outside_photo"),
}
COLOURS = ("redness", "pigmentation", "shine", "texture")
CONCERNS = ("acne", "wrinkles", *COLOURS)
OUTLINES = {
    *("forehead", "crows_feet_left", "crows_feet_right", "frown", "nasolabial_left", "nasolabial_right"),
    *("cheek_left", "cheek_right", "nose", "chin", "face"),
}
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


def is_analysis(body: dict[str, Any], source: str = "heuristic", include: Collection[str] = ()) -> dict[str, Any]:
    """Assert keys, types and ranges of an Analysis as the contract lists them, boxes inside the photo; the Analysis.

    Args:
        body: the JSON.
        source: of acne and wrinkles.
        include: what was asked for, of outlines and maps; nothing else may be there.
    """
    assert body.keys() == {
        "schema_version", "request_id", "source", "degraded", "reason", "model", "image", "quality", "advice", "face",
        "tone", "concerns", "timing_ms", "notice", *include,
    }  # fmt: skip
    assert body["schema_version"] == 1
    assert body["source"] == source
    assert isinstance(body["degraded"], bool)
    assert "Not a medical diagnosis" in body["notice"]
    width, height = _is_photo(body)
    if body["tone"] is not None:
        assert body["tone"].keys() == {"ita_degrees", "group", "calibrated"}
        assert -180 <= body["tone"]["ita_degrees"] <= 180
        assert body["tone"]["group"] in TONES
        assert body["tone"]["calibrated"] is False
    assert body["timing_ms"].keys() == {"decode", "face", "analysis", "total"}
    assert all(value >= 0 for value in body["timing_ms"].values())
    _are_concerns(body["concerns"], width, height, source)
    if body["face"] is None:
        assert body["concerns"]["wrinkles"]["score"] is None
        assert all(value is None for name in COLOURS for value in body["concerns"][name]["zones"].values())
    if "outlines" in include:
        _are_outlines(body["outlines"], body, width, height)
    if "maps" in include:
        _are_maps(body["maps"], body, width, height)
    return body


def is_quality_answer(body: dict[str, Any]) -> dict[str, Any]:
    """Assert keys, types and ranges of the answer of /quality; the answer."""
    assert body.keys() == {"request_id", "image", "quality", "advice", "face"}
    _is_photo(body)
    return body


def _is_photo(body: dict[str, Any]) -> tuple[int, int]:
    """Assert what is said of the photo and its face; its width and height."""
    image = body["image"]
    assert image.keys() == {"width", "height", "format", "turned_degrees"}
    assert type(image["width"]) is int
    assert type(image["height"]) is int
    assert image["format"] in {"JPEG", "PNG", "WEBP", "HEIC", "AVIF"}
    assert image["turned_degrees"] in (0, 90, 180, 270)
    quality = body["quality"]
    assert quality.keys() == {"score", "issues"}
    assert quality["score"] is None or _is_share(quality["score"])
    assert [issue for issue in ISSUES if issue in quality["issues"]] == quality["issues"]
    assert len(body["advice"]) == len(quality["issues"])
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in body["advice"])
    if body["face"] is not None:
        assert body["face"].keys() == {"box", "confidence", "pose"}
        if body["face"]["pose"] is not None:
            assert body["face"]["pose"].keys() == {"yaw", "pitch", "roll"}
            assert all(type(angle) is int and -180 <= angle <= 180 for angle in body["face"]["pose"].values())
        assert _is_share(body["face"]["confidence"])
        assert _is_box(body["face"]["box"], image["width"], image["height"])
    return image["width"], image["height"]


def _are_concerns(concerns: dict[str, Any], width: int, height: int, source: str) -> None:
    assert tuple(concerns) == CONCERNS
    for name, concern in concerns.items():
        if concern["score"] is None:
            assert concern["reason"] in UNSEEN, name
            assert concern["confidence"] is None, name
        else:
            assert type(concern["score"]) is int, name
            assert 0 <= concern["score"] <= 100, name
            assert concern["reason"] is None, name
    acne, wrinkles = concerns["acne"], concerns["wrinkles"]
    assert acne.keys() == {"score", "reason", "severity", "count", "boxes", "confidence", "source"}
    assert acne["source"] == wrinkles["source"] == source
    if acne["score"] is None:
        assert (acne["severity"], acne["count"], acne["boxes"]) == (None, None, [])
    else:
        assert type(acne["count"]) is int
        expected = sum(acne["count"] > limit for limit in HAYASHI_LIMITS)
        assert abs(SEVERITIES.index(acne["severity"]) - expected) <= 1
        assert (acne["severity"] == "clear") == (acne["count"] == 0)
    for lesion in acne["boxes"]:
        assert lesion.keys() == {"box", "confidence"}
        assert _is_share(lesion["confidence"])
        assert _is_box(lesion["box"], width, height)
    assert acne["confidence"] is None or _is_share(acne["confidence"])
    _are_zones("wrinkles", wrinkles, WRINKLE_ZONES)
    seen = [share for share in wrinkles["zones"].values() if share is not None]
    assert (wrinkles["score"] is None) == (not seen)
    for name in COLOURS:
        _are_zones(name, concerns[name], COLOUR_ZONES)
        assert concerns[name]["source"] == "heuristic", name


def _are_zones(name: str, concern: dict[str, Any], zones: Collection[str]) -> None:
    """Assert the keys of a concern with zones, and that each zone has either a value or a reason."""
    assert concern.keys() == {"score", "reason", "zones", "unseen", "confidence", "source"}, name
    assert concern["confidence"] is None, name
    assert concern["zones"].keys() == set(zones), name
    for zone, value in concern["zones"].items():
        assert value is None or _is_share(value), (name, zone)
        assert (value is None) == (zone in concern["unseen"]), (name, zone)
        assert value is None or concern["score"] is not None, (name, zone)
    assert set(concern["unseen"].values()) <= UNSEEN, name


def _are_outlines(outlines: dict[str, Any], body: dict[str, Any], width: int, height: int) -> None:
    assert outlines.keys() == OUTLINES
    for name, polygon in outlines.items():
        assert polygon is None or len(polygon) >= 3, name
        assert all(0 <= x <= width and 0 <= y <= height for x, y in polygon or ()), name
    if body["face"] is None or body["face"]["pose"] is None:
        assert not any(outlines.values())


def _are_maps(maps: dict[str, Any], body: dict[str, Any], width: int, height: int) -> None:
    assert tuple(maps) == ("box", *CONCERNS)
    assert _is_box(maps["box"], width, height)
    sizes = set()
    for name in CONCERNS:
        assert (maps[name] is None) == (body["concerns"][name]["score"] is None), name
        if maps[name] is not None:
            sizes.add(grey_of(maps[name]).shape)
    assert len(sizes) <= 1


def grey_of(url: str) -> NDArray[np.uint8]:
    """The picture in a data: URL, uint8 (height, width), which must be an 8-bit grey PNG."""
    head, _, text = url.partition(",")
    assert head == "data:image/png;base64"
    with Image.open(BytesIO(base64.b64decode(text, validate=True))) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        return np.asarray(picture)
