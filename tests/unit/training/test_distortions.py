"""Photos are distorted as specified, and their boxes stay on what they mark."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from training.distortions import CAST, DISTORTIONS, LIGHTS, distort

BOX = np.array([[40.0, 100.0, 20.0, 20.0]])


def photo() -> bytes:
    """Draw a grey photo with a red square at BOX."""
    pixels = np.full((160, 240, 3), 100, np.uint8)
    pixels[100:120, 40:60] = (200, 40, 40)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", DISTORTIONS)
def test_the_box_stays_on_what_it_marks(name: str) -> None:
    data, boxes = distort(DISTORTIONS[name], photo(), BOX)
    pixels = np.asarray(Image.open(BytesIO(data))).astype(int)
    red = pixels[..., 0] - pixels[..., 1] > 60
    rows, columns = np.nonzero(red)
    x, y, width, height = boxes[0]
    assert columns.mean() + 0.5 == pytest.approx(x + width / 2, abs=0.7)
    assert rows.mean() + 0.5 == pytest.approx(y + height / 2, abs=0.7)
    assert red.sum() == pytest.approx(width * height, rel=0.15)


def test_a_stop_doubles_or_halves_the_light() -> None:
    means = {}
    for name in ("stop_up", "stop_down"):
        pixels = np.asarray(Image.open(BytesIO(distort(DISTORTIONS[name], photo(), BOX)[0]))) / 255
        means[name] = float((((pixels[0, 0, 0]) + 0.055) / 1.055) ** 2.4)
    before = ((100 / 255 + 0.055) / 1.055) ** 2.4
    assert means["stop_up"] == pytest.approx(2 * before, rel=0.03)
    assert means["stop_down"] == pytest.approx(before / 2, rel=0.03)


def first_pixel(name: str) -> list[int]:
    return list(Image.open(BytesIO(distort(LIGHTS[name], photo(), BOX)[0])).getpixel((0, 0)))  # type: ignore[arg-type]


def test_a_cast_changes_one_channel_by_its_share_in_light_or_in_code_values() -> None:
    assert first_pixel("blue_more_blue_code") == [100, 100, round(100 * (1 + CAST))]
    assert first_pixel("blue_less_red_code") == [round(100 * (1 - CAST)), 100, 100]
    red, green, blue = first_pixel("warm_more_red_light")
    assert (green, blue) == (100, 100)
    assert ((red / 255 + 0.055) / 1.055) ** 2.4 == pytest.approx(
        (1 + CAST) * ((100 / 255 + 0.055) / 1.055) ** 2.4, 0.01
    )
    assert len({tuple(first_pixel(name)) for name in LIGHTS}) == len(LIGHTS) == 10


def test_half_the_size_is_half_the_size_and_rotation_loses_no_corner() -> None:
    halved, boxes = distort(DISTORTIONS["half_size"], photo(), BOX)
    assert Image.open(BytesIO(halved)).size == (120, 80)
    assert boxes.tolist() == [[20, 50, 10, 10]]
    rotated = Image.open(BytesIO(distort(DISTORTIONS["turned"], photo(), BOX)[0]))
    assert rotated.width > 240
    assert rotated.height > 160


def test_no_boxes_stay_no_boxes() -> None:
    for distortion in DISTORTIONS.values():
        assert distort(distortion, photo(), np.empty((0, 4)))[1].shape == (0, 4)
