"""Who asks, the cluster, and the service with its wiring and its deployments."""

from collections.abc import Iterator
from typing import Any

from deploy.findings.finding import Finding, fail, ok, warn
from deploy.verify.account.context import Account


def identity(account: Account) -> Iterator[Finding]:
    """The credentials are those of the plan's account."""
    found = account.ask("sts", "get_caller_identity")
    places = [("plan: account", account.plan.account), ("AWS: caller identity", found["Account"])]
    if found["Account"] != account.plan.account:
        yield fail(
            "ACCOUNT_WRONG",
            f"The credentials belong to account {found['Account']}, the plan is for {account.plan.account}.",
            *places,
            repair="Use credentials of the plan's account, or correct `account` in the plan.",
        )
    else:
        yield ok("ACCOUNT", f"The credentials belong to the plan's account, {found['Account']}.", *places)


def cluster(account: Account) -> Iterator[Finding]:
    """It is there and active."""
    name = account.plan.cluster
    found = account.ask("ecs", "describe_clusters", clusters=[name])["clusters"]
    if not found:
        yield fail(
            "CLUSTER_MISSING",
            f"There is no cluster {name} in {account.plan.region}.",
            ("plan: cluster", name),
            repair=f"Create the cluster {name}, or correct cluster or region in the plan.",
        )
    elif found[0]["status"] != "ACTIVE":
        yield fail(
            "CLUSTER_INACTIVE",
            f"The cluster {name} is {found[0]['status']}, not ACTIVE.",
            ("plan: cluster", name),
            ("ECS: status", found[0]["status"]),
            repair=f"Create the cluster {name} anew, or name another one in the plan.",
        )
    else:
        yield ok("CLUSTER", f"The cluster {name} is ACTIVE.", ("ECS: status", "ACTIVE"))


def live(account: Account) -> dict[str, Any] | None:
    """The service as it is now; None where it is still to be created."""
    if not account.ask("ecs", "describe_clusters", clusters=[account.plan.cluster])["clusters"]:
        return None
    found = account.ask("ecs", "describe_services", cluster=account.plan.cluster, services=[account.plan.service])[
        "services"
    ]
    return found[0] if found and found[0]["status"] != "INACTIVE" else None


def service(account: Account) -> Iterator[Finding]:
    """It is there, or will be created; its target group, container and port are the plan's and the contract's."""
    found, name = live(account), account.plan.service
    if found is None:
        yield ok("SERVICE", f"There is no service {name} yet: the rollout will create it.", ("plan: service", name))
        return
    wrong = list(_state(found, name))
    wired = {one.get("targetGroupArn"): one for one in found.get("loadBalancers", [])}
    planned = account.plan.load_balancer.target_group
    if planned not in wired:
        wrong.append(
            fail(
                "SERVICE_TARGET_GROUP",
                f"The service {name} is wired to {', '.join(filter(None, wired)) or 'no target group'}, "
                f"the plan says {planned}.",
                ("plan: load_balancer.target_group", planned),
                ("ECS: loadBalancers[].targetGroupArn", list(wired)),
                repair=f"Wire the service {name} to the plan's target group (update-service --load-balancers), "
                "or correct the plan.",
            )
        )
    else:
        wrong += _wiring(account, wired[planned])
    yield from wrong
    if not wrong:
        yield ok("SERVICE", f"The service {name} is ACTIVE and wired to the plan's target group.")


def _state(found: dict[str, Any], name: str) -> Iterator[Finding]:
    if found["status"] != "ACTIVE":
        yield fail(
            "SERVICE_DRAINING",
            f"The service {name} is {found['status']}: it is being deleted.",
            ("ECS: status", found["status"]),
            repair="Wait until it is INACTIVE; the rollout then creates it.",
        )
    controller = found.get("deploymentController", {}).get("type", "ECS")
    if controller != "ECS":
        yield fail(
            "SERVICE_CONTROLLER",
            f"The service {name} is deployed by {controller}; a rollout needs the controller ECS.",
            ("ECS: deploymentController.type", controller),
            repair=f"Create the service {name} anew with the deployment controller ECS.",
        )


def _wiring(account: Account, wired: dict[str, Any]) -> Iterator[Finding]:
    names = [one.get("name") for one in account.task_definition.get("containerDefinitions", [])]
    if wired.get("containerName") not in names:
        yield fail(
            "SERVICE_CONTAINER",
            f"The load balancer is wired to a container {wired.get('containerName')}, "
            f"the task definition has {', '.join(map(str, names))}.",
            ("task definition: containerDefinitions[].name", names),
            ("ECS: loadBalancers[].containerName", wired.get("containerName")),
            repair="Give the container that name, or update the service's load balancer to the container's name.",
        )
    if wired.get("containerPort") != account.contract.port:
        yield fail(
            "SERVICE_PORT",
            f"The load balancer is wired to port {wired.get('containerPort')}, "
            f"the image listens on {account.contract.port}.",
            ("image contract: port", account.contract.port),
            ("ECS: loadBalancers[].containerPort", wired.get("containerPort")),
            repair=f"Update the service's load balancer to containerPort {account.contract.port}.",
        )


def deployment(account: Account) -> Iterator[Finding]:
    """Nobody else's deployment is on its way."""
    found = live(account)
    if found is None:
        yield ok("DEPLOYMENT", "No deployment is in progress: there is no service yet.")
        return
    running = found.get("deployments", [])
    moving = [one for one in running if one.get("rolloutState", "COMPLETED") == "IN_PROGRESS"]
    states = {one["id"]: one.get("rolloutState", one["status"]) for one in running}
    if moving or len(running) > 1:
        yield fail(
            "DEPLOYMENT_RUNNING",
            f"The service {account.plan.service} has a deployment in progress: "
            + ", ".join(f"{name} {state}" for name, state in states.items())
            + ".",
            ("ECS: deployments[].rolloutState", states),
            repair="Wait until it is COMPLETED, or stop it, before starting another.",
        )
    elif any(state == "FAILED" for state in states.values()):
        yield warn(
            "DEPLOYMENT_FAILED",
            f"The last deployment of {account.plan.service} FAILED: {', '.join(states)}.",
            ("ECS: deployments[].rolloutState", states),
            repair="Look at the service's events for why, before the next rollout fails alike.",
        )
    else:
        yield ok("DEPLOYMENT", "No deployment is in progress.", ("ECS: deployments[].rolloutState", states))
