"""What is asked of AWS, by reading calls alone; one part that does not answer hides no other."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto import mock_aws

from deploy.aws import reader
from deploy.aws.clients import Clients
from deploy.aws.errors import NoCredentials
from deploy.config.image_contract import own as contract
from deploy.diagnose import gather as gathering
from deploy.diagnose.evidence import Evidence, EvidenceError, read, save
from deploy.diagnose.gather import gather
from deploy.diagnose.ranking import diagnose
from tests.deploy.aws import GROUP, NAME, Good
from tests.deploy.invalid_taskdefs import ADMIN, ROUTER
from tests.deploy.test_account_errors import refuse
from tests.rollout.causes.evidence import BEFORE, DEPLOYMENT
from tests.s3 import CREDENTIALS, S3
from tests.unit.model import bundles

CLUSTER = "shine-ml-cluster"
SECRET = "a plain little word"  # noqa: S105  that looks like no key
LINES = [f"line {number}" for number in range(40)] + [f"calling with {SECRET}", "ValueError: no such thing"]
OPERATIONS = {
    "ecs": ["DescribeClusters", "DescribeServices", "ListTasks", "DescribeTasks", "DescribeTaskDefinition"],
    "logs": ["GetLogEvents"],
    "elbv2": ["DescribeTargetGroups", "DescribeTargetHealth", "DescribeLoadBalancers"],
    "ec2": ["DescribeSecurityGroups"],
    "cloudwatch": ["DescribeAlarms"],
}
PREFIX = {"elbv2": "elasticloadbalancing"}


@dataclass
class Account:
    """A service in moto with a task that ended by itself, one of another deployment, and one that runs."""

    good: Good
    deployment: str
    ended: str
    other: str
    alive: str

    def look(self, deployment: str | None = None, **more: Any) -> Evidence:
        """As `trail why` does, with a session of its own."""
        clients = Clients(self.good.plan.region, writes=False, session=self.good.session)
        return gather(clients, self.good.plan, deployment, **more)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    server = S3()
    running = {"MOTO_ECS_SERVICE_RUNNING": "1"}
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name, value in {**CREDENTIALS, **running, "AWS_ENDPOINT_URL": server.url}.items():
            patch.setenv(name, value)
        yield _account(Good(bundles.write(tmp_path_factory.mktemp("bundle")), contract()))
    server.close()


@pytest.fixture
def account(made: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The same for all tests; what one does to the answers ends with its session."""
    monkeypatch.setattr(made.good, "session", boto3.Session())
    monkeypatch.setattr(made.good, "plan", made.good.plan)
    monkeypatch.setattr(reader, "UNKNOWN", {(os.environ["AWS_ENDPOINT_URL"], "list_service_deployments")})
    return made


