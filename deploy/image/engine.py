"""A Docker engine to build and run the image with: the one that answers, or one that `up` starts.

    python -m deploy.image.engine up      # as root: installs and starts Debian's engine if none answers; idempotent
    python -m deploy.image.engine down    # stops the engine that `up` started, by its pid file
    eval "$(python -m deploy.image.engine env)"   # the same engine for `docker` in this shell

Where the registry cannot be reached, `up` makes a stand-in for the base image from Debian's packages. It contains this
machine's certificates and package sources: it is for tests only, is labelled so, and is never pushed.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

BASE = os.environ.get("BASE_IMAGE", "python:3.11-slim")  # with @sha256:… it is pinned
STATE = Path(os.environ.get("ENGINE_DIR", "/tmp/shine-engine"))  # noqa: S108  of the engine that `up` starts; root's
SOCKET, PID_FILE = STATE / "docker.sock", STATE / "dockerd.pid"
BIN = STATE / "bin"
DAEMON = "/usr/sbin/dockerd"
STAND_IN = "shine.stand-in"  # label of a base image that was made here
START_S = 40.0
NEEDED = {"dockerd": "docker.io", "iptables": "iptables", "mmdebstrap": "mmdebstrap"}
SOURCES = "/etc/apt/sources.list.d/debian.sources"
HOOKS = (
    'rm -rf "$1"/etc/apt/sources.list "$1"/etc/resolv.conf "$1"/etc/hostname '
    '"$1"/usr/lib/python3.11/EXTERNALLY-MANAGED',
    'cd "$1"/usr/share && rm -rf man info lintian && find doc -type f ! -name copyright -delete && '
    "find locale -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +",
    'ln -sf python3 "$1"/usr/bin/python',
    'mkdir -p "$1"/etc/uv && printf "system-certs = true\\n" > "$1"/etc/uv/uv.toml',
    'printf "[global]\\ncert = /etc/ssl/certs/ca-certificates.crt\\nroot-user-action = ignore\\n" > "$1"/etc/pip.conf',
    'cat /etc/ssl/certs/ca-certificates.crt > "$1"/etc/ssl/certs/ca-certificates.crt',
)
DAEMONS: list["subprocess.Popen[bytes]"] = []  # kept, since Popen warns where its process lives on without it


class EngineError(Exception):
    """There is no Docker engine or no base image; the message says what to do."""


def environment() -> dict[str, str]:
    """The environment in which `docker` reaches an engine.

    Raises:
        EngineError: no engine answers.
    """
    own = {
        **os.environ,
        "DOCKER_HOST": f"unix://{SOCKET}",
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "DOCKER_BUILDKIT": "1",
    }
    for candidate in ({**os.environ, "DOCKER_BUILDKIT": "1"}, own):
        if shutil.which("docker", path=candidate["PATH"]) and _answers(candidate):
            return candidate
    raise EngineError("No Docker engine answers; as root: python -m deploy.image.engine up")


def _answers(env: dict[str, str]) -> bool:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(command, env=env, capture_output=True, timeout=30, check=False).returncode == 0


def up() -> dict[str, str]:
    """Start Debian's engine if none answers.

    Returns:
        The environment in which `docker` reaches it.

    Raises:
        EngineError: it cannot be installed or started.
    """
    try:
        return environment()
    except EngineError:
        if os.geteuid() != 0:
            raise EngineError("No Docker engine answers; only root can start one.") from None
    _install()
    BIN.mkdir(parents=True, exist_ok=True)
    # Debian's client has BuildKit built in; a newer one that comes first on PATH may lack its plug-in.
    (BIN / "docker").unlink(missing_ok=True)
    (BIN / "docker").symlink_to("/usr/bin/docker")
    PID_FILE.unlink(missing_ok=True)
    command = [DAEMON, "--data-root", str(STATE / "data"), "--exec-root", "/run/shine-engine"]
    command += ["--pidfile", str(PID_FILE), "-H", f"unix://{SOCKET}"]
    with (STATE / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    DAEMONS.append(daemon)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(EngineError):
            return environment()
        time.sleep(0.5)
    tail = "\n".join((STATE / "dockerd.log").read_text(errors="replace").splitlines()[-8:])
    raise EngineError(f"The Docker engine did not start within {START_S:.0f} s:\n{tail}")


def down() -> None:
    """Stop the engine that `up` started, if there is one."""
    if not PID_FILE.exists():
        return
    pid = int(PID_FILE.read_text())
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        for _ in range(100):
            for child in DAEMONS:
                child.poll()  # else it stays as a zombie
            os.kill(pid, 0)
            time.sleep(0.2)


def ensure_base(env: dict[str, str]) -> str:
    """Pull the base image; make a stand-in of the same name where no registry can be reached.

    Returns:
        Its name, with a digest where the registry gave one.

    Raises:
        EngineError: neither was possible.
    """
    if not _inspect(env, "{{.Id}}") and _run(["docker", "pull", "--quiet", BASE], env).returncode != 0:
        _stand_in(env)
    digests = _inspect(env, "{{range .RepoDigests}}{{println .}}{{end}}").split()
    return digests[0] if digests else BASE


def is_stand_in(env: dict[str, str]) -> bool:
    """Whether the base image was made on this machine."""
    return _inspect(env, f'{{{{index .Config.Labels "{STAND_IN}"}}}}') == "true"


def _inspect(env: dict[str, str], template: str) -> str:
    done = _run(["docker", "image", "inspect", "--format", template, BASE], env)
    return done.stdout.strip() if done.returncode == 0 else ""


def _stand_in(env: dict[str, str]) -> None:
    if os.geteuid() != 0 or not Path(SOURCES).exists():
        raise EngineError(f"{BASE} cannot be pulled; making a stand-in needs root on Debian.")
    _install()
    print(f"{BASE} cannot be pulled: making a stand-in from Debian's packages, FOR TESTS ONLY", file=sys.stderr)
    STATE.mkdir(parents=True, exist_ok=True)
    archive = STATE / "base.tar"
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--include=ca-certificates,python3,python3-venv,python3-pip",
    ]
    command += ['--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "false"']
    command += ["--dpkgopt=force-unsafe-io", *(f"--customize-hook={hook}" for hook in HOOKS)]
    done = _run([*command, "bookworm", str(archive), SOURCES], env)
    if done.returncode != 0:
        raise EngineError(f"mmdebstrap failed:\n{done.stderr[-1500:]}")
    changes = ["ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", f"LABEL {STAND_IN}=true"]
    options = [word for change in changes for word in ("--change", change)]
    if (done := _run(["docker", "import", *options, str(archive), BASE], env)).returncode != 0:
        raise EngineError(f"docker import failed: {done.stderr.strip()}")
    archive.unlink()


def _install() -> None:
    search = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    lacking = [package for program, package in NEEDED.items() if shutil.which(program, path=search) is None]
    if not lacking:
        return
    if shutil.which("apt-get") is None:
        raise EngineError(f"Install {', '.join(lacking)} by hand: this system has no apt-get.")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *lacking],
    ):
        done = _run(command, env)
        if done.returncode != 0:
            raise EngineError(f"{' '.join(command)} failed:\n{done.stderr[-1500:]}")


def _run(command: list[str], env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down", "env"])
    command = parser.parse_args().command
    try:
        if command == "down":
            down()
        elif command == "up":
            env = up()
            print(f"engine at {env.get('DOCKER_HOST', 'the default place')}, base {ensure_base(env)}")
        else:
            env = environment()
            for name in ("DOCKER_HOST", "PATH", "DOCKER_BUILDKIT"):
                if name in env:
                    print(f"export {name}='{env[name]}'")
    except EngineError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
