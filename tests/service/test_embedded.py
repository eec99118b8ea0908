"""The service with defaults: the embedded weights, the default phase, and the findings on the portrait."""

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.model.bundle import MANIFEST
from bentos.skin.model.engine import EMBEDDED
from tests import drawing
from tests.server import PORTRAIT, Server
from tests.service.expect import is_analysis


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Started without a setting."""
    running = Server(tmp_path_factory.mktemp("plain"))
    try:
        yield running.wait_for_workers()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def answer(plain: Server) -> httpx.Response:
    return analysed(plain, PORTRAIT.read_bytes(), require="model")


def analysed(server: Server, photo: bytes, **form: str) -> httpx.Response:
    response = httpx.post(server.url + "/analyze", files={"image": photo}, data=form, timeout=30)
    assert response.status_code == 200, response.text
    return response


def test_a_plain_start_answers_with_the_model_and_says_so(answer: httpx.Response) -> None:
    analysis = is_analysis(answer.json(), source="model")
    assert (analysis["source"], analysis["degraded"], analysis["reason"]) == ("model", False, None)
    assert analysis["model"]["sha256"] == hashlib.sha256((EMBEDDED / MANIFEST).read_bytes()).hexdigest()
    assert answer.headers["x-analysis-source"] == "model"
    assert [analysis["concerns"][name]["source"] for name in ("acne", "wrinkles")] == ["model", "model"]
    assert analysis["concerns"]["redness"]["source"] == "heuristic"


def test_the_notice_says_what_the_weights_may_be_used_for(answer: httpx.Response) -> None:
    assert "research and evaluation" in answer.json()["notice"]


def test_a_smiling_face_without_acne_has_few_lesions_and_folds_at_the_mouth(answer: httpx.Response) -> None:
    concerns = answer.json()["concerns"]
    assert concerns["acne"]["count"] <= 5
    assert concerns["acne"]["severity"] in ("clear", "mild")
    zones: dict[str, float | None] = concerns["wrinkles"]["zones"]
    assert set(zones) == set(WRINKLE_ZONES)
    assert max(zones, key=lambda zone: zones[zone] or 0) in ("nasolabial", "crows_feet")
    assert None not in (zones["nasolabial"], zones["crows_feet"])


def test_drawn_lesions_are_found_where_they_are(plain: Server, answer: httpx.Response) -> None:
    pixels, _, landmarks = drawing.portrait(1024)
    lesions = drawing.lesions(pixels, landmarks, count=14)
    acne = analysed(plain, drawing.png(lesions.pixels)).json()["concerns"]["acne"]
    assert acne["count"] >= answer.json()["concerns"]["acne"]["count"] + 5
    centres = lesions.boxes[:, :2] + lesions.boxes[:, 2:] / 2
    hit = [any(x <= cx <= x + w and y <= cy <= y + h for x, y, w, h in boxes_of(acne)) for cx, cy in centres]
    assert sum(hit) >= 0.6 * len(hit)


def boxes_of(acne: dict[str, Any]) -> list[list[float]]:
    return [lesion["box"] for lesion in acne["boxes"]]


def test_status_tells_how_good_both_paths_were_measured_to_be(plain: Server) -> None:
    status: dict[str, Any] = httpx.get(plain.url + "/ml/status").json()
    assert (status["state"], status["model"]["source"]) == ("ready", "embedded")
    model, heuristic = status["accuracy"]["model"], status["accuracy"]["heuristic"]
    for figure in ("severity_accuracy", "count_mae", "box_ap_30"):
        assert {"value", "low", "high"} <= set(model["acne"][figure])
    assert model["acne"]["count_mae"]["value"] < heuristic["acne"]["count_mae"]["value"]
    assert model["wrinkles"]["auc_mean"]["value"] > heuristic["wrinkles"]["auc_mean"]["value"]


def test_status_tells_by_how_much_scores_must_differ(plain: Server) -> None:
    status: dict[str, Any] = httpx.get(plain.url + "/ml/status").json()
    model, heuristic = status["repeatability"]["model"], status["repeatability"]["heuristic"]
    assert model.keys() == {"acne", "count", "wrinkles"}
    assert heuristic.keys() == {*model, "redness", "pigmentation", "shine", "texture", "ita_degrees"}
    assert model["acne"] < heuristic["acne"]
    assert model["count"] < heuristic["count"]
    assert "repeatability" not in {*status["accuracy"]["model"], *status["accuracy"]["heuristic"]}
