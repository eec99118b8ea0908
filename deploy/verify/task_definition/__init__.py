"""All checks of a task definition, in the order in which they are told."""

import importlib

from deploy.findings.catalog import CHECKS, run
from deploy.findings.finding import Finding
from deploy.verify.context import CheckContext

ROOMS = ("shape", "platform", "ports", "health", "image", "roles", "settings", "secrets", "phases", "files", "stopping")

for room in ROOMS:  # each registers its checks
    importlib.import_module(f"deploy.verify.task_definition.{room}")


def judge(case: CheckContext) -> list[Finding]:
    """What every check says."""
    return [finding for one in CHECKS.values() for finding in run(one, case)]
