"""Each invalid task definition is found by its own code only, a valid one by none; and every check is needed."""

import copy
import json
import random
import re
from dataclasses import replace
from typing import Any

import pytest
from botocore.validate import ParamValidator
from pydantic import ValidationError

from deploy.config import image_contract as contracts
from deploy.findings.finding import Finding
from deploy.taskdef import schema as shape
from deploy.verify.registry import CHECKS
from deploy.verify.task_definition import run_checks
from tests.deploy import good
from tests.deploy.invalid_taskdefs import (
    ADMIN,
    BUSYBOX,
    CHECKED,
    EFS,
    FROM_FILE,
    FSX,
    INVALID_TASKDEFS,
    LOGGED,
    NAMES,
    POINT,
    ROUTED,
    ROUTER,
    Invalid,
)
from tests.deploy.valid_taskdefs import VALID_TASKDEFS

EVERYTHING_OF_A_CONTAINER: dict[str, Any] = {
    **BUSYBOX,
    **LOGGED,
    "restartPolicy": {"enabled": True, "ignoredExitCodes": [1], "restartAttemptPeriod": 60},
    "environmentFiles": [FROM_FILE],
    "healthCheck": {**CHECKED, "timeout": 31},
    "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}],
    "volumesFrom": [{"sourceContainer": "shine-api-gateway"}],
    "dependsOn": [{"containerName": "shine-api-gateway", "condition": "START"}],
    "secrets": [{"name": "A", "valueFrom": "my secret"}],
    "memory": 4,
    "memoryReservation": 2,
    "credentialSpecs": ["credentialspec:x"],
    "resourceRequirements": [{"type": "GPU", "value": "1"}],
}
EVERYTHING: dict[str, Any] = {
    "volumes.1": {"name": "data", "efsVolumeConfiguration": {**EFS, **POINT, "rootDirectory": "/a"}},
    "volumes.2": {"name": "share", "fsxWindowsFileServerVolumeConfiguration": FSX},
    "c.dependsOn": [{"containerName": "helper", "condition": "HEALTHY"}],
    "env.A": "${A}",
    "pidMode": None,
}
SECOND = "containerDefinitions[1].portMappings[0].containerPort"


def findings(row: Invalid) -> list[Finding]:
    asked = good.contract(**row.contract)
    return good.problems(good.changed(good.task(row.phase), row.changes), asked, row.meant)


@pytest.mark.parametrize("row", INVALID_TASKDEFS, ids=NAMES)
def test_a_wrong_task_definition_is_found_by_its_own_code_and_no_other(row: Invalid) -> None:
    result = findings(row)
    assert {finding.code for finding in result} == {row.code}
    assert {finding.level for finding in result} == {row.level}


@pytest.mark.parametrize("row", INVALID_TASKDEFS, ids=NAMES)
def test_a_finding_says_both_values_their_places_and_the_repair(row: Invalid) -> None:
    for finding in findings(row):
        for word in row.says:
            assert word in finding.sentence
        assert finding.places
        assert finding.repair
        assert finding.sentence.endswith((".", "?"))
        assert "\n" not in finding.sentence


@pytest.mark.parametrize("code", CHECKS)
def test_a_check_that_is_taken_out_lets_its_wrong_task_definitions_pass(code: str, monkeypatch: Any) -> None:
    rows = [row for row in INVALID_TASKDEFS if row.code == code]
    assert rows, f"no wrong task definition shows what {code} is for"
    assert all(findings(row) for row in rows)
    monkeypatch.delitem(CHECKS, code)
    assert not any(findings(row) for row in rows)


def test_the_catalogue_is_large_enough() -> None:
    assert len(INVALID_TASKDEFS) >= 60
    assert len(VALID_TASKDEFS) >= 20


@pytest.mark.parametrize("name", VALID_TASKDEFS)
def test_a_right_task_definition_has_no_finding(name: str) -> None:
    row = VALID_TASKDEFS[name]
    content = good.changed(good.task(row.phase), row.changes)
    assert good.problems(content, good.contract(**row.contract)) == []


