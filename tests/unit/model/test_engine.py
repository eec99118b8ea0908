"""The engine runs only networks that match their bundle."""

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bentos.skin.model.bundle import BundleError, read
from bentos.skin.model.engine import OnnxEngine
from tests.unit.model import bundles

CROPS = np.full((3, 512, 512, 3), 127, np.uint8)


def refusal(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        OnnxEngine(read(folder), threads=1)
    return caught.value


def test_an_honest_bundle_answers_for_each_crop_of_a_batch(tmp_path: Path) -> None:
    running = OnnxEngine(read(bundles.write(tmp_path)), threads=1)
    answers = running.predict(list(CROPS))
    assert len(answers) == 3
    first, other = answers[0], answers[2]
    assert (first.lesions, first.count, first.wrinkles) == (other.lesions, other.count, other.wrinkles)
    assert [lesion.box for lesion in first.lesions] == [(232.0, 152.0, 20.0, 20.0), (112.0, 312.0, 20.0, 20.0)]
    assert [lesion.confidence for lesion in first.lesions] == [0.75, pytest.approx(0.3333, abs=1e-3)]
    assert (first.count, first.severity, first.severity_confidence) == (12, "moderate", 0.7)
    assert first.wrinkles == pytest.approx(
        {"forehead": 0.9, "crows_feet": 0.5, "frown": 0.1, "nasolabial": 0.5}, abs=1e-3
    )
    assert first.min_confidence == 0.3
    assert (first.acne_map[40, 60], first.acne_map[0, 0]) == (191, 64)  # the table's confidence of .9 and of 0
    assert (first.wrinkle_map[10, 20], first.wrinkle_map[0, 0]) == (204, 0)
    assert running.info.version == "1.0.0"


def test_a_model_that_is_no_network_is_incompatible(tmp_path: Path) -> None:
    folder = bundles.write(tmp_path)
    (folder / "model.onnx").write_bytes(b"not a network")
    manifest = bundles.content()
    manifest["files"] = {name: bundles.entry(folder / name) for name in ("model.onnx", "metrics.json")}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert refusal(folder).reason == "weights_incompatible"


def test_a_network_that_lacks_an_output_is_incompatible(tmp_path: Path) -> None:
    outputs = bundles.answers()
    manifest = bundles.content()
    del outputs["heat"]
    error = refusal(bundles.write(tmp_path, outputs, manifest))
    assert error.reason == "weights_incompatible"
    assert "heat" in error.message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_answers_nonsense_fails_its_self_test(tmp_path: Path, value: float) -> None:
    outputs = bundles.answers()
    outputs["size"] = np.full_like(outputs["size"], value)
    error = refusal(bundles.write(tmp_path, outputs, bundles.content()))
    assert error.reason == "self_test_failed"
    assert "size is not finite" in error.message


def test_a_network_of_another_shape_fails_its_self_test(tmp_path: Path) -> None:
    outputs = bundles.answers()
    outputs["heat"] = np.zeros((64, 64), np.float32)
    assert refusal(bundles.write(tmp_path, outputs, bundles.content())).reason == "self_test_failed"


def test_a_network_that_answers_otherwise_than_recorded_fails_its_self_test(tmp_path: Path) -> None:
    manifest = bundles.content()
    manifest["self_test"]["expected"]["density"] = [13.0]
    error = refusal(bundles.write(tmp_path, manifest=manifest))
    assert error.reason == "self_test_failed"
    assert "density differs by" in error.message


def png(width: int, height: int) -> str:
    buffer = BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("picture", ["", "?", base64.b64encode(b"no picture").decode(), png(64, 32), png(100, 100)])
def test_a_self_test_without_a_usable_picture_fails(tmp_path: Path, picture: str) -> None:
    manifest: dict[str, Any] = bundles.content()
    manifest["self_test"]["png"] = picture
    assert refusal(bundles.write(tmp_path, manifest=manifest)).reason == "self_test_failed"
