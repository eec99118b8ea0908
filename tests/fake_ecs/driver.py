"""Registers, creates, updates and waits as a person does with the AWS command line; for tests that need a service."""

import time
from collections.abc import Callable
from typing import Any

import httpx

from bentos.skin.settings import Phase
from deploy.config import image_contract as contract
from deploy.taskdef import render
from tests.fake_ecs.fake_ecs import FakeEcs

WITHIN_S = 90.0
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


class Driver:
    """Calls a fake ECS by boto3, with the names of the plan."""

    def __init__(self, fake_ecs: FakeEcs) -> None:
        self.fake_ecs, self.ecs = fake_ecs, fake_ecs.client("ecs")
        self.names = {"cluster": fake_ecs.plan.cluster, "service": fake_ecs.plan.service}

    def definition(self, image: str, phase: Phase = "simple") -> dict[str, Any]:
        """The plan's task definition for an image of the catalogue, or for a digest."""
        digest = self.fake_ecs.digests.get(image, image)
        reference = render.image_reference(self.fake_ecs.plan, digest)
        return render.render(self.fake_ecs.plan, contract.builtin(), reference, phase)

    def register(self, image: str, phase: Phase = "simple", **container: Any) -> str:
        """Register it, with changes to its container; returns the ARN."""
        made = self.definition(image, phase)
        made["containerDefinitions"][0] |= container
        arn: str = self.ecs.register_task_definition(**made)["taskDefinition"]["taskDefinitionArn"]
        return arn

    def create(self, definition: str, **changes: Any) -> dict[str, Any]:
        """Create the plan's service; returns it as described."""
        plan = self.fake_ecs.plan
        container = self.ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
        name = container["containerDefinitions"][0]["name"]
        wired = {"targetGroupArn": plan.load_balancer.target_group, "containerName": name, "containerPort": 5000}
        asked = {
            "cluster": plan.cluster,
            "serviceName": plan.service,
            "taskDefinition": definition,
            "desiredCount": plan.size.tasks,
            "launchType": "FARGATE",
            "loadBalancers": [wired],
            "networkConfiguration": self.network(),
            "healthCheckGracePeriodSeconds": plan.health.grace,
            "deploymentConfiguration": BREAKER,
            **changes,
        }
        made: dict[str, Any] = self.ecs.create_service(**asked)["service"]
        return made

    def network(self, subnets: list[str] | None = None) -> dict[str, Any]:
        """The network configuration of the plan, or with other subnets."""
        plan = self.fake_ecs.plan
        expected = {"subnets": subnets or plan.network.subnets, "securityGroups": plan.network.security_groups}
        return {"awsvpcConfiguration": {**expected, "assignPublicIp": "DISABLED"}}

    def update(self, definition: str | None = None, **changes: Any) -> str:
        """Update the service; returns the id of its primary deployment."""
        asked = {**self.names, **changes}
        if definition is not None:
            asked["taskDefinition"] = definition
        deployment: str = self.ecs.update_service(**asked)["service"]["deployments"][0]["id"]
        return deployment

    def service(self) -> dict[str, Any]:
        """The service as in DescribeServices."""
        result = self.ecs.describe_services(cluster=self.names["cluster"], services=[self.names["service"]])
        output: dict[str, Any] = result["services"][0]
        return output

    def events(self) -> list[str]:
        """Messages of the events, oldest first, without the service's name."""
        begin = len(f"(service {self.names['service']}) ")
        return [event["message"][begin:] for event in reversed(self.service()["events"])]

    def tasks(self, status: str = "RUNNING") -> list[dict[str, Any]]:
        """The tasks as in DescribeTasks, oldest first."""
        asked = {"cluster": self.names["cluster"], "serviceName": self.names["service"], "desiredStatus": status}
        arns = self.ecs.list_tasks(**asked)["taskArns"]
        if not arns:
            return []
        result: list[dict[str, Any]] = self.ecs.describe_tasks(cluster=self.names["cluster"], tasks=arns)["tasks"]
        return result

    def releases(self) -> list[dict[str, Any]]:
        """Described service deployments, newest first."""
        listed = self.ecs.list_service_deployments(**self.names)["serviceDeployments"]
        arns = [item["serviceDeploymentArn"] for item in listed]
        answer = self.ecs.describe_service_deployments(serviceDeploymentArns=arns)
        result: list[dict[str, Any]] = answer["serviceDeployments"]
        return result

    def health(self) -> list[tuple[str, str | None, str | None]]:
        """State, reason and description of each target."""
        group = self.fake_ecs.plan.load_balancer.target_group
        result = self.fake_ecs.client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        output = [item["TargetHealth"] for item in result]
        return [(item["State"], item.get("Reason"), item.get("Description")) for item in output]

    def until(self, holds: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
        """Wait until a condition is true; returns its value.

        Raises:
            AssertionError: it did not in time; with what is so.
        """
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            if result := holds():
                return result
            time.sleep(0.1)
        raise AssertionError(f"{holds} did not hold within {within_s} s: {self.fake_ecs.summary()}")

    def settled(self, deployment: str | None = None) -> dict[str, Any]:
        """Wait until there is only one deployment, and it is not in progress; returns the service.

        Args:
            deployment: id that it must have.
        """

        def alone() -> dict[str, Any] | None:
            result = self.service()
            first = result["deployments"][0]
            over = len(result["deployments"]) == 1 and first["rolloutState"] != "IN_PROGRESS"
            return result if over and deployment in (None, first["id"]) else None

        result: dict[str, Any] = self.until(alone)
        return result


def photo(url: str, **headers: str) -> httpx.Response:
    """Send a request to a stub; headers tell it how to behave."""
    return httpx.post(url, content=b"a photo", headers=headers, timeout=20)
