"""A bundle's network answers over HTTP, as the engine does on the crop; an inconsistent bundle is not loaded."""

import hashlib
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bentos.skin.model.bundle import MANIFEST, MODEL, read
from bentos.skin.model.engine import OnnxEngine
from bentos.skin.photo.crop import boxes_to_photo
from bentos.skin.photo.decode import decode
from bentos.skin.report import shown_lesions
from tests import drawing
from tests.server import PORTRAIT, WORKERS, Server
from tests.service.traffic import until
from tests.unit.model import bundles


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle, its network a small made-up one."""
    return bundles.write(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def hybrid(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service in phase hybrid with those weights."""
    running = Server(tmp_path_factory.mktemp("hybrid"), SHINE_WEIGHTS_URI=str(bundle))
    try:
        yield running.wait_for_workers()
    finally:
        running.stop()


def analysed(server: Server, **form: str) -> httpx.Response:
    return httpx.post(server.url + "/analyze", files={"image": PORTRAIT.read_bytes()}, data=form, timeout=30)


def test_a_service_with_weights_answers_with_their_model(hybrid: Server, bundle: Path) -> None:
    response = analysed(hybrid, require="model")
    answer = response.json()
    assert (answer["source"], answer["degraded"], answer["reason"]) == ("model", False, None)
    assert (response.headers["x-analysis-source"], response.headers["x-degraded"]) == ("model", "false")
    assert answer["model"]["sha256"] == hashlib.sha256((bundle / MANIFEST).read_bytes()).hexdigest()
    sources = {name: concern["source"] for name, concern in answer["concerns"].items()}
    assert sources["acne"] == sources["wrinkles"] == "model"
    assert sources["redness"] == sources["texture"] == "heuristic"


def test_status_and_version_tell_of_the_model_and_its_measured_accuracy(hybrid: Server, bundle: Path) -> None:
    status = httpx.get(hybrid.url + "/ml/status").json()
    assert (status["state"], status["model"]["source"], status["model"]["input_size"]) == ("ready", str(bundle), 512)
    assert status["accuracy"]["model"] == {"made": "up"}
    assert status["repeatability"]["model"] is None  # these weights bring no limits
    assert set(status["accuracy"]["heuristic"]) >= {"acne", "wrinkles"}
    assert httpx.get(hybrid.url + "/version").json()["model"]["sha256"] == status["model"]["sha256"]


def test_what_http_says_is_what_the_engine_says_of_the_crop(hybrid: Server, bundle: Path) -> None:
    photo = decode(PORTRAIT.read_bytes())
    view = drawing.portrait_view()
    (expected,) = OnnxEngine(read(bundle), threads=2).predict([view.crop.pixels])
    concerns = analysed(hybrid).json()["concerns"]
    assert concerns["acne"]["count"] == expected.count
    assert concerns["acne"]["severity"] == expected.severity
    for zone, share in concerns["wrinkles"]["zones"].items():
        assert share is None or share == pytest.approx(expected.wrinkles[zone], abs=2e-3), zone
    assert concerns["wrinkles"]["score"] is not None
    for least in (expected.min_confidence, 0.0):
        shown = [lesion.box for lesion in shown_lesions(view, expected.lesions, least)]
        boxes = boxes_to_photo(view.crop.to_photo, shown, photo.width, photo.height)
        acne = analysed(hybrid, min_confidence=str(least)).json()["concerns"]["acne"]
        assert np.allclose([lesion["box"] for lesion in acne["boxes"]], boxes, atol=0.5)
    assert len(expected.lesions) == 2


def test_answers_do_not_depend_on_the_batch_they_were_in(hybrid: Server) -> None:
    alone = analysed(hybrid).json()["concerns"]
    with ThreadPoolExecutor(16) as clients:
        together = list(clients.map(lambda _: analysed(hybrid).json()["concerns"], range(32)))
    for concerns in together:
        assert concerns["acne"]["count"] == alone["acne"]["count"]
        assert concerns["wrinkles"]["zones"] == pytest.approx(alone["wrinkles"]["zones"], abs=2e-3)


@pytest.mark.long
def test_a_bundle_with_a_flipped_bit_is_not_loaded_and_heuristics_answer(
    tmp_path: Path, bundle: Path, serve: Callable[..., Server]
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    data = bytearray((folder / MODEL).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / MODEL).write_bytes(data)
    server = serve(SHINE_WEIGHTS_URI=str(folder)).wait_for_workers()
    answer: dict[str, Any] = analysed(server).json()
    assert (answer["source"], answer["degraded"], answer["reason"]) == ("heuristic", True, "weights_corrupt")
    assert analysed(server, require="model").status_code == 503
    error = httpx.get(server.url + "/ml/status").json()["last_error"]
    assert error["code"] == "weights_corrupt"
    assert "sha256" in error["message"]
    assert str(tmp_path) not in analysed(server, require="model").text


@pytest.mark.long
def test_figures_that_are_no_json_are_told_as_the_reason_and_heuristics_answer(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    folder = bundles.write(tmp_path / "bundle", metrics=b'{"acne": {"count_mae": {"value": NaN}}}')
    server = serve(SHINE_WEIGHTS_URI=str(folder)).wait_for_workers()
    answer: dict[str, Any] = analysed(server).json()
    assert (answer["source"], answer["degraded"], answer["reason"]) == ("heuristic", True, "weights_corrupt")
    status = httpx.get(server.url + "/ml/status")
    assert status.status_code == 200
    assert "metrics.json" in status.json()["last_error"]["message"]
    assert status.json()["repeatability"]["model"] is None


def test_a_hangup_makes_the_service_look_for_new_weights_without_a_restart(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    folder = bundles.write(tmp_path / "bundle")
    server = serve(SHINE_WEIGHTS_URI=str(folder), SHINE_WEIGHTS_POLL_S="3600").wait_for_workers()
    workers = {name: server.worker(name).pid for name in WORKERS}
    bundles.write(folder, manifest={**bundles.content(), "version": "1.1.0"})
    server.process.send_signal(signal.SIGHUP)
    until(lambda: analysed(server).json()["model"]["version"] == "1.1.0", 20, "the new version")
    assert {name: server.worker(name).pid for name in WORKERS} == workers
