"""Checks of a task definition; each module registers those of one subject."""

from deploy.findings.catalog import COMPARED
from deploy.findings.finding import CheckSkipped, Finding, skip
from deploy.text import words
from deploy.verify.context import CheckContext
from deploy.verify.registry import CHECKS, run_check

# isort: off  the order of the imports is the order of the findings
from deploy.verify.task_definition import (
    connections,
    dependencies,
    health,
    image,
    logs,
    permissions,
    phases,
    platform,
    settings,
    shape,
    volumes,
)  # fmt: skip

RULE_MODULES = (
    shape, dependencies, platform, logs, connections, health, image, permissions, volumes, settings, phases,
)  # fmt: skip


def run_checks(context: CheckContext) -> list[Finding]:
    """The findings of every check; one SKIP stands for all of the contract where the image is not Shine's."""
    ours = _is_ours(context)
    checks = [check for check in CHECKS.values() if ours or check.needs != "contract"]
    return [
        *([] if ours else [_not_ours(context)]),
        *(result for check in checks for result in run_check(check, context)),
    ]


def _is_ours(context: CheckContext) -> bool:
    try:
        return context.ours
    except CheckSkipped:
        return False


def _not_ours(context: CheckContext) -> Finding:
    containers = dict.get(context.task, "containerDefinitions")
    images = [dict.get(part, "image") for part in containers] if isinstance(containers, list) else []
    return skip(
        COMPARED.code,
        "No image is Shine's by the name of its repository, so nothing was compared with the contract of Shine's image;"
        " --image or --contract says that it is.",
        context.in_task("containerDefinitions[].image", words(image for image in images if isinstance(image, str))),
    )
