"""Checks of the caller's account, the cluster, the service with its load balancer and deployments, and the quota."""

import math
from collections.abc import Iterator
from typing import Any

from deploy.aws.errors import Absent, Denied, Refused
from deploy.findings.finding import Finding, fail, ok, skip, warn
from deploy.verify.account.context import Account

VCPU_QUOTA = "L-3032A538"  # Fargate On-Demand vCPU resource count
CPU_UNITS = 1024  # of one CPU


def identity(account: Account) -> Iterator[Finding]:
    """The credentials are those of the plan's account."""
    own = account.ask("sts", "get_caller_identity")["Account"]
    places = [("plan: account", account.plan.account), ("AWS: caller identity", own)]
    if own != account.plan.account:
        yield fail(
            "ACCOUNT_WRONG",
            f"The credentials belong to account {own}, but the plan is for {account.plan.account}.",
            *places,
            repair="Use credentials of the plan's account, or correct `account` in the plan.",
        )
    else:
        yield ok("ACCOUNT", f"The credentials belong to the plan's account, {own}.", *places)


def cluster(account: Account) -> Iterator[Finding]:
    """It exists and is active."""
    name = account.plan.cluster
    clusters = account.ask("ecs", "describe_clusters", clusters=[name])["clusters"]
    if not clusters:
        yield fail(
            "CLUSTER_MISSING",
            f"There is no cluster {name} in {account.plan.region}.",
            ("plan: cluster", name),
            repair=f"Create the cluster {name}, or correct cluster or region in the plan.",
        )
    elif (status := clusters[0]["status"]) != "ACTIVE":
        yield fail(
            "CLUSTER_INACTIVE",
            f"The cluster {name} is {status}, not ACTIVE.",
            ("plan: cluster", name),
            ("ECS: status", status),
            repair=f"Create the cluster {name} again, or name another one in the plan.",
        )
    else:
        yield ok("CLUSTER", f"The cluster {name} is ACTIVE.", ("ECS: status", "ACTIVE"))


def running_service(account: Account) -> dict[str, Any] | None:
    """The service as it is now; None where it does not exist yet."""
    if not account.ask("ecs", "describe_clusters", clusters=[account.plan.cluster])["clusters"]:
        return None
    services = account.ask("ecs", "describe_services", cluster=account.plan.cluster, services=[account.plan.service])[
        "services"
    ]
    return services[0] if services and services[0]["status"] != "INACTIVE" else None


def service(account: Account) -> Iterator[Finding]:
    """It does not exist yet, or has the plan's target group, a container that exists, and the contract's port."""
    live, name = running_service(account), account.plan.service
    if live is None:
        yield ok(
            "SERVICE", f"The service {name} does not exist yet: the rollout will create it.", ("plan: service", name)
        )
        return
    problems = list(_state(live, name))
    attached = {entry.get("targetGroupArn"): entry for entry in live.get("loadBalancers", [])}
    planned = account.plan.load_balancer.target_group
    if planned not in attached:
        problems.append(
            fail(
                "SERVICE_TARGET_GROUP",
                f"The service {name} uses {', '.join(filter(None, attached)) or 'no target group'}, "
                f"but the plan says {planned}.",
                ("plan: load_balancer.target_group", planned),
                ("ECS: loadBalancers[].targetGroupArn", list(attached)),
                repair=f"Give the service {name} the plan's target group (update-service --load-balancers), "
                "or correct the plan.",
            )
        )
    else:
        problems += _attachment(account, attached[planned])
    yield from problems
    if not problems:
        yield ok("SERVICE", f"The service {name} is ACTIVE and uses the plan's target group.")


