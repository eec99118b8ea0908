"""Is it one image, and always the same."""

import re
from collections.abc import Iterator

from deploy.findings.catalog import Violation, check, fail, warn
from deploy.findings.finding import CheckSkipped
from deploy.text import shown
from deploy.verify.context import CheckContext

REFERENCE = re.compile(
    r"(?P<name>(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
MOVING = (
    "latest",
    "stable",
    "main",
    "master",
    "dev",
    "prod",
    "production",
    "staging",
    "simple",
    "hybrid",
    "foundation",
    "full",
)


def reference(case: CheckContext) -> re.Match[str]:
    """The image's name, tag and digest; raises CheckSkipped where it is no reference."""
    found = REFERENCE.fullmatch(case.container.get("image", ""))
    if found is None:
        raise CheckSkipped("not looked at, since image is no reference")
    return found


@check(
    "IMAGE_REFERENCE",
    "The image is named by a reference that can be pulled",
    why="A reference is registry/repository@sha256:<64 hex digits>, in small letters, without https://.",
)
def readable(case: CheckContext) -> Iterator[Violation]:
    image = case.container.get("image", "")
    if not image:
        repair = "Set image to registry/repository@sha256:…, as the registry prints it."
        yield fail("The container names no image.", repair, case.inside("image", image))
    elif REFERENCE.fullmatch(image) is None:
        yield fail(
            f"image is {shown(image)}, which is no reference; one reads registry/repository@sha256:<64 hex digits>.",
            "Copy the reference from the registry.",
            case.inside("image", image),
        )


@check(
    "IMAGE_TAG_MOVES",
    "The image is not named by a tag that moves",
    why="Such a tag names another image after each push. Tasks of one deployment may then differ, and a rollback to a "
    "task definition that names it brings back whatever was pushed last.",
    incident=9,
)
def moves(case: CheckContext) -> Iterator[Violation]:
    found = reference(case)
    if found["digest"] is None and (found["tag"] is None or found["tag"] in MOVING):
        tag = "no tag, which means latest" if found["tag"] is None else f"the tag {shown(found['tag'])}"
        yield fail(
            f"image has {tag}, which names another image after each push; a rollback would not know which it meant.",
            f"Name it by digest: {found['name']}@sha256:…",
            case.inside("image", found[0]),
        )


@check(
    "IMAGE_BY_TAG",
    "The image is named by its digest",
    why="A digest names one content for ever; what was proven is what runs. A tag is a promise of whoever may push.",
    incident=9,
)
def by_tag(case: CheckContext) -> Iterator[Violation]:
    found = reference(case)
    if found["digest"] is None and found["tag"] is not None and found["tag"] not in MOVING:
        yield warn(
            f"image is named by the tag {shown(found['tag'])} and not by a digest, so it may not be what was tried.",
            f"Name it by digest: {found['name']}@sha256:…",
            case.inside("image", found[0]),
        )


@check(
    "COMMAND",
    "The container runs what the image was made to run",
    why="The image's own entry point serves, on the port of its contract, without BentoML's container mode, in which "
    "one dead runner ends the whole server. Another command may do none of that.",
)
def command(case: CheckContext) -> Iterator[Violation]:
    entry, words = case.container.get("entryPoint", []), case.container.get("command", [])
    if entry or (words and words[0] != "serve"):
        key = "entryPoint" if entry else "command"
        yield warn(
            f"{key} is {shown(entry or words)}, in place of what the image runs by itself, serve.",
            f"Take {key} out.",
            case.inside(key, entry or words),
        )
