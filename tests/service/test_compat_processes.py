"""Workarounds within one process, each with and without it: batches, metrics files, WebSockets."""

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


BATCHES = """
import asyncio
from bentoml._internal.marshal.dispatcher import CorkDispatcher
sleep, looked, batches = asyncio.sleep, 0, []

async def counted(seconds):
    global looked
    looked += 1
    await sleep(seconds)

async def work(batch):
    batches.append(len(batch))
    await sleep(0.2)
    return batch

async def main():
    asyncio.sleep = counted
    call = CorkDispatcher(60_000, 4, fallback=lambda: None, get_batch_size=lambda _: 1)(work)
    print(sorted(await asyncio.gather(*(call(number) for number in range(10)))) == list(range(10)), end=" ")
    assert await call(10) == 10
    print(batches[:3] == [4, 4, 2] and len(batches) == 4, looked > 50)

asyncio.run(main())
"""


@with_and_without("dispatch_at_once")
def test_batches_begin_without_waiting_and_without_looking_again_and_again(without: str) -> None:
    assert printed(BATCHES, without) == f"True True {bool(without)}"


TRACKING = """
import os
print(os.environ["BENTOML_DO_NOT_TRACK"], os.environ["ORT_DISABLE_TELEMETRY"])
"""


def test_workers_inherit_that_nothing_is_tracked() -> None:
    assert printed(TRACKING, BENTOML_DO_NOT_TRACK="", ORT_DISABLE_TELEMETRY="0") == "true 1"


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


REMOVED = """
import os, shutil, time, prometheus_client
from pathlib import Path
from bentoml._internal.server.metrics.prometheus import PrometheusClient
folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
photos = prometheus_client.Counter("photos", "Photos")
photos.inc(7)
{harm}
try:
    prometheus_client.Gauge("queue", "Queue").set(3)
    photos.inc()
    print(PrometheusClient().generate_latest().decode())
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    "harm",
    [
        "shutil.rmtree(folder)",
        pytest.param("shutil.rmtree(folder.parent)", marks=pytest.mark.long),
        pytest.param("[path.unlink() for path in folder.glob('*.db')]", marks=pytest.mark.long),
        pytest.param("[path.write_bytes(b'') for path in [folder / 'counter_1.db']]", marks=pytest.mark.long),
        pytest.param("[path.write_bytes(b'x' * 99) for path in [folder / 'counter_1.db']]", marks=pytest.mark.long),
    ],
)
@with_and_without("keep_metric_files")
def test_metrics_outlive_the_removal_of_their_files(tmp_path: Path, harm: str, without: str) -> None:
    folder = tmp_path / "tmp" / "metrics"
    folder.mkdir(parents=True)
    shown = printed(REMOVED.format(harm=harm), without, PROMETHEUS_MULTIPROC_DIR=str(folder))
    assert (("photos_total 8.0" in shown) and ("queue{" in shown)) is not bool(without), shown


def test_metrics_are_counted_in_memory_for_as_long_as_no_file_can_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    harm = "shutil.rmtree(folder); folder.write_text('in the way'); prometheus_client.Gauge('other', 'Other').set(5)"
    script = REMOVED.format(harm=harm) + "folder.unlink()\ntime.sleep(1.5)\nprint(sorted(os.listdir(folder)))"
    shown = printed(script, PROMETHEUS_MULTIPROC_DIR=str(folder))
    assert "counter_" in shown.splitlines()[-1]
    assert "gauge_all_" in shown.splitlines()[-1]
    assert "Error" not in shown


def test_each_server_has_a_metrics_folder_of_its_own_and_takes_it_along(tmp_path: Path) -> None:
    running = Server(tmp_path, SHINE_PHASE="simple").wait()
    try:
        folder = running.metrics_folder()
        assert folder.name.startswith("shine-metrics-")
        assert list(folder.glob("*.db"))
    finally:
        running.stop()
    assert not folder.exists()


SLOW_HEADS = """
import asyncio, uvicorn
from bentos.skin.runtime import compat_uvicorn
compat_uvicorn.HEAD_S = 0.3

async def app(scope, receive, send):
    await asyncio.sleep(0.6 if scope["path"] == "/slow" else 0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})

async def exchange(port, data, trickle=False):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async def more():
        while trickle:
            await asyncio.sleep(0.1)
            writer.write(b"x")
    sending = asyncio.create_task(more())
    try:
        async with asyncio.timeout(3):
            received = await reader.read()
        return [line.split()[1].decode() for line in received.split(b"\\r\\n") if line.startswith(b"HTTP/1.1 ")]
    except TimeoutError:
        return "held"
    finally:
        sending.cancel()
        writer.close()

async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_keep_alive=1))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    whole, half = b"GET / HTTP/1.1\\r\\nhost: shine\\r\\n\\r\\n", b"GET / HTTP/1.1\\r\\nhost: sh"
    clients = [
        exchange(port, b""), exchange(port, half), exchange(port, half, True), exchange(port, whole),
        exchange(port, whole + half), exchange(port, whole.replace(b"/", b"/slow", 1) + half),
    ]
    print(*await asyncio.gather(*clients), sep=";")
    server.should_exit = True
    await serving

asyncio.run(main())
"""


@with_and_without("cut_slow_heads")
def test_a_head_that_does_not_come_holds_no_connection(without: str) -> None:
    """Nothing, half a head, one that trickles, a whole one, one and a half, and that while the first is answered."""
    cut = ["[]", "['408']", "['408']", "['200']", "['200', '408']", "['200', '408']"]
    held = ["held", "held", "held", "['200']", "['200']", "['200']"]  # as after any answer, after a while
    assert printed(SLOW_HEADS, without).split(";") == (held if without else cut)


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
