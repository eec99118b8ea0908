"""Nothing is said of what was not seen: the table of drawn and altered photos, over HTTP."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import pytest
from PIL import Image

from bentos.skin.findings import COLOUR_ZONES, WRINKLE_PARTS
from tests.altered import CONCERNS, NO_LANDMARKS, TABLE, Row, astronaut
from tests.drawing import photo_of, reader
from tests.paint import Altered
from tests.server import Server
from tests.service.expect import encoded, is_analysis

ZONES_OF: dict[str, dict[str, tuple[str, ...]]] = {
    "wrinkles": WRINKLE_PARTS,
    **{name: {zone: (zone,) for zone in COLOUR_ZONES} for name in CONCERNS[2:]},
}
KEYS = {
    "acne": {"score", "reason", "severity", "count", "boxes", "confidence", "source"},
    **{name: {"score", "reason", "zones", "unseen", "confidence", "source"} for name in CONCERNS[1:]},
}
CODES = {
    "no_face",
    "no_skin",
    "no_colour",
    "too_dark",
    "too_bright",
    "too_blurred",
    "too_small",
    "turned_away",
    "covered",
}
CODES |= {"outside_photo"}

# One of each kind; the others are tried in process every time.
QUICK = {
    *("black", "noise", "one colour of skin", "red discs on grey", "checks in colours of skin", "drawing of a face"),
    *("close-up of skin", "as it is", "black and white", "blue cast", "two stops darker", "two stops brighter"),
    *("blurred", "JPEG at quality 10", "64 px", "stored turned by 180", "chin outside", "left half outside"),
    *("two people with a seam", "turned by 35 degrees", "blue mask", "black mask", "sunglasses", "checked scarf"),
    *("checked headscarf", "brown fringe", "black beard", "hand on the left cheek"),
}


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(
    scope="module",
    params=[pytest.param(row, id=row.name, marks=() if row.name in QUICK else pytest.mark.long) for row in TABLE],
)
def drawn(request: pytest.FixtureRequest) -> tuple[Row, Altered, bytes]:
    picture = request.param.draw(astronaut())
    return request.param, picture, encoded(Image.fromarray(picture.pixels), "PNG", compress_level=1)


@pytest.fixture(scope="module")
def analysis(client: httpx.Client, drawn: tuple[Row, Altered, bytes]) -> dict[str, Any]:
    answer = client.post("/analyze", files={"image": drawn[2]})
    assert answer.status_code == 200, answer.text
    return is_analysis(answer.json())


def test_every_concern_is_an_object_with_all_its_keys(analysis: dict[str, Any]) -> None:
    assert analysis["concerns"].keys() == set(CONCERNS)
    for name, concern in analysis["concerns"].items():
        assert concern.keys() == KEYS[name], name
        assert concern["reason"] is None or concern["reason"] in CODES, name
        zones = concern.get("zones", {})
        assert zones.keys() == set(ZONES_OF.get(name, ())), name
        assert {zone for zone, value in zones.items() if value is None} >= concern.get("unseen", {}).keys(), name
        assert set(concern.get("unseen", {}).values()) <= CODES, name
        if concern["reason"] is None:
            assert concern["score"] is not None, name
            continue
        assert concern["score"] is concern["confidence"] is None, name
        assert all(value is None for value in zones.values()), name
        if name == "acne":
            assert concern["severity"] is concern["count"] is None
            assert concern["boxes"] == []


def test_what_was_not_seen_is_null_with_its_reason(drawn: tuple[Row, Altered, bytes], analysis: dict[str, Any]) -> None:
    row, picture, _ = drawn
    landmarks = reader().read(photo_of(picture.pixels)).landmarks
    must, must_not = row.zones(astronaut(), picture, None if landmarks is None else landmarks.points)
    also = NO_LANDMARKS if landmarks is None and row.landmarks is None else frozenset[str]()
    wrong = []
    for name, codes in row.reasons.items():
        if name == "tone":
            wrong += [] if analysis["tone"] is None else ["tone is not null"]
        elif analysis["concerns"][name]["reason"] not in codes | also:
            wrong.append(f"{name} is {analysis['concerns'][name]['reason']}")
    for name in row.judged:
        if analysis["tone"] is None if name == "tone" else analysis["concerns"][name]["reason"] is not None:
            wrong.append(f"{name} is null")
    for name, zones in ZONES_OF.items():
        concern = analysis["concerns"][name]
        if concern["reason"] is not None:
            continue
        for zone, parts in zones.items():
            code = concern["unseen"].get(zone)
            if all(part in must for part in parts) and (
                concern["zones"][zone] is not None
                or code not in frozenset[str]().union(*(must[part] for part in parts))
            ):
                wrong.append(f"{name} of {zone} is {concern['zones'][zone]}, {code}")
            if any(part in must_not for part in parts) and code is not None:
                wrong.append(f"{name} of {zone} is null: {code}")
    if wrong and row.known_failure:
        pytest.xfail(row.known_failure)
    assert not wrong, "; ".join(wrong)
    assert analysis["image"]["turned_degrees"] == row.turned


def test_no_box_lies_on_what_is_not_the_skin_of_this_face(
    drawn: tuple[Row, Altered, bytes], analysis: dict[str, Any]
) -> None:
    _, picture, _ = drawn
    if picture.foreign is None:
        return
    for lesion in analysis["concerns"]["acne"]["boxes"]:
        x, y, width, height = lesion["box"]
        assert not picture.foreign[int(y + height / 2), int(x + width / 2)], lesion


@pytest.mark.long
def test_the_overlay_shows_it(client: httpx.Client, drawn: tuple[Row, Altered, bytes]) -> None:
    answer = client.post("/overlay", files={"image": drawn[2]})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    with Image.open(BytesIO(answer.content)) as image:
        assert image.width >= drawn[1].pixels.shape[1] or image.height >= drawn[1].pixels.shape[0]
