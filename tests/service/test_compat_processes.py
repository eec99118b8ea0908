"""Workarounds within one process, each with and without it: what a burst teaches, metrics files, WebSockets."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.server import ROOT, Server
from tests.service.workarounds import with_and_without


def printed(script: str, without: str = "", **env: str) -> str:
    """What a script prints in a process where service.py is imported, without some of the workarounds."""
    environment = {**os.environ, "WITHOUT": without, "SHINE_PHASE": "simple", "PYTHONPATH": str(ROOT), **env}
    command = [sys.executable, "-W", "ignore", "-c", f"import tests.service.without_workarounds\n{script}"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return result.stdout.strip()


BURST = """
from bentoml._internal.marshal.dispatcher import Optimizer
optimizer = Optimizer(max_latency=60)
for _ in range(20):
    optimizer.o_stat.append((4, 0.1, 1.5))  # four photos a batch, a tenth of a second each, after a second and a half
optimizer.trigger_refresh()
print(optimizer.wait)
"""


@with_and_without("dispatch_at_once")
def test_a_burst_teaches_nobody_to_wait(without: str) -> None:
    assert (float(printed(BURST, without)) > 1) is bool(without)


METRICS = """
import os, prometheus_client
from pathlib import Path
prometheus_client.Counter("photos", "Photos").inc()
folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
print([path.stat().st_blocks * 512 >= path.stat().st_size for path in folder.glob("counter_*.db")])
"""


@with_and_without("reserve_metric_files")
def test_the_blocks_of_a_metrics_file_are_taken_when_it_is_made(tmp_path: Path, without: str) -> None:
    assert printed(METRICS, without, PROMETHEUS_MULTIPROC_DIR=str(tmp_path)) == str([not without])


def test_each_server_has_a_metrics_folder_of_its_own_and_takes_it_along(tmp_path: Path) -> None:
    running = Server(tmp_path, SHINE_PHASE="simple").wait()
    try:
        folder = Path(running.worker("Gateway").environ()["PROMETHEUS_MULTIPROC_DIR"])
        assert folder.name.startswith("shine-metrics-")
        assert list(folder.glob("*.db"))
    finally:
        running.stop()
    assert not folder.exists()


TIMEOUTS = """
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from _bentoml_impl.server.app import ServiceAppFactory
import service
service.Gateway.inject_config()
layers = ServiceAppFactory(service.Gateway, is_main=True).middlewares
print(any(layer.cls is TimeoutMiddleware for layer in layers))
"""


@with_and_without("leave_deadlines_to_the_gateway")
def test_no_upload_is_ended_by_a_timeout_of_bentoml(without: str) -> None:
    assert printed(TIMEOUTS, without) == str(bool(without))


def test_an_upgrade_to_a_websocket_is_ignored_and_the_request_answered(server: Server) -> None:
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert httpx.get(server.url + "/health", headers=upgrade).json()["status"] == "ok"
    refused = httpx.get(server.url + "/nothing", headers=upgrade)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")


SPANS = """
import asyncio
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
async def app(scope, receive, send):
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
pieces = [{"type": "http.request", "body": b"x", "more_body": more} for more in (True, True, False)]
async def receive():
    return pieces.pop(0)
async def send(message):
    pass
scope = {"type": "http", "method": "POST", "path": "/analyze", "headers": [], "scheme": "http", "http_version": "1.1"}
asyncio.run(OpenTelemetryMiddleware(app, tracer_provider=provider)(scope, receive, send))
print(len(exporter.get_finished_spans()))
"""


@pytest.mark.parametrize(("without", "spans"), [("", 1), pytest.param("one_span_a_request", 6, marks=pytest.mark.long)])
def test_a_request_is_one_span_whatever_pieces_its_body_comes_in(without: str, spans: int) -> None:
    assert int(printed(SPANS, without)) == spans
