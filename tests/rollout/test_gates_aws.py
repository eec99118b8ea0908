"""Gates that ask AWS: each holds in a good account, and each fails for its own reason."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from moto import mock_aws

from deploy.config.plan import Gates
from deploy.gates import registry
from deploy.gates.observation import Observation
from deploy.gates.probe_load import Outcome
from deploy.gates.target import KEY_VARIABLE, KeyUnknown, LiveTarget, find_key, plain_key
from deploy.record.trail import GateResult
from tests.deploy.aws import BUCKET, FOLDER, GROUP, MOTO, NAME, SECRET_VALUE
from tests.rollout.live_account import CLUSTER, OTHER, WINDOW, DeployedAccount, FixedLoad, ask
from tests.s3 import CREDENTIALS
from tests.unit.model import bundles


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.write(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def made(bundle: Path) -> Iterator[DeployedAccount]:
    """One account for the module."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for name, value in {**CREDENTIALS, **MOTO}.items():
            patch.setenv(name, value)
        account = DeployedAccount(bundle)
        account.keep()
        yield account
        account.close()


@pytest.fixture
def account(made: DeployedAccount) -> Iterator[DeployedAccount]:
    """The account as it was made, whatever a test does to it."""
    yield made
    made.restore()


def fails(result: GateResult, words: str) -> GateResult:
    """Assert that a gate fails, and says why."""
    assert not result.holds, result.sentence
    assert words in result.sentence
    assert result.sentence.endswith((".", "?"))
    return result


def holds(result: GateResult) -> GateResult:
    assert result.holds, result.sentence
    assert result.sentence.endswith(".")
    return result


# --- tasks and targets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tasks_running", "digest", "targets_healthy"])
def test_a_finished_deployment_holds(account: DeployedAccount, name: str) -> None:
    holds(ask(account.live("simple"), name))


def test_a_task_that_has_not_started_is_waited_for(account: DeployedAccount) -> None:
    account.tells(account.tasks[0], lastStatus="PENDING")
    result = fails(ask(account.live("simple"), "tasks_running"), "1 of 2 tasks of ecs-svc/")
    assert "1 PENDING" in result.sentence
    assert (result.value["running"], result.limit["running"], result.permanent) == (1, 2, False)


def test_tasks_of_another_deployment_are_not_ours(account: DeployedAccount) -> None:
    account.tells(account.tasks[0], startedBy="ecs-svc/another")
    fails(ask(account.live("simple"), "tasks_running"), "1 of 2 tasks")


def test_tasks_of_another_service_are_nobodys(account: DeployedAccount) -> None:
    account.tells(account.tasks[0], group="service:another")
    fails(ask(account.live("simple"), "tasks_running"), "1 of 2 tasks")


def test_where_nobody_tells_who_started_tasks_their_task_definition_does(account: DeployedAccount) -> None:
    for task in account.tasks:
        account.tells(task, startedBy="")
    live = account.live("simple")
    holds(ask(live, "tasks_running"))
    account.tells(account.tasks[0], taskDefinitionArn=f"{live.task_definition}0")
    fails(ask(live, "tasks_running"), "1 of 2 tasks")


def test_a_service_that_wants_no_task_is_not_running(account: DeployedAccount) -> None:
    account.client("ecs").update_service(cluster=CLUSTER, service=NAME, desiredCount=0)
    fails(ask(account.live("simple"), "tasks_running"), "desired count is 0")


def test_a_service_that_is_gone_is_named(account: DeployedAccount) -> None:
    live = account.live("simple")
    account.client("ecs").delete_service(cluster=CLUSTER, service=NAME, force=True)
    fails(ask(live, "tasks_running"), f"no service {NAME}")


