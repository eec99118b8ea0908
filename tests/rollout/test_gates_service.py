"""Gates that ask the service, against one that really runs: in phase full with weights from S3 and with keys, and in
phase simple, where the front end's origin is not let in."""

import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto import mock_aws

from bentos.skin.model.engine import EMBEDDED
from bentos.skin.settings import DRILL_HEADER
from deploy.config.plan import Gates
from deploy.gates import golden, registry
from deploy.gates.observation import Observation
from deploy.gates.probe_load import PREFIX, ProbeLoad
from deploy.gates.run import run_gates
from deploy.gates.target import KEY_VARIABLE, LiveTarget, client
from deploy.image.load import PROBE_PHOTO
from deploy.record.trail import GateResult
from tests.deploy.aws import BUCKET, FOLDER, MOTO, SECRET_VALUE
from tests.rollout.live_account import NOWHERE, DeployedAccount, ask, run_to_end
from tests.rollout.test_gates_aws import alarm, fails, holds, logged, scales
from tests.s3 import CREDENTIALS, S3
from tests.server import Server
from tests.service.traffic import until

FRONT_END = "https://www.example.com"  # of the plan
KEY = {"x-api-key": SECRET_VALUE}


@pytest.fixture(scope="module")
def account() -> Iterator[DeployedAccount]:
    """One for all: nothing here changes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for name, value in {**CREDENTIALS, **MOTO}.items():
            patch.setenv(name, value)
        with mock_aws():
            made = DeployedAccount(EMBEDDED)
            yield made
            made.close()


@pytest.fixture(scope="module")
def full(account: DeployedAccount, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service as the last phase has it, the model loaded."""
    bucket = S3()
    bucket.put_bundle(BUCKET, FOLDER, EMBEDDED)
    running = Server(
        tmp_path_factory.mktemp("full"),
        SHINE_PHASE="full",
        SHINE_WEIGHTS_URI=f"s3://{BUCKET}/{FOLDER}",
        SHINE_WEIGHTS_SHA256=account.ids["pin"],
        SHINE_CACHE_DIR=str(tmp_path_factory.mktemp("cache")),
        SHINE_API_KEYS=SECRET_VALUE,
        SHINE_CORS_ORIGINS=FRONT_END,
        AWS_ENDPOINT_URL=bucket.url,
        **CREDENTIALS,
    )
    try:
        running.wait("/ready")
        photo = {"image": PROBE_PHOTO.read_bytes()}
        until(lambda: httpx.post(running.url + "/analyze", files=photo, headers=KEY, timeout=30).is_success, 30, "up")
        yield running
    finally:
        running.stop()
        bucket.close()


@pytest.fixture(scope="module")
def live(account: DeployedAccount, full: Server) -> LiveTarget:
    return account.live("full", full.url, api_key=SECRET_VALUE)


@pytest.fixture(scope="module")
def first(account: DeployedAccount, server: Server) -> LiveTarget:
    """The service of phase simple, which was started without the front end's origin."""
    return account.live("simple", server.url)


def altered(live: LiveTarget, change: Callable[[httpx.Request, httpx.Response], httpx.Response | None]) -> LiveTarget:
    """The same service, some of whose answers come otherwise."""
    real = live.http

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        headers = {name: value for name, value in request.headers.items() if name != "transfer-encoding"}
        got = real.request(str(request.method), request.url, content=request.content, headers=headers, timeout=30)
        plain = {name: value for name, value in got.headers.items() if name != "content-length"}
        copy = httpx.Response(got.status_code, headers=plain, content=got.content, request=request)
        return change(request, copy) or copy

    output = {name: getattr(live, name) for name in live.__dataclass_fields__}
    return LiveTarget(**{**output, "http": httpx.Client(transport=httpx.MockTransport(answer))})


