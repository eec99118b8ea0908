"""Makes small weights bundles, valid and invalid, for tests: a graph of constants replaces the network."""

import base64
import hashlib
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from bentos.skin.findings import SEVERITIES, WRINKLE_ZONES
from bentos.skin.model.bundle import MANIFEST, METRICS, MODEL
from bentos.skin.model.output_checks import OUTPUT_SHAPES

BRIGHTNESS = 1e-5  # of density per grey level of the crop's mean


def answers() -> dict[str, NDArray[np.float32]]:
    """The outputs for every crop: two lesions, one of them sure, twelve in all, moderate."""
    outputs: dict[str, NDArray[np.float32]] = {
        name: np.zeros(shape, np.float32) for name, shape in OUTPUT_SHAPES.items()
    }
    outputs["heat"][40, 60], outputs["heat"][80, 30] = 0.9, 0.3
    outputs["size"][:] = 20.0
    outputs["offset"][:] = 0.5
    outputs["density"] = np.array(12.0, np.float32)
    outputs["severity"][:] = [0.1, 0.7, 0.1, 0.1]
    outputs["count_distribution"][12] = 1.0
    outputs["wrinkles"][:] = [0.9, 0.5, 0.1, 0.5]
    outputs["wrinkle_maps"][10, 20] = [0.8, 0.1, 0.1, 0.1]
    return outputs


def network(outputs: dict[str, NDArray[np.float32]], brightness: float = BRIGHTNESS) -> bytes:
    """An ONNX graph that answers constants in the batch's size; the density alone depends, a little, on the crop."""
    nodes, constants, results = [], [], []
    constants.append(numpy_helper.from_array(np.array([0], np.int64), "first"))
    constants.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    nodes.append(helper.make_node("Shape", ["crops"], ["shape"]))
    nodes.append(helper.make_node("Gather", ["shape", "first"], ["batch"]))
    for name, value in outputs.items():
        constants.append(numpy_helper.from_array(value[np.newaxis], f"{name}_value"))
        dims = numpy_helper.from_array(np.array(value.shape, np.int64), f"{name}_dims")
        constants.append(dims)
        nodes.append(helper.make_node("Concat", ["batch", f"{name}_dims"], [f"{name}_shape"], axis=0))
        target = f"{name}_same" if name == "density" else name
        nodes.append(helper.make_node("Expand", [f"{name}_value", f"{name}_shape"], [target]))
        results.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *value.shape]))
    # A sound network never says the same of two crops: the mean of the pixels, times a little, is added.
    constants.append(numpy_helper.from_array(np.array(brightness, np.float32), "little"))
    nodes.append(helper.make_node("Cast", ["crops"], ["bright"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("ReduceMean", ["bright"], ["mean"], axes=[1, 2, 3], keepdims=0))
    nodes.append(helper.make_node("Mul", ["mean", "little"], ["added"]))
    nodes.append(helper.make_node("Add", ["density_same", "added"], ["density"]))
    crops = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["batch", 512, 512, 3])
    graph = helper.make_graph(nodes, "constant", [crops], results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def stranger() -> bytes:
    """A sound ONNX graph that is another network: it takes `x` and gives it back."""
    taken, given = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "stranger", [taken], [given])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def png(colour: tuple[int, int, int]) -> str:
    """A self-test's picture, all of one colour."""
    buffer = BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def content(outputs: dict[str, NDArray[np.float32]] | None = None) -> dict[str, Any]:
    """A manifest without its files."""
    outputs = answers() if outputs is None else outputs
    return {
        "format_version": 1,
        "name": "face-skin",
        "version": "1.0.0",
        "license": "none",
        "notice": "a stand-in",
        "created": "2026-01-01",
        "files": {},
        "input": {"name": "crops", "layout": "NHWC", "dtype": "uint8", "size": 512},
        "outputs": list(OUTPUT_SHAPES),
        "classes": {"severity": list(SEVERITIES[1:]), "wrinkles": list(WRINKLE_ZONES)},
        "calibration": {
            "lesions": {
                "score_min": 0.1,
                "min_confidence": 0.3,
                "boxes_max": 100,
                "overlap_max": 0.45,
                "confidence": {"score": [0.2, 0.8], "right": [0.25, 0.75]},
            },
            "count": {"weights": [0.5, 0.5], "bias": 0.0, "clear_below": 1.0},
            "severity": {
                "weights": [[0.0, 1.0]] * 3,
                "bias": [0.0] * 3,
                "strength": 1.0,
            },
            "wrinkles": {zone: {"slope": 1.0, "bias": 0.0} for zone in WRINKLE_ZONES},
        },
        "self_test": {
            "png": png((180, 140, 120)),
            "expected": {name: np.ravel(outputs[name]).tolist() for name in ("density", "severity", "wrinkles")},
            "tolerance": 0.01,
        },
    }


def write(
    folder: Path,
    outputs: dict[str, NDArray[np.float32]] | None = None,
    manifest: dict[str, Any] | None = None,
    metrics: bytes = b'{"made": "up"}',
) -> Path:
    """A whole bundle in a folder; `manifest` is used as it is but for its files."""
    outputs = answers() if outputs is None else outputs
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(network(outputs))
    (folder / METRICS).write_bytes(metrics)
    manifest = content(outputs) if manifest is None else manifest
    manifest["files"] = {name: entry(folder / name) for name in (MODEL, METRICS)}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def entry(path: Path) -> dict[str, Any]:
    """Size and sha256 of a file."""
    data = path.read_bytes()
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
