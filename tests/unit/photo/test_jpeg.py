"""A JPEG that is damaged inside is refused, and an intact one never: libjpeg's warnings decide."""

import random
import shutil
import struct
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bentos.skin.errors import ImageUnreadable
from bentos.skin.photo.decode import decode
from tests.unit.photo.test_decode import ASTRONAUT, assert_close, encoded

PHOTO = Image.open(ASTRONAUT).convert("RGB")
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "optimized": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 4},
    "progressive-restarts": {"progressive": True, "restart_marker_blocks": 16},
    "444": {"subsampling": 0, "quality": 95},
    "422": {"subsampling": 1},
    "grey": {},
    "cmyk": {},
    "coarse": {"quality": 10},
}


def jpeg(kind: str, image: Image.Image = PHOTO) -> bytes:
    mode = {"grey": "L", "cmyk": "CMYK"}.get(kind, "RGB")
    return encoded(image.convert(mode), "JPEG", **{"quality": 85, **KINDS[kind]})


def scans(data: bytes) -> tuple[int, int]:
    """Where the coded data begin and end."""
    start = data.index(b"\xff\xda")
    return start + 2 + struct.unpack_from(">H", data, start + 2)[0], data.rindex(b"\xff\xd9")


def is_refused(data: bytes) -> None:
    with pytest.raises(ImageUnreadable):
        decode(data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_data_that_end_early_are_damage_though_the_end_marker_is_there(kind: str, share: float) -> None:
    data = jpeg(kind)
    start, end = scans(data)
    cut = start + int((end - start) * share)
    is_refused(data[: cut - (data[cut - 1] == 0xFF)] + b"\xff\xd9")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "progressive" not in kind])
@pytest.mark.parametrize("filling", ["nothing", "zeros"])
def test_a_hole_in_the_data_is_damage(kind: str, filling: str) -> None:
    data = jpeg(kind)
    start, end = scans(data)
    chance = random.Random(7)
    for _ in range(5):
        at, size = chance.randrange(start, (start + end) // 2), chance.randrange(1000, 3000)
        is_refused(data[:at] + bytes(size if filling == "zeros" else 0) + data[at + size :])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "progressive" not in kind])
def test_a_header_that_claims_more_rows_or_half_of_them_is_damage(kind: str) -> None:
    for rows in (1024, 700, 200):
        data = bytearray(jpeg(kind))
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 7] = struct.pack(">H", rows)
        is_refused(bytes(data))


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_left_over_before_the_end_are_no_damage(kind: str) -> None:
    data = jpeg(kind)
    expected = decode(data).pixels
    for left_over in (b"\0", bytes(15), b"\xff" * 40, random.Random(1).randbytes(300).replace(b"\xff", b"\1")):
        np.testing.assert_array_equal(decode(data[:-2] + left_over + b"\xff\xd9").pixels, expected)


def test_bytes_left_over_before_a_restart_are_no_damage() -> None:
    data = jpeg("restarts")
    at = data.index(b"\xff\xd0", scans(data)[0])
    np.testing.assert_array_equal(decode(data[:at] + bytes(3) + data[at:]).pixels, decode(data).pixels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(512, 512), (513, 511), (67, 301)])
def test_pixels_are_those_of_pillow(kind: str, size: tuple[int, int]) -> None:
    data = jpeg(kind, PHOTO.resize(size))
    with Image.open(BytesIO(data)) as image:
        assert_close(decode(data).pixels, image, 0)


def cjpeg(*options: str, size: int = 512) -> bytes:
    """A JPEG by libjpeg-turbo's own program."""
    if shutil.which("cjpeg") is None:
        pytest.skip("cjpeg is not installed (libjpeg-turbo-progs)")
    source = encoded(PHOTO.resize((size, size)), "PPM")
    return subprocess.run(["cjpeg", *options], input=source, capture_output=True, check=True, timeout=60).stdout


@pytest.mark.parametrize(
    "options",
    [
        ("-arithmetic", "-quality", "97"),
        ("-arithmetic", "-progressive", "-quality", "97"),
        ("-progressive", "-optimize"),
        ("-sample", "1x2"),
        ("-restart", "1"),
        ("-grayscale",),
        ("-rgb",),
    ],
)
def test_what_other_encoders_write_is_read(options: tuple[str, ...]) -> None:
    data = cjpeg(*options, size=640)
    if "97" in options:
        assert len(data) > 1 << 16  # more than Pillow's decoder gets at a time
    pixels = decode(data).pixels
    reference = PHOTO.resize((640, 640))
    assert_close(pixels, reference.convert("L").convert("RGB") if "-grayscale" in options else reference, 6)


def test_a_file_in_arithmetic_code_is_among_the_tests_photos() -> None:
    """Where cjpeg is not installed too."""
    data = (Path(__file__).parent / "arithmetic.jpg").read_bytes()
    assert len(data) > 1 << 16
    assert_close(decode(data).pixels, PHOTO.resize((400, 400)), 3)
