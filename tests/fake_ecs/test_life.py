"""A service on the fake ECS lives, is updated and ends as ECS's would, and leaves nothing behind."""

import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
import pytest
from botocore.exceptions import ClientError

from deploy.config.plan import read
from deploy.verify.account.run import run_account_checks
from tests.deploy.aws import GROUP, NAME
from tests.fake_ecs import FakeEcs, balancer
from tests.fake_ecs.account import CLUSTER
from tests.fake_ecs.driver import BREAKER, Driver, photo
from tests.server import ROOT


def test_a_new_service_starts_as_ecs_starts_one(driver: Driver) -> None:
    made = driver.create(driver.register("stub"))
    first = made["deployments"][0]
    assert (made["status"], made["desiredCount"], made["runningCount"]) == ("ACTIVE", 2, 0)
    assert (first["status"], first["rolloutState"]) == ("PRIMARY", "IN_PROGRESS")
    assert first["rolloutStateReason"] == f"ECS deployment {first['id']} in progress."
    assert first["id"].startswith("ecs-svc/")
    assert len(first["id"]) == len("ecs-svc/") + 19

    settled = driver.settled(first["id"])
    assert settled["deployments"][0]["rolloutStateReason"] == f"ECS deployment {first['id']} completed."
    assert settled["runningCount"] == 2
    tasks = driver.tasks()
    assert {task["startedBy"] for task in tasks} == {first["id"]}
    assert {(task["lastStatus"], task["healthStatus"]) for task in tasks} == {("RUNNING", "HEALTHY")}
    assert {task["containers"][0]["imageDigest"] for task in tasks} == {driver.fake_ecs.digests["stub"]}
    addresses = {task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] for task in tasks}
    assert len(addresses) == 2
    assert {task["containers"][0]["networkBindings"] == [] for task in tasks} == {True}
    assert driver.health() == [("healthy", None, None)] * 2

    started, *_, completed, steady = driver.events()
    assert started == "has started 2 tasks: " + " ".join(f"(task {task['taskArn'][-32:]})" for task in tasks) + "."
    assert completed == f"(deployment {first['id']}) deployment completed."
    assert steady == "has reached a steady state."
    released = driver.releases()
    assert [item["status"] for item in released] == ["SUCCESSFUL"]
    assert released[0]["deploymentCircuitBreaker"] == {
        "status": "MONITORING_COMPLETE",
        "failureCount": 0,
        "threshold": 3,
    }


def test_requests_go_to_both_tasks_in_turn_and_say_how_they_came(live: Driver) -> None:
    fake_ecs = live.fake_ecs
    answers = [photo(fake_ecs.base_url + "/analyze").json() for _ in range(4)]
    assert len({answer["address"] for answer in answers}) == 2
    assert answers[0]["headers"] == {"x-forwarded-proto": "http", "x-forwarded-for": "127.0.0.1"}
    trusted = ssl.create_default_context(cafile=str(fake_ecs.trusted))
    secure = httpx.post(fake_ecs.secure_url + "/analyze", content=b"a photo", verify=trusted)
    assert secure.json()["headers"]["x-forwarded-proto"] == "https"


def test_plain_http_on_the_secure_port_is_led_to_https(live: Driver) -> None:
    plain = live.fake_ecs.secure_url.replace("https", "http")  # port 80 where the other is 443
    answer = httpx.get(plain + "/ready?a=b")
    assert (answer.status_code, answer.headers["location"]) == (301, live.fake_ecs.secure_url + "/ready?a=b")


def test_a_task_gets_settings_and_secrets_and_its_log_arrives(live: Driver) -> None:
    deployment = live.update(live.register("stub-next", "full"))
    live.settled(deployment)
    environment = photo(live.fake_ecs.base_url).json()["environment"]
    assert environment["SHINE_PHASE"] == "full"
    assert environment["SHINE_API_KEYS"] == "9b1c-never-to-be-seen"
    assert environment["AWS_ENDPOINT_URL"] == live.fake_ecs.endpoint
    streams = {f"{NAME}/{task['containers'][0]['name']}/{task['taskArn'][-32:]}" for task in live.tasks()}
    logs = live.fake_ecs.client("logs")
    result = logs.filter_log_events(logGroupName=GROUP, filterPattern="listening")["events"]
    assert {item["message"] for item in result} == {'{"level": "info", "message": "listening on 5000"}'}
    names = {item["logStreamName"].rpartition("/")[2] for item in result}
    assert {stream.rpartition("/")[2] for stream in streams} <= names


def test_an_update_loses_no_request(live: Driver) -> None:
    statuses: list[int] = []
    over = threading.Event()

    def stream() -> None:
        with httpx.Client(base_url=live.fake_ecs.base_url, timeout=20) as client:
            while not over.is_set():
                statuses.append(client.post("/analyze", content=b"a photo", headers={"x-seconds": "0.05"}).status_code)

    threads = [threading.Thread(target=stream) for _ in range(4)]
    for thread in threads:
        thread.start()
    deployment = live.update(live.register("stub-next"))
    live.settled(deployment)
    over.set()
    for thread in threads:
        thread.join()
    assert len(statuses) > 40
    assert set(statuses) == {200}
    assert {task["containers"][0]["imageDigest"] for task in live.tasks()} == {live.fake_ecs.digests["stub-next"]}
    assert {task["stoppedReason"] for task in live.tasks("STOPPED")} == {
        f"Scaling activity initiated by (deployment {deployment})"
    }


