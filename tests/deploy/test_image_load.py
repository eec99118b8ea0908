"""What the load, the waiting and the trial make of a container's responses; a small server stands in for it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploy.image.container import Container
from deploy.image.load import send
from deploy.verify.container.probes import get_status

NOBODY = "http://127.0.0.1:9"  # nothing listens there
PHOTO = b"\x89PNG\r\n\x1a\n a photo"
RESPONSES: dict[str, tuple[int, bytes]] = {
    "analysis": (200, b'{"source": "model"}'),
    "refusal": (429, b'{"error": {"code": "overloaded"}}'),
    "page": (502, b"<h1>Bad gateway</h1>"),
    "text": (200, b"hello"),
    "list": (200, b"[]"),
    "moved": (302, b""),
}


class Handler(BaseHTTPRequestHandler):
    """Answers as the first part of the path says; keeps the last request."""

    last: tuple[dict[str, str], bytes] = ({}, b"")

    def respond(self) -> None:
        """Send the response; none for /closed."""
        type(self).last = (
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("content-length", 0))),
        )
        kind = self.path.split("/")[1]
        if kind == "closed":
            self.close_connection = True
            return
        status, body = RESPONSES[kind]
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("location", "/analysis")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = respond  # noqa: N815  names of http.server

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("analysis", (200, {"source": "model"})),
        ("refusal", (429, {"error": {"code": "overloaded"}})),
        ("page", (502, {"error": "<h1>Bad gateway</h1>"})),
        ("text", (0, {"error": "hello"})),
    ],
)
def test_the_status_and_the_json_of_an_analysis_are_read(kind: str, expected: object, url: str) -> None:
    assert send(f"{url}/{kind}", PHOTO) == expected


def test_a_photo_without_a_response_has_status_0_and_says_why(url: str) -> None:
    for place in (url, NOBODY):
        status, body = send(f"{place}/closed", PHOTO)
        assert (status, list(body)) == (0, ["error"])
        assert str(body["error"])


def test_a_photo_is_sent_as_a_form_with_the_given_headers(url: str) -> None:
    send(f"{url}/analysis", PHOTO, {"x-api-key": "k"})
    headers, body = Handler.last
    assert headers["x-api-key"] == "k"
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="image"; filename="photo"' in body
    assert b"\r\n\r\n" + PHOTO + b"\r\n--" in body


def test_a_proxy_of_the_environment_is_not_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert send(f"{url}/analysis", PHOTO)[0] == 200


@pytest.mark.parametrize(("kind", "status"), [("analysis", 200), ("page", 502), ("moved", 302), ("closed", 0)])
def test_a_health_check_follows_no_redirect(kind: str, status: int, url: str) -> None:
    assert get_status(url, f"/{kind}") == status
    assert get_status(NOBODY, f"/{kind}") == 0


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("analysis", (200, {"source": "model"})),
        ("moved", (200, {"source": "model"})),
        ("refusal", (429, {})),
        ("text", (0, {})),
        ("closed", (0, {})),
    ],
)
def test_a_container_is_asked_for_json(kind: str, expected: object, url: str) -> None:
    container = Container.__new__(Container)  # no engine is needed to ask it
    container.url = url
    assert container.get(f"/{kind}") == expected
