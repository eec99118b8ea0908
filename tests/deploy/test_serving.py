"""One rule says which container serves, and every reader of task definitions and tasks follows it."""

import json
import random
from typing import Any

import pytest

from deploy.aws.task import digest_of, serving_names
from deploy.config import image_contract as contracts
from deploy.lenient import LenientDict
from deploy.rollout.service_calls import serving, settings_of
from deploy.taskdef.model import (
    TaskDefinition,
    container_of_task,
    mapped_ports,
    not_determined,
    serving_container,
    wired_names,
)
from deploy.taskdef.schema import readable
from deploy.verify.account.context import Account
from deploy.verify.account.stores import image
from deploy.verify.container.run import try_image
from deploy.verify.container.task import task
from tests.deploy import good as examples
from tests.deploy.aws import Good
from tests.deploy.test_account_checks import bundle, good, image_contract, shared_account

__all__ = ["bundle", "good", "image_contract", "shared_account"]  # fixtures

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def container(name: Any, *ports: Any, **more: Any) -> dict[str, Any]:
    """One of a task definition, of an image named like it."""
    mapped = {"portMappings": [{"containerPort": port} for port in ports]} if ports else {}
    return {"name": name, "image": f"{ECR}/team/{name}:1", **mapped, **more}


APP = container("app", 5000)
ROUTER = container(
    "log_router", 24224, image="amazon/aws-for-fluent-bit:stable", firelensConfiguration={"type": "fluentbit"}
)
NAMED_ROUTER = container("shipper", 5000, firelensConfiguration={"type": "fluentd"})
ENVOY = container("mesh", 5000, image="840364872350.dkr.ecr.us-east-1.amazonaws.com/aws-appmesh-envoy:v1.29.6.1-prod")
XRAY = container("tracing", 2000, image="amazon/aws-xray-daemon:3.x")
CLOUDWATCH = container("metrics", 25888, image="public.ecr.aws/cloudwatch-agent/cloudwatch-agent:latest")
DATADOG = container("monitoring", 8126, image=f"public.ecr.aws/datadog/agent@{OTHER}")
COLLECTOR = container("telemetry", 4317, image="public.ecr.aws/aws-observability/aws-otel-collector:v0.40.0")
SERVICE_CONNECT = container("ecs-service-connect-Ab1", 15000, image=None)
SIDECARS = [ROUTER, NAMED_ROUTER, ENVOY, XRAY, CLOUDWATCH, DATADOG, COLLECTOR, SERVICE_CONNECT]
ADMIN = container("admin", 9000)
HELPER = container("helper")


def definition(*containers: Any, **more: Any) -> dict[str, Any]:
    return {"family": "shine", "containerDefinitions": list(containers), **more}


@pytest.mark.parametrize(
    ("task_definition", "names", "port", "expected"),
    [
        pytest.param(definition(APP), [], None, "app", id="the only container"),
        pytest.param(definition(HELPER), [], 5000, "helper", id="the only container, without a port"),
        pytest.param(definition(ADMIN), [], 5000, "admin", id="the only container, with another port"),
        pytest.param(definition(ROUTER, APP), [], None, "app", id="a log router first"),
        pytest.param(definition(*SIDECARS, APP), [], 5000, "app", id="all kinds of sidecars first, two with the port"),
        pytest.param(definition(*SIDECARS, HELPER), [], 5000, "helper", id="sidecars, and one without a port"),
        pytest.param(definition(*SIDECARS), [], 5000, None, id="nothing but sidecars"),
        pytest.param(definition(ENVOY, APP), ["mesh"], 5000, "app", id="the load balancer names a proxy"),
        pytest.param(
            definition(container("proxy", 8000), ADMIN, proxyConfiguration={"containerName": "proxy"}), [], None,
            "admin", id="the proxy of App Mesh, by the task definition",
        ),
        pytest.param(definition(APP, ADMIN), [], None, None, id="two essential ones with ports"),
        pytest.param(definition(ADMIN, APP), [], 5000, "app", id="two essential ones, and the image's port"),
        pytest.param(definition(APP, ADMIN), [], 7000, None, id="two essential ones, and a port of neither"),
        pytest.param(definition(APP, ADMIN), ["admin"], 5000, "admin", id="the load balancer's goes before the port's"),
        pytest.param(definition(APP, ADMIN), ["gone"], 5000, "app", id="the load balancer names one that is not there"),
        pytest.param(definition(APP, ADMIN), ["admin", "app"], None, "admin", id="several load balancers"),
        pytest.param(definition(APP, ADMIN), ["admin", "app"], 5000, "app", id="several load balancers, and the port"),
        pytest.param(definition({**APP, "essential": False}), [], 5000, "app", id="an app that is not essential"),
        pytest.param(
            definition({**ADMIN, "essential": False}, HELPER), [], 5000, "admin", id="not essential, the only port"
        ),
        pytest.param(definition({**ADMIN, "essential": False}, APP), [], None, "app", id="one of two is essential"),
        pytest.param(definition({**HELPER, "essential": False}, container("app")), [], 5000, "app", id="no ports"),
        pytest.param(definition(HELPER, container("app")), [], 5000, None, id="none of two has a port"),
        pytest.param(
            definition(container("old", 5000, essential=False), APP), [], 5000, "app", id="two map the port"
        ),
        pytest.param(definition(container("app", "5000"), ADMIN), [], 5000, "app", id="a port in quotes"),
        pytest.param(definition({**APP, "portMappings": None}, ADMIN), [], 5000, "admin", id="null for portMappings"),
        pytest.param(definition({**APP, "portMappings": "5000"}, ADMIN), [], 5000, "admin", id="text for portMappings"),
        pytest.param(definition({**APP, "portMappings": [None, 5000]}, ADMIN), [], 5000, "admin", id="odd mappings"),
        pytest.param(definition(None, "app", [], APP), [None, {}, 7], 5000, "app", id="odd containers and names"),
        pytest.param(definition(), ["app"], 5000, None, id="no container"),
        pytest.param({"containerDefinitions": None}, ["app"], 5000, None, id="null for containers"),
        pytest.param({"containerDefinitions": {"name": "app"}}, ["app"], 5000, None, id="an object for containers"),
        pytest.param(None, ["app"], 5000, None, id="no task definition"),
        pytest.param("app", ["app"], 5000, None, id="text for a task definition"),
    ],
)  # fmt: skip
def test_the_container_that_serves(
    task_definition: Any, names: list[Any], port: int | None, expected: str | None
) -> None:
    result = serving_container(task_definition, names, port)
    assert (result or {}).get("name") == expected


