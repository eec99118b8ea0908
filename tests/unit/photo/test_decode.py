"""Any bytes become upright sRGB pixels or a named error."""

import base64
import struct
import time
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile

from bentos.skin import errors
from bentos.skin.photo import decode as module
from bentos.skin.photo.decode import BACKGROUND, ENOUGH_SIDE, MAX_BYTES, MIN_SIDE, decode
from bentos.skin.photo.image_header import MAX_PROFILE_BYTES, MAX_SCANS
from tests.properties import examples

ASTRONAUT = Path(__file__).resolve().parents[2] / "photos/astronaut.png"
PORTRAIT = Image.open(ASTRONAUT).convert("RGB").resize((192, 160))
NEAREST: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
}  # options by which a format keeps a picture best
QUADRANTS = Image.new("RGB", (96, 128))  # red, green / blue, white: tells all eight orientations apart
for corner, colour in (((0, 0), "red"), ((48, 0), "lime"), ((0, 64), "blue"), ((48, 64), "white")):
    QUADRANTS.paste(colour, (*corner, corner[0] + 48, corner[1] + 64))


def encoded(image: Image.Image, fmt: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_png_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """A chunk right after the header."""
    return png[:33] + png_chunk(kind, body) + png[33:]


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """A JPEG segment right after the start of image."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + jpeg[2:]


def jpeg_frame(marker: int, bits: int) -> bytes:
    """A JPEG with another frame header: its process, and bits a sample."""
    data = bytearray(encoded(PORTRAIT, "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    return bytes(data)


def heic(image: Image.Image, **options: Any) -> bytes:
    """A HEIC; pi-heif, which the service uses, cannot write any."""
    buffer = BytesIO()
    pillow_heif.from_pillow(image).save(buffer, format="HEIF", **options)
    return buffer.getvalue()


def raw_png(rows: np.ndarray, bit_depth: int, colour_type: int, extra: bytes = b"") -> bytes:
    """A PNG with the samples as they are: what Pillow cannot write, 16-bit RGB for one."""
    height, row_bytes = rows.shape
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    header = struct.pack(">IIBBBBB", row_bytes * 8 // (channels * bit_depth), height, bit_depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def swapped_profile() -> bytes:
    """An sRGB profile with red's and green's primaries exchanged: applied, red becomes green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for i in range(struct.unpack_from(">I", profile, 128)[0]):
        at = 132 + 12 * i
        if bytes(profile[at : at + 4]) in (b"rXYZ", b"gXYZ"):
            profile[at : at + 1] = b"g" if profile[at : at + 1] == b"r" else b"r"
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))


def press_profile() -> bytes:
    """A CMYK profile of colourless inks: only black darkens (ICC.1:2001, lut8Type)."""
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + identity * 4 + bytes([255, 128, 128, 0, 128, 128]) * 8
    table += identity * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = struct.pack(">I4sII4sII", 2, b"A2B0", 156, len(table), b"wtpt", 156 + len(table), len(white))
    size = 128 + len(tags) + len(table) + len(white)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ", bytes(12), b"acsp")
    header += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + tags + table + white


def assert_close(pixels: np.ndarray, image: Image.Image, tolerance: float) -> None:
    """Mean absolute difference within `tolerance` levels."""
    assert pixels.shape == (image.height, image.width, 3)
    assert np.abs(pixels.astype(float) - np.asarray(image.convert("RGB"))).mean() <= tolerance


# Formats


