"""One task: from PROVISIONING to STOPPED, with a real process in between."""

import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from tests.deploy.aws import ACCOUNT, REGION
from tests.fake_ecs.account import CLUSTER, Account
from tests.fake_ecs.clock import Clock, monotonic, now
from tests.fake_ecs.errors import StartFailed
from tests.fake_ecs.images import Image
from tests.fake_ecs.probe import command_succeeds
from tests.fake_ecs.process import Process
from tests.fake_ecs.startup import Container, prepare
from tests.fake_ecs.targets import Target, Targets
from tests.fake_ecs.wiring import wired

PLATFORM_S = 2.0  # AWS's seconds for a network interface, and again to take it away
HEALTH_LEAST_S = 0.25
HEALTH_TIMEOUT_S = 2.0
KILLED = 137
HURRY_S = 2.0  # where the fake ECS is taken down
STOP_TIMEOUT_S = 30  # where the task definition says nothing


@dataclass
class Ground:
    """What all tasks stand on.

    Attributes:
        account: moto.
        clock: how long AWS's seconds are.
        targets: where tasks are registered.
        catalogue: digest → what it does.
        folder: for logs of processes.
        platform: environment that every task gets.
        address: gives each task its own.
    """

    account: Account
    clock: Clock
    targets: Targets
    catalogue: dict[str, Image]
    folder: Path
    platform: dict[str, str]
    address: Callable[[int], str]


