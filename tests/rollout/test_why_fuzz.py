"""Whatever is missing or odd in an answer or in a file, a diagnosis comes of it, in plain text and without secrets."""

import contextlib
import copy
import functools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.aws.network import SecurityGroup, Subnet, Target, TargetGroup
from deploy.aws.service import Alarm, Deployment, Event, Service, ServiceDeployment
from deploy.aws.task import Task
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.ranking import diagnose
from deploy.diagnose.terminal import text
from deploy.lenient import LenientDict
from deploy.taskdef.model import TaskDefinition, secret_values
from tests.properties import examples
from tests.rollout.causes import EXAMPLES, messages
from tests.rollout.causes import evidence as samples

KEPT = [json.loads(example.evidence.model_dump_json()) for example in EXAMPLES]
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")
ODD: list[Any] = [
    None, True, -1, 0, 1e308, float("nan"), "", "\ud800", "\0\x1b[31m", "x" * 9999, [], [[]], {}, {"a": {}}, [None],
    10**30, "2026-13-45", 10**15,
]  # fmt: skip
SLOW = settings(max_examples=examples(150), suppress_health_check=list(HealthCheck))

# Every reader of an answer, with an answer that is right.
READERS: list[tuple[Callable[[LenientDict], Any], dict[str, Any]]] = [
    (Task.of, samples.task(**messages.INSIDE)),
    (Service.of, samples.service()),
    (Deployment.of, samples.deployment()),
    (
        ServiceDeployment.of,
        {
            "alarms": {"triggeredAlarmNames": ["a"]},
            "deploymentCircuitBreaker": {"failureCount": 1},
            "createdAt": samples.NOW,
        },
    ),
    (Event.of, samples.event("x")),
    (TaskDefinition.of, samples.definition()),
    (secret_values, samples.definition()),
    (Target.of, samples.unhealthy("Target.Timeout", "Request timed out")),
    (TargetGroup.of, samples.TARGET_GROUP),
    (SecurityGroup.of, {"GroupId": "sg", "IpPermissions": [samples.rule(5000), {"IpProtocol": "-1"}]}),
    (lambda raw: Subnet.of(raw, raw.each("RouteTables")), {"SubnetId": "a", "RouteTables": samples.TABLES["public"]}),
    (Alarm.of, {"AlarmName": "a", "StateValue": "ALARM", "StateUpdatedTimestamp": samples.NOW}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside."""
    inner = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else [])
    return [place for key, part in inner for place in [(*path, key), *places(part, (*path, key))]]


def spoil(value: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> None:
    """Change a place, where it is still there."""
    with contextlib.suppress(KeyError, IndexError, TypeError):
        for key in path[:-1]:
            value = value[key]
        value[path[-1]]
        change(value, path[-1])


def replaced(odd: Any, container: Any, key: Any) -> None:
    container[key] = odd


def dropped(container: Any, key: Any) -> None:
    del container[key]


@SLOW
@given(st.data())
def test_evidence_without_some_keys_is_diagnosed_all_the_same(data: st.DataObject) -> None:
    kept = copy.deepcopy(data.draw(st.sampled_from(KEPT)))
    for path in data.draw(st.lists(st.sampled_from(places(kept)), max_size=12)):
        spoil(kept, path, dropped)
    causes = diagnose(Evidence.model_validate(kept))
    assert causes
    assert causes == sorted(causes, key=lambda cause: -cause.weight)


def test_evidence_of_nothing_at_all_is_diagnosed() -> None:
    assert [cause.code for cause in diagnose(Evidence())] == ["NOT_SEEN"]


@SLOW
@given(st.data())
def test_an_answer_in_which_anything_is_odd_is_read(data: st.DataObject) -> None:
    reader, answer = data.draw(st.sampled_from(READERS))
    answer = copy.deepcopy(answer)
    for path in data.draw(st.lists(st.sampled_from(places(answer)), min_size=1, max_size=4)):
        odd = data.draw(st.sampled_from(ODD))
        spoil(answer, path, functools.partial(replaced, odd))
    fact = reader(LenientDict(answer))
    if isinstance(fact, Task):
        evidence = Evidence(
            stopped=(fact,), running=(fact,), definition=TaskDefinition.of(LenientDict(samples.definition()))
        )
        assert diagnose(evidence)
        assert Evidence.model_validate_json(evidence.model_dump_json()) == evidence


@SLOW
@given(st.text(max_size=60), st.integers(0, 255), st.sampled_from(["task", "log", "event", "target", "alarm", "name"]))
def test_whatever_aws_or_a_log_says_is_shown_in_plain_text(drawn: str, code: int, place: str) -> None:
    hostile = LenientDict({"": f"\x1b[31m{drawn}\x00"}).text("")
    parts: dict[str, Any] = {
        "task": {"running_tasks": []},
        "log": {"logs": samples.log(1, hostile, f'{{"message": "m", "cause": {json.dumps(hostile)}}}')},
        "event": {"events": [samples.event(hostile)]},
        "target": {"targets": [samples.unhealthy("Target.Timeout", hostile)]},
        "alarm": {"alarms": [{"AlarmName": hostile, "StateValue": "ALARM", "StateReason": hostile}]},
        "name": {"task_definition": samples.definition(image=hostile, healthCheck={"command": ["CMD-SHELL", hostile]})},
    }
    evidence = samples.make_evidence(samples.exited(code, container=hostile if place == "task" else ""), **parts[place])
    causes = diagnose(evidence)
    printed = text(evidence, causes, colours=False)
    for line in [printed, *(line for cause in causes for line in (cause.sentence, cause.repair, *cause.evidence))]:
        assert not CONTROL.search(line)
    json.dumps([cause.model_dump(mode="json") for cause in causes])


SECRETS = {
    "an access key of AWS": ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "a secret key of AWS": ("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
    "a key in a header": ("refused: X-API-Key: open-sesame-1", "open-sesame-1"),
    "a bearer": ("Authorization: Bearer abc.def-123456", "abc.def-123456"),
    "a key made by keys.py": ("key zQ3vT9pL1xK7mB2nR8sW4yU6aE0cG5hJ_kI-oPqXdZf", "zQ3vT9pL1xK7"),
    "an entry of SHINE_API_KEYS": (f"sha256:{'0a' * 16}:{'1b' * 32}", "1b1b1b1b"),
    "a password in an address": ("postgres://shine:hunter2222@db.internal/x", "hunter2222"),
    "a password in JSON": ('{"message": "login", "cause": "x", "password": "hunter2222"}', "hunter2222"),
    "a setting": ("SHINE_API_KEYS=open-sesame-2,open-sesame-3", "open-sesame-2"),
    "a web token": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.dBjftJeZ4CVP", "eyJzdWIi"),
    "a private key": ("-----BEGIN PRIVATE KEY----- MIIEvQIBADAN", "MIIEvQ"),
}
PLAIN = [
    f"failed to resolve ref {samples.IMAGE}: not found",
    f"failed to fetch secret {samples.SECRET} from secrets manager: AccessDeniedException",
    "shine: SHINE_API_KEYS cannot be used: entry 1 of 2 has characters other than visible ASCII",
    "request id: a87a66d9-f839-4353-b8c2-9984b1465695",
    f"task 0123456789abcdef0123456789abcdef of {samples.GROUP}",
    "ModuleNotFoundError: No module named 'token'",
]


@pytest.mark.parametrize("name", SECRETS)
def test_what_looks_like_a_secret_is_not_shown(name: str) -> None:
    line, secret = SECRETS[name]
    evidence = samples.make_evidence(
        samples.exited(3, container=line), logs=samples.log(1, line), events=[samples.event(line)]
    )
    causes = diagnose(evidence)
    assert secret not in text(evidence, causes, colours=False) + json.dumps(
        [cause.model_dump(mode="json") for cause in causes]
    )
    assert "[hidden]" in json.dumps(causes[0].model_dump(mode="json"))


@pytest.mark.parametrize("line", PLAIN)
def test_what_only_looks_like_a_secret_is_shown(line: str) -> None:
    (first, *_) = diagnose(samples.make_evidence(samples.task(reason=line, code="TaskFailedToStart")))
    assert line in json.dumps(first.model_dump(mode="json"))
