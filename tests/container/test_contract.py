"""The image's own contract: true, complete, and readable without a server."""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bentos.skin.contract import health_command
from bentos.skin.settings import HEALTH_PATH, Settings
from deploy.image.container import Container
from deploy.image.measure import used
from tests.server import ROOT

Run = Callable[..., Container]


def print_of(engine: dict[str, str], image: str, *words: str, **env: str) -> Any:
    settings = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
    command = ["docker", "run", "--rm", "--network", "none", "--read-only", *settings, image, "contract", *words]
    return json.loads(subprocess.run(command, env=engine, capture_output=True, check=True).stdout)


@pytest.fixture(scope="module")
def contract(engine: dict[str, str], image: str) -> dict[str, Any]:
    """The contract, printed with no network and nothing writable."""
    printed: dict[str, Any] = print_of(engine, image)
    return printed


def test_it_fits_its_own_schema(engine: dict[str, str], image: str, contract: dict[str, Any]) -> None:
    schema = print_of(engine, image, "--schema")
    assert list(Draft202012Validator(schema).iter_errors(contract)) == []
    assert list(Draft202012Validator(schema).iter_errors({**contract, "colour": "red"})) != []


def test_port_and_health_command_follow_the_port_that_is_set(
    engine: dict[str, str], image: str, contract: dict[str, Any]
) -> None:
    assert (contract["port"], contract["health"]["command"]) == (5000, health_command(5000))
    moved = print_of(engine, image, PORT="8080")
    assert (moved["port"], moved["health"]["path"]) == (8080, HEALTH_PATH)
    assert f"127.0.0.1:8080{HEALTH_PATH}" in moved["health"]["command"][-1]


def test_it_lists_every_setting_and_marks_what_is_secret(contract: dict[str, Any]) -> None:
    settings = {setting["name"]: setting for setting in contract["settings"]}
    assert settings.keys() == {f"SHINE_{name.upper()}" for name in Settings.model_fields}
    assert contract["secrets"] == ["SHINE_API_KEYS"]
    assert settings["SHINE_PHASE"]["default"] == "hybrid"
    assert settings["SHINE_MAX_PENDING"]["type"]["type"] == "integer"


def test_its_weights_are_those_in_the_repository(contract: dict[str, Any]) -> None:
    manifest = json.loads((ROOT / "bentos/skin/weights/manifest.json").read_text())
    assert (contract["weights"]["name"], contract["weights"]["version"]) == (manifest["name"], manifest["version"])


def test_only_phases_with_weights_from_outside_need_egress(contract: dict[str, Any]) -> None:
    assert [bool(contract["egress"][phase]) for phase in ("simple", "hybrid", "foundation", "full")] == [0, 0, 1, 1]
    assert "{bucket}.s3.{region}.amazonaws.com" in contract["egress"]["full"][0]["hosts"]


def test_a_memory_limit_below_the_minimum_is_refused_by_a_sentence(run: Run, contract: dict[str, Any]) -> None:
    least = contract["minimum"]["memory_mib"]
    small = run(memory_mib=least - 64, wait_for_port=False)
    ends = time.monotonic() + 60
    while small.inspect()["State"]["Status"] != "exited" and time.monotonic() < ends:
        time.sleep(0.2)
    assert small.inspect()["State"]["ExitCode"] == 1
    assert f"the memory limit is {least - 64} MiB; this image needs {least} MiB" in small.logs()
    assert "Traceback" not in small.logs()


def test_measured_figures_are_still_true(run: Run, contract: dict[str, Any]) -> None:
    measured, running = contract["measured"], run()
    assert running.wait() < 3 * measured["start_s"]["health"] + 5  # a machine that does other things meanwhile
    running.wait(state="ready")
    time.sleep(3)
    usage = used(running)
    assert usage < 1.3 * measured["memory_idle_mib"]
    assert measured["memory_idle_mib"] < measured["memory_load_mib"]
    assert running.stop() < contract["seconds"]["stop"]
