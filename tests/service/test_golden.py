"""What is drawn into a portrait is found in it: scores rise, and boxes land on it, however the photo is rotated."""

from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests import drawing
from tests.drawing import Drawn
from tests.server import Server

SIDE = 1024  # px; the portrait magnified, so that its face fills the crop
UPRIGHT_TO_STORED = {  # EXIF orientation → how an upright picture is stored under it
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def analysed(server: Server, data: bytes) -> dict[str, Any]:
    response = httpx.post(server.url + "/analyze", files={"image": data}, timeout=30)
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def jpeg(pixels: NDArray[np.uint8], orientation: int = 1) -> bytes:
    image = Image.fromarray(pixels)
    turn = UPRIGHT_TO_STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = BytesIO()
    (image if turn is None else image.transpose(turn)).save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()


@cache
def drawn(draw: Callable[..., Drawn], **options: Any) -> Drawn:
    pixels, _, landmarks = drawing.portrait(SIDE)
    return draw(pixels, landmarks, **options)


@pytest.fixture(scope="module")
def plain(server: Server) -> dict[str, Any]:
    return analysed(server, jpeg(drawing.portrait(SIDE)[0]))


def share_found(drawn_boxes: NDArray[np.float64], boxes: list[list[float]]) -> float:
    """Share of the drawn boxes whose centre lies in a found box."""
    centres = drawn_boxes[:, :2] + drawn_boxes[:, 2:] / 2
    hits = [any(x <= cx <= x + w and y <= cy <= y + h for x, y, w, h in boxes) for cx, cy in centres]
    return sum(hits) / len(hits)


def test_the_plain_portrait_shows_a_calm_young_skin(plain: dict[str, Any]) -> None:
    assert plain["image"] == {"width": SIDE, "height": SIDE, "format": "JPEG", "turned_degrees": 0}
    assert plain["face"]["confidence"] > 0.8
    assert plain["quality"]["issues"] in ([], ["covered"])  # her fringe is at the limit
    assert plain["concerns"]["acne"]["severity"] in ("clear", "mild")
    assert plain["tone"]["group"] in ("very_light", "light", "intermediate")


@pytest.mark.parametrize(
    ("concern", "draw"),
    [
        ("acne", drawing.lesions),
        ("wrinkles", drawing.wrinkles),
        ("redness", drawing.flush),
        ("pigmentation", drawing.patches),
        ("shine", drawing.shine),
        ("texture", drawing.roughness),
    ],
)
def test_a_score_rises_with_what_is_drawn(
    server: Server, plain: dict[str, Any], concern: str, draw: Callable[..., Drawn]
) -> None:
    answer = analysed(server, jpeg(drawn(draw).pixels))["concerns"][concern]
    before = plain["concerns"][concern]
    if answer.get("unseen") == before.get("unseen"):
        assert answer["score"] > before["score"]
    else:  # a drawing over her fringe may change whether the forehead is seen
        seen = set(before["zones"]) - set(before["unseen"]) - set(answer["unseen"])
        assert sum(answer["zones"][zone] - before["zones"][zone] for zone in seen) > 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_land_on_drawn_lesions_however_the_photo_is_stored(server: Server, orientation: int) -> None:
    lesions = drawn(drawing.lesions, count=14)
    answer = analysed(server, jpeg(lesions.pixels, orientation))
    acne = answer["concerns"]["acne"]
    assert share_found(lesions.boxes, [box["box"] for box in acne["boxes"]]) >= 0.6
    assert acne["count"] >= 6
    x, y, width, height = answer["face"]["box"]
    centres = lesions.boxes[:, :2] + lesions.boxes[:, 2:] / 2
    inside = (np.abs(centres - [x + width / 2, y + height / 2]) < [width * 0.75, height * 0.75]).all(axis=1)
    assert inside.all()


def test_the_same_photo_has_the_same_findings_in_png_jpeg_and_base64(server: Server) -> None:
    pixels = drawn(drawing.lesions).pixels
    png, jpg = (analysed(server, data)["concerns"] for data in (drawing.png(pixels), jpeg(pixels)))
    for concern in ("redness", "pigmentation", "shine", "texture", "wrinkles"):
        assert abs(png[concern]["score"] - jpg[concern]["score"]) <= 8