def test_all_faults_are_told_and_not_only_the_first() -> None:
    changes = {"c.portMappings.0.containerPort": 8080, "networkMode": "bridge", "c.user": "root", "cpu": "1000"}
    codes = {finding.code for finding in good.problems(good.changed(good.task(), changes))}
    assert codes == {"PORT_MISMATCH", "NETWORK_MODE", "USER_ROOT", "FARGATE_SIZE"}


def test_a_broken_value_skips_the_checks_that_need_it_with_the_reason() -> None:
    output = run_checks(good.context(good.changed(good.task(), {"c.portMappings": None})))
    (skipped,) = [finding for finding in output if finding.code == "PORT_MISMATCH"]
    assert skipped.level == "SKIP"
    assert "portMappings is null" in skipped.sentence


def test_every_check_says_something_of_a_good_task_definition() -> None:
    output = run_checks(good.context(good.task()))
    assert [finding.code for finding in output] == list(CHECKS)
    assert {finding.level for finding in output} == {"OK"}


@pytest.mark.parametrize("port", [5000, 8080])
def test_a_sidecar_that_stands_first_is_not_taken_for_the_container_that_serves(port: int) -> None:
    content = good.changed(good.task(), {"c.portMappings.0.containerPort": port, **ROUTED})
    content["containerDefinitions"].insert(0, ROUTER)
    result = good.problems(content)
    assert [finding.code for finding in result] == ([] if port == 5000 else ["PORT_MISMATCH"])
    places = [place.where for finding in result for place in finding.places]
    assert places == ([] if port == 5000 else [f"task definition: {SECOND}", "image contract: port"])


def test_the_container_that_the_load_balancer_names_is_judged() -> None:
    content = good.changed(good.task(), {"c.portMappings.0.containerPort": 8080, "containerDefinitions.1": ADMIN})
    context = good.context(content)
    admin = [finding for finding in run_checks(replace(context, names=("admin",))) if finding.level == "FAIL"]
    assert {finding.code for finding in admin} >= {"PORT_MISMATCH"}
    shine = run_checks(replace(context, names=("shine-api-gateway",)))
    (result,) = [finding for finding in shine if finding.level == "FAIL"]
    assert (result.code, "5000" in result.sentence, "8080" in result.sentence) == ("PORT_MISMATCH", True, True)


def test_no_value_of_a_secret_is_ever_shown() -> None:
    changes = {"env.SHINE_API_KEYS": "hidden-key-entry, bad key", "env.DB_PASSWORD": "hidden-key-entry"}
    output = run_checks(good.context(good.changed(good.task(), changes)))
    assert "hidden-key-entry" not in json.dumps([finding.model_dump() for finding in output])


@pytest.mark.parametrize(
    "changes",
    [
        {"env.DATABASE_URL": "postgres://app:hidden-password@db/x"},
        {"env.DATABASE_URL": "postgres://app:hidden-password@<DB_HOST>/x"},
        {"secret.DATABASE_URL": "postgres://app:hidden-password@db/x"},
        {"secret.KEY": "-----BEGIN PRIVATE KEY-----\nhidden-password"},
        {"containerDefinitions.1": {**BUSYBOX, "command": ["--url=redis://:hidden-password@cache:6379"]}},
        {"c.logConfiguration.options.splunk-token": "hidden-password"},
    ],
)
def test_no_value_that_is_secret_by_its_form_is_ever_shown(changes: dict[str, Any]) -> None:
    output = run_checks(good.context(good.changed(good.task(), changes)))
    assert "SECRET_IN_PLAIN" in {finding.code for finding in output if finding.level == "WARN"}
    assert "hidden-password" not in json.dumps([finding.model_dump() for finding in output])


def test_a_secret_of_a_wrong_type_is_not_shown() -> None:
    changes = {"env.DB_PASSWORD": 7355608, "env.SHINE_THREADS": 4242}
    output = [check.model_dump() for check in run_checks(good.context(good.changed(good.task(), changes)))]
    assert "7355608" not in json.dumps(output)
    assert "4242" in json.dumps(output)


