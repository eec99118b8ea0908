"""Parameters of deploy/infra/infra.yaml: from the plan, from the contract, and what is refused before AWS is asked."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.config.image_contract import Contract
from deploy.config.image_contract import own as contract
from deploy.config.plan import PlanError, read
from deploy.infra.parameters import NOT_MADE, draft, parameters, stack_name
from tests.deploy.infra_plans import ADOPTIONS, BASIC, EXISTING, LOAD_BALANCER, TASK_SUBNETS, content, infras, plan


def filled(infra: dict[str, Any], image: Contract | None = None, **more: Any) -> dict[str, str]:
    """Parameters by name."""
    result = parameters(plan(infra, **more), image or contract())
    return {item["ParameterKey"]: item["ParameterValue"] for item in result}


def public(**more: Any) -> dict[str, Any]:
    """The least `infra`, and more."""
    return {"vpc": "public", **BASIC, **more}


def test_port_path_and_seconds_come_from_the_image() -> None:
    own = contract()
    health, seconds = (
        own.health.model_copy(update={"path": "/alive"}),
        own.seconds.model_copy(update={"keep_alive": 95.0}),
    )
    image = own.model_copy(update={"port": 8080, "health": health, "seconds": seconds})
    result = filled(public(), image)
    assert (result["ContainerPort"], result["HealthPath"], result["IdleTimeout"]) == ("8080", "/alive", "80")
    assert filled(public())["IdleTimeout"] == "60", "below the keep-alive of 75 s"


def test_alarms_take_the_gates_of_the_plan() -> None:
    phases = {
        "hybrid": {"gates": {"degraded_ratio": 0.5}},
        "full": {"gates": {"degraded_ratio": 0.02, "p95_ms": 750, "error_ratio": 0.005}},
    }
    result = filled(public(), phases=phases)
    assert (result["ErrorPercent"], result["LatencySeconds"]) == ("0.5", "0.75")
    degraded = [result[f"DegradedRatio{phase}"] for phase in ("Hybrid", "Foundation", "Full")]
    assert degraded == ["0.5", "0.05", "0.02"], "a phase that the plan leaves out has the gates of all"


def test_subnets_for_tasks_are_the_plans_where_the_vpc_is_there() -> None:
    assert filled(infras()["existing"])["TaskSubnets"] == ",".join(TASK_SUBNETS)
    assert filled(public())["TaskSubnets"] == ""


def test_the_bucket_has_the_account_in_its_name_and_the_prefix_is_above_all_versions() -> None:
    result = filled(public())
    assert result["WeightsBucketName"] == "shine-api-gateway-weights-123456789012-us-east-1"
    assert result["WeightsPrefix"] == "face-skin"
    weights = {"uri": f"s3://{result['WeightsBucketName']}/models/face-skin/1.1.0", "sha256": "0" * 64}
    assert filled(public(), weights=weights)["WeightsPrefix"] == "models"
    assert filled(public(weights_prefix="models/face-skin"), weights=weights)["WeightsPrefix"] == "models/face-skin"
    long = filled(public(), service="s" * 60)["WeightsBucketName"]
    assert len(long) == 63
    assert long.endswith("s-weights-123456789012-us-east-1")


@pytest.mark.parametrize(
    ("infra", "more", "said"),
    [
        ({"vpc": "existing", **BASIC}, {}, "vpc existing needs vpc_id and load_balancer_subnets"),
        (public(vpc_id="vpc-0a1b2c3d"), {}, "vpc public makes a new VPC"),
        (public(vpc="private"), {}, "infra.vpc"),
        (public(alarm_email=None), {}, "alarms need a recipient"),
        ({"vpc": "public", "alarm_email": "a@example.com"}, {}, "HTTPS needs adopt.certificate, or a hosted_zone"),
        (public(adopt=BASIC["adopt"] | LOAD_BALANCER), {}, "vpc must be existing"),
        (
            {**EXISTING, **BASIC, "adopt": {"load_balancer": LOAD_BALANCER["load_balancer"]} | BASIC["adopt"]},
            {},
            "needs adopt.load_balancer_group",
        ),
        (public(adopt={"listener": "arn:aws:x:y:1:z"}), {}, "adopt.listener needs adopt.load_balancer"),
        (public(alarm_mail="a@example.com"), {}, "infra.alarm_mail is not a key of a plan; did you mean alarm_email?"),
        (public(alarm_email="nobody"), {}, "AlarmEmail (Gets the alarms"),
        (public(log_retention_days=31), {}, "'31' is not one of 1, 3, 5"),
        (public(listener_priority=0), {}, "0 is outside 1 to 50000"),
        (public(adopt=BASIC["adopt"] | {"topic": "arn:aws:sqs:us-east-1:123456789012:q"}), {}, "AdoptedTopicArn"),
        (public(adopt=BASIC["adopt"] | ADOPTIONS["cluster"]), {"cluster": "other"}, "cluster is other, infra.adopt"),
        (public(adopt=BASIC["adopt"] | ADOPTIONS["repository"]), {"repository": "gateway"}, "they must be the same"),
        (public(autoscaling=True), {}, "infra.autoscaling is not a key of a plan"),
        (public(), {"deregistration_delay": 10}, "a task that stops would cut it off"),
        (
            public(),
            {"weights": {"uri": "s3://other/face-skin", "sha256": "0" * 64}},
            "weights.uri names the bucket other",
        ),
        (
            public(adopt=BASIC["adopt"] | ADOPTIONS["weights_bucket"], weights_prefix="face"),
            {"weights": {"uri": "s3://our-models/face-skin/1", "sha256": "0" * 64}},
            "not under infra.weights_prefix (face)",
        ),
        (None, {}, "The plan has no `infra`"),
    ],
)
def test_what_does_not_go_together_is_a_sentence(infra: dict[str, Any] | None, more: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError) as caught:
        parameters(plan(infra, **more), contract())
    assert said in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_no_idle_timeout_fits_where_the_image_drops_connections_early() -> None:
    own = contract()
    image = own.model_copy(update={"seconds": own.seconds.model_copy(update={"keep_alive": 20.0})})
    with pytest.raises(PlanError, match="no idle timeout"):
        parameters(plan(public()), image)


def write(folder: Path, found: dict[str, Any]) -> Path:
    """A plan's file."""
    path = folder / "trail.yaml"
    path.write_text(yaml.safe_dump(found))
    return path


def test_before_the_first_apply_the_plan_needs_nothing_that_comes_of_it(tmp_path: Path) -> None:
    result = content(public())
    for part in ("network", "roles", "load_balancer"):
        del result[part]
    path = write(tmp_path, result)
    with pytest.raises(PlanError):
        read(path)
    drafted = draft(path)
    assert drafted.network.subnets == [NOT_MADE]
    assert drafted.roles.task != drafted.roles.execution
    assert NOT_MADE not in str(parameters(drafted, contract()))


def test_an_existing_vpc_without_subnets_for_tasks_is_refused(tmp_path: Path) -> None:
    result = content(infras()["existing"])
    result["network"] = {"assign_public_ip": True}
    with pytest.raises(PlanError, match=r"network\.subnets must name"):
        parameters(draft(write(tmp_path, result)), contract())


def test_a_draft_without_infra_shows_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"infra: \{vpc: public\}"):
        draft(write(tmp_path, content(None)))


def test_the_stack_is_named_after_the_service() -> None:
    assert stack_name(plan(public())) == "shine-api-gateway-infra"
    assert stack_name(plan(public(stack="skin"))) == "skin"
