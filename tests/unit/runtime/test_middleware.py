"""The door and the envelope around an app of one answer: an answer's own headers stay, CORS is off until it is set."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from bentos.skin.runtime.middleware import Envelope, cors
from bentos.skin.settings import Settings

PAGE = "https://shine.example"


class NoTelemetry:
    """Counts nothing."""

    def request(self, *_: object) -> None:
        pass


def answering(headers: dict[str, str]) -> Any:
    """An ASGI app that answers 200 with some headers."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": encoded})
        await send({"type": "http.response.body", "body": b"{}"})

    return app


def ask(app: Any, method: str = "GET", **headers: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shine") as client:
            return await client.request(method, "/", headers={k.replace("_", "-"): v for k, v in headers.items()})

    return asyncio.run(asked())


def enveloped(headers: dict[str, str]) -> Any:
    return Envelope(answering(headers), telemetry=NoTelemetry, known=frozenset({"/"}))  # type: ignore[arg-type]


def test_an_answer_keeps_a_policy_of_its_own() -> None:
    own = {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "max-age=60"}
    answer = ask(enveloped(own))
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert answer.headers.get_list("cache-control") == ["max-age=60"]
    assert answer.headers["x-frame-options"] == "DENY"


def test_an_answer_without_one_gets_that_of_an_api() -> None:
    answer = ask(enveloped({}))
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize(("origins", "allowed"), [((), False), ((PAGE,), True), ((PAGE + ":8443",), False)])
def test_no_page_may_read_unless_its_very_origin_is_listed(
    method: str, origins: tuple[str, ...], allowed: bool
) -> None:
    app = CORSMiddleware(answering({}), **cors(Settings(cors_origins=origins)))
    answer = ask(app, method, origin=PAGE, access_control_request_method="POST")
    assert answer.headers.get("access-control-allow-origin") == (PAGE if allowed else None)


def test_what_keeps_others_from_embedding_does_not_keep_a_listed_page_from_reading() -> None:
    # Fetch standard, 4.3 HTTP fetch: Cross-Origin-Resource-Policy is asked of responses that are or would be opaque,
    # that is, of no-cors requests. A page that reads JSON sends a CORS request, where these two headers decide.
    app = CORSMiddleware(enveloped({}), **cors(Settings(cors_origins=(PAGE,))))
    answer = ask(app, origin=PAGE)
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["access-control-allow-origin"] == PAGE
