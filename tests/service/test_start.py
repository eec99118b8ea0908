"""Settings at the start: a wrong one stops it with one sentence, PORT and SHINE_QUALITY do what they say."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.server import ROOT, Server, free_port
from tests.service.expect import encoded, is_error
from tests.service.traffic import until


def start(*arguments: str, **env: str) -> "subprocess.Popen[str]":
    """`bentoml serve` as the README has it, with nothing of this process's settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SHINE_", "BENTOML_"))}
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "bentoml"), "serve", "service:Gateway", *arguments],
        cwd=ROOT,
        env={**inherited, "BENTOML_DO_NOT_TRACK": "true", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def output_of_failed_start(**env: str) -> str:
    process = start("--port", str(free_port()), **env)
    try:
        output, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        pytest.fail("it started")
    assert process.returncode != 0
    assert "Traceback" not in output
    return output


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        pytest.param("SHINE_PHASES", "SHINE_PHASE", marks=pytest.mark.long),
        pytest.param("SHINE_REQUIER_MODEL", "SHINE_REQUIRE_MODEL", marks=pytest.mark.long),
        ("SHINE_API_KEY", "SHINE_API_KEYS"),
    ],
)
def test_a_misspelt_setting_stops_the_start_with_the_nearest_right_name(name: str, nearest: str) -> None:
    output = output_of_failed_start(**{name: "secret-value"})
    assert f"shine: {name} is not a setting of this service; did you mean {nearest}?" in output
    assert "secret-value" not in output


def test_a_key_that_no_header_can_carry_stops_the_start_without_being_shown() -> None:
    output = output_of_failed_start(SHINE_API_KEYS="secret key")
    assert "shine: SHINE_API_KEYS cannot be used: entry 1 of 1 has characters other than visible ASCII" in output
    assert "secret" not in output


def test_a_value_that_cannot_be_stops_the_start() -> None:
    output = output_of_failed_start(SHINE_MAX_PENDING="many")
    assert "SHINE_MAX_PENDING is 'many', which cannot be used" in output


@pytest.fixture
def on_port() -> Iterator[int]:
    """A service that was told its port by PORT alone, beside names that an orchestrator injects."""
    port = free_port()
    process = start(PORT=str(port), SHINE_PHASE="simple", SHINE_GATEWAY_SERVICE_HOST="10.0.0.1", SHINE_PORT="tcp://x:1")
    try:
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=40)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


def test_port_overrides_the_port_and_injected_names_are_ignored(on_port: int) -> None:
    url = f"http://127.0.0.1:{on_port}/health"
    until(lambda: answers(url), 60, "it listens")
    assert httpx.get(url).json()["phase"] == "simple"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("strict"), SHINE_PHASE="simple", SHINE_QUALITY="strict")
    try:
        yield running.wait()
    finally:
        running.stop()


def test_strict_quality_refuses_a_photo_with_issues(strict: Server, portrait: bytes) -> None:
    for photo, issue in ((portrait, "too_small"), (encoded(Image.new("RGB", (800, 800)), "PNG"), "no_face")):
        answer = httpx.post(strict.url + "/analyze", files={"image": photo}, timeout=60)
        assert issue in is_error(answer, 422, "quality_too_low")["message"]
