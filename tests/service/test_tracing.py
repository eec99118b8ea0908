"""Traces: W3C traceparent in, through both runners, to a collector where one is set, without delaying requests."""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bentos.skin.runtime.tracing import tracing
from tests.server import ROOT, Server
from tests.service.collector import Collector
from tests.service.traffic import FAKE_ENGINE, Engine, ask, client_of, closed, drawn_photos, until

PHOTO = drawn_photos()[0]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
EXPORT_S = 20.0
QUICK_S = 0.5  # an answer of the fake engine, median; 50 ms on an idle machine
Serve = Callable[..., Server]


def new_trace() -> str:
    return os.urandom(16).hex()


def lines(server: Server) -> list[dict[str, Any]]:
    """The log lines that are JSON objects."""
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]


def line_of(server: Server, request_id: str) -> dict[str, Any]:
    """The request line of a request."""
    matching: list[dict[str, Any]] = []

    def written() -> bool:
        matching[:] = [x for x in lines(server) if x["message"] == "request" and x["request_id"] == request_id]
        return bool(matching)

    until(written, 5, "the request's line")
    (line,) = matching
    return line


def traced_by(server: Server, traceparent: str | None) -> str:
    """The trace id in the line of a request that carried this header."""
    headers = {} if traceparent is None else {"traceparent": traceparent}
    answer = httpx.get(server.url + "/version", headers=headers)
    assert "traceparent" not in answer.headers
    return str(line_of(server, answer.headers["x-request-id"])["trace_id"])


@pytest.mark.parametrize(
    "traceparent",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f"00-{TRACE}-{SPAN}-ff",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",  # a later version may be longer
    ],
)
def test_a_valid_traceparent_gives_the_line_its_trace_id(server: Server, traceparent: str) -> None:
    assert traced_by(server, traceparent) == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",  # version 00 has no more
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
    ],
)
def test_any_other_begins_a_trace_of_its_own(server: Server, traceparent: str | None) -> None:
    trace_id = traced_by(server, traceparent)
    assert trace_id.lower() != TRACE
    assert len(bytes.fromhex(trace_id)) == 16
    assert trace_id != traced_by(server, traceparent)


# --- with a collector -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector, engine: Engine) -> Iterator[Server]:
    """A service that exports, ten times as often as the SDK's default."""
    exports = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url + "/v1/traces",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "OTEL_EXPORTER_OTLP_HEADERS": "X-Tenant=skin%20lab",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test-bench",
    }
    running = Server(tmp_path_factory.mktemp("traced"), FAKE_ENGINE, **engine.env, **exports)
    try:
        yield running.wait_for_workers()
    finally:
        running.stop()


def analyze(server: Server, trace_id: str, flags: str = "01") -> httpx.Response:
    headers = {"traceparent": f"00-{trace_id}-{SPAN}-{flags}"}
    with client_of(server) as client:
        return client.post("/analyze", files={"image": PHOTO}, headers=headers)


def test_the_callers_trace_goes_through_all_three_services(traced: Server, collector: Collector) -> None:
    trace_id = new_trace()
    answer = analyze(traced, trace_id)
    assert answer.json()["source"] == "model"
    line = line_of(traced, answer.headers["x-request-id"])
    assert (line["trace_id"], line["source"], line["degraded"]) == (trace_id, "model", False)
    assert line["stages_ms"].keys() == {"decode", "face", "analysis", "total"}
    services = {"Gateway", "SkinModel", "HeuristicFallback"}
    until(lambda: collector.services_in(trace_id) == services, EXPORT_S, "spans of all three")
    spans = b"".join(collector.bodies)
    assert answer.headers["x-request-id"].encode() in spans
    assert b"shine.analysis_ms" in spans
    assert b"http receive" not in spans  # one span a request, not one for each piece of its body
    assert b"http send" not in spans
    assert b"test-bench" in spans
    assert {name.lower(): value for name, value in collector.headers.items()}["x-tenant"] == "skin lab"


def test_a_trace_that_its_caller_does_not_sample_is_not_exported_nor_are_probes(
    traced: Server, collector: Collector
) -> None:
    unsampled, probing, sampled = new_trace(), new_trace(), new_trace()
    assert analyze(traced, unsampled, "00").status_code == 200
    httpx.get(traced.url + "/health", headers={"traceparent": f"00-{probing}-{SPAN}-01"})
    assert analyze(traced, sampled).status_code == 200
    until(lambda: "Gateway" in collector.services_in(sampled), EXPORT_S, "the later spans")
    assert collector.services_in(unsampled) == collector.services_in(probing) == set()
    assert b"/status" not in b"".join(collector.bodies)  # the gateway's own watch, once a second


