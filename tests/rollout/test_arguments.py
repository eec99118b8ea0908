"""Arguments of the rollout's commands, and whether a process that holds the lock is alive."""

import os
import socket
import subprocess
import sys

import click
import pytest

from deploy.cli.options import seconds, url
from deploy.rollout.resume import is_alive


@pytest.mark.parametrize("text", ["-1", "0", "nan", "inf", "3601", "soon", ""])
def test_no_seconds(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no number of seconds"):
        seconds(text)


def test_seconds() -> None:
    assert seconds("0.5") == 0.5


@pytest.mark.parametrize(
    "text",
    ["notaurl", "ftp://x", "http://", "https://:443", "http://x:port", "http://[::1", "http://x?y=1", "http://x#y", ""],
)
def test_no_url(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no URL like"):
        url(text)


def test_a_url_loses_its_last_slash() -> None:
    assert url("http://127.0.0.1:5000/") == "http://127.0.0.1:5000"


def test_a_process_is_alive_where_another_of_this_machine_has_its_number() -> None:
    machine = socket.gethostname()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert is_alive(f"{machine}:{other.pid}")
        other.communicate(b"\n")
    assert not is_alive(f"{machine}:{other.pid}")
    assert not is_alive(f"{machine}:{os.getpid()}")  # ours
    assert not is_alive(f"elsewhere:{os.getppid()}")
    assert not is_alive("nothing")
    assert not is_alive(f"{machine}:{10**30}")
