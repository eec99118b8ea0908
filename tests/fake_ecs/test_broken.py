"""What is broken ends in ECS's own words, and is taken back as ECS takes it back."""

import json
import time
from typing import Any

import pytest

from tests.deploy.aws import GROUP
from tests.fake_ecs.conftest import SCALE
from tests.fake_ecs.driver import Driver, photo

pytestmark = pytest.mark.long
BROKEN = "Service deployment rolled back because the circuit breaker threshold was exceeded."


# image → stop code, what ECS says of the task, exit code, what an event says
ENDS: dict[str, tuple[str, str, int | None, str]] = {
    "exits": ("EssentialContainerExited", "Essential container in task exited", 1, "unable to consistently start"),
    "wrong-architecture": (
        "EssentialContainerExited",
        "Essential container in task exited",
        1,
        "unable to consistently start",
    ),
    "wrong-port": (
        "ServiceSchedulerInitiated",
        "Task failed container health checks",
        0,
        "due to (reason Health checks failed).",
    ),
    "wrong-path": (
        "ServiceSchedulerInitiated",
        "Task failed container health checks",
        0,
        "due to (reason Health checks failed with these codes: [404]).",
    ),
}


@pytest.mark.parametrize("image", ENDS)
def test_a_broken_image_trips_the_circuit_breaker_and_is_taken_back(live: Driver, image: str) -> None:
    code, reason, exit_code, event = ENDS[image]
    before = live.service()["deployments"][0]
    kept = {task["taskArn"] for task in live.tasks()}
    failed = live.update(live.register(image))

    back = live.settled(before["id"])  # the deployment before is the primary one again, under its own id
    assert (back["deployments"][0]["rolloutState"], back["runningCount"]) == ("COMPLETED", 2)
    assert {task["taskArn"] for task in live.tasks()} == kept
    stopped = [task for task in live.tasks("STOPPED") if task["startedBy"] == failed]
    ended = [item for item in stopped if (item["stopCode"], item["stoppedReason"]) == (code, reason)]
    assert len(ended) >= 3, stopped
    assert {item["containers"][0].get("exitCode") for item in ended[:3]} == {exit_code}
    if code == "ServiceSchedulerInitiated":  # nobody is judged within the grace period
        grace_s = live.fake_ecs.plan.health.grace * SCALE
        assert all((item["stoppingAt"] - item["startedAt"]).total_seconds() >= grace_s for item in ended)
    events = live.events()
    assert any(event in item for item in events), events
    assert f"(deployment {failed}) deployment failed: tasks failed to start." in events
    assert f"rolling back to deployment {before['id']}." in events
    latest = live.releases()[0]
    assert (latest["status"], latest["statusReason"]) == ("ROLLBACK_SUCCESSFUL", BROKEN)
    assert latest["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
    assert latest["rollback"]["serviceRevisionArn"] == latest["sourceServiceRevisions"][0]["arn"]
    if image == "wrong-architecture":
        logs = live.fake_ecs.client("logs").filter_log_events(logGroupName=GROUP, filterPattern="exec")["events"]
        assert {log["message"] for log in logs} == {"exec /usr/local/bin/entrypoint: exec format error"}


def test_a_rollback_may_begin_a_deployment_with_an_id_of_its_own(live: Driver) -> None:
    before = live.service()["deployments"][0]
    kept = {task["taskArn"] for task in live.tasks()}
    live.fake_ecs.service.new_rollback_id = True
    failed = live.update(live.register("exits"))

    def going_back() -> dict[str, Any] | None:
        result: dict[str, Any] = live.service()["deployments"][0]
        return result if result["id"] not in (failed, before["id"]) else None

    rollback = live.until(going_back)
    assert rollback["rolloutStateReason"] == (
        f"ECS deployment circuit breaker: rolling back to deploymentId {rollback['id']}."
    )
    assert [release["status"] for release in live.releases()] == ["ROLLBACK_IN_PROGRESS", "SUCCESSFUL"]
    back = live.settled(rollback["id"])
    assert (back["taskDefinition"], back["runningCount"]) == (before["taskDefinition"], 2)
    assert back["deployments"][0]["rolloutStateReason"] == f"ECS deployment {rollback['id']} completed."
    assert {task["taskArn"] for task in live.tasks()} & kept == set()
    events = live.events()
    gave_up = events.index(f"(deployment {failed}) deployment failed: tasks failed to start.")
    assert events[gave_up + 1] == f"rolling back to deployment {rollback['id']}."
    latest = live.releases()[0]
    assert (latest["status"], latest["rollback"]["reason"]) == ("ROLLBACK_SUCCESSFUL", BROKEN)
    assert [revision["arn"] for revision in back["currentServiceRevisions"]] == [
        latest["rollback"]["serviceRevisionArn"]
    ]
    since = live.ecs.list_service_deployments(**live.names, createdAt={"after": latest["createdAt"]})
    assert [deployment["serviceDeploymentArn"] for deployment in since["serviceDeployments"]] == [
        latest["serviceDeploymentArn"]
    ]


def no_log_group(driver: Driver) -> dict[str, Any]:
    driver.fake_ecs.client("logs").delete_log_group(logGroupName=GROUP)
    return {"taskDefinition": driver.register("stub-next")}


def no_image(driver: Driver) -> dict[str, Any]:
    return {"taskDefinition": driver.register("sha256:" + "ab" * 32)}


def no_json_key(driver: Driver) -> dict[str, Any]:
    secret = driver.fake_ecs.account.ids["secret"]
    driver.fake_ecs.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=json.dumps({"other": "x"}))
    return {"taskDefinition": driver.register("stub-next", "full")}


