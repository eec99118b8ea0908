"""Ways to start: what cannot be stops it with one sentence; options, PORT and SHINE_QUALITY do what they say."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from bentos.skin.runtime.compat_start import refuse_address, refuse_several_workers
from bentos.skin.settings import SettingsError, check_weights_uri
from tests.server import ROOT, WORKERS, Server, free_port
from tests.service.expect import encoded, is_error
from tests.service.traffic import until


def start(*arguments: str, cwd: Path = ROOT, **env: str) -> "subprocess.Popen[str]":
    """`bentoml serve` as the README has it, with nothing of this process's settings; WITHOUT is of workarounds."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SHINE_", "BENTOML_"))}
    target = f"{'tests.service.without_workarounds' if env.get('WITHOUT') else 'service'}:Gateway"
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "bentoml"), "serve", target, *arguments],
        cwd=cwd,
        env={**inherited, "BENTOML_DO_NOT_TRACK": "true", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def output_of_failed_start(*arguments: str, **env: str) -> str:
    process = start(*(arguments or ("--port", str(free_port()))), cwd=ROOT, **env)
    try:
        output, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        pytest.fail("it started")
    assert process.returncode == 1
    assert "Traceback" not in output
    assert [line for line in output.splitlines() if line.startswith("shine: ")] == output.splitlines()[-1:]
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


@pytest.mark.long
def test_a_key_that_no_header_can_carry_stops_the_start_without_being_shown() -> None:
    output = output_of_failed_start(SHINE_API_KEYS="secret key")
    assert "shine: SHINE_API_KEYS cannot be used: entry 1 of 1 has characters other than visible ASCII" in output
    assert "secret" not in output


@pytest.mark.long
def test_a_value_that_cannot_be_stops_the_start() -> None:
    output = output_of_failed_start(SHINE_MAX_PENDING="many")
    assert "SHINE_MAX_PENDING is 'many', which cannot be used" in output


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        output = output_of_failed_start("--host", "127.0.0.1", "--port", str(port))
    assert f"shine: it cannot listen on port {port} of 127.0.0.1: address already in use; stop what" in output
    assert len(output.splitlines()) == 1


@pytest.mark.long
def test_without_a_sentence_a_port_that_is_taken_ends_in_a_stack_trace() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start("--host", "127.0.0.1", "--port", str(port), WITHOUT="say_why_it_cannot_start")
        output, _ = process.communicate(timeout=60)
    assert "Traceback" in output


LONG = "d" * 64
TWO_GATEWAYS = {"services": {"Gateway": {"workers": 2}}}


@pytest.mark.long
@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        (
            {"SHINE_WEIGHTS_URI": "gs://bucket/face-skin"},
            "SHINE_WEIGHTS_URI is 'gs://bucket/face-skin', which cannot be used: name",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER is 'zipkin', which cannot be used: known are otlp, and",
        ),
        (
            {"OTEL_PROPAGATORS": "jaeger"},
            "OTEL_PROPAGATORS is 'jaeger', which cannot be used: known are baggage, none, ",
        ),
        (
            {"BENTOML_CONFIG_OVERRIDES": json.dumps(TWO_GATEWAYS)},
            "workers of Gateway is 2, which cannot be used: a service is one process",
        ),
    ],
)
def test_what_cannot_be_served_stops_the_start(env: dict[str, str], sentence: str) -> None:
    assert f"shine: {sentence}" in output_of_failed_start(**env)


@pytest.mark.long
def test_a_temporary_folder_with_too_long_a_path_stops_the_start(tmp_path: Path) -> None:
    folder = tmp_path / LONG
    folder.mkdir()
    output = output_of_failed_start(TMPDIR=str(folder))
    assert (
        f"shine: the temporary folder cannot be used: its path has {len(str(folder))} bytes, and 60 are the most"
        in output
    )


