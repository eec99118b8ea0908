"""A service, its deployments and service deployments, as data."""

import math
import random
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.deploy.aws import ACCOUNT, REGION
from tests.fake_ecs.account import CLUSTER
from tests.fake_ecs.clock import monotonic, now
from tests.fake_ecs.task import Task

EVENTS = 100  # as many as ECS keeps
BREAKER = {"enable": False, "rollback": False}


@dataclass
class Revision:
    """A revision of a service: what its tasks are made of."""

    arn: str
    definition: dict[str, Any]
    network: dict[str, Any]
    load_balancers: list[dict[str, Any]]
    created: datetime = field(default_factory=now)


@dataclass
class Release:
    """What ECS calls a service deployment: the way from one revision to another, and back where it failed."""

    arn: str
    target: Revision
    sources: list[Revision]
    deployment: str
    status: str = "IN_PROGRESS"
    status_reason: str | None = None
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    finished: datetime | None = None
    stopped: datetime | None = None
    breaker: str = "MONITORING"
    failures: int = 0
    threshold: int = 3
    alarms: str = "DISABLED"
    triggered: list[str] = field(default_factory=list)
    rollback: dict[str, Any] | None = None

    def become(self, status: str, reason: str | None = None) -> None:
        """Another status."""
        self.status, self.status_reason, self.updated = status, reason or self.status_reason, now()

    @property
    def over(self) -> bool:
        """Nothing more happens to it."""
        return self.finished is not None or self.stopped is not None


@dataclass
class Deployment:
    """What ECS calls a deployment: tasks of one revision."""

    id: str
    revision: Revision
    status: str = "PRIMARY"
    rollout: str = "IN_PROGRESS"
    reason: str = ""
    failed: int = 0
    desired: int = 0
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    held_until: float = 0.0  # no new task before, on the clock of this process
    halted: bool = False  # launches nothing more
    settled: bool = False  # a task of it was well already
    bake_from: float | None = None

    def become(self, rollout: str, reason: str) -> None:
        """Another rollout state."""
        self.rollout, self.reason, self.updated = rollout, reason, now()


class Service:
    """One. All that changes it holds the fake ECS's lock."""

    def __init__(self, name: str, asked: dict[str, Any]) -> None:
        self.name = name
        self.arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/{CLUSTER}/{name}"
        self.status, self.created = "ACTIVE", now()
        self.desired = int(asked.get("desiredCount", 0))
        self.configuration = _configuration(asked.get("deploymentConfiguration", {}))
        self.grace = int(asked.get("healthCheckGracePeriodSeconds", 0))
        self.asked = asked
        self.tags = list(asked.get("tags", []))
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS)
        self.deployments: list[Deployment] = []  # newest first
        self.releases: list[Release] = []  # newest first
        self.revisions: list[Revision] = []
        self.tasks: list[Task] = []
        self.last_completed: Deployment | None = None
        self.new_rollback_id = False  # a rollback begins a new deployment of the earlier revision
        self.steady = False
        self.replaced = 0  # tasks that were stopped for their health, until others start
        self.struggling = 0  # starts that failed in a row

    def event(self, message: str) -> None:
        """Tell what happened; every message begins with the service's name."""
        self.events.appendleft(
            {"id": secrets.token_hex(16), "createdAt": now(), "message": f"(service {self.name}) {message}"}
        )

    @property
    def primary(self) -> Deployment:
        """The newest."""
        return self.deployments[0]

    @property
    def release(self) -> Release | None:
        """The one under way."""
        return next((release for release in self.releases if not release.over), None)

    @property
    def configured_breaker(self) -> dict[str, Any]:
        """The circuit breaker of the deployment configuration."""
        result: dict[str, Any] = self.configuration["deploymentCircuitBreaker"]
        return result

    def threshold(self) -> int:
        """Failed tasks that trip the circuit breaker: half of the desired ones, 3 to 200, or as configured."""
        expected = self.configured_breaker.get("thresholdConfiguration", {})
        if expected.get("type") == "COUNT":
            return int(expected["value"])
        share = math.ceil(self.desired * expected.get("value", 50) / 100)
        return int(share) if expected.get("type") == "UNBOUNDED_PERCENT" else min(200, max(3, share))

    def revise(self, definition: dict[str, Any], network: dict[str, Any], balancers: list[dict[str, Any]]) -> Revision:
        """A new revision."""
        number = random.randrange(10**18, 10**19)
        arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service-revision/{CLUSTER}/{self.name}/{number}"
        made = Revision(arn, definition, network, balancers)
        self.revisions.append(made)
        return made

    def begin(self, revision: Revision) -> Deployment:
        """A new primary deployment, with an id of its own."""
        if self.deployments:
            self.primary.status = "ACTIVE"
        made = Deployment(f"ecs-svc/{random.randrange(10**18, 10**19)}", revision, desired=self.desired)
        made.become("IN_PROGRESS", f"ECS deployment {made.id} in progress.")
        self.deployments.insert(0, made)
        return made

    def deploy(self, revision: Revision) -> Deployment:
        """A new deployment by a service deployment of its own, which ends the one under way."""
        sources = [deployment.revision for deployment in self.deployments[:1]]
        running = self.release
        if running:
            running.become("STOPPED", "The service deployment was superseded by a newer one.")
            running.stopped = now()
        made = self.begin(revision)
        arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service-deployment/{CLUSTER}/{self.name}/{secrets.token_urlsafe(16)}"
        release = Release(arn, revision, sources, made.id, threshold=self.threshold())
        release.breaker = "MONITORING" if self.configured_breaker["enable"] else "DISABLED"
        release.alarms = "MONITORING" if self.configuration.get("alarms", {}).get("enable") else "DISABLED"
        self.releases.insert(0, release)
        self.steady, self.struggling = False, 0
        return made

    def of(self, deployment: Deployment) -> list[Task]:
        """Its tasks that are not to end."""
        return [task for task in self.tasks if task.deployment == deployment.id and task.desired == "RUNNING"]

    def left(self, deployment: Deployment) -> list[Task]:
        """Its tasks that have not ended."""
        return [task for task in self.tasks if task.deployment == deployment.id and task.status != "STOPPED"]

    def backoff(self, failures: int, short: float) -> float:
        """When the next task may start after so many failures in a row, if a second is so short."""
        return monotonic() + min(900.0, 5.0 * 2.0 ** max(0, failures - 1)) * short

    @property
    def shown(self) -> list[Deployment]:
        """Those that DescribeServices shows: the primary one, and others while tasks of theirs are left."""
        return [
            deployment for deployment in self.deployments if deployment is self.deployments[0] or self.left(deployment)
        ]


def _configuration(asked: dict[str, Any]) -> dict[str, Any]:
    made = {"maximumPercent": 200, "minimumHealthyPercent": 100, "strategy": "ROLLING", "bakeTimeInMinutes": 0, **asked}
    made["deploymentCircuitBreaker"] = {**BREAKER, **asked.get("deploymentCircuitBreaker", {})}
    return made


def configured(service: Service, asked: dict[str, Any]) -> None:
    """Change the deployment configuration; what is not named stays."""
    service.configuration = _configuration({**service.configuration, **asked})
