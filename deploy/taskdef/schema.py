"""Compares a task definition with the API's model in botocore: keys, types, required values.

botocore's own validator accepts unknown values of an enumeration (`networkMode`), names no nearest key, and stops at
the first error. Here a value of a wrong type is converted where its meaning is clear ("5000" for 5000), and is an
`InvalidValue` otherwise, so that each mistake is reported once.

The console and some tools write null, or an empty text from a fixed list, for a key without a value. Such a key counts
as left out, but for those that preflight's own rules demand: their null is the mistake.
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
FARGATE = "FARGATE"
SIZES = ("cpu", "memory")  # of the task, without which Fargate runs none
PORTS = "portMappings"  # without which nothing can be said of the image's port
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
            raise CheckSkipped(f"not checked, since {value.reason}")
        return value


@dataclass(frozen=True)
class ShapeViolation:
    """A place where a task definition does not fit the API.

    Attributes:
        kind: type, value, unknown, missing, or null for a key without a value.
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
    """The model of ECS in botocore."""
    return ServiceModel(Loader().load_service_model("ecs", "service-2"))


def register_input() -> Any:
    """The shape of the input of RegisterTaskDefinition."""
    return service().operation_model("RegisterTaskDefinition").input_shape


def read_only() -> set[str]:
    """Fields that DescribeTaskDefinition prints and RegisterTaskDefinition does not take."""
    return set(service().shape_for("TaskDefinition").members) - set(register_input().members)


def fit(task: dict[str, Any]) -> tuple[Part, tuple[ShapeViolation, ...]]:
    """The task definition with invalid values marked, and all violations."""
    violations: list[ShapeViolation] = []
    launch_types = task.get("requiresCompatibilities")
    sized = isinstance(launch_types, list) and FARGATE in launch_types
    for key in SIZES if sized else ():
        if key in task and task[key] is None:
            violations.append(ShapeViolation("type", key, None, NAMES["string"]))
            task = {**task, key: InvalidValue(f"{key} is null")}
    return _structure(task, register_input(), "", violations), tuple(violations)


def readable(task: dict[str, Any]) -> dict[str, Any]:
    """The task definition without what it leaves out by a null, and without values of a wrong type."""
    return _readable(fit(task)[0])  # type: ignore[no-any-return]


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items() if not isinstance(item, InvalidValue)}
    return [_readable(item) for item in value] if isinstance(value, list) else value


def _value(value: Any, shape: Any, path: str, violations: list[ShapeViolation]) -> Any:
    if isinstance(value, InvalidValue):
        return value
    expected = shape.type_name
    if not isinstance(value, TYPES[expected]) or (isinstance(value, bool) and expected != "boolean"):
        violations.append(ShapeViolation("type", path, value, NAMES[expected]))
        return _converted(value, expected, path)
    if expected == "structure":
        return _structure(value, shape, path, violations)
    if expected == "list":
        items = [_value(item, shape.member, f"{path}[{index}]", violations) for index, item in enumerate(value)]
        return next((item for item in items if isinstance(item, InvalidValue)), items)
    if expected == "map":
        return _map(value, shape, path, violations)
    known = getattr(shape, "enum", None)
    if known and value not in known:
        near = difflib.get_close_matches(value.upper(), [word.upper() for word in known], n=1, cutoff=0.6)
        meant = next((word for word in known if near and word.upper() == near[0]), None)
        violations.append(ShapeViolation("value", path, value, meant or words(known)))
        return InvalidValue(f"{printable(path)} is {shown(value)}")
    return value


def _map(value: dict[str, Any], shape: Any, path: str, violations: list[ShapeViolation]) -> Part:
    part = Part()
    for key, item in value.items():
        if item is None:
            violations.append(ShapeViolation("null", f"{path}.{printable(key, 60)}", None, NAMES["string"]))
        else:
            part[key] = _value(item, shape.value, f"{path}.{key}", violations)
    return part


def _structure(value: dict[str, Any], shape: Any, path: str, violations: list[ShapeViolation]) -> Part:
    dot = f"{path}." if path else ""
    part = Part()
    for key, item in value.items():
        if key in shape.members:
            member = shape.members[key]
            if not (item is None or (item == "" and getattr(member, "enum", None))) or key in shape.required_members:
                part[key] = _value(item, member, dot + key, violations)
                continue
            violations.append(ShapeViolation("null", dot + key, item, NAMES[member.type_name]))
            if key == PORTS:
                part[key] = InvalidValue(f"{dot}{key} is null")
            continue
        names = {name.lower(): name for name in shape.members}
        near = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.7)
        violations.append(
            ShapeViolation("unknown", dot + printable(key, 60), kind_of(item), names[near[0]] if near else "")
        )
        if near and names[near[0]] not in value:
            part[names[near[0]]] = InvalidValue(f"{names[near[0]]} is misspelt as {printable(key, 60)}")
    for key in shape.required_members:
        if key not in part:
            violations.append(ShapeViolation("missing", dot + key, None, NAMES[shape.members[key].type_name]))
            part[key] = InvalidValue(f"{dot}{key} is missing")
    return part


def kind_of(value: Any) -> Any:
    """The kind of a value under an unknown key; the value itself may be a secret."""
    return next((name for kind, name in ((dict, "an object"), (list, "a list")) if isinstance(value, kind)), "a value")


def _converted(value: Any, expected: str, path: str) -> Any:
    """A value of another type in the expected one where its meaning is clear, else an InvalidValue."""
    text = str(value).strip().lower() if isinstance(value, str | int | float) else ""
    if expected in ("integer", "long"):
        number = text.removesuffix(".0")
        if (
            number.removeprefix("-").isdecimal()
            and number.isascii()
            and len(number) < 10
            and not isinstance(value, bool)
        ):
            return int(number)
    elif expected == "boolean" and text in ("true", "false"):
        return text == "true"
    elif expected == "string" and isinstance(value, bool):
        return text
    elif expected == "string" and isinstance(value, int | float):
        return str(value)[:MOST_DIGITS]
    return InvalidValue(f"{printable(path)} is {shown(value)}")
