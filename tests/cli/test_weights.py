"""`shine weights` and `shine status`: checks, versions, going back, and what each refusal exits with."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bentos.skin.model.bundle import MANIFEST, MODEL
from bentos.skin.model.engine import EMBEDDED
from tests.cli.conftest import Shine
from tests.s3 import CREDENTIALS, S3, collect_clients
from tests.unit.model import bundles


def bundle(folder: Path, version: str = "1.0.0", **changes: Any) -> Path:
    return bundles.write(folder / version, manifest={**bundles.content(), "version": version, **changes})


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place in S3 without versions."""
    running = S3()
    running.clear("weights")
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": running.url, "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    yield "s3://weights/face-skin"
    running.close()
    collect_clients()


def test_versions_are_published_listed_and_rolled_back(shine: Shine, tmp_path: Path) -> None:
    place = tmp_path / "weights"
    place.mkdir()
    assert "There is no version in" in shine("weights", "list", place).out
    for version in ("1.0.0", "1.1.0"):
        assert shine("weights", "publish", place, "--bundle", bundle(tmp_path, version)).code == 0
    ended = shine("weights", "rollback", place, "--dry-run")
    assert (ended.code, ended.out.startswith("1.0.0-"), "nothing was written" in ended.out) == (0, True, True)
    assert re.match(r"1\.0\.0-\w+ is live instead of 1\.1\.0-\w+\.$", shine("weights", "rollback", place).out)
    rows = json.loads(shine("weights", "list", place, "--json").out)
    assert {row["folder"].split("-")[0]: row["live"] for row in rows} == {"1.0.0": True, "1.1.0": False}
    assert [line.split()[0] for line in shine("weights", "list", place).out.splitlines()].count("live") == 1
    assert shine("weights", "rollback", place, rows[1]["folder"]).code == 0
    assert shine("weights", "check", place).out.splitlines()[2].split() == ["version", "1.1.0"]


def test_the_same_in_s3(shine: Shine, tmp_path: Path, bucket: str) -> None:
    assert shine("weights", "publish", bucket, "--bundle", bundle(tmp_path)).code == 0
    (row,) = json.loads(shine("weights", "list", bucket, "--json").out)
    assert row["live"]
    ended = shine("weights", "list", "s3://nobodys-bucket/x")
    assert (ended.code, ended.out) == (2, "")
    assert "There is no bucket nobodys-bucket" in ended.err


def test_a_version_that_is_there_with_other_bytes_is_3(shine: Shine, tmp_path: Path) -> None:
    place = tmp_path / "weights"
    shine("weights", "publish", place, "--bundle", bundle(tmp_path))
    ended = shine("weights", "publish", place, "--bundle", bundle(tmp_path / "other", notice="another"))
    assert (ended.code, ended.out) == (3, "")
    assert "raise the version" in ended.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["check", "{tmp}/nowhere"], 4, "There is no weights bundle at"),
        (["check", "{tmp}/damaged"], 4, "weights_corrupt"),
        (["check", "gs://x/y"], 4, "name a folder or s3://bucket/prefix"),
        (["check", "--sha256", "abc"], 2, "SHINE_WEIGHTS_SHA256"),
        (["check", "--sha256", "0" * 64], 4, "the pin is 0000"),
        (["publish", "{tmp}/place", "--bundle", "{tmp}/damaged"], 4, "has not the sha256"),
        (["publish", "{tmp}/damaged"], 2, "is a bundle itself"),
        (["publish", "/proc/weights"], 2, "cannot be read or written"),
        (["rollback", "{tmp}/place"], 2, "There is no version in"),
        (["rollback", "{tmp}/place", "9.9.9-0"], 2, "There is no version 9.9.9-0"),
        (["list", "https://bucket/prefix"], 2, "write s3://bucket/prefix or a path"),
        (["list", "{tmp}/nowhere"], 2, "There is no folder"),
        (["lst", "x"], 2, "Did you mean 'list'?"),
        (["list"], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_a_code(
    shine: Shine, tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    damaged = bundle(tmp_path).rename(tmp_path / "damaged")
    model = (damaged / MODEL).read_bytes()
    (damaged / MODEL).write_bytes(model[:-1] + b"x")
    ended = shine("weights", *(word.format(tmp=tmp_path) for word in words))
    assert (ended.code, ended.out) == (code, "")
    assert says in ended.err
    assert not (tmp_path / "place").exists()


def test_checked_weights_are_described(shine: Shine) -> None:
    manifest = json.loads((EMBEDDED / MANIFEST).read_text())
    content = json.loads(shine("weights", "check", "--json").out)
    assert (content["name"], content["version"]) == (manifest["name"], manifest["version"])
    assert content["license"] == manifest["license"]
    assert "self-test are right" in shine("weights", "check").out


def test_the_status_of_this_process(shine: Shine, no_weights: Path) -> None:
    ended = shine("status")
    assert ended.code == 0
    assert dict(line.split(None, 1) for line in ended.out.splitlines())["state"] == "ready"
    ended = shine("status", "--weights", no_weights, "--json")
    assert ended.code == 4
    assert json.loads(ended.out)["status"]["reason"] == "weights_missing"


def test_weights_from_s3_are_kept_in_the_cache_of_the_settings(
    shine: Shine, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shine("weights", "publish", bucket, "--bundle", bundle(tmp_path))
    monkeypatch.setenv("SHINE_CACHE_DIR", str(tmp_path / "cache"))
    assert shine("status", "--weights", bucket).code == 0
    assert len(list((tmp_path / "cache" / "weights").glob("*/manifest.json"))) == 1