@pytest.mark.parametrize("row", INVALID_TASKDEFS, ids=NAMES)
def test_botocore_refuses_what_we_refuse_by_shape(row: Invalid) -> None:
    content = good.changed(good.task(row.phase), row.changes)
    refused = ParamValidator().validate(content, shape.register_input()).has_errors()
    _, faults = shape.fit(content)
    ours = [fault for fault in faults if fault.kind != "value" and fault.value is not True]  # it reads true as a number
    assert refused == bool(ours)


ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1e308,
    "",
    "\ud800",
    "\0\x1b[31m",
    "x" * 9999,
    [],
    [[]],
    {},
    {"a": {}},
    [None],
    10**30,
]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_stands_anywhere_the_checks_answer_in_plain_text(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(10):
        content = good.task(chance.choice(["simple", "hybrid", "foundation", "full"]))
        for _ in range(chance.randint(1, 4)):
            _spoil(content, chance)
        output = run_checks(good.context(content))
        assert {finding.code for finding in output} == set(CHECKS)
        printed = json.dumps([finding.model_dump(mode="json") for finding in output], allow_nan=False)
        assert not re.search(r"[\x00-\x08\x0b-\x1f]", "".join(finding.sentence for finding in output))
        assert len(printed) < 200_000


@pytest.mark.parametrize("seed", range(20))
def test_whatever_stands_in_several_containers_of_others_the_checks_answer(seed: int) -> None:
    chance = random.Random(seed)
    several = {**EVERYTHING, "containerDefinitions.1": {**ROUTER, **EVERYTHING_OF_A_CONTAINER}}
    for _ in range(20):
        content = good.changed(good.task(), {**copy.deepcopy(several), "c.image": chance.choice(["nginx", "shine:1"])})
        for _ in range(chance.randint(1, 6)):
            _spoil(content, chance)
        output = run_checks(replace(good.context(content), of_image=False, account=chance.choice(["", "210987654321"])))
        codes = {finding.code for finding in output}
        generic = {code for code, check in CHECKS.items() if check.needs != "contract"}
        assert codes in (set(CHECKS), {*generic, "CONTRACT_COMPARED"})
        json.dumps([finding.model_dump(mode="json") for finding in output], allow_nan=False)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_contract_holds_it_is_refused_or_used(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(20):
        asked = good.contract()
        _spoil(asked, chance)
        try:
            contracts.parse(asked)
        except ValidationError:
            continue
        assert {finding.code for finding in run_checks(good.context(good.task(), asked))} == set(CHECKS)


def _spoil(content: Any, chance: random.Random) -> None:
    """Put something odd somewhere."""
    while True:
        key = chance.choice(list(content) if isinstance(content, dict) else range(len(content)))
        inner = content[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.2:
            content[key] = chance.choice(ODD)
            return
        content = inner


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"c.image": "shine-api-gateway:simple"}, "IMAGE_TAG_MOVES", "rollback"),  # pushed with the phase as tag
        ({"c.image": "shine-api-gateway"}, "IMAGE_TAG_MOVES", "latest"),
        ({"family": "shine-api-gateway:simple"}, "FAMILY_REVISION", "whole numbers"),  # registered, then updated to
        ({"networkMode": "bridge"}, "NETWORK_MODE", "awsvpc"),  # then networkBindings would not be empty
    ],
)
def test_faults_of_a_rollout_by_hand_are_named(changes: dict[str, Any], code: str, says: str) -> None:
    (result,) = good.problems(good.changed(good.task("simple"), changes))
    assert result.code == code
    assert says in result.sentence


def test_the_incident_is_found_as_far_as_a_task_definition_shows_it() -> None:
    changes = {
        "c.portMappings.0.containerPort": 8080,
        "c.healthCheck.command": ["CMD-SHELL", "curl -f http://localhost:5000/ || exit 1"],
        "c.image": "shine-api-gateway:simple",
        "family": "shine-api-gateway:simple",
        "taskRoleArn": "arn:aws:iam::123456789012:role/shine-execution",
        "networkMode": "bridge",
    }
    result = {finding.code for finding in good.problems(good.changed(good.task("simple"), changes))}
    assert result == {
        "PORT_MISMATCH", "HEALTH_EXECUTABLE", "HEALTH_PATH", "IMAGE_TAG_MOVES", "FAMILY_REVISION", "ROLES_SAME",
        "NETWORK_MODE",
    }  # fmt: skip
