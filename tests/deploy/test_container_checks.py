"""What the trial reads, without a container."""

import inspect
import os
import re
from pathlib import Path
from typing import Any

import pytest

from bentos.skin.settings import read
from deploy.config.image_contract import own as contract
from deploy.findings.catalog import CODES
from deploy.verify.container import checks, probes, run
from deploy.verify.container.probes import loopback, sockets
from deploy.verify.container.run import environment, try_image
from deploy.verify.container.task import task

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10001        0 1 1 0 100 0 0 10 0
   1: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10001        0 2 1 0 100 0 0 10 0
   2: 0200110A:1388 0100110A:D2F0 01 00000000:00000000 00:00000000 00000000 10001        0 3 1 0 20 4 30 10 -1
"""


def test_only_listening_sockets_are_read() -> None:
    assert list(sockets(TABLE)) == [("00000000", 5000), ("0100007F", 3000)]


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("00000000", False),
        ("0100007F", True),
        ("0B00007F", True),
        ("0200110A", False),
        ("00000000000000000000000000000000", False),
        ("00000000000000000000000001000000", True),
        ("0000000000000000FFFF00000100007F", True),
        ("0000000000000000FFFF00000200110A", False),
    ],
)
def test_loopback_is_told_from_the_rest(address: str, verdict: bool) -> None:
    assert loopback(address) is verdict


def test_limits_come_from_the_task_definition_and_else_from_ecs() -> None:
    definition: dict[str, Any] = {
        "cpu": "512",
        "memory": "1536",
        "containerDefinitions": [
            {"name": "sidecar", "portMappings": [{"containerPort": 9000}]},
            {
                "name": "shine",
                "portMappings": [{"containerPort": 5000}],
                "healthCheck": {"command": ["CMD", "true"], "startPeriod": 60, "interval": 10, "retries": 3},
            },
        ],
    }
    result = task(definition, contract())
    assert (result.memory_mib, result.cpus, result.port) == (1536, 0.5, 5000)
    assert (result.start_period, result.patience, result.timeout, result.stop) == (60, 90, 5, 30)
    assert result.architecture == "X86_64"
    assert result.container["name"] == "shine"


def test_a_setting_that_depends_on_a_secret_finds_a_stand_in_that_the_image_takes() -> None:
    container = {
        "environment": [{"name": "SHINE_RATE_PER_MINUTE", "value": "600"}],
        "secrets": [{"name": "SHINE_API_KEYS", "valueFrom": "arn:x"}, {"name": "DB_PASSWORD", "valueFrom": "arn:y"}],
    }
    given = environment(container, contract())
    assert given.keys() == {"SHINE_RATE_PER_MINUTE", "SHINE_API_KEYS"}
    assert "arn:" not in str(given)
    assert read(given).rate_per_minute == 600


def test_every_code_is_explained() -> None:
    yielded = {
        code for module in (run, checks, probes) for code in re.findall(r'"(TRIAL_[A-Z_]+)"', inspect.getsource(module))
    }
    declared = {code for code in CODES if code.startswith("TRIAL_")}
    assert declared == yielded
    assert all(CODES[code].title and CODES[code].why.endswith(".") for code in declared)


def test_without_an_engine_nothing_is_judged_and_that_is_said(tmp_path: Path) -> None:
    env = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    program.chmod(0o755)
    [one] = try_image("shine:one", {}, contract(), {**env, "PATH": f"{tmp_path}:{env['PATH']}"})
    assert (one.code, one.level) == ("TRIAL_ENGINE", "SKIP")
    assert "Cannot connect to the Docker daemon" in one.sentence


def test_without_docker_nothing_is_judged_and_that_is_said(tmp_path: Path) -> None:
    [one] = try_image("shine:one", {}, contract(), {**os.environ, "PATH": str(tmp_path)})
    assert (one.code, one.level) == ("TRIAL_ENGINE", "SKIP")
    assert one.sentence == "The image was not run to the end: docker is not installed here."