def no_secret(driver: Driver) -> dict[str, Any]:
    secret = driver.fake_ecs.account.ids["secret"]
    driver.fake_ecs.client("secretsmanager").delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    return {"taskDefinition": driver.register("stub-next", "full")}


def no_egress(driver: Driver) -> dict[str, Any]:
    public = driver.fake_ecs.account.ids["public_a"]
    return {"networkConfiguration": driver.network([public])}


def no_route(driver: Driver) -> dict[str, Any]:
    driver.fake_ecs.account.no_nat()
    return {"taskDefinition": driver.register("stub-next", "full")}


STARTS: dict[str, tuple[Any, str]] = {
    "log group": (
        no_log_group,
        "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed "
        "to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.",
    ),
    "image": (
        no_image,
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
        f"123456789012.dkr.ecr.us-east-1.amazonaws.com/shine-api-gateway@sha256:{'ab' * 32}",
    ),
    "json key": (
        no_json_key,
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
        "unable to retrieve secret from asm: service call has been retried 1 time(s): retrieved secret from Secrets "
        "Manager did not contain json key api_keys",
    ),
    "secret": (
        no_secret,
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
        "unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret",
    ),
    "egress": (
        no_egress,
        "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry auth from "
        "Amazon ECR: There is a connection issue between the task and Amazon ECR.",
    ),
    "route": (
        no_route,
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
        "unable to retrieve secret from asm: There is a connection issue between the task and AWS Secrets Manager.",
    ),
}


@pytest.mark.parametrize("what", STARTS)
def test_a_task_that_lacks_something_never_starts_and_says_what(live: Driver, what: str) -> None:
    breaks, reason = STARTS[what]
    before = live.service()["deployments"][0]["id"]
    live.update(**breaks(live))
    live.settled(before)
    ended = live.tasks("STOPPED")
    assert len(ended) >= 3
    assert {item["stopCode"] for item in ended[:3]} == {"TaskFailedToStart"}
    assert {item["stoppedReason"].startswith(reason) for item in ended[:3]} == {True}, ended[0]["stoppedReason"]
    assert {item["containers"][0].get("exitCode") for item in ended[:3]} == {None}
    assert not any("registered" in event for event in live.events()[5:])