def test_a_deployment_that_ecs_has_given_up_is_hopeless(account: DeployedAccount) -> None:
    def failed(answer: dict[str, Any]) -> None:
        for deployment in answer["services"][0]["deployments"]:
            deployment |= {"rolloutState": "FAILED", "rolloutStateReason": "tasks failed to start."}

    account.stand_in("ecs", "DescribeServices", failed)
    assert fails(
        ask(account.live("simple"), "tasks_running"), "given up the deployment: tasks failed to start"
    ).permanent


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", ["tasks_running", "stable"])
def test_a_task_that_stops_within_the_window_fails_it(account: DeployedAccount, name: str) -> None:
    live, stopped = account.live("hybrid"), account.tasks[0]
    account.stop(stopped)
    account.start()
    before = replace(WINDOW, stopped=frozenset({stopped}), running=frozenset(account.tasks[1:]))
    holds(ask(live, name, window=before))
    fails(ask(live, name, window=WINDOW), "1 task stopped (Essential container in task exited) within the window")


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", ["tasks_running", "stable"])
def test_what_autoscaling_takes_away_is_no_failure(account: DeployedAccount, name: str) -> None:
    live = account.live("full")
    account.stop(account.tasks[0], "Scaling activity initiated by (deployment ecs-svc/1)")
    account.client("ecs").update_service(cluster=CLUSTER, service=NAME, desiredCount=1)
    holds(ask(live, name, window=replace(WINDOW, running=frozenset(account.tasks))))


def test_what_autoscaling_adds_may_still_start(account: DeployedAccount) -> None:
    account.client("ecs").update_service(cluster=CLUSTER, service=NAME, desiredCount=3)
    live = account.live("full")
    for name in ("tasks_running", "targets_healthy"):
        holds(ask(live, name, window=WINDOW))
        fails(ask(live, name), "2 of 3")


@pytest.mark.usefixtures("quiet")
def test_a_task_that_went_without_a_word_is_missed(account: DeployedAccount) -> None:
    window = replace(WINDOW, running=frozenset([*account.tasks, "arn:aws:ecs:us-east-1:123456789012:task/gone"]))
    fails(ask(account.live("hybrid"), "stable", window=window), "1 of 3 tasks that ran when the window began are gone")


def test_another_image_in_one_task_is_seen(account: DeployedAccount) -> None:
    account.runs(account.tasks[1], OTHER)
    result = fails(ask(account.live("simple"), "digest"), "1 of sha256:999999999999…")
    assert result.value == {account.ids["digest"]: 1, OTHER: 1}
    assert result.limit == account.ids["digest"]


def test_a_container_that_stands_before_the_one_that_serves_is_passed_over(account: DeployedAccount) -> None:
    beside = {"name": "helper", "image": "helper:1", "imageDigest": OTHER}
    for task in account.tasks:
        serving = {"name": "shine", "image": "shine:1", "imageDigest": account.ids["digest"]}
        account.tells(task, containers=[beside, serving])
    holds(ask(account.live("simple"), "digest"))
    holds(ask(account.live("simple"), "targets_healthy"))


def test_the_digest_that_ecs_tells_goes_before_the_one_in_the_images_name(account: DeployedAccount) -> None:
    named = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/shine@{account.ids['digest']}"
    account.runs(account.tasks[0], OTHER, image=named)
    fails(ask(account.live("simple"), "digest"), "1 of sha256:999999999999…")
    account.runs(account.tasks[0], None, image=named)
    holds(ask(account.live("simple"), "digest"))


def test_an_image_by_tag_that_ecs_tells_no_digest_of_is_not_taken_on_trust(account: DeployedAccount) -> None:
    account.runs(account.tasks[0], None)
    fails(ask(account.live("simple"), "digest"), "does not report yet which image")


def test_an_old_task_beside_ours_is_seen(account: DeployedAccount) -> None:
    account.runs(account.start("ecs-svc/before", register=False), OTHER)
    live = account.live("simple")
    holds(ask(live, "tasks_running"))
    holds(ask(live, "targets_healthy"))
    fails(ask(live, "digest"), "old tasks are still stopping")


def test_no_task_is_no_digest(account: DeployedAccount) -> None:
    for task in account.tasks:
        account.stop(task)
    fails(ask(account.live("simple"), "digest"), "No task of the service runs")


def test_a_healthy_target_that_is_no_task_of_ours_is_named(account: DeployedAccount) -> None:
    account.register("10.0.9.9")
    result = fails(
        ask(account.live("simple"), "targets_healthy"), "Traffic goes to 10.0.9.9, which is not a task with sha256:"
    )
    assert result.value == {"healthy": 3}


