"""The evaluation: what is measured is what is served; figures, card and plots come out whole or not at all."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.measure import measure
from bentos.skin.model.bundle import Manifest, read
from bentos.skin.model.engine import OnnxEngine
from bentos.skin.model.peaks import Outputs
from bentos.skin.model.poison import MAPS
from bentos.skin.photo.crop import Crop
from tests.drawing import lesions, portrait_crop, redrawn
from tests.unit.model import bundles
from training import answers, card, evaluate, labels, plots
from training.distortions import DISTORTIONS

ROOT = Path(__file__).resolve().parents[3]
SIZE = 128  # px; a drawn photo's side, four crop pixels each


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn photos, labelled: red dots on plain skin, and photos with and without each zone's wrinkles."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("valid", 12)):
        acne = folder / "acne04" / split
        acne.mkdir(parents=True)
        rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
        for number in range(count):
            grade, dots = number % 2, 3 if number % 2 == 0 else 8 + number % 3
            name = f"levle{grade}_{number}_jpg.rf.x.jpg"
            picture = skin(rng)
            for x, y in rng.integers(16, SIZE - 24, (dots, 2)).tolist():
                ImageDraw.Draw(picture).ellipse((x, y, x + 6, y + 6), (190, 70, 60))
                rows.append(f"{name},{SIZE},{SIZE},acne,{x},{y},{x + 7},{y + 7}")
            picture.save(acne / name)
        (acne / "_annotations.csv").write_text("\n".join(rows) + "\n")
    for kind in ("images", "labels"):
        (folder / "wrinkles/valid" / kind).mkdir(parents=True)
    (folder / "wrinkles/classes.txt").write_text("\n".join(labels.WRINKLE_CLASSES) + "\n")
    for number in range(12):
        skin(rng).save(folder / f"wrinkles/valid/images/{number}.jpg")
        lines = [f"{zone} 0.5 0.5 0.25 0.125" for zone in range(4) if (number + zone) % 3]
        (folder / f"wrinkles/valid/labels/{number}.txt").write_text("\n".join(lines) + "\n")
    return folder


def skin(rng: np.random.Generator) -> Image.Image:
    noise = rng.normal((205, 160, 135), 3, (SIZE, SIZE, 3))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))


class Fake:
    """An engine that says the same of every crop."""

    def run(self, crops: np.ndarray[Any, Any]) -> Outputs:
        return {name: np.repeat(value[None], len(crops), axis=0) for name, value in bundles.answers().items()}


@pytest.fixture(scope="module")
def measured(data: Path) -> tuple[Any, Any, Any]:
    manifest = Manifest.model_validate(bundles.content() | {"files": {"model.onnx": {"size": 1, "sha256": "0" * 64}}})
    looks = {"model": answers.model(Fake(), manifest.calibration), "heuristic": answers.heuristic}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "QUICK_DISTORTED", {"acne": 5, "wrinkles": 4})
        photos = evaluate.chosen(data, quick=True)
    tables, metrics, _ = evaluate.measure(photos, looks, quick=True, robust=True)
    return tables, metrics, manifest


@pytest.mark.long
def test_both_paths_are_measured_on_the_same_photos(measured: tuple[Any, Any, Any]) -> None:
    tables, metrics, _ = measured
    for name in ("model", "heuristic"):
        assert metrics[name]["acne"]["photos"] == metrics[name]["wrinkles"]["photos"] == 12
        assert 0 < metrics[name]["acne"]["photos_without_face"] <= 12
        assert metrics[name]["robustness"]["photos"] == {"acne": 5, "wrinkles": 4}
    assert np.array_equal(tables["model"].acne.lesions, tables["heuristic"].acne.lesions)
    assert tables["model"].acne.count.tolist() == [12] * 12
    assert metrics["model"]["acne"]["severity_accuracy"]["value"] == 0.5  # it says moderate of every face
    assert metrics["model"]["wrinkles"]["auc_mean"]["value"] == 0.5
    assert metrics["model"]["acne"]["count_mae"]["value"] == pytest.approx(
        np.abs(12 - tables["model"].acne.lesions).mean()
    )
    difference = metrics["model"]["minus_heuristic"]["acne"]["count_mae"]["value"]
    assert difference == pytest.approx(
        metrics["model"]["acne"]["count_mae"]["value"] - metrics["heuristic"]["acne"]["count_mae"]["value"], abs=2e-4
    )
    json.dumps(metrics, allow_nan=False)


@pytest.mark.long
def test_a_figure_under_distortion_is_told_with_its_change(measured: tuple[Any, Any, Any]) -> None:
    robustness = measured[1]["heuristic"]["robustness"]
    for name in DISTORTIONS:
        before, after = (robustness[key]["box_ap_30"]["value"] for key in ("undistorted", name))
        assert robustness[name]["change"]["box_ap_30"]["value"] == pytest.approx(after - before, abs=2e-4)


@pytest.mark.long
def test_the_card_holds_every_figure_of_both_and_the_terms(measured: tuple[Any, Any, Any]) -> None:
    _, metrics, manifest = measured
    text = card.text(metrics, manifest)
    for label in card.LINES.values():
        assert label in text
    for word in ("research", "Medical diagnosis", "academic use", "By skin tone", "half the size", "LICENSE.weights"):
        assert word in text
    value = metrics["heuristic"]["acne"]["count_mae"]["value"]
    assert f"{value:.2f} [" in text
    assert "None " not in text.replace("None of", "")
    assert "nan" not in text


@pytest.mark.long
def test_plots_are_the_same_bytes_every_time(measured: tuple[Any, Any, Any]) -> None:
    pytest.importorskip("matplotlib")
    tables, metrics, _ = measured
    files = plots.drawn(tables, metrics)
    assert {name.partition(".")[0] for name in files} == {
        *("reliability", "count", "precision_recall", "severity", "wrinkles", "robustness")
    }
    assert all(len(content) < 150_000 for content in files.values())
    assert files == plots.drawn(tables, metrics)


def test_the_heuristics_measured_are_those_served_and_shown_boxes_lead_the_candidates() -> None:
    crop, _ = redrawn(portrait_crop(), lesions, count=14)
    found = answers.heuristic(crop)
    assert found.learned == measure(crop).learned
    shown = [lesion.box for lesion in found.learned.lesions]
    assert len(found.boxes) > len(shown) > 5
    assert np.allclose(found.boxes[: len(shown)], shown)
    assert (np.diff(found.score) <= 0).all()


def test_the_model_measured_is_the_one_served_and_shown_boxes_lead_the_candidates(tmp_path: Path) -> None:
    bundle = read(bundles.write(tmp_path / "bundle"))
    engine = OnnxEngine(bundle, threads=1)
    crop = portrait_crop()
    found = answers.model(engine, bundle.manifest.calibration)(crop)
    assert [found.learned] == engine.predict(crop.pixels[None])
    assert np.allclose(found.boxes[:2], [lesion.box for lesion in found.learned.lesions])
    assert set(engine.run(crop.pixels[None])) == set(MAPS)


def test_drawn_boxes_cover_the_cells_they_lie_on() -> None:
    pixels = np.zeros((512, 512, 3), np.uint8)
    crop = Crop(pixels, np.array([[2.0, 0, 100], [0, 2.0, 50]]), (0, 0, 512, 512), None)
    cells = answers.drawn_cells(crop, np.array([[100 + 2 * 64, 50 + 2 * 128, 2 * 32, 2 * 8], [-900, 50, 4, 4]]), 64)
    assert np.argwhere(cells).tolist() == [[16, 8], [16, 9], [16, 10], [16, 11]]


@pytest.mark.long
def test_the_command_measures_heuristics_alone_into_a_folder(data: Path, tmp_path: Path) -> None:
    before = evaluate.METRICS.read_bytes()
    wanted = [
        "--data",
        str(data),
        "--only",
        "heuristic",
        "--quick",
        "--skip-robustness",
        "--out",
        str(tmp_path / "out"),
    ]
    evaluate.main(wanted)
    written = tmp_path / "out/heuristic.json"
    metrics = json.loads(written.read_text())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["heuristic.json"]
    assert tuple(metrics["wrinkles"]["auc"]) == WRINKLE_ZONES
    assert "robustness" not in metrics
    assert evaluate.METRICS.read_bytes() == before
    first = written.read_bytes()
    evaluate.main(wanted)
    assert written.read_bytes() == first


def test_the_command_puts_figures_into_bundle_and_project_and_the_bundle_stays_whole(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundles.write(tmp_path / "bundle")
    before = read(folder)
    monkeypatch.setattr(evaluate, "HERE", tmp_path / "training")
    monkeypatch.setattr(evaluate, "METRICS", tmp_path / "measure.json")
    monkeypatch.setattr(evaluate, "QUICK_OUT", None)
    monkeypatch.setattr(plots, "drawn", lambda *_: {"count.png": b"drawn"})
    evaluate.main(["--data", str(data), "--bundle", str(folder), "--quick", "--skip-robustness"])
    after = read(folder)
    assert after.sha256 != before.sha256
    assert after.metrics["acne"]["photos"] == 12
    assert "minus_heuristic" in after.metrics
    assert json.loads((tmp_path / "measure.json").read_text())["acne"]["photos"] == 12
    written = [str(path.relative_to(tmp_path / "training")) for path in (tmp_path / "training").rglob("*.*")]
    assert sorted(written) == ["MODEL_CARD.md", "latency.json", "plots/count.png"]
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "metrics.json", "model.onnx"]


def test_nothing_is_left_half_written(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    (tmp_path / "b.json").mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match=r"b\.json"):
        evaluate.write({tmp_path / "b.json": b"new", tmp_path / "a.json": b"new"})
    assert (tmp_path / "a.json").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_a_missing_bundle_and_broken_annotations_are_told_in_a_sentence(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no weights bundle .*--bundle"):
        evaluate.main(["--data", str(data), "--bundle", str(tmp_path / "none"), "--quick"])
    for name in ("acne04/valid", "acne04/train", "wrinkles/valid/images", "wrinkles/valid/labels"):
        (tmp_path / "data" / name).mkdir(parents=True)
    with pytest.raises(SystemExit, match="cannot be measured"):
        evaluate.main(["--data", str(tmp_path / "data"), "--only", "heuristic", "--quick"])


def test_the_figures_that_ship_reach_the_goals() -> None:
    metrics = json.loads(evaluate.METRICS.read_text())
    acne, wrinkles = metrics["acne"], metrics["wrinkles"]
    assert acne["count_spearman"]["low"] > 0.5
    assert acne["count_mae"]["high"] < acne["count_mae_of_train_median"]["low"]
    assert acne["severity_accuracy"]["low"] > acne["severity_accuracy_of_majority"]["high"]
    assert wrinkles["auc_mean"]["low"] > 0.7
    assert tuple(wrinkles["auc"]) == WRINKLE_ZONES


@pytest.mark.parametrize("script", ["training.evaluate", "training.tune"])
def test_help_teaches_and_a_missing_folder_is_named(script: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", script]
    shown = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"python -m {script}" in shown
    refused = subprocess.run([*command, "--data", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 2
    assert str(tmp_path) in refused.stderr
    assert "--data" in refused.stderr
