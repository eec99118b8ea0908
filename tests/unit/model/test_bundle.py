"""Bundles are read strictly: an invalid one gives a sentence with a reason code, never a loaded model."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bentos.skin.model.bundle import MANIFEST, METRICS, MODEL, BundleError, read
from tests.unit.model import bundles


def refusal(folder: Path, pin: str | None = None) -> BundleError:
    with pytest.raises(BundleError) as caught:
        read(folder, pin)
    return caught.value


def test_an_honest_bundle_is_read_with_its_digest_and_figures(tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle")
    bundle = read(folder)
    assert bundle.sha256 == hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    assert bundle.metrics == {"made": "up"}
    assert bundle.manifest.version == "1.0.0"
    assert read(folder, bundle.sha256).sha256 == bundle.sha256


def test_another_manifest_than_the_pinned_one_is_corrupt(tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle")
    error = refusal(folder, "0" * 64)
    assert error.reason == "weights_corrupt"
    assert "the pin is 0000" in error.message


@pytest.mark.parametrize("what", ["folder", MANIFEST])
def test_nothing_there_is_missing(tmp_path: Path, what: str) -> None:
    folder = bundles.write(tmp_path / "bundle")
    if what == "folder":
        folder = tmp_path / "elsewhere"
    else:
        (folder / what).unlink()
    assert refusal(folder).reason == "weights_missing"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", [MODEL, METRICS])
@pytest.mark.parametrize(
    "harm", [flip, link, pipe, folder_instead, Path.unlink, lambda path: path.write_bytes(path.read_bytes() + b"\n")]
)
def test_a_file_that_is_not_what_the_manifest_says_is_corrupt(
    tmp_path: Path, name: str, harm: Callable[[Path], object]
) -> None:
    folder = bundles.write(tmp_path / "bundle")
    harm(folder / name)
    error = refusal(folder)
    assert error.reason == "weights_corrupt"
    assert name in error.message


@pytest.mark.parametrize("harm", [link, pipe, folder_instead])
def test_a_manifest_that_is_no_plain_file_is_corrupt(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    folder = bundles.write(tmp_path / "bundle")
    harm(folder / MANIFEST)
    assert refusal(folder).reason == "weights_corrupt"


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"{}", b"[" * 100_000, b"\xff\xfe", b'{"format_version": 1}', b" " * (2 << 20)]
)
def test_a_manifest_that_is_none_is_corrupt(tmp_path: Path, text: bytes) -> None:
    folder = bundles.write(tmp_path / "bundle")
    (folder / MANIFEST).write_bytes(text)
    assert refusal(folder).reason == "weights_corrupt"


def changed(**values: Any) -> dict[str, Any]:
    return {**bundles.content(), **values}


@pytest.mark.parametrize(
    ("manifest", "reason", "words"),
    [
        (changed(format_version=2), "weights_incompatible", "format 2"),
        (changed(versoin="1.0.0"), "weights_corrupt", "versoin"),
        (changed(version="1"), "weights_corrupt", "version"),
        (changed(classes={"severity": ["a"], "wrinkles": []}), "weights_incompatible", "classes"),
        (
            changed(input={"name": "crops", "layout": "NHWC", "dtype": "uint8", "size": 256}),
            "weights_incompatible",
            "256 px",
        ),
        (changed(calibration={}), "weights_corrupt", "calibration"),
    ],
)
def test_a_manifest_that_says_what_cannot_be_is_refused_by_a_sentence(
    tmp_path: Path, manifest: dict[str, Any], reason: str, words: str
) -> None:
    folder = bundles.write(tmp_path / "bundle", manifest=manifest)
    error = refusal(folder)
    assert (error.reason, words in error.message) == (reason, True)


LIMITS = b'{"repeatability": {"acne": 8, "count": 6, "wrinkles": %s}}'


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"{", b"[]", b"null", b"3", b'"text"', b"\xff\xfe", b"[" * 100_000),
        *(b'{"a": NaN}', b'{"a": [-Infinity]}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b'{"\\ud800": 1}'),
        *(b'{"a": ' * 40 + b"1" + b"}" * 40, b'{"a": "' + b" " * (1 << 20) + b'"}', b'{"a": ' + b"9" * 5000 + b"}"),
        *(b'{"repeatability": 3}', b'{"repeatability": [8, 6, 19]}', b'{"repeatability": {}}'),
        *(LIMITS % value for value in (b"-1", b"1.5", b'"19"', b"true", b"null", b"1001")),
    ],
)
def test_figures_that_cannot_be_told_are_corrupt(tmp_path: Path, text: bytes) -> None:
    error = refusal(bundles.write(tmp_path / "bundle", metrics=text))
    assert error.reason == "weights_corrupt"
    assert METRICS in error.message


@pytest.mark.parametrize(
    "text", [b"{}", b'{"repeatability": null}', LIMITS % b"19", b'{"a": {"b": [1e-9, "\\u00e9"]}}']
)
def test_figures_need_no_limits_of_repeatability(tmp_path: Path, text: bytes) -> None:
    assert read(bundles.write(tmp_path / "bundle", metrics=text)).metrics == json.loads(text)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "extra.bin"])
def test_a_manifest_that_lists_other_files_is_corrupt(tmp_path: Path, name: str) -> None:
    folder = bundles.write(tmp_path / "bundle")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = manifest["files"][MODEL]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert refusal(folder).reason == "weights_corrupt"
