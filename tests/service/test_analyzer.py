"""`Analyzer` finds in its own process what the endpoints answer: over more than fifty pictures, to the last digit."""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from bentos.skin import Analyzer, errors
from bentos.skin.schema import Analysis
from tests.altered import TABLE, astronaut
from tests.server import Server
from tests.service.expect import encoded

OF_THE_REQUEST = {"request_id", "timing_ms"}
AT_LEAST = 50  # pictures in all
EVERY = 6  # so many of them are compared each time


@pytest.fixture(scope="module")
def hybrid(serve_shared: Callable[..., Server]) -> Iterator[httpx.Client]:
    """A client of a service with the weights of this package."""
    server = serve_shared(SHINE_PHASE="hybrid").wait_for_workers()
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


def pictures(every: int) -> list[bytes]:
    """Portraits altered in every way, and pictures of nothing: each one, or each so many-th."""
    assert len(TABLE) >= AT_LEAST
    return [encoded(Image.fromarray(row.draw(astronaut()).pixels), "PNG", compress_level=1) for row in TABLE[::every]]


def kept(analysis: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in analysis.items() if name not in OF_THE_REQUEST}


def answered(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return kept(response.json())


@pytest.mark.parametrize("every", [EVERY, pytest.param(1, marks=pytest.mark.long)])
def test_pictures_have_equal_findings(hybrid: httpx.Client, analyzer: Analyzer, every: int) -> None:
    drawn = pictures(every)
    over_http = [answered(hybrid.post("/analyze", files={"image": picture})) for picture in drawn]
    found = list(analyzer.analyze_many(drawn))
    assert all(isinstance(analysis, Analysis) for analysis in found)
    assert [kept(analysis.model_dump(mode="json")) for analysis in found if isinstance(analysis, Analysis)] == over_http


def test_so_have_options(hybrid: httpx.Client, analyzer: Analyzer, portrait: bytes) -> None:
    data = {"require": "model", "min_confidence": "0.1", "include": "outlines,maps"}
    over_http = answered(hybrid.post("/analyze", files={"image": portrait}, data=data))
    found = analyzer.analyze(portrait, require="model", min_confidence=0.1, include=["outlines", "maps"])
    assert kept(found.model_dump(mode="json")) == over_http
    heat = analyzer.maps(portrait)
    assert {name for name, picture in heat.pictures.items() if picture is None} == {
        name for name, url in over_http["maps"].items() if url is None
    }
    assert list(heat.box) == over_http["maps"]["box"]


def test_so_have_quality_and_overlay(hybrid: httpx.Client, analyzer: Analyzer, portrait: bytes) -> None:
    asked = hybrid.post("/quality", files={"image": portrait})
    assert kept(analyzer.quality(portrait).model_dump(mode="json")) == answered(asked)
    form = {"layers": "boxes,redness", "width": "600"}
    drawn = hybrid.post("/overlay", files={"image": portrait}, data=form).content
    own = analyzer.overlay(portrait, layers=["boxes", "redness"], width=600)
    with Image.open(BytesIO(drawn)) as theirs, Image.open(BytesIO(own)) as ours:
        assert np.array_equal(np.asarray(theirs), np.asarray(ours))


@pytest.mark.parametrize("content", [b"", b"GIF89a" + bytes(90), b"<html></html>"])
def test_errors_have_the_same_codes(hybrid: httpx.Client, analyzer: Analyzer, content: bytes) -> None:
    refused = hybrid.post("/analyze", files={"image": content})
    with pytest.raises(errors.ShineError) as raised:
        analyzer.analyze(content)
    assert (raised.value.status, raised.value.code) == (refused.status_code, refused.json()["error"]["code"])
    assert raised.value.message == refused.json()["error"]["message"]


def test_without_weights_answers_are_marked_alike(unweighted: Server, portrait: bytes, tmp_path: Any) -> None:
    over_http = answered(httpx.post(unweighted.url + "/analyze", files={"image": portrait}, timeout=60))
    analyzer = Analyzer(tmp_path)
    found = analyzer.analyze(portrait)
    assert (found.source, found.degraded, found.reason) == ("heuristic", True, "weights_missing")
    assert kept(found.model_dump(mode="json")) == over_http
    assert analyzer.status.state == "degraded"
    with pytest.raises(errors.ModelUnavailable):
        analyzer.analyze(portrait, require="model")
