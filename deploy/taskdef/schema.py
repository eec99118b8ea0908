"""A task definition held against the API's own model, as botocore carries it: names, types, what must be there.

botocore's own validator stops neither at a wrong word among few (`networkMode`), nor names the nearest right key; nor
can one read on where it found fault. Here every value of a wrong type is kept as what it must have meant, where that
is plain ("5000" for 5000), and is broken otherwise, so that one mistake is told once.
"""

import difflib
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

from deploy.findings.finding import CheckSkipped
from deploy.text import printable, shown, words

MOST_DIGITS = 40
NAMES = {
    "string": "a string",
    "integer": "a whole number",
    "long": "a whole number",
    "boolean": "true or false",
    "structure": "an object",
    "map": "an object",
    "list": "a list",
    "double": "a number",
    "float": "a number",
}
TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
    "structure": dict,
    "map": dict,
    "list": list,
    "double": (int, float),
    "float": (int, float),
}


class InvalidValue:
    """Stands in place of a value of a wrong type; `reason` says what is wrong with it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Part(dict[str, Any]):
    """An object of the task definition, in which an invalid value cannot be mistaken for a missing one."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or the default where it is missing.

        Raises:
            CheckSkipped: the value is invalid.
        """
        value = super().get(key, default)
        if isinstance(value, InvalidValue):
            raise CheckSkipped(f"not looked at, since {value.reason}")
        return value


@dataclass(frozen=True)
class ShapeViolation:
    """A place where a task definition does not fit the API.

    Attributes:
        kind: type, value, unknown or missing.
        path: of the place, such as containerDefinitions[0].image.
        value: that stands there.
        expected: what the API takes: a type, a value, or the nearest key.
    """

    kind: str
    path: str
    value: Any
    expected: str


@cache
def service() -> Any:
    """ECS, as botocore describes it."""
    return ServiceModel(Loader().load_service_model("ecs", "service-2"))


def register_input() -> Any:
    """What RegisterTaskDefinition takes."""
    return service().operation_model("RegisterTaskDefinition").input_shape


def read_only() -> set[str]:
    """Fields that DescribeTaskDefinition prints and RegisterTaskDefinition does not take."""
    return set(service().shape_for("TaskDefinition").members) - set(register_input().members)


def fit(task: dict[str, Any]) -> tuple[Part, tuple[ShapeViolation, ...]]:
    """The task definition with what is broken marked, and every fault."""
    faults: list[ShapeViolation] = []
    return _structure(task, register_input(), "", faults), tuple(faults)


def _value(value: Any, shape: Any, path: str, faults: list[ShapeViolation]) -> Any:
    wanted = shape.type_name
    if not isinstance(value, TYPES[wanted]) or (isinstance(value, bool) and wanted != "boolean"):
        faults.append(ShapeViolation("type", path, value, NAMES[wanted]))
        return _meant(value, wanted, path)
    if wanted == "structure":
        return _structure(value, shape, path, faults)
    if wanted == "list":
        items = [_value(one, shape.member, f"{path}[{place}]", faults) for place, one in enumerate(value)]
        return next((one for one in items if isinstance(one, InvalidValue)), items)
    if wanted == "map":
        return Part({key: _value(one, shape.value, f"{path}.{key}", faults) for key, one in value.items()})
    known = getattr(shape, "enum", None)
    if known and value not in known:
        near = difflib.get_close_matches(value.upper(), [one.upper() for one in known], n=1, cutoff=0.6)
        meant = next((one for one in known if near and one.upper() == near[0]), None)
        faults.append(ShapeViolation("value", path, value, meant or words(known)))
        return InvalidValue(f"{printable(path)} is {shown(value)}")
    return value


def _structure(value: dict[str, Any], shape: Any, path: str, faults: list[ShapeViolation]) -> Part:
    dot = f"{path}." if path else ""
    part = Part()
    for key, one in value.items():
        if key in shape.members:
            part[key] = _value(one, shape.members[key], dot + key, faults)
            continue
        names = {name.lower(): name for name in shape.members}
        near = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.7)
        faults.append(
            ShapeViolation("unknown", dot + printable(key, 60), plain_name(one), names[near[0]] if near else "")
        )
        if near and names[near[0]] not in value:
            part[names[near[0]]] = InvalidValue(f"{names[near[0]]} is misspelt as {printable(key, 60)}")
    for key in shape.required_members:
        if key not in part:
            faults.append(ShapeViolation("missing", dot + key, None, NAMES[shape.members[key].type_name]))
            part[key] = InvalidValue(f"{dot}{key} is missing")
    return part


def plain_name(value: Any) -> Any:
    """A value under an unknown name, which may be anything: its kind only, since it may be a secret."""
    return next((name for kind, name in ((dict, "an object"), (list, "a list")) if isinstance(value, kind)), "a value")


def _meant(value: Any, wanted: str, path: str) -> Any:
    """What a value of another type must have meant, or Broken."""
    text = str(value).strip().lower() if isinstance(value, str | int | float) else ""
    if wanted in ("integer", "long"):
        number = text.removesuffix(".0")
        if (
            number.removeprefix("-").isdecimal()
            and number.isascii()
            and len(number) < 10
            and not isinstance(value, bool)
        ):
            return int(number)
    elif wanted == "boolean" and text in ("true", "false"):
        return text == "true"
    elif wanted == "string" and isinstance(value, bool):
        return text
    elif wanted == "string" and isinstance(value, int | float):
        return str(value)[:MOST_DIGITS]
    return InvalidValue(f"{printable(path)} is {shown(value)}")
