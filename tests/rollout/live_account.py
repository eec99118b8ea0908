"""A live system for gates: an account in moto in which two tasks of the service run."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx

from bentos.skin.contract import contract
from bentos.skin.settings import Phase
from deploy.aws.clients import Clients
from deploy.config.image_contract import own
from deploy.config.plan import Gates
from deploy.gates import registry
from deploy.gates.observation import Observation, Window
from deploy.gates.probe_load import Outcome, ProbeLoad
from deploy.gates.run import Verdict
from deploy.gates.target import LiveTarget
from deploy.record.trail import GateResult
from tests.deploy.aws import NAME, REGION, Good

CLUSTER = "shine-ml-cluster"
OTHER = f"sha256:{'9' * 64}"
NOWHERE = "http://127.0.0.1:9"  # where nobody listens
CONTRACT = contract()
WINDOW = Window(began=0.0, ends=1e12, desired=2, running=frozenset(), stopped=frozenset())


class DeployedAccount(Good):
    """The good account after a deployment: two tasks run, each is a healthy target.

    Attributes:
        changed: fields of DescribeTasks' response that differ from moto's, by the task's ARN.
        tasks: ARNs of the two.
    """

    def __init__(self, bundle: Path) -> None:
        super().__init__(bundle, own())
        # Without it moto knows no name of an interface, and runs no task.
        self.client("ec2").modify_vpc_attribute(VpcId=self.ids["vpc"], EnableDnsHostnames={"Value": True})
        self.changed: dict[str, dict[str, Any]] = {}
        self._http = httpx.Client(timeout=30)
        self.stand_in("ecs", "DescribeTasks", self._change)
        self._started = [self.start() for _ in range(2)]
        self.tasks = list(self._started)

    def restore(self) -> None:
        super().restore()
        self.changed, self.tasks = {}, list(self._started)
        self.stand_in("ecs", "DescribeTasks", self._change)

    def _change(self, answer: dict[str, Any]) -> None:
        for task in answer.get("tasks", []):
            if task["desiredStatus"] == "RUNNING":
                task["lastStatus"] = "RUNNING"  # moto's tasks change state with each call
            task.update(self.changed.get(task["taskArn"], {}))

    @property
    def deployment(self) -> str:
        """ECS's id of the deployment."""
        ecs = self.client("ecs")
        service = ecs.describe_services(cluster=CLUSTER, services=[NAME])["services"][0]
        return str(service["deployments"][0]["id"])

    def start(self, started_by: str | None = None, register: bool = True) -> str:
        """Start one more task; returns its ARN."""
        ecs = self.client("ecs")
        network = {"subnets": [self.ids["private_a"]], "securityGroups": [self.ids["tasks"]]}
        task = ecs.run_task(
            cluster=CLUSTER,
            taskDefinition=NAME,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": network},
            startedBy=started_by or self.deployment,
            group=f"service:{NAME}",
        )["tasks"][0]
        if register:
            details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
            self.register(details["privateIPv4Address"])
        return str(task["taskArn"])

    def register(self, address: str) -> None:
        """Register a target."""
        self.client("elbv2").register_targets(
            TargetGroupArn=self.plan.load_balancer.target_group, Targets=[{"Id": address, "Port": 5000}]
        )

    def close(self) -> None:
        """Close the connections to the service."""
        self._http.close()

    def stop(self, task: str, reason: str = "Essential container in task exited") -> None:
        """Stop a task."""
        self.client("ecs").stop_task(cluster=CLUSTER, task=task, reason=reason)

    def tells(self, task: str, **changes: Any) -> None:
        """Change what ECS reports of a task."""
        self.changed.setdefault(task, {}).update(changes)

    def runs(self, task: str, digest: str | None, image: str | None = None) -> None:
        """Have ECS report that a task runs another image."""
        container = {"name": "shine", "image": image or "shine:latest"}
        self.tells(task, containers=[{**container, **({"imageDigest": digest} if digest else {})}])

    def live(self, phase: Phase, base_url: str = NOWHERE, **changes: Any) -> LiveTarget:
        """The live target of a phase."""
        fields = {
            "plan": self.plan,
            "contract": CONTRACT.model_dump(mode="json"),
            "phase": phase,
            "digest": self.ids["digest"],
            "task_definition": self.client("ecs").describe_task_definition(taskDefinition=NAME)["taskDefinition"][
                "taskDefinitionArn"
            ],
            "clients": Clients(REGION, writes=False, session=self.session),
            "deployment": self.deployment,
            "base_url": base_url,
            "http": self._http,
        }
        return LiveTarget(**{**fields, **changes})


def ask(live: LiveTarget, name: str, window: Window | None = None, **limits: Any) -> GateResult:
    """The result of one gate, without a probe load."""
    gate = next(gate for gate in registry.GATES if gate.name == name)
    gates = Gates(**limits)
    return gate.run(live, Observation(live, gates, ProbeLoad(live, gates.canary_per_second), window))


def run_to_end(
    rounds: Generator[list[GateResult], None, Verdict], after: Callable[[list[GateResult]], None] = lambda _: None
) -> tuple[list[list[GateResult]], Verdict]:
    """The results of all rounds, and the verdict; `after` is called after each round."""
    observed: list[list[GateResult]] = []
    while True:
        try:
            results = next(rounds)
        except StopIteration as stop:
            return observed, stop.value
        observed.append(results)
        after(results)


class FixedLoad(ProbeLoad):
    """A probe load whose outcomes are given."""

    def __init__(self, live: LiveTarget, outcomes: list[Outcome], now: float) -> None:
        super().__init__(live, 1.0, clock=lambda: now)
        self._outcomes.extend(outcomes)
