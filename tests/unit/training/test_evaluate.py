"""The evaluation measures what is served, and writes metrics, card and plots together or not at all."""

import errno
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

pytest.importorskip("cv2")

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.measure import find
from bentos.skin.model.bundle import Manifest, read
from bentos.skin.model.engine import OnnxEngine
from bentos.skin.model.output_checks import OUTPUT_SHAPES
from bentos.skin.model.postprocess import Outputs
from bentos.skin.photo.crop import Crop
from bentos.skin.photo.view import view_of
from tests.drawing import lesions, portrait_crop, portrait_view, redrawn
from tests.unit.model import bundles
from training import bundle, card, evaluate, labels, plots, predictions
from training.distortions import DISTORTIONS
from training.files import replace_files

ROOT = Path(__file__).resolve().parents[3]
SIZE = 128  # px; side of a synthetic photo, each px is four crop pixels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write labelled synthetic photos: red dots on skin, and photos with and without wrinkles in each zone."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("valid", 12)):
        acne = folder / "acne04" / split
        acne.mkdir(parents=True)
        rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
        for number in range(count):
            severity, dots = number % 2, 3 if number % 2 == 0 else 8 + number % 3
            name = f"levle{severity}_{number}_jpg.rf.x.jpg"
            image = skin(rng)
            for x, y in rng.integers(16, SIZE - 24, (dots, 2)).tolist():
                ImageDraw.Draw(image).ellipse((x, y, x + 6, y + 6), (190, 70, 60))
                rows.append(f"{name},{SIZE},{SIZE},acne,{x},{y},{x + 7},{y + 7}")
            image.save(acne / name)
        (acne / "_annotations.csv").write_text("\n".join(rows) + "\n")
    for kind in ("images", "labels"):
        (folder / "wrinkles/valid" / kind).mkdir(parents=True)
    (folder / "wrinkles/classes.txt").write_text("\n".join(labels.WRINKLE_CLASSES) + "\n")
    for number in range(12):
        skin(rng).save(folder / f"wrinkles/valid/images/{number}.jpg")
        lines = [f"{zone} 0.5 0.5 0.25 0.125" for zone in range(4) if (number + zone) % 3]
        (folder / f"wrinkles/valid/labels/{number}.txt").write_text("\n".join(lines) + "\n")
    (folder / "london/faces").mkdir(parents=True)
    rows = ["file,lesions,lesions_min,lesions_max,monk,beard,hair_forehead,split"]
    for number in range(4):
        skin(rng).save(folder / f"london/faces/{number}_03.jpg")
        rows.append(
            f"{number}_03.jpg,{number},{number},{number + 1},{2 * number + 2},0,0,{('fit', 'check')[number % 2]}"
        )
    (folder / "london/labels.csv").write_text("\n".join(rows) + "\n")
    people = [f"{number},30,female,{('white', 'black')[number % 2]}" for number in range(4)]
    (folder / "london/info.csv").write_text("\n".join(["face_id,face_age,face_gender,face_eth", *people]) + "\n")
    return folder


def skin(rng: np.random.Generator) -> Image.Image:
    noise = rng.normal((205, 160, 135), 3, (SIZE, SIZE, 3))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))


class ConstantEngine:
    """An engine with the same outputs for every crop."""

    def run(self, crops: np.ndarray[Any, Any]) -> Outputs:
        return {name: np.repeat(value[None], len(crops), axis=0) for name, value in bundles.answers().items()}


@pytest.fixture(scope="module")
def measured(data: Path) -> tuple[Any, Any, Any]:
    manifest = Manifest.model_validate(bundles.content() | {"files": {"model.onnx": {"size": 1, "sha256": "0" * 64}}})
    predictors = {
        "model": predictions.model_predictor(ConstantEngine(), manifest.calibration),
        "heuristic": predictions.predict_with_heuristics,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "QUICK_DISTORTED", {"acne": 5, "wrinkles": 4})
        photos = evaluate.select_photos(data, quick=True)
    tables, metrics, _ = evaluate.measure(photos, predictors, quick=True, robust=True)
    return tables, metrics, manifest


