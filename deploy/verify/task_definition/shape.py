"""Does it fit the API: names, types, words, what must be there, and names that ECS refuses."""

import re
from collections.abc import Iterator

from deploy.findings.catalog import Violation, check, fail
from deploy.text import printable, shown, words
from deploy.verify.context import CheckContext

FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}")
MOST_CONTAINERS = 10  # in one task definition


@check(
    "FIELD_UNKNOWN",
    "Every key is one that the API knows",
    why="RegisterTaskDefinition refuses the whole file for one misspelt key, and tools that drop what they do not know "
    "would register it without what was meant. Keys begin with a small letter: healthCheck, not HealthCheck.",
)
def unknown(case: CheckContext) -> Iterator[Violation]:
    for one in case.shape:
        if one.kind == "unknown":
            key = one.path.rpartition(".")[2]
            hint = f"did you mean {one.expected}?" if one.expected else "the API has nothing of that name."
            repair = f"Rename {key} to {one.expected}." if one.expected else f"Take {key} out."
            yield fail(f"{one.path} is not a key of a task definition; {hint}", repair, case.at(one.path, one.value))


@check(
    "FIELD_TYPE",
    "Every value is of the type that the API wants",
    why="The API tells numbers from text: cpu and memory of the task are text in quotes, containerPort is a number "
    "without, and values of environment are always text.",
)
def types(case: CheckContext) -> Iterator[Violation]:
    for one in case.shape:
        if one.kind == "type":
            value = "null" if one.value is None else shown(one.value)
            sentence = f"{one.path} is {value}, and the API wants {one.expected} there."
            yield fail(sentence, f"Write {one.path} as {one.expected}.", case.at(one.path, one.value))


@check(
    "FIELD_MISSING",
    "Everything that the API demands is there",
    why="RegisterTaskDefinition refuses the file.",
)
def missing(case: CheckContext) -> Iterator[Violation]:
    for one in case.shape:
        if one.kind == "missing":
            sentence = f"{one.path} is missing, and the API demands it as {one.expected}."
            yield fail(sentence, f"Add {one.path}.", case.at(one.path, None))


@check(
    "FIELD_VALUE",
    "Every word is one of those that the API knows",
    why="Some values are words out of a fixed list, small and capital letters told apart. botocore does not look at "
    "them, so the refusal would come from the API in the middle of a rollout.",
)
def values(case: CheckContext) -> Iterator[Violation]:
    for one in case.shape:
        if one.kind == "value":
            sentence = f"{one.path} is {shown(one.value)}, which the API does not know; it knows {one.expected}."
            yield fail(sentence, f"Set {one.path} to {one.expected}.", case.at(one.path, one.value))


@check(
    "FAMILY_REVISION",
    "The family is a name without a revision",
    why="A revision is a whole number that ECS counts up by itself. A word such as family:simple names no revision "
    "that can exist, so a rollback to it finds nothing. Phases are settings of one family, not revisions.",
    incident=9,
)
def revision(case: CheckContext) -> Iterator[Violation]:
    family = case.task.get("family", "")
    name, colon, rest = family.partition(":")
    if colon:
        kind = "ECS counts revisions itself" if rest.isdecimal() else "revisions are whole numbers that ECS gives"
        yield fail(
            f"family is {shown(family)}, with {shown(rest)} as a revision; {kind}, and a family has no colon.",
            f"Set family to {shown(name)}, and name the phase in SHINE_PHASE.",
            case.at("family", family),
        )


@check(
    "FAMILY_NAME",
    "The family's name is one that ECS takes",
    why="ECS takes up to 255 letters, digits, hyphens and underscores.",
)
def family(case: CheckContext) -> Iterator[Violation]:
    name = case.task.get("family", "")
    if ":" not in name and not FAMILY.fullmatch(name):
        yield fail(
            f"family is {shown(name)}; ECS takes 1 to 255 letters, digits, hyphens and underscores.",
            "Use another name, such as the service's.",
            case.at("family", name),
        )


@check(
    "CONTAINERS",
    "There are one to ten containers, each with a name of its own",
    why="The service's load balancer settings name the container; ECS refuses missing, odd and doubled names.",
)
def containers(case: CheckContext) -> Iterator[Violation]:
    found = case.task.get("containerDefinitions", [])
    if not 0 < len(found) <= MOST_CONTAINERS:
        yield fail(
            f"There are {len(found)} containers; a task has 1 to {MOST_CONTAINERS}.",
            "Describe the one container that serves; `trail render` prints it.",
            case.at("containerDefinitions", len(found)),
        )
    names = [one.get("name", "") for one in found]
    for place, name in enumerate(names):
        where = case.at(f"containerDefinitions[{place}].name", name)
        if not FAMILY.fullmatch(name):
            sentence = f"Container {place + 1} is named {shown(name)}; ECS takes letters, digits, hyphens, underscores."
            yield fail(sentence, f"Name it {case.contract.service}-api-gateway or the like.", where)
        elif name in names[:place]:
            yield fail(f"Two containers are named {shown(name)}.", "Give each a name of its own.", where)


@check(
    "DEPENDS_ON",
    "Containers wait only for containers that are there",
    why="ECS refuses a task definition in which a container waits for one that it does not describe, or for itself.",
)
def depends(case: CheckContext) -> Iterator[Violation]:
    names = [one.get("name", "") for one in case.containers]
    for place, one in enumerate(case.containers):
        for number, other in enumerate(one.get("dependsOn", [])):
            waited = other.get("containerName")
            if waited not in names or waited == one.get("name"):
                path = f"containerDefinitions[{place}].dependsOn[{number}].containerName"
                yield fail(
                    f"Container {shown(one.get('name', ''))} waits for {shown(waited)}; there are {words(names)}.",
                    "Name a container that is there, or take dependsOn out.",
                    case.at(path, waited),
                    case.at("containerDefinitions", [printable(name) for name in names]),
                )
