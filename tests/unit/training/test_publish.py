"""Publishing to a real S3 API and to a folder: versions are complete, one pointer names the live one."""

import json
import os
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bentos.skin.model import publish as publishing
from bentos.skin.model.bundle import MANIFEST, METRICS, MODEL
from bentos.skin.model.location import Folder, Prefix, PublishError, parse_location
from bentos.skin.model.pointer import CURRENT
from bentos.skin.model.source import source
from bentos.skin.settings import read as settings
from tests.faults.proxy import Fault, Proxy
from tests.s3 import CREDENTIALS, S3, collect_clients
from tests.unit.model import bundles
from training import publish

ROOT = Path(__file__).resolve().parents[3]
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


def run(*arguments: object, uri: str = URI) -> str | None:
    """Run the command; returns the message of its refusal, or None."""
    try:
        publish.main([uri, *map(str, arguments)])
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
    location = parse_location(URI)
    current, tag = publishing.read_current(location)
    assert run("--bundle", bundle(tmp_path, "1.1.0")) is None  # the other publisher was faster
    with pytest.raises(PublishError, match="Another publisher was faster"):
        publishing._write_current(location, "1.2.0-0", "1.2.0", "0" * 64, current, tag)
    current, _ = publishing.read_current(location)
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
    assert publishing.read_current(parse_location(URI)) == (None, None)
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


# --- without a readable current.json, and in a folder ---------------------------------------------------------------

HARM = {"missing": None, "no JSON": b"{", "of another form": b'{"format_version": 9}', "empty": b""}


class Place:
    """A place that versions are published to."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def run(self, *arguments: object) -> str | None:
        """Run the command; returns the message of its refusal, or None."""
        return run(*arguments, uri=self.uri)

    def harm(self, content: bytes | None) -> None:
        """Replace `current.json`, or remove it."""
        location = parse_location(self.uri)
        if isinstance(location, Folder):
            path = location.path / CURRENT
            path.unlink() if content is None else path.write_bytes(content)
        else:
            assert isinstance(location, Prefix)
            at = {"Bucket": BUCKET, "Key": f"face-skin/{CURRENT}"}
            location.s3.delete_object(**at) if content is None else location.s3.put_object(**at, Body=content)

    def live(self, cache: Path) -> str:
        """The version that a service without a pin loads."""
        result = source(settings({"SHINE_WEIGHTS_URI": self.uri, "SHINE_CACHE_DIR": str(cache)})).fetch()
        return result.manifest.version


@pytest.fixture(params=["S3", "a folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The same place of publishing, in S3 or in a folder."""
    if request.param == "S3":
        request.getfixturevalue("proxy")
        return Place(URI)
    return Place(str(tmp_path / "weights"))


