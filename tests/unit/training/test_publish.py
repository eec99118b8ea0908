"""Publishing to a real S3 API: versions are complete, one pointer names the live one, nothing is overwritten."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bentos.skin.model.bundle import MANIFEST, METRICS, MODEL
from bentos.skin.model.pointer import CURRENT
from bentos.skin.model.source import source
from bentos.skin.settings import read as settings
from tests.faults.proxy import Fault, Proxy
from tests.s3 import CREDENTIALS, S3, collect_clients
from tests.unit.model import bundles
from training import publish

BUCKET, URI = "weights", "s3://weights/face-skin"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    running = S3()
    yield running
    running.close()


@pytest.fixture
def proxy(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Start a proxy in front of S3; the bucket is empty."""
    s3.clear(BUCKET)
    running = Proxy(s3.url)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": running.url, "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    yield running
    running.close()
    collect_clients()


def bundle(folder: Path, version: str = "1.0.0", **changes: Any) -> Path:
    return bundles.write(folder / version, manifest={**bundles.content(), "version": version, **changes})


def run(*arguments: object) -> str | None:
    """Run the command; returns the message of its refusal, or None."""
    try:
        publish.main([URI, *map(str, arguments)])
    except SystemExit as refusal:
        return str(refusal.code)
    return None


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, bool]:
    """List the versions, by folder without checksum, and whether they are live."""
    capsys.readouterr()
    assert run("--list", "--json") is None
    return {row["folder"].rpartition("-")[0]: row["live"] for row in json.loads(capsys.readouterr().out)}


def writes(proxy: Proxy) -> list[str]:
    return [path.rsplit("/", 1)[1] for method, path, _ in proxy.requests if method == "PUT"]


def test_a_bundle_is_published_manifest_last_then_made_live(
    proxy: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--bundle", bundle(tmp_path)) is None
    assert [name.split("?")[0] for name in writes(proxy)] == [MODEL, METRICS, MANIFEST, CURRENT]
    assert listed(capsys) == {"1.0.0": True}
    here = settings({"SHINE_WEIGHTS_URI": URI, "SHINE_CACHE_DIR": str(tmp_path / "cache")})
    assert source(here).fetch().manifest.version == "1.0.0"


def test_publishing_again_changes_nothing(proxy: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = bundle(tmp_path)
    assert run("--bundle", folder) is None
    assert run("--bundle", folder) is None
    assert "is live already" in capsys.readouterr().out
    assert writes(proxy).count(CURRENT) == 1


def test_a_version_goes_live_and_is_rolled_back_in_one_command_each(
    proxy: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert proxy.requests == []
    for version in ("1.0.0", "1.1.0"):
        assert run("--bundle", bundle(tmp_path, version)) is None
    assert listed(capsys) == {"1.0.0": False, "1.1.0": True}
    assert run("--rollback") is None
    assert listed(capsys) == {"1.0.0": True, "1.1.0": False}
    assert "There is no version 9.9.9" in str(run("--rollback", "9.9.9"))


def test_a_dry_run_writes_nothing(proxy: Proxy, tmp_path: Path) -> None:
    assert run("--bundle", bundle(tmp_path), "--dry-run") is None
    assert {method for method, *_ in proxy.requests} <= {"GET", "HEAD"}


def test_a_bundle_that_fails_its_self_test_is_not_uploaded(proxy: Proxy, tmp_path: Path) -> None:
    manifest = bundles.content()
    manifest["self_test"]["expected"]["density"] = [99.0]
    assert "density differs" in str(run("--bundle", bundles.write(tmp_path / "bad", manifest=manifest)))
    assert writes(proxy) == []


def test_one_version_is_one_bundle(proxy: Proxy, tmp_path: Path) -> None:
    assert run("--bundle", bundle(tmp_path)) is None
    other = bundle(tmp_path / "other", notice="another")
    assert "raise the version" in str(run("--bundle", other))
    assert writes(proxy).count(CURRENT) == 1


def test_two_publishers_cannot_overwrite_each_other(proxy: Proxy, tmp_path: Path) -> None:
    assert run("--bundle", bundle(tmp_path)) is None
    location = publish.parse_location(URI)
    current, tag = publish.read_current(location)
    assert run("--bundle", bundle(tmp_path, "1.1.0")) is None  # the other publisher was faster
    with pytest.raises(publish.PublishError, match="Another publisher was faster"):
        publish._write_current(location, "1.2.0-0", "1.2.0", "0" * 64, current, tag)
    current, _ = publish.read_current(location)
    assert current is not None
    assert current.version == "1.1.0"
    assert proxy.requests


def test_a_publisher_killed_in_the_middle_leaves_no_complete_version(
    s3: S3, proxy: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bundle(tmp_path)
    proxy.fault = Fault.hang(METRICS)
    worker = threading.Thread(target=run, args=("--bundle", folder))
    worker.start()
    while not any(METRICS in path for _, path, _ in proxy.requests):
        worker.join(0.05)
    proxy.fault = Fault.none()  # the connection is reset, as if the publisher had died
    worker.join()
    assert publish.read_current(publish.parse_location(URI)) == (None, None)
    assert listed(capsys) == {}
    assert run("--bundle", folder) is None
    assert listed(capsys) == {"1.0.0": True}
    assert s3.url


@pytest.mark.parametrize(
    ("fault", "message"), [(Fault.status(403), "allow s3:GetObject"), (Fault.refuse(), "cannot be reached")]
)
def test_a_refusal_of_s3_is_explained(proxy: Proxy, tmp_path: Path, fault: Fault, message: str) -> None:
    proxy.fault = fault
    assert message in str(run("--bundle", bundle(tmp_path)))


def test_a_uri_that_is_not_in_s3_is_refused() -> None:
    with pytest.raises(SystemExit, match="write s3://bucket/prefix"):
        publish.main(["https://bucket/prefix", "--list"])
