"""ECS's service scheduler: starts, replaces and stops tasks, completes deployments, fails them and rolls back."""

import math
from typing import Any

from botocore.exceptions import ClientError

from tests.fake_ecs.clock import monotonic, now
from tests.fake_ecs.service import Deployment, Release, Service
from tests.fake_ecs.task import Ground, Task

TASKS_FAILED = "tasks failed to start"
ALARM = "alarm detected"
NOWHERE = "No rollback candidate was found to run the rollback."
HARD = 3  # failures in a row after which ECS says that it cannot start tasks consistently


def tick(service: Service, ground: Ground) -> None:
    """Look once, and do what is due. The caller holds the fake ECS's lock."""
    if service.status == "INACTIVE":
        return
    _registered(service)
    for task in service.tasks:
        if task.status == "STOPPED" and not task.counted:
            task.counted = True
            _ended(service, task, ground)
    _replace_ailing(service, ground)
    _judge(service, ground)
    _stop_surplus(service)
    _start_missing(service, ground)
    _complete(service, ground)
    if service.status == "DRAINING" and not any(item.status != "STOPPED" for item in service.tasks):
        service.status = "INACTIVE"


def _registered(service: Service) -> None:
    """Tell of targets that were registered since."""
    fresh = [item for item in service.tasks if item.targets and not item.registered]
    for task in fresh:
        task.registered = True
    if fresh:
        group = fresh[0].targets[0].group
        service.event(f"registered {len(fresh)} targets in (target-group {group})")


def _deployment_of(service: Service, task: Task) -> Deployment:
    return next(deployment for deployment in service.deployments if deployment.id == task.deployment)


def _ended(service: Service, task: Task, ground: Ground) -> None:
    """A task has ended: was it its own fault?"""
    if task.ordered:
        return
    if task.targets:
        service.event(f"deregistered {len(task.targets)} targets in (target-group {task.targets[0].group})")
    _failed(service, _deployment_of(service, task), ground)


def _failed(service: Service, deployment: Deployment, ground: Ground, health: bool = False) -> None:
    service.steady = False
    service.struggling += 1
    deployment.held_until = service.backoff(service.struggling, ground.clock.scale)
    if service.struggling == HARD:
        service.event(
            "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section "
            "of the Amazon ECS Developer Guide."
        )
    if deployment.rollout != "IN_PROGRESS" or (deployment.settled and not health):
        return  # once one was well, only health checks count
    deployment.failed += 1
    release = service.release
    if release and release.deployment == deployment.id:
        release.failures += 1


def _replace_ailing(service: Service, ground: Ground) -> None:
    """Tasks that fail their checks, once the grace period is over."""
    for task in service.tasks:
        reason = task.ailing
        if reason is None:
            task.told = False
            continue
        target = next((item for item in task.targets if item.state == "unhealthy"), None)
        if target is not None and not task.told:
            service.event(
                f"(port {target.port}) is unhealthy in (target-group {target.group}) "
                f"due to (reason {target.description})."
            )
            task.told = True
        if not task.grown(service.grace):
            continue
        if "container" in reason:
            service.event(f"(task {task.id}) failed container health checks.")
        task.stop(reason, "ServiceSchedulerInitiated")
        service.event(f"has stopped 1 running tasks: (task {task.id}).")
        _draining(service, [task])
        service.replaced += 1
        _failed(service, _deployment_of(service, task), ground, health=True)


def _judge(service: Service, ground: Ground) -> None:
    """Circuit breaker and alarms, of a deployment that is under way."""
    primary, release = service.primary, service.release
    if release is None or primary.rollout != "IN_PROGRESS" or release.deployment != primary.id:
        return
    breaker = service.configured_breaker
    if breaker["enable"] and primary.failed >= release.threshold:
        release.breaker = "TRIGGERED"
        fail(
            service,
            release,
            TASKS_FAILED,
            "ECS deployment circuit breaker: tasks failed to start.",
            "Service deployment rolled back because the circuit breaker threshold was exceeded.",
            back=bool(breaker["rollback"]),
        )
        return
    alarms = service.configuration.get("alarms", {})
    if not alarms.get("enable") or service.last_completed is None or release.over:
        return
    if ringing := _ringing(ground, alarms.get("alarmNames", [])):
        release.alarms, release.triggered = "TRIGGERED", ringing
        fail(
            service,
            release,
            ALARM,
            "ECS deployment alarms: alarm detected.",
            f"Service deployment rolled back because of alarm(s) detected: {', '.join(ringing)}.",
            back=bool(alarms.get("rollback")),
        )


