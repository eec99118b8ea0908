"""The metrics of the service, and those that a PromQL expression uses."""

import json
import os
import re
import subprocess
import sys
from functools import cache

from tests.server import ROOT

ATTACHED = {"job", "instance", "le"}  # by Prometheus, and the buckets of a histogram
SAMPLES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}
# A process of its own: a metric can be made once a process.
REGISTERED = """
import json
from bentos.skin.runtime.telemetry import LoadTelemetry, Telemetry
from bentos.skin.settings import Settings
made = [*vars(Telemetry(Settings())).values(), *vars(LoadTelemetry()).values()]
metrics = [metric for metric in made if hasattr(metric, "describe")]
print(json.dumps([[metric._name, metric._type, list(metric._labelnames)] for metric in metrics]))
"""


@cache
def registered() -> dict[str, set[str]]:
    """Names of the samples that the service can expose → their labels."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", REGISTERED]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True)
    return {name + suffix: set(labels) for name, kind, labels in json.loads(ended.stdout) for suffix in SAMPLES[kind]}


def asked_for(expression: str) -> set[str]:
    """Names of the metrics in an expression."""
    return set(re.findall(r"\bshine_\w+", expression))


def unknown_in(expression: str) -> set[str]:
    """What an expression asks for and the service does not have: metrics, labels in a selector or in a grouping."""
    known = registered()
    asked = asked_for(expression)
    missing = {name for name in asked if name not in known}
    for name, selector in re.findall(r"\b(shine_\w+)\{([^}]*)\}", expression):
        missing |= {f"{name}{{{label}}}" for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)} - {
            f"{name}{{{label}}}" for label in known.get(name, set()) | ATTACHED
        }
    labels = ATTACHED.union(*(known.get(name, set()) for name in asked))
    for grouping in re.findall(r"\b(?:by|ignoring|on|without) \(([^)]*)\)", expression):
        missing |= {label.strip() for label in grouping.split(",")} - labels
    return missing
