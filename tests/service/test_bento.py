"""The bento: it is built from what bentofile.yaml names, holds nothing else, and serves by itself."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.server import PORTRAIT, ROOT, Server

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def test_the_built_bento_serves_real_analyses_from_its_own_folder(tmp_path: Path) -> None:
    home = {"BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "true"}
    bentoml = str(Path(sys.executable).parent / "bentoml")
    subprocess.run([bentoml, "build"], cwd=ROOT, env={**os.environ, **home}, check=True, capture_output=True)

    (source,) = (tmp_path / "home" / "bentos" / "shine").glob("*/src")
    names = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert {"service.py", "bentos/skin/measure/tuned.json", "LICENSE", "NOTICE"} <= names
    assert {f"bentos/skin/web/{path.name}" for path in (ROOT / "bentos" / "skin" / "web").iterdir()} <= names
    assert {"bentos/client/shine-client.js", "bentos/client/shine_client/texts.json"} <= names
    assert not [
        name for name in names if name.startswith(("tests", "training", "deploy", ".")) or name.endswith(".pyc")
    ]

    # Its own folder first: an editable install would else give the code of this checkout.
    server = Server(tmp_path, "shine:latest", cwd=tmp_path, PYTHONPATH=str(source), **home)
    try:
        server.wait_for_workers()
        version = httpx.get(server.url + "/version").json()
        assert version["bento"] == f"shine:{source.parent.name}"
        answer = httpx.post(server.url + "/analyze", files={"image": PORTRAIT.read_bytes()}, timeout=15).json()
        assert answer["source"] == "model"
        assert answer["face"]["confidence"] > 0.7
        assert httpx.get(server.url + "/demo/shine-analysis.js").status_code == 200
    finally:
        server.stop()
