"""ECS's operations on services, deployments and tasks; task definitions and clusters are moto's."""

import math
from collections.abc import Callable
from threading import RLock
from typing import Any

from botocore.exceptions import ClientError

from tests.fake_ecs import described
from tests.fake_ecs.account import CLUSTER, CLUSTER_ARN
from tests.fake_ecs.errors import (
    ClusterNotFound,
    Conflict,
    InvalidParameter,
    Refused,
    ServiceDeploymentNotFound,
    ServiceNotActive,
    ServiceNotFound,
)
from tests.fake_ecs.scheduler import fail, roll_back, tick
from tests.fake_ecs.service import (
    Release,
    Revision,
    Service,
    configured,
)
from tests.fake_ecs.task import Ground, Task
from tests.fake_ecs.wiring import checked

Asked = dict[str, Any]


class Ecs:
    """The control plane of ECS.

    Attributes:
        operations: those that are answered here, by name; moto has the others.
    """

    def __init__(self, ground: Ground) -> None:
        self.ground, self.lock = ground, RLock()
        self.services: dict[str, Service] = {}
        self.operations: dict[str, Callable[[Asked], Asked]] = {
            "CreateService": self.create_service,
            "UpdateService": self.update_service,
            "DeleteService": self.delete_service,
            "DescribeServices": self.describe_services,
            "ListServices": self.list_services,
            "ListTasks": self.list_tasks,
            "DescribeTasks": self.describe_tasks,
            "StopTask": self.stop_task,
            "ListServiceDeployments": self.list_service_deployments,
            "DescribeServiceDeployments": self.describe_service_deployments,
            "DescribeServiceRevisions": self.describe_service_revisions,
            "StopServiceDeployment": self.stop_service_deployment,
        }

    def tick(self) -> None:
        """Run the scheduler for every service."""
        with self.lock:
            for service in self.services.values():
                tick(service, self.ground)

    @property
    def tasks(self) -> list[Task]:
        """The tasks of all services."""
        return [task for service in self.services.values() for task in service.tasks]

    def create_service(self, asked: Asked) -> Asked:
        self._cluster(asked)
        name = asked["serviceName"]
        with self.lock:
            known = self.services.get(name)
            if known and known.status == "ACTIVE":
                if "clientToken" in asked and asked["clientToken"] == known.asked.get("clientToken"):
                    return {"service": described.whole_service(known)}
                raise InvalidParameter("Creation of service was not idempotent.")
            if known and known.status == "DRAINING":
                raise InvalidParameter("Unable to Start a service that is still Draining.")
            definition = self._definition(asked["taskDefinition"])
            network, balancers = asked.get("networkConfiguration", {}), asked.get("loadBalancers", [])
            checked(self.ground.account, definition, network, balancers, asked.get("healthCheckGracePeriodSeconds"))
            service = Service(name, asked)
            service.deploy(service.revise(definition, network, balancers))
            self.services[name] = service
            self._mirror(asked)
            return {"service": described.whole_service(service)}

    def update_service(self, asked: Asked) -> Asked:
        self._cluster(asked)
        with self.lock:
            service = self._service(asked["service"])
            if service.status != "ACTIVE":
                raise ServiceNotActive("Service was not ACTIVE.")
            current = service.primary.revision
            definition = self._definition(asked["taskDefinition"]) if "taskDefinition" in asked else current.definition
            network = asked.get("networkConfiguration", current.network)
            balancers = asked.get("loadBalancers", current.load_balancers)
            grace = asked.get("healthCheckGracePeriodSeconds", service.grace or None)
            checked(self.ground.account, definition, network, balancers, grace)
            service.grace = int(grace or 0)
            configured(service, asked.get("deploymentConfiguration", {}))
            if "desiredCount" in asked:
                service.desired = service.primary.desired = int(asked["desiredCount"])
                service.steady = False
            service.asked |= {name: asked[name] for name in ("propagateTags", "enableExecuteCommand") if name in asked}
            arn = "taskDefinitionArn"
            changed = definition[arn] != current.definition[arn] or network != current.network
            if changed or balancers != current.load_balancers or asked.get("forceNewDeployment"):
                service.deploy(service.revise(definition, network, balancers))
            return {"service": described.whole_service(service)}

    def delete_service(self, asked: Asked) -> Asked:
        self._cluster(asked)
        with self.lock:
            service = self._service(asked["service"])
            if service.desired and not asked.get("force"):
                raise InvalidParameter("The service cannot be stopped while it is scaled above 0.")
            service.desired, service.status = 0, "DRAINING"
            self.ground.account.ask("ecs", "delete_service", cluster=CLUSTER, service=service.name, force=True)
            return {"service": described.whole_service(service)}

    def describe_services(self, asked: Asked) -> Asked:
        self._cluster(asked)
        with self.lock:
            result, failures = [], []
            for expected in asked["services"]:
                service = self.services.get(expected.rpartition("/")[2])
                if service is None:
                    arn = f"{CLUSTER_ARN.replace(':cluster/', ':service/')}/{expected.rpartition('/')[2]}"
                    failures.append({"arn": arn, "reason": "MISSING"})
                else:
                    output = described.whole_service(service)
                    if "TAGS" not in asked.get("include", []):
                        del output["tags"]
                    result.append(output)
            return {"services": result, "failures": failures}

    def list_services(self, asked: Asked) -> Asked:
        self._cluster(asked)
        return {"serviceArns": [service.arn for service in self.services.values() if service.status == "ACTIVE"]}

    def list_tasks(self, asked: Asked) -> Asked:
        self._cluster(asked)
        with self.lock:
            result = self.tasks
            if "serviceName" in asked:
                result = self._service(asked["serviceName"]).tasks
            if "startedBy" in asked:
                result = [item for item in result if item.started_by == asked["startedBy"]]
            if "family" in asked:
                result = [item for item in result if item.definition["family"] == asked["family"]]
            desired = asked.get("desiredStatus", "RUNNING")
            return {"taskArns": [item.arn for item in result if item.desired == desired]}

    def describe_tasks(self, asked: Asked) -> Asked:
        self._cluster(asked)
        with self.lock:
            known = {key: task for task in self.tasks for key in (task.id, task.arn)}
            result = [known[expected] for expected in asked["tasks"] if expected in known]
            missing = [expected for expected in asked["tasks"] if expected not in known]
            return {
                "tasks": [described.task(item) for item in result],
                "failures": [{"arn": item, "reason": "MISSING"} for item in missing],
            }

    def stop_task(self, asked: Asked) -> Asked:
        self._cluster(asked)
        with self.lock:
            for task in self.tasks:
                if asked["task"] in (task.id, task.arn):
                    task.stop(asked.get("reason", "Task stopped by user"), "UserInitiated")
                    return {"task": described.task(task)}
        raise InvalidParameter("The referenced task was not found.")

    def list_service_deployments(self, asked: Asked) -> Asked:
        self._cluster(asked)
        with self.lock:
            service = self._service(asked["service"])
            expected, times = asked.get("status"), asked.get("createdAt", {})
            result = [
                release
                for release in service.releases
                if (not expected or release.status in expected)
                and times.get("after", 0) <= release.created.timestamp() <= times.get("before", math.inf)
            ]
            brief = []
            for item in result:
                output = described.release(service, item)
                output["targetServiceRevisionArn"] = item.target.arn
                names = (
                    "serviceDeploymentArn", "serviceArn", "clusterArn", "startedAt", "createdAt", "finishedAt",
                    "targetServiceRevisionArn", "status", "statusReason",
                )  # fmt: skip
                brief.append({name: output[name] for name in names if name in output})
            return {"serviceDeployments": brief}

    def describe_service_deployments(self, asked: Asked) -> Asked:
        with self.lock:
            result, failures = [], []
            for arn in asked["serviceDeploymentArns"]:
                try:
                    service, release = self._release(arn)
                    result.append(described.release(service, release))
                except ServiceDeploymentNotFound:
                    failures.append({"arn": arn, "reason": "MISSING"})
            return {"serviceDeployments": result, "failures": failures}

    def describe_service_revisions(self, asked: Asked) -> Asked:
        with self.lock:
            known: dict[str, tuple[Service, Revision]] = {
                revision.arn: (service, revision)
                for service in self.services.values()
                for revision in service.revisions
            }
            expected = asked["serviceRevisionArns"]
            return {
                "serviceRevisions": [described.revision(*known[arn]) for arn in expected if arn in known],
                "failures": [{"arn": arn, "reason": "MISSING"} for arn in expected if arn not in known],
            }

    def stop_service_deployment(self, asked: Asked) -> Asked:
        with self.lock:
            service, release = self._release(asked["serviceDeploymentArn"])
            if release.over or release.status != "IN_PROGRESS":
                raise Conflict(f"The service deployment is {release.status} and cannot be stopped.")
            if asked.get("stopType", "ROLLBACK") == "ABORT":
                reason = "The service deployment was stopped by a request."
                fail(service, release, "stopped by a request", "ECS deployment stopped.", reason, back=False)
            elif service.last_completed is None:
                raise Conflict("There is no completed service deployment to roll back to.")
            else:
                service.primary.become("FAILED", "ECS deployment stopped: rollback requested.")
                reason = "Service deployment rolled back because of a user-initiated request."
                roll_back(service, release, "ECS deployment stopped", reason)
            return {"serviceDeploymentArn": release.arn}

    def _cluster(self, asked: Asked) -> None:
        if asked.get("cluster", "default").rpartition("/")[2] != CLUSTER:
            raise ClusterNotFound("Cluster not found.")

    def _service(self, name: str) -> Service:
        result = self.services.get(name.rpartition("/")[2])
        if result is None or result.status == "INACTIVE":
            raise ServiceNotFound("Service not found.")
        return result

    def _release(self, arn: str) -> tuple[Service, Release]:
        for service in self.services.values():
            for release in service.releases:
                if release.arn == arn:
                    return service, release
        raise ServiceDeploymentNotFound("Service deployment not found.")

    def _definition(self, name: str) -> Asked:
        try:
            result = self.ground.account.ask("ecs", "describe_task_definition", taskDefinition=name)
        except ClientError:
            raise Refused("Unable to describe task definition.") from None
        definition: Asked = result["taskDefinition"]
        if definition.get("status") == "INACTIVE":
            raise Refused("TaskDefinition is inactive")
        return definition

    def _mirror(self, asked: Asked) -> None:
        """Create the service in moto too: its autoscaling refuses a service that it does not know."""
        self.ground.account.ask(
            "ecs",
            "create_service",
            cluster=CLUSTER,
            serviceName=asked["serviceName"],
            taskDefinition=asked["taskDefinition"],
            desiredCount=0,
            tags=asked.get("tags", []),
        )
