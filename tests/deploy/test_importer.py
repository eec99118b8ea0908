"""A plan out of a service that runs: what it holds, what stays open and says so, and that no secret gets into it."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.awsrequest import AWSResponse

from deploy import exit_codes as exits
from deploy import importer as begin
from deploy.cli import main as cli
from deploy.cli.plan import EXAMPLE
from deploy.config import image_contract as contracts
from deploy.config import plan as plans
from deploy.importer.values import ImportedValues
from deploy.taskdef import render
from tests.deploy.aws import REPOSITORY, Good
from tests.deploy.invalid_taskdefs import ADMIN, ROUTER
from tests.deploy.test_account_checks import bundle, good, image_contract, shared_account

__all__ = ["bundle", "good", "image_contract", "shared_account"]  # fixtures

SERVICE = "shine-ml-cluster/shine-api-gateway"
RESOURCE = f"service/{SERVICE}"
SCALED: dict[str, Any] = {
    "ServiceNamespace": "ecs",
    "ResourceId": RESOURCE,
    "ScalableDimension": "ecs:service:DesiredCount",
}
PLAIN_KEY = "shine_never-to-be-copied-0123456789abcdef"


@pytest.fixture
def here(good: Good, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder; the account is found as `trail` finds it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(boto3, "Session", lambda **_: good.session)
    return tmp_path


def run_phase(good: Good, phase: Any = "full", **variables: str) -> dict[str, Any]:
    """Let the service run a phase of the account's plan, with more variables; its task definition."""
    image = render.image_reference(good.plan, good.ids["digest"])
    task = render.render(good.plan, contracts.builtin(), image, phase)
    for name, value in variables.items():
        task["containerDefinitions"][0]["environment"].append({"name": name, "value": value})
    good.task_definition = task
    good.rewire(containerName=good.plan.service)
    return task


def scale(good: Good) -> None:
    """Two to nine tasks, by CPU and by requests."""
    scaling = good.client("application-autoscaling")
    scaling.register_scalable_target(**SCALED, MinCapacity=2, MaxCapacity=9)
    for name, metric, value in (
        ("a", "ECSServiceAverageCPUUtilization", 55.0),
        ("b", "ALBRequestCountPerTarget", 240.0),
    ):
        tracking = {"TargetValue": value, "PredefinedMetricSpecification": {"PredefinedMetricType": metric}}
        scaling.put_scaling_policy(
            **SCALED,
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=tracking,
        )


def run(capsys: Any, *words: str) -> tuple[int, str, str]:
    code = cli.main(["init", *words])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_a_whole_service_becomes_a_plan_that_renders_what_runs(good: Good, here: Path, capsys: Any) -> None:
    good.replan(settings={"SHINE_LOG_EMF": "true", "SHINE_THREADS": "2"}, health={"interval": 15, "start_period": 90})
    running = run_phase(good)
    scale(good)
    code, out, _ = run(capsys, "--from-service", SERVICE)
    assert (code, "TODO" in out) == (exits.FINE, False), out
    made = plans.read(here / "trail.yaml")
    image = render.image_reference(made, good.ids["digest"])
    assert render.render(made, contracts.builtin(), image, "full") == running
    assert (made.size.tasks, made.size.most_tasks) == (2, 9)
    assert (made.autoscaling.cpu_percent, made.autoscaling.requests_per_target) == (55, 240)
    assert made.network == good.plan.network
    assert made.load_balancer == good.plan.load_balancer
    assert (made.domain, made.front_end) == ("https://api.example.com", "https://www.example.com")
    assert (made.weights, made.deregistration_delay) == (good.plan.weights, 30)
    assert made.settings == {"SHINE_LOG_EMF": "true", "SHINE_THREADS": "2"}


def test_its_comments_are_those_of_the_example(good: Good, here: Path, capsys: Any) -> None:
    run_phase(good)
    scale(good)
    run(capsys, "--from-service", SERVICE)
    made = (here / "trail.yaml").read_text().splitlines()
    example = EXAMPLE.read_text().splitlines()
    comments = [line.rpartition(" #")[2] for line in example if " #" in line and "SHINE_" not in line]
    assert len(comments) > 20
    assert [comment for comment in comments if not any(comment in line for line in made)] == []
    assert made[0] == f"# Read from the service {SERVICE} in us-east-1; what says TODO could not be found there."


