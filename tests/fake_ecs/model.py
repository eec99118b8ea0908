"""Checks a response against botocore's model of ECS: no unknown key, every type and enumeration value right."""

from datetime import datetime
from functools import cache
from typing import Any

import botocore.session

TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
    "timestamp": datetime,
    "double": (int, float),
    "float": (int, float),
}


@cache
def ecs() -> Any:
    """botocore's model of ECS."""
    return botocore.session.Session().get_service_model("ecs")


def faults(operation: str, answer: dict[str, Any]) -> list[str]:
    """The differences from the model, each with its path."""
    return list(_faults(ecs().operation_model(operation).output_shape, answer, operation))


def _faults(shape: Any, value: Any, place: str) -> list[str]:
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            return [f"{place} is no structure"]
        unknown = [f"{place}.{name} is not in the model" for name in value if name not in shape.members]
        known = [name for name in value if name in shape.members]
        return unknown + [
            fault for name in known for fault in _faults(shape.members[name], value[name], f"{place}.{name}")
        ]
    if shape.type_name == "list":
        if not isinstance(value, list):
            return [f"{place} is no list"]
        return [
            fault for number, item in enumerate(value) for fault in _faults(shape.member, item, f"{place}[{number}]")
        ]
    if shape.type_name == "map":
        return [] if isinstance(value, dict) else [f"{place} is no map"]
    wrong = not isinstance(value, TYPES[shape.type_name]) or (shape.type_name == "integer" and isinstance(value, bool))
    if wrong:
        return [f"{place} is {value!r}, the model wants {shape.type_name}"]
    if getattr(shape, "enum", None) and value not in shape.enum:
        return [f"{place} is {value!r}, the model knows {', '.join(shape.enum)}"]
    return []
