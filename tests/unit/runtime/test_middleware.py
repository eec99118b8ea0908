"""The middleware around a small ASGI app: headers, CORS, keys and uploads, with and without a running service."""

import asyncio
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from bentos.skin.runtime.api_key import ApiKeyMiddleware
from bentos.skin.runtime.context import RequestContext, current
from bentos.skin.runtime.middleware import RequestContextMiddleware, cors
from bentos.skin.runtime.routes import routes
from bentos.skin.runtime.uploads import UploadMiddleware
from bentos.skin.settings import Settings

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # BentoML's, at its import
    from _bentoml_sdk.service import set_current_service

PAGE = "https://shine.example"


class Telemetry:
    """Keeps the requests that it is told of: endpoint and status."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int]] = []

    def request(self, context: RequestContext, _: str, status: int, __: float) -> None:
        self.requests.append((context.endpoint, status))


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """That of a gateway which BentoML has constructed."""
    telemetry = Telemetry()
    set_current_service(SimpleNamespace(analyzer=SimpleNamespace(telemetry=telemetry)))
    yield telemetry
    set_current_service(None)


def answering(headers: dict[str, str]) -> Any:
    """An ASGI app that answers 200 with some headers."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": encoded})
        await send({"type": "http.response.body", "body": b"{}"})

    return app


def ask(app: Any, method: str = "GET", path: str = "/", files: Any = None, **headers: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shine") as client:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, files=files, headers=names)

    return asyncio.run(asked())


def with_context(app: Any) -> Any:
    return RequestContextMiddleware(app, Settings())


def test_an_answer_keeps_a_policy_of_its_own() -> None:
    own = {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "max-age=60"}
    answer = ask(with_context(answering(own)))
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert answer.headers.get_list("cache-control") == ["max-age=60"]
    assert answer.headers["x-frame-options"] == "DENY"


def test_an_answer_without_one_gets_that_of_an_api() -> None:
    answer = ask(with_context(answering({})))
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
    app = CORSMiddleware(with_context(answering({})), **cors(Settings(cors_origins=(PAGE,))))
    answer = ask(app, origin=PAGE)
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["access-control-allow-origin"] == PAGE


# --- the current service --------------------------------------------------------------------------------------------


def test_each_request_is_counted_by_the_current_service(telemetry: Telemetry) -> None:
    app = with_context(answering({}))
    ask(app)
    ask(app, path="/scan.php")
    assert telemetry.requests == [("/", 200), ("other", 200)]


def test_health_is_answered_while_the_service_is_constructed() -> None:
    set_current_service(None)
    service = SimpleNamespace(openapi_spec=None, bento=None)
    response = ask(with_context(routes(Settings(phase="full"), service)), path="/health")
    assert response.status_code == 200
    assert response.json()["status"] == "ok"
    assert response.json()["phase"] == "full"


# --- uploads --------------------------------------------------------------------------------------------------------


def test_the_endpoint_finds_the_parsed_photos_in_the_context_and_nothing_keeps_them(telemetry: Telemetry) -> None:
    contexts = []

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        contexts.append(current())
        upload = current().upload
        assert upload is not None
        assert (await receive())["body"] == b""
        await answering({"photos": repr(upload.photos)})(scope, receive, send)

    app = with_context(UploadMiddleware(endpoint, Settings()))
    response = ask(app, "POST", "/analyze", files={"image": b"a photo"})
    assert response.headers["photos"] == "[b'a photo']"
    assert contexts[0].upload is None
    assert telemetry.requests == [("/analyze", 200)]


def test_a_request_without_its_key_is_refused_before_its_photo_is_parsed(telemetry: Telemetry) -> None:
    settings = Settings(api_keys=(SecretStr("a-key-of-sufficient-length"),))
    app = with_context(ApiKeyMiddleware(UploadMiddleware(answering({}), settings), settings))
    assert ask(app, "POST", "/analyze", files={"image": b"a photo"}).status_code == 401
    key = "a-key-of-sufficient-length"
    assert ask(app, "POST", "/analyze", files={"image": b"a photo"}, x_api_key=key).status_code == 200
    assert telemetry.requests == [("/analyze", 401), ("/analyze", 200)]