@pytest.mark.usefixtures("here")
def test_nothing_is_changed_at_aws(good: Good, capsys: Any) -> None:
    run_phase(good)
    names: set[str] = set()
    good.session.events.register("before-call", lambda model, **_: names.add(model.name))
    run(capsys, "--from-service", SERVICE)
    assert {name for name in names if not name.startswith(("Describe", "List", "Get"))} == set()
    assert {"DescribeServices", "DescribeTaskDefinition", "DescribeTargetGroups", "DescribeScalableTargets"} <= names


def test_what_could_not_be_found_stays_open_and_is_said(good: Good, here: Path, capsys: Any) -> None:
    good.replan(weights=None, secrets={})
    run_phase(good, "simple")
    good.client("elbv2").delete_listener(ListenerArn=good.ids["https"])
    code, out, _ = run(capsys, "--from-service", SERVICE)
    assert code == exits.FOUND
    text = (here / "trail.yaml").read_text()
    for place in ("load_balancer.listener", "domain", "weights", "secrets", "size.most_tasks"):
        assert f"TODO  {place}: " in out
        assert f"# TODO {place.rpartition('.')[2]}: " in text
    assert "# domain: https://api.shine.example" in text, "the example shows how it is written"
    assert "The plan is not complete yet: trail.yaml: domain: Field required." in out
    result = yaml.safe_load(text)
    assert not {"domain", "weights", "secrets"} & result.keys()
    assert result["size"] == {"cpu": 1024, "memory": 2048, "architecture": "X86_64", "tasks": 2}


def test_a_secret_in_plain_is_refused_and_told_and_nowhere_written(good: Good, here: Path, capsys: Any) -> None:
    good.replan(secrets={})
    run_phase(good, SHINE_API_KEYS=PLAIN_KEY, DB_PASSWORD=PLAIN_KEY, SOME_URL=f"https://me:{PLAIN_KEY}@example.com")
    code, out, err = run(capsys, "--from-service", SERVICE)
    assert code == exits.FOUND
    assert PLAIN_KEY not in (here / "trail.yaml").read_text() + out + err
    output = " ".join(out.split())
    assert "SHINE_API_KEYS is a secret of the image, but its value is written in environment." in output
    assert '"DB_PASSWORD" looks like a secret' in output
    assert "no settings of the image: DB_PASSWORD, SOME_URL" in out
    assert "TODO  secrets: The task definition names no secret" in out


@pytest.mark.usefixtures("here")
def test_programs_get_json(good: Good, capsys: Any) -> None:
    run_phase(good, SHINE_API_KEYS=PLAIN_KEY)
    code, out, _ = run(capsys, "--from-service", SERVICE, "--json")
    result = json.loads(out)
    assert code == exits.FOUND
    assert (result["written"], result["loads"]) == ("trail.yaml", True)
    assert result["todo"].keys() == {"size.most_tasks"}
    assert [finding["code"] for finding in result["findings"]] == ["SECRET_IN_PLAIN"]


def test_a_file_that_is_there_stays_and_nobody_is_asked(good: Good, here: Path, capsys: Any) -> None:
    (here / "trail.yaml").write_text("mine")
    good.session.events.register("before-call", lambda model, **_: pytest.fail(f"{model.name} was asked"))
    code, _, err = run(capsys, "--from-service", SERVICE)
    assert (code, "stays as it is" in err) == (2, True)
    assert (here / "trail.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--from-service", "shine-ml-cluster/nothing"], "There is no service nothing in the cluster shine-ml-cluster"),
        (["--from-service", "nowhere/shine-api-gateway"], "There is no cluster nowhere in us-east-1."),
        (["--from-service", "shine-api-gateway"], "it takes CLUSTER/SERVICE"),
        (["--from-service", "a/b/c"], "it takes CLUSTER/SERVICE"),
        (["--region", "eu-central-1"], "--region goes with --from-service"),
    ],
)
def test_what_is_not_there_is_a_sentence_and_nothing_is_written(
    words: list[str], says: str, here: Path, capsys: Any
) -> None:
    code, _, err = run(capsys, *words)
    assert (code, says in err) == (2, True), err
    assert not (here / "trail.yaml").exists()


