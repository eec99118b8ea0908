"""Runs `shine` in this process, with weights that are loaded once."""

import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bentos.cli import main as cli
from bentos.cli import sources
from bentos.skin import Analyzer
from tests.server import PORTRAIT


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code.
        out: standard output.
        err: standard error.
    """

    code: int
    out: str
    err: str


Shine = Callable[..., Ended]


@pytest.fixture(scope="session")
def analyzer() -> Analyzer:
    """An analyzer with the weights of the package."""
    return Analyzer()


@pytest.fixture
def shine(analyzer: Analyzer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shine:
    """Run a command: `shine("analyze", path, stdin=b"…")`."""
    make = sources.open_analyzer
    monkeypatch.setattr(sources, "open_analyzer", lambda weights: make(weights) if weights else analyzer)
    for name in ("SHINE_WEIGHTS_URI", "SHINE_WEIGHTS_SHA256", "SHINE_API_KEY", "PORT"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: object, stdin: bytes = b"") -> Ended:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            code = cli.run([str(word) for word in words])
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return Ended(code, output.out, output.err)

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a portrait, another below it, and a file that is none."""
    folder = tmp_path / "photos"
    (folder / "second visit").mkdir(parents=True)
    shutil.copy(PORTRAIT, folder / "face.png")
    shutil.copy(PORTRAIT, folder / "second visit" / "face.png")
    (folder / "notes.txt").write_text("no photo")
    return folder


def rows(ended: Ended) -> list[dict[str, str]]:
    """The lines of plain text, by the names of their columns."""
    head, *lines = (line.split("\t") for line in ended.out.splitlines())
    return [dict(zip(head, line, strict=True)) for line in lines]


def without_ids(analysis: dict[str, Any]) -> dict[str, Any]:
    """An Analysis without what differs from call to call."""
    return {name: value for name, value in analysis.items() if name not in ("photo", "request_id", "timing_ms")}
