"""deploy/infra/infra.yaml: what stands in it, and what its linters say."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint
from cfnlint.context.parameters import ParameterSet

from bentos.skin.runtime.emf import DIMENSION, NAMESPACE
from bentos.skin.settings import HEALTH_PATH
from deploy.config.image_contract import own as contract
from deploy.infra.parameters import TEMPLATE, parameters, template
from tests.deploy.infra_plans import infras, plan, weights

MOST_BYTES = 51_200  # that CloudFormation takes in a request
RESOURCES: dict[str, dict[str, Any]] = template()["Resources"]
PARAMETERS: dict[str, dict[str, Any]] = template()["Parameters"]


def of(kind: str) -> dict[str, dict[str, Any]]:
    """Resources of a kind, by name."""
    result = {name: item for name, item in RESOURCES.items() if item["Type"] == kind}
    assert result, f"no {kind}"
    return result


def properties(name: str) -> dict[str, Any]:
    """The properties of a resource."""
    return dict(RESOURCES[name]["Properties"])


def statements(name: str) -> dict[str, dict[str, Any]]:
    """The statements of a role's only policy, by their Sid; conditional ones as if they were there."""
    (policy,) = properties(name)["Policies"]
    plain = [item["Fn::If"][1] if "Fn::If" in item else item for item in policy["PolicyDocument"]["Statement"]]
    return {item["Sid"]: item for item in plain}


def test_cfn_lint_finds_nothing_in_regions_near_and_far() -> None:
    regions = ["us-east-1", "eu-central-1", "us-gov-west-1"]
    assert [str(item) for item in lint(TEMPLATE.read_text(), config=ManualArgs(regions=regions))] == []


# Every day those that have each of the template's resources once, or each adopted once.
BROAD = ("private-nat", "existing", "hosted zone", "everything adopted")


@pytest.mark.parametrize(
    "name", [pytest.param(infra, marks=() if infra in BROAD else pytest.mark.long) for infra in infras()]
)
def test_cfn_lint_finds_nothing_with_the_parameters_of(name: str) -> None:
    filled = parameters(plan(infras()[name], **weights(name)), contract())
    given = {item["ParameterKey"]: item["ParameterValue"] for item in filled}
    config = ManualArgs(regions=["us-east-1"], parameters=[ParameterSet(source=None, parameters=given)])
    assert [str(item) for item in lint(TEMPLATE.read_text(), config=config)] == []


@pytest.mark.skipif(shutil.which("checkov") is None, reason="checkov is not installed (requirements/checkov.in)")
def test_checkov_finds_nothing(tmp_path: Path) -> None:
    command = [
        "checkov",
        "--file",
        str(TEMPLATE),
        "--framework",
        "cloudformation",
        "--output",
        "json",
        "--skip-download",
    ]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "LOG_LEVEL": "ERROR"},
    )
    output = json.loads(ended.stdout)
    assert [(check["check_id"], check["resource"]) for check in output["results"]["failed_checks"]] == []
    assert output["summary"]["passed"] > 30, "it read the template at all"


