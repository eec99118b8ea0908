"""A really running `bentoml serve`, for tests: start, look into, hurt and stop it."""

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[1]
PORTRAIT = ROOT / "tests" / "photos" / "astronaut.png"
START_S = 60.0
POOLED = 4  # servers that a pool keeps: each is four processes, half a gigabyte
WORKERS = ("Gateway", "SkinModel", "HeuristicFallback")
# Ports of this process's own, below those that the kernel gives to whoever asks for any: between the choice of a port
# and the start of its server nobody else can get it.
FIRST_PORT = 10_000 + 100 * (os.getpid() % 200)
PORTS = itertools.cycle(range(FIRST_PORT, FIRST_PORT + 100))


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    for port in itertools.islice(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"All ports from {FIRST_PORT} on are in use.")


class Server:
    """`bentoml serve` in a process group of its own, its output in a file.

    Args:
        folder: for the log.
        target: what is served.
        env: environment on top of this process's; SHINE_ names of this process are not passed on.
        cwd: where it is started.
    """

    def __init__(self, folder: Path, target: str = "service:Gateway", cwd: str | Path = ROOT, **env: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"server-{self.port}.log"
        self.tmp = Path(tempfile.mkdtemp(prefix="shine-"))  # short: unix sockets lie in it
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SHINE_", "BENTOML_"))}
        environment = {
            **inherited,
            "BENTOML_DO_NOT_TRACK": "true",
            "BENTOML_HOME": str(self.tmp / "bentoml"),
            "TMPDIR": str(self.tmp),
            "PYTHONPATH": str(ROOT),
            **env,
        }
        command = [str(Path(sys.executable).parent / "bentoml"), "serve", target, "--host", "127.0.0.1"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                cwd=cwd,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, path: str = "/health", status: int = 200, within_s: float = START_S) -> "Server":
        """Wait until a path answers with a status.

        Raises:
            AssertionError: it did not in time, or the server ended; with the tail of its log.
        """
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.tail()}")
            try:
                if httpx.get(self.url + path, timeout=2).status_code == status:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{path} did not answer {status} within {within_s} s:\n{self.tail()}")

    def wait_for_workers(self, within_s: float = START_S) -> "Server":
        """Wait until every worker answers: the gateway over HTTP, the runners through it, breakers closed."""
        self.wait()
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            status: dict[str, Any] = httpx.get(self.url + "/ml/status", timeout=5).json()
            if status["state"] == "loading":
                time.sleep(0.1)
                continue
            with PORTRAIT.open("rb") as photo:
                answered = httpx.post(self.url + "/analyze", files={"image": photo}, timeout=15)
            if answered.status_code == 200 and set(status["breakers"].values()) == {"closed"}:
                return self
            time.sleep(0.1)
        raise AssertionError(f"the workers did not come up within {within_s} s:\n{self.tail()}")

    def wait_until_healthy(self, within_s: float = START_S) -> "Server":
        """Wait until /health answers and, unless the server wants a key, its breakers are closed."""
        self.wait()
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            status = httpx.get(self.url + "/ml/status", timeout=5)
            if status.status_code == 401 or set(status.json()["breakers"].values()) == {"closed"}:
                return self
            time.sleep(0.1)
        raise AssertionError(f"the breakers did not close within {within_s} s:\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        """The end of its output."""
        return "\n".join(line[:300] for line in self.log.read_text(errors="replace").splitlines()[-lines:])

    def worker(self, name: str) -> psutil.Process:
        """The worker process of one of the services.

        Raises:
            LookupError: it is not there at the moment.
        """
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                command = child.cmdline()
            except psutil.Error:
                continue
            if "--service-name" in command and command[command.index("--service-name") + 1] == name:
                return child
        raise LookupError(name)

    def metrics_folder(self) -> Path:
        """The folder of the files in which the workers count."""
        (folder,) = {
            Path(file.path).parent for file in self.worker("Gateway").open_files() if file.path.endswith(".db")
        }
        return folder

    def stop(self, within_s: float = 40.0) -> int:
        """SIGTERM, then wait; the exit code. Whatever is left of its processes after that is killed."""
        workers: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            workers = psutil.Process(self.process.pid).children(recursive=True)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(within_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            for worker in workers:  # each leads a group of its own
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()
            shutil.rmtree(self.tmp, ignore_errors=True)


class Pool:
    """Servers by what is served and by their environment, for tests that do them no harm; of the last few used.

    Args:
        folder: for the logs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: dict[tuple[str, frozenset[tuple[str, str]]], Server] = {}

    def get(self, target: str = "service:Gateway", **env: str) -> Server:
        """The server of this environment: started now, or healthy and its breakers closed.

        Raises:
            AssertionError: a test has hurt it.
        """
        key = (target, frozenset(env.items()))
        server = self._servers.pop(key, None)
        if server is not None:
            server.wait_until_healthy()
        else:
            if len(self._servers) == POOLED:
                self._servers.pop(next(iter(self._servers))).stop()
            server = Server(self._folder, target, **env)
        self._servers[key] = server  # the last: the one used longest ago is the first
        return server

    def close(self) -> None:
        """Stop them all, at the same time."""
        for server in self._servers.values():
            server.process.send_signal(signal.SIGTERM)
        for server in self._servers.values():
            server.stop()