def _ringing(ground: Ground, names: list[str]) -> list[str]:
    try:
        result = ground.account.ask("cloudwatch", "describe_alarms", AlarmNames=names)["MetricAlarms"]
    except ClientError:
        return []
    return [item["AlarmName"] for item in result if item["StateValue"] == "ALARM"]


def fail(service: Service, release: Release, event: str, reason: str, status_reason: str, back: bool) -> None:
    """The primary deployment has failed; back to the last completed one where that is wanted and there is one."""
    failed = service.primary
    failed.become("FAILED", reason)
    failed.halted = True
    pending = [item for item in service.of(failed) if item.status in ("PROVISIONING", "PENDING", "ACTIVATING")]
    for task in pending:
        task.stop(f"Task stopped by (deployment {failed.id})", "ServiceSchedulerInitiated")
    if pending:
        service.event(f"stopped {len(pending)} pending tasks.")
    service.event(f"(deployment {failed.id}) deployment failed: {event}.")
    if not back:
        release.become("STOPPED", status_reason.replace("rolled back", "failed"))
        release.stopped = now()
        return
    roll_back(service, release, reason.partition(":")[0], status_reason)


def roll_back(service: Service, release: Release, whose: str, status_reason: str) -> None:
    """Go back to the last completed deployment, as a part of the same service deployment.

    It becomes the primary one again, under its own id, and takes its tasks along; or a new deployment of its revision
    begins, with tasks of its own, where `new_rollback_id` says so.
    """
    target = service.last_completed
    if target is None:
        release.become("ROLLBACK_FAILED", NOWHERE)
        release.finished = now()
        return
    service.primary.status, service.primary.halted = "ACTIVE", True
    if service.new_rollback_id:
        target = service.begin(target.revision)
    else:
        service.deployments.remove(target)
        service.deployments.insert(0, target)
        target.status, target.failed, target.halted, target.held_until = "PRIMARY", 0, False, 0.0
        target.desired, target.bake_from = service.desired, None
    target.become("IN_PROGRESS", f"{whose}: rolling back to deploymentId {target.id}.")
    service.event(f"rolling back to deployment {target.id}.")
    release.become("ROLLBACK_IN_PROGRESS", status_reason)
    release.rollback = {
        "reason": status_reason,
        "startedAt": now(),
        "serviceRevisionArn": target.revision.arn,
    }
    service.steady, service.struggling = False, 0


def _stop_surplus(service: Service) -> None:
    """Tasks of older deployments as new ones get well, and what is more than desired."""
    primary = service.primary
    own = service.of(primary)
    spare = len(own) - service.desired
    if spare > 0:
        own.sort(key=lambda one: one.healthy)
        _stop(service, own[:spare], f"Scaling activity initiated by (deployment {primary.id})")
    old = [item for other in service.deployments[1:] for item in service.of(other)]
    unwell = [item for item in old if not item.healthy]
    well = [item for item in old if item.healthy]
    least = math.ceil(service.desired * service.configuration["minimumHealthyPercent"] / 100)
    free = sum(item.healthy for item in own) + len(well) - least
    # Tasks of a deployment that nothing was wrong with are needed until others stand in for them.
    giving = [item for item in unwell if _deployment_of(service, item).rollout != "COMPLETED" or service.desired == 0]
    _stop(service, giving + well[: max(0, free)], f"Scaling activity initiated by (deployment {primary.id})")


