"""What one attempt needs and keeps: plan, AWS, the record, the lock, the view; and how its end is written down.

The record says `running` before the first call that changes anything, so that whoever comes after a kill or a lost
network finds what was begun (resume.py). A record that cannot be written later does not stop a rollout that is on its
way: it is written at the end, or `trail resume` writes it.
"""

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from bentos.skin.settings import Phase
from deploy.aws.clients import Clients
from deploy.aws.service import ServiceSnapshot
from deploy.config.image_contract import parse
from deploy.config.plan import PHASES, Gates, PhasePlan, Plan, PlanError
from deploy.findings.finding import Finding
from deploy.record.lock import Lock, take
from deploy.record.store import RecordError, RecordUnreachable, Store, with_attempt
from deploy.record.trail import Attempt, Outcome, Record
from deploy.rollout.output import LogReporter
from deploy.rollout.wait import Times
from deploy.text import printable

ATTEMPTS_AT_THE_END = 6  # to write the record, ten seconds apart
TARGET_S = 30  # until a target group calls a good task healthy: two probes, 15 s apart
FAILING_TASKS = 3  # at the least that ECS lets fail before it gives up


class ConcurrentDeploymentError(Exception):
    """Somebody else's deployment or lock is in the way, and is left alone; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended.

    Attributes:
        exit: one of deploy/exit_codes.py.
        sentence: for people.
        attempt: as the record has it; None where none was begun.
        findings: of the preflight, where it stopped the attempt.
        code: of the finding that a failure makes; None: follows from the attempt's cause and the exit code.
    """

    exit: int
    sentence: str
    attempt: Attempt | None = None
    findings: tuple[Finding, ...] = ()
    code: str | None = None


@dataclass(slots=True)
class RolloutSession:
    """See the module.

    Attributes:
        plan: of the team.
        contract: of the image, as plain data.
        clients: of AWS.
        store: of the record.
        who: ARN of the caller.
        see: the view.
        base_url: where gates ask the service; the plan's domain where it is None.
        every_s: seconds between two looks at AWS.
        confirm: is asked before anything is changed.
        record: as it was when the attempt began; what is proven in it does not change while the lock is held.
        attempt: the one on its way.
        lock: held while it is.
    """

    plan: Plan
    contract: dict[str, Any]
    clients: Clients
    store: Store
    who: str
    see: LogReporter
    base_url: str | None = None
    every_s: float = 3.0
    confirm: Callable[[str], bool] = field(default=lambda _: False)
    record: Record = field(default_factory=lambda: Record(account="", region="", cluster="", service=""))
    attempt: Attempt | None = None
    lock: Lock | None = None

    def gates(self, phase: Phase) -> Gates:
        """Of a phase's plan."""
        return self.plan.phases.get(phase, PhasePlan()).gates

    @property
    def url(self) -> str:
        """Where the service is asked."""
        return (self.base_url or self.plan.domain).rstrip("/")

    def refuse_unreachable(self, seen: ServiceSnapshot) -> None:
        """Nothing where the service can be asked, or nothing is there that could answer.

        A wrong address would fail every gate, and each phase that is gone back to: a healthy service would be torn
        down by it.

        Raises:
            PlanError: targets are healthy, and nobody answers at the URL.
        """
        if not any(one.state == "healthy" for one in seen.targets):
            return
        path = parse(self.contract).health.path
        try:
            httpx.get(self.url + path, timeout=10)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PlanError(
                f"Targets are healthy, but {self.url}{path} cannot be asked from here ({type(error).__name__}: "
                f"{printable(str(error), 200)}): no gate could be. Correct `domain` in the plan, or --base-url; look "
                "at DNS, certificate and firewall."
            ) from None

    def expected_s(self, phase: Phase) -> float:
        """Seconds that a deployment and its gates usually take."""
        start = parse(self.contract).seconds.start + self.plan.health.interval
        return start + TARGET_S + self.plan.deregistration_delay + self.gates(phase).window_s + 2 * self.every_s

    def times(self) -> Times:
        """Of following a deployment; it may take as long as ECS needs to give up by itself, and some more."""
        failing = FAILING_TASKS * (self.plan.health.grace + self.plan.health.start_period + TARGET_S)
        return Times(every=self.every_s, most=2.0 * failing + 2 * self.plan.deregistration_delay)

    def begin(self, phase: Phase, command: Literal["up", "rollback"] = "up") -> Attempt:
        """An attempt, not yet in the record."""
        self.attempt = Attempt(
            id=uuid.uuid4().hex,
            command=command,
            phase=phase,
            who=self.who,
            host=here(),
            base_url=None if "@" in (self.base_url or "") else self.base_url,  # a password in it is not kept
            started=datetime.now(UTC),
        )
        return self.attempt

    def take_lock(self, resume_of: str | None = None) -> None:
        """For the attempt; raises Locked where somebody else has it."""
        attempt = assert_begun(self.attempt).model_copy(
            update={"host": here()}
        )  # of a resumed one, another's stands there
        self.lock = take(self.store, attempt, resume_of)

    def keep(self, **changes: Any) -> Attempt:
        """Change the attempt, here and in the record; an unreachable record is said, and tried again at the end.

        Raises:
            LockLost: the lock was taken away from us.
            RecordError: the record is not one that may be written.
        """
        self._change(**changes)
        try:
            self._write()
        except RecordUnreachable as error:
            self.see.say(f"{error} The rollout goes on; what it does is written as soon as it can be.")
        return assert_begun(self.attempt)

    def end(self, exit_code: int, outcome: Outcome, sentence: str, **changes: Any) -> Result:
        """Write how it ended and give the lock back."""
        self._change(ended=datetime.now(UTC), outcome=outcome, sentence=sentence, **changes)
        for left in reversed(range(ATTEMPTS_AT_THE_END)):
            try:
                self._write()
                break
            except RecordUnreachable as error:
                if not left:
                    self.see.say(f"{error} How this ended is not in the record; `trail resume` writes it there later.")
                    return Result(exit_code, sentence, self.attempt)  # with the lock, so that nobody walks on
                time.sleep(self.every_s)
        self.release()
        return Result(exit_code, sentence, self.attempt)

    def release(self) -> None:
        """Give the lock back, if there is one."""
        if self.lock is not None:
            with contextlib.suppress(RecordError):  # it goes stale, and the next one is told so
                self.lock.release()
            self.lock = None

    def _change(self, **changes: Any) -> None:
        self.attempt = assert_begun(self.attempt).model_copy(update=changes)

    def _write(self) -> None:
        if self.lock is not None and self.lock.lost:
            self.lock.confirm()  # says by whom
        attempt = assert_begun(self.attempt)
        self.store.change(lambda record: with_attempt(record, attempt))


def proven_phases(record: Record, digest: str) -> tuple[Phase, ...]:
    """In which an image was proven, in their order."""
    found = {
        one.phase
        for one in record.attempts
        if one.outcome == "proven" and one.deployed is not None and one.deployed.digest == digest
    }
    return tuple(phase for phase in PHASES if phase in found)


def assert_begun(attempt: Attempt | None) -> Attempt:
    """The attempt."""
    if attempt is None:
        raise RuntimeError("no attempt was begun")
    return attempt


def here() -> str:
    """This machine and process, machine:pid."""
    return f"{socket.gethostname()}:{os.getpid()}"
