"""Does the task definition fit the API: keys, types, allowed values, required keys, and names that ECS accepts."""

import re
from collections.abc import Iterator

from deploy.redact import HIDDEN
from deploy.taskdef import secret_values
from deploy.taskdef.schema import PORTS, ShapeViolation
from deploy.text import shown
from deploy.verify.context import CheckContext
from deploy.verify.registry import Violation, check, fail, warn

FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}")
MAX_CONTAINERS = 10  # in one task definition
VARIABLE = re.compile(r"containerDefinitions\[(?P<container>\d+)\]\.environment\[(?P<variable>\d+)\]\.value")
MOST_NAMED = 6  # keys in a sentence


@check("FIELD_UNKNOWN")
def unknown(context: CheckContext) -> Iterator[Violation]:
    for violation in context.shape:
        if violation.kind == "unknown":
            key = violation.path.rpartition(".")[2]
            hint = (
                f"did you mean {violation.expected}?"
                if violation.expected
                else "the API has no key with a similar name."
            )
            repair = f"Rename {key} to {violation.expected}." if violation.expected else f"Remove {key}."
            yield fail(
                f"{violation.path} is not a key of a task definition; {hint}",
                repair,
                context.in_task(violation.path, violation.value),
            )


@check("FIELD_TYPE")
def types(context: CheckContext) -> Iterator[Violation]:
    for violation in context.shape:
        if violation.kind == "type":
            value = HIDDEN if _is_secret(context, violation) else violation.value
            output = "null" if value is None else shown(value)
            sentence = f"{violation.path} is {output}, but the API demands {violation.expected}."
            repair = f"Write {violation.path} as {violation.expected}."
            yield fail(sentence, repair, context.in_task(violation.path, value))
    yield from _nulls(context)


def _is_secret(context: CheckContext, violation: ShapeViolation) -> bool:
    """Whether the value is that of a variable whose name says that it is secret, or whose name cannot be read."""
    place = VARIABLE.fullmatch(violation.path)
    if place is None:
        return False
    containers = dict.get(context.task, "containerDefinitions")
    container = containers[int(place["container"])] if isinstance(containers, list) else {}
    variables = dict.get(container, "environment")
    name = dict.get(variables[int(place["variable"])], "name") if isinstance(variables, list) else None
    return not isinstance(name, str) or secret_values.is_secret(name, str(violation.value))


def _nulls(context: CheckContext) -> Iterator[Violation]:
    """One violation for all keys without a value."""
    paths = [violation.path for violation in context.shape if violation.kind == "null"]
    if not paths:
        return
    place = context.in_task(paths[0], None)
    needed = [path for path in paths if path.endswith(f".{PORTS}")] if context.ours else []
    if needed:
        yield fail(f"{needed[0]} is null, but the image listens on a port.", f"Write {needed[0]} as a list.", place)
    if others := [path for path in paths if path not in needed]:
        names = [path.rpartition(".")[2] for path in others]
        listed = ", ".join([*dict.fromkeys(names[:MOST_NAMED]), *(["…"] if len(names) > MOST_NAMED else [])])
        what = "1 key has" if len(others) == 1 else f"{len(others)} keys have"
        yield warn(
            f"{what} no value ({listed}); such keys were read as left out. The console writes them, but the AWS CLI "
            "refuses a null.",
            "Remove them: `jq 'del(.. | select(. == null))' FILE`.",
            place,
        )


@check("FIELD_MISSING")
def missing(context: CheckContext) -> Iterator[Violation]:
    for violation in context.shape:
        if violation.kind == "missing":
            sentence = f"{violation.path} is missing; the API demands {violation.expected}."
            yield fail(sentence, f"Add {violation.path}.", context.in_task(violation.path, None))


@check("FIELD_VALUE")
def values(context: CheckContext) -> Iterator[Violation]:
    for violation in context.shape:
        if violation.kind == "value":
            sentence = (
                f"{violation.path} is {shown(violation.value)}, which the API does not know; it accepts "
                f"{violation.expected}."
            )
            yield fail(
                sentence,
                f"Set {violation.path} to {violation.expected}.",
                context.in_task(violation.path, violation.value),
            )


@check("FAMILY_REVISION")
def revision(context: CheckContext) -> Iterator[Violation]:
    family = context.task.get("family", "")
    name, colon, rest = family.partition(":")
    if colon:
        kind = "ECS assigns revisions itself" if rest.isdecimal() else "revisions are whole numbers that ECS assigns"
        yield fail(
            f"family is {shown(family)}, with {shown(rest)} as a revision; {kind}, and a family has no colon.",
            f"Set family to {shown(name)}, and name the phase in SHINE_PHASE.",
            context.in_task("family", family),
        )


@check("FAMILY_NAME")
def family(context: CheckContext) -> Iterator[Violation]:
    name = context.task.get("family", "")
    if ":" not in name and not FAMILY.fullmatch(name):
        yield fail(
            f"family is {shown(name)}; ECS accepts 1 to 255 letters, digits, hyphens and underscores.",
            "Use another name, for example the service's.",
            context.in_task("family", name),
        )


@check("CONTAINERS")
def containers(context: CheckContext) -> Iterator[Violation]:
    definitions = context.task.get("containerDefinitions", [])
    if not 0 < len(definitions) <= MAX_CONTAINERS:
        yield fail(
            f"There are {len(definitions)} containers; a task has 1 to {MAX_CONTAINERS}.",
            "Describe the containers in containerDefinitions.",
            context.in_task("containerDefinitions", len(definitions)),
        )
    names = [container.get("name", "") for container in definitions]
    for index, name in enumerate(names):
        place = context.in_task(f"containerDefinitions[{index}].name", name)
        if not FAMILY.fullmatch(name):
            sentence = (
                f"Container {index + 1} is named {shown(name)}; ECS accepts letters, digits, hyphens, underscores."
            )
            yield fail(sentence, "Give it another name, for example the service's.", place)
        elif name in names[:index]:
            yield fail(f"Two containers are named {shown(name)}.", "Give each its own name.", place)
