"""The task definition that is rendered: out of plan and contract alone, the same each time, and right in each phase."""

import json
from typing import Any

import pytest
from botocore.validate import ParamValidator

from bentos.skin.settings import Phase
from deploy.config import plan as plans
from deploy.taskdef import render
from deploy.taskdef import schema as shape
from tests.deploy import good

URL = "http://127.0.0.1:9000/alive"


def rendered(plan: plans.Plan, phase: Phase = "hybrid", **contract: Any) -> dict[str, Any]:
    return render.render(plan, good.contract(**contract), render.image_reference(plan, good.DIGEST), phase)


def other(**changes: Any) -> plans.Plan:
    """The example with changes; the double underscore goes a level down."""
    content = good.plan().model_dump()
    return plans.parse(
        good.changed(content, {key.replace("__", "."): change for key, change in changes.items()}), "plan"
    )


def variables(task: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in task["containerDefinitions"][0]["environment"]}


@pytest.mark.parametrize("phase", plans.PHASES)
def test_each_phase_is_right_and_fits_the_api(phase: Phase) -> None:
    task = good.task(phase)
    assert good.problems(task, phase=phase) == []
    assert not ParamValidator().validate(task, shape.register_input()).has_errors()
    assert variables(task)["SHINE_PHASE"] == phase


def test_it_is_the_same_each_time() -> None:
    assert len({json.dumps(good.task("full")) for _ in range(5)}) == 1


def test_port_health_and_folders_come_from_the_contract() -> None:
    command = ["CMD", "python", "-c", f"import check; check.it('{URL}')"]
    changes: dict[str, Any] = {"port": 9000, "health__path": "/alive", "health__command": command}
    task = rendered(good.plan(), writable_paths=["/tmp", "/var/cache"], **changes)
    (container,) = task["containerDefinitions"]
    assert container["portMappings"] == [{"containerPort": 9000, "protocol": "tcp"}]
    assert container["healthCheck"]["command"] == command
    assert [point["containerPath"] for point in container["mountPoints"]] == ["/tmp", "/var/cache"]
    assert task["volumes"] == [{"name": "tmp"}, {"name": "var-cache"}]
    assert good.problems(task, good.contract(writable_paths=["/tmp", "/var/cache"], **changes)) == []


def test_phases_differ_in_settings_and_secrets_alone() -> None:
    tasks = [good.task(phase) for phase in plans.PHASES]
    for task in tasks:
        task["containerDefinitions"][0] |= {"environment": [], "secrets": []}
    assert all(task == tasks[0] for task in tasks)


def test_weights_come_in_with_foundation_and_keys_with_full() -> None:
    given = {phase: variables(good.task(phase)) for phase in plans.PHASES}
    assert ["SHINE_WEIGHTS_SHA256" in given[phase] for phase in plans.PHASES] == [False, False, True, True]
    keys = [bool(good.task(phase)["containerDefinitions"][0]["secrets"]) for phase in plans.PHASES]
    assert keys == [False, False, False, True]


def test_a_phase_has_its_own_settings_before_those_of_all() -> None:
    plan = other(settings__SHINE_THREADS="1", phases__full__settings__SHINE_THREADS="4")
    assert variables(rendered(plan, "hybrid"))["SHINE_THREADS"] == "1"
    assert variables(rendered(plan, "full"))["SHINE_THREADS"] == "4"


WATCHED: dict[str, Any] = {"settings": {}, "alarms": ["shine-degraded-full"]}
STACK = {"vpc": "public", "alarm_email": "a@example.com", "hosted_zone": "Z1"}


@pytest.mark.parametrize("phase", plans.PHASES)
@pytest.mark.parametrize("watched", [WATCHED, {"settings": {}, "infra": STACK}])
def test_where_alarms_watch_the_service_writes_the_metrics_that_they_read(
    watched: dict[str, Any], phase: Phase
) -> None:
    task = rendered(other(**watched), phase)
    assert variables(task)["SHINE_LOG_EMF"] == "true"
    assert good.problems(task, phase=phase) == []


@pytest.mark.parametrize(
    ("settings", "metrics"),
    [
        ({"SHINE_LOG_EMF": "false"}, "false"),
        ({"SHINE_LOG_FORMAT": "text"}, None),
        ({"SHINE_LOG_FORMAT": "json"}, "true"),
    ],
)
def test_what_a_plan_says_of_metrics_counts(settings: dict[str, str], metrics: str | None) -> None:
    task = rendered(other(**{**WATCHED, "settings": settings}))
    assert variables(task).get("SHINE_LOG_EMF") == metrics
    assert good.problems(task) == []


def test_metrics_are_asked_only_of_an_image_that_knows_them_and_where_alarms_watch() -> None:
    assert "SHINE_LOG_EMF" not in variables(rendered(other(settings={})))
    known = [setting for setting in good.contract()["settings"] if setting["name"] != "SHINE_LOG_EMF"]
    assert "SHINE_LOG_EMF" not in variables(rendered(other(**WATCHED), settings=known))


@pytest.mark.parametrize("name", ["SHINE_PHASE", "SHINE_WEIGHTS_URI", "SHINE_WEIGHTS_SHA256"])
def test_what_follows_from_the_phase_is_not_set_by_hand(name: str) -> None:
    with pytest.raises(plans.PlanError, match=f"settings: {name} follows from"):
        rendered(other(**{f"settings__{name}": "x"}))


