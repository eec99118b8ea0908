"""`trail infra` against moto's server over HTTP.

What this leaves unproven: moto's CloudFormation skips alarms, certificates, secrets, bucket policies, subscriptions,
attributes of target groups and the versioning of buckets; it knows no Rules, tells no replacements
and never fails halfway. That AWS takes all of it is shown by cfn-lint alone; replacements and failures are tried in
test_infra_stack.py.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import yaml
from botocore.config import Config
from moto.cloudformation.models import ChangeSet
from moto.cloudformation.parsing import OutputMap
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import EmptyResult
from moto.elbv2.models import FakeTargetGroup
from moto.server import ThreadedMotoServer

from deploy import exit_codes as exits
from deploy.aws import clients
from deploy.aws import cloudformation as stack
from deploy.cli import main as cli
from deploy.config.image_contract import own as contract
from deploy.config.plan import parse
from deploy.infra import apply as infra
from deploy.infra.parameters import TEMPLATE, template
from tests.deploy.infra_plans import ACCOUNT, REGION, content, infras, plan, weights
from tests.s3 import CREDENTIALS

pytestmark = pytest.mark.filterwarnings(
    "ignore:Tried to parse AWS",  # of what it skips
    "ignore:Unable to delete",
)
# moto makes no certificates, and then no listener; that choice is linted only.
APPLICABLE = [name for name in infras() if name != "hosted zone"]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Endpoint of an AWS of one's own."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def aws(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A session with it, empty, found by the environment alone."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": server}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stack, "POLL_S", 0.01)
    teach(monkeypatch)
    httpx.post(f"{server}/moto-api/reset").raise_for_status()
    return boto3.Session()


def teach(monkeypatch: pytest.MonkeyPatch) -> None:
    """What moto lacks: a target group's attributes in templates, a change set's outputs, protection of a stack."""
    monkeypatch.setattr(CloudFormationResponse, "update_termination_protection", lambda _: EmptyResult(), raising=False)
    full_name = lambda self, _: self.arn.rpartition(":")[2]  # noqa: E731
    monkeypatch.setattr(FakeTargetGroup, "get_cfn_attribute", full_name, raising=False)
    as_it_was = ChangeSet.apply

    def apply(self: ChangeSet) -> None:
        as_it_was(self)
        self.stack.output_map = OutputMap(self.stack.resource_map, self.template_dict, self.stack_id)

    monkeypatch.setattr(ChangeSet, "apply", apply)


def made(aws: Any, found: Any) -> dict[str, str]:
    """Outputs after applying."""
    outputs = infra.apply(aws, found, contract(), lambda _: True, lambda _: None)
    assert outputs is not None
    return outputs


def certificate(aws: Any) -> str:
    """One that is there; moto looks."""
    return str(
        aws.client("acm", region_name=REGION).request_certificate(DomainName="skin.example.com")["CertificateArn"]
    )


def ready(aws: Any, name: str) -> Any:
    """A plan of that name, with what it adopts really there."""
    chosen = dict(infras()[name])
    ec2 = aws.client("ec2", region_name=REGION)
    network: dict[str, Any] = {}
    if chosen["vpc"] == "existing":
        vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{n}.0/24", AvailabilityZone=f"{REGION}{'ab'[n % 2]}")
            for n in range(4)
        ]
        ids = [subnet["Subnet"]["SubnetId"] for subnet in subnets]
        chosen |= {"vpc_id": vpc, "load_balancer_subnets": ids[:2]}
        network = {"network": {"subnets": ids[2:], "security_groups": ["sg-0a1b2c3d4e5f60716"]}}
    if "load_balancer" in chosen.get("adopt", {}):
        group = ec2.create_security_group(GroupName="ours", Description="ours", VpcId=vpc)["GroupId"]
        elb = aws.client("elbv2", region_name=REGION)
        balancer = elb.create_load_balancer(Name="ours", Subnets=ids[:2])["LoadBalancers"][0]["LoadBalancerArn"]
        adopted = {"load_balancer": balancer, "load_balancer_group": group}
        if "listener" in chosen["adopt"]:
            action = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
            listener = elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=443, DefaultActions=action)
            adopted["listener"] = listener["Listeners"][0]["ListenerArn"]
        chosen["adopt"] = chosen["adopt"] | adopted
    if "certificate" in chosen["adopt"]:
        chosen["adopt"] = chosen["adopt"] | {"certificate": certificate(aws)}
    return plan(chosen, **network, **weights(name))


@pytest.mark.parametrize("name", APPLICABLE)
def test_each_choice_is_applied_and_then_nothing_is_left_to_do(aws: Any, name: str) -> None:
    result = ready(aws, name)
    outputs = made(aws, result)
    assert {"Subnets", "SecurityGroup", "TargetGroup", "Listener", "TaskRole", "ExecutionRole"} <= set(outputs)
    assert outputs["TaskRole"] != outputs["ExecutionRole"]
    kinds = {
        resource.get("ResourceType")
        for resource in aws.client("cloudformation", region_name=REGION).describe_stack_resources(
            StackName="shine-api-gateway-infra"
        )["StackResources"]
    }
    assert ("AWS::EC2::VPC" in kinds) == (result.infra.vpc != "existing")
    assert ("AWS::EC2::NatGateway" in kinds) == (result.infra.vpc == "private-nat")
    adopt = result.infra.adopt
    assert ("AWS::ECS::Cluster" in kinds) == (adopt.cluster is None)
    assert ("AWS::ECR::Repository" in kinds) == (adopt.repository is None)
    assert ("AWS::S3::Bucket" in kinds) == (adopt.weights_bucket is None)
    assert ("AWS::Logs::LogGroup" in kinds) == (adopt.log_group is None)
    assert ("AWS::ElasticLoadBalancingV2::LoadBalancer" in kinds) == (adopt.load_balancer is None)
    assert ("AWS::ElasticLoadBalancingV2::ListenerRule" in kinds) == (adopt.listener is not None)
    assert infra.diff(aws, result, contract()) == []


def test_what_stands_there_then_is_what_the_template_says(aws: Any) -> None:
    outputs = made(aws, ready(aws, "private-nat"))
    elb, ec2 = aws.client("elbv2", region_name=REGION), aws.client("ec2", region_name=REGION)
    (group,) = elb.describe_target_groups(TargetGroupArns=[outputs["TargetGroup"]])["TargetGroups"]
    assert (group["Port"], group["HealthCheckPath"], group["TargetType"]) == (5000, "/health", "ip")
    assert (group["HealthCheckIntervalSeconds"], group["Matcher"]["HttpCode"]) == (15, "200")
    (tasks,) = ec2.describe_security_groups(GroupIds=[outputs["SecurityGroup"]])["SecurityGroups"]
    (rule,) = tasks["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (5000, 5000, [])
    assert len(rule["UserIdGroupPairs"]) == 1
    subnets = ec2.describe_subnets(SubnetIds=outputs["Subnets"].split(","))["Subnets"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 2
    (repository,) = aws.client("ecr", region_name=REGION).describe_repositories()["repositories"]
    assert (repository["imageTagMutability"], repository["repositoryName"]) == ("IMMUTABLE", "shine-api-gateway")
    bucket = outputs["Weights"].removeprefix("s3://").partition("/")[0]
    assert [item["Name"] for item in aws.client("s3").list_buckets()["Buckets"]] == [bucket]
    (log,) = aws.client("logs", region_name=REGION).describe_log_groups()["logGroups"]
    assert (log["logGroupName"], log["retentionInDays"]) == ("/ecs/shine-api-gateway", 30)


def test_a_diff_says_what_would_be_added_and_leaves_nothing_behind(aws: Any) -> None:
    changes = infra.diff(aws, ready(aws, "public"), contract())
    assert {change.verb for change in changes} == {"add"}
    assert "  add TargetGroup (ElasticLoadBalancingV2::TargetGroup)" in [change.describe() for change in changes]
    cloud = aws.client("cloudformation", region_name=REGION)
    live = [summary for summary in cloud.list_stacks()["StackSummaries"] if summary["StackStatus"] != "DELETE_COMPLETE"]
    assert live == []
    assert aws.client("ecr", region_name=REGION).describe_repositories()["repositories"] == []


def test_a_changed_parameter_is_a_change_and_refused_it_leaves_the_stack_alone(aws: Any) -> None:
    first = ready(aws, "public")
    made(aws, first)
    cloud = aws.client("cloudformation", region_name=REGION)
    later = first.model_copy(update={"infra": first.infra.model_copy(update={"log_retention_days": 90})})
    asked: list[Any] = []

    def refuse(changes: Any) -> bool:
        asked.append(changes)
        return False

    assert infra.apply(aws, later, contract(), refuse, lambda _: None) is None
    assert len(asked) == 1
    waiting = cloud.list_change_sets(StackName="shine-api-gateway-infra")["Summaries"]
    assert not [item for item in waiting if item["ExecutionStatus"] == "AVAILABLE"]
    logs = aws.client("logs", region_name=REGION)
    assert logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 30


def test_credentials_of_another_account_are_refused_before_anything_is_asked(aws: Any) -> None:
    with pytest.raises(stack.StackError, match=f"for account {ACCOUNT}, the plan is for 999999999999"):
        infra.diff(aws, plan(infras()["public"], account="999999999999"), contract())


def run(*arguments: str) -> int:
    """The command, as a shell would."""
    return cli.main(["infra", *arguments])


@pytest.fixture
def written(tmp_path: Path, aws: Any) -> Path:
    """trail.yaml of a team that has nothing yet but a certificate."""
    result = content(infras()["public"] | {"adopt": {"certificate": certificate(aws)}})
    for part in ("network", "roles", "load_balancer"):
        del result[part]
    path = tmp_path / "trail.yaml"
    path.write_text(yaml.safe_dump(result))
    return path


def test_a_team_with_nothing_gets_the_rest_of_its_plan(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("diff", "--plan", str(written)) == exits.FOUND
    assert "  add Repository (ECR::Repository)" in capsys.readouterr().out
    assert run("apply", "--plan", str(written)) == exits.FOUND
    assert "Not a terminal; pass --yes" in capsys.readouterr().err
    assert run("apply", "--plan", str(written), "--yes") == exits.FINE
    message = capsys.readouterr()
    output = message.out.partition("trail.yaml must say:\n")[2]
    whole = parse(yaml.safe_load(written.read_text()) | yaml.safe_load(output), "trail.yaml")
    assert whole.network.assign_public_ip is True, "no NAT, no endpoints: without it no image is pulled"
    assert whole.roles.task != whole.roles.execution
    assert len(whole.alarms) == 6, "5xx, p95, unhealthy hosts, and degradation in each of three phases"
    assert run("diff", "--plan", str(written)) == exits.FINE
    assert "no changes" in capsys.readouterr().out


def test_the_alarms_that_stop_a_rollout_go_into_the_plan_by_name() -> None:
    outputs = dict.fromkeys(template()["Outputs"], "x") | {"RolloutAlarms": "shine-5xx,shine-p95"}
    output = yaml.safe_load(infra.snippet(plan(infras()["public"]), outputs))
    assert output["alarms"] == ["shine-5xx", "shine-p95"]


def codes(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The codes of the findings that a command ended with, from its JSON."""
    output = json.loads(capsys.readouterr().out)
    assert output["ok"] is False
    return [finding["code"] for finding in output["findings"]]


