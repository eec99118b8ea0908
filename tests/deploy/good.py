"""A valid task definition and contract, and how to change one value in them."""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

from bentos.skin.settings import Phase
from deploy.config import image_contract as contracts
from deploy.config import plan as plans
from deploy.findings.finding import Finding
from deploy.taskdef import render
from deploy.taskdef import schema as shape
from deploy.verify.context import CheckContext
from deploy.verify.task_definition import run_checks

EXAMPLE = Path(plans.__file__).with_name("trail.yaml")
DIGEST = "sha256:" + "ab" * 32
GONE = object()  # a change that takes a field away


@cache
def _contract() -> str:
    own = contracts.builtin()
    fixed = {
        "architecture": "amd64",
        "minimum": {"memory_mib": 1472, "cpus": 0.25},
        "seconds": {**own["seconds"], "start": 2.3},
    }  # wherever tests run, and whatever was measured last
    return json.dumps({**own, **fixed})


def contract(**changes: Any) -> dict[str, Any]:
    """This checkout's contract; a change is e.g. seconds__stop=90."""
    return changed(json.loads(_contract()), {path.replace("__", "."): value for path, value in changes.items()})


@cache
def plan() -> plans.Plan:
    """The example that `trail init` writes."""
    return plans.read(EXAMPLE)


def task(phase: Phase = "hybrid") -> dict[str, Any]:
    """The task definition of a phase, rendered from the example."""
    return render.render(plan(), contract(), render.image_reference(plan(), DIGEST), phase)


def changed(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with values set or taken away.

    Paths are dotted, with list places as numbers; `c` is the container, `env` and `secret` are its variables by name,
    and a place one behind a list's end appends.
    """
    made = copy.deepcopy(content)
    for path, value in changes.items():
        first, _, name = path.partition(".")
        if first in ("env", "secret"):
            _variable(made["containerDefinitions"][0], first, name, value)
            continue
        *way, last = path.replace("c.", "containerDefinitions.0.", 1).split(".") if first == "c" else path.split(".")
        place: Any = made
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
        if value is GONE:
            del place[int(last) if isinstance(place, list) else last]
        elif isinstance(place, list) and int(last) == len(place):
            place.append(value)
        else:
            place[int(last) if isinstance(place, list) else last] = value
    return made


def _variable(container: dict[str, Any], kind: str, name: str, value: Any) -> None:
    key, holds = ("environment", "value") if kind == "env" else ("secrets", "valueFrom")
    kept = [item for item in container.get(key, []) if item["name"] != name]
    container[key] = kept if value is GONE else [*kept, {"name": name, holds: value}]


def context(
    content: dict[str, Any], image_contract: dict[str, Any] | None = None, phase: str | None = None
) -> CheckContext:
    """A context for the checks."""
    made, violations = shape.fit(content)
    image_contract = image_contract or contract()
    own = image_contract["settings"] == json.loads(_contract())["settings"]
    return CheckContext(made, violations, contracts.parse(image_contract), phase, own)


def problems(
    content: dict[str, Any], image_contract: dict[str, Any] | None = None, phase: str | None = None
) -> list[Finding]:
    """Findings of the checks with the level FAIL or WARN."""
    return [
        finding for finding in run_checks(context(content, image_contract, phase)) if finding.level in ("FAIL", "WARN")
    ]
