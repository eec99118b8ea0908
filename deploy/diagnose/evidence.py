"""Everything that bears on what is failing now, gathered once, as plain data that can be saved and sent to a colleague.

`gather` only reads. Log lines and settings are kept without what looks like a secret.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from deploy.aws.clients import Clients
from deploy.aws.lenient import LenientDict, as_time
from deploy.config import files as reading
from deploy.config.plan import Plan
from deploy.diagnose.deployment import is_of, subject
from deploy.diagnose.facts.definition import TaskDefinition, secret_values
from deploy.diagnose.facts.fact import Event, Fact
from deploy.diagnose.facts.network import SecurityGroup, Subnet, Target, TargetGroup
from deploy.diagnose.facts.service import Alarm, Deployment, Service, ServiceDeployment
from deploy.diagnose.facts.task import Task
from deploy.diagnose.reader import AwsReader
from deploy.diagnose.surroundings import MISSING, Surroundings
from deploy.record.trail import Outcome
from deploy.redact import masked
from deploy.taskdef.model import not_determined, serving_container, wired_names

MAX_BYTES = 1 << 23  # of a file of evidence
MOST_STOPPED, MOST_RUNNING = 3, 2  # tasks whose log is read
READ = 500  # lines of each log; photos write one each, and would hide what was said before
LINES, NOTABLE = 30, 30  # that are kept of them: the last ones, and before them those that warn or tell of the start
LINE_CHARACTERS = 4000
TELLS = re.compile(
    r"\"level\": ?\"(?:warning|error|critical)|\b(?:warning|error|critical)\b|Traceback|Error:|^shine: |listening on|"
    r"in service|initialized|startup",
    re.IGNORECASE,
)
TASKS_AT_ONCE = 100  # that DescribeTasks takes
MOST_TASKS = 300  # of each status; those that stopped are kept by ECS for an hour
DEPLOYMENTS_AT_ONCE = 5
HISTORY = timedelta(days=1)  # a deployment that failed longer ago is no longer what is failing now


class EvidenceError(Exception):
    """A file of evidence cannot be read or written; the message is one sentence."""


class Recorded(Fact):
    """The attempt that failed last, as the trail record has it.

    Attributes:
        id: of the attempt.
        title: of its cause, in a few words.
        gate: the cause is a gate that failed, and none of the table.
        base_url: where its gates asked the service; None: at the plan's domain.
    """

    id: str = ""
    phase: str = ""
    outcome: Outcome = "running"
    cause: str = ""
    title: str = ""
    gate: bool = False
    sentence: str = ""
    evidence: tuple[str, ...] = ()
    started: datetime | None = None
    ended: datetime | None = None
    deployment: str = ""
    base_url: str | None = None


class Evidence(Fact):
    """What was seen of one service.

    Attributes:
        at: when it was gathered, UTC.
        region, cluster, name: whose it is.
        cluster_status: as ECS tells it; MISSING; or None where it was not seen.
        service: its status is MISSING where there is none; None where it was not seen.
        deployment: id of the one that is looked at: the one that was asked for, the last that failed, or the newest.
        deployments: of the service, the newest first.
        service_deployments: the newest first; empty where the endpoint does not know them.
        events: of the service, the newest first.
        definition: of the deployment that is looked at.
        stopped, running: its tasks, the newest first; what is pending counts as running.
        logs: task → its last lines, and warnings before them, the oldest first.
        targets, target_group: as the load balancer sees the tasks; None where it was not seen.
        target_group_status: MISSING where there is none.
        balancer_groups, security_groups: of the load balancer (by id) and of the tasks.
        subnets: of the tasks; looked at only where a task could not start.
        alarms: those of the plan.
        recorded: what the trail record knows of a failure, where it was read; `gather` asks AWS alone.
        unseen: what could not be asked, and why.
    """

    at: datetime | None = None
    region: str = ""
    cluster: str = ""
    name: str = ""
    cluster_status: str | None = None
    service: Service | None = None
    deployment: str = ""
    deployments: tuple[Deployment, ...] = ()
    service_deployments: tuple[ServiceDeployment, ...] = ()
    events: tuple[Event, ...] = ()
    definition: TaskDefinition | None = None
    stopped: tuple[Task, ...] = ()
    running: tuple[Task, ...] = ()
    logs: dict[str, tuple[Event, ...]] = Field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    target_group: TargetGroup | None = None
    target_group_status: str = ""
    balancer_groups: tuple[str, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    recorded: Recorded | None = None
    unseen: tuple[str, ...] = ()

    @property
    def failed(self) -> list[Task]:
        """Tasks that stopped by a fault of their own, the newest first."""
        return [one for one in self.stopped if not one.taken]

    @property
    def subject(self) -> Deployment | None:
        """The deployment that is looked at, where the service still knows it."""
        return next((one for one in self.deployments if one.id == self.deployment), None)


def gather(clients: Clients, plan: Plan, deployment: str | None = None, since: datetime | None = None) -> Evidence:
    """Look at one service; AWS is only read, and what does not answer hides nothing else.

    Args:
        clients: of AWS.
        plan: names service and cluster, and where to look where the service itself does not say.
        deployment: ECS's id; None: the last that failed, else the newest.
        since: nothing that was over before counts.

    Raises:
        BotoCoreError, ClientError: there are no credentials, or they are no good.
    """
    return _Gatherer(AwsReader(clients), plan, as_time(since)).all(deployment)


class _Gatherer:
    """One look, part by part."""

    def __init__(self, asking: AwsReader, plan: Plan, since: datetime | None) -> None:
        self.asking, self.plan, self.since = asking, plan, since
        self.ask, self.now = asking.ask, datetime.now(UTC)
        self.names: list[str] = []  # of the container that serves, as the service's load balancer has it

    def all(self, wanted: str | None) -> Evidence:
        """The whole."""
        cluster = self._cluster()
        service, deployments, events = self._service()
        stopped = [one for one in self._tasks("STOPPED") if self._is_new(one.ended)]
        stopped.sort(key=lambda one: one.ended.timestamp() if one.ended else 0.0, reverse=True)
        chosen = wanted or subject(deployments, [one for one in events if self._is_recent(one.at)])
        known = next((one for one in deployments if one.id == chosen), None)
        stopped = [one for one in stopped if is_of(one, chosen, known)]
        running = [one for one in self._tasks("RUNNING") if is_of(one, chosen, known)]
        raw = self._definition(known, [*stopped, *running], service)
        definition = self._described(raw, service.port if service else None) if raw is not None else None
        around = Surroundings(self.asking, self.plan, service)
        group, group_status = around.target_group()
        found = Evidence(
            at=self.now,
            region=self.plan.region,
            cluster=self.plan.cluster,
            name=self.plan.service,
            cluster_status=cluster,
            service=service,
            deployment=chosen,
            deployments=tuple(deployments),
            service_deployments=tuple(self._service_deployments()),
            events=tuple(events),
            definition=definition,
            stopped=tuple(stopped),
            running=tuple(running),
            targets=around.targets(),
            target_group=group,
            target_group_status=group_status,
            balancer_groups=around.balancer_groups(group),
            security_groups=around.security_groups(),
            alarms=around.alarms(),
        )
        subnets = around.subnets() if _could_not_start(found) else ()
        logs = self._logs(found, secret_values(raw) if raw is not None else set())
        unseen = tuple(self.asking.unseen)
        return found.model_copy(update={"logs": logs, "subnets": subnets, "unseen": unseen})

    def _is_new(self, at: datetime | None) -> bool:
        return self.since is None or at is None or at >= self.since

    def _is_recent(self, at: datetime | None) -> bool:
        return self._is_new(at) and (at is None or at >= self.now - HISTORY)

    def _cluster(self) -> str | None:
        answer = self.ask("the cluster", "ecs", "describe_clusters", clusters=[self.plan.cluster])
        if answer is None:
            return MISSING if "the cluster" in self.asking.absent else None
        return next((one.text("status") for one in answer.each("clusters")), MISSING)

    def _service(self) -> tuple[Service | None, list[Deployment], list[Event]]:
        names = [self.plan.service]
        answer = self.ask("the service", "ecs", "describe_services", cluster=self.plan.cluster, services=names)
        if answer is None:
            return (Service(status=MISSING) if "the service" in self.asking.absent else None), [], []
        raw = next(iter(answer.each("services")), None)
        if raw is None:
            return Service(status=MISSING), [], []
        self.names = wired_names(raw.plain, self.plan.load_balancer.target_group)
        deployments = sorted(map(Deployment.of, raw.each("deployments")), key=lambda one: one.status != "PRIMARY")
        events = [one for one in map(Event.of, raw.each("events")) if self._is_new(one.at)]
        events.sort(key=lambda one: one.at.timestamp() if one.at else 0.0, reverse=True)
        return Service.of(raw), deployments, events

    def _service_deployments(self) -> list[ServiceDeployment]:
        """Not every endpoint knows these; what they tell is also in events, less plainly."""
        part, cluster, service = "service deployments", self.plan.cluster, self.plan.service
        answer = self.ask(part, "ecs", "list_service_deployments", optional=True, cluster=cluster, service=service)
        briefs = answer.each("serviceDeployments") if answer is not None else []
        names = [one.text("serviceDeploymentArn") for one in briefs if self._is_recent(one.time("createdAt"))]
        if not (arns := [one for one in names if one][:DEPLOYMENTS_AT_ONCE]):
            return []
        answer = self.ask(part, "ecs", "describe_service_deployments", optional=True, serviceDeploymentArns=arns)
        found = [ServiceDeployment.of(one) for one in answer.each("serviceDeployments")] if answer is not None else []
        return sorted(found, key=lambda one: one.created.timestamp() if one.created else 0.0, reverse=True)

    def _tasks(self, status: str) -> list[Task]:
        part = f"{'stopped' if status == 'STOPPED' else 'running'} tasks"
        arns: list[str] = []
        names: dict[str, Any] = {"cluster": self.plan.cluster, "serviceName": self.plan.service}
        while len(arns) < MOST_TASKS:
            answer = self.ask(part, "ecs", "list_tasks", desiredStatus=status, **names)
            if answer is None:
                break
            arns += answer.texts("taskArns")
            if not (token := answer.text("nextToken")):
                break
            names["nextToken"] = token
        found: list[Task] = []
        for first in range(0, len(arns), TASKS_AT_ONCE):
            chunk = arns[first : first + TASKS_AT_ONCE]
            answer = self.ask(part, "ecs", "describe_tasks", cluster=self.plan.cluster, tasks=chunk)
            found += map(Task.of, answer.each("tasks")) if answer is not None else []
        return found

    def _definition(self, known: Deployment | None, tasks: list[Task], service: Service | None) -> LenientDict | None:
        """Of the deployment that is looked at; of its tasks, where the service no longer knows it."""
        names = [known.task_definition if known else "", *(one.task_definition for one in tasks)]
        name = next(filter(None, [*names, service.task_definition if service else ""]), None)
        if name is None:
            return None
        answer = self.ask("the task definition", "ecs", "describe_task_definition", taskDefinition=name)
        return answer.inner("taskDefinition") if answer is not None else None

    def _described(self, raw: LenientDict, port: int | None) -> TaskDefinition:
        """The task definition; that no container of it can be chosen is noted."""
        if serving_container(raw.plain, self.names, port) is None:
            self.asking.note("the container", not_determined(raw.plain, self.names, port))
        return TaskDefinition.of(raw, self.names, port)

    def _logs(self, found: Evidence, secret: set[str]) -> dict[str, tuple[Event, ...]]:
        definition = found.definition or TaskDefinition()
        group = definition.log_group or self.plan.log_group
        prefix, container = definition.log_prefix or self.plan.service, definition.container or self.plan.service
        running = sorted(found.running, key=lambda one: not one.unhealthy)
        logs = {}
        for task in [*found.failed[:MOST_STOPPED], *running[:MOST_RUNNING]]:
            part = f"log lines of task {task.id}"
            answer = self.ask(
                part, "logs", "get_log_events", logGroupName=group, logStreamName=f"{prefix}/{container}/{task.id}",
                limit=READ, startFromHead=False,
            )  # fmt: skip
            if answer is None:
                if definition.log_group and "log group" in self.asking.absent.get(part, ""):
                    self.asking.note(part, f"the log group {group} is not there")
                continue
            lines = [Event(at=one.time("timestamp"), text=one.text("message")) for one in answer.each("events")]
            kept = [*[one for one in lines[:-LINES] if TELLS.search(one.text)][-NOTABLE:], *lines[-LINES:]]
            logs[task.id] = tuple(Event(at=one.at, text=masked(_cut(one.text), secret)) for one in kept)
        return logs


def _could_not_start(found: Evidence) -> bool:
    placing = any("place a task" in one.text or "launch a task" in one.text for one in found.events[:20])
    return placing or any(one.started is None for one in found.failed)


def _cut(line: str) -> str:
    """The end of a long line tells more: an exception's own words stand there."""
    half = LINE_CHARACTERS // 4
    return line if len(line) <= LINE_CHARACTERS else f"{line[:half]} … {line[-3 * half :]}"


def read(path: Path) -> Evidence:
    """What `save` wrote.

    Raises:
        EvidenceError: it is missing, too large, or no evidence.
    """
    try:
        return Evidence.model_validate_json(reading.content(path, MAX_BYTES, "evidence, such as --save writes"))
    except reading.Unreadable as error:
        raise EvidenceError(str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise EvidenceError(f"{path} is no evidence such as --save writes: {place}: {first['msg']}.") from None


def save(evidence: Evidence, path: Path) -> None:
    """For a colleague without access.

    Raises:
        EvidenceError: it cannot be written.
    """
    try:
        path.write_text(evidence.model_dump_json(indent=1), encoding="utf-8")
    except OSError as error:
        raise EvidenceError(f"{path} cannot be written: {error.strerror}.") from None
