"""The trial of an image: the good one passes, and each defect of a broken one is named in one sentence."""

import json
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bentos.skin.contract import health_command
from deploy.config.image_contract import Contract, own
from deploy.findings.finding import Finding
from deploy.verify.container.run import try_image
from tests.container.registry import Registry
from tests.server import free_port

Broken = Callable[[str, str], str]
PLAIN_SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == {path!r} else 404)
        self.end_headers()
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        {photo}
http.server.HTTPServer(({host!r}, {port}), Handler).serve_forever()
"""
ANSWERED = "self.send_response(200); self.end_headers(); self.wfile.write(b'{}')"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return own()


@pytest.fixture
def definition() -> dict[str, Any]:
    """As the task would be registered."""
    return {
        "cpu": "1024",
        "memory": "2048",
        "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
        "containerDefinitions": [
            {
                "name": "shine",
                "portMappings": [{"containerPort": 5000, "protocol": "tcp"}],
                "readonlyRootFilesystem": True,
                "environment": [{"name": "SHINE_PHASE", "value": "hybrid"}],
                "healthCheck": {
                    "command": health_command(5000),
                    "interval": 5,
                    "timeout": 5,
                    "retries": 2,
                    "startPeriod": 60,
                },
                "stopTimeout": 30,
            }
        ],
    }


@pytest.fixture
def broken(engine: dict[str, str], image: str, tmp_path: Path) -> Iterator[Broken]:
    """Build an image upon the good one; it is removed with the test."""
    made: list[str] = []

    def build(name: str, lines: str) -> str:
        tag = f"shine-broken:{name}"
        (tmp_path / "Dockerfile").write_text(f"FROM {image}\n{lines}\n")
        command = ["docker", "build", "--quiet", "-t", tag, str(tmp_path)]
        # BuildKit of Debian's engine (20.10) panics, the engine with it, when bases are built upon and removed in turn.
        env = {**engine, "DOCKER_BUILDKIT": "0"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        made.append(tag)
        return tag

    yield build
    for tag in made:
        subprocess.run(["docker", "rmi", tag], env=engine, capture_output=True, check=False)


def serving(
    path: str = "/health",
    host: str = "0.0.0.0",  # noqa: S104  in a container
    port: int = 5000,
    photo: str = ANSWERED,
) -> str:
    """Lines that let a plain server answer in the place of ours; `photo` is what it does with one."""
    words = ["python", "-c", PLAIN_SERVER.format(path=path, host=host, port=port, photo=photo)]
    return f"ENTRYPOINT []\nCMD {json.dumps(words)}"


def levels(findings: list[Finding]) -> dict[str, str]:
    return {finding.code: finding.level for finding in findings if finding.level in ("FAIL", "WARN")}


def sentence(findings: list[Finding], code: str) -> str:
    return next(finding.sentence for finding in findings if finding.code == code)


def containers(engine: dict[str, str], image: str) -> list[str]:
    command = ["docker", "ps", "--all", "--quiet", "--filter", f"ancestor={image}"]
    return subprocess.run(command, env=engine, capture_output=True, text=True, check=True).stdout.split()


def test_the_good_image_passes_within_a_minute(
    engine: dict[str, str], image: str, contract: Contract, definition: dict[str, Any]
) -> None:
    before, began = set(containers(engine, image)), time.monotonic()
    findings = try_image(image, definition, contract, engine)
    seconds = time.monotonic() - began
    assert levels(findings) == {}, [finding.sentence for finding in findings]
    assert [finding.code for finding in findings if finding.level == "OK"] == [
        "TRIAL_IMAGE",
        "TRIAL_ARCHITECTURE",
        "TRIAL_USER",
        "TRIAL_START",
        "TRIAL_PORT",
        "TRIAL_HEALTH",
        "TRIAL_COMMAND",
        "TRIAL_EXECUTABLES",
        "TRIAL_WRITES",
        "TRIAL_MEMORY",
        "TRIAL_PHOTO",
        "TRIAL_STOP",
    ]
    assert sentence(findings, "TRIAL_EXECUTABLES") == "Installed in the image: python, sh; missing: curl, wget."
    assert seconds < 60
    assert set(containers(engine, image)) <= before


def test_a_server_on_port_3000_is_named_with_all_three_ports(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken
) -> None:
    findings = try_image(broken("port", "ENV PORT=3000"), definition, contract, engine)
    assert levels(findings) == {"TRIAL_PORT_OTHER": "FAIL", "TRIAL_COMMAND_FAILED": "FAIL"}
    assert sentence(findings, "TRIAL_PORT_OTHER") == (
        "The container listens on port 3000, its contract says 5000, the task definition 5000."
    )


def test_a_task_definition_with_another_port_than_the_image(
    engine: dict[str, str], image: str, contract: Contract, definition: dict[str, Any]
) -> None:
    definition["containerDefinitions"][0]["portMappings"][0]["containerPort"] = 8080
    findings = try_image(image, definition, contract, engine)
    assert levels(findings) == {"TRIAL_PORT_MAPPED": "FAIL"}
    assert sentence(findings, "TRIAL_PORT_MAPPED") == (
        "The container listens on port 5000, but the task definition maps 8080."
    )


def test_health_at_the_root_is_named(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken
) -> None:
    definition["containerDefinitions"][0]["stopTimeout"] = 3  # the plain server does not hear SIGTERM
    findings = try_image(broken("path", serving(path="/")), definition, contract, engine)
    assert {"TRIAL_HEALTH_STATUS": "FAIL", "TRIAL_COMMAND_FAILED": "FAIL"}.items() <= levels(findings).items()
    assert sentence(findings, "TRIAL_HEALTH_STATUS") == "GET /health answers 404, not 200 (but / answers 200)."


def test_a_server_on_loopback_is_named(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken
) -> None:
    definition["containerDefinitions"][0]["stopTimeout"] = 3  # the plain server does not hear SIGTERM
    findings = try_image(broken("loopback", serving(host="127.0.0.1")), definition, contract, engine)
    assert levels(findings)["TRIAL_LOOPBACK"] == "FAIL"
    assert sentence(findings, "TRIAL_LOOPBACK").startswith("The container listens on 127.0.0.1:5000 only")


def test_an_image_that_exits_at_once_is_named_with_code_and_last_words(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken
) -> None:
    crash = 'ENTRYPOINT ["python", "-c", "raise ModuleNotFoundError(\'No module named numpy\')"]'
    tag = broken("exit", crash)
    findings = try_image(tag, definition, contract, engine)
    assert levels(findings) == {"TRIAL_EXITED": "FAIL"}
    assert sentence(findings, "TRIAL_EXITED") == (
        "The container exited by itself, with exit code 1; its last log line: ModuleNotFoundError: No module named "
        "numpy"
    )
    assert containers(engine, tag) == []


def test_forty_seconds_to_start_are_named_with_the_start_period(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken
) -> None:
    definition["containerDefinitions"][0]["healthCheck"] |= {"startPeriod": 20, "interval": 10, "retries": 6}
    tag = broken("slow", 'ENTRYPOINT ["sh", "-c", "sleep 40; exec /app/entrypoint"]')
    findings = try_image(tag, definition, contract, engine)
    assert levels(findings) == {"TRIAL_START_SLOW": "FAIL"}
    told_s = re.fullmatch(
        r"The container needs (\d+) s to start, but the start period is 20 s\.", sentence(findings, "TRIAL_START_SLOW")
    )
    assert told_s is not None
    assert 40 <= int(told_s[1]) <= 80


def test_what_never_listens_is_given_up(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken
) -> None:
    definition["containerDefinitions"][0]["healthCheck"] |= {"startPeriod": 3, "interval": 5, "retries": 1}
    findings = try_image(broken("never", 'ENTRYPOINT ["sleep", "600"]'), definition, contract, engine)
    assert levels(findings) == {"TRIAL_START_NEVER": "FAIL"}


def test_an_image_without_python_is_named_by_the_program_that_lacks(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken
) -> None:
    # The server runs on, by a Python of another name; what the health command calls is gone.
    hide = (
        "USER 0\nRUN ln -s $(readlink -f $(command -v python)) /usr/bin/snake "
        "&& rm -f /app/.venv/bin/python /app/.venv/bin/python3* /usr/bin/python /usr/bin/python3\nUSER 10001:10001\n"
    )
    findings = try_image(
        broken("pythonless", hide + serving().replace('"python"', '"snake"')), definition, contract, engine
    )
    assert levels(findings)["TRIAL_COMMAND_MISSING"] == "FAIL"
    assert sentence(findings, "TRIAL_COMMAND_MISSING") == (
        "The health command runs python, which is not installed in the image."
    )


@pytest.mark.parametrize(
    "command",
    [["CMD", "curl", "-f", "http://localhost:5000/health"], ["CMD-SHELL", "curl -f http://localhost:5000/ || exit 1"]],
)
def test_curl_is_named_where_the_image_has_none(
    engine: dict[str, str], image: str, contract: Contract, definition: dict[str, Any], command: list[str]
) -> None:
    definition["containerDefinitions"][0]["healthCheck"]["command"] = command
    findings = try_image(image, definition, contract, engine)
    assert levels(findings) == {"TRIAL_COMMAND_MISSING": "FAIL"}
    assert "runs curl, which is not installed in the image" in sentence(findings, "TRIAL_COMMAND_MISSING")


def test_a_health_command_beyond_its_timeout_is_named(
    engine: dict[str, str], image: str, contract: Contract, definition: dict[str, Any]
) -> None:
    check = {"command": ["CMD", "python", "-c", "import time; time.sleep(30)"], "timeout": 2}
    definition["containerDefinitions"][0]["healthCheck"] |= check
    findings = try_image(image, definition, contract, engine)
    assert levels(findings) == {"TRIAL_COMMAND_SLOW": "FAIL"}
    assert sentence(findings, "TRIAL_COMMAND_SLOW").endswith("but its timeout is 2 s.")


def test_another_architecture_is_named_and_not_run(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], tmp_path: Path
) -> None:
    tag = relabelled(engine, tmp_path, "arm64")
    findings = try_image(tag, definition, contract, engine)
    assert levels(findings) == {"TRIAL_ARCHITECTURE": "FAIL"}
    assert sentence(findings, "TRIAL_ARCHITECTURE") == (
        "The image is built for linux/arm64, but the task definition runs it on X86_64 (linux/amd64)."
    )
    definition["runtimePlatform"]["cpuArchitecture"] = "ARM64"
    findings = try_image(tag, definition, contract, engine)
    assert {finding.code: finding.level for finding in findings}[
        "TRIAL_SKIPPED"
    ] == "SKIP"  # right, but not to be run here
    subprocess.run(["docker", "rmi", tag], env=engine, capture_output=True, check=True)


def relabelled(engine: dict[str, str], folder: Path, architecture: str) -> str:
    """An image of one file whose configuration names another architecture; nothing in it could run."""

    def docker(*words: str) -> None:
        done = subprocess.run(["docker", *words], env=engine, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    tag = f"shine-broken:{architecture}"
    (folder / "file").write_text("nothing\n")
    with tarfile.open(folder / "root.tar", "w") as archive:
        archive.add(folder / "file", "file")
    docker("import", str(folder / "root.tar"), tag)
    docker("save", "--output", str(folder / "saved.tar"), tag)
    docker("rmi", tag)
    with tarfile.open(folder / "saved.tar") as archive:
        archive.extractall(folder / "saved", filter="data")
    listed = folder / "saved" / "manifest.json"
    manifest = json.loads(listed.read_text())
    configuration = folder / "saved" / manifest[0]["Config"]
    content = {**json.loads(configuration.read_text()), "architecture": architecture}
    configuration.unlink()
    (folder / "saved" / "changed.json").write_text(json.dumps(content))
    manifest[0]["Config"] = "changed.json"
    listed.write_text(json.dumps(manifest))
    with tarfile.open(folder / "changed.tar", "w") as archive:
        archive.add(folder / "saved", ".")
    docker("load", "--quiet", "--input", str(folder / "changed.tar"))
    return tag


def test_root_is_named(engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken) -> None:
    findings = try_image(broken("root", "USER 0"), definition, contract, engine)
    assert levels(findings)["TRIAL_ROOT"] == "FAIL"
    assert re.fullmatch(
        r"The container runs as root, but its contract says 10001:10001\.", sentence(findings, "TRIAL_ROOT")
    )


def test_a_write_outside_of_tmp_is_named(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken
) -> None:
    findings = try_image(
        broken("writes", 'ENTRYPOINT ["sh", "-c", "touch /app/x; exec /app/entrypoint"]'), definition, contract, engine
    )
    assert levels(findings) == {"TRIAL_WRITES": "FAIL"}
    assert "/app/x" in sentence(findings, "TRIAL_WRITES")


def test_a_server_that_does_not_hear_sigterm_is_named(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken
) -> None:
    definition["containerDefinitions"][0]["stopTimeout"] = 3
    findings = try_image(broken("no-handler", serving()), definition, contract, engine)  # process 1 without a handler
    assert levels(findings) == {"TRIAL_STOP_SLOW": "FAIL"}


def test_too_little_memory_is_the_kernels_or_the_images_own_word(
    engine: dict[str, str], image: str, contract: Contract, definition: dict[str, Any]
) -> None:
    definition["memory"] = "512"
    findings = try_image(image, definition, contract, engine)
    assert levels(findings) == {"TRIAL_EXITED": "FAIL"}
    assert "the memory limit is 512 MiB; this image needs" in sentence(findings, "TRIAL_EXITED")


def test_an_image_that_runs_out_of_memory_at_its_first_photo_is_named(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken
) -> None:
    findings = try_image(
        broken("oom", serving(photo="bytearray(1 << 32)")), {**definition, "memory": "512"}, contract, engine
    )
    assert levels(findings) == {"TRIAL_MEMORY_SHORT": "FAIL"}
    assert sentence(findings, "TRIAL_MEMORY_SHORT") == (
        "The kernel killed the container at its first photo, at the task's limit of 512 MiB."
    )


def test_an_image_that_is_healthy_and_fails_at_its_first_photo_is_named(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken
) -> None:
    definition["containerDefinitions"][0]["stopTimeout"] = 3  # the plain server does not hear SIGTERM
    findings = try_image(broken("photo", serving(photo="self.send_error(500)")), definition, contract, engine)
    assert levels(findings) == {"TRIAL_PHOTO_FAILED": "FAIL", "TRIAL_STOP_SLOW": "FAIL"}
    assert sentence(findings, "TRIAL_PHOTO_FAILED").startswith("A photo was answered with 500")


def test_an_image_that_is_nowhere_is_named(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any]
) -> None:
    name = f"127.0.0.1:{free_port()}/shine@sha256:{'0' * 64}"
    findings = try_image(name, definition, contract, engine)
    assert levels(findings) == {"TRIAL_IMAGE_MISSING": "FAIL"}
    assert name in findings[-1].sentence


def test_an_entry_point_that_is_not_there_leaves_nothing_behind(
    engine: dict[str, str], contract: Contract, definition: dict[str, Any], broken: Broken
) -> None:
    tag = broken("entry", 'ENTRYPOINT ["/app/gone"]')
    findings = try_image(tag, definition, contract, engine)
    assert levels(findings) == {"TRIAL_REFUSED": "FAIL"}
    assert "/app/gone" in findings[-1].sentence
    assert containers(engine, tag) == []


def test_an_image_is_pushed_pulled_by_digest_run_and_judged(
    engine: dict[str, str],
    image: str,
    contract: Contract,
    definition: dict[str, Any],
    registry: Registry,
    tmp_path: Path,
) -> None:
    env = {**engine, "DOCKER_CONFIG": str(tmp_path)}  # no login is left behind

    def docker(*words: str) -> str:
        return subprocess.run(["docker", *words], env=env, capture_output=True, text=True, check=True).stdout

    tag = f"{registry.host}/shine:one"
    docker("login", "--username", registry.user, "--password", registry.password, registry.host)
    docker("tag", image, tag)
    try:
        docker("push", "--quiet", tag)
        pushed = json.loads(docker("image", "inspect", tag))[0]["RepoDigests"]
        name = next(reference for reference in pushed if reference.startswith(f"{registry.host}/shine@"))
        docker("rmi", tag)
        assert subprocess.run(["docker", "image", "inspect", name], env=env, capture_output=True).returncode != 0
        findings = try_image(name, definition, contract, env)
        assert levels(findings) == {}, [finding.sentence for finding in findings]
        assert sentence(findings, "TRIAL_IMAGE") == f"The image {name} was pulled."
        assert name in findings[0].places[0].value
    finally:
        subprocess.run(["docker", "rmi", tag, name], env=env, capture_output=True, check=False)
