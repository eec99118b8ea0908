"""`shine doctor`: each thing that can be wrong is found, with its repair."""

import functools
import json
import os
import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from bentos.cli import doctor
from bentos.skin import cgroup
from bentos.skin.photo import face_reader, landmarks
from tests.cli.conftest import Shine
from tests.cli.test_weights import bucket as bucket
from tests.cli.test_weights import bundle
from tests.server import free_port


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this process, a port that is free, a cache of its own."""
    for name in [name for name in os.environ if name.startswith("SHINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SHINE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def examined(shine: Shine, monkeypatch: pytest.MonkeyPatch) -> "Examined":
    return Examined(shine, monkeypatch)


class Examined:
    """What the doctor says in an environment."""

    def __init__(self, shine: Shine, monkeypatch: pytest.MonkeyPatch) -> None:
        self._shine, self._patch = shine, monkeypatch
        monkeypatch.setattr(doctor, "face_mesh", lambda: doctor.Check("faces", True, ""))  # slow, has its own test

    def wrong(self, **env: str) -> dict[str, str]:
        """What is wrong, by name: sentence and repair."""
        for name, value in {"PORT": str(free_port()), **env}.items():
            self._patch.setenv(name, value)
        ended = self._shine("doctor", "--json")
        content = json.loads(ended.out)
        wrong = [check for check in content["checks"] if not check["ok"]]
        assert content["ok"] == (not wrong)
        assert ended.code == (2 if wrong else 0)
        assert all(check["repair"] for check in wrong)
        return {check["name"]: f"{check['sentence']} {check['repair']}" for check in wrong}


def test_where_all_is_right_each_line_is_ok(shine: Shine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", str(free_port()))
    ended = shine("doctor")
    assert ended.code == 0, ended.out
    names = [line.split()[:2] for line in ended.out.splitlines()]
    looked = ["settings", "python", "cpus", "memory", "port", "engine", "faces", "cache", "weights"]
    assert names == [["ok", name] for name in looked]


def test_each_wrong_setting_is_named_and_the_rest_is_looked_at_all_the_same(
    shine: Shine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SHINE_PHSE": "full",
        "SHINE_QUALITY": "bad",
        "SHINE_WEIGHTS_URI": "gs://x",
        "PORT": "0",
    }.items():
        monkeypatch.setenv(name, value)
    ended = shine("doctor")
    assert ended.code == 2
    wrong = [line for line in ended.out.splitlines() if line.startswith("WRONG")]
    assert "did you mean SHINE_PHASE?" in wrong[0]
    assert "SHINE_QUALITY is 'bad'" in wrong[1]
    assert "SHINE_WEIGHTS_URI is 'gs://x'" in wrong[2]
    assert "PORT is '0', no number from 1 to 65535" in wrong[3]
    assert ended.out.count("→") == len(wrong) == 4


def test_a_port_of_another_program_is_wrong(examined: Examined) -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        doctor_s, doctor.ANSWER_S = doctor.ANSWER_S, 0.2
        try:
            wrong = examined.wrong(PORT=str(other.getsockname()[1]))
        finally:
            doctor.ANSWER_S = doctor_s
    assert list(wrong) == ["port"]
    assert "address already in use Stop what listens there" in wrong["port"]


def test_too_little_memory_and_another_python_are_wrong(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "memory", lambda: cgroup.Memory(used=100 << 20, limit=512 << 20))
    monkeypatch.setattr(doctor, "PYTHON", (3, 99))
    wrong = examined.wrong()
    assert list(wrong) == ["python", "memory"]
    assert "3.99 is needed" in wrong["python"]
    assert wrong["memory"].startswith("412 MiB are free within the limit of 512 MiB; the service needs up to 1,088")


def test_without_a_limit_the_machine_s_memory_counts(
    examined: Examined, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9999999 kB\nMemAvailable:  204800 kB\n")
    monkeypatch.setattr(cgroup, "memory", lambda: None)
    monkeypatch.setattr(doctor, "MEMORY", tmp_path / "meminfo")
    assert examined.wrong()["memory"].startswith("200 MiB are free; ")


def test_a_cache_that_cannot_be_used_is_wrong(
    examined: Examined, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert "is a file, not a folder" in examined.wrong(SHINE_CACHE_DIR=str(tmp_path / "file"))["cache"]
    assert "cannot be written" in examined.wrong(SHINE_CACHE_DIR="/proc/shine")["cache"]
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9 << 30, 9 << 30, 9 << 20))
    assert "with 9 MiB free" in examined.wrong(SHINE_CACHE_DIR=str(tmp_path))["cache"]


def test_the_cache_of_another_user_is_wrong(
    examined: Examined, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "belongs to another user" in examined.wrong(SHINE_CACHE_DIR=str(tmp_path))["cache"]


def test_weights_that_are_missing_or_damaged_are_wrong(examined: Examined, tmp_path: Path) -> None:
    wrong = examined.wrong(SHINE_WEIGHTS_URI=str(tmp_path / "nowhere"))
    assert "weights_missing" in wrong["weights"]
    damaged = bundle(tmp_path)
    (damaged / "model.onnx").write_bytes(b"")
    assert "weights_corrupt" in examined.wrong(SHINE_WEIGHTS_URI=str(damaged))["weights"]
    assert examined.wrong(SHINE_PHASE="simple") == {}


def test_weights_in_s3_are_looked_at(
    examined: Examined, shine: Shine, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = examined.wrong(SHINE_WEIGHTS_URI=bucket)
    assert list(wrong) == ["s3", "weights"]
    assert f"shine weights publish {bucket}" in wrong["s3"]
    shine("weights", "publish", bucket, "--bundle", bundle(tmp_path))
    assert examined.wrong() == {}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    wrong = examined.wrong()
    assert "NoCredentialsError" in wrong["s3"]
    assert "credentials" in wrong["s3"]


def test_a_face_mesh_that_is_damaged_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mesh.onnx").write_bytes(b"no network")
    damaged = functools.partial(landmarks.FaceMesh, tmp_path / "mesh.onnx")
    monkeypatch.setattr(face_reader, "FaceMesh", damaged)
    check = doctor.face_mesh()
    assert not check.ok
    assert "no landmarks" in check.sentence


def test_what_raises_is_wrong_and_hides_nothing_else(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> doctor.Check:
        raise ImportError("libgomp.so.1 is missing")

    monkeypatch.setattr(doctor, "engine", fails)
    wrong = examined.wrong()
    assert list(wrong) == ["engine"]
    assert "ImportError: libgomp.so.1 is missing" in wrong["engine"]