@pytest.mark.long
def test_what_is_in_flight_is_answered_before_its_task_is_told_to_end(live: Driver) -> None:
    answers: list[httpx.Response] = []
    slow = {"x-seconds": "4"}  # longer than the deregistration delay, which is short here
    threads = [threading.Thread(target=lambda: answers.append(photo(live.fake_ecs.base_url, **slow))) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    for task in live.tasks():
        live.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"], reason="to see it drain")
    live.until(lambda: [state for state, reason, _ in live.health() if reason == "Target.DeregistrationInProgress"])
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200, 200]
    stopped = live.until(lambda: [task for task in live.tasks("STOPPED") if task["lastStatus"] == "STOPPED"])
    assert (stopped[0]["stopCode"], stopped[0]["stoppedReason"]) == ("UserInitiated", "to see it drain")
    live.until(lambda: live.service()["runningCount"] == 2)


@pytest.mark.long
def test_who_does_not_heed_sigterm_is_killed_after_its_stop_timeout(live: Driver) -> None:
    stubborn = live.update(live.register("stub-stubborn", stopTimeout=2))
    live.settled(stubborn)
    live.settled(live.update(live.register("stub-next")))
    ended = live.tasks("STOPPED")
    assert [item["containers"][0]["exitCode"] for item in ended] == [0, 0, 137, 137]
    waited = [(item["executionStoppedAt"] - item["stoppingAt"]).total_seconds() for item in ended]
    assert all(2 <= seconds < 15 for seconds in waited[2:]), waited


def test_a_deployment_keeps_to_the_percentages(live: Driver) -> None:
    within = {**BREAKER, "minimumHealthyPercent": 50, "maximumPercent": 100}
    deployment = live.update(live.register("stub-next"), deploymentConfiguration=within)
    counts = set()

    def counted() -> bool:
        counts.add(len(live.tasks()))
        result = live.service()["deployments"]
        return len(result) == 1 and result[0]["rolloutState"] == "COMPLETED"

    live.until(counted)
    assert counts <= {1, 2}
    assert live.service()["deployments"][0]["id"] == deployment


def test_a_doomed_deployment_can_be_stopped_and_goes_back(live: Driver) -> None:
    before = live.service()["deployments"][0]["id"]
    stopped = live.update(live.register("stub-next"))
    live.until(lambda: len(live.tasks()) == 4)
    arn = live.releases()[0]["serviceDeploymentArn"]
    live.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    result = live.service()
    assert result["deployments"][0]["id"] == before
    assert result["deployments"][0]["rolloutStateReason"].endswith(f"rolling back to deploymentId {before}.")
    live.settled(before)
    release = live.releases()[0]
    assert (release["serviceDeploymentArn"], release["status"]) == (arn, "ROLLBACK_SUCCESSFUL")
    assert {task["startedBy"] for task in live.tasks("STOPPED")} == {stopped}
    with pytest.raises(ClientError, match="ConflictException"):
        live.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")


def test_a_deployment_that_is_aborted_stays_where_it_is(live: Driver) -> None:
    aborted = live.update(live.register("stub-next"))
    live.until(lambda: len(live.tasks()) == 4)
    arn = live.releases()[0]["serviceDeploymentArn"]
    live.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ABORT")
    result = live.service()["deployments"][0]
    assert (result["id"], result["rolloutState"]) == (aborted, "FAILED")
    assert live.releases()[0]["status"] == "STOPPED"
    assert live.service()["runningCount"] >= 2


def test_create_service_asked_twice_with_one_token_makes_one(live: Driver) -> None:
    live.ecs.delete_service(**live.names, force=True)
    live.until(lambda: live.service()["status"] == "INACTIVE")
    definition = live.register("stub")
    first = live.create(definition, clientToken="one")
    assert live.create(definition, clientToken="one")["deployments"][0]["id"] == first["deployments"][0]["id"]


def test_a_newer_deployment_overtakes_one_under_way(live: Driver) -> None:
    ours = live.update(live.register("stub-next"))
    live.until(lambda: len(live.tasks()) == 4)
    theirs = live.fake_ecs.somebody_else_updates()
    assert [deployment["status"] for deployment in live.service()["deployments"]] == ["PRIMARY", "ACTIVE", "ACTIVE"]
    settled = live.settled(theirs)
    assert ours not in {deployment["id"] for deployment in settled["deployments"]}
    assert [release["status"] for release in live.releases()] == ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]


def test_where_443_cannot_be_had_one_port_speaks_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer, "_pair", lambda _: None)
    with FakeEcs(tmp_path) as fake_ecs:
        url = httpx.URL(fake_ecs.secure_url)
        assert url.port is not None
        trusted = ssl.create_default_context(cafile=str(fake_ecs.trusted))
        assert httpx.get(url, verify=trusted).status_code == 503
        assert httpx.get(url.copy_with(scheme="http")).headers["location"] == f"{fake_ecs.secure_url}/"


