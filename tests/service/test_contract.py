"""Every endpoint as the contract has it, in phase simple; BentoML's own client too."""

import base64
import codecs
import gzip
import json
import warnings
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import Image

from bentos.skin.schema import HeuristicLimits
from tests.server import PORTRAIT, Server
from tests.service.expect import (
    JSON,
    encoded,
    is_analysis,
    is_error,
    is_error_body,
    is_quality_answer,
    turned,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of BentoML's own imports
    from bentoml import SyncHTTPClient
    from bentoml.exceptions import InvalidArgument, ServiceUnavailable


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def picture(portrait: bytes) -> Image.Image:
    """Not square, so that sides cannot be confused: 400 × 512."""
    return Image.open(BytesIO(portrait)).convert("RGB").crop((0, 0, 400, 512))


def analysis_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == JSON
    return is_analysis(answer.json())


# --- photos ---------------------------------------------------------------------------------------------------------


def test_a_photo_is_analysed(client: httpx.Client, portrait: bytes) -> None:
    answer = client.post("/analyze", files={"image": portrait})
    analysis = analysis_of(answer)
    assert analysis["image"] == {"width": 512, "height": 512, "format": "PNG", "turned_degrees": 0}
    assert analysis["model"] is None
    assert analysis["reason"] == "model_disabled"
    assert analysis["degraded"] is False
    assert answer.headers["x-analysis-source"] == "heuristic"
    assert answer.headers["x-degraded"] == "false"
    assert answer.headers["x-request-id"] == analysis["request_id"]


def test_the_face_is_found_where_it_is(client: httpx.Client, portrait: bytes) -> None:
    x, y, w, h = analysis_of(client.post("/analyze", files={"image": portrait}))["face"]["box"]
    assert 150 < x + w / 2 < 290
    assert 60 < y + h / 2 < 190
    assert 60 < w < 180


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_content_decides_the_format(client: httpx.Client, picture: Image.Image, format: str) -> None:
    file = ("photo.gif", encoded(picture, format), "text/plain")
    assert analysis_of(client.post("/analyze", files={"image": file}))["image"] == {
        "width": 400,
        "height": 512,
        "format": format,
        "turned_degrees": 0,
    }


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_and_size_are_those_of_the_upright_photo(
    client: httpx.Client, picture: Image.Image, orientation: int
) -> None:
    upright = analysis_of(client.post("/analyze", files={"image": turned(picture, 1)}))
    analysis = analysis_of(client.post("/analyze", files={"image": turned(picture, orientation)}))
    assert analysis["image"] == {"width": 400, "height": 512, "format": "JPEG", "turned_degrees": 0}
    np.testing.assert_allclose(analysis["face"]["box"], upright["face"]["box"], atol=6)


def test_boxes_of_a_face_at_the_edge_stay_inside(client: httpx.Client, portrait: bytes) -> None:
    cut = Image.open(BytesIO(portrait)).convert("RGB").crop((200, 60, 330, 215))
    analysis_of(client.post("/analyze", files={"image": encoded(cut, "JPEG")}))


def test_a_photo_without_a_face_says_so(client: httpx.Client) -> None:
    wall = encoded(Image.new("RGB", (300, 200), (90, 110, 130)), "PNG")
    analysis = analysis_of(client.post("/analyze", files={"image": wall}))
    assert analysis["face"] is None
    assert "no_face" in analysis["quality"]["issues"]


def test_the_same_photo_gets_the_same_findings(client: httpx.Client, portrait: bytes) -> None:
    first, second = (analysis_of(client.post("/analyze", files={"image": portrait})) for _ in range(2))
    for changing in ("request_id", "timing_ms"):
        del first[changing], second[changing]
    assert first == second


@pytest.mark.parametrize(
    "form", ["plain", "unpadded", "lines", "crlf", "url_safe", "data_url", "data_url_after_break", "data_url_percent"]
)
def test_base64_gets_the_findings_of_the_file(client: httpx.Client, picture: Image.Image, form: str) -> None:
    photo = encoded(picture, "JPEG", quality=90)
    photo += b"\0" * (-len(photo) % 3 + 1)  # so that there is padding to leave out
    text = base64.b64encode(photo).decode()
    assert text.endswith("==")
    image = {
        "plain": text,
        "unpadded": text.rstrip("="),
        "lines": base64.encodebytes(photo).decode(),
        "crlf": base64.encodebytes(photo).decode().replace("\n", "\r\n"),
        "url_safe": base64.urlsafe_b64encode(photo).decode(),
        "data_url": "data:image/jpeg;base64," + text,
        "data_url_after_break": "\n data:image/jpeg;base64," + text,
        "data_url_percent": "data:image/jpeg;base64," + quote(text, safe=""),
    }[form]
    analysis = analysis_of(client.post("/analyze_base64", json={"image": image}))
    assert analysis["concerns"] == analysis_of(client.post("/analyze", files={"image": photo}))["concerns"]


def test_a_compressed_request_gets_the_findings_of_the_file(client: httpx.Client, picture: Image.Image) -> None:
    photo = encoded(picture.resize((200, 256)), "JPEG")
    expected = analysis_of(client.post("/analyze", files={"image": photo}))["concerns"]
    body = codecs.BOM_UTF8 + json.dumps({"image": base64.b64encode(photo).decode()}).encode()
    form = httpx.Request("POST", "http://shine", files={"image": photo})
    sent = [("/analyze_base64", "application/json", body), ("/analyze", form.headers["content-type"], form.read())]
    for path, content_type, plain in sent:
        for coding, packed in (("identity", plain), ("gzip", gzip.compress(plain)), ("deflate", zlib.compress(plain))):
            headers = {"content-type": content_type, "content-encoding": coding}
            assert analysis_of(client.post(path, content=packed, headers=headers))["concerns"] == expected, (
                path,
                coding,
            )


def test_a_batch_is_answered_in_the_order_sent_and_one_bad_photo_fails_alone(
    client: httpx.Client, picture: Image.Image
) -> None:
    sizes = [(400, 512), (200, 256), (100, 128)]
    photos = [encoded(picture.resize(size), "JPEG") for size in sizes]
    files = [("images", photo) for photo in (photos[0], b"no photo", photos[1], b"", photos[2])]
    answer = client.post("/analyze_batch", files=files)
    assert answer.status_code == 200
    assert answer.json().keys() == {"results"}
    results = answer.json()["results"]
    assert [is_analysis(results[i])["image"]["width"] for i in (0, 2, 4)] == [400, 200, 100]
    request_id = answer.headers["x-request-id"]
    assert is_error_body(results[1], 415, request_id)["code"] == "image_format_unsupported"
    assert is_error_body(results[3], 422, request_id)["code"] == "image_unreadable"
    assert answer.headers["x-analysis-source"] == "heuristic"
    assert answer.headers["x-degraded"] == "false"


def test_a_batch_of_sixteen_is_answered(client: httpx.Client, picture: Image.Image) -> None:
    photo = encoded(picture.resize((100, 128)), "JPEG")
    answer = client.post("/analyze_batch", files=[("images", photo)] * 16)
    results = answer.json()["results"]
    assert len(results) == 16
    for result in results:
        if "error" in result:  # a busy machine may need longer for 16 than a request has
            assert is_error_body(result, 504, answer.headers["x-request-id"])["code"] == "timeout"
        else:
            is_analysis(result)
    assert "error" not in results[0]


def test_the_overlay_is_a_picture_of_the_upright_photo(client: httpx.Client, picture: Image.Image) -> None:
    answer = client.post("/overlay", files={"image": turned(picture, 6)})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-analysis-source"] == "heuristic"
    assert answer.headers["x-degraded"] == "false"
    with Image.open(BytesIO(answer.content)) as drawn:
        assert drawn.format == "PNG"
        drawn.load()
        assert drawn.width >= 400
        assert drawn.height >= 512


@pytest.mark.parametrize("path", ["/analyze", "/overlay"])
def test_a_required_model_that_is_off_is_503(client: httpx.Client, portrait: bytes, path: str) -> None:
    answer = client.post(path, files={"image": portrait}, data={"require": "model"})
    assert "model_disabled" in is_error(answer, 503, "model_unavailable")["message"]
    assert "x-analysis-source" not in answer.headers


def test_a_required_model_in_json_is_503(client: httpx.Client, portrait: bytes) -> None:
    image = base64.b64encode(portrait).decode()
    is_error(client.post("/analyze_base64", json={"image": image, "require": "model"}), 503, "model_unavailable")
    analysis_of(client.post("/analyze_base64", json={"image": image, "require": None}))


def test_a_required_model_in_a_batch_is_an_error_per_item(client: httpx.Client, portrait: bytes) -> None:
    files = [("images", portrait), ("images", b""), ("images", portrait)]
    answer = client.post("/analyze_batch", files=files, data={"require": "model"})
    assert answer.status_code == 200
    codes = [
        is_error_body(result, status, answer.headers["x-request-id"])["code"]
        for result, status in zip(answer.json()["results"], (503, 422, 503), strict=True)
    ]
    assert codes == ["model_unavailable", "image_unreadable", "model_unavailable"]


# --- everything else ------------------------------------------------------------------------------------------------


def test_health_says_ok_and_how_long(client: httpx.Client) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"status", "phase", "uptime_s"}
    assert body["status"] == "ok"
    assert body["phase"] == "simple"
    assert 0 < body["uptime_s"] <= client.get("/health").json()["uptime_s"]