@pytest.mark.long
def test_both_predictors_are_measured_on_the_same_photos(measured: tuple[Any, Any, Any]) -> None:
    tables, metrics, _ = measured
    for name in ("model", "heuristic"):
        assert metrics[name]["acne"]["photos"] == metrics[name]["wrinkles"]["photos"] == 12
        assert 0 < metrics[name]["acne"]["photos_without_face"] <= 12
        assert metrics[name]["robustness"]["photos"] == {"acne": 5, "wrinkles": 4}
    assert np.array_equal(tables["model"].acne.true_count, tables["heuristic"].acne.true_count)
    assert tables["model"].acne.count.tolist() == [12] * 12
    assert metrics["model"]["acne"]["severity_accuracy"]["value"] == 0.5  # it says moderate of every face
    assert metrics["model"]["wrinkles"]["auc_mean"]["value"] is None  # no zone is seen where there is no face
    assert metrics["model"]["wrinkles"]["unseen_zones"]["value"] == 1.0
    assert metrics["model"]["acne"]["count_mae"]["value"] == pytest.approx(
        np.abs(12 - tables["model"].acne.true_count).mean()
    )
    difference = metrics["model"]["minus_heuristic"]["acne"]["count_mae"]["value"]
    assert difference == pytest.approx(
        metrics["model"]["acne"]["count_mae"]["value"] - metrics["heuristic"]["acne"]["count_mae"]["value"], abs=2e-4
    )
    assert metrics["model"]["london"]["check"]["faces"] == 2
    assert metrics["model"]["london"]["by_ethnicity"]["black"]["faces"] == 2
    json.dumps(metrics, allow_nan=False)


@pytest.mark.long
def test_a_metric_under_distortion_has_its_change(measured: tuple[Any, Any, Any]) -> None:
    robustness = measured[1]["heuristic"]["robustness"]
    for name in DISTORTIONS:
        before, after = (robustness[key]["box_ap_30"]["value"] for key in ("undistorted", name))
        assert robustness[name]["change"]["box_ap_30"]["value"] == pytest.approx(after - before, abs=2e-4)


@pytest.mark.long
def test_the_card_contains_every_metric_of_both_predictors_and_the_terms(measured: tuple[Any, Any, Any]) -> None:
    _, metrics, manifest = measured
    text = card.text(metrics, manifest)
    for label in card.LABELS.values():
        assert label in text
    for word in ("research", "Medical diagnosis", "academic use", "Clear skin", "half the size", "LICENSE.weights"):
        assert word in text
    value = metrics["heuristic"]["acne"]["count_mae"]["value"]
    assert f"{value:.2f} [" in text
    assert "None " not in text.replace("None of", "")
    assert "nan" not in text


@pytest.mark.long
def test_plots_are_the_same_bytes_every_time(measured: tuple[Any, Any, Any]) -> None:
    pytest.importorskip("matplotlib")
    tables, metrics, _ = measured
    files = plots.render(tables, metrics)
    assert {name.partition(".")[0] for name in files} == {
        *("reliability", "count", "precision_recall", "severity", "wrinkles", "robustness")
    }
    assert all(len(content) < 150_000 for content in files.values())
    assert files == plots.render(tables, metrics)


def test_the_measured_heuristics_are_the_served_ones() -> None:
    view = view_of(redrawn(portrait_crop(), lesions, count=14)[0])
    served, expected = predictions.predict_with_heuristics(view).served, find(view)
    assert (served.lesions, served.count, served.wrinkles) == (expected.lesions, expected.count, expected.wrinkles)
    boxes, confidence = predictions.boxes_on_skin(view, served)
    assert len(boxes) > (confidence >= served.min_confidence).sum() > 4
    assert (np.diff(confidence) <= 0).all()


def test_the_measured_model_is_the_served_one(tmp_path: Path) -> None:
    weights = read(bundles.write(tmp_path / "bundle"))
    engine = OnnxEngine(weights, threads=1)
    view = portrait_view()
    served = predictions.model_predictor(engine, weights.manifest.calibration)(view).served
    (expected,) = engine.predict([view.crop.pixels])
    assert (served.lesions, served.count, served.wrinkles) == (expected.lesions, expected.count, expected.wrinkles)
    crop = view.crop
    assert set(engine.run(crop.pixels[None])) == set(OUTPUT_SHAPES)


def test_labelled_boxes_cover_the_cells_they_lie_on() -> None:
    pixels = np.zeros((512, 512, 3), np.uint8)
    crop = Crop(pixels, np.array([[2.0, 0, 100], [0, 2.0, 50]]), (0, 0, 512, 512), None)
    cells = predictions.labelled_cells(
        crop, np.array([[100 + 2 * 64, 50 + 2 * 128, 2 * 32, 2 * 8], [-900, 50, 4, 4]]), 64
    )
    assert np.argwhere(cells).tolist() == [[16, 8], [16, 9], [16, 10], [16, 11]]


@pytest.mark.long
def test_the_command_measures_heuristics_alone_into_a_folder(data: Path, tmp_path: Path) -> None:
    before = evaluate.METRICS.read_bytes()
    arguments = [
        "--data",
        str(data),
        "--only",
        "heuristic",
        "--quick",
        "--skip-robustness",
        "--out",
        str(tmp_path / "out"),
    ]
    evaluate.main(arguments)
    written = tmp_path / "out/heuristic.json"
    metrics = json.loads(written.read_text())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["heuristic.json"]
    assert tuple(metrics["wrinkles"]["auc"]) == WRINKLE_ZONES
    assert "robustness" not in metrics
    assert evaluate.METRICS.read_bytes() == before
    first = written.read_bytes()
    evaluate.main(arguments)
    assert written.read_bytes() == first