@pytest.mark.parametrize(
    ("data", "fmt", "tolerance"),
    [
        (encoded(PORTRAIT, "JPEG", quality=95), "JPEG", 3),
        (encoded(PORTRAIT, "JPEG", quality=95, progressive=True), "JPEG", 3),
        (encoded(PORTRAIT, "MPO", quality=95, save_all=True, append_images=[QUADRANTS]), "JPEG", 3),
        (encoded(PORTRAIT, "PNG"), "PNG", 0),
        (encoded(PORTRAIT, "WEBP", lossless=True), "WEBP", 0),
        (encoded(PORTRAIT, "WEBP", quality=95), "WEBP", 4),
        (encoded(PORTRAIT, "WEBP", lossless=True, save_all=True, append_images=[PORTRAIT.rotate(90)]), "WEBP", 0),
        (encoded(PORTRAIT, "PNG", save_all=True, append_images=[PORTRAIT.rotate(90)]), "PNG", 0),
        (heic(PORTRAIT, quality=95, chroma=444), "HEIC", 4),
        (encoded(PORTRAIT, "AVIF", quality=95, subsampling="4:4:4"), "AVIF", 4),
        (encoded(PORTRAIT, "AVIF", quality=95, save_all=True, append_images=[PORTRAIT.rotate(90)]), "AVIF", 6),
    ],
    ids=[
        *("jpeg", "progressive", "mpo", "png", "webp-lossless", "webp-lossy", "webp-animated", "apng"),
        *("heic", "avif", "avif-animated"),
    ],
)
def test_a_good_photo_is_decoded_and_an_animation_by_its_first_frame(data: bytes, fmt: str, tolerance: float) -> None:
    photo = decode(data)
    assert (photo.format, photo.width, photo.height) == (fmt, 192, 160)
    assert photo.pixels.dtype == np.uint8
    assert_close(photo.pixels, PORTRAIT, tolerance)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(100), "video"),
        (encoded(PORTRAIT, "GIF"), "GIF"),
        (encoded(PORTRAIT, "BMP"), "BMP"),
        (encoded(PORTRAIT, "TIFF"), "TIFF"),
        (encoded(PORTRAIT, "JPEG2000"), "JPEG 2000"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "PDF"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html></html>", "HTML"),
        ("Grüße, no photo".encode(), "text"),
        (encoded(PORTRAIT, "JPEG").decode(errors="replace").encode(), "once a photo"),
        (encoded(PORTRAIT, "PNG").decode(errors="replace").encode(), "once a photo"),
        (encoded(PORTRAIT, "JPEG").decode("ascii", "replace").encode("ascii", "replace"), "once a photo"),
        (encoded(PORTRAIT, "JPEG").decode("latin-1").encode(), "once a photo"),
        (encoded(PORTRAIT, "PNG").decode("latin-1").encode(), "once a photo"),
        (encoded(PORTRAIT, "PNG").replace(b"\r\n", b"\n"), "once a photo"),
        (encoded(PORTRAIT, "PNG").replace(b"\n", b"\r\n"), "once a photo"),
        (encoded(PORTRAIT, "JPEG").decode("latin-1").encode("utf-16"), "once a photo"),
        (base64.b64encode(encoded(PORTRAIT, "JPEG")), "base64"),
        (b"data:image/png;base64," + base64.b64encode(encoded(PORTRAIT, "PNG")), "base64"),
        (encoded(PORTRAIT, "JPEG").hex().encode(), "hexadecimal"),
        (str(list(encoded(PORTRAIT, "JPEG"))).encode(), "list of numbers"),
        (str(encoded(PORTRAIT, "JPEG")).encode(), "Python"),
        (encoded(PORTRAIT, "PNG")[:8] + png_chunk(b"CgBI", b"\x50\0\x20\2") + encoded(PORTRAIT, "PNG")[8:], "CgBI"),
        (jpeg_frame(0xC1, 12), "12 bits"),
        (jpeg_frame(0xC3, 8), "lossless"),
        (jpeg_frame(0xC5, 8), "hierarchical"),
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "not in a known"),
        (bytes(1000), "not in a known"),
    ],
)
def test_another_format_is_named_and_a_way_to_convert_given(data: bytes, name: str) -> None:
    with pytest.raises(errors.ImageFormatUnsupported) as caught:
        decode(data)
    assert name in caught.value.message
    assert "JPEG" in caught.value.hint or "photo" in caught.value.hint or "file" in caught.value.hint


# Limits


def test_a_file_above_the_byte_limit_is_too_large() -> None:
    data = encoded(PORTRAIT, "PNG")
    assert decode(data, max_bytes=len(data)).width == 192
    with pytest.raises(errors.BodyTooLarge):
        decode(data, max_bytes=len(data) - 1)
    with pytest.raises(errors.BodyTooLarge):
        decode(bytes(MAX_BYTES + 1))


