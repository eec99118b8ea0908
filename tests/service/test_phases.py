"""The phases with a model, without its weights: answers are marked, can be refused, and readiness is per phase."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.server import Server
from tests.service.expect import is_analysis, is_error, is_error_body


@pytest.fixture(scope="module")
def hybrid(unweighted: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=unweighted.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def demanding(no_weights: Path, serve_shared: Callable[..., Server]) -> Iterator[httpx.Client]:
    running = serve_shared(SHINE_WEIGHTS_URI=str(no_weights), SHINE_REQUIRE_MODEL="true").wait("/ready")
    with httpx.Client(base_url=running.url, timeout=60) as client:
        yield client


def test_hybrid_answers_degraded_and_says_why(hybrid: httpx.Client, portrait: bytes) -> None:
    answer = hybrid.post("/analyze", files={"image": portrait})
    assert answer.status_code == 200
    analysis = is_analysis(answer.json())
    assert analysis["degraded"] is True
    assert analysis["reason"] == "weights_missing"
    assert analysis["model"] is None
    assert answer.headers["x-analysis-source"] == "heuristic"
    assert answer.headers["x-degraded"] == "true"


def test_hybrid_overlay_and_batch_are_marked_degraded(hybrid: httpx.Client, portrait: bytes) -> None:
    overlay = hybrid.post("/overlay", files={"image": portrait})
    assert overlay.headers["content-type"] == "image/png"
    batch = hybrid.post("/analyze_batch", files=[("images", portrait), ("images", b"")])
    assert batch.json()["results"][0]["degraded"] is True
    for answer in (overlay, batch):
        assert answer.headers["x-analysis-source"] == "heuristic"
        assert answer.headers["x-degraded"] == "true"


def test_hybrid_is_ready_without_the_model(hybrid: httpx.Client) -> None:
    answer = hybrid.get("/ready")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "state": "degraded", "reason": None}
    assert hybrid.get("/readyz").status_code == 200
    assert hybrid.get("/health").json()["phase"] == "hybrid"


def test_hybrid_status_names_the_error_without_a_model(hybrid: httpx.Client) -> None:
    status = hybrid.get("/ml/status").json()
    assert status["state"] == "degraded"
    assert status["phase"] == "hybrid"
    assert status["model"] is None
    assert status["attempts"] >= 1
    assert status["last_error"].keys() == {"code", "message", "at"}
    assert status["last_error"]["code"] == "weights_missing"
    assert status["breaker"] == "closed"
    assert hybrid.get("/version").json()["model"] is None


def test_hybrid_metrics_tell_fallbacks_from_answers(hybrid: httpx.Client, portrait: bytes) -> None:
    hybrid.post("/analyze", files={"image": portrait})
    lines = hybrid.get("/metrics").text.splitlines()
    assert any(line.startswith("shine_answers_total{") and 'reason="weights_missing"' in line for line in lines)


def test_hybrid_refuses_what_requires_the_model(hybrid: httpx.Client, portrait: bytes) -> None:
    answer = hybrid.post("/analyze", files={"image": portrait}, data={"require": "model"})
    assert "weights_missing" in is_error(answer, 503, "model_unavailable")["message"]


def test_a_service_that_requires_the_model_refuses_every_photo(demanding: httpx.Client, portrait: bytes) -> None:
    text = base64.b64encode(portrait).decode()
    for answer in (
        demanding.post("/analyze", files={"image": portrait}),
        demanding.post("/overlay", files={"image": portrait}),
        demanding.post("/analyze_base64", json={"image": text}),
    ):
        is_error(answer, 503, "model_unavailable")
    batch = demanding.post("/analyze_batch", files=[("images", portrait), ("images", b"")])
    assert batch.status_code == 200
    first, second = batch.json()["results"]
    assert is_error_body(first, 503, batch.headers["x-request-id"])["code"] == "model_unavailable"
    assert is_error_body(second, 422, batch.headers["x-request-id"])["code"] == "image_unreadable"
    assert demanding.get("/ml/status").json()["answers"]["refused"] >= 4


def test_a_bad_photo_is_told_before_a_missing_model(demanding: httpx.Client) -> None:
    is_error(demanding.post("/analyze", files={"image": b"no photo"}), 415, "image_format_unsupported")