def _state(live: dict[str, Any], name: str) -> Iterator[Finding]:
    if live["status"] != "ACTIVE":
        yield fail(
            "SERVICE_DRAINING",
            f"The service {name} is {live['status']}: it is being deleted.",
            ("ECS: status", live["status"]),
            repair="Wait until it is INACTIVE; then the rollout creates it.",
        )
    controller = live.get("deploymentController", {}).get("type", "ECS")
    if controller != "ECS":
        yield fail(
            "SERVICE_CONTROLLER",
            f"The service {name} has the deployment controller {controller}; a rollout needs ECS.",
            ("ECS: deploymentController.type", controller),
            repair=f"Create the service {name} again with the deployment controller ECS.",
        )


def _attachment(account: Account, attached: dict[str, Any]) -> Iterator[Finding]:
    names = [container.get("name") for container in account.task_definition.get("containerDefinitions", [])]
    if attached.get("containerName") not in names:
        yield fail(
            "SERVICE_CONTAINER",
            f"The service's load balancer names the container {attached.get('containerName')}, "
            f"but the task definition has {', '.join(map(str, names))}.",
            ("task definition: containerDefinitions[].name", names),
            ("ECS: loadBalancers[].containerName", attached.get("containerName")),
            repair="Give the container that name, or update the service's load balancer to the container's name.",
        )
    if attached.get("containerPort") != account.contract.port:
        yield fail(
            "SERVICE_PORT",
            f"The service's load balancer names port {attached.get('containerPort')}, "
            f"but the image listens on {account.contract.port}.",
            ("image contract: port", account.contract.port),
            ("ECS: loadBalancers[].containerPort", attached.get("containerPort")),
            repair=f"Update the service's load balancer to containerPort {account.contract.port}.",
        )


def deployment(account: Account) -> Iterator[Finding]:
    """No other deployment is in progress."""
    live = running_service(account)
    if live is None:
        yield ok("DEPLOYMENT", "No deployment is in progress: the service does not exist yet.")
        return
    deployments = live.get("deployments", [])
    states = {each["id"]: each.get("rolloutState", each["status"]) for each in deployments}
    if len(deployments) > 1 or any(each.get("rolloutState") == "IN_PROGRESS" for each in deployments):
        yield fail(
            "DEPLOYMENT_RUNNING",
            f"The service {account.plan.service} has a deployment in progress: "
            + ", ".join(f"{name} {state}" for name, state in states.items())
            + ".",
            ("ECS: deployments[].rolloutState", states),
            repair="Wait until it is COMPLETED, or stop it, before you start another.",
        )
    elif any(state == "FAILED" for state in states.values()):
        yield warn(
            "DEPLOYMENT_FAILED",
            f"The last deployment of {account.plan.service} FAILED: {', '.join(states)}.",
            ("ECS: deployments[].rolloutState", states),
            repair="Read the service's events and remove the cause, or the next rollout fails too.",
        )
    else:
        yield ok("DEPLOYMENT", "No deployment is in progress.", ("ECS: deployments[].rolloutState", states))


def quota(account: Account) -> Iterator[Finding]:
    """The account may run enough CPUs on Fargate; what else runs there is not counted."""
    size = account.plan.size
    needed = math.ceil(2 * max(size.tasks, size.most_tasks) * size.cpu / CPU_UNITS)
    try:
        answer = account.ask("service-quotas", "get_service_quota", ServiceCode="fargate", QuotaCode=VCPU_QUOTA)
    except (Absent, Denied, Refused) as error:
        yield skip("QUOTA", f"The quota of Fargate CPUs could not be read: {error}")
        return
    quota = answer["Quota"]["Value"]
    places = [("Service Quotas: Fargate On-Demand vCPU", quota), ("plan: size, twice during a deployment", needed)]
    if quota < needed:
        yield fail(
            "QUOTA_CPUS",
            f"The account may run {quota:g} CPUs on Fargate; {size.most_tasks} tasks need {needed} during a "
            "deployment.",
            *places,
            repair=f"Request a higher quota ({VCPU_QUOTA} of fargate), or lower size.most_tasks.",
        )
    else:
        yield ok("QUOTA", f"The account may run {quota:g} CPUs on Fargate; at most {needed} are needed.", *places)
