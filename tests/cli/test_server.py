"""`shine` and a server that runs: its findings, its status, and what is no server."""

import json
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.cli.conftest import Shine, rows, without_ids
from tests.server import PORTRAIT, Server


def test_a_server_gives_what_it_gives_over_http(shine: Shine, unweighted: Server, photos: Path) -> None:
    (photos / "aa.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    ended = shine("analyze", photos, "--json", "--include", "outlines", "--server", unweighted.url)
    assert ended.code == 1
    broken, first, _ = json.loads(ended.out)
    with PORTRAIT.open("rb") as file:
        answered = httpx.post(
            f"{unweighted.url}/analyze", files={"image": file}, data={"include": "outlines"}, timeout=15
        )
    assert without_ids(first) == without_ids(answered.json())
    assert broken["error"]["code"] == "image_unreadable"
    assert len(broken["error"]["request_id"]) == 32


def test_a_server_draws_too(shine: Shine, unweighted: Server, tmp_path: Path) -> None:
    assert shine("analyze", PORTRAIT, "--server", unweighted.url, "--overlay", tmp_path / "out.png").code == 0
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.format == "PNG"


def test_a_server_without_its_model_is_said_and_refused(shine: Shine, unweighted: Server) -> None:
    ended = shine("analyze", PORTRAIT, "--server", unweighted.url)
    assert ended.code == 0
    assert rows(ended)[0]["reason"] == "weights_missing"
    assert "The model does not answer (weights_missing)" in ended.err
    ended = shine("analyze", PORTRAIT, "--server", unweighted.url, "--require-model")
    assert (ended.code, ended.out) == (4, "")


@pytest.mark.parametrize("command", ["analyze", "status"])
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:9", "Connection refused"),
        ("localhost:5000", "base URL must be http://"),
        ("http://127.0.0.1:{port}/elsewhere", "Not Found"),
    ],
)
def test_a_server_that_is_none_is_2_and_a_sentence(
    shine: Shine, unweighted: Server, command: str, url: str, says: str
) -> None:
    photos = [PORTRAIT] if command == "analyze" else []
    ended = shine(command, *photos, "--server", url.format(port=unweighted.port))
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert ended.err.count("\n") == 1


def test_the_status_of_a_server(shine: Shine, unweighted: Server) -> None:
    ended = shine("status", "--server", unweighted.url)
    assert ended.code == 4
    lines = dict(line.split(None, 1) for line in ended.out.splitlines())
    assert (lines["state"], lines["why"], lines["phase"]) == ("degraded", "weights_missing", "hybrid")
    assert "heuristic" in lines["answers"]
    content = json.loads(shine("status", "--json", "--server", unweighted.url).out)
    assert content["service"] == "shine"
    assert content["status"]["breaker"] == "closed"


def test_the_port_of_a_shine_that_runs_is_no_fault(
    shine: Shine, unweighted: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", str(unweighted.port))
    checks = {check["name"]: check for check in json.loads(shine("doctor", "--json").out)["checks"]}
    assert checks["port"]["ok"]
    assert checks["port"]["sentence"].startswith(f"{unweighted.port} is in use by Shine ")
