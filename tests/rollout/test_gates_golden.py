"""The probe photo's findings: what is committed, how far an answer may be from it, and the command that writes it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from bentos.skin.model.bundle import MANIFEST
from bentos.skin.model.engine import EMBEDDED
from deploy.cli import main as cli
from deploy.config.plan import PlanError
from deploy.gates import golden
from deploy.gates.golden import Findings, differences
from tests.rollout.live_account import NOWHERE
from tests.server import Server

SCORES = dict.fromkeys(golden.CONCERNS, 50)
WANTED = Findings(face=(100, 100, 100, 100), severity="moderate", count=20, scores=SCORES)


def off(**changes: Any) -> list[str]:
    return differences(WANTED, WANTED.model_copy(update=changes))


def test_the_committed_file_knows_the_heuristics_and_the_embedded_weights() -> None:
    embedded = hashlib.sha256((EMBEDDED / MANIFEST).read_bytes()).hexdigest()
    assert set(golden.read(golden.GOLDEN).findings) == {golden.HEURISTIC, embedded}


@pytest.mark.parametrize(
    ("inside", "outside", "said"),
    [
        ({"count": 25}, {"count": 26}, "count is 26, not 20"),
        ({"count": 15}, {"count": 14}, "count is 14, not 20"),
        ({"severity": "mild"}, {"severity": "clear"}, "severity is clear, not moderate"),
        ({"severity": "severe"}, {"severity": "very_severe"}, "severity is very_severe, not moderate"),
        ({"scores": {**SCORES, "shine": 56}}, {"scores": {**SCORES, "shine": 57}}, "shine is 57, not 50"),
        ({"scores": {**SCORES, "acne": 44}}, {"scores": {**SCORES, "acne": 43}}, "acne is 43, not 50"),
        ({"scores": SCORES}, {"scores": {}}, "texture is null, not 50"),
        ({"face": (100, 110, 100, 100)}, {"face": (100, 112, 100, 100)}, "the face's box overlaps by 0.79"),
        ({"face": (100, 100, 100, 124)}, {"face": None}, "no face is found"),
    ],
)
def test_findings_may_be_off_by_so_much(inside: dict[str, Any], outside: dict[str, Any], said: str) -> None:
    assert off(**inside) == []
    assert any(said in item for item in off(**outside)), off(**outside)


def test_a_small_count_may_be_two_off_and_a_face_from_nowhere_is_seen() -> None:
    few = WANTED.model_copy(update={"count": 1, "face": None})
    assert differences(few, few.model_copy(update={"count": 3})) == []
    assert differences(few, few.model_copy(update={"count": 4})) == ["count is 4, not 1"]
    assert differences(few, few.model_copy(update={"face": (1, 1, 1, 1)})) == ["a face is found"]


def test_what_is_not_judged_differs_from_what_is() -> None:
    unjudged = WANTED.model_copy(update={"severity": None, "count": None, "scores": {**SCORES, "acne": None}})
    assert differences(unjudged, unjudged) == []
    assert differences(unjudged, WANTED) == [
        "severity is moderate, not null",
        "count is 20, not null",
        "acne is 50, not null",
    ]
    assert differences(WANTED, unjudged) == [
        "severity is null, not moderate",
        "count is null, not 20",
        "acne is null, not 50",
    ]


def test_a_file_of_another_probe_photo_is_refused(tmp_path: Path) -> None:
    content = json.loads(golden.GOLDEN.read_text())
    (tmp_path / "g.json").write_text(json.dumps({**content, "photo": "0" * 64}))
    with pytest.raises(PlanError, match="another probe photo"):
        golden.read(tmp_path / "g.json")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"photo": "x"}', '{"photo": "x", "findings": {"heuristic": {}}}'])
def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "g.json").write_text(text)
    with pytest.raises(PlanError, match=r"g\.json.*golden"):
        golden.read(tmp_path / "g.json")


def test_the_command_writes_what_is_committed_and_keeps_what_was_there(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, known = tmp_path / "own.json", golden.read(golden.GOLDEN)
    assert cli.main(["golden", server.url, str(file)]) == 0
    assert f"Wrote {file}: what the heuristics found" in capsys.readouterr().out
    expected = known.findings[golden.HEURISTIC]
    assert differences(expected, golden.read(file).findings[golden.HEURISTIC]) == []
    content = json.loads(file.read_text())
    content["findings"] = {"f" * 64: content["findings"][golden.HEURISTIC]}
    file.write_text(json.dumps(content))
    assert cli.main(["golden", server.url, str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": str(file), "findings": [golden.HEURISTIC]}
    assert set(golden.read(file).findings) == {golden.HEURISTIC, "f" * 64}


def test_the_command_refuses_in_a_sentence(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.json").write_text("{")
    for words, output in (
        ([NOWHERE, str(tmp_path / "a.json")], "gives no answer"),
        (["not a url", str(tmp_path / "a.json")], "gives no answer"),
        ([server.url + "/nothing", str(tmp_path / "a.json")], "404"),
        ([server.url, str(tmp_path / "broken.json")], "is not a file that `trail golden` writes"),
        ([server.url, str(tmp_path / "none" / "a.json")], "cannot be written"),
    ):
        assert cli.main(["golden", *words]) == 2
        error = capsys.readouterr().err
        assert output in error
        assert error.count("\n") == 1
    assert not (tmp_path / "a.json").exists()
