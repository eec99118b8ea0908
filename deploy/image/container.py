"""The image, run as the platform will run it: limits, read-only root, no capabilities, not root, on loopback."""

import json
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

TMP_SIZE = "512m"


class Container:
    """A running container of the image; use it in a `with` block.

    Args:
        image: its name.
        env: in which docker answers.
        memory_mib: its limit, without swap.
        cpus: its quota.
        settings: environment variables of the service.
        options: more of `docker run`.
        host_port: where it listens, if it shares the host's network.
        wait_for_port: False for one that is expected to end at once.
        command: instead of the image's own.

    Attributes:
        name: of the container.
        env: in which docker answers.
        url: of the service, on loopback.
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
        except subprocess.CalledProcessError:  # what cannot be started stays behind, created
            self.__exit__()
            raise
        address = f"127.0.0.1:{host_port}" if host_port else self._published() if wait_for_port else "127.0.0.1:9"
        self.url = f"http://{address}"

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *_: object) -> None:
        self.docker("rm", "--force", "--volumes", self.name, check=False)

    def docker(self, *words: str, check: bool = True) -> str:
        """Standard output of a docker command.

        Raises:
            subprocess.CalledProcessError: it fails, and `check` is set.
        """
        return subprocess.run(["docker", *words], env=self.env, capture_output=True, text=True, check=check).stdout

    def inspect(self) -> dict[str, Any]:
        """What the engine knows of it."""
        found: dict[str, Any] = json.loads(self.docker("inspect", self.name))[0]
        return found

    def logs(self) -> str:
        """Standard output and standard error."""
        done = subprocess.run(["docker", "logs", self.name], env=self.env, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def execute(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run something inside."""
        words = ["docker", "exec", self.name, *command]
        return subprocess.run(words, env=self.env, capture_output=True, text=True, check=False)

    def get(self, path: str, timeout_s: float = 5.0) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a GET; (0, {}) where nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as answer:  # noqa: S310  our own loopback
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, {}
        except (OSError, ValueError):
            return 0, {}

    def wait(self, within_s: float = 90.0, state: str | None = None) -> float:
        """Wait for /health, or for a state of /ml/status; seconds since `docker run`.

        Raises:
            TimeoutError: with the end of its log.
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
        """`docker stop`; seconds that took."""
        began = time.monotonic()
        self.docker("stop", self.name)
        return time.monotonic() - began

    def _published(self) -> str:
        return self.docker("port", self.name, "5000").splitlines()[0].strip()