def test_a_stack_that_cannot_be_changed_is_told_to_people_and_programs(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = yaml.safe_load(written.read_text()) | {"account": "999999999999"}
    written.write_text(yaml.safe_dump(result))
    for command in ("diff", "apply"):
        assert run(command, "--plan", str(written)) == exits.FOUND
        output = capsys.readouterr()
        assert output.err == f"trail: These credentials are for account {ACCOUNT}, the plan is for 999999999999.\n"
        assert output.out == ""
        assert run(command, "--plan", str(written), "--json") == exits.FOUND
        assert codes(capsys) == ["STACK_REFUSED"]


def test_an_interruption_says_that_aws_goes_on(
    written: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(infra, "apply", interrupted)
    assert run("apply", "--plan", str(written)) == exits.INTERRUPTED
    assert "What was started goes on at AWS" in capsys.readouterr().err


def test_programs_get_json(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("diff", "--plan", str(written), "--json") == exits.FOUND
    shown = json.loads(capsys.readouterr().out)
    assert {"verb", "name", "kind", "physical", "details", "kept"} == set(shown["changes"][0])
    assert run("apply", "--plan", str(written), "--json", "--yes") == exits.FINE
    applied = json.loads(capsys.readouterr().out)
    assert applied["applied"] is True
    assert applied["outputs"]["TargetGroup"].startswith("arn:aws:elasticloadbalancing:")


def test_the_template_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("template") == exits.FINE
    assert capsys.readouterr().out == TEMPLATE.read_text()
    assert run("template", "--json") == exits.FINE
    assert json.loads(capsys.readouterr().out)["Resources"].keys() == template()["Resources"].keys()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--plan", "nowhere.yaml"], "nowhere.yaml does not exist"),
        (["--contract", "nowhere.json"], "nowhere.json cannot be read"),
        (["--contract", __file__], "is not JSON"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(
    written: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("diff", "--plan", str(written), *arguments) == exits.FOUND
    ended = capsys.readouterr()
    assert (said in ended.err, ended.out) == (True, "")
    assert run("diff", "--plan", str(written), *arguments, "--json") == exits.FOUND
    assert codes(capsys) == ["INPUT_UNUSABLE"]


def test_without_credentials_or_aws_a_sentence_says_so(
    written: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_CONFIG_FILE": "x",
        "AWS_SHARED_CREDENTIALS_FILE": "x",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    assert run("diff", "--plan", str(written)) == exits.FOUND
    assert "no AWS credentials" in capsys.readouterr().err
    assert run("diff", "--plan", str(written), "--json") == exits.FOUND
    assert codes(capsys) == ["CREDENTIALS"]
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(clients, "CONFIG", clients.CONFIG.merge(Config(retries={"total_max_attempts": 1})))
    assert run("diff", "--plan", str(written)) == exits.FOUND
    assert "AWS cannot be asked: http://127.0.0.1:9" in capsys.readouterr().err
