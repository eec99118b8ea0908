"""What a request asks for beside its photos: the options of forms and JSON, read strictly and refused by name."""

import difflib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from bentos.skin.errors import BadRequest

Include = Literal["outlines", "maps"]
Layer = Literal["boxes", "zones", "acne", "wrinkles", "redness", "pigmentation", "shine", "texture"]
LAYERS: tuple[Layer, ...] = get_args(Layer)
INCLUDES: tuple[Include, ...] = get_args(Include)
USUAL_LAYERS: tuple[Layer, ...] = ("boxes", "zones")
MIN_WIDTH, MAX_WIDTH = 64, 2048  # px of a picture
MAX_TEXT = 1024  # bytes of a form field
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
WHOLE_NUMBER = re.compile(r"[+-]?\d{1,9}", re.ASCII)
WHITESPACE = " \t\r\n\f"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a request.

    Attributes:
        require: "model" where the model is required.
        min_confidence: of the boxes that are shown, 0..1; None for the default of the runner that answers.
        include: what is added to the Analysis.
        layers: what is drawn into a picture.
        legend: whether a picture has one.
        width: of a picture, px; None for its usual size.
    """

    require: Literal["model"] | None = None
    min_confidence: float | None = None
    include: frozenset[Include] = frozenset()
    layers: tuple[Layer, ...] = USUAL_LAYERS
    legend: bool = True
    width: int | None = None


ANALYZE = ("require", "min_confidence", "include")
BATCH = ("require", "min_confidence")
OVERLAY = (*ANALYZE, "layers", "legend", "width")


def refuse_unknown(names: Collection[str], known: Collection[str]) -> None:
    """Refuse what this request has no field for.

    Args:
        names: of the fields that were sent.
        known: of the fields that there are.

    Raises:
        BadRequest: a field is unknown; it names the field, and the nearest known one.
    """
    unknown = next((name for name in names if name not in known), None)
    if unknown is None:
        return
    near = difflib.get_close_matches(unknown.lower()[:40], known, n=1, cutoff=0.5)
    suggestion = f"Did you mean '{near[0]}'? " if near else ""
    fields = ", ".join(known)
    raise BadRequest(
        f"This endpoint has no field {unknown[:40]!r}.",
        f"{suggestion}It knows {fields}." if len(known) > 1 else f"{suggestion}It knows {fields} alone.",
    )


def of_json(values: Mapping[str, object]) -> Options:
    """The options in a JSON object, by their names; null is as if left out.

    Raises:
        BadRequest: a value is not one that its option can have.
    """
    return Options(**{name: _READ[name](name, value) for name, value in values.items() if value is not None})


def of_form(values: Mapping[str, bytes]) -> Options:
    """The options in a form, by their names; an empty field is as if left out.

    BentoML's own client sends form fields as JSON: "model" with its quotes, lists, null.

    Raises:
        BadRequest: a value is not one that its option can have.
    """
    return of_json({name: _from_text(name, text) for name, text in values.items()})


def _from_text(name: str, content: bytes) -> object:
    """The value of a form field as JSON would have it."""
    try:
        text = content[: MAX_TEXT + 1].decode().strip(WHITESPACE)
    except UnicodeDecodeError:
        raise _bad(name, content[:40]) from None
    if len(content) > MAX_TEXT:
        raise BadRequest(f"{name!r} is longer than {MAX_TEXT} bytes.", _HINTS[name])
    if text[:1] in ('"', "["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise _bad(name, text) from None
        if not isinstance(value, str):
            return value
        text = value.strip(WHITESPACE)
    if text in ("", "null"):
        return None
    return _TEXTS[name](text)


def _number(text: str) -> object:
    return float(text) if NUMBER.fullmatch(text) else text


def _whole_number(text: str) -> object:
    return int(text) if WHOLE_NUMBER.fullmatch(text) else text


def _truth(text: str) -> object:
    return {"true": True, "false": False}.get(text.lower(), text)


def _list(text: str) -> object:
    return [item.strip(WHITESPACE) for item in text.split(",")]


def _require(name: str, value: object) -> str:
    if value != "model":
        raise BadRequest("'require' is not 'model'.", _HINTS[name])
    return "model"


def _min_confidence(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _bad(name, value)
    return float(value)


def _width(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not MIN_WIDTH <= value <= MAX_WIDTH:
        raise _bad(name, value)
    return value


def _legend(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _bad(name, value)
    return value


def _members(name: str, value: object, known: Collection[str]) -> list[Any]:
    if not isinstance(value, list):
        raise _bad(name, value)
    for item in value:
        if not isinstance(item, str) or item not in known:
            raise _bad(name, item)
    return value


def _include(name: str, value: object) -> frozenset[Include]:
    return frozenset(_members(name, value, INCLUDES))


def _layers(name: str, value: object) -> tuple[Layer, ...]:
    return tuple(dict.fromkeys(_members(name, value, LAYERS)))


def _bad(name: str, value: object) -> BadRequest:
    if isinstance(value, str | bytes):
        shown = repr(value[:40])
    elif isinstance(value, float | bool) or (isinstance(value, int) and abs(value) < 10**15):
        shown = json.dumps(value)
    else:
        shown = {list: "a list", dict: "an object", int: "too large a number"}.get(type(value), "null")
    return BadRequest(f"{name!r} is {shown}; it must be {_ARE[name]}.", _HINTS[name])


_ARE = {
    "require": "'model'",
    "min_confidence": "a number from 0 to 1",
    "include": f"a list out of {', '.join(INCLUDES)}",
    "layers": f"a list out of {', '.join(LAYERS)}",
    "legend": "true or false",
    "width": f"a whole number of pixels from {MIN_WIDTH} to {MAX_WIDTH}",
}
_EXAMPLES = {
    "require": "model",
    "min_confidence": "0.5",
    "include": "outlines,maps",
    "layers": "boxes,zones",
    "legend": "false",
    "width": "800",
}
_HINTS = {name: f"Leave {name!r} out, or send {name}={example}." for name, example in _EXAMPLES.items()}
_HINTS["include"] += ' In JSON it is a list: ["outlines", "maps"].'
_READ: dict[str, Callable[[str, object], Any]] = {
    "require": _require,
    "min_confidence": _min_confidence,
    "include": _include,
    "layers": _layers,
    "legend": _legend,
    "width": _width,
}
_TEXTS: dict[str, Callable[[str], object]] = {
    "require": str,
    "min_confidence": _number,
    "include": _list,
    "layers": _list,
    "legend": _truth,
    "width": _whole_number,
}
