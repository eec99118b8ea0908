"""A live system to ask gates of: an account in moto in which the wanted tasks run, and a service that answers."""

from pathlib import Path
from typing import Any

import httpx

from bentos.skin.contract import contract
from bentos.skin.settings import Phase
from deploy.aws.clients import Clients
from deploy.config.image_contract import own
from deploy.config.plan import Gates
from deploy.gates import registry as table
from deploy.gates.observation import Observation, Window
from deploy.gates.probe_load import Outcome, ProbeLoad
from deploy.gates.result import GateResult
from deploy.gates.target import LiveTarget
from tests.deploy.aws import NAME, REGION, Good

CLUSTER = "shine-ml-cluster"
OTHER = f"sha256:{'9' * 64}"
NOWHERE = "http://127.0.0.1:9"  # where nobody listens
CONTRACT = contract()
WINDOW = Window(began=0.0, ends=1e12, wanted=2, running=frozenset(), stopped=frozenset())


class Rolled(Good):
    """The good account after a deployment: two tasks run, each of them a healthy target.

    Attributes:
        told: changes of tasks on their way to who asks, by ARN; what moto cannot be brought to say.
        tasks: ARNs of the two.
    """

    def __init__(self, bundle: Path) -> None:
        super().__init__(bundle, own())
        # Without it moto cannot tell of an interface's name, and runs no task.
        self.client("ec2").modify_vpc_attribute(VpcId=self.ids["vpc"], EnableDnsHostnames={"Value": True})
        self.told: dict[str, dict[str, Any]] = {}
        self._http = httpx.Client(timeout=30)
        self.stand_in("ecs", "DescribeTasks", self._tell)
        self._started = [self.start() for _ in range(2)]
        self.tasks = list(self._started)

    def restore(self) -> None:
        super().restore()
        self.told, self.tasks = {}, list(self._started)
        self.stand_in("ecs", "DescribeTasks", self._tell)

    def _tell(self, answer: dict[str, Any]) -> None:
        for task in answer.get("tasks", []):
            if task["desiredStatus"] == "RUNNING":
                task["lastStatus"] = "RUNNING"  # moto's age with each question
            task.update(self.told.get(task["taskArn"], {}))

    @property
    def deployment(self) -> str:
        """ECS's id of it."""
        ecs = self.client("ecs")
        service = ecs.describe_services(cluster=CLUSTER, services=[NAME])["services"][0]
        return str(service["deployments"][0]["id"])

    def start(self, started_by: str | None = None, register: bool = True) -> str:
        """One more task; its ARN."""
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
            details = {one["name"]: one["value"] for one in task["attachments"][0]["details"]}
            self.register(details["privateIPv4Address"])
        return str(task["taskArn"])

    def register(self, address: str) -> None:
        """A target."""
        self.client("elbv2").register_targets(
            TargetGroupArn=self.plan.load_balancer.target_group, Targets=[{"Id": address, "Port": 5000}]
        )

    def close(self) -> None:
        """Let go of the service."""
        self._http.close()

    def stop(self, task: str, reason: str = "Essential container in task exited") -> None:
        """Stop a task."""
        self.client("ecs").stop_task(cluster=CLUSTER, task=task, reason=reason)

    def tells(self, task: str, **changes: Any) -> None:
        """Have ECS tell something else of a task."""
        self.told.setdefault(task, {}).update(changes)

    def runs(self, task: str, digest: str | None, image: str | None = None) -> None:
        """Have ECS tell that a task runs another image."""
        container = {"name": "shine", "image": image or "shine:latest"}
        self.tells(task, containers=[{**container, **({"imageDigest": digest} if digest else {})}])

    def live(self, phase: Phase, base_url: str = NOWHERE, **changes: Any) -> LiveTarget:
        """It, to be asked."""
        told = {
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
        return LiveTarget(**{**told, **changes})


def ask(live: LiveTarget, name: str, window: Window | None = None, **limits: Any) -> GateResult:
    """The result of one gate, without a canary."""
    gate = next(one for one in table.GATES if one.name == name)
    wanted = Gates(**limits)
    return gate.ask(live, Observation(live, wanted, ProbeLoad(live, wanted.canary_per_second), window))


class Told(ProbeLoad):
    """A canary whose outcomes are made up."""

    def __init__(self, live: LiveTarget, outcomes: list[Outcome], now: float) -> None:
        super().__init__(live, 1.0, clock=lambda: now)
        self._outcomes.extend(outcomes)