def huge(fmt: str) -> bytes:
    """A good small file whose header claims 50,000×50,000 pixels (WebP, which cannot: 16,384×16,384)."""
    data = bytearray(encoded(PORTRAIT, fmt))
    if fmt == "JPEG":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", 50_000, 50_000)
    elif fmt == "PNG":
        data[8:33] = png_chunk(b"IHDR", struct.pack(">II", 50_000, 50_000) + data[24:29])
    else:
        data[26:30] = struct.pack("<HH", 16_383, 16_383)
    return bytes(data)


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_a_pixel_bomb_is_refused_by_its_header_before_any_decoding(fmt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DECODERS", {})
    with pytest.raises(errors.ImageTooManyPixels, match=r"50000×50000|16383×16383"):
        decode(huge(fmt))


def test_the_pixel_limit_is_inclusive() -> None:
    data = encoded(PORTRAIT, "JPEG")
    assert decode(data, max_pixels=192 * 160).width == 192
    with pytest.raises(errors.ImageTooManyPixels):
        decode(data, max_pixels=192 * 160 - 1)


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_a_short_side_below_64_is_too_small(fmt: str) -> None:
    assert decode(encoded(PORTRAIT.resize((100, MIN_SIDE)), fmt)).height == 64
    with pytest.raises(errors.ImageTooSmall):
        decode(encoded(PORTRAIT.resize((100, MIN_SIDE - 1)), fmt))
    with pytest.raises(errors.ImageTooSmall):
        decode(encoded(PORTRAIT.resize((MIN_SIDE - 1, 100)), fmt))


def test_a_photo_of_no_size_is_unreadable() -> None:
    jpeg = bytearray(encoded(PORTRAIT, "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 7] = b"\0\0"
    with pytest.raises(errors.ImageUnreadable, match="no size"):
        decode(bytes(jpeg))
    with pytest.raises(errors.ImageUnreadable, match="no size"):
        decode(raw_png(np.zeros((0, 300), np.uint8), 8, 2))


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    jpeg = encoded(PORTRAIT, "JPEG", progressive=True)
    last_scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    with pytest.raises(errors.ImageUnreadable, match="scans"):
        decode(jpeg[:-2] + last_scan * MAX_SCANS + b"\xff\xd9")


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_png_metadata_bomb_costs_nothing(kind: bytes) -> None:
    bomb = zlib.compress(bytes(64 * MAX_PROFILE_BYTES), 9)
    body = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"k\0\0"}[kind] + bomb
    data = with_png_chunk(encoded(PORTRAIT, "PNG"), kind, body)
    start = time.process_time()
    assert_close(decode(data).pixels, PORTRAIT, 0)
    assert time.process_time() - start < 0.1


# Damage


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_photo_is_unreadable_wherever_it_ends(fmt: str) -> None:
    data = encoded(PORTRAIT, fmt, quality=60)
    for end in [*range(0, min(len(data), 700), 7), *range(700, len(data), 331), len(data) - 2, len(data) - 1]:
        with pytest.raises(errors.ImageUnreadable):
            decode(data[:end])


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_trailing_bytes_are_no_damage(fmt: str) -> None:
    data = encoded(PORTRAIT, fmt, quality=95)
    assert_close(decode(data + b"\0motion photo\xff\xda" * 500).pixels, PORTRAIT, 4)


def test_stray_bytes_between_jpeg_segments_are_no_damage() -> None:
    data = encoded(PORTRAIT, "JPEG", quality=95)
    assert_close(decode(data[:2] + b"\xff\xff\xff" + data[3:20] + b"\0\0" + data[20:]).pixels, PORTRAIT, 3)


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"IEND"])
def test_a_wrong_png_checksum_is_unreadable(kind: bytes) -> None:
    data = bytearray(encoded(PORTRAIT, "PNG"))
    at = data.index(kind)
    data[at + 4 + struct.unpack(">I", data[at - 4 : at])[0]] ^= 1
    with pytest.raises(errors.ImageUnreadable, match="checksum"):
        decode(bytes(data))


