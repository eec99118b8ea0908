"""Checks of a task definition; each module registers those of one subject."""

from deploy.findings.finding import Finding
from deploy.verify.context import CheckContext
from deploy.verify.registry import CHECKS, run_check

# isort: off  the order of the imports is the order of the findings
from deploy.verify.task_definition import connections, health, image, permissions, phases, platform, settings, shape

RULE_MODULES = (shape, platform, connections, health, image, permissions, settings, phases)


def run_checks(context: CheckContext) -> list[Finding]:
    """The findings of every check."""
    return [finding for check in CHECKS.values() for finding in run_check(check, context)]
