"""Limits of repeatability are what 95 % of the differences between retakes of one face do not exceed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")

from bentos.skin.measure import measure
from bentos.skin.model.bundle import MANIFEST, METRICS, Bundle, read
from bentos.skin.model.engine import EMBEDDED, OnnxEngine
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face_reader import FaceReader
from bentos.skin.pipeline import prepare
from bentos.skin.schema import HeuristicLimits, ModelLimits, Source
from tests import drawing
from tests.server import PORTRAIT
from tests.unit.model import bundles
from training import card, evaluate, repeatability
from training.files import replace_files
from training.repeatability import LEAST_FACES, RETAKES, Scores, groups, limit, limits_of, normal_limit, values_of
from training.retakes import Retake

MODEL = ModelLimits(acne=801, count=602, wrinkles=903)
HEURISTIC = HeuristicLimits(
    acne=711, count=712, wrinkles=713, redness=714, pigmentation=715, shine=716, texture=717, ita_degrees=718
)
FOUND: dict[Source, ModelLimits | HeuristicLimits] = {"model": MODEL, "heuristic": HEURISTIC}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read(bundles.write(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def engine(weights: Bundle) -> OnnxEngine:
    return OnnxEngine(weights, threads=1)


def test_19_of_20_differences_lie_within_the_limit() -> None:
    differences = np.random.default_rng(0).permutation(20) + 1
    assert limit([[50.0, 50.0 + difference] for difference in differences.tolist()]) == 19
    assert limit([[50.0, 50.0 - difference] for difference in differences.tolist()]) == 19


def test_all_pairs_of_retakes_of_one_face_count_and_none_of_two_faces() -> None:
    assert limit([[0, 1, 10]] * 40) == 10  # of 0 and 10: a third of the differences
    assert limit([[0, 0, 0], [90, 90, 91]]) == 1
    assert limit([[0, 0, 0], [90, 90, 90]]) == 0


def test_a_limit_is_rounded_up_to_whole_units() -> None:
    assert limit([[31.2, 33.3]] * 40) == 3
    assert limit([[31.1, 33.1]] * 40) == 2  # 2.0000000000000018 in floating point


def test_of_normal_differences_the_limit_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    faces = (rng.uniform(0, 500, (4000, 1)) + rng.normal(0, 20, (4000, 3))).tolist()
    expected = 1.96 * 2**0.5 * 20
    assert normal_limit(faces) == pytest.approx(expected, rel=0.02)
    assert limit(faces) == pytest.approx(expected, abs=2)


def test_a_score_that_was_not_judged_makes_no_difference() -> None:
    faces: list[list[Scores]] = [
        [{"acne": 1.0}, {"acne": 2.0, "shine": 3.0}],
        [{"acne": 4.0}, {"acne": 5.0}, {"shine": 6.0}],
        [],
        [{}],
    ]
    assert values_of("acne", faces) == [[1.0, 2.0], [4.0, 5.0]]
    assert values_of("shine", faces) == []


def test_few_faces_give_no_limit() -> None:
    scored = [[{"acne": 1.0, "count": 3.0, "wrinkles": 5.0}, {"acne": 4.0, "count": 5.0, "wrinkles": 5.0}]]
    assert limits_of("model", scored * LEAST_FACES) == ModelLimits(acne=3, count=2, wrinkles=0)
    with pytest.raises(ValueError, match=f"{LEAST_FACES - 1} faces have two retakes with a score of acne"):
        limits_of("model", scored * (LEAST_FACES - 1))
    with pytest.raises(ValueError, match="0 faces have two retakes with a score of redness"):
        limits_of("heuristic", scored * LEAST_FACES)


def test_a_limit_holds_for_faces_with_few_lesions_and_with_many() -> None:
    def face(count: float, difference: float) -> list[Scores]:
        return [{"acne": 50.0, "count": count + step, "wrinkles": 5.0} for step in (0, difference)]

    mild, severe = [face(2, 1)] * 500, [face(30, 9)] * LEAST_FACES
    assert limit(values_of("count", mild + severe)) == 1  # the few severe faces are lost among the others
    assert limits_of("model", mild + severe).count == 9
    assert limits_of("model", mild + severe[1:]).count == 1  # too few to be told
    assert [len(group) for group in groups([face(4, 2), face(5, 2), face(19, 2), face(20, 1), [], [{}]])] == [1, 2, 1]


def test_retakes_pass_the_code_of_the_service(engine: OnnxEngine, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.new("RGB", (256, 256), (200, 170, 150)).save(blank)
    takes = repeatability.measure_all([blank, PORTRAIT], engine)
    assert takes.photos == 1  # the other shows no face
    assert takes.drawn - takes.refused == RETAKES
    (by_model,), (by_heuristics,) = takes.faces["model"], takes.faces["heuristic"]
    assert len(by_model) == len(by_heuristics) == RETAKES
    assert [scored["count"] for scored in by_model] == [12.0] * RETAKES  # as this network says of every face
    for scored in by_heuristics:  # of so small a face texture is not always judged
        assert {*scored, "texture"} == set(HeuristicLimits.model_fields)
    assert len({scored["redness"] for scored in by_heuristics}) > 1


def test_retakes_that_the_quality_check_refuses_do_not_count(
    engine: OnnxEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    dark = Retake(cut=(0, 0, 0, 0), size=1, stops=-3, red=1, blue=1, jpeg=95)
    monkeypatch.setattr(repeatability, "draw", lambda _: dark)
    monkeypatch.setattr(repeatability, "DRAWS", 2)
    takes = repeatability.measure_all([PORTRAIT], engine)
    assert (takes.photos, takes.drawn, takes.refused) == (1, 2, 2)
    assert takes.faces == {"model": [[]], "heuristic": [[]]}


def test_a_concern_that_is_not_judged_has_no_score(engine: OnnxEngine) -> None:
    photo = decode(PORTRAIT.read_bytes())
    grey = np.repeat(photo.pixels.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    colourless = type(photo)(grey, photo.width, photo.height, photo.format)
    prepared = prepare(colourless, FaceReader().read(colourless))
    measured, found = measure(prepared.view), engine.predict([prepared.view.crop.pixels])[0]
    scored = repeatability.scores(prepared, measured, found, "heuristic")
    assert scored.keys() == {"acne", "count", "wrinkles", "texture"}


def test_limits_go_into_the_bundle_and_the_projects_files(tmp_path: Path) -> None:
    weights = read(bundles.write(tmp_path))
    files = repeatability.render(weights, FOUND, photos=426, out=None, own=False)
    assert list(files) == [evaluate.METRICS, weights.folder / METRICS, weights.folder / MANIFEST]
    model = json.loads(files[weights.folder / METRICS])
    assert model == {"made": "up", "repeatability": {**MODEL.model_dump(), "photos": 426}}
    heuristic = json.loads(files[evaluate.METRICS])
    assert heuristic["repeatability"] == {**HEURISTIC.model_dump(), "photos": 426}
    before = json.loads(evaluate.METRICS.read_text())
    assert {**heuristic, "repeatability": 0} == {**before, "repeatability": 0}
    replace_files({path: content for path, content in files.items() if path.parent == weights.folder})
    assert read(weights.folder).metrics["repeatability"]["count"] == 602


def test_the_card_is_written_for_the_projects_weights_alone() -> None:
    files = repeatability.render(read(EMBEDDED), FOUND, photos=426, out=None, own=False)
    assert list(files)[-1] == EMBEDDED / MANIFEST  # until it is there the old one refuses the new figures
    text = files[evaluate.HERE / evaluate.CARD].decode()
    for number in ("| acne score, points of 0 to 100 | 801 | 711 |", "| shine, points | – | 716 |", "retakes of 426 "):
        assert number in text


def test_limits_of_own_photos_never_replace_those_of_the_project(weights: Bundle, tmp_path: Path) -> None:
    assert {path.parent for path in repeatability.render(weights, FOUND, 20, None, own=True)} == {weights.folder}
    assert [*repeatability.render(read(EMBEDDED), FOUND, 20, None, own=True)] == [
        evaluate.QUICK_OUT / "repeatability.json"
    ]
    (file,) = repeatability.render(read(EMBEDDED), FOUND, 20, tmp_path, own=False).items()
    assert file[0] == tmp_path / "repeatability.json"
    assert json.loads(file[1])["heuristic"]["ita_degrees"] == 718


def test_an_evaluation_keeps_the_limits() -> None:
    measured = read(EMBEDDED)
    metrics: dict[str, dict[str, object]] = {"model": {}, "heuristic": {}}
    evaluate.keep_repeatability(metrics, measured, own=False)
    assert metrics["model"]["repeatability"] == measured.metrics["repeatability"]
    assert metrics["heuristic"]["repeatability"] == json.loads(evaluate.METRICS.read_text())["repeatability"]
    own: dict[str, dict[str, object]] = {"model": {}, "heuristic": {}}
    evaluate.keep_repeatability(own, measured, own=True)
    assert own == {"model": metrics["model"], "heuristic": {}}  # measured on other photos than the other figures


def test_the_model_card_is_what_the_figures_say() -> None:
    weights = read(EMBEDDED)
    metrics = {"model": weights.metrics, "heuristic": json.loads(evaluate.METRICS.read_text())}
    assert card.text(metrics, weights.manifest) == (evaluate.HERE / evaluate.CARD).read_text()


def test_the_command_prints_the_limits_and_writes_them_into_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "portrait.png"
    photo.write_bytes(drawing.png(drawing.portrait(768)[0]))
    before = evaluate.METRICS.read_bytes()
    monkeypatch.setattr(repeatability, "photo_paths", lambda *_: [])
    with pytest.raises(SystemExit, match="cannot be measured: 0 faces have two retakes"):
        repeatability.main(["--out", str(tmp_path)])
    assert not (tmp_path / "repeatability.json").exists()
    monkeypatch.setattr(repeatability, "photo_paths", lambda *_: [photo])
    monkeypatch.setattr(repeatability, "LEAST_FACES", 1)
    repeatability.main(["--out", str(tmp_path)])
    written = json.loads((tmp_path / "repeatability.json").read_text())
    assert written["model"].keys() == {*ModelLimits.model_fields, "photos"}
    assert written["heuristic"].keys() == {*HeuristicLimits.model_fields, "photos"}
    shown = capsys.readouterr().out
    assert "1 photos with a face, 1 with two retakes" in shown
    assert f"heuristic shine          {written['heuristic']['shine']:5}  points" in shown
    assert evaluate.METRICS.read_bytes() == before


def test_a_missing_folder_and_a_missing_bundle_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        repeatability.main(["--data", str(tmp_path)])
    assert "--data" in capsys.readouterr().err
    with pytest.raises(SystemExit, match=r"There is no weights bundle at .* Name a bundle with --bundle"):
        repeatability.main(["--bundle", str(tmp_path / "none")])
