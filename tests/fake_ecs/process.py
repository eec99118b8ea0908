"""The real process of a task, with its folder and its log; nothing of it is left after its end."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.fake_ecs.probe import ask
from tests.fake_ecs.startup import Container
from tests.server import ROOT

BATCH_S = 0.25  # lines wait so long for others; awslogs does alike
ANSWER_S = 0.5
Ship = Callable[[list[tuple[float, str]]], None]


class Process:
    """A process in its own session.

    Args:
        container: what to run.
        address, port: where it is to listen.
        environment: of the platform, under the container's own.
        log: file that keeps its output as well.
        ship: takes lines with the time at which they came.
    """

    def __init__(
        self, container: Container, address: str, port: int, environment: dict[str, str], log: Path, ship: Ship
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="shine-"))  # short: unix sockets lie in it
        self._ship, self._lines, self._lock = ship, list[tuple[float, str]](), threading.Lock()
        self._popen = subprocess.Popen(
            container.behaves.command(address, port),
            cwd=ROOT,
            env={**container.behaves.surroundings(self.folder), **environment, **container.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=self._read, args=(log,), daemon=True),
            threading.Thread(target=self._send, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Process id of the container's first process."""
        return self._popen.pid

    def ended(self) -> int | None:
        """Its exit code, as a container runtime reports it (128 and the signal); None while it runs."""
        code = self._popen.poll()
        return code if code is None or code >= 0 else 128 - code

    def answers(self, address: str) -> bool:
        """Whether it, or a child of it, answers HTTP on any port of an address, with any status.

        To listen is not enough: a server may open its port long before its workers are there.
        """
        for item in self._all():
            with contextlib.suppress(psutil.Error):
                for connection in item.net_connections("inet"):
                    if connection.status != psutil.CONN_LISTEN or connection.laddr.ip != address:
                        continue
                    if isinstance(ask(address, connection.laddr.port, "/", ANSWER_S), int):
                        return True
        return False

    def terminate(self) -> None:
        """Send SIGTERM to the first process, as a container runtime does."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to all processes."""
        for item in self._all():
            with contextlib.suppress(psutil.Error):
                item.kill()
        self._popen.wait(10)

    def bury(self) -> None:
        """Clean up after its end: stop what still runs, ship the last lines, delete the folder."""
        for orphan in self._orphans():
            with contextlib.suppress(psutil.Error):
                orphan.kill()
        for thread in self._threads:
            thread.join(5)
        if self._popen.stdout:
            self._popen.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _all(self) -> list[psutil.Process]:
        try:
            first = psutil.Process(self._popen.pid)
            return [first, *first.children(recursive=True)]
        except psutil.Error:
            return []

    def _orphans(self) -> list[psutil.Process]:
        """Processes of the container that still run after the first one has ended, found by their folder."""
        result = []
        for item in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if item.environ().get("TMPDIR") == str(self.folder):
                    result.append(item)
        return result

    def _read(self, log: Path) -> None:
        assert self._popen.stdout
        with log.open("ab") as file:
            for line in self._popen.stdout:
                file.write(line)
                file.flush()
                with self._lock:
                    self._lines.append((time.time(), line.decode(errors="replace").rstrip("\n")))

    def _send(self) -> None:
        reading = self._threads[0]
        while True:
            last = not reading.is_alive()
            with self._lock:
                lines, self._lines = self._lines, []
            if lines:
                self._ship(lines)
            if last:
                return
            reading.join(BATCH_S)
