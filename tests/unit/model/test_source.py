"""Weights from folders and from a real S3 API: pinned, cached, resumed, and refused by a sentence."""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bentos.skin.model.bundle import MANIFEST, METRICS, MODEL, BundleError
from bentos.skin.model.pointer import CURRENT, version_folder
from bentos.skin.model.source import Source, source
from bentos.skin.settings import read as settings
from tests.faults.proxy import Fault, Proxy
from tests.s3 import CREDENTIALS, S3, collect_clients
from tests.unit.model import bundles

BUCKET, PREFIX = "weights", "face-skin"
URI = f"s3://{BUCKET}/{PREFIX}"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    running = S3()
    yield running
    running.close()


@pytest.fixture
def proxy(s3: S3, retry_delays: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:  # noqa: ARG001
    """The way there; the bucket is empty."""
    s3.clear(BUCKET)
    between = Proxy(s3.url)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": between.url, "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    yield between
    between.close()
    collect_clients()


def bundle(folder: Path, version: str = "1.0.0") -> Path:
    return bundles.write(folder / version, manifest={**bundles.content(), "version": version})


def sha256(folder: Path) -> str:
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def of(tmp_path: Path, uri: str = URI, pin: str | None = None, counted: list[int] | None = None) -> Source:
    named = {"SHINE_WEIGHTS_URI": uri, "SHINE_CACHE_DIR": str(tmp_path / "cache")}
    pinned = {} if pin is None else {"SHINE_WEIGHTS_SHA256": pin}
    return source(settings({**named, **pinned}), (counted if counted is not None else []).append)


def refusal(of: Source) -> BundleError:
    with pytest.raises(BundleError) as caught:
        of.fetch()
    return caught.value


def gets(proxy: Proxy, name: str) -> list[str | None]:
    """The Range of each request for a file."""
    return [ranged for method, path, ranged in proxy.requests if method == "GET" and path.endswith(name)]


# --- folders ----------------------------------------------------------------------------------------------------


def test_a_folder_is_loaded_and_its_pin_is_heeded(tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    assert of(tmp_path, str(folder), sha256(folder)).fetch().manifest.version == "1.0.0"
    error = refusal(of(tmp_path, str(folder), "0" * 64))
    assert (error.reason, "the pin is" in error.message) == ("weights_corrupt", True)


def test_embedded_weights_never_stand_in_for_a_folder_that_was_named(tmp_path: Path) -> None:
    assert refusal(of(tmp_path, str(tmp_path / "nothing"))).reason == "weights_missing"


@pytest.mark.parametrize("uri", ["ftp://weights/face-skin", "https://weights/face-skin", "s3://"])
def test_what_is_not_supported_is_said(tmp_path: Path, uri: str) -> None:
    with pytest.raises(BundleError, match="name a folder or s3://") as caught:
        of(tmp_path, uri)
    assert caught.value.reason == "weights_unreachable"


@pytest.mark.parametrize("phase", ["foundation", "full"])
def test_a_late_phase_without_a_uri_takes_the_embedded_weights_and_says_so(phase: str) -> None:
    plain, late = source(settings({})), source(settings({"SHINE_PHASE": phase}))
    assert (plain.name, plain.note) == ("embedded", None)
    assert late.note is not None
    assert late.fetch().manifest.name == "face-skin"
    assert "SHINE_WEIGHTS_URI is not set" in late.note


def test_a_folder_with_a_pointer_follows_it(tmp_path: Path) -> None:
    place = tmp_path / "place"
    for version in ("1.0.0", "1.1.0"):
        made = bundle(tmp_path, version)
        place.mkdir(exist_ok=True)
        made.rename(place / version_folder(version, sha256(made)))
    folders = sorted(path.name for path in place.iterdir())
    pointed = {"format_version": 1, "folder": folders[0], "version": "1.0.0", "sha256": sha256(place / folders[0])}
    (place / CURRENT).write_text(json.dumps(pointed))
    assert of(tmp_path, str(place)).fetch().manifest.version == "1.0.0"
    assert of(tmp_path, str(place)).newest() == pointed["sha256"]
    assert of(tmp_path, str(place), sha256(place / folders[1])).fetch().manifest.version == "1.1.0"
    assert refusal(of(tmp_path, str(place), "0" * 64)).reason == "weights_missing"


@pytest.mark.parametrize("folder", ["..", "../elsewhere", "/etc", "", "a/b", ".", "x" * 200])
def test_a_pointer_leads_nowhere_but_beside_it(tmp_path: Path, folder: str) -> None:
    pointed = {"format_version": 1, "folder": folder, "version": "1.0.0", "sha256": "0" * 64}
    (tmp_path / CURRENT).write_text(json.dumps(pointed))
    error = refusal(of(tmp_path, str(tmp_path)))
    assert error.reason == "weights_corrupt"
    assert CURRENT in error.message


def test_links_pipes_devices_and_giants_are_refused_by_a_sentence(tmp_path: Path) -> None:
    harm: dict[str, Callable[[Path], object]] = {
        "link": lambda path: path.symlink_to("/etc/hostname"),
        "pipe": os.mkfifo,
        "folder": Path.mkdir,
        "device": lambda path: os.mknod(path, 0o20600, os.makedev(1, 5)),
        "giant": lambda path: path.write_bytes(b" " * 2_000_000),
    }
    for name, hurt in harm.items():
        folder = bundles.write(tmp_path / name)
        (folder / MANIFEST).unlink()
        hurt(folder / MANIFEST)
        error = refusal(of(tmp_path, str(folder)))
        assert error.reason == "weights_corrupt", name
        assert "not a plain file" in error.message or "are the most" in error.message, name
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "out").symlink_to(bundle(tmp_path))
    pointed = {"format_version": 1, "folder": "out", "version": "1.0.0", "sha256": "0" * 64}
    (tmp_path / "place" / CURRENT).write_text(json.dumps(pointed))
    assert "is a link" in refusal(of(tmp_path, str(tmp_path / "place"))).message


# --- S3 ---------------------------------------------------------------------------------------------------------


def test_a_bundle_is_fetched_small_files_first_and_counted(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    folder, counted = bundle(tmp_path), list[int]()
    s3.put_bundle(BUCKET, PREFIX, folder)
    fetched = of(tmp_path, counted=counted).fetch()
    assert fetched.sha256 == sha256(folder)
    assert (fetched.folder / MODEL).read_bytes() == (folder / MODEL).read_bytes()
    paths = [path.rsplit("/", 1)[1] for _, path, _ in proxy.requests]
    assert paths == [CURRENT, MANIFEST, METRICS, MODEL]
    assert sum(counted) == sum((folder / name).stat().st_size for name in (MANIFEST, METRICS, MODEL))
    assert not list((tmp_path / "cache" / "weights").glob("*.part"))
    assert (tmp_path / "cache" / "weights").stat().st_mode & 0o077 == 0


def test_a_cached_version_costs_only_the_manifest_and_a_pinned_one_nothing(
    s3: S3, proxy: Proxy, tmp_path: Path
) -> None:
    folder = bundle(tmp_path)
    s3.put_bundle(BUCKET, PREFIX, folder)
    of(tmp_path).fetch()
    proxy.requests.clear()
    of(tmp_path).fetch()
    assert not gets(proxy, MODEL)
    proxy.requests.clear()
    assert of(tmp_path, pin=sha256(folder)).fetch().sha256 == sha256(folder)
    assert proxy.requests == []


def test_a_cut_transfer_goes_on_where_it_was(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    s3.put_bundle(BUCKET, PREFIX, bundle(tmp_path))
    proxy.fault = Fault.cut(100_000, MODEL)
    assert of(tmp_path).fetch().manifest.version == "1.0.0"
    first, second = gets(proxy, MODEL)
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 100_000


def test_an_object_replaced_in_between_is_begun_anew_and_never_mixed(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    s3.put_bundle(BUCKET, PREFIX, folder)
    proxy.fault = Fault.cut(40_000, MODEL, times=None)
    assert refusal(of(tmp_path)).reason == "weights_unreachable"  # each time cut, until it gave up; the part is kept
    data = (folder / MODEL).read_bytes()
    s3.client().put_object(Bucket=BUCKET, Key=f"{PREFIX}/{MODEL}", Body=data[:-1] + b"!")
    proxy.fault = Fault.none()
    assert refusal(of(tmp_path)).reason == "weights_corrupt"
    s3.put_bundle(BUCKET, PREFIX, folder)
    assert (of(tmp_path).fetch().folder / MODEL).read_bytes() == data


def test_a_flipped_bit_in_the_cache_is_found_and_fetched_again(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    s3.put_bundle(BUCKET, PREFIX, folder)
    cached = of(tmp_path).fetch().folder / MODEL
    data = bytearray(cached.read_bytes())
    data[1000] ^= 1
    cached.write_bytes(data)
    proxy.requests.clear()
    assert (of(tmp_path).fetch().folder / MODEL).read_bytes() == (folder / MODEL).read_bytes()
    assert len(gets(proxy, MODEL)) == 1


def test_offline_the_cached_version_is_used_and_that_is_said(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    s3.put_bundle(BUCKET, PREFIX, bundle(tmp_path))
    assert refusal_free(of(tmp_path)) is None
    proxy.fault = Fault.refuse()
    offline = of(tmp_path)
    assert offline.fetch().manifest.version == "1.0.0"
    assert offline.note is not None
    assert offline.note.startswith("Offline")
    other = of(tmp_path, URI + "-other")
    assert refusal(other).reason == "weights_unreachable"  # another source's weights do not stand in


def refusal_free(of: Source) -> str | None:
    """The note of a fetch that went well."""
    of.fetch()
    return of.note


@pytest.mark.parametrize(
    ("fault", "reason", "said"),
    [
        (Fault.refuse(), "weights_unreachable", "cannot be reached"),
        (Fault.status(403), "weights_unreachable", "allow s3:GetObject on arn:aws:s3:::weights/face-skin/*"),
        (Fault.status(500), "weights_unreachable", "InternalError"),
        (Fault.status(503), "weights_unreachable", "SlowDown"),
        (Fault.redirect(), "weights_unreachable", ""),
        (Fault.wrong(MODEL), "weights_corrupt", "sha256"),
        (Fault.status(404, MODEL), "weights_corrupt", "is missing"),
        (Fault.status(404, MANIFEST), "weights_missing", "There is no manifest.json"),
    ],
    ids=lambda value: value.kind + str(value.value) if isinstance(value, Fault) else None,
)
def test_what_s3_does_wrong_is_said_with_its_reason(
    s3: S3, proxy: Proxy, tmp_path: Path, fault: Fault, reason: str, said: str
) -> None:
    s3.put_bundle(BUCKET, PREFIX, bundle(tmp_path))
    proxy.fault = fault
    error = refusal(of(tmp_path))
    assert error.reason == reason, error.message
    assert said in error.message
    proxy.fault = Fault.none()
    assert of(tmp_path).fetch().manifest.version == "1.0.0"


def test_no_bucket_and_no_credentials_are_different_sentences(
    s3: S3, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert proxy.requests == []
    s3.remove(BUCKET)
    assert "There is no bucket weights" in refusal(of(tmp_path)).message
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert "NoCredentialsError" in refusal(of(tmp_path)).message


def test_a_pointer_in_s3_is_followed_and_a_pin_finds_its_own_folder(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    assert proxy.requests == []
    shas = {}
    for version in ("1.0.0", "1.1.0"):
        folder = bundle(tmp_path, version)
        shas[version] = sha256(folder)
        s3.put_bundle(BUCKET, f"{PREFIX}/{version_folder(version, shas[version])}", folder)
    live = {"format_version": 1, "folder": version_folder("1.1.0", shas["1.1.0"]), "version": "1.1.0"}
    s3.client().put_object(
        Bucket=BUCKET, Key=f"{PREFIX}/{CURRENT}", Body=json.dumps({**live, "sha256": shas["1.1.0"]}).encode()
    )
    assert of(tmp_path).fetch().manifest.version == "1.1.0"
    assert of(tmp_path).newest() == shas["1.1.0"]
    assert of(tmp_path, pin=shas["1.0.0"]).fetch().manifest.version == "1.0.0"
    assert refusal(of(tmp_path, pin="0" * 64)).reason == "weights_missing"


def test_an_object_larger_than_the_manifest_says_is_not_downloaded(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    folder, counted = bundle(tmp_path), list[int]()
    s3.put_bundle(BUCKET, PREFIX, folder)
    s3.client().put_object(Bucket=BUCKET, Key=f"{PREFIX}/{MODEL}", Body=b"x" * 5_000_000)
    error = refusal(of(tmp_path, counted=counted))
    assert error.reason == "weights_corrupt"
    assert "5,000,000 bytes where the manifest says" in error.message
    assert sum(counted) < 1_000_000
    assert proxy.requests


def test_two_at_once_download_once(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    s3.put_bundle(BUCKET, PREFIX, bundle(tmp_path))
    proxy.fault = Fault.slow(2_000_000, MODEL)
    fetched: list[str] = []
    both = [threading.Thread(target=lambda: fetched.append(of(tmp_path).fetch().sha256)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(set(fetched)) == 1
    assert len(fetched) == 2
    assert len(gets(proxy, MODEL)) == 1


def test_old_versions_go_but_never_the_last_good_one(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    assert proxy.requests == []
    entries = []
    for version in ("1.0.0", "1.1.0", "1.2.0", "1.3.0"):
        s3.put_bundle(BUCKET, PREFIX, bundle(tmp_path, version))
        entries.append(of(tmp_path).fetch().folder)
    assert [entry.exists() for entry in entries] == [False, False, True, True]


def test_a_cache_of_somebody_else_is_refused(s3: S3, proxy: Proxy, tmp_path: Path) -> None:
    s3.put_bundle(BUCKET, PREFIX, bundle(tmp_path))
    (tmp_path / "cache").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache" / "weights").symlink_to(tmp_path / "elsewhere")
    assert "is a link or belongs to another user" in refusal(of(tmp_path)).message
    assert proxy.requests == []
