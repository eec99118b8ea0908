"""Does the task definition name one image, always the same, and start it as it was built."""

import re
from collections.abc import Iterator

from deploy.findings.finding import CheckSkipped
from deploy.text import shown
from deploy.verify.context import CheckContext
from deploy.verify.registry import Violation, check, fail, warn

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


def reference(context: CheckContext) -> re.Match[str]:
    """The image's name, tag and digest; raises CheckSkipped where the image is not a valid reference."""
    match = REFERENCE.fullmatch(context.container.get("image", ""))
    if match is None:
        raise CheckSkipped("not checked, since image is not a valid reference")
    return match


@check("IMAGE_REFERENCE")
def readable(context: CheckContext) -> Iterator[Violation]:
    image = context.container.get("image", "")
    if not image:
        repair = "Set image to registry/repository@sha256:…, as the registry prints it."
        yield fail("The container names no image.", repair, context.in_container("image", image))
    elif REFERENCE.fullmatch(image) is None:
        yield fail(
            f"image is {shown(image)}, which is not a reference; a reference looks like "
            "registry/repository@sha256:<64 hex digits>.",
            "Copy the reference from the registry.",
            context.in_container("image", image),
        )


@check("IMAGE_TAG_MOVES")
def moves(context: CheckContext) -> Iterator[Violation]:
    image = reference(context)
    if image["digest"] is None and (image["tag"] is None or image["tag"] in MOVING):
        tag = "no tag, which means latest" if image["tag"] is None else f"the tag {shown(image['tag'])}"
        yield fail(
            f"image has {tag}, which names another image after each push; a rollback could not tell which was meant.",
            f"Name it by digest: {image['name']}@sha256:…",
            context.in_container("image", image[0]),
        )


@check("IMAGE_BY_TAG")
def by_tag(context: CheckContext) -> Iterator[Violation]:
    image = reference(context)
    if image["digest"] is None and image["tag"] is not None and image["tag"] not in MOVING:
        yield warn(
            f"image is named by the tag {shown(image['tag'])} and not by a digest, so another image may run than the "
            "one that was tested.",
            f"Name it by digest: {image['name']}@sha256:…",
            context.in_container("image", image[0]),
        )


@check("COMMAND")
def command(context: CheckContext) -> Iterator[Violation]:
    entry, words = context.container.get("entryPoint", []), context.container.get("command", [])
    if entry or (words and words[0] != "serve"):
        key = "entryPoint" if entry else "command"
        yield warn(
            f"{key} is {shown(entry or words)}; it replaces the image's own command, serve.",
            f"Remove {key}.",
            context.in_container(key, entry or words),
        )