@pytest.mark.long
def test_the_command_writes_metrics_into_bundle_and_project_and_the_bundle_stays_valid(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundles.write(
        tmp_path / "bundle", metrics=b'{"repeatability": {"acne": 801, "count": 802, "wrinkles": 803}}'
    )
    before = read(folder)
    limits = json.loads(evaluate.METRICS.read_text())["repeatability"]
    (tmp_path / "measure.json").write_text(json.dumps({"repeatability": limits}))
    monkeypatch.setattr(evaluate, "HERE", tmp_path / "training")
    monkeypatch.setattr(evaluate, "METRICS", tmp_path / "measure.json")
    monkeypatch.setattr(evaluate, "QUICK_OUT", None)
    monkeypatch.setattr(plots, "render", lambda *_: {"count.png": b"image"})
    evaluate.main(["--data", str(data), "--bundle", str(folder), "--quick", "--skip-robustness"])
    after = read(folder)
    assert after.sha256 != before.sha256
    assert after.metrics["acne"]["photos"] == 12
    assert "minus_heuristic" in after.metrics
    heuristic = json.loads((tmp_path / "measure.json").read_text())
    assert heuristic["acne"]["photos"] == 12
    assert (after.metrics["repeatability"], heuristic["repeatability"]) == (before.metrics["repeatability"], limits)
    written = [str(path.relative_to(tmp_path / "training")) for path in (tmp_path / "training").rglob("*.*")]
    assert "| count, lesions | 802 |" in (tmp_path / "training" / "MODEL_CARD.md").read_text()
    assert sorted(written) == ["MODEL_CARD.md", "latency.json", "plots/count.png"]
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "metrics.json", "model.onnx"]


def test_files_are_replaced_together_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    (tmp_path / "b.json").mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match=r"b\.json"):
        replace_files({tmp_path / "b.json": b"new", tmp_path / "a.json": b"new"})
    assert (tmp_path / "a.json").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_a_bundle_keeps_its_metrics_and_manifest_when_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundles.write(tmp_path / "bundle")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_bytes = Path.write_bytes

    def full_disk(path: Path, data: bytes) -> int:
        if "manifest" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        bundle.set_metrics(folder, {"acne": {}})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    monkeypatch.undo()
    bundle.set_metrics(folder, {"acne": {}})
    assert read(folder).metrics == {"acne": {}}


def test_a_missing_bundle_and_broken_annotations_are_explained(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no weights bundle .*--bundle"):
        evaluate.main(["--data", str(data), "--bundle", str(tmp_path / "none"), "--quick"])
    for name in ("acne04/valid", "acne04/train", "wrinkles/valid/images", "wrinkles/valid/labels", "london"):
        (tmp_path / "data" / name).mkdir(parents=True)
    with pytest.raises(SystemExit, match="cannot be measured"):
        evaluate.main(["--data", str(tmp_path / "data"), "--only", "heuristic", "--quick"])


def test_the_shipped_metrics_reach_the_goals() -> None:
    metrics = json.loads(evaluate.METRICS.read_text())
    acne, wrinkles = metrics["acne"], metrics["wrinkles"]
    assert acne["count_spearman"]["low"] > 0.5
    assert acne["count_mae"]["high"] < acne["count_mae_of_train_median"]["low"]
    assert acne["severity_accuracy"]["low"] > acne["severity_accuracy_of_majority"]["high"]
    assert wrinkles["auc_mean"]["low"] > 0.7
    assert tuple(wrinkles["auc"]) == WRINKLE_ZONES
    assert wrinkles["unseen_zones"]["value"] <= 0.15
    assert acne["box_precision_30"]["value"] >= 0.46
    check = metrics["london"]["check"]
    assert check["count_within"] >= 0.75
    assert check["clear"] - check["called_clear"] <= 1
    assert check["called_spotted"] >= 0.8 * check["spotted"]


@pytest.mark.parametrize("script", ["training.evaluate", "training.tune"])
def test_help_shows_the_commands_and_a_missing_folder_is_named(script: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", script]
    help_text = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"python -m {script}" in help_text
    refused = subprocess.run([*command, "--data", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 2
    assert str(tmp_path) in refused.stderr
    assert "--data" in refused.stderr


@pytest.mark.parametrize(
    "script", ["bundle", "data", "evaluate", "export", "network", "preview", "publish", "train", "tune"]
)
def test_every_script_shows_its_purpose_and_its_commands(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    module = importlib.import_module(f"training.{script}")
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit, match="0"):
        module.main()
    help_text = capsys.readouterr().out
    assert str(module.__doc__).splitlines()[0] in help_text
    assert f"python -m training.{script}" in help_text