ODD: list[Any] = [None, True, -1, 1e308, "", "\ud800", "5000", [], [[]], {}, {"a": {}}, [None], 10**30, float("nan")]


@pytest.mark.parametrize("seed", range(10))
def test_whatever_stands_anywhere_nothing_raises(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        content = json.loads(json.dumps(definition(ROUTER, APP, ADMIN, proxyConfiguration={"containerName": "x"})))
        for _ in range(chance.randint(1, 5)):
            spoil(content, chance)
        result = serving_container(content, [chance.choice(ODD), "app"], 5000)
        assert result is None or any(result is item for item in content["containerDefinitions"])
        assert container_of_task(content, ["app"]) is None
        not_determined(content, [chance.choice(ODD), "app"], 5000).encode()
        wired_names(content, "arn")


def spoil(content: Any, chance: random.Random) -> None:
    """Put something odd somewhere."""
    while True:
        key = chance.choice(list(content) if isinstance(content, dict) else range(len(content)))
        inner = content[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.2:
            content[key] = chance.choice(ODD)
            return
        content = inner


def test_what_was_looked_for_is_said() -> None:
    assert not_determined(definition(ADMIN, container("web", 80)), ["shine"], 5000) == (
        'it cannot be determined which container serves. Of the containers ("admin", "web"), none has the name "shine" '
        "that the load balancer sends to, and none maps port 5000, and there is no single essential container with a "
        "port; log routers, proxies and agents do not count"
    )


@pytest.mark.parametrize(
    ("service", "target_group", "names"),
    [
        ({"loadBalancers": [{"targetGroupArn": "a", "containerName": "app"}]}, "a", ["app"]),
        ({"loadBalancers": [{"targetGroupArn": "a", "containerName": "app"}]}, "b", ["app"]),
        (
            {
                "loadBalancers": [
                    {"targetGroupArn": "b", "containerName": "admin"},
                    {"targetGroupArn": "a", "containerName": "app"},
                ]
            },
            "a",
            ["app"],
        ),
        ({"loadBalancers": [{"containerName": "admin"}, {"containerName": "app"}]}, None, ["admin", "app"]),
        ({"loadBalancers": [{"containerName": None}, None, "app", {"loadBalancerName": "classic"}]}, "a", []),
        ({"loadBalancers": None}, "a", []),
        ({}, "a", []),
        (None, None, []),
    ],
)
def test_names_that_load_balancers_send_to(service: Any, target_group: str | None, names: list[str]) -> None:
    assert wired_names(service, target_group) == names


@pytest.mark.parametrize(
    ("containers", "names", "digest"),
    [
        ([{"name": "app", "imageDigest": DIGEST}], ["app"], DIGEST),
        ([{"name": "helper", "imageDigest": OTHER}, {"name": "app", "imageDigest": DIGEST}], ["app"], DIGEST),
        ([{"name": "app", "image": f"team/app@{DIGEST}"}], ["shine"], DIGEST),
        ([{**ROUTER, "imageDigest": OTHER}, {"name": "app", "imageDigest": DIGEST}], ["shine"], DIGEST),
        (
            [{"name": "aws-guardduty-agent-9x", "imageDigest": OTHER}, {"name": "app", "imageDigest": DIGEST}],
            [],
            DIGEST,
        ),
        ([{**SERVICE_CONNECT, "imageDigest": OTHER}, {"name": "app", "imageDigest": DIGEST}], [], DIGEST),
        ([{"name": "helper", "imageDigest": OTHER}, {"name": "app", "imageDigest": DIGEST}], ["shine"], None),
        ([{"name": "app", "image": "team/app:1"}], ["app"], None),
        ([{"name": "app", "image": None, "imageDigest": None}], ["app"], None),
        ([None, "app"], ["app"], None),
        (None, ["app"], None),
    ],
)
def test_the_digest_of_a_task_is_that_of_the_container_that_serves(
    containers: Any, names: list[str], digest: str | None
) -> None:
    assert digest_of({"containers": containers}, names) == digest


# --- those who ask ------------------------------------------------------------------------------------------------
# The sidecar stands first, and nobody maps the image's port, 5000: what a service looks like that is not ours yet.

WEB = container("web", 8080, image=f"{ECR}/team/web@{DIGEST}", environment=[{"name": "SHINE_PHASE", "value": "simple"}])
BEFORE = definition({**ROUTER, "environment": [{"name": "PORT", "value": "24224"}]}, WEB)
UNCLEAR = definition(ADMIN, container("web", 80))


def test_a_diagnosis_reads_the_container_that_serves() -> None:
    result = TaskDefinition.of(LenientDict(BEFORE))
    assert (result.container, result.ports, result.settings) == ("web", (8080,), {"SHINE_PHASE": "simple"})


def test_a_diagnosis_takes_the_container_that_the_load_balancer_names() -> None:
    assert TaskDefinition.of(LenientDict(definition(ADMIN, APP)), ["app"]).container == "app"
    assert TaskDefinition.of(LenientDict(definition(ADMIN, APP)), [], 5000).container == "app"
    assert TaskDefinition.of(LenientDict(UNCLEAR)).container == ""


def test_a_trial_reads_the_container_that_serves() -> None:
    result = task(BEFORE, contracts.own())
    assert (result.container["name"], result.port) == ("web", 8080)
    assert task(definition({**APP, "portMappings": None}), contracts.own()).port is None


def test_a_trial_reads_sizes_as_aws_does() -> None:
    changes = {"cpu": ".5 vCPU", "memory": "2 GB", "c.healthCheck": None, "pidMode": None}
    result = task(readable(examples.changed(examples.task(), changes)), contracts.own())
    assert (result.cpus, result.memory_mib, result.command) == (0.5, 2048, [])


def test_a_trial_of_no_certain_container_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    class Done:
        returncode = 0

    monkeypatch.setattr("deploy.verify.container.run.docker", lambda *_: Done())
    [finding] = try_image("shine:one", UNCLEAR, contracts.own(), {})
    assert (finding.code, finding.level) == ("TRIAL_SKIPPED", "SKIP")
    assert "The image was not run, since it cannot be determined which container serves." in finding.sentence


def test_the_account_is_asked_for_the_image_that_serves(good: Good) -> None:
    good.container["portMappings"] = [{"containerPort": 8080}]
    good.task_definition["containerDefinitions"].insert(0, ROUTER)
    [finding] = image(account(good))
    assert (finding.code, finding.level) == ("IMAGE", "OK")


def test_the_account_is_not_asked_for_an_image_where_no_container_is_certain(good: Good) -> None:
    good.task_definition = UNCLEAR
    [finding] = image(account(good))
    assert (finding.code, finding.level) == ("IMAGE", "SKIP")
    assert "The image was not checked, since it cannot be determined which container serves." in finding.sentence


def account(good: Good) -> Account:
    return Account(good.plan, good.task_definition, contracts.own(), good.session, "full")


def test_a_rollout_reads_the_container_that_serves() -> None:
    plan, contract = examples.plan(), examples.contract()
    assert serving(BEFORE, plan, contract, None) is WEB
    settings, _ = settings_of(serving(BEFORE, plan, contract, {}), contract)
    assert settings == {"SHINE_PHASE": "simple"}
    wired = {"loadBalancers": [{"targetGroupArn": plan.load_balancer.target_group, "containerName": "web"}]}
    assert serving(UNCLEAR, plan, contract, wired)["name"] == "web"
    assert serving(UNCLEAR, plan, contract, None) == {}


def test_a_rollout_knows_the_container_by_the_load_balancer_and_else_by_the_plan() -> None:
    plan = examples.plan()
    assert serving_names({"loadBalancers": [{"containerName": "web"}]}, plan) == ["web"]
    assert serving_names({"loadBalancers": []}, plan) == [plan.service]
    assert serving_names(None, plan) == [plan.service]


def test_ports_of_any_form_are_read_or_passed_over() -> None:
    assert mapped_ports(container("app", 5000, "80", None, True, "x", [], 1.5)) == [5000, 80]
