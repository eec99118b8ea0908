"""State of one rollout attempt, and how its end is written to the record.

The record says `running` before the first call that changes anything, so that `trail resume` finds the attempt after a
kill or a lost network. If the record cannot be written later, the rollout goes on: the record is written at the end, or
by `trail resume`.
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
from deploy.aws import service as ecs
from deploy.aws.clients import Clients
from deploy.config.image_contract import parse
from deploy.config.plan import PHASES, Gates, PhasePlan, Plan, PlanError
from deploy.findings.finding import Finding
from deploy.record.lock import Lock, take
from deploy.record.store import RecordError, RecordUnreachable, Store, with_attempt
from deploy.record.trail import Attempt, Outcome, Record
from deploy.rollout.output import LogReporter
from deploy.rollout.wait import Timing
from deploy.text import printable

FINAL_WRITES = 6  # tries to write the end of an attempt to the record
HEALTHY_S = 30  # until a target group reports a good task as healthy: two probes, 15 s apart
FAILING_TASKS = 3  # ECS lets at least so many tasks fail before it gives a deployment up


class ConcurrentDeploymentError(Exception):
    """Somebody else's deployment or lock is in the way, and was not touched; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended.

    Attributes:
        exit: one of deploy/exit_codes.py.
        sentence: for people.
        attempt: as the record has it; None if none was begun.
        findings: of the preflight, if it stopped the attempt.
        code: of the finding that reports a failure; None: it follows from the attempt's cause and the exit code.
    """

    exit: int
    sentence: str
    attempt: Attempt | None = None
    findings: tuple[Finding, ...] = ()
    code: str | None = None


@dataclass(slots=True)
class RolloutSession:
    """State of one rollout attempt.

    Attributes:
        plan: of the team.
        contract: of the image, as plain data.
        clients: of AWS.
        store: of the record.
        who: ARN of the caller.
        reporter: shows the operator what happens.
        base_url: at which gates reach the service; None: the plan's domain.
        every_s: seconds between two polls of AWS.
        confirm: asks the operator before anything is changed.
        record: as it was when the attempt began; while the lock is held, nobody else proves anything in it.
        attempt: the one in progress.
        lock: held while it is in progress.
    """

    plan: Plan
    contract: dict[str, Any]
    clients: Clients
    store: Store
    who: str
    reporter: LogReporter
    base_url: str | None = None
    every_s: float = 3.0
    confirm: Callable[[str], bool] = field(default=lambda _: False)
    record: Record = field(default_factory=lambda: Record(account="", region="", cluster="", service=""))
    attempt: Attempt | None = None
    lock: Lock | None = None

    def gates(self, phase: Phase) -> Gates:
        """The limits of a phase's gates."""
        return self.plan.phases.get(phase, PhasePlan()).gates

    @property
    def url(self) -> str:
        """Where the service answers, without a slash at the end."""
        return (self.base_url or self.plan.domain).rstrip("/")

    def snapshot(self) -> ecs.ServiceSnapshot:
        """The service as it is now."""
        return ecs.read_snapshot(self.clients, self.plan)

    def refuse_unreachable(self, snapshot: ecs.ServiceSnapshot) -> None:
        """Refuse a wrong URL: with it every gate would fail, and a healthy service would be rolled back.

        Raises:
            PlanError: targets are healthy, but nothing answers at the URL.
        """
        if not any(target.state == "healthy" for target in snapshot.targets):
            return
        path = parse(self.contract).health.path
        try:
            httpx.get(self.url + path, timeout=10)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PlanError(
                f"Targets are healthy, but {self.url}{path} cannot be reached from here ({type(error).__name__}: "
                f"{printable(str(error), 200)}), so no gate could be checked. Correct `domain` in the plan, or "
                "--base-url; check DNS, certificate and firewall."
            ) from None

    def expected_s(self, phase: Phase) -> float:
        """Seconds that a deployment and its gates usually take."""
        start = parse(self.contract).seconds.start + self.plan.health.interval
        return start + HEALTHY_S + self.plan.deregistration_delay + self.gates(phase).window_s + 2 * self.every_s

    @property
    def timing(self) -> Timing:
        """A deployment may take as long as ECS needs to give it up, and some more."""
        failing = FAILING_TASKS * (self.plan.health.grace + self.plan.health.start_period + HEALTHY_S)
        return Timing(poll_s=self.every_s, timeout_s=2.0 * failing + 2 * self.plan.deregistration_delay)

    def begin_attempt(self, phase: Phase, command: Literal["up", "rollback"] = "up") -> Attempt:
        """Begin an attempt, which is not yet in the record."""
        self.attempt = Attempt(
            id=uuid.uuid4().hex,
            command=command,
            phase=phase,
            who=self.who,
            host=this_process(),
            base_url=None if "@" in (self.base_url or "") else self.base_url,  # a password in it is not kept
            started=datetime.now(UTC),
        )
        return self.attempt

    def take_lock(self, resume_of: str | None = None) -> None:
        """Lock the record for the attempt; raises Locked if somebody else holds the lock."""
        # A resumed attempt names the process that began it.
        attempt = require_attempt(self.attempt).model_copy(update={"host": this_process()})
        self.lock = take(self.store, attempt, resume_of)

    def update_attempt(self, **changes: Any) -> Attempt:
        """Change the attempt, here and in the record; a record that is unreachable is reported and written later.

        Raises:
            LockLost: somebody else took the lock.
            RecordError: the record must not be written.
        """
        self._change(**changes)
        try:
            self._write()
        except RecordUnreachable as error:
            self.reporter.say(f"{error} The rollout goes on; the record is written as soon as possible.")
        return require_attempt(self.attempt)

    def end_attempt(self, exit_code: int, outcome: Outcome, sentence: str, **changes: Any) -> Result:
        """Write to the record how the attempt ended, and release the lock."""
        self._change(ended=datetime.now(UTC), outcome=outcome, sentence=sentence, **changes)
        for left in reversed(range(FINAL_WRITES)):
            try:
                self._write()
                break
            except RecordUnreachable as error:
                if not left:
                    self.reporter.say(f"{error} The record does not say how this ended; `trail resume` writes it.")
                    # The lock stays, so that nobody else begins.
                    return Result(exit_code, sentence, self.attempt)
                time.sleep(self.every_s)
        self.release_lock()
        return Result(exit_code, sentence, self.attempt)

    def release_lock(self) -> None:
        """Release the lock, if it is held."""
        if self.lock is not None:
            with contextlib.suppress(RecordError):  # it becomes stale, and the next caller is warned
                self.lock.release()
            self.lock = None

    def _change(self, **changes: Any) -> None:
        self.attempt = require_attempt(self.attempt).model_copy(update=changes)

    def _write(self) -> None:
        if self.lock is not None and self.lock.lost:
            self.lock.confirm()  # raises LockLost, which names the new holder
        attempt = require_attempt(self.attempt)
        self.store.change(lambda record: with_attempt(record, attempt))


def proven_phases(record: Record, digest: str) -> tuple[Phase, ...]:
    """The phases in which an image is proven, in order."""
    proven = {
        attempt.phase
        for attempt in record.attempts
        if attempt.outcome == "proven" and attempt.deployed is not None and attempt.deployed.digest == digest
    }
    return tuple(phase for phase in PHASES if phase in proven)


def require_attempt(attempt: Attempt | None) -> Attempt:
    """The attempt; raises RuntimeError if none was begun."""
    if attempt is None:
        raise RuntimeError("no attempt was begun")
    return attempt


def this_process() -> str:
    """This machine and process, machine:pid."""
    return f"{socket.gethostname()}:{os.getpid()}"