def _stop(service: Service, tasks: list[Task], reason: str) -> None:
    if not tasks:
        return
    running = [item for item in tasks if item.status == "RUNNING"]
    for task in tasks:
        task.stop(reason, "ServiceSchedulerInitiated")
    if running:
        output = " ".join(f"(task {item.id})" for item in running)
        service.event(f"has stopped {len(running)} running tasks: {output}.")
        _draining(service, running)
    service.steady = False


def _draining(service: Service, tasks: list[Task]) -> None:
    targets = [target for task in tasks for target in task.targets]
    if targets:
        service.event(f"deregistered {len(targets)} targets in (target-group {targets[0].group})")
        service.event(f"has begun draining connections on {len(tasks)} tasks.")


def _start_missing(service: Service, ground: Ground) -> None:
    primary = service.primary
    if service.status != "ACTIVE" or primary.halted or monotonic() < primary.held_until:
        return
    most = math.floor(service.desired * service.configuration["maximumPercent"] / 100)
    alive = sum(item.desired == "RUNNING" for item in service.tasks)
    number = min(service.desired - len(service.of(primary)), most - alive)
    if number <= 0:
        return
    revision = primary.revision
    made = [
        Task(
            ground,
            service.name,
            primary.id,
            revision.definition,
            {"networkConfiguration": revision.network, "loadBalancers": revision.load_balancers},
        )
        for _ in range(number)
    ]
    service.tasks += made
    service.steady = False
    for task in made:
        task.start()
    output = " ".join(f"(task {item.id})" for item in made)
    replaced, service.replaced = min(service.replaced, number), 0
    why = f" Amazon ECS replaced {replaced} tasks due to an unhealthy status." if replaced else ""
    service.event(f"has started {number} tasks: {output}.{why}")


def _complete(service: Service, ground: Ground) -> None:
    primary = service.primary
    well = [item for item in service.of(primary) if item.healthy]
    if well and not primary.settled:
        primary.settled, primary.failed = True, 0
    others = any(service.left(deployment) for deployment in service.deployments[1:])
    leaving = any(item.desired == "STOPPED" for item in service.left(primary))
    if len(well) != service.desired or others or leaving:
        return
    service.struggling = 0
    if primary.rollout == "IN_PROGRESS" and not primary.halted and not _baking(service, primary, ground):
        primary.become("COMPLETED", f"ECS deployment {primary.id} completed.")
        primary.desired = service.desired
        service.last_completed = primary
        service.event(f"(deployment {primary.id}) deployment completed.")
        _finish(service)
    if not service.steady and primary.rollout == "COMPLETED":
        service.steady = True
        service.event("has reached a steady state.")


def _baking(service: Service, primary: Deployment, ground: Ground) -> bool:
    """Whether alarms are still watched, after all is done: for the bake time, where alarms are configured."""
    if not service.configuration.get("alarms", {}).get("enable") or service.last_completed in (None, primary):
        return False
    if service.release is not None and service.release.rollback is not None:
        return False  # nothing is watched on the way back
    if primary.bake_from is None:
        primary.bake_from = monotonic()
    minutes = service.configuration["bakeTimeInMinutes"] or 1
    return monotonic() < primary.bake_from + ground.clock.short(60.0 * minutes)


def _finish(service: Service) -> None:
    release = service.release
    if release is None:
        return
    for name in ("breaker", "alarms"):
        if getattr(release, name) == "MONITORING":
            setattr(release, name, "MONITORING_COMPLETE")
    back = release.status in ("ROLLBACK_IN_PROGRESS", "ROLLBACK_REQUESTED")
    release.become("ROLLBACK_SUCCESSFUL" if back else "SUCCESSFUL")
    release.finished = now()


def summary(service: Service) -> dict[str, Any]:
    """For a person who looks into a test that failed."""
    return {
        "deployments": [(item.id, item.status, item.rollout, item.failed) for item in service.shown],
        "tasks": [(task.id[:8], task.deployment[-4:], task.status, task.health, task.reason) for task in service.tasks],
        "events": [event["message"] for event in list(service.events)[:20]],
    }
