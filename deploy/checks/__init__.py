"""All checks of a task definition, in the order in which they are told."""

import importlib

from deploy.case import Case
from deploy.codes import CHECKS, run
from deploy.finding import Finding

ROOMS = ("shape", "platform", "ports", "health", "image", "roles", "settings", "secrets", "phases", "files", "stopping")

for room in ROOMS:  # each registers its checks
    importlib.import_module(f"deploy.checks.{room}")


def judge(case: Case) -> list[Finding]:
    """What every check says."""
    return [finding for one in CHECKS.values() for finding in run(one, case)]
