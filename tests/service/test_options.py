"""The options of requests, /quality, outlines, maps and pictures, over HTTP in phase simple."""

import base64
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests import drawing
from tests.server import Server
from tests.service.expect import (
    CONCERNS,
    encoded,
    grey_of,
    is_analysis,
    is_error,
    is_error_body,
    is_quality_answer,
)

SIDE = 900
WALL = encoded(Image.new("RGB", (300, 200), (90, 110, 130)), "PNG")
PATHS = {"/analyze": "image", "/quality": "image", "/analyze_batch": "images", "/overlay": "image"}


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def spotted() -> bytes:
    """The portrait, magnified, with lesions drawn in."""
    pixels, _, landmarks = drawing.portrait(SIDE)
    return encoded(Image.fromarray(drawing.lesions(pixels, landmarks, count=14).pixels), "JPEG", quality=95)


def analysed(client: httpx.Client, photo: bytes, include: tuple[str, ...] = (), **data: str) -> dict[str, Any]:
    if include:
        data["include"] = ",".join(include)
    answer = client.post("/analyze", files={"image": photo}, data=data)
    assert answer.status_code == 200, answer.text
    return is_analysis(answer.json(), include=include)


def drawn(client: httpx.Client, photo: bytes, **data: str) -> NDArray[np.uint8]:
    answer = client.post("/overlay", files={"image": photo}, data=data)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    with Image.open(BytesIO(answer.content)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return np.asarray(picture)


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["confidence", "min-confidence", "Require", "size", "overlay", "include[]"])
def test_an_unknown_field_is_refused_by_its_name(client: httpx.Client, path: str, name: str) -> None:
    answer = client.post(path, files={PATHS[path]: WALL}, data={name: "1"})
    error = is_error(answer, 400, "bad_request")
    assert f"'{name}'" in error["message"]
    assert PATHS[path] in error["hint"]


def test_an_unknown_field_of_json_is_refused_by_its_name(client: httpx.Client) -> None:
    body = {"image": base64.b64encode(WALL).decode(), "min_confidense": 0.5}
    error = is_error(client.post("/analyze_base64", json=body), 400, "bad_request")
    assert "'min_confidense'" in error["message"]
    assert "'min_confidence'" in error["hint"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *(("/quality", name) for name in ("require", "include", "min_confidence")),
        *(("/analyze", name) for name in ("layers", "width")),
        *(("/analyze_batch", name) for name in ("include", "legend")),
    ],
)
def test_an_option_of_another_endpoint_is_refused_by_its_name(client: httpx.Client, path: str, name: str) -> None:
    error = is_error(client.post(path, files={PATHS[path]: WALL}, data={name: "model"}), 400, "bad_request")
    assert f"'{name}'" in error["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("min_confidence", value) for value in ("2", "-1", "NaN", "much")),
        *(("include", value) for value in ("foo", "outlines;maps")),
        *(("width", value) for value in ("-3", "1e9")),
        *(("legend", "maybe"), ("layers", "boxes,hair"), ("require", "heuristic")),
    ],
)
def test_a_wrong_value_is_refused_by_the_options_name(client: httpx.Client, name: str, value: str) -> None:
    error = is_error(client.post("/overlay", files={"image": WALL}, data={name: value}), 400, "bad_request")
    assert f"'{name}'" in error["message"]
    assert f"{name}=" in error["hint"]


@pytest.mark.parametrize(("name", "value"), [("min_confidence", "0.5"), ("include", "maps"), ("include", [1])])
def test_a_wrong_type_in_json_is_refused_by_the_options_name(client: httpx.Client, name: str, value: Any) -> None:
    body = {"image": base64.b64encode(WALL).decode(), name: value}
    assert f"'{name}'" in is_error(client.post("/analyze_base64", json=body), 400, "bad_request")["message"]


def test_a_field_that_is_sent_twice_is_refused_by_its_name(client: httpx.Client) -> None:
    data = {"include": ["maps", "outlines"]}
    error = is_error(client.post("/analyze", files={"image": WALL}, data=data), 400, "bad_request")
    assert "'include'" in error["message"]


