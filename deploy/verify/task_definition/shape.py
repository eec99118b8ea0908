"""Does the task definition fit the API: keys, types, allowed values, required keys, and names that ECS accepts."""

import re
from collections.abc import Iterator

from deploy.text import printable, shown, words
from deploy.verify.context import CheckContext
from deploy.verify.registry import Violation, check, fail

FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}")
MAX_CONTAINERS = 10  # in one task definition


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
            value = "null" if violation.value is None else shown(violation.value)
            sentence = f"{violation.path} is {value}, but the API demands {violation.expected}."
            yield fail(
                sentence,
                f"Write {violation.path} as {violation.expected}.",
                context.in_task(violation.path, violation.value),
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
            "Describe the serving container; `trail render` prints it.",
            context.in_task("containerDefinitions", len(definitions)),
        )
    names = [container.get("name", "") for container in definitions]
    for index, name in enumerate(names):
        place = context.in_task(f"containerDefinitions[{index}].name", name)
        if not FAMILY.fullmatch(name):
            sentence = (
                f"Container {index + 1} is named {shown(name)}; ECS accepts letters, digits, hyphens, underscores."
            )
            yield fail(sentence, f"Name it {context.contract.service}-api-gateway, for example.", place)
        elif name in names[:index]:
            yield fail(f"Two containers are named {shown(name)}.", "Give each its own name.", place)


@check("DEPENDS_ON")
def depends(context: CheckContext) -> Iterator[Violation]:
    names = [container.get("name", "") for container in context.containers]
    for index, container in enumerate(context.containers):
        for number, dependency in enumerate(container.get("dependsOn", [])):
            other, name = dependency.get("containerName"), container.get("name", "")
            if other not in names or other == name:
                path = f"containerDefinitions[{index}].dependsOn[{number}].containerName"
                yield fail(
                    f"Container {shown(name)} depends on {shown(other)}; the containers are {words(names)}.",
                    "Name an existing container, or remove dependsOn.",
                    context.in_task(path, other),
                    context.in_task("containerDefinitions", [printable(name) for name in names]),
                )
