"""The two kinds of ways that are compared: a server that is sent photos over HTTP, and calls in process."""

import contextlib
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from tests.load.findings import differences, findings
from tests.load.job import Job, Report, Sent, read_report, write_job
from tests.load.meter import Meter
from tests.load.process_tree import ProcessTree
from tests.load.processes import PROGRAMS, Broken, Process, end, environment, hear, start, tail, tell
from tests.server import PORTRAIT, ROOT, START_S, Server

SLACK_S = 90.0  # a load that takes so much longer than it should is given up
PATH = "/analyze"  # of every server
TOLD = 5  # differences in a report


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a way is set up: settings by the names that its program has for them."""

    settings: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        words = [f"{name.replace('_', ' ')} {value}" for name, value in self.settings.items()]
        return ", ".join(words) or "as it comes"


class Way(Protocol):
    """A way that has been started.

    Attributes:
        tree: of its processes.
        tuning: how it is set up.
        port: that it listens on; 0 for calls in process.
        health: path that says whether it answers; None for calls in process.
    """

    tree: ProcessTree
    tuning: Tuning
    port: int
    health: str | None

    def load(self, job: Job, meter: Meter) -> Report:
        """Do a job, and measure its processes from the first photo to the last answer.

        Raises:
            Broken: the load generator, or the way, ended.
        """
        ...

    def stop(self) -> None:
        """End all its processes."""
        ...


class HttpWay:
    """A server on loopback that has been started; `wait` for it.

    Args:
        process: of the server.
        port: that it listens on.
        folder: for files of its loads.
        log: its output.
        tuning: how it is set up.
        server: what stops it; None where its processes are ended here.
        ask: the signal by which it is asked to stop.
        health: path that says whether it answers.
    """

    def __init__(
        self,
        process: Process,
        port: int,
        folder: Path,
        log: Path,
        tuning: Tuning,
        server: Server | None = None,
        ask: int = signal.SIGTERM,
        health: str = "/health",
    ) -> None:
        self.port, self.tuning = port, tuning
        self.health: str | None = health
        self.tree = ProcessTree(process.pid)
        self._process, self._folder, self._log, self._server, self._ask = process, folder, log, server, ask

    def load(self, job: Job, meter: Meter) -> Report:
        task, result = self._folder / f"job-{self.port}.json", self._folder / f"report-{self.port}.json"
        log = self._folder / "generator.log"
        write_job(job, task)
        generator = start(
            [sys.executable, "-m", "tests.load.generator", str(task), str(result)], environment(ROOT), log
        )
        try:
            hear(generator, SLACK_S, log)
            with meter:
                tell(generator, "go")
                hear(generator, job.seconds + SLACK_S, log)
            generator.wait(SLACK_S)
        finally:
            end(generator)
        if self._process.poll() is not None:
            raise Broken(f"the server ended with {self._process.returncode}:\n{tail(self._log)}")
        if generator.returncode != 0:
            raise Broken(f"the load generator ended with {generator.returncode}:\n{tail(log)}")
        return read_report(result)

    def stop(self) -> None:
        self.tree.sample()
        try:
            if self._server is not None:
                self._server.stop()
        finally:
            end(self._process, self.tree, self._ask)

    def wait(self) -> None:
        """Wait until a photo is answered by 200.

        Raises:
            Broken: none was in time, or the server ended.
        """
        ends, photo = time.monotonic() + START_S, PORTRAIT.read_bytes()
        while time.monotonic() < ends:
            if self._process.poll() is not None:
                raise Broken(f"the server ended with {self._process.returncode}:\n{tail(self._log)}")
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.post(f"http://127.0.0.1:{self.port}{PATH}", files={"image": photo}, timeout=20)
                if answer.status_code == 200:
                    self.tree.sample()
                    return
            time.sleep(0.1)
        raise Broken(f"no photo was answered within {START_S:g} s:\n{tail(self._log)}")


class InProcess:
    """The functions of a tree, called by so many processes of so many threads.

    Args:
        source: this repository, or an older commit of it.
        tuning: processes and threads.
        folder: for its output.
        program: that calls them.

    Raises:
        Broken: it cannot answer.
    """

    def __init__(self, source: Path, tuning: Tuning, folder: Path, program: str = "in_process.py") -> None:
        self.port, self.tuning, self._log = 0, tuning, folder / "in-process.log"
        self.health: str | None = None
        options = [f"--{name}={value}" for name, value in tuning.settings.items()]
        command = [sys.executable, str(PROGRAMS / program), *options]
        self._process = start(command, environment(source), self._log)
        self.tree = ProcessTree(self._process.pid)
        try:
            hear(self._process, START_S, self._log)
        except BaseException:
            self.stop()
            raise

    def answers(self, photos: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Name of each photo's file → its findings.

        Raises:
            Broken: two answers to the same photo differ.
        """
        done = self._call(photos, 0.0, len(photos))[0]["answers"]
        for name, found in done.items():
            if len(found) != 1:
                raise Broken(f"the functions answer {name} in {len(found)} ways")
        return {name: findings(next(iter(found)).encode()) for name, found in done.items()}

    def load(self, job: Job, meter: Meter) -> Report:
        with meter:
            threads = self._call(job.photos, job.seconds, 1)
        report = Report([], 0.0)
        for thread in threads:
            report.sent += [Sent(0, 0.0, 0.0, ms / 1000, "answered", 200, "model") for ms in thread["ms"]]
        # Threads end at slightly different times: their rates are added.
        report.seconds = len(report.sent) / sum(len(thread["ms"]) / thread["seconds"] for thread in threads)
        expected = {} if job.expected is None else json.loads(Path(job.expected).read_text())
        for thread in threads:
            compare(thread["answers"], expected, report)
        return report

    def stop(self) -> None:
        end(self._process, self.tree)

    def _call(self, photos: Sequence[str], seconds: float, least: int) -> list[dict[str, Any]]:
        tell(self._process, json.dumps({"photos": list(photos), "seconds": seconds, "least": least}))
        return list(json.loads(hear(self._process, seconds + SLACK_S, self._log)))


def compare(answers: dict[str, dict[str, int]], expected: dict[str, Any], report: Report) -> None:
    """Note where the answers of one thread differ from what is expected.

    Args:
        answers: name of a photo's file → answer to it, JSON → how often it was given.
        expected: name → findings; photos that are not there are not compared.
        report: that it is noted in.
    """
    for name, distinct in answers.items():
        for answer, times in distinct.items() if name in expected else ():
            report.compared += times
            if different := differences(expected[name], findings(answer.encode())):
                report.different += times
                report.differences += [f"{name}{line}" for line in different][: TOLD - len(report.differences)]
