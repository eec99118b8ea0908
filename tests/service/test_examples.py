"""The examples do what they say: print findings, explain errors, retry when they are asked to."""

import copy
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bentos.skin.schema import EXAMPLE_ANALYSIS
from tests.server import PORTRAIT, ROOT, Server, free_port

EXAMPLES = ROOT / "tests" / "examples"
COMMANDS = {
    "analyze.sh": (["bash"], ["bash", "curl", "jq"]),
    "analyze.py": ([sys.executable], []),
    "analyze.mjs": (["node"], ["node"]),
}


def run(name: str, photo: Path, base: str, **env: str) -> "subprocess.CompletedProcess[str]":
    command, needed = COMMANDS[name]
    missing = [tool for tool in needed if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{name} needs {', '.join(missing)}")
    path = ":".join(str(Path(tool).parent) for tool in map(shutil.which, needed) if tool)
    return subprocess.run(
        [*command, str(EXAMPLES / name), str(photo), base],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": f"{path}:/usr/bin:/bin", **env},
        check=False,
    )


class Busy:
    """A service that answers what it is told to, one after the other, and keeps the keys it was sent."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.keys: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                outer.keys.append(self.headers["x-api-key"])
                status, body = outer.answers.pop(0)
                self.send_response(status)
                if status in (429, 503):
                    self.send_header("Retry-After", "0.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def busy() -> Iterator[Busy]:
    service = Busy()
    thread = threading.Thread(target=service.server.serve_forever, daemon=True)
    thread.start()
    yield service
    service.server.shutdown()
    service.server.server_close()
    thread.join(5)


def error(code: str) -> bytes:
    detail = {"code": code, "message": "What.", "hint": "Right.", "request_id": "42"}
    return json.dumps({"error": detail}).encode()


ANALYSIS = json.dumps(EXAMPLE_ANALYSIS).encode()


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_prints_the_findings(server: Server, name: str) -> None:
    done = run(name, PORTRAIT, server.url)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "answered by the heuristic"
    for concern in ("acne", "wrinkles", "redness", "pigmentation", "shine", "texture"):
        score = next(line for line in lines if line.startswith(concern + " "))
        assert 0 <= int(score.split()[1]) <= 100
    assert "Not a medical diagnosis" in lines[-1]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_explains_an_error(server: Server, name: str, tmp_path: Path) -> None:
    text = tmp_path / "not a photo.txt"
    text.write_text("a face")
    done = run(name, text, server.url)
    assert done.returncode == 1
    assert done.stderr.startswith("image_format_unsupported: The file is text, not a photo. Send ")
    assert done.stdout == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_says_what_is_not_judged_and_what_would_be_better(busy: Busy, name: str) -> None:
    values = copy.deepcopy(EXAMPLE_ANALYSIS)
    nothing: dict[str, Any] = {"score": None, "severity": None, "count": None, "boxes": [], "confidence": None}
    values["concerns"]["acne"] |= nothing | {"reason": "no_skin"}
    values["concerns"]["redness"] |= {"score": None, "reason": "no_colour"}
    busy.answers = [(200, json.dumps(values).encode())]
    done = run(name, PORTRAIT, busy.url)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert values["advice"][0] in lines
    assert {"acne not judged: no_skin", "redness not judged: no_colour", "shine 18"} <= set(lines)
    assert not [line for line in lines if "null" in line or "None" in line or "lesions" in line]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_comes_back_when_told_to(busy: Busy, name: str) -> None:
    busy.answers = [(429, error("overloaded")), (503, error("model_unavailable")), (200, ANALYSIS)]
    done = run(name, PORTRAIT, busy.url, API_KEY="key-1")
    assert done.returncode == 0, done.stderr
    assert "12 lesions, moderate" in done.stdout
    assert busy.keys == ["key-1"] * 3


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_gives_up_after_three_times(busy: Busy, name: str) -> None:
    busy.answers = [(503, error("model_unavailable"))] * 3
    done = run(name, PORTRAIT, busy.url)
    assert done.returncode == 1
    assert done.stderr.strip() == "model_unavailable: What. Right. (request 42)"
    assert busy.answers == []


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_survives_a_proxy_that_answers_for_the_service(busy: Busy, name: str) -> None:
    busy.answers = [(502, b"<html>Bad Gateway</html>")]
    done = run(name, PORTRAIT, busy.url)
    assert done.returncode == 1
    assert "HTTP 502" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_fails_where_nobody_answers(name: str) -> None:
    assert run(name, PORTRAIT, f"http://127.0.0.1:{free_port()}").returncode != 0
