"""Findings and what is seen → Analysis: what is not seen is null and says why, what is shown lies on skin."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from bentos.skin.findings import (
    COLOUR_ZONES,
    CONCERNS,
    WRINKLE_ZONES,
    Graded,
    Lesion,
    LesionsAndWrinkles,
    Measured,
    Tone,
    Unseen,
)
from bentos.skin.options import Include, Options
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face_parts import ZONES
from bentos.skin.photo.quality import ADVICE, Quality
from bentos.skin.photo.view import FaceView
from bentos.skin.report import PreparedPhoto, RunnerResult, build, quality_answer
from bentos.skin.schema import EXAMPLE_ANALYSIS, QualityIssue, Timing
from tests import drawing
from tests.service.expect import ISSUES, is_analysis, is_quality_answer

COLOURS = ("redness", "pigmentation", "shine", "texture")
GRADED = Graded(40.0, dict.fromkeys(COLOUR_ZONES, 0.5), np.full((128, 128), 100, np.uint8))
NO_GRADE = Graded(None, dict.fromkeys(COLOUR_ZONES), np.zeros((128, 128), np.uint8))
NOSE = drawing.portrait_view().parts.zones["nose"].mean(axis=0)  # type: ignore[union-attr]  # a face has parts
ON_SKIN = (float(NOSE[0]) - 8, float(NOSE[1]) - 8, 16.0, 16.0)
LEARNED = LesionsAndWrinkles(
    lesions=[Lesion(ON_SKIN, 0.8), Lesion(ON_SKIN, 0.4), Lesion((10.0, 480.0, 16.0, 16.0), 0.9)],
    min_confidence=0.5,
    count=12,
    severity="moderate",
    severity_confidence=0.6,
    wrinkles={"forehead": 0.8, "crows_feet": 0.6, "frown": 0.4, "nasolabial": 0.2},
    acne_map=np.full((128, 128), 200, np.uint8),
    wrinkle_map=np.full((64, 64), 150, np.uint8),
)
MEASURED = Measured(GRADED, GRADED, GRADED, GRADED, Tone(30.0, "intermediate"))
PHOTO = decode(drawing.PORTRAIT.read_bytes())


def prepared(seen: FaceView | None = None, face: bool = True, **changes: Any) -> PreparedPhoto:
    """The portrait with its view, or another one; without its face if not `face`."""
    faces = drawing.portrait_faces()
    if not face:
        faces = replace(faces, faces=[], landmarks=None)
    quality = Quality(0.9, [], [])
    return replace(PreparedPhoto(PHOTO, faces, seen or view(), quality), **changes)


def analysed(
    photo: PreparedPhoto, options: Options | None = None, learned: LesionsAndWrinkles = LEARNED, **measured: Any
) -> dict[str, Any]:
    """The Analysis as JSON, held to the contract."""
    options = options or Options()
    found = replace(MEASURED, **measured)
    result = RunnerResult(found, learned, "heuristic", degraded=False, reason="model_disabled", model=None)
    answer = build(photo, result, options, "id", Timing(decode=1, face=1, analysis=1, total=3))
    return is_analysis(answer.model_dump(mode="json"), include=options.include)


def view(unseen: dict[str, Unseen] | None = None, reasons: dict[str, Unseen] | None = None) -> FaceView:
    """What is seen of the portrait, but for this."""
    return replace(drawing.portrait_view(), unseen=unseen or {}, reasons=reasons or {})


def without_landmarks(why: Unseen, reasons: dict[str, Unseen]) -> FaceView:
    """A face of which no landmarks can be had, or skin without a face."""
    return FaceView(drawing.portrait_crop(), None, drawing.portrait_view().skin, dict.fromkeys(ZONES, why), reasons)


# --- zones and concerns ---------------------------------------------------------------------------------------------


def test_what_is_all_seen_has_no_null() -> None:
    concerns = analysed(prepared())["concerns"]
    assert all(concern["reason"] is None for concern in concerns.values())
    assert concerns["wrinkles"]["score"] == 50
    assert concerns["redness"] == {
        "score": 40,
        "reason": None,
        "zones": dict.fromkeys(COLOUR_ZONES, 0.5),
        "unseen": {},
        "confidence": None,
        "source": "heuristic",
    }


def test_a_zone_that_is_not_seen_is_null_with_its_code_whatever_a_runner_says_of_it() -> None:
    concerns = analysed(prepared(view({"chin": "outside_photo", "frown": "covered"})))["concerns"]
    for name in COLOURS:
        assert concerns[name]["zones"]["chin"] is None
        assert concerns[name]["unseen"] == {"chin": "outside_photo"}
        assert concerns[name]["score"] == 40
    assert concerns["wrinkles"]["zones"] == {"forehead": 0.8, "crows_feet": 0.6, "frown": None, "nasolabial": 0.2}
    assert concerns["wrinkles"]["unseen"] == {"frown": "covered"}
    assert concerns["wrinkles"]["score"] == 53


def test_of_two_sides_one_that_is_seen_is_enough() -> None:
    one = analysed(prepared(view({"crows_feet_left": "turned_away", "nasolabial_right": "covered"})))
    assert one["concerns"]["wrinkles"]["unseen"] == {}
    both = analysed(prepared(view({"crows_feet_left": "turned_away", "crows_feet_right": "turned_away"})))
    assert both["concerns"]["wrinkles"]["unseen"] == {"crows_feet": "turned_away"}
    assert both["concerns"]["wrinkles"]["zones"]["crows_feet"] is None


def test_a_zone_of_which_too_little_was_measured_counts_as_covered() -> None:
    partly = Graded(40.0, {**dict.fromkeys(COLOUR_ZONES, 0.5), "nose": None}, GRADED.heat)
    redness = analysed(prepared(), redness=partly)["concerns"]["redness"]
    assert (redness["score"], redness["unseen"]) == (40, {"nose": "covered"})
    learned = replace(LEARNED, wrinkles={**LEARNED.wrinkles, "frown": None})
    assert analysed(prepared(), learned=learned)["concerns"]["wrinkles"]["unseen"] == {"frown": "covered"}


def test_a_face_without_a_zone_that_is_seen_has_no_score_and_the_commonest_reason() -> None:
    hidden: dict[str, Unseen] = dict.fromkeys(ZONES, "covered")
    concerns = analysed(prepared(view({**hidden, "chin": "outside_photo"})))["concerns"]
    for name in ("wrinkles", *COLOURS):
        assert (concerns[name]["score"], concerns[name]["reason"]) == (None, "covered"), name
        assert set(concerns[name]["zones"].values()) == {None}
    assert concerns["redness"]["unseen"]["chin"] == "outside_photo"
    assert concerns["acne"]["score"] == 34


def test_what_could_not_be_measured_has_no_zone_either() -> None:
    for part in (NO_GRADE, replace(GRADED, score=None)):
        shine = analysed(prepared(), shine=part)["concerns"]["shine"]
        assert (shine["score"], shine["reason"]) == (None, "covered")


def test_a_concern_that_cannot_be_judged_is_all_null_and_says_why() -> None:
    reasons: dict[str, Unseen] = {
        "acne": "too_small", "wrinkles": "too_blurred", "redness": "no_colour", "tone": "no_colour",
    }  # fmt: skip
    answer = analysed(prepared(view({"chin": "covered"}, reasons)))
    concerns = answer["concerns"]
    assert answer["tone"] is None
    assert concerns["acne"] == {
        "score": None,
        "reason": "too_small",
        "severity": None,
        "count": None,
        "boxes": [],
        "confidence": None,
        "source": "heuristic",
    }
    assert (concerns["wrinkles"]["score"], concerns["wrinkles"]["reason"]) == (None, "too_blurred")
    assert concerns["wrinkles"]["unseen"] == dict.fromkeys(WRINKLE_ZONES, "too_blurred")
    assert concerns["redness"]["unseen"] == {**dict.fromkeys(COLOUR_ZONES, "no_colour"), "chin": "covered"}
    assert concerns["texture"]["score"] == 40


def test_a_face_without_landmarks_keeps_its_box_and_its_acne() -> None:
    reasons: dict[str, Unseen] = dict.fromkeys((*CONCERNS[1:], "tone"), "turned_away")
    answer = analysed(prepared(without_landmarks("turned_away", reasons)), Options(min_confidence=0))
    assert answer["face"]["box"] == analysed(prepared())["face"]["box"]
    assert answer["face"]["pose"] is None
    assert answer["tone"] is None
    for name in ("wrinkles", *COLOURS):
        assert answer["concerns"][name]["reason"] == "turned_away", name
        assert set(answer["concerns"][name]["unseen"].values()) == {"turned_away"}, name
    assert answer["concerns"]["acne"]["count"] == 12
    assert len(answer["concerns"]["acne"]["boxes"]) == 3  # its outline is not known


def test_a_close_up_of_skin_has_acne_and_measures_but_no_zones() -> None:
    close_up = prepared(without_landmarks("no_face", {"wrinkles": "no_face"}), face=False)
    whole: dict[str, Any] = dict.fromkeys(COLOURS, replace(GRADED, zones=dict.fromkeys(COLOUR_ZONES)))
    answer = analysed(close_up, **whole)
    assert answer["face"] is None
    assert answer["concerns"]["acne"]["confidence"] is None
    assert (answer["concerns"]["acne"]["count"], len(answer["concerns"]["acne"]["boxes"])) == (12, 1)
    assert (answer["concerns"]["wrinkles"]["score"], answer["concerns"]["wrinkles"]["reason"]) == (None, "no_face")
    for name in COLOURS:
        assert (answer["concerns"][name]["score"], answer["concerns"][name]["reason"]) == (40, None), name
        assert answer["concerns"][name]["unseen"] == dict.fromkeys(COLOUR_ZONES, "no_face"), name


def test_a_photo_without_face_and_skin_has_no_finding_at_all() -> None:
    reasons: dict[str, Unseen] = dict.fromkeys((*CONCERNS, "tone"), "no_skin")
    answer = analysed(prepared(without_landmarks("no_face", reasons), face=False), Options(min_confidence=0))
    assert answer["tone"] is None
    for name, concern in answer["concerns"].items():
        assert (concern["score"], concern["reason"], concern.get("boxes", [])) == (None, "no_skin", []), name


@pytest.mark.parametrize("code", get_args(Unseen))
def test_every_code_can_be_a_reason_and_a_zones(code: Unseen) -> None:
    analysed(prepared(view(dict.fromkeys(ZONES, code), dict.fromkeys((*CONCERNS, "tone"), code))))


# --- boxes ----------------------------------------------------------------------------------------------------------


def test_boxes_lie_on_skin_and_have_at_least_the_default_confidence() -> None:
    boxes = analysed(prepared())["concerns"]["acne"]["boxes"]
    assert [box["confidence"] for box in boxes] == [0.8]


def test_the_confidence_that_is_asked_for_changes_the_boxes_alone() -> None:
    usual = analysed(prepared())["concerns"]["acne"]
    for least, found in ((0.0, [0.8, 0.4]), (0.4, [0.8, 0.4]), (0.41, [0.8]), (0.8, [0.8]), (0.801, []), (1.0, [])):
        acne = analysed(prepared(), Options(min_confidence=least))["concerns"]["acne"]
        assert [box["confidence"] for box in acne["boxes"]] == found, least
        assert {**acne, "boxes": usual["boxes"]} == usual


def test_what_is_shown_as_a_confidence_is_what_counts() -> None:
    learned = replace(LEARNED, lesions=[Lesion(ON_SKIN, 0.49996)])
    acne = analysed(prepared(), Options(min_confidence=0.5), learned)["concerns"]["acne"]
    assert [box["confidence"] for box in acne["boxes"]] == [0.5]


# --- quality --------------------------------------------------------------------------------------------------------


def test_a_quality_that_is_not_assessed_is_null() -> None:
    answer = analysed(prepared(quality=None))
    assert (answer["quality"], answer["advice"]) == ({"score": None, "issues": []}, [])
    assert is_quality_answer(quality_answer(prepared(quality=None), "id").model_dump(mode="json"))["advice"] == []


def test_the_example_of_an_answer_gives_the_advice_of_its_issue() -> None:
    assert EXAMPLE_ANALYSIS["advice"] == [ADVICE[issue] for issue in EXAMPLE_ANALYSIS["quality"]["issues"]]


def test_every_issue_of_the_schema_has_advice_in_the_same_order() -> None:
    assert tuple(ADVICE) == get_args(QualityIssue) == ISSUES


def test_each_issue_has_its_advice() -> None:
    quality = Quality(0.4, ["blurred", "cut_off"], ["Hold the camera still.", "Move back a little."])
    photo = prepared(quality=quality)
    short = is_quality_answer(quality_answer(photo, "id").model_dump(mode="json"))
    answer = analysed(photo)
    assert short["quality"] == answer["quality"] == {"score": 0.4, "issues": ["blurred", "cut_off"]}
    assert short["advice"] == answer["advice"] == quality.advice
    assert (short["image"], short["face"]) == (answer["image"], answer["face"])


# --- what can be drawn ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("include", [(), ("outlines",), ("maps",), ("outlines", "maps")])
def test_outlines_and_maps_are_there_only_where_they_are_asked_for(include: tuple[Include, ...]) -> None:
    answer = analysed(prepared(), Options(include=frozenset(include)))
    assert {"outlines", "maps"} & answer.keys() == set(include)


def test_outlines_are_of_what_is_seen() -> None:
    hidden = view({"chin": "covered", "crows_feet_left": "turned_away"}, {"redness": "no_colour"})
    outlines = analysed(prepared(hidden), Options(include=frozenset({"outlines"})))["outlines"]
    assert {name for name, outline in outlines.items() if outline is None} == {"chin", "crows_feet_left"}
    nose = np.array(outlines["nose"]).mean(axis=0)
    assert np.abs(nose - [223, 120]).max() < 15


def test_maps_are_of_what_is_judged() -> None:
    answer = analysed(prepared(view({}, {"redness": "no_colour"})), Options(include=frozenset({"maps"})))
    assert {name for name, picture in answer["maps"].items() if picture is None} == {"redness"}