def folders(place: Place, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The published folders by their version."""
    capsys.readouterr()
    assert place.run("--list", "--json") is None
    names = [row["folder"] for row in json.loads(capsys.readouterr().out)]
    return {name.rpartition("-")[0]: name for name in names}


@pytest.mark.parametrize("content", HARM.values(), ids=HARM)
def test_without_a_readable_current_a_version_is_made_live_again(
    content: bytes | None, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in ("1.0.0", "1.1.0"):
        assert place.run("--bundle", bundle(tmp_path, version)) is None
    place.harm(content)
    names = folders(place, capsys)
    assert set(names) == {"1.0.0", "1.1.0"}
    assert place.run("--rollback", names["1.0.0"]) is None
    assert place.live(tmp_path / "cache") == "1.0.0"
    place.harm(content)
    capsys.readouterr()
    assert place.run("--rollback") is None
    output = capsys.readouterr()
    assert "is live. It is the newest of 2: without a readable current.json nobody knows which was live." in output.out
    assert ("It names no live version." in output.err) is (content is not None)
    newest = output.out.partition("-")[0]
    assert place.live(tmp_path / "cache") == newest
    place.harm(content)
    assert place.run("--bundle", bundle(tmp_path, "1.2.0")) is None
    assert place.live(tmp_path / "cache") == "1.2.0"


def test_a_place_serves_what_was_published_rolled_back_and_listed(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = bundle(tmp_path, "1.0.0")
    assert place.run("--bundle", first, "--dry-run") is None
    assert f"would be published to {place.uri} and made live; nothing was written." in capsys.readouterr().out
    assert folders(place, capsys) == {}
    assert "There is no version in" in str(place.run("--rollback"))
    assert place.run("--bundle", first) is None
    assert place.live(tmp_path / "cache") == "1.0.0"
    assert "No version was live before" in str(place.run("--rollback"))
    assert place.run("--bundle", bundle(tmp_path, "1.1.0")) is None
    assert place.run("--bundle", bundle(tmp_path, "1.1.0")) is None
    assert "is live already" in capsys.readouterr().out
    assert place.live(tmp_path / "cache") == "1.1.0"
    assert place.run("--rollback", "--dry-run") is None
    assert place.live(tmp_path / "cache") == "1.1.0"
    assert place.run("--rollback") is None
    assert place.live(tmp_path / "cache") == "1.0.0"
    assert "There is no version ../1.0.0" in str(place.run("--rollback", "../1.0.0"))
    assert "raise the version" in str(place.run("--bundle", bundle(tmp_path / "other", notice="another")))
    assert place.run("--list") is None
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()][-2:].count("live") == 1


def test_two_publishers_to_a_folder_cannot_overwrite_each_other(tmp_path: Path) -> None:
    location = parse_location(str(tmp_path / "weights"))
    place = Place(location.name)
    assert place.run("--bundle", bundle(tmp_path)) is None
    current, tag = publishing.read_current(location)
    assert place.run("--bundle", bundle(tmp_path, "1.1.0")) is None  # the other publisher was faster
    with pytest.raises(PublishError, match="Another publisher was faster"):
        publishing._write_current(location, "1.2.0-0", "1.2.0", "0" * 64, current, tag)
    with pytest.raises(PublishError, match="Another publisher was faster"):
        publishing._write_current(location, "1.2.0-0", "1.2.0", "0" * 64, None, None)


def test_a_publisher_killed_in_a_folder_leaves_nothing_that_hinders_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(str(tmp_path / "weights"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            place.run("--bundle", bundle(tmp_path))
    assert folders(place, capsys) == {}
    assert place.run("--bundle", bundle(tmp_path)) is None
    assert place.live(tmp_path / "cache") == "1.0.0"


def test_a_folder_that_cannot_be_written_and_a_bundle_as_the_place_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refusal = str(Place(str(tmp_path / "file")).run("--bundle", bundle(tmp_path)))
    assert refusal == f"{tmp_path / 'file'} cannot be read or written: File exists."
    refusal = str(Place(str(bundle(tmp_path))).run("--list"))
    assert "is a bundle itself; name the folder that holds the versions." in refusal


def test_a_broken_manifest_is_not_made_live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(str(tmp_path / "weights"))
    for version in ("1.0.0", "1.1.0"):
        assert place.run("--bundle", bundle(tmp_path, version)) is None
    (tmp_path / "weights" / folders(place, capsys)["1.0.0"] / MANIFEST).write_text("{}")
    assert "manifest.json is no JSON object with a format_version" in str(place.run("--rollback"))
    assert place.live(tmp_path / "cache") == "1.1.0"


COMMANDS = re.findall(r"^make publish (.*)$", (ROOT / "docs" / "weights.md").read_text(), re.MULTILINE)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("arguments", [*COMMANDS, ""])
def test_make_publish_runs_the_commands_of_the_page(arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(arguments)
    answer = subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", "setup", "publish", *words],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    command = answer.stdout.splitlines()[-1]
    assert command.split()[1:3] == ["-m", "training.publish"]
    given: dict[str, str] = dict(word.split("=", 1) for word in words)  # type: ignore[misc]
    expected = [given.get("TO", ""), *(["--bundle", given["BUNDLE"]] if "BUNDLE" in given else [])]
    expected += given.get("ARGS", "").split()
    assert command.split()[3:] == list(filter(None, expected))
    monkeypatch.setattr(publish, "parse_location", lambda uri, _progress: pytest.fail(uri) if not uri else None)
    for name in ("versions", "rollback", "publish"):
        monkeypatch.setattr(publish, name, lambda *_: [])
    if words:
        publish.main(command.split()[3:])  # the parser takes them


def test_make_publish_without_a_place_is_a_sentence() -> None:
    answer = subprocess.run(
        ["make", "--no-print-directory", "-o", "setup", "publish"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert answer.stdout.startswith("name the place: make publish TO=s3://bucket/prefix")


def test_a_uri_that_is_not_in_s3_is_refused() -> None:
    with pytest.raises(SystemExit, match="write s3://bucket/prefix"):
        publish.main(["https://bucket/prefix", "--list"])