def test_a_closed_security_group_looks_like_a_timeout(live: Driver) -> None:
    before = live.service()["deployments"][0]["id"]
    ids, ec2 = live.fake_ecs.account.ids, live.fake_ecs.client("ec2")
    closed = ec2.create_security_group(GroupName="closed", Description="closed", VpcId=ids["vpc"])["GroupId"]
    network = live.network()
    network["awsvpcConfiguration"]["securityGroups"] = [closed]
    live.update(networkConfiguration=network)
    timeout = ("unhealthy", "Target.Timeout", "Request timed out")
    live.until(lambda: timeout in live.health())
    live.settled(before)
    group = live.fake_ecs.plan.load_balancer.target_group
    ended = live.tasks("STOPPED")
    assert ended[0]["stoppedReason"] == f"Task failed ELB health checks in (target-group {group})"
    assert ended[0]["healthStatus"] == "HEALTHY"  # the container was well all the time
    assert any("due to (reason Request timed out)." in event for event in live.events())


def test_the_first_deployment_has_nothing_to_go_back_to(driver: Driver) -> None:
    made = driver.create(driver.register("exits"))["deployments"][0]
    failed = driver.settled(made["id"])["deployments"][0]
    assert failed["rolloutState"] == "FAILED"
    assert failed["failedTasks"] >= 3  # two start at a time
    assert failed["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    release = driver.releases()[0]
    output = "No rollback candidate was found to run the rollback."
    assert (release["status"], release["statusReason"]) == ("ROLLBACK_FAILED", output)
    driver.until(lambda: {task["lastStatus"] for task in driver.tasks("STOPPED")} == {"STOPPED"})
    number = len(driver.tasks("STOPPED"))
    time.sleep(1)
    assert (len(driver.tasks("STOPPED")), driver.tasks()) == (number, [])
    assert driver.update(desiredCount=0) == made["id"]
    assert driver.service()["desiredCount"] == 0


def test_an_alarm_takes_a_deployment_back_but_not_the_first_one(driver: Driver) -> None:
    alarms = driver.fake_ecs.plan.alarms
    watched = {"alarms": {"alarmNames": alarms, "enable": True, "rollback": True}}
    driver.fake_ecs.account.alarm(alarms[0], "ALARM")
    first = driver.create(driver.register("stub"), deploymentConfiguration=watched)["deployments"][0]["id"]
    driver.settled(first)
    driver.fake_ecs.account.alarm(alarms[0], "OK")
    second = driver.update(driver.register("stub-next"))
    driver.fake_ecs.account.alarm(alarms[0], "ALARM")
    driver.settled(first)
    assert f"(deployment {second}) deployment failed: alarm detected." in driver.events()
    release = driver.releases()[0]
    assert release["alarms"] == {"status": "TRIGGERED", "alarmNames": alarms, "triggeredAlarmNames": alarms[:1]}
    assert release["status"] == "ROLLBACK_SUCCESSFUL"


def test_memory_that_runs_out_is_told_as_such_and_nothing_is_rolled_back(live: Driver) -> None:
    deployment = live.update(live.register("stub-oom"))
    live.settled(deployment)
    assert photo(live.fake_ecs.base_url).status_code == 502
    killed = live.until(lambda: [task for task in live.tasks("STOPPED") if task["startedBy"] == deployment])[0]
    container = killed["containers"][0]
    assert (container["exitCode"], killed["stopCode"]) == (137, "EssentialContainerExited")
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    live.until(lambda: live.service()["runningCount"] == 2)
    assert live.settled(deployment)["deployments"][0]["rolloutState"] == "COMPLETED"


def test_health_that_comes_and_goes_replaces_tasks_after_the_deployment_has_completed(live: Driver) -> None:
    deployment = live.update(live.register("flapping"))
    live.settled(deployment)
    live.until(lambda: any("health checks" in task["stoppedReason"] for task in live.tasks("STOPPED")))
    assert live.service()["deployments"][0]["id"] == deployment
    events = live.events()
    assert not any("rolling back" in event for event in events)
    assert "due to (reason Health checks failed with these codes: [500])." in " ".join(events)