def test_ready_without_a_model_that_nobody_asked_for(client: httpx.Client) -> None:
    answer = client.get("/ready")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "state": "disabled", "reason": None}


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_bentoml_probes_agree(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


def test_ml_status_tells_the_whole_truth(client: httpx.Client, portrait: bytes) -> None:
    before = client.get("/ml/status").json()
    assert before.keys() >= {
        "state", "phase", "policy", "landmarks", "model", "attempts", "last_error", "next_retry_s", "breaker",
        "answers", "batching", "accuracy", "repeatability",
    }  # fmt: skip
    assert before["state"] == "disabled"
    assert before["phase"] == "simple"
    assert before["landmarks"] is True
    assert before["model"] is None
    assert before["attempts"] == 0
    assert before["last_error"] is None
    assert before["next_retry_s"] is None
    assert before["breaker"] == "closed"
    assert before["answers"].keys() == {"model", "heuristic", "refused"}
    assert before["batching"].keys() == {"max_batch_size", "max_latency_ms", "mean_batch"}
    assert before["accuracy"].keys() == {"model", "heuristic"}
    assert before["accuracy"]["model"] is None
    assert isinstance(before["accuracy"]["heuristic"], dict)
    assert before["repeatability"]["model"] is None
    assert before["repeatability"]["heuristic"].keys() == set(HeuristicLimits.model_fields)
    assert all(type(limit) is int and limit > 0 for limit in before["repeatability"]["heuristic"].values())
    client.post("/analyze", files={"image": portrait})
    client.post("/analyze", files={"image": portrait}, data={"require": "model"})
    after = client.get("/ml/status").json()["answers"]
    assert after["heuristic"] >= before["answers"]["heuristic"] + 1
    assert after["refused"] >= before["answers"]["refused"] + 1
    assert after["model"] == 0


def test_version_says_what_runs(client: httpx.Client) -> None:
    body = client.get("/version").json()
    assert body.keys() == {"service", "version", "revision", "bento", "phase", "model", "schema_version"}
    assert body["service"] == "shine"
    assert body["version"] == "1.0.0"
    assert body["phase"] == "simple"
    assert body["model"] is None
    assert body["schema_version"] == 1
    assert body["revision"] is None or len(body["revision"]) == 40


def test_metrics_count_answers_by_source(client: httpx.Client, portrait: bytes) -> None:
    client.post("/analyze", files={"image": portrait})
    text = client.get("/metrics").text
    line = next(line for line in text.splitlines() if line.startswith("shine_answers_total{") and "heuristic" in line)
    assert 'reason="model_disabled"' in line
    assert float(line.rpartition(" ")[2]) >= 1


def test_paths_of_a_scanner_are_not_metric_labels(client: httpx.Client) -> None:
    client.get("/wp-admin/setup.php")
    assert "wp-admin" not in client.get("/metrics").text


def test_docs_json_knows_the_endpoints(client: httpx.Client) -> None:
    paths = client.get("/docs.json").json()["paths"]
    posts = {path for path, item in paths.items() if "post" in item}
    gets = {path for path, item in paths.items() if "get" in item}
    assert posts == {"/analyze", "/quality", "/analyze_base64", "/analyze_batch", "/overlay"}
    assert gets >= {"/health", "/ready", "/ml/status", "/version"}


@pytest.mark.parametrize("path", ["/demo/nothing", "/nothing", "/analyze/x", "/health/x", "/%2e%2e/etc/passwd"])
def test_an_unknown_path_is_404(client: httpx.Client, path: str) -> None:
    is_error(client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/analyze", "POST"), ("PUT", "/overlay", "POST"), ("POST", "/health", "GET"), ("DELETE", "/ready", "GET")],
)
def test_a_wrong_method_is_405_with_the_right_one(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    is_error(answer, 405, "method_not_allowed")
    assert allowed in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/health", "/analyze", "/nothing"])
def test_a_sane_request_id_is_kept(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers={"x-request-id": "trace-7.a_b:c"})
    assert answer.headers["x-request-id"] == "trace-7.a_b:c"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", 'a"b', "a\tb", "\xe9"])
def test_an_insane_request_id_is_replaced(client: httpx.Client, given: str) -> None:
    answer = client.get("/health", headers={b"x-request-id": given.encode("latin-1")})
    assert answer.headers.get_list("x-request-id") == [answer.headers["x-request-id"]]
    assert len(answer.headers["x-request-id"]) == 32
    assert answer.headers["x-request-id"].isalnum()


@pytest.mark.parametrize("path", ["/health", "/nothing"])
def test_no_browser_page_may_read_unless_allowed(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers={"origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers


# --- BentoML's client -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bento_client(server: Server) -> Iterator[SyncHTTPClient]:
    with SyncHTTPClient(server.url) as client:
        yield client
        client._temp_dir.cleanup()  # which it leaves to the garbage collector


def test_bentoml_client_analyses(bento_client: Any) -> None:
    is_analysis(bento_client.analyze(image=PORTRAIT))
    is_analysis(bento_client.analyze(image=PORTRAIT, require=None))


def test_bentoml_client_analyses_base64(bento_client: Any, portrait: bytes) -> None:
    is_analysis(bento_client.analyze_base64(image=base64.b64encode(portrait).decode()))


def test_bentoml_client_analyses_a_batch(bento_client: Any) -> None:
    results = bento_client.analyze_batch(images=[PORTRAIT, PORTRAIT])["results"]
    assert len([is_analysis(result) for result in results]) == 2


def test_bentoml_client_passes_nulls_on(bento_client: Any, tmp_path: Path) -> None:
    wall = tmp_path / "wall.png"
    Image.new("RGB", (300, 200), (90, 110, 130)).save(wall)
    assert is_analysis(bento_client.analyze(image=wall))["face"] is None


def test_bentoml_client_draws_an_overlay(bento_client: Any) -> None:
    with Image.open(Path(bento_client.overlay(image=PORTRAIT))) as drawn:
        assert drawn.format == "PNG"


def test_bentoml_client_requires_the_model(bento_client: Any, portrait: bytes) -> None:
    image = base64.b64encode(portrait).decode()
    calls: list[Callable[[], Any]] = [
        lambda: bento_client.analyze(image=PORTRAIT, require="model"),
        lambda: bento_client.analyze_base64(image=image, require="model"),
        lambda: bento_client.overlay(image=PORTRAIT, require="model"),
    ]
    for call in calls:
        with pytest.raises(ServiceUnavailable, match="model_unavailable"):
            call()


def test_bentoml_client_sees_the_error_of_an_item(bento_client: Any) -> None:
    results = bento_client.analyze_batch(images=[PORTRAIT], require="model")["results"]
    assert [result["error"]["code"] for result in results] == ["model_unavailable"]


def test_bentoml_client_sends_options(bento_client: Any, portrait: bytes) -> None:
    asked: dict[str, Any] = {"min_confidence": 0.0, "require": None}
    for include in ("outlines,maps", "maps, outlines"):
        analysis = bento_client.analyze(image=PORTRAIT, include=include, **asked)
        is_analysis(analysis, include=("outlines", "maps"))
    image = base64.b64encode(portrait).decode()
    is_analysis(bento_client.analyze_base64(image=image, include=["maps"], **asked), include=("maps",))
    is_analysis(bento_client.analyze_base64(image=image, include=None))
    results = bento_client.analyze_batch(images=[PORTRAIT], **asked)["results"]
    assert len([is_analysis(result) for result in results]) == 1
    drawn = bento_client.overlay(image=PORTRAIT, layers="zones,redness", legend=False, width=320, include=None, **asked)
    with Image.open(Path(drawn)) as picture:
        assert picture.size == (320, 320)


def test_bentoml_client_assesses_quality(bento_client: Any) -> None:
    is_quality_answer(bento_client.quality(image=PORTRAIT))


def test_bentoml_client_is_told_of_a_wrong_option(bento_client: Any) -> None:
    with pytest.raises(InvalidArgument, match="min_confidence"):
        bento_client.analyze(image=PORTRAIT, min_confidence=2)