def test_a_file_with_only_a_header_is_unreadable() -> None:
    for data in (b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n" + png_chunk(b"IEND", b""), b"RIFF\x04\0\0\0WEBP"):
        with pytest.raises(errors.ImageUnreadable):
            decode(data)


def test_a_jpeg_with_two_frame_headers_is_unreadable() -> None:
    jpeg = encoded(PORTRAIT, "JPEG")
    at = jpeg.index(b"\xff\xc0")
    with pytest.raises(errors.ImageUnreadable, match="two frame headers"):
        decode(jpeg[:at] + jpeg[at : at + 19] + jpeg[at:])


@pytest.mark.parametrize(
    "error",
    [OSError, SyntaxError, ValueError, struct.error, MemoryError, OverflowError, IndexError, zlib.error, EOFError],
)
def test_whatever_pillow_raises_is_an_unreadable_image(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: ImageFile.ImageFile) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(errors.ImageUnreadable):
        decode(encoded(PORTRAIT, "PNG"))


# Orientation


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(fmt: str, orientation: int) -> None:
    turns = {  # what the camera stored, from the upright picture, so that the tag takes it back
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation](np.asarray(QUADRANTS))))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = NEAREST[fmt]
    photo = decode(encoded(stored, fmt, exif=exif, **options))
    assert (photo.width, photo.height) == QUADRANTS.size
    assert_close(photo.pixels, QUADRANTS, 3)
    assert photo.pixels.flags.c_contiguous


def test_a_big_endian_exif_is_read_too() -> None:
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    photo = decode(with_segment(encoded(QUADRANTS, "JPEG"), 0xE1, b"Exif\0\0" + tiff))
    assert (photo.width, photo.height) == QUADRANTS.size[::-1]


@pytest.mark.parametrize(
    "tiff",
    [
        b"",
        b"II*\0",
        b"nonsense",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0" + struct.pack("<IH", 8, 65535),
        b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 9, 0, 0),
        b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 2, 1, 6, 0, 0),
    ],
)
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_a_broken_exif_is_ignored(fmt: str, tiff: bytes) -> None:
    data = encoded(PORTRAIT, fmt, exif=b"Exif\0\0" + tiff)
    assert (decode(data).width, decode(data).height) == PORTRAIT.size


# Modes


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "I;16"])
def test_every_png_mode_becomes_rgb(mode: str) -> None:
    grey = PORTRAIT.convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = (PORTRAIT if mode in ("P", "RGBA") else grey).convert(mode)
    assert image.mode == mode
    expected = grey if mode == "I;16" else image.convert("RGB")
    assert_close(decode(encoded(image, "PNG")).pixels, expected, 0)


@pytest.mark.parametrize("colour_type", [2, 4, 6])
def test_a_16_bit_png_is_scaled_to_8_bits(colour_type: int) -> None:
    mode = {2: "RGB", 4: "LA", 6: "RGBA"}[colour_type]
    samples = np.asarray(PORTRAIT.convert(mode))
    rows = (samples.astype(">u2") * 257).view(np.uint8).reshape(len(samples), -1)
    expected = PORTRAIT.convert("L") if mode == "LA" else PORTRAIT
    assert_close(decode(raw_png(rows, 16, colour_type)).pixels, expected, 0)


def test_transparent_pixels_show_a_neutral_background() -> None:
    clear = QUADRANTS.convert("RGBA")
    clear.paste((255, 0, 0, 0), (0, 0, 48, 64))
    clear.paste((0, 255, 0, 128), (48, 0, 96, 64))
    for fmt in ("PNG", "WEBP"):
        pixels = decode(encoded(clear, fmt, **({"lossless": True} if fmt == "WEBP" else {}))).pixels
        assert tuple(pixels[10, 10]) == BACKGROUND
        assert np.abs(pixels[10, 60].astype(int) - (63, 191, 63)).max() <= 1
        assert tuple(pixels[100, 10]) == (0, 0, 255)


