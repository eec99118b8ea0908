"""Gathers the evidence about one service; AWS is only read, and a part that cannot be read hides no other.

Log lines and settings are kept without what looks like a secret.
"""

import re
from datetime import UTC, datetime, timedelta

from deploy.aws.clients import Clients
from deploy.aws.network import SecurityGroup, Subnet, Target, TargetGroup
from deploy.aws.reader import AwsReader
from deploy.aws.service import (
    DEPLOYMENT_FAILED,
    ROLLING_BACK,
    Alarm,
    Deployment,
    Event,
    Service,
    ServiceDeployment,
)
from deploy.aws.task import DESCRIBED_MOST, Task
from deploy.config.plan import Plan
from deploy.diagnose.evidence import MISSING, Evidence
from deploy.lenient import LenientDict, as_time, seconds
from deploy.redact import masked
from deploy.taskdef.model import TaskDefinition, not_determined, secret_values, serving_container, wired_names

MOST_STOPPED, MOST_RUNNING = 3, 2  # tasks whose log is read
READ = 500  # lines of each log; photos write one each, and would hide the lines before them
LINES, NOTABLE = 30, 30  # lines kept of each log: the last ones, and before them those that match NOTABLE_LINE
LINE_CHARACTERS = 4000
NOTABLE_LINE = re.compile(
    r"\"level\": ?\"(?:warning|error|critical)|\b(?:warning|error|critical)\b|Traceback|Error:|^shine: |listening on|"
    r"in service|initialized|startup",
    re.IGNORECASE,
)
MOST_TASKS = 300  # of each status; ECS keeps stopped tasks for an hour
DEPLOYMENTS_AT_ONCE = 5
HISTORY = timedelta(days=1)  # a deployment that failed longer ago is no longer what is failing now


def gather(clients: Clients, plan: Plan, deployment: str | None = None, since: datetime | None = None) -> Evidence:
    """Gather the evidence about one service.

    Args:
        clients: of AWS.
        plan: names service and cluster, and the load balancer and network where the service itself does not.
        deployment: ECS's id; None: the last that failed, else the newest.
        since: nothing that was over before counts.

    Raises:
        NoCredentials: there are no credentials, or they are no good.
    """
    return _Gatherer(AwsReader(clients), plan, as_time(since)).evidence(deployment)


def subject(deployments: list[Deployment], events: list[Event]) -> str:
    """Id of the deployment to diagnose: the last that failed, as long as nothing newer has begun; else the newest."""
    primary = next((deployment for deployment in deployments if deployment.status == "PRIMARY"), None)
    if primary is None:
        return ""
    begun = primary.created
    for event in events:  # ECS takes a deployment that it has rolled back out of the list; its events stay
        if (failed := DEPLOYMENT_FAILED.search(event.text)) is None or failed["id"] == primary.id:
            continue
        went_back = ROLLING_BACK.search(primary.reason) is not None or any(
            (back := ROLLING_BACK.search(later.text)) is not None and back["id"] == primary.id
            for later in events
            if event.at is None or later.at is None or later.at >= event.at
        )
        if went_back or begun is None or event.at is None or begun <= event.at:
            return failed["id"]
        break
    failing = [deployment for deployment in deployments if deployment.rollout == "FAILED"]
    newer = [deployment for deployment in failing if deployment.created and begun and deployment.created > begun]
    return newer[0].id if newer else primary.id


def is_of(task: Task, deployment_id: str, deployment: Deployment | None) -> bool:
    """Whether a deployment started a task; where the task does not say, by its task definition."""
    if not deployment_id:
        return True
    if task.started_by:
        return task.started_by == deployment_id
    revision = deployment.task_definition if deployment is not None else ""
    return not revision or task.task_definition == revision