class Task:
    """A task of a service.

    Attributes:
        deployment: id of the one that it counts for.
        counted, told, registered: the scheduler has seen its end, told of its ill health, of its targets.
        ordered: it was ended by the scheduler or a person, not by its own fault.
    """

    def __init__(
        self, ground: Ground, service: str, deployment: str, definition: dict[str, Any], revision: dict[str, Any]
    ) -> None:
        self.id = secrets.token_hex(16)
        self.arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{CLUSTER}/{self.id}"
        self.ground, self.service, self.deployment = ground, service, deployment
        self.started_by = deployment
        self.definition, self.revision = definition, revision
        self.container = wired(definition, revision["loadBalancers"])
        self.status, self.desired, self.health = "PROVISIONING", "RUNNING", "UNKNOWN"
        self.created, self.times = now(), dict[str, datetime]()
        self.reason: str | None = None
        self.code: str | None = None
        self.exit_code: int | None = None
        self.container_reason: str | None = None
        self.digest: str | None = None
        self.address: str | None = None
        self.interface = f"eni-{secrets.token_hex(8)}"
        self.targets: list[Target] = []
        self.counted = self.ordered = self.told = self.registered = False
        self.up_at: float | None = None
        self._began = monotonic()
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._process: Process | None = None
        self._thread = threading.Thread(target=self._live, daemon=True, name=f"task-{self.id[:8]}")

    def start(self) -> None:
        """Set off."""
        self._thread.start()

    def stop(self, reason: str, code: str, ordered: bool = True) -> None:
        """Ask it to end; what it is told first stands."""
        if self.desired == "STOPPED":
            return
        self.desired, self.reason, self.code, self.ordered = "STOPPED", reason, code, ordered
        self.times["stoppingAt"] = now()
        self._stopping.set()

    def hurry(self) -> None:
        """End without draining, as when the fake ECS is taken down."""
        self._hurry.set()
        self.stop("The fake ECS is taken down", "UserInitiated")

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join(60)

    @property
    def pid(self) -> int | None:
        """The id of its first process."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """As ECS counts it: not on its way out."""
        return self.status == "RUNNING" and self.desired == "RUNNING"

    @property
    def healthy(self) -> bool:
        """It runs, and container check and load balancer have both seen it well."""
        checked = "healthCheck" not in self.container or self.health == "HEALTHY"
        return self.running and checked and all(target.state == "healthy" for target in self.targets)

    @property
    def ailing(self) -> str | None:
        """ECS's reason to replace it; None: there is none."""
        if not self.running:
            return None
        if self.health == "UNHEALTHY":
            return "Task failed container health checks"
        for target in self.targets:
            if target.state == "unhealthy":
                return f"Task failed ELB health checks in (target-group {target.group})"
        return None

    def up(self) -> bool:
        """Whether its process had all the time that a start takes: it answers, or the floor is over."""
        if self.up_at is None and self._process is not None and self.address is not None:
            late = monotonic() > self._began + self.ground.clock.floor_s
            if late or self._process.answers(self.address):
                self.up_at = monotonic()
        return self.up_at is not None

    def grown(self, seconds: float) -> bool:
        """Whether it is up for so many of AWS's seconds."""
        return self.up() and monotonic() >= (self.up_at or 0.0) + self.ground.clock.short(seconds)

    def _live(self) -> None:
        try:
            self._pause(PLATFORM_S)
            self.status = "PENDING"
            if not self._stopping.is_set():
                self._run()
        except StartFailed as failed:
            self.stop(str(failed), "TaskFailedToStart", ordered=False)
        except ClientError as error:  # something that ECS looked at before is gone
            self.stop(f"ResourceInitializationError: {error}", "TaskFailedToStart", ordered=False)
        finally:
            self._end()

    def _run(self) -> None:
        network = self.revision["networkConfiguration"]
        result = prepare(self.ground.account, self.ground.catalogue, self.container, network, self.id)
        self.digest = result.digest
        self.times |= {"pullStartedAt": now(), "pullStoppedAt": now()}
        expected = self.definition.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64")
        port = int(result.environment.get("PORT", "5000"))
        self.address = self.ground.address(port)
        if result.behaves.architecture != expected:
            self._log(result, [(now().timestamp(), "exec /usr/local/bin/entrypoint: exec format error")])
            self.times["startedAt"] = now()
            self.exit_code = 1
            self.stop("Essential container in task exited", "EssentialContainerExited", ordered=False)
            return
        log = self.ground.folder / f"task-{self.id}.log"
        self._process = Process(
            result, self.address, port, self.ground.platform, log, lambda lines: self._log(result, lines)
        )
        self._began = monotonic()
        self.status = "ACTIVATING"
        self._register()
        self.times["startedAt"] = now()
        self.status = "RUNNING"
        self._watch(result)

    def _register(self) -> None:
        groups = self.revision["networkConfiguration"]["awsvpcConfiguration"].get("securityGroups", [])
        for balancer in self.revision["loadBalancers"]:
            self.targets.append(
                self.ground.targets.register(
                    balancer["targetGroupArn"], str(self.address), balancer["containerPort"], groups, self.up
                )
            )

    def _watch(self, found: Container) -> None:
        """Until the process ends or is to end: container health checks."""
        assert self._process
        check = self.container.get("healthCheck")
        next_check, failures = monotonic(), 0
        while not self._stopping.wait(0.05):
            if (code := self._process.ended()) is not None:
                self._exited(found, code)
                return
            if check is None or monotonic() < next_check:
                continue
            interval = self.ground.clock.short(check.get("interval", 30), HEALTH_LEAST_S)
            next_check = monotonic() + interval
            timeout = self.ground.clock.short(check.get("timeout", 5), HEALTH_TIMEOUT_S)
            if command_succeeds(check, str(self.address), timeout):
                self.health, failures = "HEALTHY", 0
            elif self.grown(check.get("startPeriod", 0)):
                failures += 1
                if failures >= check.get("retries", 3):
                    self.health = "UNHEALTHY"

    def _exited(self, found: Container, code: int) -> None:
        self.exit_code = code
        if code == KILLED and found.behaves.killed_for_memory:
            self.container_reason = "OutOfMemoryError: Container killed due to memory usage"
        self.stop("Essential container in task exited", "EssentialContainerExited", ordered=False)

    def _end(self) -> None:
        self.times.setdefault("stoppingAt", now())
        if self.targets:
            self.status = "DEACTIVATING"
            alive = self._process is not None and self._process.ended() is None
            for target in self.targets:
                if alive and not self._hurry.is_set():
                    with contextlib.suppress(ClientError):  # the target group may be gone
                        self.ground.targets.deregister(target, self._hurry.wait)
                self.ground.targets.forget(target)
        self.status = "STOPPING"
        if self._process is not None:
            self._terminate(self._process)
        self.times["executionStoppedAt"] = now()
        self.status = "DEPROVISIONING"
        self._hurry.wait(self.ground.clock.short(PLATFORM_S))
        self.times["stoppedAt"] = now()
        self.status = "STOPPED"

    def _terminate(self, process: Process) -> None:
        """SIGTERM, stopTimeout in real seconds (the process's own time is what it is), SIGKILL."""
        process.terminate()
        began, patience = monotonic(), float(self.container.get("stopTimeout", STOP_TIMEOUT_S))
        while process.ended() is None:
            if monotonic() > began + (min(patience, HURRY_S) if self._hurry.is_set() else patience):
                break
            time.sleep(0.05)
        if process.ended() is None:
            process.kill()
        code = process.ended()
        self.exit_code = code if self.exit_code is None else self.exit_code
        process.bury()

    def _log(self, found: Container, lines: list[tuple[float, str]]) -> None:
        if found.group is None or found.stream is None:
            return
        try:
            self.ground.account.write_log(found.group, found.stream, lines)
        except ClientError:
            return  # the group went away meanwhile: awslogs drops what it cannot write

    def _pause(self, seconds: float) -> None:
        self._stopping.wait(self.ground.clock.short(seconds))
