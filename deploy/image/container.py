"""Runs the image as ECS will: with limits, a read-only root, no capabilities, not as root; on loopback only."""

import json
import subprocess
import time
import uuid
from functools import cache
from typing import Any

import httpx

TMP_SIZE = "512m"


@cache
def loopback_client() -> httpx.Client:
    """The one client for containers on this machine: no proxy, a new connection for each request."""
    return httpx.Client(trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0))


class Container:
    """A running container of the image; use it in a `with` block.

    Args:
        image: its name.
        env: environment in which `docker` reaches an engine.
        memory_mib: memory limit, without swap.
        cpus: CPU quota.
        settings: environment variables of the service.
        options: more options of `docker run`.
        host_port: port that it listens on, if it shares the host's network.
        wait_for_port: False for a container that is expected to end at once.
        command: replaces the image's own.

    Attributes:
        name: of the container.
        env: environment in which `docker` reaches an engine.
        url: of the service, on loopback.
        started_at: time.monotonic() at `docker run`.
    """

    def __init__(
        self,
        image: str,
        env: dict[str, str],
        memory_mib: int = 2048,
        cpus: float = 2.0,
        settings: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
        host_port: int | None = None,
        wait_for_port: bool = True,
        command: tuple[str, ...] = (),
    ) -> None:
        self.name = f"shine-{uuid.uuid4().hex[:8]}"
        self.env = env
        run = ["run", "--detach", "--name", self.name, "--memory", f"{memory_mib}m", "--memory-swap", f"{memory_mib}m"]
        run += ["--cpus", str(cpus), "--pids-limit", "256", "--ulimit", "nofile=16384:16384", "--read-only"]
        run += ["--tmpfs", f"/tmp:rw,nosuid,nodev,size={TMP_SIZE},mode=1777", "--cap-drop", "ALL"]  # noqa: S108  the container's
        run += ["--security-opt", "no-new-privileges", "--stop-timeout", "30"]
        run += [] if host_port else ["--publish", "127.0.0.1::5000"]
        for name, value in (settings or {}).items():
            run += ["--env", f"{name}={value}"]
        self.started_at = time.monotonic()
        try:
            self.docker(*run, *options, image, *command)
        except subprocess.CalledProcessError:  # a container that cannot start has been created all the same
            self.__exit__()
            raise
        address = f"127.0.0.1:{host_port}" if host_port else self._published() if wait_for_port else "127.0.0.1:9"
        self.url = f"http://{address}"

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *_: object) -> None:
        self.docker("rm", "--force", "--volumes", self.name, check=False)

    def docker(self, *words: str, check: bool = True) -> str:
        """Run a docker command and return its standard output.

        Raises:
            subprocess.CalledProcessError: it failed, and `check` is set.
        """
        return subprocess.run(["docker", *words], env=self.env, capture_output=True, text=True, check=check).stdout

    def inspect(self) -> dict[str, Any]:
        """The output of `docker inspect`."""
        details: dict[str, Any] = json.loads(self.docker("inspect", self.name))[0]
        return details

    def logs(self) -> str:
        """Standard output and standard error."""
        done = subprocess.run(["docker", "logs", self.name], env=self.env, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def execute(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command inside the container."""
        words = ["docker", "exec", self.name, *command]
        return subprocess.run(words, env=self.env, capture_output=True, text=True, check=False)

    def get(self, path: str, timeout_s: float = 5.0) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a GET; no JSON with an error's status, (0, {}) where there is no response."""
        try:
            response = loopback_client().get(self.url + path, timeout=timeout_s, follow_redirects=True)
            return response.status_code, response.json() if response.is_success else {}
        except (httpx.HTTPError, ValueError):
            return 0, {}

    def wait(self, within_s: float = 90.0, state: str | None = None) -> float:
        """Wait until /health answers 200, or until /ml/status reports a state.

        Returns:
            Seconds since `docker run`.

        Raises:
            TimeoutError: it did not; with the end of the container's log.
        """
        while time.monotonic() < self.started_at + within_s:
            status, body = self.get("/health" if state is None else "/ml/status")
            if status == 200 and (state is None or body["state"] == state):
                return time.monotonic() - self.started_at
            if self.inspect()["State"]["Status"] == "exited":
                break
            time.sleep(0.05)
        raise TimeoutError(f"{self.name} is not {state or 'healthy'}:\n{self.logs()[-2000:]}")

    def stop(self) -> float:
        """Run `docker stop` and return the seconds that it took."""
        started = time.monotonic()
        self.docker("stop", self.name)
        return time.monotonic() - started

    def _published(self) -> str:
        return self.docker("port", self.name, "5000").splitlines()[0].strip()