@pytest.mark.parametrize("name", ["require", "min_confidence", "include", "layers", "legend", "width"])
def test_an_option_in_the_query_is_refused_by_its_name(client: httpx.Client, name: str) -> None:
    answer = client.post("/overlay", params={name: "1"}, files={"image": WALL})
    assert f"'{name}'" in is_error(answer, 400, "bad_request")["message"]


def test_other_names_in_the_query_are_ignored(client: httpx.Client) -> None:
    assert client.post("/analyze", params={"required": "1", "v": "2"}, files={"image": WALL}).status_code == 200


# --- min_confidence -------------------------------------------------------------------------------------------------


def test_the_least_confidence_changes_the_boxes_alone(client: httpx.Client, spotted: bytes) -> None:
    usual = analysed(client, spotted)["concerns"]["acne"]
    every = analysed(client, spotted, min_confidence="0")["concerns"]["acne"]
    assert len(every["boxes"]) > len(usual["boxes"]) > 0
    assert {**every, "boxes": []} == {**usual, "boxes": []}
    confidences = [box["confidence"] for box in every["boxes"]]
    least = sorted(confidences)[len(confidences) // 2]
    some = analysed(client, spotted, min_confidence=str(least))["concerns"]["acne"]["boxes"]
    assert some == [box for box in every["boxes"] if box["confidence"] >= least]
    assert analysed(client, spotted, min_confidence="1")["concerns"]["acne"]["boxes"] == []
    body = {"image": base64.b64encode(spotted).decode(), "min_confidence": least}
    assert client.post("/analyze_base64", json=body).json()["concerns"]["acne"]["boxes"] == some
    batch = client.post("/analyze_batch", files=[("images", spotted)], data={"min_confidence": str(least)})
    assert batch.json()["results"][0]["concerns"]["acne"]["boxes"] == some


def test_boxes_lie_on_the_face(client: httpx.Client, spotted: bytes) -> None:
    answer = analysed(client, spotted, ("outlines",), min_confidence="0")
    outline = np.array(answer["outlines"]["face"])
    middle = (outline.min(axis=0) + outline.max(axis=0)) / 2
    reach = np.ptp(outline, axis=0) * 0.56
    for box in answer["concerns"]["acne"]["boxes"]:
        x, y, width, height = box["box"]
        assert (np.abs(np.array([x + width / 2, y + height / 2]) - middle) < reach).all(), box


# --- outlines and maps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("include", [(), ("outlines",), ("maps",), ("outlines", "maps")])
def test_what_is_asked_for_is_there_and_nothing_else(
    client: httpx.Client, portrait: bytes, include: tuple[str, ...]
) -> None:
    plain = analysed(client, portrait)
    answer = analysed(client, portrait, include)
    assert answer["concerns"] == plain["concerns"]


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_outlines_and_maps_lie_on_a_photo_that_is_turned(client: httpx.Client, degrees: int) -> None:
    pixels, _, _ = drawing.portrait(SIDE)
    upright = analysed(client, drawing.png(pixels), ("outlines", "maps"))
    turned = analysed(client, drawing.png(np.rot90(pixels, degrees // 90)), ("outlines", "maps"))
    assert turned["image"]["turned_degrees"] == degrees
    for name in ("nose", "chin", "cheek_left"):
        place = np.mean(turned["outlines"][name], axis=0) / SIDE - 0.5
        for _ in range(degrees // 90):
            place = np.array([-place[1], place[0]])  # a quarter clockwise, back to upright
        expected = np.mean(upright["outlines"][name], axis=0) / SIDE - 0.5
        assert np.abs(place - expected).max() < 0.02, name
    for name in ("redness", "shine"):
        there = grey_of(turned["maps"][name])
        back = np.rot90(there, -degrees // 90).astype(int)
        same = grey_of(upright["maps"][name]).astype(int)
        assert np.corrcoef(back.ravel(), same.ravel())[0, 1] > 0.8, name


def test_a_wall_has_neither_outlines_nor_maps_nor_findings(client: httpx.Client) -> None:
    answer = analysed(client, WALL, ("outlines", "maps"))
    assert answer["face"] is None
    assert answer["tone"] is None
    assert set(answer["outlines"].values()) == {None}
    for name in CONCERNS:
        assert answer["concerns"][name]["score"] is None
        assert answer["concerns"][name]["reason"] in ("no_face", "no_skin")
        assert answer["maps"][name] is None


def test_a_batch_takes_the_least_confidence_and_fails_item_by_item(client: httpx.Client, portrait: bytes) -> None:
    files = [("images", portrait), ("images", b"no photo"), ("images", WALL)]
    answer = client.post("/analyze_batch", files=files, data={"min_confidence": "0.2"})
    first, second, third = answer.json()["results"]
    is_analysis(first)
    assert is_error_body(second, 415, None)["code"] == "image_format_unsupported"
    assert is_analysis(third)["face"] is None


# --- /quality -------------------------------------------------------------------------------------------------------


def test_quality_says_of_a_photo_what_the_analysis_says(client: httpx.Client, portrait: bytes) -> None:
    for photo in (portrait, WALL):
        answer = client.post("/quality", files={"image": photo})
        assert answer.status_code == 200, answer.text
        body = is_quality_answer(answer.json())
        analysis = analysed(client, photo)
        for name in ("image", "quality", "advice", "face"):
            assert body[name] == analysis[name], name
        assert answer.headers["x-request-id"] == body["request_id"]
        assert not {"x-analysis-source", "x-degraded"} & answer.headers.keys()


def test_quality_asks_no_runner_and_counts_as_no_answer(client: httpx.Client, portrait: bytes) -> None:
    def counted(name: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    names = ("shine_answers_total{", 'bentoml_service_request_total{endpoint="/measure"')
    before, asked = [counted(name) for name in names], counted('shine_requests_total{degraded="",endpoint="/quality"')
    for _ in range(3):
        assert client.post("/quality", files={"image": portrait}).status_code == 200
    assert [counted(name) for name in names] == before
    assert counted('shine_requests_total{degraded="",endpoint="/quality"') == asked + 3


def test_quality_takes_one_photo(client: httpx.Client, portrait: bytes) -> None:
    is_error(client.post("/quality", files=[("image", portrait)] * 2), 400, "bad_request")
    is_error(client.post("/quality", files={"images": portrait}), 400, "image_missing")
    is_error(client.post("/quality", json={"image": ""}), 415, "content_type_unsupported")
    is_error(client.get("/quality"), 405, "method_not_allowed")


def test_what_is_not_judged_is_counted_by_its_reason(client: httpx.Client) -> None:
    analysed(client, WALL)
    lines = client.get("/metrics").text.splitlines()
    for name in CONCERNS:
        assert any(f'shine_concern_unjudged_total{{concern="{name}",reason="no_' in line for line in lines), name


# --- pictures -------------------------------------------------------------------------------------------------------


def test_a_picture_is_as_wide_as_asked_with_and_without_a_legend(client: httpx.Client, portrait: bytes) -> None:
    bare = drawn(client, portrait, legend="false", width="500")
    assert bare.shape == (500, 500, 3)
    with_legend = drawn(client, portrait, width="500")
    assert with_legend.shape[1] == 500
    assert with_legend.shape[0] > 900
    assert drawn(client, portrait, legend="false").shape == (1200, 1200, 3)


def test_layers_change_what_is_drawn(client: httpx.Client, portrait: bytes) -> None:
    def photo_with(**data: str) -> NDArray[np.uint8]:
        return drawn(client, portrait, legend="false", width="512", **data).astype(np.int16)

    usual, named = photo_with(), photo_with(layers="boxes,zones")
    np.testing.assert_array_equal(usual, named)
    plain = np.asarray(Image.open(BytesIO(portrait)).convert("RGB")).astype(np.int16)
    pictures = {layer: photo_with(layers=layer) for layer in ("boxes", "zones", *CONCERNS)}
    for layer, picture in pictures.items():
        changed = np.argwhere((np.abs(picture - plain) > 12).any(axis=2))
        if layer != "acne":  # of which there may be nothing to see
            assert len(changed), layer
            assert (changed.min(axis=0) > (20, 140)).all(), layer
            assert (changed.max(axis=0) < (240, 310)).all(), layer
    assert (pictures["redness"] != pictures["shine"]).any()


def test_a_wall_is_drawn_with_every_layer(client: httpx.Client) -> None:
    layers = ",".join(("boxes", "zones", *CONCERNS))
    picture = drawn(client, WALL, layers=layers, legend="false", width="300")
    assert (picture == (90, 110, 130)).all()
    assert drawn(client, WALL, layers=layers).shape[1] >= 1200
