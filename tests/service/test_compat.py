"""One contract test per workaround in compat.py, with it and without: one that passes without can be removed."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from aiohttp import ClientError, web
from circus.client import CallError, CircusClient
from PIL import Image

from tests.server import PORTRAIT, ROOT, WORKERS, Server
from tests.service.traffic import Engine, ask, client_of, drawn_photos, until
from tests.service.workarounds import with_and_without

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # BentoML's, at its import
    from bentos.skin.runtime.compat import RUNNER_CONNECTION
    from bentos.skin.runtime.compat_uvicorn import INTERIM
    from bentos.skin.runtime.compat_workers import CHECK_DELAY_S
    from bentos.skin.settings import KEEP_ALIVE_S

WITHOUT_WORKAROUNDS = "tests.service.without_workarounds:Gateway"
PORTRAIT_JPEG = drawn_photos()[0]
# Those whose absence leaves a service that serves: one server without all of them.
HARMLESS = (
    "send_no_usage_data",
    "answer_in_one_shape",
    "bound_metric_labels",
    "redirect_no_slashes",
    "keep_idle_connections",
    "keep_half_closed_connections",
    "ignore_upgrades",
    "shape_malformed_http",
    "RUNNER_PROBE",
)
PATIENCE_S = 3.0
Serve = Callable[..., Server]


class Proxy:
    """An HTTP proxy that forwards nothing and notes whom it was asked for."""

    def __init__(self) -> None:
        self.asked_for: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                try:
                    self.asked_for.append(connection.recv(4096).split(b"\r\n")[0].decode("latin-1"))
                except OSError:
                    self.asked_for.append("?")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def proxies() -> Iterator[dict[str, Proxy]]:
    """The way out to the internet of each server."""
    both = {"whole": Proxy(), "bare": Proxy()}
    yield both
    for proxy in both.values():
        proxy.close()


class Servers(dict[str, Server]):
    """Two servers, each started when it is first asked for: `whole` has every workaround, `bare` no harmless one."""

    def __init__(self, folder: Path, proxies: dict[str, Proxy]) -> None:
        super().__init__()
        self._folder, self._proxies = folder, proxies

    def __missing__(self, name: str) -> Server:
        self[name] = Server(
            self._folder,
            WITHOUT_WORKAROUNDS,
            SHINE_PHASE="simple",
            BENTOML_DO_NOT_TRACK="false",
            HTTPS_PROXY=self._proxies[name].url,
            WITHOUT="" if name == "whole" else ",".join(HARMLESS),
        )
        return self[name].wait_for_workers()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, proxies: dict[str, Proxy]) -> Iterator[Servers]:
    both = Servers(tmp_path_factory.mktemp("compat"), proxies)
    try:
        yield both
    finally:
        for server in both.values():
            server.stop()


@pytest.fixture(params=["whole", pytest.param("bare", marks=pytest.mark.long)])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two servers a test is about."""
    return str(request.param)


@pytest.fixture
def service(kind: str, servers: Servers) -> Server:
    return servers[kind]


