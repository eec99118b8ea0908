"""Workarounds in uvicorn's HTTP protocol: see compat.py, which applies them."""

import logging
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bentos.skin.errors import BadRequest, RequestTimeout, ShineError
from bentos.skin.runtime.context import begin
from bentos.skin.runtime.error_responses import error_body
from bentos.skin.runtime.middleware import SECURITY_HEADERS

log = logging.getLogger("shine.gateway")

HEAD_S = 30.0  # in which the head of a request has to come; it is a packet or two
MAX_HEAD_BYTES = 512 * 1024  # twice what uvloop reads at once, which may include the end of the previous request

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
FIRST_ASKED_S, ASKED_S = 0.05, 1.0  # from the first interim response to the second, and between the later ones

# What is patched; typed so that mypy lets it be.
protocol: Any = HttpToolsProtocol


def keep_half_closed_connections() -> None:
    """Answer a client that has closed its sending side after its request; uvicorn closes the connection.

    One that has gone looks the same, until something is sent to it: then its system resets the connection. So interim
    responses are sent (100, which every client skips; RFC 9110, 15.2), the second of which finds the reset.
    """

    def eof_received(self: Any) -> bool:
        cycle = self.cycle
        waiting = cycle is not None and not cycle.response_complete and not cycle.more_body
        if waiting:
            cycle.keep_alive = False
            if cycle.scope["http_version"] == "1.1":
                ask(self, cycle, FIRST_ASKED_S)
        return waiting

    def ask(self: Any, cycle: Any, pause_s: float) -> None:
        if cycle.response_started or cycle.disconnected or self.transport.is_closing():
            return
        self.transport.write(INTERIM)
        self.loop.call_later(pause_s, ask, self, cycle, ASKED_S)

    protocol.eof_received = eof_received


def ignore_upgrades() -> None:
    """Answer a request that offers an upgrade (Java's client: h2c; a WebSocket) as if it offered none, as HTTP allows.

    httptools takes all that follows such a head for another protocol, so uvicorn loses the body and the next request
    (Kludex/uvicorn#2722); a WebSocket it answers with 403 without a body. The head is parsed once more without its
    `Upgrade`, by a new parser. Can be removed when uvicorn delivers such bodies and WebSockets can be switched off.
    """
    on_headers_complete = protocol.on_headers_complete
    on_message_complete = protocol.on_message_complete

    def offers_upgrade(self: Any) -> bool:
        return bool(self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT")

    def head_ends(self: Any) -> None:
        if not offers_upgrade(self):
            on_headers_complete(self)

    def message_ends(self: Any) -> None:
        if not offers_upgrade(self):
            on_message_complete(self)

    def without_upgrade(self: Any) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def feed(self: Any, data: memoryview) -> None:
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if not offers_upgrade(self):  # CONNECT: it is refused, and what follows it is no HTTP
                    self.cycle.keep_alive = False
                    return
                head, data = without_upgrade(self), data[upgrade.args[0] :]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self.parser.feed_data(head)

    def data_received(self: Any, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            feed(self, memoryview(data))
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    protocol.on_headers_complete, protocol.on_message_complete = head_ends, message_ends
    protocol.data_received = data_received
    protocol._should_upgrade = lambda self: False  # noqa: ARG005  it is called as a method


def shape_malformed_http() -> None:
    """Answer malformed HTTP in the one shape too; uvicorn answers in plain text, and may raise.

    An endless head counts as malformed: with httptools uvicorn would read it into memory without limit.
    """
    data_received = protocol.data_received
    on_message_begin, on_headers_complete = protocol.on_message_begin, protocol.on_headers_complete

    def head_begins(self: Any) -> None:
        self.head_bytes = 0
        on_message_begin(self)

    def head_ends(self: Any) -> None:
        self.head_bytes = None
        on_headers_complete(self)

    def send_400_response(self: Any, _: str) -> None:
        _refuse(self.transport, BadRequest("The request is not valid HTTP.", "Send HTTP/1.1."))

    def guarded(self: Any, data: bytes) -> None:
        try:
            data_received(self, data)
        except Exception:  # e.g. an invalid target: httptools.parse_url raises where uvicorn does not catch it
            self.send_400_response("")
            return
        if getattr(self, "head_bytes", None) is not None:
            self.head_bytes += len(data)
            if self.head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("")

    protocol.send_400_response, protocol.data_received = send_400_response, guarded
    protocol.on_message_begin, protocol.on_headers_complete = head_begins, head_ends


def cut_slow_heads() -> None:
    """Refuse a request whose head is not there in time, and close a connection that never sends one.

    uvicorn waits for both forever, so that a client can hold as many connections as there are file descriptors.
    """
    connection_made, connection_lost = protocol.connection_made, protocol.connection_lost
    on_message_begin, on_headers_complete = protocol.on_message_begin, protocol.on_headers_complete

    def begins(self: Any, transport: Any) -> None:
        connection_made(self, transport)
        self.head_timer = None
        handler = self.timeout_keep_alive_handler  # as for a connection that is idle between two requests
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, handler)

    def ends(self: Any, error: Exception | None) -> None:
        self._unset_keepalive_if_required()
        stop(self)
        connection_lost(self, error)

    def stop(self: Any) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def start(self: Any) -> None:
        self.head_timer = self.loop.call_later(HEAD_S, expired, self)

    def expired(self: Any) -> None:
        if self.cycle is not None and not self.cycle.response_complete:  # the previous request is being answered
            start(self)
        elif not self.transport.is_closing():
            _refuse(self.transport, RequestTimeout("The head of the request came too slowly."))

    def head_begins(self: Any) -> None:
        stop(self)
        start(self)
        on_message_begin(self)

    def head_ends(self: Any) -> None:
        stop(self)
        on_headers_complete(self)

    protocol.connection_made, protocol.connection_lost = begins, ends
    protocol.on_message_begin, protocol.on_headers_complete = head_begins, head_ends


def _refuse(transport: Any, error: ShineError) -> None:
    """Answer with an error where there is no request to answer yet, and close the connection."""
    request_id = begin(None, "other").request_id
    body = error_body(error, request_id).model_dump_json().encode()
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\nconnection: close\r\n"
    )
    head += "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in SECURITY_HEADERS) + "\r\n"
    log.info("refused at the connection", extra={"fields": {"request_id": request_id, "status": error.status}})
    transport.write(head.encode() + body)
    transport.close()