@pytest.mark.usefixtures("here")
def test_a_region_is_given_or_nothing_is_asked(good: Good, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(boto3, "Session", lambda **_: type("Session", (), {"region_name": None})())
    code, _, err = run(capsys, "--from-service", SERVICE)
    assert (code, "give --region" in err) == (2, True)
    monkeypatch.setattr(boto3, "Session", lambda **_: good.session)
    _, _, err = run(capsys, "--from-service", SERVICE, "--region", "eu-central-1")
    assert "There is no cluster shine-ml-cluster in eu-central-1." in err


def test_a_missing_permission_leaves_open_what_needs_it_and_names_it(good: Good, here: Path, capsys: Any) -> None:
    run_phase(good)
    scale(good)

    def refused(model: Any, **_: Any) -> Any:
        if model.name != "DescribeTargetGroups":
            return None
        output = "User: x is not authorized to perform: elasticloadbalancing:DescribeTargetGroups because no policy"
        return AWSResponse("", 403, {}, None), {"Error": {"Code": "AccessDenied", "Message": output}}

    good.session.events.register("before-call.elastic-load-balancing-v2", refused)
    code, out, _ = run(capsys, "--from-service", SERVICE)
    assert code == exits.FOUND
    for place in ("load_balancer.listener", "domain"):
        assert f"TODO  {place}: the credentials lack elasticloadbalancing:DescribeTargetGroups" in out
    assert '"Action": "elasticloadbalancing:DescribeTargetGroups", "Resource": "*"' in out
    assert "deregistration_delay: 30\n" in (here / "trail.yaml").read_text(), "it was asked for elsewhere"


def test_the_host_of_a_rule_comes_before_that_of_the_certificate(good: Good, here: Path, capsys: Any) -> None:
    run_phase(good)
    good.client("elbv2").create_rule(
        ListenerArn=good.ids["https"],
        Priority=7,
        Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.org", "skin.example.org"]}}],
        Actions=[{"Type": "forward", "TargetGroupArn": good.ids["target_group"]}],
    )
    run(capsys, "--from-service", SERVICE)
    assert plans.read(here / "trail.yaml").domain == "https://skin.example.org"


def test_names_of_their_own_and_several_origins_are_kept(good: Good, here: Path, capsys: Any) -> None:
    origins = "https://one.example.com,https://two.example.com"
    good.client("ecr").create_repository(repositoryName="team/skin")
    good.replan(family="skin", repository="team/skin", settings={"SHINE_CORS_ORIGINS": origins})
    good.task_definition = {**run_phase(good), "family": "skin"}
    good.client("ecs").update_service(cluster="shine-ml-cluster", service=good.plan.service, taskDefinition="skin")
    _, out, _ = run(capsys, "--from-service", SERVICE)
    made = plans.read(here / "trail.yaml")
    assert (made.family, made.repository) == ("skin", "team/skin")
    assert (made.front_end, made.settings["SHINE_CORS_ORIGINS"]) == ("https://one.example.com", origins)
    assert "SHINE_CORS_ORIGINS names 2 origins" in out


def test_of_several_containers_the_one_that_serves_is_read(good: Good, here: Path, capsys: Any) -> None:
    task = run_phase(good, SHINE_QUALITY="30")
    task["containerDefinitions"].insert(0, {**ROUTER, "memory": 64, "logConfiguration": {"logDriver": "json-file"}})
    task["containerDefinitions"][1]["portMappings"][0]["containerPort"] = 8080
    good.rewire(containerName=good.plan.service, containerPort=8080)
    unwired(good)
    _, out, _ = run(capsys, "--from-service", SERVICE)
    result = yaml.safe_load((here / "trail.yaml").read_text())
    assert result["settings"]["SHINE_QUALITY"] == "30"
    assert "repository" not in out
    assert "A plan has one container; a rollout would remove log_router." in out


def test_of_several_containers_none_is_guessed(good: Good, here: Path, capsys: Any) -> None:
    task = run_phase(good)
    task["containerDefinitions"][0]["portMappings"][0]["containerPort"] = 8080
    task["containerDefinitions"].append({**ADMIN, "memory": 64})
    good.rewire(containerName=good.plan.service, containerPort=8080)
    unwired(good)
    code, _, err = run(capsys, "--from-service", SERVICE)
    assert code == exits.FOUND
    assert "In the service's task definition it cannot be determined which container serves." in err
    assert '("shine-api-gateway", "admin"), none maps port 5000' in err
    assert not (here / "trail.yaml").exists()


def unwired(good: Good) -> None:
    """No load balancer names a container."""
    good.stand_in("ecs", "DescribeServices", lambda answer: answer["services"][0].update(loadBalancers=[]))


def test_an_image_from_elsewhere_leaves_the_repository_open(good: Good, here: Path, capsys: Any) -> None:
    task = run_phase(good)
    task["containerDefinitions"][0]["image"] = "docker.io/library/nginx:latest"
    good.rewire(containerName=good.plan.service)
    _, out, _ = run(capsys, "--from-service", SERVICE)
    assert "TODO  repository: The image docker.io/library/nginx:latest is not in ECR" in out
    assert plans.read(here / "trail.yaml").repository_name == REPOSITORY


def test_alarms_that_stop_a_deployment_are_kept(good: Good, here: Path, capsys: Any) -> None:
    run_phase(good)
    alarms = {"alarms": {"alarmNames": ["shine-5xx"], "enable": True, "rollback": True}}
    good.stand_in(
        "ecs", "DescribeServices", lambda answer: answer["services"][0].update(deploymentConfiguration=alarms)
    )
    run(capsys, "--from-service", SERVICE)
    assert plans.read(here / "trail.yaml").alarms == ["shine-5xx"]


@pytest.mark.parametrize(
    "value",
    ["plain", "00123", "yes", "null", "1e3", "a: b", "it's # odd", "two\nlines", "ü\u2028x", "{a}", "", "x:", "-1"],
)
def test_any_value_comes_back_as_the_text_that_it_was(value: str) -> None:
    observed = ImportedValues("x")
    observed.values |= {"service": value, "settings": {"SHINE_QUALITY": value}, "alarms": [value, value]}
    result = yaml.safe_load(begin.written(EXAMPLE.read_text(), observed))
    assert (result["service"], result["settings"], result["alarms"]) == (
        value,
        {"SHINE_QUALITY": value},
        [value, value],
    )


def test_every_key_of_a_plan_but_infra_stands_in_the_example() -> None:
    example = yaml.safe_load(EXAMPLE.read_text())
    assert plans.Plan.model_fields.keys() - example.keys() == {"infra"}
    assert plans.Autoscaling.model_fields.keys() == example["autoscaling"].keys()


def test_a_value_without_a_place_in_the_example_is_not_lost() -> None:
    imported = ImportedValues("x")
    imported.values["size.disk"] = 21
    with pytest.raises(KeyError, match=r"size\.disk"):
        begin.written(EXAMPLE.read_text(), imported)


def test_what_is_missing_altogether_leaves_no_value_and_every_other_line_in_its_place() -> None:
    imported = ImportedValues("x")
    imported.missing |= dict.fromkeys(("roles.task", "roles.execution", "weights", "size.most_tasks"), "It is not set.")
    made = begin.written(EXAMPLE.read_text(), imported).splitlines()[1:]
    kept = [line for line in made if "# TODO" not in line]
    for line, original in zip(kept, EXAMPLE.read_text().splitlines(), strict=True):
        assert line == original or line.strip().removeprefix("# ").strip() == original.strip()
    plan = yaml.safe_load("\n".join(made))
    assert plan["roles"] is None
    assert "weights" not in plan
    assert "most_tasks" not in plan["size"]