def test_what_the_load_balancer_did_is_in_cloudwatch(live: Driver) -> None:
    for _ in range(3):
        photo(live.fake_ecs.base_url)
    front, group = (live.fake_ecs.account.ids[name].rpartition(":")[2] for name in ("balancer", "target_group"))

    def summed(name: str) -> float:
        result = live.fake_ecs.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/ApplicationELB",
            MetricName=name,
            Dimensions=[
                {"Name": "LoadBalancer", "Value": front.removeprefix("loadbalancer/")},
                {"Name": "TargetGroup", "Value": group},
            ],
            StartTime=time.time() - 600,
            EndTime=time.time() + 600,
            Period=3600,
            Statistics=["Sum"],
        )
        return float(sum(datapoint["Sum"] for datapoint in result["Datapoints"]))

    live.until(lambda: summed("RequestCount") == 3)
    assert summed("HTTPCode_Target_2XX_Count") == 3
    assert summed("HTTPCode_Target_5XX_Count") == 0
    assert summed("HealthyHostCount") >= 2


def test_the_service_can_be_scaled_by_autoscaling(live: Driver) -> None:
    live.fake_ecs.account.autoscale()
    scaling = live.fake_ecs.client("application-autoscaling")
    targets = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert [(target["MinCapacity"], target["MaxCapacity"]) for target in targets] == [(2, 6)]
    assert len(scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]) == 2


def test_the_plan_that_is_written_is_the_plan(fake_ecs: FakeEcs, tmp_path: Path) -> None:
    assert read(fake_ecs.write_plan(tmp_path / "trail.yaml")) == fake_ecs.plan
    assert fake_ecs.plan.domain == fake_ecs.secure_url


def test_a_second_fake_ecs_in_one_process_is_refused(fake_ecs: FakeEcs, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Another fake ECS is open"), FakeEcs(tmp_path):
        pass
    assert fake_ecs.client("s3").list_buckets()["Buckets"]


def test_without_tasks_the_load_balancer_answers_503(fake_ecs: FakeEcs) -> None:
    answer = photo(fake_ecs.base_url)
    assert (answer.status_code, answer.headers["server"]) == (503, "awselb/2.0")


def test_a_deleted_service_drains_and_is_gone(live: Driver) -> None:
    live.ecs.delete_service(**live.names, force=True)
    assert live.service()["status"] == "DRAINING"
    live.until(lambda: live.service()["status"] == "INACTIVE")
    assert live.health() == []
    with pytest.raises(ClientError, match="ServiceNotFoundException"):
        live.update(desiredCount=1)
    live.settled(live.create(live.register("stub"))["deployments"][0]["id"])


@pytest.mark.parametrize("phase", ["simple", "full"])
def test_nothing_is_wrong_with_the_account_that_a_rollout_finds(
    live: Driver, phase: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_ecs = live.fake_ecs
    for name, value in fake_ecs.environment().items():
        monkeypatch.setenv(name, value)
    session = boto3.Session(region_name="us-east-1")
    result = run_account_checks(
        fake_ecs.plan, live.definition("stub", phase), fake_ecs.account.contract, session, phase
    )
    assert {item.code: item.sentence for item in result if item.level in ("FAIL", "WARN")} == {}


def test_nothing_is_left_of_a_fake_ecs_that_is_closed(tmp_path: Path) -> None:
    with FakeEcs(tmp_path, scale=0.02) as fake_ecs:
        driver = Driver(fake_ecs)
        driver.settled(driver.create(driver.register("stub-stubborn"))["deployments"][0]["id"])
        pids = [item.pid for item in fake_ecs.running]
        assert len(pids) == 2
        urls = [httpx.URL(url) for url in (fake_ecs.endpoint, fake_ecs.base_url, fake_ecs.secure_url)]
    assert [pid for pid in pids if pid and psutil.pid_exists(pid)] == []
    assert [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE] == []
    for url in urls:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((url.host, url.port or 443), 1)


PROGRAM = """
import sys, time
from pathlib import Path
from tests.fake_ecs import FakeEcs
from tests.fake_ecs.driver import Driver
with FakeEcs(Path(sys.argv[1]), scale=0.02) as fake_ecs:
    driver = Driver(fake_ecs)
    driver.settled(driver.create(driver.register("stub"))["deployments"][0]["id"])
    print(*[one.pid for one in fake_ecs.running], flush=True)
    time.sleep(600)
"""


@pytest.mark.long
def test_tasks_end_with_a_fake_ecs_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as fake_ecs:
        assert fake_ecs.stdout
        pids = [int(item) for item in fake_ecs.stdout.readline().split()]
        assert [psutil.pid_exists(pid) for pid in pids] == [True, True]
        fake_ecs.kill()
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=20)
    assert [item for item in alive if item.status() != psutil.STATUS_ZOMBIE] == []
