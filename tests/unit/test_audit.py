"""The audit of the lock: it finds each problem, and says when it could not be made."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests import audit
from tests.audit import FINE, FOUND, NOT_ASKED, NotAsked, Pin

HASH = f"--hash=sha256:{'0' * 64}"
HTTPX = httpx.__version__
LOCK = f"httpx=={HTTPX} \\\n    {HASH} \\\n    {HASH}\n    # via somebody\n"


class Index:
    """An index on loopback that answers every question alike."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status, self.body = 200, b"{}"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def tells(self, *advisories: dict[str, object]) -> None:
        self.body = json.dumps({"info": {}, "vulnerabilities": advisories}).encode()


ADVISORY: dict[str, object] = {"id": "PYSEC-1", "fixed_in": ["9.9"], "withdrawn": None}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    answering = Index()
    thread = threading.Thread(target=answering.server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("PIP_INDEX_URL", answering.url.replace("//", "//reader:secret@") + "/some/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield answering
    answering.server.shutdown()
    answering.server.server_close()
    thread.join(5)


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A folder with a lock of its own; pip check is not what these tests are about."""
    monkeypatch.setattr(audit, "pip_check", list)

    def write(lock: str = LOCK, required: str = "httpx  # a reason\n") -> Path:
        (tmp_path / "runtime.txt").write_text(lock)
        (tmp_path / "runtime.in").write_text(required)
        return tmp_path

    return write


def test_what_this_service_runs_on_is_found_fine_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "deep" / "licenses.txt"
    code = audit.main(["--offline", "--licenses", str(listed)])
    output = capsys.readouterr()
    assert code == NOT_ASKED, output.out
    assert "advisories NOT checked" in output.err
    lines = listed.read_text().splitlines()
    assert any(line.startswith("bentoml 1.4.") and line.endswith(": Apache-2.0") for line in lines)
    assert len(lines) == len(audit.pins((audit.REQUIREMENTS / "runtime.txt").read_text())) > 50


@pytest.mark.parametrize(
    ("lock", "problems"),
    [
        (LOCK, []),
        ("# a comment\n\n" + LOCK, []),
        (f"httpx=={HTTPX}\n", [f"httpx=={HTTPX} is not pinned by sha256"]),
        (f"httpx=={HTTPX} --hash=md5:{'0' * 32}\n", [f"httpx=={HTTPX} is not pinned by sha256"]),
        (f"httpx=={HTTPX} {HASH} --hash=sha256:0\n", [f"httpx=={HTTPX} is not pinned by sha256"]),
        (f"httpx>=0.1 {HASH}\n", ["httpx>=0.1 is not pinned to one version"]),
        (f"httpx==0.* {HASH}\n", ["httpx==0.* is not pinned to one version"]),
        ("git+https://example.com/x\n", ["git+https://example.com/x is not pinned to one version"]),
    ],
)
def test_a_loose_requirement_is_found(lock: str, problems: list[str]) -> None:
    assert audit.loose(lock) == problems


@pytest.mark.parametrize(
    ("required", "message"),
    [
        ("HTTPX>=0.1  # whatever\n", None),
        ("httpx>99\n", "httpx>99 is wanted, and the lock has"),
        ("numpy\n", "numpy is wanted, and the lock has none"),
    ],
)
def test_a_lock_that_does_not_satisfy_what_is_wanted_is_found(required: str, message: str | None) -> None:
    problems = audit.unsatisfied(audit.pins(LOCK), required)
    assert (problems == []) if message is None else problems[0].startswith(message)


def test_an_environment_that_differs_from_the_lock_is_found() -> None:
    assert audit.differing([Pin("httpx", HTTPX)]) == []
    problems = audit.differing([Pin("httpx", "0.0.1"), Pin("no-such-package-here", "1")])
    assert problems == [
        f"httpx is locked at 0.0.1, and installed is {HTTPX}",
        "no-such-package-here is locked at 1, and installed is none",
    ]


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 AND MIT", True),
        ("GPL-3.0-only OR (MIT)", True),
        ("MIT AND GPL-3.0-only", False),
        ("AGPL-3.0-only", False),
        ("Proprietary", False),
        ("", False),
    ],
)
def test_licences_outside_the_list_are_found(licence: str, allowed: bool) -> None:
    assert audit.is_allowed(licence) is allowed


def test_a_package_under_another_licence_fails_the_audit(
    requirements: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "licence_of", lambda _: "AGPL-3.0-only")
    assert audit.main(["--offline"], requirements()) == FOUND
    assert "httpx is under AGPL-3.0-only, not on the list" in capsys.readouterr().out


def test_no_advisory_is_fine(index: Index, requirements: Callable[..., Path]) -> None:
    index.tells({**ADVISORY, "withdrawn": "2026-01-01T00:00:00Z"})
    assert audit.main([], requirements()) == FINE
    assert index.asked == [f"/pypi/httpx/{HTTPX}/json"]


def test_an_advisory_is_found(
    index: Index, requirements: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    index.tells(ADVISORY)
    assert audit.main([], requirements()) == FOUND
    assert f"httpx {HTTPX}: PYSEC-1, fixed in 9.9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b"not found"), (404, b'{"vulnerabilities": []}'), (200, b"<html>"), (200, b'{"info": {}}'), (200, b"[]")],
)
def test_an_index_without_advisories_is_no_clean_bill(
    index: Index, requirements: Callable[..., Path], capsys: pytest.CaptureFixture[str], status: int, body: bytes
) -> None:
    index.status, index.body = status, body
    assert audit.main([], requirements()) == NOT_ASKED
    output = capsys.readouterr()
    assert output.err.startswith("advisories NOT checked: asked about httpx, the index answered")
    assert "127.0.0.1" not in output.out + output.err


def test_an_index_that_is_not_there_is_no_clean_bill(
    index: Index, requirements: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    index.server.shutdown()
    index.server.server_close()
    assert audit.main([], requirements()) == NOT_ASKED
    assert "the index did not answer (ConnectError)" in capsys.readouterr().err


def test_what_is_found_offline_outweighs_that_nobody_could_be_asked(requirements: Callable[..., Path]) -> None:
    assert audit.main(["--offline"], requirements(required="httpx>99\n")) == FOUND


def test_an_index_in_a_folder_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "file:///srv/packages")
    with pytest.raises(NotAsked, match="no index over HTTP"):
        audit.index()