def exchange(server: Server, data: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes on a connection of their own; all that comes back until the server closes it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
        return received


# --- one server with them, one without ------------------------------------------------------------------------------


def test_no_usage_data_goes_to_third_parties(kind: str, service: Server, proxies: dict[str, Proxy]) -> None:
    assert service.process.poll() is None
    if kind == "bare":
        until(lambda: "CONNECT t.bentoml.com:443 HTTP/1.1" in proxies[kind].asked_for, 10, "BentoML reports its start")
    else:
        assert proxies[kind].asked_for == []


@pytest.mark.long
def test_nor_does_any_go_there_later(servers: Servers, proxies: dict[str, Proxy]) -> None:
    assert servers["whole"].process.poll() is None
    time.sleep(30)  # ONNX Runtime's first would come after some 10 s
    assert proxies["whole"].asked_for == []


def test_errors_of_an_api_keep_their_status_and_code(kind: str, service: Server) -> None:
    with client_of(service) as client:
        response = ask(client, PORTRAIT_JPEG[: len(PORTRAIT_JPEG) // 2])
    code = response.body["error"]["code"]
    assert ((response.status, code) == (422, "image_unreadable")) == (kind == "whole")


def test_a_scanner_makes_no_metric_labels(kind: str, service: Server) -> None:
    before = len(httpx.get(service.url + "/metrics").text.splitlines())
    with client_of(service) as client:
        for number in range(200):
            client.get(f"/scan-{number}/admin.php")
    metrics = httpx.get(service.url + "/metrics").text
    assert ("/scan-199/admin.php" in metrics) == (kind == "bare")
    if kind == "whole":
        assert len(metrics.splitlines()) - before < 60  # the labels of a 404, once


def test_a_slash_too_many_is_no_redirect(kind: str, service: Server) -> None:
    assert httpx.get(service.url + "/analyze/").status_code == (404 if kind == "whole" else 307)


def test_a_client_that_has_closed_its_sending_side_gets_its_answer(kind: str, service: Server) -> None:
    request = httpx.Request("POST", service.url + "/analyze", files={"image": PORTRAIT_JPEG})
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    received = exchange(service, f"POST /analyze HTTP/1.1\r\n{head}\r\n".encode() + request.read(), half_close=True)
    if kind == "whole":
        assert received.removeprefix(2 * INTERIM).removeprefix(INTERIM).startswith(b"HTTP/1.1 200 ")
        assert b'"schema_version":1' in received
    else:
        assert received == b""


def test_a_photo_arrives_with_an_upgrade_that_is_offered(kind: str, service: Server) -> None:
    files = {"image": PORTRAIT_JPEG}
    headers = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAEAAEAA"}
    answer = httpx.post(service.url + "/analyze", files=files, headers=headers, timeout=60)
    assert (answer.status_code == 200) == (kind == "whole")


def test_an_idle_connection_is_meant_to_be_kept_longer_than_load_balancers_keep_it() -> None:
    assert KEEP_ALIVE_S > 60  # the idle timeout of an Application Load Balancer


@pytest.mark.long
def test_an_idle_connection_is_kept_longer_than_bentoml_would_keep_it(servers: Servers) -> None:
    # Both at the same time, so that the wait, longer than BentoML's 5 s, is waited once.
    kept = {}
    idle = {name: socket.create_connection(("127.0.0.1", servers[name].port)) for name in ("whole", "bare")}
    for connection in idle.values():
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    time.sleep(7)
    for name, connection in idle.items():
        with connection:
            connection.setblocking(False)
            try:
                while connection.recv(65536):  # the rest of the answer
                    pass
                kept[name] = False
            except BlockingIOError:
                kept[name] = True  # nothing to read: still open
    assert kept == {"whole": True, "bare": False}


@pytest.mark.parametrize("garbage", [b"this is no HTTP\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
def test_what_is_no_http_is_answered_in_the_one_shape(kind: str, service: Server, garbage: bytes) -> None:
    received = exchange(service, garbage)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert (b'{"error":{"code":"bad_request"' in received) == (kind == "whole")


def test_readyz_does_not_wait_for_a_stopped_runner(kind: str, service: Server) -> None:
    stopped = service.worker("HeuristicFallback")
    stopped.suspend()
    try:
        answered = True
        try:
            assert httpx.get(service.url + "/readyz", timeout=PATIENCE_S).status_code == 200
        except httpx.ReadTimeout:
            answered = False
    finally:
        stopped.resume()
    assert answered == (kind == "whole")


def test_no_runner_can_be_reached_by_tcp(servers: Servers) -> None:
    # A runner executes pickles from anyone who reaches it. Sockets of the parent are inherited; that one is the
    # gateway's, and no runner accepts from it.
    server = servers["whole"]
    for name in WORKERS:
        listening = {
            connection.laddr
            for connection in server.worker(name).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening <= {("127.0.0.1", server.port)}, name
    for name in ("SkinModel", "HeuristicFallback"):
        command = server.worker(name).cmdline()
        fd = int(command[command.index("--fd") + 1])
        families = {connection.fd: connection.family for connection in server.worker(name).net_connections("all")}
        assert families[fd] == socket.AF_UNIX, name


# --- a server each --------------------------------------------------------------------------------------------------


@with_and_without("keep_control_inside")
def test_nobody_on_the_host_can_have_it_run_a_program(serve: Serve, tmp_path: Path, without: str) -> None:
    server = serve(WITHOUT_WORKAROUNDS, SHINE_PHASE="simple", WITHOUT=without).wait()
    ports = {
        connection.laddr.port
        for connection in psutil.Process(server.process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert (ports == {server.port}) == (not without), ports
    touched = tmp_path / "touched"
    script = f"touch {touched}; exec sleep 600"  # one that ends is started again and again: no SIGTERM is heard then
    for port in ports - {server.port}:
        client = CircusClient(endpoint=f"tcp://127.0.0.1:{port}", timeout=2)
        with contextlib.suppress(CallError):  # one of the two ports is that of events
            client.send_message("add", name="theirs", cmd="sh", args=["-c", script], start=True)
        client.stop()
    if without:
        until(touched.exists, 10, "their program has run")
    else:
        assert not touched.exists()
    assert httpx.get(server.url + "/health").status_code == 200
    assert server.stop() == 0


@with_and_without("fork_workers")
def test_workers_share_the_memory_of_what_the_parent_has_imported(serve: Serve, without: str) -> None:
    server = serve(WITHOUT_WORKAROUNDS, SHINE_PHASE="simple", WITHOUT=without).wait_for_workers()
    for name in WORKERS:
        worker = server.worker(name)
        assert (worker.cmdline()[0] == "shine") is not bool(without)
        memory = worker.memory_full_info()
        shared = (memory.rss - memory.uss) / 2**20
        assert (shared > 60) is not bool(without), (name, shared)
    # It is a process like any other: with a signal, a log and files of its own.
    assert server.stop() == 0
    assert not list(server.tmp.glob("bentoml-client-*"))


@with_and_without("respawn_dead_workers")
def test_a_container_survives_a_dead_worker(serve: Serve, without: str) -> None:
    server = serve(
        WITHOUT_WORKAROUNDS, SHINE_PHASE="simple", BENTOML_CONTAINERIZED="true", WITHOUT=without
    ).wait_for_workers()
    old = server.worker("HeuristicFallback")
    old.kill()

    def replaced() -> bool:
        try:
            return server.worker("HeuristicFallback").pid != old.pid
        except (LookupError, psutil.Error):
            return False

    if without:
        until(lambda: server.process.poll() is not None, 30, "the whole server ends")
        assert server.process.returncode != 0
    else:
        began = time.monotonic()
        until(replaced, 10, "the worker is back")
        assert time.monotonic() - began < CHECK_DELAY_S + PATIENCE_S
        assert server.process.poll() is None


@with_and_without("stop_gateway_first")
def test_runners_outlive_the_requests_that_need_them(serve: Serve, tmp_path: Path, without: str) -> None:
    # 16 photos whose decoding takes a while, so that most runner calls are made after SIGTERM.
    with Image.open(PORTRAIT) as portrait:
        buffer = BytesIO()
        portrait.convert("RGB").resize((3600, 3600)).save(buffer, "JPEG")
    photo = buffer.getvalue()
    server = serve(WITHOUT_WORKAROUNDS, WITHOUT=without, **Engine(tmp_path).env).wait_for_workers()
    results: list[dict[str, Any]] = []

    def send() -> None:
        with client_of(server) as client:
            answer = client.post("/analyze_batch", files=[("images", photo)] * 16)
        results.extend(answer.json()["results"])

    sending = threading.Thread(target=send)
    sending.start()
    time.sleep(0.4)
    server.process.send_signal(signal.SIGTERM)
    sending.join()
    by_model = [result for result in results if result.get("source") == "model"]
    assert len(results) == 16
    assert (len(by_model) == 16) == (not without), len(by_model)
    assert server.process.wait(60) == 0


@with_and_without("UploadInput.from_http_request")
def test_the_parsed_form_is_what_handlers_get(serve: Serve, servers: Servers, without: str) -> None:
    server = serve(WITHOUT_WORKAROUNDS, SHINE_PHASE="simple", WITHOUT=without).wait() if without else servers["whole"]
    with client_of(server) as client:
        response = ask(client, PORTRAIT_JPEG)
        fetched = Proxy()
        by_url = client.post("/analyze", files={"image": (None, fetched.url + "/photo.jpg")})
    fetched.close()
    assert (response.status == 200) == (not without)
    assert by_url.status_code != 200
    assert fetched.asked_for == []


# --- the session to a runner ----------------------------------------------------------------------------------------


async def call_survives(options: dict[str, Any], age_s: float, calls: int) -> bool:
    """Whether a call in flight survives that its session is used for more calls, and grows old."""
    from _bentoml_impl.client.proxy2 import SessionManager

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.3)
        return web.Response(text="answered")

    application = web.Application()
    application.router.add_get("/", slow)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    manager = SessionManager(f"http://{host}:{port}", timeout=5, headers={}, **options)
    try:

        async def call() -> str:
            session = await manager.get_session()
            async with session.get("/") as answer:
                return await answer.text()

        in_flight = asyncio.create_task(call())
        await asyncio.sleep(0.1)
        manager._created_at -= age_s
        for _ in range(calls):
            await manager.get_session()
        try:
            return await in_flight == "answered"
        except (ClientError, ConnectionError):
            return False
    finally:
        await manager.close()
        await runner.cleanup()


@pytest.mark.parametrize(("age_s", "calls"), [(0, 500), (86_400, 1)], ids=["many calls", "a day"])
@pytest.mark.parametrize("options", [RUNNER_CONNECTION, {}], ids=["with", "without"])
def test_the_session_to_a_runner_is_not_closed_with_calls_in_flight(
    options: dict[str, Any], age_s: float, calls: int
) -> None:
    assert asyncio.run(call_survives(options, age_s, calls)) == bool(options)


def test_both_runners_are_called_with_these_session_options() -> None:
    code = (
        "import service\n"
        "from _bentoml_impl.client.proxy2 import RemoteProxy\n"
        "service.Gateway.inject_config()\n"
        "for runner in (service.SkinModel, service.HeuristicFallback):\n"
        "    manager = RemoteProxy('file:///nowhere', service=runner)._async._session_manager\n"
        "    print(manager.max_requests, manager.max_age)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    expected = f"{RUNNER_CONNECTION['max_requests']} {RUNNER_CONNECTION['max_age']}"
    assert done.stdout.splitlines() == [expected, expected]
