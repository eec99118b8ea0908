"""What a rollout would change in the task definition and in the service, as lines for people."""

from collections.abc import Iterable
from typing import Any

from deploy.rollout.service_calls import MASKED, SET_BY_ECS, comparable
from deploy.text import printable

MOST_SHOWN = 90  # characters of a value


def differences(before: dict[str, Any] | None, after: dict[str, Any], secret: Iterable[str] = ()) -> list[str]:
    """Lines that say what differs, each "path: before → after"; values of secret settings are masked.

    Args:
        before: a task definition as ECS describes it, or a service's settings; None if there is none yet.
        after: what would replace it.
        secret: names of settings whose plain value is a secret.
    """
    old, new = flatten(before or {}), flatten(after)
    lines = []
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) != new.get(path):
            masked = path.rpartition("environment.")[2] in set(secret)
            values = [
                MASKED if masked and path in side else printable(str(side.get(path, "nothing")), MOST_SHOWN)
                for side in (old, new)
            ]
            lines.append(f"{path}: {values[1]}" if before is None else f"{path}: {values[0]} → {values[1]}")
    return lines


def service_differences(service: dict[str, Any] | None, request: dict[str, Any]) -> list[str]:
    """Lines for what differs between the service and a request; the order of subnets and groups does not count.

    Args:
        service: as ECS describes it; None if there is none yet.
        request: as `service_request` makes it.
    """
    if service is None:
        return differences(None, comparable(request))
    return differences(comparable({key: service.get(key) for key in request}), comparable(request))


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Each leaf by its path, without empty values and without what ECS sets itself."""
    if isinstance(value, dict):
        kept = {key: part for key, part in value.items() if path or key not in SET_BY_ECS}
        if kept.get("hostPort") == kept.get("containerPort"):  # always equal in network mode awsvpc
            kept.pop("hostPort", None)
        parts = {f"{path}.{key}".lstrip("."): part for key, part in kept.items()}
    elif isinstance(value, list):
        if value and all(isinstance(item, dict) and "name" in item for item in value):
            named = {str(item["name"]): item.get("value", item.get("valueFrom", item)) for item in value}
            return flatten(named, path)
        if not all(isinstance(item, dict | list) for item in value):
            return {path: " ".join(map(str, value))} if value else {}
        parts = {f"{path}[{index}]": item for index, item in enumerate(value)}
    else:
        return {} if value in (None, "", False, 0) else {path: value}
    return {leaf: content for name, part in parts.items() for leaf, content in flatten(part, name).items()}