def test_traffic_to_a_task_with_another_image_is_seen(account: DeployedAccount) -> None:
    account.runs(account.tasks[0], OTHER)
    fails(ask(account.live("simple"), "targets_healthy"), "(sha256:999999999999…), which is not a task with")


def states(account: DeployedAccount, *wanted: str, **more: str) -> None:
    """Have the load balancer tell these states, in turn."""

    def change(answer: dict[str, Any]) -> None:
        for one, state in zip(answer["TargetHealthDescriptions"], wanted, strict=False):
            one["TargetHealth"] = {"State": state, **more}

    account.stand_in("elastic-load-balancing-v2", "DescribeTargetHealth", change)


def test_an_unhealthy_target_is_told_with_its_reason(account: DeployedAccount) -> None:
    states(account, "healthy", "unhealthy", Reason="Target.Timeout", Description="Request timed out")
    result = fails(ask(account.live("simple"), "targets_healthy"), "unhealthy (Target.Timeout, Request timed out)")
    assert "1 of 2 targets are healthy" in result.sentence
    assert result.value == {"healthy": 1, "unhealthy": 1}


def test_a_target_that_is_leaving_is_not_looked_at(account: DeployedAccount) -> None:
    account.register("10.0.9.9")
    states(account, "healthy", "healthy", "draining")
    assert holds(ask(account.live("simple"), "targets_healthy")).value == {"healthy": 2}


