"""Does the task definition name one image, always the same, and start it as it was built."""

import re
from collections.abc import Iterator

from deploy.findings.finding import CheckSkipped
from deploy.text import shown
from deploy.verify.context import CheckContext, Container
from deploy.verify.registry import Violation, check, each_container, fail, warn

REFERENCE = re.compile(
    r"(?P<name>(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
MOVING = (  # tags of Shine's image, the names of the phases among them
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


LATEST = "latest"
ECR = re.compile(r"\d{12}\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.")


@check("IMAGE_REFERENCE")
@each_container
def readable(_context: CheckContext, container: Container) -> Iterator[Violation]:
    image = container.part.get("image", "")
    if not image:
        repair = "Set image to registry/repository@sha256:…, as the registry prints it."
        yield fail(container.says("it names no image."), repair, container.place("image", image))
    elif REFERENCE.fullmatch(image) is None:
        yield fail(
            container.says(
                f"image is {shown(image)}, which is not a reference; a reference looks like "
                "registry/repository@sha256:<64 hex digits>."
            ),
            "Copy the reference from the registry.",
            container.place("image", image),
        )


@check("IMAGE_TAG_MOVES")
@each_container
def moves(context: CheckContext, container: Container) -> Iterator[Violation]:
    image = REFERENCE.fullmatch(container.part.get("image", ""))
    if image is None:
        raise CheckSkipped("not checked, since image is not a valid reference")
    own = context.is_own(container)
    if image["digest"] is not None or image["tag"] not in (None, *(MOVING if own else (LATEST,))):
        return
    tag = "no tag, which means latest" if image["tag"] is None else f"the tag {shown(image['tag'])}"
    place, repair = container.place("image", image[0]), f"Name it by digest: {image['name']}@sha256:…"
    if own:
        sentence = (
            f"image has {tag}, which names another image after each push; a rollback could not tell which was meant."
        )
        yield fail(container.says(sentence), repair, place)
    else:
        sentence = f"image has {tag}, which names another image after each push: tasks of one deployment may differ."
        yield warn(container.says(sentence), "Name it by its version, or by digest.", place)


@check("IMAGE_BY_TAG", needs="contract")
def by_tag(context: CheckContext) -> Iterator[Violation]:
    image = REFERENCE.fullmatch(context.container.get("image", ""))
    if image is None:
        raise CheckSkipped("not checked, since image is not a valid reference")
    if image["digest"] is None and image["tag"] is not None and image["tag"] not in MOVING:
        yield warn(
            f"image is named by the tag {shown(image['tag'])} and not by a digest, so another image may run than the "
            "one that was tested.",
            f"Name it by digest: {image['name']}@sha256:…",
            context.in_container("image", image[0]),
        )


@check("IMAGE_REGION")
@each_container
def region(_context: CheckContext, container: Container) -> Iterator[Violation]:
    image = ECR.match(container.part.get("image", ""))
    logs = container.part.get("logConfiguration", {}).get("options", {}).get("awslogs-region", "")
    if image is not None and logs and logs != image["region"]:
        yield warn(
            container.says(
                f"the image is in ECR of {image['region']}, but the log goes to {logs}: one of them is in another "
                "region than the task, and an image from another region is pulled slowly and for a fee."
            ),
            "Name the region in which the task runs; ECR can replicate the repository to it.",
            container.place("image", container.part.get("image")),
            container.place("logConfiguration.options.awslogs-region", logs),
        )


@check("COMMAND", needs="contract")
def command(context: CheckContext) -> Iterator[Violation]:
    entry, words = context.container.get("entryPoint", []), context.container.get("command", [])
    if entry or (words and words[0] != "serve"):
        key = "entryPoint" if entry else "command"
        yield warn(
            f"{key} is {shown(entry or words)}; it replaces the image's own command, serve.",
            f"Remove {key}.",
            context.in_container(key, entry or words),
        )