def test_a_home_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    """With the entry point of pyproject.toml, whether or not it is installed."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["bentoml.commands"]
    metadata = tmp_path / "shine-1.0.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shine\nVersion: 1.0.0\n")
    lines = [f"{name} = {target}" for name, target in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[bentoml.commands]", *lines]))
    home = tmp_path / "file"
    home.touch()
    output = output_of_failed_start(HOME=str(home), PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert output.startswith("shine: BentoML cannot make its folder: ")
    assert output.endswith("; set BENTOML_HOME to one that this user may write to.\n")
    assert len(output.splitlines()) == 1


@pytest.mark.long
def test_a_host_that_is_not_of_this_machine_stops_the_start() -> None:
    output = output_of_failed_start("--host", "192.0.2.1", "--port", str(free_port()))
    assert "of 192.0.2.1: cannot assign requested address; name another port by PORT or --port, or" in output


def test_a_port_that_there_is_not_is_named() -> None:
    with pytest.raises(SystemExit, match="shine: 99999 is not a port number from 0 to 65535"):
        refuse_address("127.0.0.1", 99999)


@pytest.mark.parametrize("uri", ["gs://bucket/x", "https://host/x", "file:///x", "S3://bucket/x", "s3://", "s3:///x"])
def test_weights_can_come_from_a_folder_or_from_s3_alone(uri: str) -> None:
    with pytest.raises(SettingsError, match=r"which cannot be used: name a folder or s3://bucket/prefix\."):
        check_weights_uri(uri)
    with pytest.raises(SettingsError) as refusal:
        check_weights_uri("https://me:secret@host/weights?signature=secret")
    assert "secret" not in str(refusal.value)
    for right in ("/weights", "weights/face-skin", "s3://bucket", "s3://bucket/x"):
        check_weights_uri(right)


@pytest.mark.parametrize(
    ("services", "refused"),
    [
        ({}, False),
        ({"Gateway": {"workers": None}, "SkinModel": {"workers": 1}}, False),
        ({"Gateway": {"workers": 2}}, True),
        ({"Gateway": {"workers": "cpu_count"}}, True),
        ({"SkinModel": {"workers": 2}}, True),
    ],
)
def test_a_service_is_one_process(services: dict[str, Any], refused: bool) -> None:
    with pytest.raises(SystemExit, match="shine: workers of") if refused else nullcontext():
        refuse_several_workers(services)


@pytest.mark.long
@pytest.mark.parametrize("without", ["", "start_with_both_runners"])
def test_development_mode_has_both_runners(portrait: bytes, without: str) -> None:
    port = free_port()
    process = start("--development", "--host", "127.0.0.1", "--port", str(port), WITHOUT=without)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{url}/health"), 60, "it listens")
        until(lambda: httpx.get(f"{url}/ml/status").json()["state"] == "ready", 60, "the model is loaded")
        with httpx.Client(timeout=30) as client:
            photos = [client.post(f"{url}/analyze", files={"image": portrait}) for _ in range(4)]
        assert [(photo.status_code, photo.json()["source"]) for photo in photos] == [(200, "model")] * 4
        commands = [" ".join(child.cmdline()) for child in psutil.Process(process.pid).children(recursive=True)]
        workers = {worker for worker in WORKERS if any(worker in command for command in commands)}
        assert workers == ({"Gateway"} if without else set(WORKERS))
    finally:
        end(process)


def start_reloading(folder: Path, without: str) -> "tuple[Path, int, subprocess.Popen[str]]":
    """A server of a copy of the code, with --reload: the copy, the server's port, its process."""
    copy = folder / "copy"
    shutil.copytree(ROOT / "bentos", copy / "bentos")
    for name in ("service.py", "bentofile.yaml"):
        shutil.copy(ROOT / name, copy)
    port = free_port()
    options = ("--reload", "--host", "127.0.0.1", "--port", str(port))
    return copy, port, start(*options, cwd=copy, PYTHONPATH=f"{copy}:{ROOT}", WITHOUT=without)


@pytest.mark.long
@pytest.mark.parametrize("without", ["", "reload_inside"])
def test_reload_serves_what_was_written(tmp_path: Path, portrait: bytes, without: str) -> None:
    """Twice, by a file that is replaced as editors do it, the second time after a mistake."""
    copy, port, process = start_reloading(tmp_path, without)
    schema = copy / "bentos" / "skin" / "schema.py"
    text = schema.read_text()

    def write(changed: str) -> None:
        fresh = schema.with_suffix(".new")
        fresh.write_text(changed)
        fresh.replace(schema)

    def serves(word: str) -> bool:
        answer = httpx.post(f"http://127.0.0.1:{port}/analyze", files={"image": portrait}, timeout=60)
        return str(answer.json()["notice"]).startswith(word)

    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/health"), 60, "it listens")
        write(text.replace('"Not a medical', '"FIRST. Not a medical', 1))
        if without:
            time.sleep(10)
            assert not serves("FIRST")
            return
        until(partial(serves, "FIRST"), 30, "the change is served")
        write(f"{text}\ndef mistake(:\n")
        time.sleep(5)
        write(text.replace('"Not a medical', '"SECOND. Not a medical', 1))
        until(partial(serves, "SECOND"), 30, "the next change is served")
        listening = {
            connection.laddr.port
            for connection in psutil.Process(process.pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {port}
    finally:
        end(process)


@pytest.mark.long
@pytest.mark.parametrize("without", ["", "stop_when_asked"])
def test_a_signal_to_stop_is_heeded_while_workers_are_replaced(tmp_path: Path, without: str) -> None:
    copy, port, process = start_reloading(tmp_path, without)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/ready"), 60, "it listens")
        (copy / "bentos" / "new.py").touch()
        assert process.stdout is not None
        assert any("files have changed" in line for line in process.stdout)
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=15)
            assert (process.returncode, without) == (0, "")
        except subprocess.TimeoutExpired:
            assert without
    finally:
        end(process)


def end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=40)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def on_port() -> Iterator[int]:
    """A service that was told its port by PORT alone, beside names that an orchestrator injects."""
    port = free_port()
    process = start(PORT=str(port), SHINE_PHASE="simple", SHINE_GATEWAY_SERVICE_HOST="10.0.0.1", SHINE_PORT="tcp://x:1")
    try:
        yield port
    finally:
        end(process)


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