def test_a_palette_with_transparency_shows_the_background() -> None:
    palette = QUADRANTS.convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    red = palette.getpixel((10, 10))
    pixels = decode(encoded(palette, "PNG", transparency=red)).pixels
    assert tuple(pixels[10, 10]) == BACKGROUND
    assert tuple(pixels[100, 90]) == (255, 255, 255)


def test_a_key_colour_shows_the_background_in_grey_and_rgb() -> None:
    assert tuple(decode(encoded(QUADRANTS, "PNG", transparency=(255, 0, 0))).pixels[10, 10]) == BACKGROUND
    grey = QUADRANTS.convert("L")
    assert tuple(decode(encoded(grey, "PNG", transparency=grey.getpixel((10, 10)))).pixels[10, 10]) == BACKGROUND


def test_a_16_bit_key_colour_makes_no_8_bit_colour_transparent() -> None:
    rows = (np.asarray(QUADRANTS).astype(">u2") * 257).view(np.uint8).reshape(128, -1)
    almost_black = png_chunk(b"tRNS", struct.pack(">HHH", 255, 0, 0))
    assert_close(decode(raw_png(rows, 16, 2, almost_black)).pixels, QUADRANTS, 0)


@pytest.mark.parametrize("adobe", [b"Adobe\0\x64\0\0\0\0\0", b"Adobe\0\x64\0\0\0\0\2"])
def test_an_adobe_cmyk_jpeg_is_not_inverted(adobe: bytes) -> None:
    jpeg = encoded(PORTRAIT.convert("CMYK"), "JPEG", quality=95)
    at = jpeg.index(b"Adobe")
    if adobe[-1] == jpeg[at + 11]:
        assert_close(decode(jpeg).pixels, PORTRAIT, 4)
    else:  # YCCK: the same planes, read as luma, chroma and black
        ycck = jpeg[:at] + adobe + jpeg[at + len(adobe) :]
        with Image.open(BytesIO(ycck)) as image:
            assert_close(decode(ycck).pixels, image, 0)


# Profiles


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_a_profile_is_applied(fmt: str) -> None:
    options = NEAREST[fmt]
    pixels = decode(encoded(QUADRANTS, fmt, icc_profile=swapped_profile(), **options)).pixels
    assert np.abs(pixels[10, 10].astype(int) - (0, 255, 0)).max() <= 3  # red is green now
    assert np.abs(pixels[10, 90].astype(int) - (255, 0, 0)).max() <= 3


def test_a_cmyk_profile_is_used() -> None:
    inks = Image.new("CMYK", (96, 64), (255, 200, 255, 0))
    inks.paste((0, 0, 0, 255), (48, 0, 96, 64))
    pixels = decode(encoded(inks, "JPEG", quality=95, icc_profile=press_profile())).pixels
    assert pixels[:, :40].min() >= 252
    assert pixels[:, 56:].max() <= 3


@pytest.mark.parametrize("broken", [b"nonsense", bytes(200), swapped_profile()[:300], press_profile()])
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_a_broken_or_unfit_profile_is_ignored(fmt: str, broken: bytes) -> None:
    plain, with_profile = encoded(PORTRAIT, fmt), encoded(PORTRAIT, fmt, icc_profile=broken)
    np.testing.assert_array_equal(decode(with_profile).pixels, decode(plain).pixels)


# Reduction


