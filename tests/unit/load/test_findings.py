"""When two answers say the same of a photo."""

import copy
import json
from typing import Any

import pytest

from tests.load.findings import differences, findings

ANALYSIS: dict[str, Any] = {
    "request_id": "a",
    "source": "model",
    "degraded": False,
    "timing_ms": {"total": 12.5},
    "face": {"box": [301, 402.5, 480, 480], "confidence": 0.97},
    "concerns": {"acne": {"count": 2, "score": 7, "boxes": [{"box": [410.0, 655, 18.5, 18], "confidence": 0.71}]}},
}


def changed(change: str, value: Any) -> list[str]:
    """The differences from an analysis in which one thing is another."""
    other = copy.deepcopy(ANALYSIS)
    *path, last = change.split("/")
    place: Any = other
    for name in path:
        place = place[int(name) if name.isdecimal() else name]
    place[int(last) if last.isdecimal() else last] = value
    return differences(findings(json.dumps(ANALYSIS).encode()), findings(json.dumps(other).encode()))


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("request_id", "b"),
        ("timing_ms", {"total": 99}),
        ("face/box/1", 403.0),
        ("face/box/0", 300.5),
        ("concerns/acne/boxes/0/box/2", 18.0),
        ("concerns/acne/boxes/0/confidence", 0.711),
    ],
)
def test_findings_are_the_same_within_the_last_digits(change: str, value: Any) -> None:
    assert changed(change, value) == []


@pytest.mark.parametrize(
    ("change", "value", "told"),
    [
        ("face/box/1", 403.1, ".face.box[1]: 402.5 → 403.1"),
        ("face/confidence", 0.972, ".face.confidence: 0.97 → 0.972"),
        ("concerns/acne/count", 3, ".concerns.acne.count: 2 → 3"),
        ("concerns/acne/boxes", [], ".concerns.acne.boxes: 1 → 0 entries"),
        ("source", "heuristic", ".source: 'model' → 'heuristic'"),
        ("degraded", 0, ".degraded: False → 0"),
        ("face", None, ".face: {'box': [301, 402.5, 480, 480], 'confidence': 0.97} → None"),
        ("concerns/acne/reason", "covered", ".concerns.acne.reason: only in the answer"),
    ],
)
def test_what_differs_is_told_by_its_path(change: str, value: Any, told: str) -> None:
    assert changed(change, value) == [told]


def test_few_differences_are_told_of_one_answer() -> None:
    assert len(differences(list(range(100)), list(range(1, 101)))) == 5


def test_what_is_no_analysis_is_refused() -> None:
    with pytest.raises(ValueError, match="list"):
        findings(b"[]")
    with pytest.raises(ValueError, match="Expecting value"):
        findings(b"no JSON")
