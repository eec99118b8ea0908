"""HEIC and AVIF: turned as the container says, limited by what their data hold, and never trusted."""

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bentos.skin import errors
from bentos.skin.photo import av1
from bentos.skin.photo.decode import ENOUGH_SIDE, decode
from tests.unit.photo.test_decode import PORTRAIT, QUADRANTS, assert_close, encoded, heic

Write = Callable[..., bytes]


def avif(image: Image.Image, **options: object) -> bytes:
    return encoded(image, "AVIF", **options)


BOTH = pytest.mark.parametrize("write", [heic, avif])
CORNERS = ((10, 10), (10, 85), (117, 10), (117, 85))  # of QUADRANTS: y, x
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))


def is_upright(data: bytes) -> None:
    photo = decode(data)
    assert (photo.width, photo.height) == QUADRANTS.size
    assert photo.pixels.shape == (128, 96, 3)
    for corner, expected in zip(CORNERS, COLOURS, strict=True):
        assert np.abs(photo.pixels[corner].astype(int) - expected).max() < 40


def stored(orientation: int) -> Image.Image:
    """QUADRANTS as a camera stores it that is held so."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)
    return QUADRANTS if back is None else QUADRANTS.transpose(Image.Transpose(back))


def exif(orientation: int) -> bytes:
    made = Image.Exif()
    made[0x0112] = orientation
    return made.tobytes()


@BOTH
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_container_says_how_a_photo_is_turned(write: Write, orientation: int) -> None:
    data = write(stored(orientation), exif=exif(orientation))  # both encoders make irot and imir of it
    is_upright(data)


@BOTH
@pytest.mark.parametrize("claimed", [1, 3, 8])
def test_the_containers_turn_wins_over_exif(write: Write, claimed: int) -> None:
    data = bytearray(write(stored(6), exif=exif(6)))
    for order, head in (("<", b"II*\0"), (">", b"MM\0*")):
        at = data.find(head)
        if at >= 0:
            data[at + 18 : at + 20] = struct.pack(order + "H", claimed)
    is_upright(bytes(data))


@BOTH
def test_exif_alone_turns_nothing(write: Write) -> None:
    data = bytearray(write(QUADRANTS, exif=exif(1)))
    for order, head in (("<", b"II*\0"), (">", b"MM\0*")):
        at = data.find(head)
        if at >= 0:
            data[at + 18 : at + 20] = struct.pack(order + "H", 6)
    is_upright(bytes(data))


@BOTH
def test_transparent_pixels_show_a_neutral_background(write: Write) -> None:
    image = PORTRAIT.convert("RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    assert np.abs(decode(write(image)).pixels.astype(int) - 127).max() <= 3


@BOTH
def test_a_large_photo_is_reduced_but_says_its_size(write: Write) -> None:
    photo = decode(write(Image.new("RGB", (ENOUGH_SIDE + 2, ENOUGH_SIDE + 4), "red"), quality=30))
    assert (photo.width, photo.height) == (2050, 2052)
    assert photo.pixels.shape == (1026, 1025, 3)


@BOTH
def test_limits_hold_before_anything_is_decoded(write: Write) -> None:
    data = write(PORTRAIT)
    assert decode(data, max_pixels=192 * 160).width == 192
    with pytest.raises(errors.ImageTooManyPixels):
        decode(data, max_pixels=192 * 160 - 1)
    with pytest.raises(errors.ImageTooSmall):
        decode(write(PORTRAIT.resize((63, 100))))


def with_size(data: bytes, width: int, height: int) -> bytes:
    """Other sizes in all of a container's ispe boxes."""
    changed = bytearray(data)
    at = -1
    while (at := data.find(b"ispe", at + 1)) >= 0:
        changed[at + 8 : at + 16] = struct.pack(">II", width, height)
    return bytes(changed)


@BOTH
@pytest.mark.parametrize("size", [(64, 64), (200, 160), (192, 161), (5000, 5000)])
def test_a_container_that_lies_about_its_size_is_unreadable_or_within_limits(
    write: Write, size: tuple[int, int]
) -> None:
    try:
        photo = decode(with_size(write(PORTRAIT), *size))
    except errors.ImageUnreadable:
        return
    assert (photo.width, photo.height) == size


@BOTH
def test_data_larger_than_the_container_says_are_not_decoded(write: Write) -> None:
    """A small file of a huge frame of one colour, which the container calls small."""
    bomb = with_size(write(Image.new("RGB", (2048, 2048)), quality=1), 100, 100)
    assert len(bomb) < 10_000
    with pytest.raises((errors.ImageTooManyPixels, errors.ImageUnreadable)):
        decode(bomb, max_pixels=2048 * 2048 - 1)


def test_the_largest_frame_of_an_avif_is_that_of_its_bitstream() -> None:
    for size in ((64, 64), (192, 160), (333, 65), (1000, 777)):
        for image in (PORTRAIT.resize(size), PORTRAIT.convert("RGBA").resize(size)):
            assert av1.largest_frame(avif(image)) == size[0] * size[1]
    animation = avif(PORTRAIT, save_all=True, append_images=[PORTRAIT.rotate(90)])
    assert av1.largest_frame(animation) == 192 * 160


@BOTH
def test_a_truncated_file_is_unreadable_wherever_it_ends(write: Write) -> None:
    data = write(PORTRAIT)
    for end in [*range(8, 700, 7), *range(700, len(data), 331), len(data) - 1]:
        with pytest.raises(errors.ShineError) as caught:
            decode(data[:end])
        assert isinstance(caught.value, errors.ImageUnreadable) or end < 40


def test_a_heif_in_another_coding_is_named() -> None:
    data = avif(PORTRAIT).replace(b"avif", b"heic").replace(b"avis", b"heic").replace(b"MA1B", b"heic")
    with pytest.raises(errors.ImageFormatUnsupported, match="coding"):
        decode(data)


def test_a_heic_of_debians_encoder_is_read(tmp_path: Path) -> None:
    if shutil.which("heif-enc") is None:
        pytest.skip("heif-enc is not installed (libheif-examples)")
    PORTRAIT.save(tmp_path / "photo.png")
    command = ["heif-enc", "-q", "90", str(tmp_path / "photo.png"), "-o", str(tmp_path / "photo.heic")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    photo = decode((tmp_path / "photo.heic").read_bytes())
    assert (photo.format, photo.width, photo.height) == ("HEIC", 192, 160)
    assert_close(photo.pixels, PORTRAIT, 8)
