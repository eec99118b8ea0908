"""An operator who runs `trail` against the fake ECS, and callers who send photos all the time."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from deploy.aws.clients import Clients
from deploy.image.load import at_work
from deploy.record.store import open_store
from deploy.record.trail import Attempt, Record
from tests.deploy.aws import SECRET_VALUE
from tests.fake_ecs import FakeEcs
from tests.server import PORTRAIT, ROOT

EVERY_S = 0.5  # between two looks of the tool at AWS
WITHIN_S = 170.0
PAUSE_S = 0.4  # between two photos


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, what it printed as JSON, and what it told meanwhile."""

    code: int
    told: dict[str, Any]
    lines: str

    @property
    def attempt(self) -> dict[str, Any]:
        """As the record has it."""
        result: dict[str, Any] = self.told["attempt"]
        return result

    def __str__(self) -> str:
        return f"exit {self.code}: {self.told.get('sentence')}\n{self.lines[-3000:]}"


class Operator:
    """Runs the tool as a process, as people do.

    Args:
        fake_ecs: where AWS is.
        folder: for the plan.
    """

    def __init__(self, fake_ecs: FakeEcs, folder: Path) -> None:
        self.fake_ecs = fake_ecs
        self.path = folder / "trail.yaml"
        self.write_plan()

    def write_plan(self) -> None:
        """As the account says now."""
        self.fake_ecs.write_plan(self.path)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Begin a command, and do not wait."""
        command = [sys.executable, "-m", "deploy", *words, "--plan", str(self.path), "--json"]
        if words[0] in ("up", "rollback", "resume"):
            command += ["--yes", "--every", str(EVERY_S)]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C must reach it, even where whoever started the tests had them ignore it (a shell's `&`).
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def wait(self, process: "subprocess.Popen[str]") -> Ended:
        """Until it ends."""
        try:
            out, err = process.communicate(timeout=WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"it did not end within {WITHIN_S} s:\n{err[-4000:]}") from None
        try:
            output = json.loads(out)
        except ValueError:
            raise AssertionError(f"exit {process.returncode}, no JSON: {out[-500:]}\n{err[-3000:]}") from None
        return Ended(process.returncode, output, err)

    def trail(self, *words: str) -> Ended:
        """Run a command to its end."""
        return self.wait(self.start(*words))

    def lines(self, *words: str) -> str:
        """What a command prints for people."""
        command = [sys.executable, "-m", "deploy", *words, "--plan", str(self.path)]
        made = subprocess.run(
            command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=WITHIN_S, check=True
        )
        return made.stdout

    def environment(self) -> dict[str, str]:
        """In which the fake ECS is AWS."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TRAIL_"))}
        return {**inherited, **self.fake_ecs.environment()}

    def read_until(self, process: "subprocess.Popen[str]", word: str) -> str:
        """What a command says for people, up to and with the line that has a word in it."""
        assert process.stderr is not None
        observed = ""
        for line in process.stderr:
            observed += line
            if word in line:
                return observed
        raise AssertionError(f"it never said {word!r}:\n{observed[-3000:]}")

    def cut(self, process: "subprocess.Popen[str]", word: str, number: int = signal.SIGINT) -> Ended | None:
        """End a command by a signal, once it has said a word; None where it can say nothing any more."""
        observed = self.read_until(process, word)
        process.send_signal(number)
        if number == signal.SIGKILL:
            process.communicate(timeout=20)
            return None
        ended = self.wait(process)
        return Ended(ended.code, ended.told, observed + ended.lines)

    @property
    def record(self) -> Record:
        """As the team's store has it, asked without the fake ECS's faults."""
        clients = Clients(self.fake_ecs.plan.region)
        clients._made["s3"] = self.fake_ecs.account.client("s3")
        return open_store(self.fake_ecs.plan, clients).read()

    def attempts(self, outcome: str) -> list[Attempt]:
        """The attempts of the record that ended so."""
        return [attempt for attempt in self.record.attempts if attempt.outcome == outcome]


@dataclass
class Callers:
    """What clients saw that send the portrait all the time.

    Attributes:
        seen: monotonic time, status (0: no answer), phase's source and reason of each request.
    """

    seen: list[tuple[float, int, str, str]] = field(default_factory=list)

    def lost(self, since: int = 0) -> list[tuple[float, int, str, str]]:
        """Requests without an analysis; 429 is an answer, to be asked again."""
        return [item for item in self.seen[since:] if item[1] not in (200, 429)]

    def statuses(self) -> Counter[int]:
        """How often each."""
        return Counter(item[1] for item in self.seen)


@contextmanager
def calling(url: str) -> Iterator[Callers]:
    """Two clients of a load balancer until the block ends."""
    callers, photo = Callers(), PORTRAIT.read_bytes()

    def work(_: int, over: threading.Event) -> None:
        with httpx.Client(timeout=30, headers={"x-api-key": SECRET_VALUE}) as client:
            while not over.wait(PAUSE_S):
                at = time.monotonic()
                try:
                    answer = client.post(f"{url}/analyze", files={"image": photo})
                    body = answer.json() if answer.status_code == httpx.codes.OK else {}
                    callers.seen.append((at, answer.status_code, str(body.get("source")), str(body.get("reason"))))
                except httpx.HTTPError as error:
                    callers.seen.append((at, 0, type(error).__name__, ""))

    with at_work(work, 2):
        yield callers