class _Gatherer:
    """Reads the parts of the evidence."""

    def __init__(self, reader: AwsReader, plan: Plan, since: datetime | None) -> None:
        self.reader, self.plan, self.since = reader, plan, since
        self.read, self.now = reader.read_or_note, datetime.now(UTC)
        self.names: list[str] = []  # of the container that serves, as the service's load balancer has it

    def evidence(self, deployment_id: str | None) -> Evidence:
        """All parts; see `gather`."""
        cluster = self._cluster()
        service, deployments, events = self._service()
        stopped = [task for task in self._tasks("STOPPED") if self._is_new(task.ended)]
        stopped.sort(key=lambda task: seconds(task.ended), reverse=True)
        chosen = deployment_id or subject(deployments, [event for event in events if self._is_recent(event.at)])
        known = next((deployment for deployment in deployments if deployment.id == chosen), None)
        stopped = [task for task in stopped if is_of(task, chosen, known)]
        running = [task for task in self._tasks("RUNNING") if is_of(task, chosen, known)]
        raw = self._definition(known, [*stopped, *running], service)
        group, group_status = self._target_group(service)
        evidence = Evidence(
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
            definition=self._task_definition(raw, service) if raw is not None else None,
            stopped=tuple(stopped),
            running=tuple(running),
            targets=self._targets(service),
            target_group=group,
            target_group_status=group_status,
            balancer_groups=self._balancer_groups(group),
            security_groups=self._security_groups(service),
            alarms=self._alarms(),
        )
        subnets = self._subnets(service) if _could_not_start(evidence) else ()
        logs = self._logs(evidence, secret_values(raw) if raw is not None else set())
        unseen = tuple(self.reader.unseen)
        return evidence.model_copy(update={"logs": logs, "subnets": subnets, "unseen": unseen})

    def _is_new(self, at: datetime | None) -> bool:
        return self.since is None or at is None or at >= self.since

    def _is_recent(self, at: datetime | None) -> bool:
        return self._is_new(at) and (at is None or at >= self.now - HISTORY)

    def _each(
        self, key: str, part: str, service: str, operation: str, /, *, optional: bool = False, **parameters: object
    ) -> list[LenientDict]:
        """Objects of a list in an answer; empty where there is no answer."""
        answer = self.read(part, service, operation, optional=optional, **parameters)
        return answer.each(key) if answer is not None else []

    # --- ECS --------------------------------------------------------------------------------------------------------

    def _cluster(self) -> str | None:
        answer = self.read("the cluster", "ecs", "describe_clusters", clusters=[self.plan.cluster])
        if answer is None:
            return MISSING if "the cluster" in self.reader.absent else None
        return next((cluster.text("status") for cluster in answer.each("clusters")), MISSING)

    def _service(self) -> tuple[Service | None, list[Deployment], list[Event]]:
        names = [self.plan.service]
        answer = self.read("the service", "ecs", "describe_services", cluster=self.plan.cluster, services=names)
        if answer is None:
            return (Service(status=MISSING) if "the service" in self.reader.absent else None), [], []
        raw = next(iter(answer.each("services")), None)
        if raw is None:
            return Service(status=MISSING), [], []
        self.names = wired_names(raw.plain, self.plan.load_balancer.target_group)
        deployments = sorted(map(Deployment.of, raw.each("deployments")), key=lambda one: one.status != "PRIMARY")
        events = [event for event in map(Event.of, raw.each("events")) if self._is_new(event.at)]
        events.sort(key=lambda event: seconds(event.at), reverse=True)
        return Service.of(raw), deployments, events

    def _service_deployments(self) -> list[ServiceDeployment]:
        """Not every endpoint knows these; events say the same, less plainly."""
        part, cluster, service = "service deployments", self.plan.cluster, self.plan.service
        briefs = self._each(
            "serviceDeployments", part, "ecs", "list_service_deployments", optional=True, cluster=cluster,
            service=service,
        )  # fmt: skip
        names = [brief.text("serviceDeploymentArn") for brief in briefs if self._is_recent(brief.time("createdAt"))]
        if not (arns := [name for name in names if name][:DEPLOYMENTS_AT_ONCE]):
            return []
        described = self._each(
            "serviceDeployments", part, "ecs", "describe_service_deployments", optional=True, serviceDeploymentArns=arns
        )
        return sorted(map(ServiceDeployment.of, described), key=lambda one: seconds(one.created), reverse=True)

    def _tasks(self, status: str) -> list[Task]:
        part = f"{'stopped' if status == 'STOPPED' else 'running'} tasks"
        answer = self.read(
            part, "ecs", "list_tasks", cluster=self.plan.cluster, serviceName=self.plan.service, desiredStatus=status,
            PaginationConfig={"MaxItems": MOST_TASKS},
        )  # fmt: skip
        arns = answer.texts("taskArns") if answer is not None else []
        chunks = [arns[first : first + DESCRIBED_MOST] for first in range(0, len(arns), DESCRIBED_MOST)]
        return [
            Task.of(raw, self.names)
            for chunk in chunks
            for raw in self._each("tasks", part, "ecs", "describe_tasks", cluster=self.plan.cluster, tasks=chunk)
        ]

    def _definition(self, known: Deployment | None, tasks: list[Task], service: Service | None) -> LenientDict | None:
        """The task definition of the deployment; of its tasks, where the service no longer lists the deployment."""
        names = [known.task_definition if known else "", *(task.task_definition for task in tasks)]
        name = next(filter(None, [*names, service.task_definition if service else ""]), None)
        if name is None:
            return None
        answer = self.read("the task definition", "ecs", "describe_task_definition", taskDefinition=name)
        return answer.inner("taskDefinition") if answer is not None else None

    def _task_definition(self, raw: LenientDict, service: Service | None) -> TaskDefinition:
        """The task definition; that no container of it can be chosen is noted."""
        port = service.port if service else None
        if serving_container(raw.plain, self.names, port) is None:
            self.reader.note("the container", not_determined(raw.plain, self.names, port))
        return TaskDefinition.of(raw, self.names, port)

    # --- load balancer, network, alarms -----------------------------------------------------------------------------

    def _group_arn(self, service: Service | None) -> str:
        return (service.target_group if service else "") or self.plan.load_balancer.target_group

    def _targets(self, service: Service | None) -> tuple[Target, ...]:
        part, arn = "health of the targets", self._group_arn(service)
        raw = self._each("TargetHealthDescriptions", part, "elbv2", "describe_target_health", TargetGroupArn=arn)
        return tuple(map(Target.of, raw))

    def _target_group(self, service: Service | None) -> tuple[TargetGroup | None, str]:
        """The target group, and MISSING where there is none."""
        part, arns = "the target group", [self._group_arn(service)]
        raw = self._each("TargetGroups", part, "elbv2", "describe_target_groups", TargetGroupArns=arns)
        if not raw:
            return None, MISSING if part in self.reader.absent else ""
        return TargetGroup.of(raw[0]), ""

    def _balancer_groups(self, group: TargetGroup | None) -> tuple[str, ...]:
        """Security groups of the load balancer."""
        if group is None or not group.balancers:
            return ()
        part, arns = "the load balancer", list(group.balancers)
        balancers = self._each("LoadBalancers", part, "elbv2", "describe_load_balancers", LoadBalancerArns=arns)
        return tuple(name for balancer in balancers for name in balancer.texts("SecurityGroups"))

    def _security_groups(self, service: Service | None) -> tuple[SecurityGroup, ...]:
        """Security groups of the tasks."""
        ids = list((service.security_groups if service else ()) or self.plan.network.security_groups)
        raw = self._each("SecurityGroups", "the security groups", "ec2", "describe_security_groups", GroupIds=ids)
        return tuple(map(SecurityGroup.of, raw))

    def _subnets(self, service: Service | None) -> tuple[Subnet, ...]:
        """Subnets of the tasks, and their default routes."""
        ids = list((service.subnets if service else ()) or self.plan.network.subnets)
        raw = self._each("Subnets", "the subnets", "ec2", "describe_subnets", SubnetIds=ids)
        if not (vpcs := sorted({subnet.text("VpcId") for subnet in raw} - {""})):
            return ()
        filters = [{"Name": "vpc-id", "Values": vpcs}]
        answer = self.read("the route tables", "ec2", "describe_route_tables", Filters=filters)
        tables = answer.each("RouteTables") if answer is not None else None
        return tuple(Subnet.of(subnet, tables) for subnet in raw)

    def _alarms(self) -> tuple[Alarm, ...]:
        """Alarms of the plan."""
        if not self.plan.alarms:
            return ()
        answer = self.read("alarms", "cloudwatch", "describe_alarms", AlarmNames=list(self.plan.alarms))
        if answer is None:
            return ()
        return tuple(map(Alarm.of, [*answer.each("MetricAlarms"), *answer.each("CompositeAlarms")]))

    # --- log --------------------------------------------------------------------------------------------------------

    def _logs(self, evidence: Evidence, secret: set[str]) -> dict[str, tuple[Event, ...]]:
        definition = evidence.definition or TaskDefinition()
        group = definition.log_group or self.plan.log_group
        prefix, container = definition.log_prefix or self.plan.service, definition.container or self.plan.service
        running = sorted(evidence.running, key=lambda task: not task.unhealthy)
        logs = {}
        for task in [*evidence.failed[:MOST_STOPPED], *running[:MOST_RUNNING]]:
            part = f"log lines of task {task.id}"
            answer = self.read(
                part, "logs", "get_log_events", logGroupName=group, logStreamName=f"{prefix}/{container}/{task.id}",
                limit=READ, startFromHead=False,
            )  # fmt: skip
            if answer is None:
                if definition.log_group and "log group" in self.reader.absent.get(part, ""):
                    self.reader.note(part, f"the log group {group} does not exist")
                continue
            lines = [Event(at=raw.time("timestamp"), text=raw.text("message")) for raw in answer.each("events")]
            notable = [line for line in lines[:-LINES] if NOTABLE_LINE.search(line.text)][-NOTABLE:]
            kept = [*notable, *lines[-LINES:]]
            logs[task.id] = tuple(Event(at=line.at, text=masked(_cut(line.text), secret)) for line in kept)
        return logs


def _could_not_start(evidence: Evidence) -> bool:
    texts = [event.text for event in evidence.events[:20]]
    placing = any("place a task" in text or "launch a task" in text for text in texts)
    return placing or any(task.started is None for task in evidence.failed)


def _cut(line: str) -> str:
    """A long line with its middle cut out; its end says more, since an exception's own words stand there."""
    half = LINE_CHARACTERS // 4
    return line if len(line) <= LINE_CHARACTERS else f"{line[:half]} … {line[-3 * half :]}"