@pytest.mark.parametrize(
    ("size", "kept"),
    [
        ((ENOUGH_SIDE, ENOUGH_SIDE), (2048, 2048)),
        ((2100, 3000), (1050, 1500)),
        ((6000, 4200), (1500, 1050)),
        ((9000, 1000), (4500, 500)),
    ],
)
@pytest.mark.parametrize("fmt", ["JPEG", "PNG"])
def test_a_very_large_photo_is_reduced_but_says_its_size(
    fmt: str, size: tuple[int, int], kept: tuple[int, int]
) -> None:
    photo = decode(encoded(QUADRANTS.resize(size), fmt))
    assert (photo.width, photo.height) == size
    assert photo.pixels.shape == (kept[1], kept[0], 3)
    assert np.abs(photo.pixels[kept[1] // 4, kept[0] // 4].astype(int) - (255, 0, 0)).max() <= 2


# Mutants

EXIF = Image.Exif()
EXIF[0x0112] = 6
SMALL = PORTRAIT.resize((96, 80))
GOOD = [
    encoded(SMALL, "JPEG", exif=EXIF, icc_profile=swapped_profile()),
    encoded(SMALL, "JPEG", progressive=True, comment=b"hello"),
    encoded(SMALL.convert("CMYK"), "JPEG", icc_profile=press_profile()),
    encoded(SMALL, "MPO", save_all=True, append_images=[SMALL.rotate(90)], exif=EXIF),
    encoded(SMALL, "PNG", exif=EXIF, icc_profile=swapped_profile()),
    encoded(SMALL.convert("P"), "PNG", transparency=3),
    encoded(SMALL, "PNG", save_all=True, append_images=[SMALL.rotate(90)]),
    encoded(SMALL, "WEBP", exif=EXIF, icc_profile=swapped_profile()),
    encoded(SMALL.convert("RGBA"), "WEBP", lossless=True, save_all=True, append_images=[SMALL.rotate(90)]),
    heic(SMALL, exif=EXIF.tobytes()),
    heic(SMALL.convert("RGBA"), icc_profile=swapped_profile()),
    encoded(SMALL, "AVIF", exif=EXIF),
    encoded(SMALL.convert("RGBA"), "AVIF", icc_profile=swapped_profile()),
]


def with_right_checksums(png: bytes) -> bytes:
    """Repairs the checksums of a mutant, so that it gets past them."""
    out, at = bytearray(png), 8
    while at + 12 <= len(out):
        end = at + 8 + struct.unpack_from(">I", out, at)[0]
        if end + 4 > len(out):
            break
        out[end : end + 4] = struct.pack(">I", zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A good file with bytes flipped, cut, spliced in from another, or segment lengths changed."""
    data = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 4))):
        # The structure is in the first bytes: half of the damage goes there.
        at = draw(st.integers(0, draw(st.sampled_from([min(200, len(data) - 1), len(data) - 1]))))
        match draw(st.sampled_from(["flip", "cut", "drop", "splice", "length"])):
            case "flip":
                data[at] ^= draw(st.integers(1, 255))
            case "cut":
                del data[max(at, 1) :]
            case "drop":
                del data[at : min(at + draw(st.integers(1, 64)), len(data) - 1)]
            case "splice":
                donor = draw(st.sampled_from(GOOD))
                start = draw(st.integers(0, len(donor) - 1))
                data[at:at] = donor[start : start + draw(st.integers(1, 300))]
            case "length":
                value = draw(st.sampled_from([0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]))
                data[at : at + 4] = struct.pack(draw(st.sampled_from("<>")) + "I", value)
    return with_right_checksums(bytes(data)) if data.startswith(b"\x89PNG") and draw(st.booleans()) else bytes(data)


@settings(max_examples=examples(1500), deadline=None)  # the clock of a busy machine says nothing
@given(data=mutants())
@example(data=b"\xff\xd8\xff")
@example(data=b"\0\0\0\x04ftyp")
def test_a_mutant_ends_in_a_photo_or_a_named_error_quickly_and_without_warnings(data: bytes) -> None:
    started = time.process_time()
    try:
        photo = decode(data)
    except (
        errors.ImageFormatUnsupported,
        errors.ImageTooManyPixels,
        errors.ImageTooSmall,
        errors.ImageUnreadable,
    ):
        return
    finally:
        assert time.process_time() - started < 2
    height, width, _ = photo.pixels.shape
    factor = round(photo.width / width)
    assert (-(-photo.width // factor), -(-photo.height // factor)) == (width, height)


@settings(max_examples=examples(300), deadline=1000)
@given(data=st.binary(max_size=400), magic=st.sampled_from([b"", *(good[:12] for good in GOOD), b"\0\0\0\x18ftyp"]))
def test_random_bytes_end_in_a_named_error(data: bytes, magic: bytes) -> None:
    with pytest.raises(errors.ShineError):
        decode(magic + data)