def test_addresses_stand_in_interfaces_where_there_is_no_attachment(account: DeployedAccount) -> None:
    ecs = account.client("ecs")
    for task in ecs.describe_tasks(cluster=CLUSTER, tasks=account.tasks)["tasks"]:
        details = {detail["name"]: detail["value"] for detail in task["attachments"][0]["details"]}
        interface = {"privateIpv4Address": details["privateIPv4Address"]}
        container = {**task["containers"][0], "networkBindings": [], "networkInterfaces": [interface]}
        account.tells(task["taskArn"], attachments=[], containers=[container])
    holds(ask(account.live("simple"), "targets_healthy"))
    for task in account.tasks:
        account.tells(task, attachments=[], containers=[{"name": "shine", "imageDigest": account.ids["digest"]}])
    fails(ask(account.live("simple"), "targets_healthy"), "which is not a task")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose circuits are closed."""
    monkeypatch.setattr(Observation, "status", {"breakers": {"model": "closed", "heuristic": "half_open"}})


def test_an_open_circuit_is_not_stable(account: DeployedAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Observation, "status", {"breakers": {"model": "open", "heuristic": "closed"}})
    fails(ask(account.live("hybrid"), "stable"), "circuit breaker of the model runner is open")


# --- what stands around the service -----------------------------------------------------------------------------------


def alarm(account: DeployedAccount, name: str, state: str = "OK") -> None:
    cloudwatch = account.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name, ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=1, MetricName="Degraded",
        Namespace="Shine", Period=60, Statistic="Average", Threshold=0.05,
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="0.4 is greater than 0.05.")


def test_alarms_are_quiet_also_without_data(account: DeployedAccount) -> None:
    account.replan(alarms=["one", "two"])
    alarm(account, "one")
    alarm(account, "two", "INSUFFICIENT_DATA")
    assert holds(ask(account.live("full"), "alarms")).value == {"one": "OK", "two": "INSUFFICIENT_DATA"}


def test_an_alarm_that_rings_or_is_not_there_is_named(account: DeployedAccount) -> None:
    account.replan(alarms=["one", "two"])
    alarm(account, "one", "ALARM")
    fails(ask(account.live("full"), "alarms"), 'do not exist: "two"')
    alarm(account, "two")
    fails(ask(account.live("full"), "alarms"), 'In ALARM: "one" (0.4 is greater than 0.05)')
    account.replan(alarms=[])
    fails(ask(account.live("full"), "alarms"), "names no alarms")


RESOURCE = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}


def scales(account: DeployedAccount, least: int, most: int, *metrics: str) -> None:
    client, name = account.client("application-autoscaling"), f"service/{CLUSTER}/{NAME}"
    client.register_scalable_target(ResourceId=name, MinCapacity=least, MaxCapacity=most, **RESOURCE)
    for metric in metrics:
        client.put_scaling_policy(
            PolicyName=metric, ResourceId=name, PolicyType="TargetTrackingScaling", **RESOURCE,
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 60.0, "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            },
        )  # fmt: skip


def test_autoscaling_has_the_plans_bounds_and_both_policies(account: DeployedAccount) -> None:
    live = account.live("full")
    fails(ask(live, "autoscaling"), "has no autoscaling")
    scales(account, 2, 4, "ECSServiceAverageCPUUtilization")
    fails(ask(live, "autoscaling"), "between 2 and 4 tasks; the plan says 2 to 6")
    scales(account, 2, 6)
    fails(ask(live, "autoscaling"), "No target-tracking policy uses ALBRequestCountPerTarget")
    scales(account, 2, 6, "ALBRequestCountPerTarget")
    assert holds(ask(live, "autoscaling")).value["by"] == [
        "ALBRequestCountPerTarget",
        "ECSServiceAverageCPUUtilization",
    ]


def test_a_service_asked_by_http_is_judged_by_its_listeners(account: DeployedAccount) -> None:
    live, elb = account.live("full", "http://127.0.0.1:9"), account.client("elbv2")
    assert holds(ask(live, "https")).value["asked"] == "listeners"
    forward = [{"Type": "forward", "TargetGroupArn": account.ids["target_group"]}]
    elb.modify_listener(ListenerArn=account.ids["http"], DefaultActions=forward)
    fails(ask(live, "https"), "HTTP is not permanently redirected")
    elb.delete_listener(ListenerArn=account.ids["https"])
    fails(ask(live, "https"), "none is for HTTPS")


def test_a_secret_in_plain_is_seen_and_not_shown(account: DeployedAccount) -> None:
    holds(ask(account.live("full"), "secrets"))
    account.container["environment"] = [{"name": "SHINE_API_KEYS", "value": SECRET_VALUE}]
    account.container["secrets"] = []
    account.client("ecs").register_task_definition(**account.task_definition)
    result = fails(ask(account.live("full"), "secrets"), 'the value of "SHINE_API_KEYS" in plain text')
    assert SECRET_VALUE not in result.model_dump_json()


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_comes_from_the_environment_before_the_secret(account: DeployedAccount) -> None:
    clients = account.live("full").clients
    assert plain_key(account.plan, clients, {KEY_VARIABLE: " of-the-shell "}) == "of-the-shell"
    assert plain_key(account.plan, clients, {}) == SECRET_VALUE


@pytest.mark.parametrize(
    ("held", "key", "found"),
    [
        ('{"api_keys": "sha256:00:11, a-plain-one"}', "api_keys", "a-plain-one"),
        ('{"api_keys": "sha256:00:11"}', "api_keys", None),
        ('{"other": "a-plain-one"}', "api_keys", None),
        ('{"api_keys": 5}', "api_keys", None),
        ("[]", "api_keys", None),
        ("a-plain-one,another", "", "a-plain-one"),
        ("not JSON", "api_keys", None),
    ],
)
def test_the_first_plain_key_of_a_secret_is_taken(
    account: DeployedAccount, held: str, key: str, found: str | None
) -> None:
    account.client("secretsmanager").put_secret_value(SecretId=account.ids["secret"], SecretString=held)
    account.replan(secrets={"SHINE_API_KEYS": account.ids["secret"] + (f":{key}::" if key else "")})
    clients = account.live("full").clients
    assert plain_key(account.plan, clients, {}) == found
    if found is None:
        with pytest.raises(KeyUnknown, match=KEY_VARIABLE):
            find_key(account.plan, clients, {})


def test_a_key_may_be_a_parameter(account: DeployedAccount) -> None:
    account.client("ssm").put_parameter(Name="/shine/keys", Value="of-a-parameter", Type="SecureString")
    account.replan(secrets={"SHINE_API_KEYS": "arn:aws:ssm:us-east-1:123456789012:parameter/shine/keys"})
    assert plain_key(account.plan, account.live("full").clients, {}) == "of-a-parameter"


def test_no_key_is_found_where_the_plan_names_none_or_it_may_not_be_read(account: DeployedAccount) -> None:
    live = account.live("full")
    account.replan(secrets={})
    with pytest.raises(KeyUnknown, match="names no secret"):
        find_key(account.plan, live.clients, {})
    refused(account, "secretsmanager", "GetSecretValue", "AccessDeniedException")
    assert plain_key(live.plan, live.clients, {}) is None


def test_a_key_is_never_shown(account: DeployedAccount) -> None:
    assert SECRET_VALUE not in repr(account.live("full", api_key=SECRET_VALUE))


# --- logs -------------------------------------------------------------------------------------------------------------


def logged(account: DeployedAccount, *messages: str) -> None:
    logs = account.client("logs")
    logs.create_log_stream(logGroupName=GROUP, logStreamName=f"shine/{time.time_ns()}")
    stream = logs.describe_log_streams(logGroupName=GROUP)["logStreams"][-1]["logStreamName"]
    events = [{"timestamp": int(1000 * time.time()), "message": message} for message in messages]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def logs_of(live: LiveTarget, *outcomes: Outcome) -> GateResult:
    gate = next(item for item in registry.GATES if item.name == "logs")
    return gate.run(live, Observation(live, Gates(), FixedLoad(live, list(outcomes), now=100.0)))


def sent(name: str, age_s: float = 0.0, status: int = 200) -> Outcome:
    return Outcome(name, 10.0 - age_s, datetime.fromtimestamp(time.time() - age_s, UTC), status, 0.1, source="model")


def test_the_line_of_our_own_request_is_found(account: DeployedAccount) -> None:
    live = account.live("foundation")
    fails(logs_of(live, sent("trail-0", status=503)), "has succeeded yet, so the log cannot be checked")
    fails(logs_of(live, sent("trail-1")), "trail-1 is not in /ecs/shine-api-gateway yet")
    logged(account, json.dumps({"message": "request", "request_id": "trail-11"}))
    fails(logs_of(live, sent("trail-1")), "but not as a JSON line")
    logged(account, "21:00:00 info request request_id=trail-2")
    fails(logs_of(live, sent("trail-2")), "SHINE_LOG_FORMAT must be json")
    logged(account, json.dumps({"message": "request", "request_id": "trail-1"}))
    assert holds(logs_of(live, sent("trail-1"))).value == "trail-1"


def test_the_newest_line_that_should_have_arrived_is_looked_for(account: DeployedAccount) -> None:
    live = account.live("foundation")
    logged(account, json.dumps({"request_id": "trail-b"}))
    holds(logs_of(live, sent("trail-a", 200), sent("trail-b", 100), sent("trail-c", 20)))
    fails(logs_of(live, sent("trail-c", 20), sent("trail-d", 10)), "trail-c is not in")


# --- weights ----------------------------------------------------------------------------------------------------------


def cached(account: DeployedAccount, monkeypatch: pytest.MonkeyPatch, fetched: str | None) -> GateResult:
    monkeypatch.setattr(Observation, "status", {"state": "ready", "model": {"sha256": account.ids["pin"]}})
    line = "" if fetched is None else f"shine_weights_bytes_total {fetched}\n"
    monkeypatch.setattr(Observation, "metrics", "# TYPE shine_weights_bytes_total counter\n" + line)
    return ask(account.live("foundation"), "cached")


def test_weights_are_fetched_once_at_the_most(
    account: DeployedAccount, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sum(item.stat().st_size for item in bundle.iterdir())
    assert holds(cached(account, monkeypatch, f"{whole}.0")).limit == whole
    holds(cached(account, monkeypatch, "0.0"))
    fails(cached(account, monkeypatch, f"{2 * whole}.0"), "the cache is not used")
    fails(cached(account, monkeypatch, None), "/metrics lacks shine_weights_bytes_total")


def test_a_bundle_is_the_one_that_is_pinned_wherever_it_lies(
    account: DeployedAccount, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sum(item.stat().st_size for item in bundle.iterdir())
    folder = f"1.0.0-{account.ids['pin'][:12]}"
    for name in ("manifest.json", "metrics.json", "model.onnx"):
        account.put(f"{FOLDER}/{folder}/{name}", (bundle / name).read_bytes())
        account.client("s3").delete_object(Bucket=BUCKET, Key=f"{FOLDER}/{name}")
    fails(cached(account, monkeypatch, "1.0"), "There is no manifest.json")
    for live_folder, sha256 in ((folder, account.ids["pin"]), ("1.1.0-aaaaaaaaaaaa", "a" * 64)):
        current = {"format_version": 1, "folder": live_folder, "version": "1", "sha256": sha256}
        account.put(f"{FOLDER}/current.json", json.dumps(current).encode())
        assert holds(cached(account, monkeypatch, "1.0")).limit == whole + len(json.dumps(current))
    account.put(f"{FOLDER}/current.json", b"{}")
    fails(cached(account, monkeypatch, "1.0"), "cannot be read")


# --- what AWS refuses -------------------------------------------------------------------------------------------------


def refused(account: DeployedAccount, service: str, operation: str, code: str, message: str = "Not now.") -> None:
    """Have AWS refuse one operation."""

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": message}}, operation)

    account.session.events.register(f"before-call.{service}.{operation}", refuse)


def test_a_missing_permission_is_a_gate_that_does_not_hold(account: DeployedAccount) -> None:
    lacking = "User: u is not authorized to perform: ecs:ListTasks on resource: arn:aws:ecs:us-east-1:1:c because"
    refused(account, "ecs", "ListTasks", "AccessDeniedException", lacking)
    result = ask(account.live("simple"), "tasks_running")
    assert not result.holds
    assert "redentials lack ecs:ListTasks on arn:aws:ecs:us-east-1:1:c" in result.sentence


def test_each_question_is_asked_once_a_round(account: DeployedAccount) -> None:
    asked: list[str] = []
    account.session.events.register("before-call.*", lambda model, **_: asked.append(model.name))
    live = account.live("simple")
    observed = Observation(live, Gates(), FixedLoad(live, [], 0.0))
    for name in ("tasks_running", "digest", "targets_healthy"):
        next(item for item in registry.GATES if item.name == name).run(live, observed)
    assert sorted(asked) == [
        "DescribeServices", "DescribeTargetHealth", "DescribeTasks", "ListTasks", "ListTasks",
    ], asked  # fmt: skip
    asked.clear()
    refused(account, "ecs", "DescribeServices", "ServerException")
    live = account.live("simple")
    observed = Observation(live, Gates(), FixedLoad(live, [], 0.0))
    for name in ("tasks_running", "targets_healthy"):
        fails(next(item for item in registry.GATES if item.name == name).run(live, observed), "ServerException")
    assert asked.count("DescribeServices") == 1


@pytest.mark.parametrize("code", ["ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException"])
def test_lost_credentials_end_the_asking(account: DeployedAccount, code: str) -> None:
    refused(account, "ecs", "DescribeServices", code)
    refused(account, "secretsmanager", "GetSecretValue", code)
    live = account.live("simple")
    with pytest.raises(ClientError, match=code):
        ask(live, "tasks_running")
    with pytest.raises(ClientError, match=code):
        plain_key(live.plan, live.clients, {})


def test_no_credentials_end_the_asking_too(account: DeployedAccount) -> None:
    def none(**_: Any) -> None:
        raise NoCredentialsError

    account.session.events.register("before-call.ecs.DescribeServices", none)
    with pytest.raises(NoCredentialsError):
        ask(account.live("simple"), "tasks_running")


def test_what_stands_in_awss_place_may_leave_things_out(account: DeployedAccount) -> None:
    account.stand_in("ecs", "DescribeServices", lambda answer: answer["services"][0].pop("desiredCount"))
    fails(ask(account.live("simple"), "tasks_running"), "A response lacks a field (KeyError: 'desiredCount')")


def test_an_endpoint_where_nobody_listens_is_told(account: DeployedAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("deploy.aws.clients.CONFIG", None)  # which would have it tried for a while
    fails(ask(account.live("simple", deployment="ecs-svc/1"), "tasks_running"), "AWS cannot be asked")


def test_gates_change_nothing(account: DeployedAccount) -> None:
    assert not account.live("full").clients.writes
    for gate in registry.gates_of("full"):
        if gate.name != "load":
            ask(account.live("full"), gate.name)
