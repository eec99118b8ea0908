"""Phase full, before its model has loaded: not ready, but answering requests with a key; and what browsers may read."""

import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bentos.skin.keys import hashed
from bentos.skin.settings import DRILL, DRILL_HEADER
from tests.server import PORTRAIT, Server
from tests.service.expect import is_analysis, is_error

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of BentoML's own imports
    from bentoml import SyncHTTPClient

KEYS = ("first-key-of-two-4711", "second-key-of-two-0815")
ENTRIES = (KEYS[0], str(hashed(KEYS[1])))  # one plain, one hashed
PAGE = "https://shine.example"
LOCKED = ["/version", "/ml/status", "/metrics", "/docs.json", "/schema.json", "/nothing", "/demonstration"]
OPEN = ["/health", "/livez", "/ready", "/readyz", "/", "/demo", "/demo/page.js", "/demo/nothing"]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(
        tmp_path_factory.mktemp("full"),
        SHINE_PHASE="full",
        SHINE_WEIGHTS_URI=str(tmp_path_factory.mktemp("weights")),
        SHINE_API_KEYS=", ".join(ENTRIES),
        SHINE_CORS_ORIGINS=f"{PAGE},http://localhost:3000",
    )
    try:
        yield running.wait()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def client(full: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=full.url, timeout=60) as client:
        yield client


@pytest.mark.parametrize("path", ["/ready", "/readyz"])
def test_it_is_not_ready_before_the_model_has_loaded(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 503


def test_ready_tells_the_state(client: httpx.Client) -> None:
    body = client.get("/ready").json()
    assert body.keys() == {"ready", "state", "reason"}
    assert body["ready"] is False
    assert (body["state"], body["reason"]) in {("degraded", "weights_missing"), ("loading", "model_loading")}


@pytest.mark.parametrize("path", ["/health", "/livez"])
def test_it_is_alive_all_the_same(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("headers", [{"x-api-key": key} for key in KEYS] + [{"authorization": "Bearer " + KEYS[0]}])
def test_each_key_opens_by_either_header(client: httpx.Client, portrait: bytes, headers: dict[str, str]) -> None:
    answer = client.post("/analyze", files={"image": portrait}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert is_analysis(answer.json())["degraded"] is True
    assert client.get("/version", headers=headers).json()["phase"] == "full"


def test_the_scheme_of_a_bearer_key_may_be_lower_case(client: httpx.Client) -> None:
    assert client.get("/version", headers={"authorization": "bearer " + KEYS[1]}).status_code == 200


@pytest.mark.parametrize("path", LOCKED)
def test_without_a_key_every_endpoint_is_closed(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    is_error(answer, 401, "api_key_missing")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/analyze", "/quality", "/analyze_base64", "/analyze_batch", "/overlay"])
def test_without_a_key_no_photo_is_taken(client: httpx.Client, portrait: bytes, path: str) -> None:
    is_error(client.post(path, files={"image": portrait}), 401, "api_key_missing")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "wrong"},
        {"x-api-key": KEYS[0][:-1]},
        {"x-api-key": KEYS[0] + "x"},
        {"x-api-key": ", ".join(KEYS)},
        {"x-api-key": ENTRIES[1]},
        {"x-api-key": "schlüssel".encode()},
        {"authorization": "Bearer wrong"},
        {"x-api-key": "wrong", "authorization": "Bearer " + KEYS[0]},
    ],
)
def test_a_wrong_key_is_told_from_a_missing_one(client: httpx.Client, headers: Any) -> None:
    error = is_error(client.get("/version", headers=headers), 401, "api_key_wrong")
    assert not any(key in str(error) for key in KEYS)


@pytest.mark.parametrize("given", ["Basic " + KEYS[0], "Bearer", "Bearer ", KEYS[0]])
def test_another_scheme_is_no_key(client: httpx.Client, given: str) -> None:
    is_error(client.get("/version", headers={"authorization": given.strip()}), 401, "api_key_missing")


def test_a_drill_needs_a_key_like_any_request(client: httpx.Client, portrait: bytes) -> None:
    drill = {DRILL_HEADER: DRILL}
    is_error(client.post("/analyze", files={"image": portrait}, headers=drill), 401, "api_key_missing")
    answer = client.post("/analyze", files={"image": portrait}, headers={**drill, "x-api-key": KEYS[0]})
    assert (answer.status_code, answer.json()["reason"]) == (200, "model_disabled")


@pytest.mark.parametrize("path", OPEN)
def test_probes_and_the_page_are_open(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code != 401


@pytest.mark.parametrize("path", ["/health/", "/HEALTH", "/health;x", "//health", "/health/../version"])
def test_what_only_looks_like_an_open_path_is_closed(full: Server, path: str) -> None:
    target = httpx.URL(full.url).copy_with(raw_path=path.encode())
    is_error(httpx.get(target), 401, "api_key_missing")


def test_bentoml_client_sends_a_key_as_token(full: Server) -> None:
    with SyncHTTPClient(full.url, token=KEYS[1], server_ready_timeout=0) as client:
        is_analysis(client.analyze(image=PORTRAIT))
        client._temp_dir.cleanup()  # which it leaves to the garbage collector


# --- browsers -------------------------------------------------------------------------------------------------------


def test_a_preflight_needs_no_key(client: httpx.Client) -> None:
    answer = client.options(
        "/analyze",
        headers={
            "origin": PAGE,
            "access-control-request-method": "POST",
            "access-control-request-headers": f"x-api-key, x-request-id, content-type, {DRILL_HEADER.lower()}",
        },
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "x-api-key" in answer.headers["access-control-allow-headers"].lower()


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000"])
def test_an_allowed_page_may_read_answers_and_their_headers(client: httpx.Client, portrait: bytes, origin: str) -> None:
    headers = {"origin": origin, "x-api-key": KEYS[0]}
    answer = client.post("/analyze", files={"image": portrait}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert "origin" in answer.headers["vary"].lower()
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed >= {"x-request-id", "x-analysis-source", "x-degraded", "retry-after"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/version", {}, 401),
        ("GET", "/nothing", {"x-api-key": KEYS[0]}, 404),
        ("PUT", "/analyze", {"x-api-key": KEYS[0]}, 405),
        ("POST", "/analyze", {"x-api-key": KEYS[0]}, 415),
        ("GET", "/ready", {}, 503),
    ],
)
def test_an_allowed_page_may_read_errors_too(
    client: httpx.Client, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = client.request(method, path, headers={**headers, "origin": PAGE})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "origin", ["https://elsewhere.example", "https://shine.example.elsewhere.example", "http://shine.example", "null"]
)
def test_any_other_page_may_not(client: httpx.Client, origin: str) -> None:
    answer = client.get("/version", headers={"origin": origin, "x-api-key": KEYS[0]})
    assert "access-control-allow-origin" not in answer.headers
    preflight = client.options("/analyze", headers={"origin": origin, "access-control-request-method": "POST"})
    assert "access-control-allow-origin" not in preflight.headers