@pytest.mark.parametrize("digest", ["", "latest", "sha256:abc", "sha256:" + "AB" * 32, "ab" * 32])
def test_an_image_is_named_by_digest_or_not_at_all(digest: str) -> None:
    with pytest.raises(plans.PlanError, match="no digest"):
        render.image_reference(good.plan(), digest)


WRONG_PLANS: list[tuple[str, Phase, dict[str, Any]]] = [
    ("FARGATE_SIZE", "hybrid", {"size__cpu": 1000}),
    ("FARGATE_SIZE", "hybrid", {"size__memory": 2560}),
    ("FARGATE_SIZE", "hybrid", {"size__cpu": 0}),
    ("MEMORY_BELOW_MINIMUM", "hybrid", {"size__cpu": 256, "size__memory": 1024}),
    ("ARCHITECTURE", "hybrid", {"size__architecture": "ARM64"}),
    ("ROLES_SAME", "hybrid", {"roles__task": "arn:aws:iam::123456789012:role/shine-execution"}),
    ("ROLE_ARN", "hybrid", {"roles__task": "arn:aws:s3:::bucket:x/y"}),
    ("HEALTH_RANGE", "hybrid", {"health__interval": 3}),
    ("HEALTH_RANGE", "hybrid", {"health__retries": 0}),
    ("HEALTH_RANGE", "hybrid", {"health__start_period": 301}),
    ("HEALTH_TIMEOUT", "hybrid", {"health__timeout": 3}),
    ("HEALTH_START_PERIOD", "hybrid", {"health__start_period": 1}),
    ("STOP_TIMEOUT", "hybrid", {"stop_timeout": 20}),
    ("STOP_TIMEOUT_RANGE", "hybrid", {"stop_timeout": 300}),
    ("FAMILY_REVISION", "hybrid", {"family": "shine-api-gateway:hybrid"}),
    ("FAMILY_NAME", "hybrid", {"family": "shine.api"}),
    ("IMAGE_REFERENCE", "hybrid", {"repository": "Shine"}),
    ("LOGS", "hybrid", {"log_group": ""}),
    ("SETTING_UNKNOWN", "hybrid", {"settings__SHINE_THREAD": "2"}),
    ("SETTING_VALUE", "hybrid", {"settings__SHINE_THREADS": "two"}),
    ("SETTINGS_REFUSED", "hybrid", {"settings__SHINE_RATE_PER_MINUTE": "60"}),
    ("SECRET_IN_PLAIN", "hybrid", {"settings__SHINE_API_KEYS": "k" * 40, "secrets": {}}),
    ("SECRET_ARN", "full", {"secrets__SHINE_API_KEYS": "arn:aws:s3:us-east-1:123456789012:keys"}),
    ("PHASE_KEYS", "full", {"secrets": {}, "phases__full__settings": {}}),
    ("FOLDER_NOT_WRITABLE", "hybrid", {"settings__SHINE_CACHE_DIR": "/cache"}),
]


@pytest.mark.parametrize(("code", "phase", "changes"), WRONG_PLANS)
def test_a_wrong_plan_is_found_in_what_it_renders(code: str, phase: Phase, changes: dict[str, Any]) -> None:
    assert {problem.code for problem in good.problems(rendered(other(**changes), phase))} == {code}


UNUSABLE: list[tuple[str, dict[str, Any]]] = [
    ("cluser is not a key of a plan; did you mean cluster", {"cluser": "x"}),
    ("size.memroy is not a key of a plan; did you mean memory", {"size__memroy": 2048}),
    ("health.startPeriod is not a key of a plan; did you mean start_period", {"health__startPeriod": 1}),
    ("account", {"account": "12345678901"}),
    ("account", {"account": 123456789012}),
    ("region", {"region": "virginia"}),
    ("network.subnets", {"network__subnets": []}),
    ("network.security_groups", {"network__security_groups": "sg-1"}),
    ("size.cpu", {"size__cpu": "one"}),
    ("size.tasks", {"size__tasks": 0}),
    ("size: tasks is 7, most_tasks only 6", {"size__tasks": 7}),
    ("size.architecture", {"size__architecture": "amd64"}),
    ("roles.task", {"roles__task": "shine-task"}),
    ("roles.execution", {"roles__execution": None}),
    ("domain", {"domain": "http://api.shine.example"}),
    ("front_end", {"front_end": "https://shine.example/"}),
    ("weights.sha256", {"weights__sha256": "abc"}),
    ("weights.uri", {"weights__uri": "/models"}),
    ("secrets.SHINE_API_KEYS", {"secrets__SHINE_API_KEYS": "plain"}),
    ("settings.SHINE_THREADS", {"settings__SHINE_THREADS": 2}),
    ("phases.hybird", {"phases__hybird": {}}),
    ("phases.full.gates.degraded_ratio", {"phases__full__gates__degraded_ratio": 5}),
    ("stop_timeout", {"stop_timeout": -1}),
]


@pytest.mark.parametrize(("says", "changes"), UNUSABLE)
def test_a_plan_that_cannot_be_is_refused_with_its_place_named(says: str, changes: dict[str, Any]) -> None:
    with pytest.raises(plans.PlanError, match=says):
        other(**changes)
