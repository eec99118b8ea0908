"""The middleware around a small ASGI app: headers, CORS, keys and uploads, with and without a running service."""

import asyncio
import gzip
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import httpx
import pytest
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from bentos.skin.runtime.admission import Admission
from bentos.skin.runtime.api_key import ApiKeyMiddleware
from bentos.skin.runtime.context import RequestContext, current
from bentos.skin.runtime.middleware import CorsMiddleware, RequestContextMiddleware
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


def ask(
    app: Any, method: str = "GET", path: str = "/", files: Any = None, content: bytes | None = None, **headers: str
) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shine") as client:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, files=files, content=content, headers=names)

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
    app = CorsMiddleware(answering({}), Settings(cors_origins=origins))
    answer = ask(app, method, origin=PAGE, access_control_request_method="POST")
    assert answer.headers.get("access-control-allow-origin") == (PAGE if allowed else None)


def test_what_keeps_others_from_embedding_does_not_keep_a_listed_page_from_reading() -> None:
    # Fetch standard, 4.3 HTTP fetch: Cross-Origin-Resource-Policy is asked of responses that are or would be opaque,
    # that is, of no-cors requests. A page that reads JSON sends a CORS request, where these two headers decide.
    app = CorsMiddleware(with_context(answering({})), Settings(cors_origins=(PAGE,)))
    answer = ask(app, origin=PAGE)
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["access-control-allow-origin"] == PAGE


def preflight(origin: str = PAGE, method: str = "POST", **headers: str) -> httpx.Response:
    """The answer to a preflight where PAGE is allowed."""
    app = with_context(CorsMiddleware(answering({}), Settings(cors_origins=(PAGE, "capacitor://localhost"))))
    names: dict[str, Any] = {f"access_control_request_{name}": value for name, value in headers.items()}
    return ask(app, "OPTIONS", "/analyze", origin=origin, access_control_request_method=method, **names)


@pytest.mark.usefixtures("telemetry")
@pytest.mark.parametrize(
    "headers",
    [
        "content-type",
        "baggage,content-type,sentry-trace",
        "content-type,traceparent,tracestate",
        "Authorization, X-API-Key, X-Request-Id, X-Shine-Drill, Content-Encoding",
        "accept,accept-language,content-language",
    ],
)
def test_a_preflight_with_the_headers_of_clients_and_of_tracing_passes(headers: str) -> None:
    answer = preflight(headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert {name.strip().lower() for name in headers.split(",")} <= set(allowed)


@pytest.mark.usefixtures("telemetry")
def test_a_preflight_of_an_app_passes() -> None:
    answer = preflight("capacitor://localhost", headers="content-type")
    assert answer.headers["access-control-allow-origin"] == "capacitor://localhost"


@pytest.mark.usefixtures("telemetry")
@pytest.mark.parametrize(
    ("asked", "named", "hint"),
    [
        ({"headers": "content-type,x-mine"}, "The header 'x-mine' is not allowed.", "x-api-key"),
        ({"headers": "X-Mine, x-yours"}, "The headers 'x-mine', 'x-yours' are not allowed.", "baggage"),
        ({"headers": "*"}, "The header '*' is not allowed.", "x-api-key"),
        ({"method": "PUT"}, "The method 'PUT' is not allowed.", "GET, POST"),
        ({"origin": "https://elsewhere.example"}, "The origin 'https://elsewhere.example' is", "SHINE_CORS_ORIGINS"),
        ({"origin": PAGE + ":443"}, f"The origin '{PAGE}:443' is not allowed.", "SHINE_CORS_ORIGINS"),
        ({"private_network": "true"}, "private network", "SHINE_CORS_PRIVATE_NETWORK"),
    ],
)
def test_a_refused_preflight_names_what_is_refused(asked: dict[str, str], named: str, hint: str) -> None:
    answer = preflight(**asked)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "bad_request"
    assert error["message"].startswith(named) or named in error["message"]
    assert hint in error["hint"]
    assert error["request_id"] == answer.headers["x-request-id"]
    assert ("access-control-allow-origin" in answer.headers) == ("origin" not in asked)


@pytest.mark.usefixtures("telemetry")
@pytest.mark.parametrize("on", [True, False])
def test_a_preflight_into_a_private_network_passes_where_a_setting_says_so(on: bool) -> None:
    settings = Settings(cors_origins=(PAGE,), cors_private_network=on)
    asked: dict[str, Any] = {"access_control_request_method": "POST", "access_control_request_private_network": "true"}
    answer = ask(with_context(CorsMiddleware(answering({}), settings)), "OPTIONS", origin=PAGE, **asked)
    assert answer.status_code == (200 if on else 400)
    assert answer.headers.get("access-control-allow-private-network") == ("true" if on else None)


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


@pytest.mark.usefixtures("telemetry")
@pytest.mark.parametrize(
    ("coding", "status", "code"),
    [
        ("gzip", 200, None),
        ("GZip", 200, None),
        ("br", 415, "content_type_unsupported"),
        ("deflate", 400, "bad_request"),
    ],
)
def test_a_compressed_form_is_read_and_another_coding_refused_by_its_name(
    coding: str, status: int, code: str | None
) -> None:
    plain = httpx.Request("POST", "http://shine", files={"image": b"a photo"})
    app = with_context(UploadMiddleware(answering({}), Settings()))
    content_type = plain.headers["content-type"]
    body = gzip.compress(plain.read())
    answer = ask(app, "POST", "/analyze", content=body, content_type=content_type, content_encoding=coding)
    assert answer.status_code == status
    if code is not None:
        assert answer.json()["error"]["code"] == code
        assert coding in answer.json()["error"]["message"]


@pytest.mark.usefixtures("telemetry")
def test_an_inflated_body_may_be_no_larger_than_a_plain_one() -> None:
    app = with_context(UploadMiddleware(answering({}), Settings(max_body_mib=1)))
    bomb = gzip.compress(bytes(64 * 2**20))
    assert len(bomb) < 2**17
    answer = ask(app, "POST", "/analyze", content=bomb, content_type="multipart/form-data", content_encoding="gzip")
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.usefixtures("telemetry")
@pytest.mark.parametrize(("declared", "refused"), [(True, 0), (False, 5)])
def test_slow_uploads_that_say_how_small_they_are_leave_room_for_others(declared: bool, refused: int) -> None:
    """Twenty at once, where there is room for fifteen of the largest that a body may be."""
    plain = httpx.Request("POST", "http://shine", files={"image": b"a photo"})
    body = plain.read()
    headers = [(b"content-type", plain.headers["content-type"].encode())]
    headers.append((b"content-length", b"%d" % len(body)) if declared else (b"transfer-encoding", b"chunked"))
    app = with_context(UploadMiddleware(answering({}), Settings(max_pending=8, max_body_mib=1)))
    statuses = []

    async def upload(over: asyncio.Event) -> None:
        pieces = [body[:10], body[10:]]

        async def receive() -> Any:
            if len(pieces) < 2:
                await (over if pieces else asyncio.Event()).wait()
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {"type": "http", "method": "POST", "path": "/analyze", "query_string": b"", "headers": headers}
        await app(scope, receive, send)

    async def upload_all() -> None:
        over = asyncio.Event()
        uploads = [asyncio.create_task(upload(over)) for _ in range(20)]
        await asyncio.sleep(0.01)
        over.set()
        await asyncio.gather(*uploads)

    with mock.patch.object(Admission, "check"):  # all are answered in the same moment
        asyncio.run(upload_all())
    assert sorted(statuses) == [200] * (20 - refused) + [429] * refused