def test_log_lines_of_gateway_and_runner_join_the_trace(traced: Server, engine: Engine) -> None:
    trace_id = new_trace()
    engine.behaves("raises")
    try:
        answer = analyze(traced, trace_id)
        assert answer.json()["reason"] == "model_crashed"
        of_trace = [line for line in lines(traced) if line.get("trace_id") == trace_id]
    finally:
        engine.behaves("healthy")
    (failed,) = [line for line in of_trace if line["message"] == "a runner's call failed"]
    assert failed["request_id"] == answer.headers["x-request-id"]
    (raised,) = [line for line in of_trace if "the engine is broken" in line.get("exception", "")]
    assert "request_id" not in raised  # said by the runner, which knows only the trace
    until(lambda: closed(traced), 20, "healed")


# --- with a dead one ------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("kind", ["refuses", "never answers"])
def test_a_dead_collector_slows_and_fails_nothing(serve: Serve, tmp_path: Path, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if kind == "refuses":
            listener.close()
        exports = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        server = serve(FAKE_ENGINE, **Engine(tmp_path).env, **exports).wait_for_workers()
        with client_of(server) as client:
            responses = [ask(client, PHOTO) for _ in range(40)]
        assert {(response.status, response.body["source"]) for response in responses} == {(200, "model")}
        assert statistics.median(response.seconds for response in responses) < QUICK_S
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 15  # an ECS task is killed after 30
        if kind == "never answers":
            listener.settimeout(1)
            listener.accept()[0].close()  # spans were really on their way
        assert len([line for line in lines(server) if line["logger"].startswith("opentelemetry")]) < 40


# --- off ------------------------------------------------------------------------------------------------------------

LOADED = """
import sys, threading
from bentoml._internal.configuration.containers import BentoMLContainer
from tests.service.without_workarounds import Gateway
Gateway.inject_config()
BentoMLContainer.tracer_provider.get()
exporters = any(name.startswith("opentelemetry.exporter") for name in sys.modules)
threads = any("Otel" in thread.name for thread in threading.enumerate())
print(exporters, threads)
"""


def run(script: str = LOADED, **env: str) -> "subprocess.CompletedProcess[str]":
    """A process that makes the gateway's tracer, or runs another script."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SHINE_", "OTEL_"))}
    environment = {**inherited, "PYTHONPATH": str(ROOT), **env}
    command = [sys.executable, "-W", "ignore", "-c", script]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


NAMED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("env", "loaded"),
    [
        ({}, "False False"),
        pytest.param({**NAMED, "OTEL_SDK_DISABLED": "true"}, "False False", marks=pytest.mark.long),
        pytest.param({**NAMED, "OTEL_TRACES_EXPORTER": "none"}, "False False", marks=pytest.mark.long),
        (NAMED, "True True"),
    ],
)
def test_without_a_collector_nothing_is_imported_and_no_thread_runs(env: dict[str, str], loaded: str) -> None:
    assert run(**env).stdout.strip() == loaded


SUPPORTED: list[tuple[dict[str, str], bool]] = [
    ({}, False),
    (NAMED, True),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector:4318/v1/traces"}, True),
    ({**NAMED, "OTEL_TRACES_EXPORTER": "none"}, False),
    ({**NAMED, "OTEL_TRACES_EXPORTER": " None "}, False),
    ({**NAMED, "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ({**NAMED, "OTEL_TRACES_EXPORTER": ""}, True),
    ({"OTEL_TRACES_EXPORTER": "otlp"}, True),  # to the collector on this host
    ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ({**NAMED, "OTEL_SDK_DISABLED": "false"}, True),
    ({**NAMED, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, True),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False),  # of other programs on this host
    ({**NAMED, "OTEL_PROPAGATORS": "tracecontext, baggage"}, True),
    ({**NAMED, "OTEL_PROPAGATORS": "none"}, True),
    ({**NAMED, "OTEL_METRICS_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "none"}, True),
]


@pytest.mark.parametrize(("environ", "on"), SUPPORTED)
def test_spans_are_exported_where_the_variables_say_so(environ: dict[str, str], on: bool) -> None:
    assert bool(tracing(environ)) is on


@pytest.mark.parametrize(
    ("sampler", "share"),
    [
        ({}, 1.0),
        ({"OTEL_TRACES_SAMPLER_ARG": "0.25"}, 0.25),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_on", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, 1.0),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, 0.0),
        ({"OTEL_TRACES_SAMPLER": "ParentBased_TraceIdRatio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, 0.25),
    ],
)
def test_the_share_of_traces_is_what_the_sampler_says(sampler: dict[str, str], share: float) -> None:
    assert tracing({**NAMED, **sampler})["sample_rate"] == share


@pytest.mark.parametrize(
    ("environ", "timeout"),
    [({}, 2), ({"OTEL_EXPORTER_OTLP_TIMEOUT": "7"}, None), ({"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "0.5"}, None)],
)
def test_an_export_is_short_unless_its_timeout_is_set(environ: dict[str, str], timeout: int | None) -> None:
    assert tracing({**NAMED, **environ}).get("timeout") == timeout  # None: the SDK reads the variable


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "known are otlp, and none for no spans"),
        ("OTEL_TRACES_EXPORTER", "none,console", "known are otlp, and none for no spans"),
        ("OTEL_TRACES_SAMPLER", "xray", "known are always_off, always_on, parentbased_always_off, "),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2s", "it must be a number of seconds above 0"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "it must be a number of seconds above 0"),
        ("OTEL_PROPAGATORS", "tracecontext,b3", "known are baggage, none, tracecontext"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "it must be a whole number from 1 on"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "it must be a whole number from 1 on"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1", "it must be a whole number from 0 on"),
    ],
)
def test_a_value_that_the_sdk_would_not_heed_is_named(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SystemExit) as refusal:
        tracing({**NAMED, name: value})
    assert str(refusal.value).startswith(f"shine: {name} is {value!r}, which cannot be used: {sentence}")


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        (
            {**NAMED, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is 'http/json'; spans are exported by http/protobuf only",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "me:secret@collector:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: write it as URL",
        ),
        (
            {**NAMED, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4096"},
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE is 4096, which cannot be used: it must not be more than OTEL_BSP_MAX_QUEUE",
        ),
    ],
)
def test_what_fits_nothing_else_is_named_without_secrets(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(SystemExit) as refusal:
        tracing(environ)
    assert str(refusal.value).startswith(f"shine: {sentence}")
    assert "secret" not in str(refusal.value)


def test_what_has_no_effect_or_an_unexpected_one_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    for environ in ({}, {"BENTOML_RUNNER_MAP": "{}"}):
        tracing({**NAMED, "OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TIMEOUT": "10000", **environ})
    assert [record.message.partition(",")[0].partition(":")[0] for record in caplog.records] == [
        "OTEL_METRICS_EXPORTER has no effect",
        "OTEL_EXPORTER_OTLP_TIMEOUT is read in seconds",
    ]


SAMPLED = """
import os
import tests.service.without_workarounds
from bentoml._internal.utils import telemetry
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace.propagation import set_span_in_context
def decision(flags):
    context = trace.SpanContext(1, 1, is_remote=True, trace_flags=trace.TraceFlags(flags or 0))
    parent = None if flags is None else set_span_in_context(trace.NonRecordingSpan(context))
    result = telemetry.ParentBasedTraceIdRatio(rate).should_sample(parent, 2**63, "span")
    assert result.decision is not Decision.DROP  # its trace id is in the log all the same
    return result.decision.is_sampled()
for name in ("always_on", "always_off", "traceidratio", "parentbased_traceidratio"):
    os.environ["OTEL_TRACES_SAMPLER"] = name
    rate = 0.25
    print(name, decision(1), decision(0), decision(None))
"""


@pytest.mark.parametrize(
    ("without", "always_off"),
    [("", "False False False"), pytest.param("sample_as_told", "True False False", marks=pytest.mark.long)],
)
def test_each_sampler_of_the_specification_decides_as_it_says(without: str, always_off: str) -> None:
    on = "True True True" if not without else always_off
    ratio = "False False False" if not without else always_off  # that trace id is not among a quarter
    assert run(SAMPLED, WITHOUT=without).stdout.splitlines() == [
        f"always_on {on}",
        f"always_off {always_off}",
        f"traceidratio {ratio}",
        "parentbased_traceidratio True False False",
    ]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "is 'grpc'; spans are exported by http/protobuf only"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5", "is '1.5', which is not a share"),
        pytest.param("OTEL_TRACES_SAMPLER_ARG", "few", "is 'few', which is not a share", marks=pytest.mark.long),
        (
            "OTEL_PROPAGATORS",
            "b3",
            "is 'b3', which cannot be used",
        ),  # on which OpenTelemetry itself ends when it is imported
    ],
)
def test_what_cannot_be_exported_stops_the_start_with_a_sentence(name: str, value: str, sentence: str) -> None:
    ended = run(**NAMED, **{name: value})
    assert ended.returncode != 0
    assert f"shine: {name} {sentence}" in ended.stderr
    assert "Traceback" not in ended.stderr