def says(path: str, **changes: Any) -> Callable[[httpx.Request, httpx.Response], httpx.Response | None]:
    """Change what a path's JSON object says."""

    def change(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
        if request.url.path != path:
            return None
        return httpx.Response(answer.status_code, json={**answer.json(), **changes}, headers=answer.headers)

    return change


def instead(path: str, status: int, text: str = "<html>Bad gateway</html>") -> Any:
    """Another's answer in the service's place."""
    headers = {"content-type": "text/html"}
    return lambda request, _: httpx.Response(status, text=text, headers=headers) if request.url.path == path else None


# --- all hold ---------------------------------------------------------------------------------------------------------

OF_THE_SERVICE = (
    "health", "version", "cors", "analysis", "stable", "model_state", "metrics", "degradation", "model_from_s3",
    "cached", "ready", "keys",
)  # fmt: skip


@pytest.mark.parametrize("name", OF_THE_SERVICE)
def test_a_service_as_it_should_be_holds(live: LiveTarget, name: str) -> None:
    holds(ask(live, name))


@pytest.mark.parametrize("name", ["health", "version", "analysis"])
def test_a_service_of_the_first_phase_holds(first: LiveTarget, name: str) -> None:
    holds(ask(first, name))


@pytest.mark.parametrize("name", [name for name in OF_THE_SERVICE if name != "keys"])
def test_where_nobody_answers_no_gate_holds_and_none_raises(account: DeployedAccount, name: str) -> None:
    result = ask(account.live("full", NOWHERE), name)
    fails(result, f"{NOWHERE} does not answer")


@pytest.mark.parametrize("name", OF_THE_SERVICE)
@pytest.mark.parametrize(
    ("status", "text"), [(502, "<html>"), (200, "<html>"), (200, "[]"), (200, "{}"), (200, "null")]
)
def test_whatever_answers_in_the_services_place_is_no_trace(
    live: LiveTarget, name: str, status: int, text: str
) -> None:
    def other(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, text=text, headers={"content-type": "application/json"})

    output = {item: getattr(live, item) for item in live.__dataclass_fields__}
    result = ask(LiveTarget(**{**output, "http": httpx.Client(transport=httpx.MockTransport(other))}), name)
    if (name, status) == ("ready", 200):  # a status is all that it asks
        return
    assert not result.holds, result
    assert result.sentence


# --- each for its own reason ------------------------------------------------------------------------------------------


def test_another_phase_is_seen(first: LiveTarget, account: DeployedAccount) -> None:
    wrong = account.live("hybrid", first.base_url)
    assert fails(ask(wrong, "health"), "reports phase simple, not hybrid").value == "simple"
    fails(ask(wrong, "version"), "phase simple, not hybrid")
    fails(ask(wrong, "model_state"), "reports phase simple, not hybrid")


def test_another_commit_is_seen_where_both_are_known(first: LiveTarget) -> None:
    def told(contract: str | None, answer: str | None) -> GateResult:
        known = {item: getattr(first, item) for item in first.__dataclass_fields__}
        of = LiveTarget(**{**known, "contract": {**first.contract, "revision": contract}})
        return ask(altered(of, says("/version", revision=answer)), "version")

    holds(told("c0ffee", "c0ffee"))
    fails(told("c0ffee", "deadbeef"), "revision deadbeef, not c0ffee")
    assert "its commit is not known" in holds(told("c0ffee", None)).sentence
    assert "its commit is not known" in holds(told(None, "deadbeef")).sentence
    fails(ask(altered(first, says("/version", service="nginx")), "version"), "service nginx, not shine")


def test_an_origin_that_is_not_let_in_is_told_with_its_setting(first: LiveTarget) -> None:
    result = fails(ask(first, "cors"), f"A CORS preflight from {FRONT_END} answers 400")
    assert "SHINE_CORS_ORIGINS" in result.sentence
    assert (result.value["preflight"], result.limit["preflight"]) == (None, FRONT_END)


def test_a_page_that_may_not_read_the_answer_is_seen(live: LiveTarget) -> None:
    def bare(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
        if request.method == "POST":
            del answer.headers["access-control-allow-origin"]
        return answer

    fails(ask(altered(live, bare), "cors"), "The CORS preflight is right, but a response with status 200")


def test_a_preflight_without_the_key_is_seen(live: LiveTarget) -> None:
    def bare(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
        if request.method == "OPTIONS":
            answer.headers["access-control-allow-headers"] = "content-type"
        return answer

    fails(ask(altered(live, bare), "cors"), "does not allow POST with an API key")


def test_the_preflight_is_what_a_browser_sends(live: LiveTarget) -> None:
    asked: list[httpx.Request] = []
    ask(altered(live, lambda request, _: asked.append(request)), "cors")
    preflight, photo = asked
    assert preflight.method == "OPTIONS"
    assert preflight.headers["origin"] == photo.headers["origin"] == FRONT_END
    assert preflight.headers["access-control-request-method"] == "POST"
    assert preflight.headers["access-control-request-headers"] == "x-api-key"
    assert "x-api-key" not in preflight.headers
    assert photo.headers["x-api-key"] == SECRET_VALUE


def analysed(**changes: Any) -> Any:
    def change(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
        if request.method != "POST":
            return None
        body = answer.json()
        for name, value in changes.items():
            concern, _, field = name.partition("__")
            if field:
                body["concerns"][concern][field] = value
            else:
                body[name] = value
        return httpx.Response(200, json=body, headers=answer.headers)

    return change


def test_findings_that_are_not_known_of_the_probe_photo_are_told(live: LiveTarget) -> None:
    known = golden.read(golden.GOLDEN).findings[account_pin(live)].scores["redness"]
    changed = altered(live, analysed(redness__score=90, face=None))
    result = fails(ask(changed, "analysis"), f"redness is 90, not {known}")
    assert "no face is found" in result.sentence
    assert result.value["scores"]["redness"] == 90
    assert result.limit["scores"]["redness"] == known


def test_weights_that_nobody_knows_are_told_with_the_command(live: LiveTarget, tmp_path: Path) -> None:
    other = altered(live, analysed(model={"name": "own", "version": "2", "sha256": "f" * 64}))
    result = fails(
        ask(other, "analysis"), "The expected findings of the weights ffffffffffff… on the probe photo are not known"
    )
    assert "`trail golden URL FILE`" in result.sentence
    assert "gates.golden of phase full" in result.sentence
    content = json.loads(golden.GOLDEN.read_text())
    content["findings"] = {"f" * 64: content["findings"][account_pin(live)]}
    (tmp_path / "own.json").write_text(json.dumps(content))
    planned(other, golden=str(tmp_path / "own.json"))
    holds(ask(other, "analysis"))
    holds(ask(planned(altered(live, lambda *_: None), golden=str(tmp_path / "own.json")), "analysis"))
    (tmp_path / "own.json").write_text("{}")
    fails(ask(other, "analysis"), "is not a file that `trail golden` writes")
    fails(ask(planned(other, golden=str(tmp_path / "none.json")), "analysis"), "none.json cannot be read")


def account_pin(live: LiveTarget) -> str:
    assert live.plan.weights is not None
    return live.plan.weights.sha256


def planned(live: LiveTarget, **gates: Any) -> LiveTarget:
    """With other gates in the plan of the phase."""
    content = live.plan.model_dump()
    content["phases"][live.phase]["gates"] |= gates
    live.plan = type(live.plan).model_validate(content)
    return live


def test_the_last_phase_requires_the_model(live: LiveTarget) -> None:
    asked: list[bytes] = []
    ask(altered(live, lambda request, _: asked.append(request.content)), "analysis")
    assert b'name="require"\r\n\r\nmodel' in asked[0]
    fails(ask(altered(live, analysed(source="heuristic", model=None)), "analysis"), "requires the model")


def drilled(live: LiveTarget, change: Callable[[dict[str, Any], httpx.Headers], None], status: int = 200) -> GateResult:
    def changed(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
        if DRILL_HEADER not in request.headers:
            return None
        body, headers = answer.json(), answer.headers
        change(body, headers)
        return httpx.Response(status, json=body, headers=headers)

    return ask(altered(live, changed), "degradation")


def test_a_fallback_that_is_not_marked_is_no_degradation(live: LiveTarget) -> None:
    result = holds(ask(live, "degradation"))
    assert result.value == {"source": "heuristic", "degraded": True, "reason": "model_disabled", "x-degraded": "true"}
    fails(drilled(live, lambda body, _: body.update(degraded=False)), "not marked as it should be: degraded is False")
    fails(drilled(live, lambda body, _: body.update(source="model")), "source is model")
    fails(drilled(live, lambda body, _: body.update(reason="circuit_open")), "reason is circuit_open")
    fails(drilled(live, lambda _, headers: headers.update({"x-degraded": "false"})), "x-degraded is false")
    refusal = {"error": {"code": "model_unavailable", "message": "The model is required."}}
    refused = fails(drilled(live, lambda body, _: body.update(refusal), 503), "answers 503 model_unavailable")
    assert "The model is required" in refused.sentence


def test_a_service_that_refuses_fallbacks_proves_that_instead(live: LiveTarget) -> None:
    def refuses(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
        if request.url.path == "/ml/status":
            return httpx.Response(200, json={**answer.json(), "policy": {"require_model": True}})
        error = {"error": {"code": "model_unavailable", "message": "It is required."}}
        return httpx.Response(503, json=error) if DRILL_HEADER in request.headers else None

    assert "as SHINE_REQUIRE_MODEL requires" in holds(ask(altered(live, refuses), "degradation")).sentence


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "loading"}, "The model is loading"),
        ({"state": "disabled"}, "The model is disabled"),
        ({"model": None}, "does not name it"),
        ({"model": {"name": "face-skin", "version": "1", "sha256": None}}, "does not name it"),
        ({"state": "degraded", "reason": None}, "gives no reason"),
        ({"phase": "hybrid"}, "reports phase hybrid, not full"),
    ],
)
def test_a_state_that_cannot_be_is_no_state(live: LiveTarget, changes: dict[str, Any], words: str) -> None:
    fails(ask(altered(live, says("/ml/status", **changes)), "model_state"), words)


def test_a_degraded_model_with_a_reason_is_a_state(live: LiveTarget) -> None:
    error = {"code": "weights_missing", "message": "There is no bucket.", "at": ""}
    output = {"state": "degraded", "reason": "weights_missing", "model": None, "last_error": error}
    result = holds(ask(altered(live, says("/ml/status", **output)), "model_state"))
    assert "weights_missing: There is no bucket" in result.sentence
    holds(ask(altered(live, says("/ml/status", state="degraded", reason=None, breaker="open")), "model_state"))
    for name in ("model_from_s3", "cached"):
        fails(
            ask(altered(live, says("/ml/status", **output)), name), "No model is loaded (weights_missing: There is no"
        )


def test_the_model_is_the_pinned_one_from_the_planned_place(live: LiveTarget) -> None:
    pin, uri = account_pin(live), f"s3://{BUCKET}/{FOLDER}"
    assert holds(ask(live, "model_from_s3")).value == {"sha256": pin, "source": uri}

    def model(**changes: str) -> LiveTarget:
        output = {"name": "n", "version": "1", "sha256": pin, "source": uri, **changes}
        return altered(live, says("/ml/status", model=output))

    holds(ask(model(source=f"{uri}/1.0.0-x"), "model_from_s3"))
    fails(ask(model(sha256="f" * 64), "model_from_s3"), "The loaded model is ffffffffffff")
    fails(ask(model(source="embedded"), "model_from_s3"), "comes from embedded, not from s3://")
    fails(ask(model(source=f"{uri}-of-others"), "model_from_s3"), "not from s3://")


def test_metrics_that_lack_a_family_are_named(live: LiveTarget) -> None:
    def without(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
        if request.url.path != "/metrics":
            return None
        kept = [line for line in answer.text.splitlines() if not line.startswith("shine_answers_total")]
        return httpx.Response(200, text="\n".join(kept))

    fails(ask(altered(live, without), "metrics"), "/metrics lacks shine_answers_total:")


def test_ready_is_asked_as_often_as_there_are_tasks(live: LiveTarget, account: DeployedAccount) -> None:
    asked: list[str] = []

    def second(request: httpx.Request, _: httpx.Response) -> httpx.Response | None:
        asked.append(request.url.path)
        body = {"ready": False, "state": "loading", "reason": "model_loading"}
        return httpx.Response(503, json=body) if len(asked) == 2 else None

    fails(ask(altered(live, second), "ready"), "503 (loading, model_loading), at try 2 of 2")
    assert asked == ["/ready", "/ready"]
    account.tells(account.tasks[0], healthStatus="UNHEALTHY")
    try:
        fails(ask(live, "ready"), "does not report all tasks as healthy: 1 UNHEALTHY")
    finally:
        account.changed.clear()


def test_keys_are_enforced_and_ours_is_known(live: LiveTarget, first: LiveTarget) -> None:
    assert holds(ask(live, "keys")).value == {"without": 401, "wrong": 401, "right": 200}
    fails(ask(first, "keys"), "without a key answers 200, not 401: is SHINE_API_KEYS set?")

    def lax(request: httpx.Request, _: httpx.Response) -> httpx.Response | None:
        return httpx.Response(200, json={}) if request.headers.get("x-api-key") not in (None, SECRET_VALUE) else None

    fails(ask(altered(live, lax), "keys"), "with a wrong key answers 200, not 401")
    output = {item: getattr(live, item) for item in live.__dataclass_fields__}
    fails(ask(LiveTarget(**{**output, "api_key": "not-the-key"}), "keys"), "answers 401 api_key_wrong")
    fails(ask(LiveTarget(**{**output, "api_key": None}), "keys"), f"give one in {KEY_VARIABLE}")
    unknown = live.plan.model_copy(update={"secrets": {}})
    fails(ask(LiveTarget(**{**output, "api_key": None, "plan": unknown}), "keys"), "names no secret for SHINE_API_KEYS")


def test_without_a_key_other_gates_say_how_to_give_one(live: LiveTarget) -> None:
    output = {item: getattr(live, item) for item in live.__dataclass_fields__}
    result = fails(ask(LiveTarget(**{**output, "api_key": None}), "version"), "answers 401 api_key_missing")
    assert KEY_VARIABLE in result.sentence


def test_a_load_balancers_own_page_is_told_as_such(live: LiveTarget) -> None:
    fails(ask(altered(live, instead("/version", 502)), "version"), "GET /version answers 502.")
    fails(ask(altered(live, instead("/version", 200)), "version"), "answers text/html instead of a JSON object")


def over(live: LiveTarget, **answers: httpx.Response) -> LiveTarget:
    """The service at an HTTPS address; what each scheme answers."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.scheme not in answers:
            raise httpx.ConnectError("connection refused")
        assert request.url.scheme == "https" or "x-api-key" not in request.headers
        asked.append(str(request.url))
        return answers[request.url.scheme]

    asked: list[str] = []
    output = {item: getattr(live, item) for item in live.__dataclass_fields__}
    client = httpx.Client(transport=httpx.MockTransport(answer))
    return LiveTarget(**{**output, "base_url": "https://api.example.com:8443/", "http": client})


def test_https_is_there_and_http_redirects_to_it_for_good(live: LiveTarget) -> None:
    fine = httpx.Response(200, json={"status": "ok", "phase": "full"})
    to = {"location": "https://api.example.com/health"}
    for status in (301, 308):
        moved = httpx.Response(status, headers=to)
        assert holds(ask(over(live, https=fine, http=moved), "https")).value["asked"] == "the service"
    for answer in (
        httpx.Response(302, headers=to),
        httpx.Response(200),
        httpx.Response(301, headers={"location": "/"}),
    ):
        fails(ask(over(live, https=fine, http=answer), "https"), "instead of a permanent redirect to HTTPS")
    fails(ask(over(live, https=fine), "https"), "http://api.example.com/health does not answer")
    fails(ask(over(live, http=httpx.Response(301, headers=to)), "https"), "does not answer")


def test_a_service_that_hangs_is_waited_for_once_a_round(account: DeployedAccount) -> None:
    asked: list[str] = []

    def hangs(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        raise httpx.ReadTimeout("timed out")

    live = account.live("full", http=httpx.Client(transport=httpx.MockTransport(hangs)))
    observed = Observation(live, Gates(), ProbeLoad(live, 1.0))
    for gate in registry.GATES:
        if gate.name in ("health", "version", "cors", "analysis", "model_state"):
            fails(gate.run(live, observed), "does not answer: timeout")
    assert asked == ["/health"]


# --- the probe load ---------------------------------------------------------------------------------------------------


def test_the_probe_load_records_who_answers_and_names_its_requests(live: LiveTarget) -> None:
    with ProbeLoad(live, per_second=4) as probe_load:
        until(lambda: len(probe_load.outcomes) >= 3, 30, "three answers")
        probe_load.finish(30)
    for outcome in probe_load.outcomes:
        assert (outcome.status, outcome.source, outcome.degraded, outcome.reason) == (200, "model", False, None)
        assert 0 < outcome.seconds < 15
        assert outcome.id.startswith(PREFIX)
    assert len({outcome.id for outcome in probe_load.outcomes}) == len(probe_load.outcomes)


def test_the_probe_load_is_refused_without_the_key_that_a_service_requires(live: LiveTarget) -> None:
    output = {item: getattr(live, item) for item in live.__dataclass_fields__}
    with ProbeLoad(LiveTarget(**{**output, "api_key": None}), per_second=20) as probe_load:
        until(lambda: probe_load.outcomes, 10, "an answer")
    (one, *_) = probe_load.outcomes
    assert (one.status, one.lost, one.source) == (401, True, None)


def test_a_load_test_is_within_its_budget_or_says_what_was_not(live: LiveTarget) -> None:
    result = holds(ask(live, "load", load_s=1, canary_per_second=1, p95_ms=10_000))
    assert result.value["sent"] >= 2
    assert result.value["errors"] == result.value["refused"] == 0
    fails(ask(live, "load", load_s=1, canary_per_second=1, p95_ms=1), "the 95th percentile is")
    fails(ask(altered(live, instead("/analyze", 502)), "load", load_s=1), "none of")


# --- all gates, until the verdict -------------------------------------------------------------------------------------


@pytest.fixture
def proven(
    live: LiveTarget, account: DeployedAccount, full: Server
) -> Iterator[tuple[LiveTarget, Callable[[float], None]]]:
    """The service of the last phase with all that stands around it, and a sleep in which its log lines arrive."""
    alarm(account, "degraded")
    scales(account, 2, 6, "ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget")
    output = {item: getattr(live, item) for item in live.__dataclass_fields__}
    whole = LiveTarget(**{**output, "plan": live.plan.model_copy(update={"alarms": ["degraded"]})})
    arrived = 0

    def sleep(seconds: float) -> None:
        nonlocal arrived
        time.sleep(seconds)
        lines = [line for line in full.log.read_text().splitlines() if PREFIX in line]
        if len(lines) > arrived:
            logged(account, *lines[arrived:])
            arrived = len(lines)

    yield whole, sleep
    account.changed.clear()


LIMITS = Gates(window_s=3, settle_s=40, canary_per_second=4, load_s=1, p95_ms=10_000)


@pytest.mark.long
def test_a_rollout_as_it_should_be_is_proven(proven: tuple[LiveTarget, Callable[[float], None]]) -> None:
    live, sleep = proven
    rounds, verdict = run_to_end(run_gates(live, LIMITS, sleep, interval_s=1))
    failed = [[result.name for result in results if not result.holds] for results in rounds]
    assert verdict.passed, [result.sentence for result in verdict.failed]
    assert [result.name for result in verdict.results] == registry.names("full")
    assert failed[-3:] == [[]] * 3  # settled, within the window, at its end


def test_a_task_that_dies_in_the_window_fails_it(
    proven: tuple[LiveTarget, Callable[[float], None]], account: DeployedAccount
) -> None:
    live, sleep = proven
    live.phase = "hybrid"
    try:
        rounds = run_gates(altered(live, says_hybrid), LIMITS, sleep, interval_s=1)

        def stop_once_all_pass(results: list[GateResult]) -> None:
            if all(result.holds for result in results):
                account.stop(account.tasks[0], "Task failed ELB health checks in (target-group shine)")

        _, verdict = run_to_end(rounds, stop_once_all_pass)
        assert not verdict.passed
        assert "Task failed ELB health checks" in verdict.failed[0].sentence
        assert {result.name for result in verdict.failed} >= {"tasks_running", "stable", "targets_healthy"}
    finally:
        account.tasks[0] = account.start()


def says_hybrid(request: httpx.Request, answer: httpx.Response) -> httpx.Response | None:
    if request.url.path in ("/health", "/version", "/ml/status"):
        return httpx.Response(200, json={**answer.json(), "phase": "hybrid"})
    return None


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Something that answers /health over TLS with a certificate that nobody has signed; its address and that."""
    folder, now = tmp_path_factory.mktemp("tls"), datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shine")])
    local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(local, critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "ok", "phase": "full"}')

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    running.socket = context.wrap_socket(running.socket, server_side=True)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{running.server_port}", folder / "cert.pem"
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_certificate_must_be_one_that_this_system_trusts(
    account: DeployedAccount, certified: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, certificate = certified
    with client() as distrusting:
        result = fails(ask(account.live("full", url, http=distrusting), "https"), f"{url} does not answer")
        assert "CERTIFICATE_VERIFY_FAILED" in result.sentence
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with client() as trusting:
        holds(ask(account.live("full", url, http=trusting), "health"))
