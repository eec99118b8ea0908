"""The load balancer: a reverse proxy on loopback in front of the healthy targets.

Three listeners: plain HTTP that is answered, for tests that need no TLS; HTTPS; and HTTP that is led over to HTTPS. The
last two are on ports 443 and 80 of an address of their own where they can be had. Elsewhere one port is both: it leads
whoever speaks plain HTTP to it over to HTTPS.
"""

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import aiohttp
from aiohttp import web

from tests.fake_ecs.clock import Clock, monotonic
from tests.fake_ecs.targets import Target, Targets

HOP = {"connection", "keep-alive", "proxy-authenticate", "te", "trailers", "transfer-encoding", "upgrade"}
TLS = b"\x16"  # first byte of a handshake
CONNECT_S, IDLE_S = 10.0, 60.0  # Application Load Balancer's own
PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
REASONS = {502: "502 Bad Gateway", 503: "503 Service Temporarily Unavailable", 504: "504 Gateway Time-out"}


class Balancer:
    """A load balancer in its own thread.

    Args:
        targets: whom it sends to.
        group: ARN of the target group.
        clock: for the time after which a connection that nobody lets in is given up.
        address: of HTTPS and of what leads there.
        context: of TLS.

    Attributes:
        url: of the plain listener.
        secure_url: of the one with TLS, without a port where it is 443.
        answered, refused: answers of targets and of its own, by status, since all began.
    """

    def __init__(self, targets: Targets, group: str, clock: Clock, address: str, context: ssl.SSLContext) -> None:
        self._targets, self.group, self._clock, self._context = targets, group, clock, context
        self.answered: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self._numbers = self._nothing()
        self._plain = _listener("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._plain.getsockname()[1]}"
        pair = _pair(address)
        self._led = pair[0] if pair else None
        self._secure = pair[1] if pair else _listener(address, 0)
        self.secure_url = f"https://{address}" + ("" if pair else f":{self._secure.getsockname()[1]}")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="balancer")
        self._connections: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        self._run(self._open())

    def close(self) -> None:
        """Close both ports and all connections."""
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def numbers(self) -> dict[str, list[float]]:
        """Samples since the last call, by the names of CloudWatch's metrics."""
        taken, self._numbers = self._numbers, self._nothing()
        states = [item.state for item in self._targets.of(self.group)]
        taken["HealthyHostCount"] = [float(states.count("healthy"))]
        taken["UnHealthyHostCount"] = [float(states.count("unhealthy"))]
        return taken

    @staticmethod
    def _nothing() -> dict[str, list[float]]:
        kinds = [
            f"{whose}_{status}XX_Count" for whose in ("HTTPCode_Target", "HTTPCode_ELB") for status in (2, 3, 4, 5)
        ]
        return {name: [] for name in ("RequestCount", "TargetResponseTime", *kinds)}

    def _count(self, whose: str, status: int) -> None:
        self._numbers["RequestCount"].append(1.0)
        self._numbers[f"{whose}_{status // 100}XX_Count"].append(1.0)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _open(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=5)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._clock.short(CONNECT_S, 1.0), sock_read=IDLE_S)
        self._client = aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, skip_auto_headers=("User-Agent", "Accept")
        )
        self._forwarding = {
            scheme: web.Server(self._answer(scheme), keepalive_timeout=IDLE_S, access_log=None)
            for scheme in ("http", "https")
        }
        self._leading = web.Server(self._lead, keepalive_timeout=IDLE_S, access_log=None)
        self._accepting = [
            asyncio.ensure_future(self._accept(self._plain, secure=False)),
            asyncio.ensure_future(self._accept(self._secure, secure=True)),
        ]
        if self._led:
            self._accepting.append(asyncio.ensure_future(self._accept(self._led, secure=True)))

    async def _shut(self) -> None:
        for task in [*self._accepting, *self._connections]:
            task.cancel()
        await asyncio.gather(*self._accepting, *self._connections, return_exceptions=True)
        for listener in (self._plain, self._secure, self._led):
            if listener:
                listener.close()
        for server in (*self._forwarding.values(), self._leading):
            await server.shutdown(1.0)
        await self._client.close()
        await asyncio.sleep(0.05)  # transports close on the next turns of the loop

    async def _accept(self, listener: socket.socket, secure: bool) -> None:
        while True:
            connection, _ = await self._loop.sock_accept(listener)
            task = asyncio.ensure_future(self._take(connection, secure))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _take(self, connection: socket.socket, secure: bool) -> None:
        """Hand a connection to the HTTP or the HTTPS listener, by its first byte."""
        connection.setblocking(False)
        try:
            if not secure:
                await self._loop.connect_accepted_socket(self._forwarding["http"], connection)
            elif await self._first(connection) == TLS:
                await self._loop.connect_accepted_socket(self._forwarding["https"], connection, ssl=self._context)
            else:
                await self._loop.connect_accepted_socket(self._leading, connection)
        except (OSError, TimeoutError, asyncio.CancelledError):
            connection.close()  # a client that went away, or does not trust the certificate

    async def _first(self, connection: socket.socket) -> bytes:
        ready = asyncio.Event()
        self._loop.add_reader(connection, ready.set)
        try:
            await asyncio.wait_for(ready.wait(), IDLE_S)
        finally:
            self._loop.remove_reader(connection)
        return connection.recv(1, socket.MSG_PEEK)

    async def _lead(self, request: web.BaseRequest) -> web.Response:
        """Redirect to the same address over HTTPS, as a redirect action does."""
        host = request.headers.get("Host", "")
        return web.Response(status=301, headers={"Location": f"https://{host}{request.raw_path}"})

    def _answer(self, scheme: str) -> Any:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await self._forward(request, scheme)

        return answer

    async def _forward(self, request: web.BaseRequest, scheme: str) -> web.StreamResponse:
        target = self._targets.choose(self.group)
        if target is None:
            return self._refuse(503)
        began = monotonic()
        try:
            if target.state != "healthy" and not await asyncio.to_thread(self._targets.reachable, target):
                await asyncio.sleep(self._clock.short(CONNECT_S))
                return self._refuse(504)
            return await self._pass(request, target, scheme)
        except (TimeoutError, aiohttp.ServerTimeoutError):
            return self._refuse(504)
        except aiohttp.ClientError:
            return self._refuse(502)
        finally:
            self._numbers["TargetResponseTime"].append(monotonic() - began)
            self._targets.done(target)

    async def _pass(self, request: web.BaseRequest, target: Target, scheme: str) -> web.StreamResponse:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP]
        headers += [
            ("X-Forwarded-For", request.remote or ""),
            ("X-Forwarded-Proto", scheme),
            ("X-Forwarded-Port", "443" if scheme == "https" else "80"),
        ]
        url = f"http://{target.address}:{target.port}{request.raw_path}"
        body = request.content if request.body_exists else None
        asked = self._client.request(request.method, url, headers=headers, data=body, allow_redirects=False)
        async with asked as answer:
            output = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in HOP:
                    output.headers.add(name, value)
            await output.prepare(request)
            async for piece in answer.content.iter_any():
                await output.write(piece)
            await output.write_eof()
        self.answered[answer.status] += 1
        self._count("HTTPCode_Target", answer.status)
        return output

    def _refuse(self, status: int) -> web.Response:
        self.refused[status] += 1
        self._count("HTTPCode_ELB", status)
        page = PAGE.format(REASONS[status])
        return web.Response(status=status, text=page, content_type="text/html", headers={"Server": "awselb/2.0"})


def _pair(address: str) -> tuple[socket.socket, socket.socket] | None:
    """Listeners on 80 and 443; None if one of the ports cannot be bound."""
    made: list[socket.socket] = []
    try:
        for port in (80, 443):
            made.append(_listener(address, port))
    except OSError:
        for item in made:
            item.close()
        return None
    return made[0], made[1]


def _listener(address: str, port: int) -> socket.socket:
    made = socket.create_server((address, port), backlog=256)
    made.setblocking(False)
    return made
