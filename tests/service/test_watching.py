"""What a running service reports: metrics in log lines, memory, and the last values of a killed process."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bentos.skin import cgroup
from tests.server import PORTRAIT, ROOT, Server
from tests.service.test_policy import metric
from tests.service.test_tracing import line_of, lines
from tests.service.traffic import until
from tests.unit.runtime.test_emf import values_of


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("watched"), SHINE_PHASE="simple", SHINE_LOG_EMF="true")
    try:
        yield running.wait_for_workers()
    finally:
        running.stop()


def test_a_photo_requests_line_carries_cloudwatch_metrics(watched: Server) -> None:
    answer = httpx.post(watched.url + "/analyze", files={"image": PORTRAIT.read_bytes()}, timeout=30)
    line = line_of(watched, answer.headers["x-request-id"])
    values = values_of(line)
    assert values.pop("Latency") == line["ms"] > 0
    assert values == {"Photos": 1, "Degraded": 0, "ServerErrors": 0, "ClientErrors": 0, "Overloaded": 0}
    assert line["phase"] == "simple"
    assert (line["source"], line["reason"], line["degraded"]) == ("heuristic", "model_disabled", False)


def test_a_refused_photo_counts_as_the_clients_error(watched: Server) -> None:
    answer = httpx.post(watched.url + "/analyze", files={"image": b"no photo"}, timeout=30)
    values = values_of(line_of(watched, answer.headers["x-request-id"]))
    assert (values["ClientErrors"], values["ServerErrors"]) == (1, 0)
    assert "Latency" not in values


def test_other_lines_carry_none(watched: Server, server: Server) -> None:
    asked = httpx.get(watched.url + "/version").headers["x-request-id"]
    assert "_aws" not in line_of(watched, asked)
    photo = httpx.post(server.url + "/analyze", files={"image": PORTRAIT.read_bytes()}, timeout=30)
    assert "_aws" not in line_of(server, photo.headers["x-request-id"])  # off unless asked for
    assert all("_aws" not in line for line in lines(watched) if line["message"] != "request")


def test_memory_is_that_of_the_container(watched: Server) -> None:
    here = cgroup.memory()
    if here is None:
        assert metric(watched, "shine_memory_bytes") == 0
        return
    until(lambda: metric(watched, "shine_memory_bytes") > 0, 5, "memory told")
    assert metric(watched, "shine_memory_bytes") == pytest.approx(here.used, rel=0.5)
    assert metric(watched, "shine_memory_limit_bytes") == here.limit


KILLED = """
import os, signal
from bentos.skin.runtime.telemetry import Telemetry
from bentos.skin.settings import Settings
telemetry = Telemetry(Settings())
telemetry.breakers(model={state!r})
telemetry.model_state({model!r})
os.kill(os.getpid(), signal.{signal})
"""
SCRAPE = """
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def test_what_a_killed_process_last_said_does_not_stay_true(tmp_path: Path) -> None:
    def run(script: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-W", "ignore", "-c", script]
        env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)

    assert run(KILLED.format(state="open", model="degraded", signal="SIGKILL")).returncode == -signal.SIGKILL
    assert 'shine_breaker_state{runner="model"} 2.0' in run(SCRAPE).stdout
    run(KILLED.format(state="closed", model="ready", signal="SIGKILL"))
    metrics = run(SCRAPE).stdout
    assert 'shine_breaker_state{runner="model"} 0.0' in metrics
    assert 'shine_model_state{state="degraded"} 0.0' in metrics
