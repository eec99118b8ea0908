"""The command itself: help, completion, what it imports, pipes, interrupts, a terminal."""

import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from bentos.cli.main import COMMANDS
from bentos.cli.main import shine as group
from tests.cli.conftest import Shine
from tests.server import PORTRAIT, ROOT

COMMAND = [sys.executable, "-m", "bentos.cli"]
ENV = {name: value for name, value in os.environ.items() if not name.startswith("SHINE_")} | {"PYTHONPATH": str(ROOT)}


def helps(command: click.Command, *words: str) -> list[tuple[str, ...]]:
    """The words of each command of a group, and of each below it."""
    if not isinstance(command, click.Group):
        return [words]
    context = click.Context(command)
    below = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    return [words, *(line for name, sub in below if sub for line in helps(sub, *words, name))]


HELPS = helps(group)


def test_help_is_one_page_and_lists_every_command(shine: Shine) -> None:
    ended = shine("--help")
    assert ended.code == 0
    assert len(ended.out.splitlines()) <= 50
    for name in COMMANDS:
        assert re.search(rf"^ +{name}\b", ended.out, re.MULTILINE)


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_each_help_has_examples_and_the_exit_codes(shine: Shine, words: tuple[str, ...]) -> None:
    ended = shine(*words, "-h")
    assert ended.code == 0
    assert re.search(rf"^ +(\S+=\S+ |cat \S+ \| )?shine {' '.join(words)}", ended.out, re.MULTILINE)
    assert "Exit codes: 0 " in ended.out or "Exit codes: see `shine weights --help`." in ended.out
    assert max(map(len, ended.out.splitlines())) <= 120


def test_a_misspelt_command_is_answered_with_the_nearest(shine: Shine) -> None:
    ended = shine("analyse")
    assert (ended.code, ended.out) == (2, "")
    assert "No such command 'analyse'. Did you mean 'analyze'?" in ended.err


def test_help_and_completion_load_nothing_heavy() -> None:
    program = (
        "import sys; from bentos.cli.main import run; run(sys.argv[1:]); "
        "print(*({'numpy', 'onnxruntime', 'PIL', 'boto3', 'rich', 'pydantic', 'httpx'} & set(sys.modules)))"
    )
    for words in (["--help"], ["analyze", "--help"], ["report", "--help"]):
        ended = subprocess.run(
            [sys.executable, "-c", program, *words], env=ENV, capture_output=True, text=True, check=True
        )
        assert ended.stdout.splitlines()[-1] == ""
    complete = {"_SHINE_COMPLETE": "bash_complete", "COMP_WORDS": "shine analyze --inc", "COMP_CWORD": "2"}
    ended = subprocess.run(COMMAND, env={**ENV, **complete}, capture_output=True, text=True, check=True)
    assert ended.stdout == "plain,--include\n"


def test_thread_pools_are_limited_before_numpy_is_there(photos: Path) -> None:
    program = (
        "import sys; from bentos.cli.main import run; import bentos.skin.threads as threads\n"
        "limit = threads.limit_pools\n"
        "def first(): print('numpy' in sys.modules, file=sys.stderr); limit()\n"
        "threads.limit_pools = first\n"
        "raise SystemExit(run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "analyze", str(photos / "face.png")]
    ended = subprocess.run(command, env=ENV, capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[0] == "False"


def test_into_a_closed_pipe_and_in_ascii_there_is_no_trace(photos: Path) -> None:
    for number in range(4):
        shutil.copy(PORTRAIT, photos / f"ä{number}.png")
    line = f"{shlex.join([*COMMAND, 'analyze', str(photos)])} | head -2; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", line], env={**ENV, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False
    )
    assert ended.stdout.startswith("photo\tsource\t")
    assert (ended.returncode, ended.stderr) == (141, "")


@pytest.mark.parametrize(("program", "words"), [("bentos.cli", ""), ("bentos.cli", "--version"), ("deploy", "--help")])
@pytest.mark.parametrize(
    ("to", "code", "says"),
    [("| true", 141, ""), (">&-", 2, "Bad file descriptor"), (">/dev/full", 2, "No space left on device")],
)
def test_output_that_cannot_be_printed_is_a_sentence_and_a_code(
    program: str, words: str, to: str, code: int, says: str
) -> None:
    line = f"{sys.executable} -m {program} {words} {to}; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", line], env=ENV, capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert re.fullmatch(rf"\w+: not all could be printed: {says}\.\n" if says else "", ended.stderr)


def test_a_closed_input_is_a_photo_that_cannot_be_read() -> None:
    line = f"{shlex.join(COMMAND)} analyze - <&-"
    ended = subprocess.run(["bash", "-c", line], env=ENV, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "")
    assert "photo_unreadable: It cannot be read: Bad file descriptor." in ended.stdout


@pytest.mark.parametrize("to", ["2>/dev/full", "2>&-"])
def test_messages_that_cannot_be_printed_end_nothing(to: str) -> None:
    line = f"{shlex.join(COMMAND)} analyze {PORTRAIT} --weights /nowhere {to}"
    ended = subprocess.run(["bash", "-c", line], env=ENV, capture_output=True, text=True, check=True)
    assert len(ended.stdout.splitlines()) == 2


def test_without_a_place_for_messages_they_are_lost_and_not_among_the_output() -> None:
    line = f"{shlex.join(COMMAND)} analyze {PORTRAIT} --weights /nowhere --json 2>&-"
    ended = subprocess.run(["bash", "-c", line], env=ENV, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout)[0]["reason"] == "weights_missing"


@pytest.mark.parametrize("words", [["analyze", "--json"], ["report", "--out", "report.html"]])
def test_an_interrupt_is_130_without_a_trace_and_leaves_nothing_half_written(
    words: list[str], photos: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "waits.png")
    running = subprocess.Popen(
        [*COMMAND, words[0], photos / "face.png", tmp_path / "waits.png", *words[1:]],
        cwd=tmp_path, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with (tmp_path / "waits.png").open("wb"):  # until it is opened for reading
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err == "shine: interrupted.\n"
    assert (out.endswith("]\n") or out == "") if words[0] == "analyze" else not out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "waits.png"]


@pytest.mark.parametrize("extra", [{}, {"NO_COLOR": "1"}])
def test_at_a_terminal_there_is_a_table_with_progress(extra: dict[str, str], photos: Path) -> None:
    (photos / "bad.jpg").write_text("no photo")
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "analyze", "."], cwd=photos, stdout=follower, stderr=follower,
        env={**ENV, "TERM": "xterm", "COLUMNS": "80", **extra},
    ) as running:  # fmt: skip
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 1 << 16)
            except OSError:  # the terminal is gone: how Linux says that it has ended
                break
            shown += part
    os.close(leader)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert running.returncode == 1
    assert "time left" in text
    assert max(map(len, text.splitlines())) <= 82
    assert "photo" in text
    assert re.search(r"^ *face\.png +0 clear +\d+ +\d+ ", text, re.MULTILINE)
    assert "The file is text" in " ".join(text.split())
    coloured = re.search(rb"\x1b\[(\d+;)*3[0-7]m", shown) is not None
    assert coloured == (not extra)


@pytest.mark.parametrize("words", [[], ["weights"]])
def test_without_a_command_the_help_is_shown_as_it_is(shine: Shine, words: list[str]) -> None:
    ended = shine(*words)
    assert ended.code == 2
    assert "error:" not in ended.out + ended.err
    assert len(ended.out.splitlines()) > 8