def test_each_exception_from_checkov_has_a_reason() -> None:
    skipped = [
        entry for item in RESOURCES.values() for entry in item.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert len(skipped) == 7
    assert all(re.fullmatch(r"CKV2?_AWS_\d+", item["id"]) and len(item["comment"].split()) > 5 for item in skipped)


def test_it_fits_into_a_request() -> None:
    assert len(TEMPLATE.read_bytes()) <= MOST_BYTES


def test_the_service_and_its_task_definitions_are_not_in_it() -> None:
    kinds = {item["Type"] for item in RESOURCES.values()}
    assert not kinds & {
        "AWS::ECS::Service",
        "AWS::ECS::TaskDefinition",
        "AWS::ECS::TaskSet",
        "AWS::ECS::PrimaryTaskSet",
    }
    assert not [kind for kind in kinds if "AutoScaling" in kind], "what scales the service is the rollout's"


def test_no_number_of_the_contract_stands_in_it_twice() -> None:
    text = re.sub(r"#.*", "", TEMPLATE.read_text())
    assert not re.search(rf"\b{contract().port}\b", text)
    assert HEALTH_PATH not in text.replace("Health", "")
    assert all("Default" not in PARAMETERS[name] for name in ("ContainerPort", "HealthPath", "IdleTimeout"))


def test_every_parameter_says_what_it_is_and_every_one_is_filled() -> None:
    filled = [parameter["ParameterKey"] for parameter in parameters(plan(infras()["public"]), contract())]
    assert sorted(filled) == sorted(PARAMETERS)
    assert all(len(item["Description"]) > 5 for item in PARAMETERS.values())
    loose = {
        name for name, item in PARAMETERS.items() if not item.keys() & {"AllowedPattern", "AllowedValues", "MinValue"}
    }
    assert loose == {"LatencySeconds"}


def test_the_target_group_asks_as_the_facts_say() -> None:
    one = properties("TargetGroup")
    assert one["TargetType"] == "ip"
    assert one["Port"] == {"Ref": "ContainerPort"}
    assert one["HealthCheckPath"] == {"Ref": "HealthPath"}
    assert one["HealthCheckIntervalSeconds"] == 15
    assert (one["HealthyThresholdCount"], one["UnhealthyThresholdCount"]) == (2, 3)
    assert one["Matcher"] == {"HttpCode": "200"}
    assert "Name" not in one, "a target group with a name cannot be replaced"


def test_http_is_redirected_and_https_is_nothing_old() -> None:
    (action,) = properties("RedirectListener")["DefaultActions"]
    assert action["RedirectConfig"] == {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    assert properties("HttpsListener")["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2")


def test_tasks_are_reached_on_the_container_port_by_the_load_balancer_alone() -> None:
    assert "SecurityGroupIngress" not in properties("TaskGroup")
    (ingress,) = [item["Properties"] for item in of("AWS::EC2::SecurityGroupIngress").values()]
    assert ingress["GroupId"] == {"Ref": "TaskGroup"}
    assert ingress["FromPort"] == ingress["ToPort"] == {"Ref": "ContainerPort"}
    assert ingress["SourceSecurityGroupId"] == {
        "Fn::If": ["MakesLoadBalancer", {"Ref": "LoadBalancerGroup"}, {"Ref": "AdoptedLoadBalancerGroup"}]
    }
    assert not ingress.keys() & {"CidrIp", "CidrIpv6", "SourcePrefixListId"}


def test_the_load_balancer_opens_connections_to_tasks_alone() -> None:
    (egress,) = properties("LoadBalancerGroup")["SecurityGroupEgress"]
    assert egress["DestinationSecurityGroupId"] == {"Ref": "TaskGroup"}
    assert egress["FromPort"] == egress["ToPort"] == {"Ref": "ContainerPort"}


def test_a_private_vpc_without_nat_reaches_image_log_secret_and_weights() -> None:
    endpoints = of("AWS::EC2::VPCEndpoint").values()
    by_service = {
        endpoint["Properties"]["ServiceName"]["Fn::Sub"].partition("}.")[2]: endpoint for endpoint in endpoints
    }
    assert set(by_service) == {"s3", "ecr.api", "ecr.dkr", "logs", "secretsmanager"}
    assert by_service.pop("s3")["Condition"] == "MakesVpc"
    assert {item["Condition"] for item in by_service.values()} == {"MakesEndpoints"}
    assert all(item["Properties"]["PrivateDnsEnabled"] is True for item in by_service.values())


def test_the_repository_has_immutable_tags_and_scans_what_is_pushed() -> None:
    one = properties("Repository")
    assert one["ImageTagMutability"] == "IMMUTABLE"
    assert one["ImageScanningConfiguration"] == {"ScanOnPush": True}
    (rule,) = json.loads(one["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert rule["selection"]["tagStatus"] == "untagged", "an image with a tag may be what a rollback needs"


def test_the_two_roles_are_two_and_neither_may_what_the_other_must() -> None:
    task, execution = statements("TaskRole"), statements("ExecutionRole")
    assert len(of("AWS::IAM::Role")) == 2
    allowed = {
        "TaskRole": {"s3:GetObject", "s3:ListBucket", "kms:Decrypt"},
        "ExecutionRole": {
            "ecr:GetAuthorizationToken",
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "secretsmanager:GetSecretValue",
            "kms:Decrypt",
        },
    }
    for role, result in (("TaskRole", task), ("ExecutionRole", execution)):
        actions = [item["Action"] for item in result.values()]
        flat = {action for item in actions for action in ([item] if isinstance(item, str) else item)}
        assert flat == allowed[role]
        assert not any("*" in action for action in flat)
        assert "ManagedPolicyArns" not in properties(role)
    assert [name for name, item in (task | execution).items() if item["Resource"] == "*"] == ["LogIn"]


def test_the_task_role_reads_the_weights_prefix_and_lists_nothing_beside_it() -> None:
    result = statements("TaskRole")
    assert result["Read"]["Resource"]["Fn::Sub"].endswith(":s3:::${WeightsBucketName}/${WeightsPrefix}/*")
    listed = result["TellMissingFromForbidden"]
    assert listed["Resource"]["Fn::Sub"].endswith(":s3:::${WeightsBucketName}")
    assert listed["Condition"]["StringLike"]["s3:prefix"] == [
        {"Ref": "WeightsPrefix"},
        {"Fn::Sub": "${WeightsPrefix}/*"},
    ]


def test_the_bucket_is_versioned_encrypted_closed_and_takes_tls_alone() -> None:
    one = properties("WeightsBucket")
    assert one["VersioningConfiguration"] == {"Status": "Enabled"}
    assert one["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert set(one["PublicAccessBlockConfiguration"].values()) == {True}
    (statement,) = properties("WeightsPolicy")["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(statement["Resource"]) == 2, "the bucket and what lies in it"


@pytest.mark.parametrize("name", ["WeightsBucket", "Repository", "LogGroup", "ApiKeys"])
def test_what_holds_the_only_copy_outlives_the_stack(name: str) -> None:
    assert RESOURCES[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


def test_each_alarm_wakes_somebody_and_says_so_when_it_is_over() -> None:
    somebody = [{"Fn::If": ["MakesTopic", {"Ref": "Topic"}, {"Ref": "AdoptedTopicArn"}]}]
    for name, alarm in of("AWS::CloudWatch::Alarm").items():
        assert alarm["Properties"]["AlarmActions"] == alarm["Properties"]["OKActions"] == somebody, name
    assert properties("Subscription")["Endpoint"] == {"Ref": "AlarmEmail"}
    somebody_is_woken = template()["Rules"]["SomebodyIsWoken"]
    assert "RuleCondition" not in somebody_is_woken


def test_alarms_watch_5xx_p95_unhealthy_hosts_degradation_and_tasks_that_lack() -> None:
    names = {
        item["Properties"]["AlarmName"]["Fn::Sub"].partition("}-")[2] for item in of("AWS::CloudWatch::Alarm").values()
    }
    degraded = {"degraded-hybrid", "degraded-foundation", "degraded-full"}
    assert names == {"5xx", "elb-5xx", "p95", "unhealthy-hosts", "below-desired"} | degraded


@pytest.mark.parametrize("phase", ["hybrid", "foundation", "full"])
def test_the_degraded_share_is_the_metric_that_the_service_writes(phase: str) -> None:
    one = properties(f"Degraded{phase.capitalize()}Alarm")
    assert (one["Namespace"], one["MetricName"], one["Statistic"]) == (NAMESPACE, "Degraded", "Average")
    assert one["Dimensions"] == [{"Name": DIMENSION, "Value": phase}]
    assert one["Threshold"] == {"Ref": f"DegradedRatio{phase.capitalize()}"}


def test_the_alarms_that_stop_a_rollout_are_named_in_an_output() -> None:
    named = re.findall(r"\$\{(\w+)\}", template()["Outputs"]["RolloutAlarms"]["Value"]["Fn::Sub"])
    assert set(named) <= set(of("AWS::CloudWatch::Alarm"))
    assert all("Condition" not in RESOURCES[name] for name in named), "one that may be missing cannot be named"


def test_the_dashboard_is_json() -> None:
    body, _ = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(re.sub(r"\$\{[^}]+\}", "x", body))["widgets"]
    assert len({(widget["x"], widget["y"]) for widget in widgets}) == len(widgets) == 6