def _account(good: Good) -> Account:
    ecs, logs = good.client("ecs"), good.client("logs")
    good.client("ec2").modify_vpc_attribute(VpcId=good.ids["vpc"], EnableDnsHostnames={"Value": True})  # moto's tasks
    good.container["environment"] = [{"name": "UPSTREAM_TOKEN", "value": SECRET}]
    good.rewire()
    deployment = ecs.describe_services(cluster=CLUSTER, services=[NAME])["services"][0]["deployments"][0]["id"]
    network = {"subnets": [good.ids["private_a"]], "securityGroups": [good.ids["tasks"]]}
    tasks = [
        ecs.run_task(
            cluster=CLUSTER,
            taskDefinition=NAME,
            launchType="FARGATE",
            startedBy=by,
            networkConfiguration={"awsvpcConfiguration": network},
        )["tasks"][0]["taskArn"].rpartition("/")[2]
        for by in (deployment, BEFORE, deployment)
    ]
    for name in tasks[:2]:
        ecs.stop_task(cluster=CLUSTER, task=name, reason="Essential container in task exited")
    for name in tasks:
        stream = f"shine/shine/{name}"
        logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        now = int(datetime.now(UTC).timestamp() * 1000)
        events = [{"timestamp": now + place, "message": line} for place, line in enumerate(LINES)]
        logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)
    good.client("elbv2").register_targets(
        TargetGroupArn=good.ids["target_group"], Targets=[{"Id": "10.0.2.7", "Port": 5000}]
    )
    alarms = good.client("cloudwatch")
    alarms.put_metric_alarm(
        AlarmName="shine-5xx", Namespace="Shine", MetricName="Errors", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1.0, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    alarms.set_alarm_state(AlarmName="shine-5xx", StateValue="ALARM", StateReason="Threshold Crossed")
    good.replan(alarms=["shine-5xx"])
    return Account(good, deployment, *tasks)


def fail_with(account: Account, code: int) -> None:
    """moto knows no exit codes of tasks that fail."""

    def change(answer: dict[str, Any]) -> None:
        for task in answer.get("tasks", []):
            if task["lastStatus"] == "STOPPED":
                now = datetime.now(UTC)
                task |= {"stopCode": "EssentialContainerExited", "startedAt": now, "stoppedAt": now}
                task["containers"][0] |= {"exitCode": code}

    account.good.stand_in("ecs", "DescribeTasks", change)


def test_all_parts_of_a_service_are_gathered(account: Account) -> None:
    fail_with(account, 3)
    observed = account.look()
    assert observed.cluster_status == "ACTIVE"
    assert observed.service is not None
    assert (observed.service.status, observed.service.desired, observed.service.port) == ("ACTIVE", 2, 5000)
    assert observed.deployment == account.deployment
    assert [item.id for item in observed.stopped] == [account.ended]
    assert [item.exit_code for item in observed.failed] == [3]
    assert [item.id for item in observed.running] == [account.alive]
    assert observed.definition is not None
    assert (observed.definition.ports, observed.definition.log_group, observed.definition.status) == (
        (5000,),
        GROUP,
        "ACTIVE",
    )
    assert [(target.address, target.state) for target in observed.targets] == [("10.0.2.7", "healthy")]
    assert observed.target_group is not None
    assert (observed.target_group.path, observed.target_group.type) == ("/health", "ip")
    assert observed.balancer_groups == (account.good.ids["front"],)
    assert [rule.covers(5000) for group in observed.security_groups for rule in group.rules] == [True]
    assert [(alarm.name, alarm.state) for alarm in observed.alarms] == [("shine-5xx", "ALARM")]
    assert observed.unseen == ()


def test_the_container_that_the_load_balancer_names_is_looked_at(account: Account) -> None:
    def change(answer: dict[str, Any]) -> None:
        beside = [ROUTER, {**ADMIN, "portMappings": [{"containerPort": 5000}]}]
        answer["taskDefinition"]["containerDefinitions"][:0] = beside

    account.good.stand_in("ecs", "DescribeTaskDefinition", change)
    observed = account.look()
    assert observed.definition is not None
    assert (observed.definition.container, observed.definition.log_group) == ("shine", GROUP)
    assert set(observed.logs) == {account.ended, account.alive}
    assert observed.unseen == ()


def test_that_no_container_can_be_chosen_is_noted(account: Account) -> None:
    def change(answer: dict[str, Any]) -> None:
        answer["taskDefinition"]["containerDefinitions"] = [ROUTER, ADMIN, {**ADMIN, "name": "web"}]

    account.good.stand_in("ecs", "DescribeTaskDefinition", change)
    observed = account.look()
    assert observed.definition is not None
    assert (observed.definition.container, observed.definition.ports) == ("", ())
    [note] = observed.unseen
    assert note.startswith("The container: it cannot be determined which container serves. Of the containers ")
    assert 'none has the name "shine" that the load balancer sends to, and none maps port 5000' in note


def test_the_last_lines_of_what_failed_and_of_what_runs_are_read(account: Account) -> None:
    observed = account.look()
    assert set(observed.logs) == {account.ended, account.alive}
    for lines in observed.logs.values():
        assert [line.text for line in lines][-1] == "ValueError: no such thing"
        assert len(lines) == 30
        assert lines[-1].at is not None


def test_a_warning_is_kept_though_photos_have_written_many_lines_since(account: Account) -> None:
    def change(answer: dict[str, Any]) -> None:
        warning = {"timestamp": 1, "message": '{"level": "warning", "message": "weights cannot be loaded."}'}
        answer["events"] = [
            warning,
            *({"timestamp": 2, "message": f'{{"level": "info", "n": {n}}}'} for n in range(99)),
        ]

    account.good.stand_in("logs", "GetLogEvents", change)
    lines = [log.text for log in account.look().logs[account.alive]]
    assert "weights cannot be loaded" in lines[0]
    assert len(lines) == 31


def test_tasks_of_the_named_deployment_alone_are_looked_at(account: Account) -> None:
    observed = account.look(BEFORE)
    assert observed.deployment == BEFORE
    assert [item.id for item in observed.stopped] == [account.other]
    assert observed.running == ()
    assert observed.definition is not None  # though the service no longer knows the deployment


def test_what_was_over_before_does_not_count(account: Account) -> None:
    fail_with(account, 1)
    assert account.look(since=datetime.now(UTC) + timedelta(hours=1)).stopped == ()
    assert len(account.look(since=datetime.now(UTC) - timedelta(hours=1)).stopped) == 1


def test_a_deployment_that_was_rolled_back_is_looked_at_for_a_day_or_until_another_begins(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(answer: dict[str, Any]) -> None:
        (service,) = answer["services"]
        now = datetime.now(UTC)
        service["events"] = [
            {"createdAt": now, "message": f"(service {NAME}) rolling back to deployment {account.deployment}."},
            {"createdAt": now, "message": f"(service {NAME}) (deployment {BEFORE}) deployment failed: tasks failed."},
        ]

    account.good.stand_in("ecs", "DescribeServices", change)
    assert account.look().deployment == BEFORE
    assert account.look(DEPLOYMENT).deployment == DEPLOYMENT
    assert account.look(since=datetime.now(UTC) + timedelta(hours=1)).deployment == account.deployment
    with monkeypatch.context() as patch:
        patch.setattr(gathering, "HISTORY", timedelta(seconds=-60))  # as if a day had passed
        assert account.look().deployment == account.deployment

    def begin(answer: dict[str, Any]) -> None:
        later = datetime.now(UTC) + timedelta(seconds=60)
        answer["services"][0]["deployments"][0] |= {"id": DEPLOYMENT, "createdAt": later}

    account.good.stand_in("ecs", "DescribeServices", begin)
    assert account.look().deployment == DEPLOYMENT


def test_subnets_and_routes_are_asked_for_where_a_task_could_not_start(account: Account) -> None:
    asked: list[str] = []
    fail_with(account, 1)
    account.good.session.events.register("before-call.ec2", lambda model, **_: asked.append(model.name))
    account.look()
    assert asked == ["DescribeSecurityGroups"]

    def change(answer: dict[str, Any]) -> None:
        for task in answer["tasks"]:
            task.pop("startedAt", None)
            task["stoppedReason"] = "CannotPullContainerError: dial tcp: i/o timeout"

    account.good.stand_in("ecs", "DescribeTasks", change)
    observed = account.look()
    assert {subnet.way for subnet in observed.subnets} == {"nat"}
    assert all(subnet.free for subnet in observed.subnets)


def test_many_tasks_are_described_a_hundred_at_a_time(account: Account) -> None:
    sizes: list[int] = []
    arns = [f"arn:aws:ecs:us-east-1:123456789012:task/{CLUSTER}/{number:032x}" for number in range(260)]
    lists = iter([arns[:130], arns[130:]])  # of stopped and of running tasks
    account.good.stand_in("ecs", "ListTasks", lambda answer: answer.update(taskArns=next(lists)))
    account.good.session.events.register(
        "before-call.ecs.DescribeTasks", lambda params, **_: sizes.append(len(json.loads(params["body"])["tasks"]))
    )
    account.look()
    assert sizes == [100, 30, 100, 30]


def test_service_deployments_tell_of_breaker_and_alarms_where_the_endpoint_knows_them(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "UNKNOWN", set())
    answers = {
        "ListServiceDeployments": {"serviceDeployments": [{"serviceDeploymentArn": "arn:1"}]},
        "DescribeServiceDeployments": {
            "serviceDeployments": [
                {
                    "status": "ROLLBACK_SUCCESSFUL",
                    "statusReason": "Service deployment rolled back because the circuit breaker threshold was "
                    "exceeded.",
                    "deploymentCircuitBreaker": {"status": "TRIGGERED", "failureCount": 3, "threshold": 3},
                    "alarms": {"status": "TRIGGERED", "triggeredAlarmNames": ["shine-5xx"]},
                }
            ]
        },
    }

    def answer(model: Any, **_: Any) -> Any:
        return (AWSResponse("", 200, {}, None), answers[model.name])

    for name in answers:
        account.good.session.events.register(f"before-call.ecs.{name}", answer)
    (result,) = account.look().service_deployments
    assert (result.breaker, result.failures, result.alarms) == ("TRIGGERED", 3, ("shine-5xx",))


@pytest.mark.parametrize("operation", ["ListServiceDeployments", "DescribeServiceDeployments"])
def test_an_endpoint_that_knows_no_service_deployments_is_no_trouble(account: Account, operation: str) -> None:
    refuse(account.good, "ecs", operation, 400, "UnknownOperationException")
    observed = account.look()
    assert observed.service_deployments == ()
    assert observed.unseen == ()


@pytest.mark.parametrize(
    ("service", "operation"), [(item, name) for item, names in OPERATIONS.items() for name in names]
)
def test_a_missing_permission_is_named_and_hides_nothing_else(account: Account, service: str, operation: str) -> None:
    code = "AccessDenied" if service in ("elbv2", "cloudwatch") else "AccessDeniedException"
    refuse(account.good, service, operation, 403, code)
    observed = account.look()
    assert observed.unseen
    assert all(f"the credentials lack {PREFIX.get(service, service)}:{operation}" in item for item in observed.unseen)
    parts = {
        "DescribeServices": observed.service, "DescribeTargetHealth": observed.targets,
        "DescribeAlarms": observed.alarms,
        "DescribeTargetGroups": observed.target_group, "DescribeSecurityGroups": observed.security_groups,
        "DescribeTaskDefinition": observed.definition, "DescribeTasks": observed.stopped, "GetLogEvents": observed.logs,
    }  # fmt: skip
    follows = {"ListTasks": {"DescribeTasks", "GetLogEvents"}, "DescribeTasks": {"GetLogEvents"}}
    follows["DescribeTaskDefinition"] = {"GetLogEvents"}  # it names the streams
    dark = {name for name, part in parts.items() if not part}
    assert dark == ({operation} | follows.get(operation, set())) & parts.keys()
    assert diagnose(observed)


def test_a_service_that_may_not_be_seen_is_not_said_to_be_missing(account: Account) -> None:
    refuse(account.good, "ecs", "DescribeServices", 403, "AccessDeniedException")
    assert "SERVICE_MISSING" not in {item.code for item in diagnose(account.look())}


def test_what_is_missing_is_told_as_missing(account: Account) -> None:
    good = account.good
    good.replan(service="another", log_group="/ecs/another")
    assert diagnose(account.look())[0].code == "SERVICE_MISSING"
    good.replan(cluster="another")
    assert diagnose(account.look())[0].code == "CLUSTER_MISSING"


def test_a_log_group_that_is_gone_is_told_once_a_log(account: Account) -> None:
    refuse(account.good, "logs", "GetLogEvents", 400, "ResourceNotFoundException")
    assert account.look().unseen == ()  # a stream that is not there yet is no trouble

    account.good.stand_in(
        "logs", "GetLogEvents", lambda answer: answer["Error"].update(Message="The specified log group does not exist.")
    )
    assert f"the log group {GROUP} does not exist" in account.look().unseen[0]


def test_credentials_that_are_no_good_end_the_whole(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(account.good, "ecs", "DescribeClusters", 403, "ExpiredTokenException")
    with pytest.raises(NoCredentials, match="ExpiredToken"):
        account.look()
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    clients = Clients(account.good.plan.region, writes=False)
    with pytest.raises(NoCredentials, match="there are no AWS credentials here"):
        gather(clients, account.good.plan)


def test_an_endpoint_that_does_not_answer_is_asked_once_and_hides_nothing(
    account: Account, retry_delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = "http://127.0.0.1:9"
    monkeypatch.setenv("AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", endpoint)
    observed = account.look()
    assert observed.service is not None
    assert observed.alarms
    assert observed.unseen == (
        f"The target group: {endpoint} does not answer (EndpointConnectionError).",
        f"Health of the targets: {endpoint} does not answer (EndpointConnectionError).",
    )
    assert len(retry_delays) == 7  # of the first of the two alone


def test_a_network_that_is_down_is_not_waited_for_again_and_again(
    account: Account, retry_delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    ecs, others = "http://127.0.0.1:9", "http://127.0.0.1:10"
    monkeypatch.setenv("AWS_ENDPOINT_URL", others)
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", ecs)
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:11")
    evidence = account.look()
    assert [cause.code for cause in diagnose(evidence)] == ["NOT_SEEN"]
    assert f"The cluster: {ecs} does not answer (EndpointConnectionError)." in evidence.unseen
    assert f"The target group: {others} does not answer (EndpointConnectionError)." in evidence.unseen
    assert f"The security groups: {ecs} does not answer (EndpointConnectionError)." in evidence.unseen  # not tried
    assert len(retry_delays) == 14


def test_throttling_is_waited_out(account: Account, retry_delays: list[float]) -> None:
    refuse(account.good, "ecs", "DescribeServices", 400, "ThrottlingException", times=1)
    assert account.look().unseen == ()
    assert retry_delays


def test_every_call_only_reads(account: Account) -> None:
    names: set[str] = set()
    account.good.session.events.register("before-call", lambda model, **_: names.add(model.name))
    account.look()
    assert {name for name in names if not name.startswith(("Describe", "List", "Get"))} == set()
    assert len(names) >= 11


def test_no_secret_is_kept(account: Account, tmp_path: Path) -> None:
    save(account.look(), tmp_path / "evidence.json")
    kept = (tmp_path / "evidence.json").read_text()
    assert SECRET not in kept
    assert "calling with [hidden]" in kept
    assert '"UPSTREAM_TOKEN": "[hidden]"' in kept


def test_evidence_is_the_same_when_it_is_read_again(account: Account, tmp_path: Path) -> None:
    observed = account.look()
    save(observed, tmp_path / "evidence.json")
    assert read(tmp_path / "evidence.json") == observed


@pytest.mark.parametrize("content", ["", "no JSON", "[]", '{"stopped": 5}', '{"events": [{"at": "never"}]}'])
def test_a_file_that_is_no_evidence_is_refused_in_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "e.json").write_text(content)
    with pytest.raises(EvidenceError, match=r"e\.json"):
        read(tmp_path / "e.json")


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="cannot be written: No such file"):
        save(Evidence(), tmp_path / "no" / "e.json")
