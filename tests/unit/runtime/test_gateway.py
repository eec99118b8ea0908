"""The gateway's own decisions, with runners that only count how often they are asked."""

import asyncio
import pickle
from collections.abc import Awaitable
from typing import Any
from unittest import mock

import pytest
from PIL import Image

from bentos.skin.errors import QualityTooLow, ShineError
from bentos.skin.measure import find, measure
from bentos.skin.options import Options
from bentos.skin.photo import face_reader
from bentos.skin.photo.face_reader import FaceReader
from bentos.skin.photo.view import FaceView
from bentos.skin.runtime.context import begin
from bentos.skin.runtime.gateway import PhotoAnalyzer, blank_view
from bentos.skin.runtime.runner_messages import MEASURE, answer_task, view_from
from bentos.skin.runtime.telemetry import Telemetry
from bentos.skin.settings import Settings
from tests.server import PORTRAIT
from tests.service.expect import encoded, is_analysis, is_quality_answer

PHOTO = PORTRAIT.read_bytes()
WALL = encoded(Image.new("RGB", (300, 200), (90, 110, 130)), "PNG")


class Runner:
    """A runner of either kind, as it answers over the wire."""

    def __init__(self) -> None:
        self.views: list[FaceView] = []

    async def measure(self, messages: list[bytes]) -> list[bytes]:
        tasks = [pickle.loads(message) for message in messages]  # noqa: S301  of the gateway
        self.views += [view_from(view) for name, view in tasks if name == MEASURE.name]
        return [answer_task(message) for message in messages]

    async def predict(self, messages: list[bytes]) -> list[bytes]:
        raise AssertionError(f"the model is off: {len(messages)}")

    async def status(self, known: str | None) -> dict[str, Any]:
        raise AssertionError(f"the model is off: {known}")


def analyzer(**settings: Any) -> tuple[PhotoAnalyzer, Runner]:
    runner = Runner()
    telemetry = mock.create_autospec(Telemetry, instance=True)
    return PhotoAnalyzer(Settings(phase="simple", **settings), telemetry, runner, runner), runner


def run(call: Awaitable[Any]) -> Any:
    """The answer of a call, as a request of its own."""

    async def request() -> Any:
        begin(None, "/analyze")
        return await call

    return asyncio.run(request())


def test_a_blank_view_is_measured_without_a_warning() -> None:
    assert measure(blank_view()).redness.score is not None
    assert find(blank_view()).count >= 0


def test_quality_asks_no_runner() -> None:
    gateway, runner = analyzer()
    answer = run(gateway.quality(PHOTO)).model_dump(mode="json")
    assert is_quality_answer(answer)["face"] is not None
    assert runner.views == []


def test_strict_refuses_a_photo_with_issues_before_any_runner_is_asked() -> None:
    gateway, runner = analyzer(quality="strict")
    for call in (gateway.analyze(WALL, Options()), gateway.overlay(WALL, Options())):
        with pytest.raises(QualityTooLow, match="no_face"):
            run(call)
    assert runner.views == []
    answer = run(gateway.quality(WALL)).model_dump(mode="json")
    assert "no_face" in is_quality_answer(answer)["quality"]["issues"]


def test_off_leaves_out_score_issues_and_advice_and_what_is_not_seen_stays_null() -> None:
    gateway, _ = analyzer(quality="off")
    for photo in (PHOTO, WALL):
        answer = is_analysis(run(gateway.analyze(photo, Options())).model_dump(mode="json"))
        assert (answer["quality"], answer["advice"]) == ({"score": None, "issues": []}, [])
        short = is_quality_answer(run(gateway.quality(photo)).model_dump(mode="json"))
        assert (short["quality"], short["advice"]) == ({"score": None, "issues": []}, [])
    assert answer["concerns"]["redness"]["reason"] in ("no_face", "no_skin")


def test_the_face_is_read_once_and_the_runner_gets_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, runner = analyzer()
    read = mock.Mock(wraps=gateway._prepare.reader.read)
    monkeypatch.setattr(gateway._prepare.reader, "read", read)
    run(gateway.overlay(PHOTO, Options(layers=("redness",), include=frozenset({"maps", "outlines"}))))
    assert read.call_count == 1
    (view,) = runner.views
    assert view.parts is not None


def test_without_the_face_mesh_zones_are_null_and_the_status_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_reader, "FaceMesh", mock.Mock(side_effect=OSError("no such file")))
    assert not FaceReader().has_mesh
    gateway, _ = analyzer()
    assert not gateway.has_landmarks
    answer = is_analysis(run(gateway.analyze(PHOTO, Options())).model_dump(mode="json"))
    assert answer["face"]["pose"] is None
    assert answer["concerns"]["acne"]["count"] is not None
    for name in ("wrinkles", "redness", "pigmentation", "shine", "texture"):
        assert answer["concerns"][name]["score"] is None, name
        assert set(answer["concerns"][name]["zones"].values()) == {None}, name
        assert answer["concerns"][name]["reason"] is not None, name


def test_a_photo_that_is_none_is_refused_by_both() -> None:
    gateway, _ = analyzer()
    for call in (gateway.quality(b"text"), gateway.analyze(b"text", Options())):
        with pytest.raises(ShineError) as refused:
            run(call)
        assert refused.value.code == "image_format_unsupported"
