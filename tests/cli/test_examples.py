"""Every example of every --help, of docs/command-line.md and of the README is run."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bentos.cli.main import shine as group
from tests.cli.conftest import Shine
from tests.cli.test_main import ENV, HELPS
from tests.cli.test_weights import bucket as bucket
from tests.cli.test_weights import bundle
from tests.server import PORTRAIT, ROOT, Server

LINE = re.compile(r"^ +((?:[A-Z_]+=\S+ |cat \S+ \| )?shine (?!\[).*?)(?:  +.*|  # .*)?$", re.MULTILINE)
HERE = [words for words in HELPS if words[:1] != ("batch",)]  # whose page is docs/batch.md
SERVER = "http://localhost:5000"


def examples(shine: Shine) -> list[str]:
    """The examples of all helps; those of `batch` with S3 and a cluster are run by tests/batch."""
    lines = [example for words in HELPS for example in LINE.findall(shine(*words, "-h").out)]
    return [line for line in lines if not (" batch " in line and "s3://" in line)]


@pytest.fixture
def here(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the examples take it for granted: face.jpg, other.heic, photos/, weights of one's own."""
    folder = photos.parent
    monkeypatch.chdir(folder)
    for name in ("face.jpg", "other.heic"):
        shutil.copy(PORTRAIT, folder / name)
    bundle(folder, "1.0.0").rename(folder / "bundle")
    (folder / "list.txt").write_text("face.jpg\n")
    pq.write_table(pa.table({"path": ["face.jpg"]}), folder / "photos.parquet")
    (photos / "notes.txt").unlink()  # `batch` accounts for every file
    return folder


@pytest.mark.long
def test_every_example_of_every_help_runs(
    shine: Shine, unweighted: Server, here: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bucket == "s3://weights/face-skin"
    monkeypatch.setenv("SHINE_CACHE_DIR", str(here / "cache"))
    monkeypatch.setenv("PORT", str(unweighted.port))
    for place in (f"{here}/weights", bucket):
        for version in ("1.0.0", "1.1.0"):
            assert shine("weights", "publish", place, "--bundle", bundle(here, version)).code == 0
    first = sorted(path.name for path in (here / "weights").iterdir() if path.is_dir())[0]
    lines = examples(shine)
    assert len(lines) > 25
    outputs = 0
    for line in lines:
        command = line.replace(SERVER, unweighted.url).replace("s3://bucket/face-skin", bucket)
        command = command.replace("/srv/", f"{here}/").replace("1.0.0-3aef0440ca01", first)
        if "weights publish" in command:
            command = command.replace(f"{here}/weights", f"{here}/others").replace(bucket, f"{bucket}-others")
        elif "--out" in command or "--overlay" in command:
            command += " --overwrite"
        elif " batch " in command and "--resume" not in command:  # each has an output of its own
            command = command.replace("findings/", f"findings{outputs}/") if outputs else command
            outputs += 1
        source, _, command = command.rpartition(" | ")
        words = shlex.split(command)
        with monkeypatch.context() as patch:
            if "=" in words[0]:
                patch.setenv(*words.pop(0).split("=", 1))
            stdin = (here / source.removeprefix("cat ")).read_bytes() if source else b""
            ended = shine(*words[1:], stdin=stdin)
        status_of_unweighted = words[1] == "status" and "--server" in words
        assert ended.code == (4 if status_of_unweighted else 0), (line, ended)


def fenced(path: Path, heading: str) -> str:
    """The first fenced block of shell below a heading."""
    text = path.read_text().partition(f"## {heading}\n")[2]
    match = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert match, heading
    return match[1]


@pytest.mark.long
def test_the_commands_of_the_readme_run(here: Path) -> None:
    commands = fenced(ROOT / "README.md", "Without a server")
    assert len(commands.splitlines()) <= 10
    binaries = here / "bin"
    binaries.mkdir()
    for name, words in {"shine": "-m bentos.cli", "python": ""}.items():
        (binaries / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (binaries / name).chmod(0o755)
    commands = commands.replace(".venv/bin/", "").replace("tests/photos/astronaut.png", str(PORTRAIT))
    ended = subprocess.run(
        ["sh", "-e"], input=commands, cwd=here, env={**ENV, "PATH": f"{binaries}:{ENV['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("0 clear\n")
    assert (here / "report.html").exists()
    assert (here / "drawn" / "face.png").exists()


def test_the_page_names_every_command_and_option() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text()
    for words in HERE:
        assert f"shine {' '.join(words)}".strip() in page
        command: click.Command | None = group
        for word in words:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), word)
        assert command is not None
        names = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
        assert [name for name in sorted(names) if name not in page] == []
