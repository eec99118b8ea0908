"""Colours are sRGB's whatever the file says of them: by its profile's curves and primaries, not by their name."""

import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from bentos.skin.errors import ImageFormatUnsupported
from bentos.skin.photo import colour
from bentos.skin.photo.colour import CodePoints
from bentos.skin.photo.decode import decode
from tests.unit.photo.test_decode import ASTRONAUT, assert_close, encoded, heic, png_chunk, raw_png, with_segment

Array = np.ndarray[Any, np.dtype[np.float64]]
PHOTO = Image.open(ASTRONAUT).convert("RGB").resize((256, 256))
# Linear sRGB → linear RGB of other primaries, by CSS Color 4 (section 18) and the chromaticities of BT.2020.
TO_P3 = np.array(
    [[0.8224619687, 0.1775380313, 0], [0.0331941989, 0.9668058011, 0], [0.0170826307, 0.0723974407, 0.9105199286]]
)
TO_BT2020 = np.array(
    [[0.6274039, 0.3292830, 0.0433131], [0.0690973, 0.9195404, 0.0113623], [0.0163914, 0.0880133, 0.8955953]]
)
TO_ADOBE = np.array([[0.7151256, 0.2848744, 0], [0, 1, 0], [0, 0.0411619, 0.9588381]])


def linear(image: Image.Image) -> Array:
    levels = np.asarray(image) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def srgb(light: Array) -> Array:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)


def bt709(light: Array) -> Array:
    return np.where(light < 0.018, 4.5 * light, 1.099 * np.maximum(light, 0) ** 0.45 - 0.099)


def image_of(samples: Array) -> Image.Image:
    return Image.fromarray((np.clip(samples, 0, 1) * 255 + 0.5).astype(np.uint8))


P3 = image_of(srgb(linear(PHOTO) @ TO_P3.T))
LINEAR = image_of(linear(PHOTO))


def renamed(profile: bytes, name: str) -> bytes:
    """A profile with another description; what it says of colours stays."""
    start = profile.index(b"mluc")
    text = name.encode("utf-16-be")
    count = struct.unpack_from(">I", profile, 128)[0]
    data = bytearray(profile)
    for tag in range(count):
        position = 132 + 12 * tag
        if data[position : position + 4] == b"desc":
            data[position + 4 : position + 12] = struct.pack(">II", len(profile), 28 + len(text))
    data += profile[start : start + 8] + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
    data[:4] = struct.pack(">I", len(data))
    return bytes(data)


def profile(primaries: int, transfer: int, name: str = "Display P3") -> bytes:
    made = colour.profile_of_code_points(CodePoints(primaries, transfer))
    assert made is not None
    return renamed(made, name)


def chunks(image: Image.Image, **said: bytes) -> bytes:
    data = encoded(image, "PNG")
    return data[:33] + b"".join(png_chunk(kind.encode(), body) for kind, body in said.items()) + data[33:]


def as_png(image: Image.Image, icc_profile: bytes) -> bytes:
    return encoded(image, "PNG", icc_profile=icc_profile)


def as_jpeg(image: Image.Image, icc_profile: bytes) -> bytes:
    return encoded(image, "JPEG", quality=98, subsampling=0, icc_profile=icc_profile)


def as_webp(image: Image.Image, icc_profile: bytes) -> bytes:
    return encoded(image, "WEBP", lossless=True, icc_profile=icc_profile)


def as_heic(image: Image.Image, icc_profile: bytes) -> bytes:
    return heic(image, quality=98, chroma=444, icc_profile=icc_profile)


def as_avif(image: Image.Image, icc_profile: bytes) -> bytes:
    return encoded(image, "AVIF", quality=98, subsampling="4:4:4", icc_profile=icc_profile)


def mean_error(data: bytes) -> float:
    return float(np.abs(decode(data).pixels.astype(int) - np.asarray(PHOTO)).mean())


@pytest.mark.parametrize("write", [as_png, as_jpeg, as_webp, as_heic, as_avif])
@pytest.mark.parametrize("name", ["Display P3", "Display P3 Gamut with sRGB Transfer", "sRGB IEC61966-2.1", "c2", ""])
def test_a_p3_photo_has_the_colours_of_its_srgb_twin_whatever_its_profile_is_called(
    write: Callable[[Image.Image, bytes], bytes], name: str
) -> None:
    data = write(P3, profile(12, 13, name))
    assert mean_error(data) < 2.5
    assert mean_error(data) < 0.7 * float(np.abs(np.asarray(P3).astype(int) - np.asarray(PHOTO)).mean())


@pytest.mark.parametrize("name", ["Linear Rec709", "sRGB Gamut with Linear Transfer"])
def test_a_linear_photo_has_the_colours_of_its_srgb_twin(name: str) -> None:
    assert_close(decode(as_png(LINEAR, profile(1, 8, name))).pixels, PHOTO, 12)
    assert mean_error(as_png(LINEAR, profile(1, 8, name))) < 1


def test_a_profile_of_srgb_changes_no_pixel() -> None:
    lcms = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for own in (lcms, profile(1, 13, "Display P3")):
        np.testing.assert_array_equal(decode(as_png(PHOTO, own)).pixels, np.asarray(PHOTO))


def test_a_grey_photo_follows_the_curve_of_its_rgb_profile() -> None:
    grey = PHOTO.convert("L")
    data = encoded(image_of(linear(grey)), "JPEG", quality=98, icc_profile=profile(1, 8))
    assert_close(decode(data).pixels, grey.convert("RGB"), 16)
    assert np.abs(decode(data).pixels.astype(int).mean() - np.asarray(grey).mean()) < 1


@pytest.mark.parametrize(
    ("samples", "points"),
    [
        (srgb(linear(PHOTO) @ TO_P3.T), (12, 13, 0, 1)),
        (bt709(linear(PHOTO)), (1, 1, 0, 1)),
        (bt709(linear(PHOTO)), (1, 6, 0, 1)),
        (srgb(linear(PHOTO)), (1, 13, 0, 1)),
        (linear(PHOTO), (1, 8, 0, 1)),
        (linear(PHOTO) ** (1 / 2.2), (1, 4, 0, 1)),
        (bt709(linear(PHOTO) @ TO_BT2020.T), (9, 14, 0, 1)),
        (srgb(linear(PHOTO)) * 219 / 255 + 16 / 255, (1, 13, 0, 0)),
        (srgb(linear(PHOTO)), (2, 2, 0, 1)),
    ],
    ids=["P3", "BT.709", "BT.601", "sRGB", "linear", "gamma", "BT.2020", "narrow range", "unspecified"],
)
def test_the_code_points_of_a_png_are_followed(samples: Array, points: tuple[int, ...]) -> None:
    assert mean_error(chunks(image_of(samples), cICP=bytes(points))) < 1


def test_the_code_points_of_a_png_come_before_its_other_chunks() -> None:
    lies = {"iCCP": png_profile(profile(1, 8)), "sRGB": b"\0", "gAMA": struct.pack(">I", 100_000)}
    assert mean_error(chunks(P3, **lies, cICP=bytes((12, 13, 0, 1)))) < 1
    assert mean_error(chunks(P3, **lies, cICP=bytes((12, 13, 0)))) > 5  # broken


def png_profile(icc: bytes) -> bytes:
    with_profile = as_png(PHOTO, icc)
    start = with_profile.index(b"iCCP")
    return with_profile[start + 4 : start + 4 + struct.unpack(">I", with_profile[start - 4 : start])[0]]


CHRM_P3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
CHRM_SRGB = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (LINEAR, {"gAMA": struct.pack(">I", 100_000)}),
        (LINEAR, {"cHRM": CHRM_SRGB, "gAMA": struct.pack(">I", 100_000)}),
        (image_of(linear(PHOTO) ** (1 / 1.8)), {"gAMA": struct.pack(">I", 55_556)}),
        (PHOTO, {"gAMA": struct.pack(">I", 45_455)}),
        (PHOTO, {"gAMA": struct.pack(">I", 45_455), "cHRM": CHRM_SRGB}),
        (P3, {"gAMA": struct.pack(">I", 45_455), "cHRM": CHRM_P3}),
        (P3, {"cHRM": CHRM_P3}),
        (PHOTO, {"sRGB": b"\0", "gAMA": struct.pack(">I", 100_000)}),  # sRGB's chunk comes first
        (PHOTO, {"gAMA": struct.pack(">I", 0)}),
        (PHOTO, {"gAMA": b"\0"}),
        (PHOTO, {"cHRM": bytes(32)}),
        (PHOTO, {"cHRM": struct.pack(">8I", *[31270, 32900] * 4)}),
        (PHOTO, {"cHRM": b"\xff" * 32}),
    ],
)
def test_gamma_and_chromaticities_of_a_png_are_followed_where_they_make_sense(
    image: Image.Image, said: dict[str, bytes]
) -> None:
    assert mean_error(chunks(image, **said)) < 1


def test_a_grey_and_a_16_bit_png_follow_their_gamma() -> None:
    grey = PHOTO.convert("L")
    light = linear(grey)
    data = encoded(image_of(light), "PNG")
    gamma = png_chunk(b"gAMA", struct.pack(">I", 100_000))
    assert np.abs(decode(data[:33] + gamma + data[33:]).pixels.astype(int) - np.asarray(grey)[..., None]).mean() < 1
    rows = (linear(PHOTO) * 65535).round().astype(">u2").reshape(256, -1).view(np.uint8)
    assert mean_error(raw_png(rows, 16, 2, gamma)) < 2


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG"), (9, "logarithmic")])
def test_high_dynamic_range_is_refused_by_name(transfer: int, name: str) -> None:
    tagged = bytearray(profile(9, 14))
    cicp = b"cicp" + bytes(4) + bytes((9, transfer, 0, 1))
    tagged[tagged.index(b"cprt") : tagged.index(b"cprt") + 12] = struct.pack(">4sII", b"cicp", len(tagged), 12)
    tagged += cicp
    tagged[:4] = struct.pack(">I", len(tagged))
    for data in (
        chunks(PHOTO, cICP=bytes((9, transfer, 0, 1))),
        as_jpeg(PHOTO, bytes(tagged)),
        with_transfer(heic(PHOTO), 9, transfer),
        with_transfer(encoded(PHOTO, "AVIF"), 9, transfer),
    ):
        with pytest.raises(ImageFormatUnsupported, match=name):
            decode(data)


def with_transfer(iso_media: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF or HEIC with other code points in its nclx box."""
    at = iso_media.index(b"colrnclx") + 8
    return iso_media[:at] + struct.pack(">HH", primaries, transfer) + iso_media[at + 4 :]


def test_the_code_points_of_heic_and_avif_are_followed() -> None:
    as_p3 = heic(P3, quality=98, chroma=444, color_primaries=12, transfer_characteristic=13)
    assert mean_error(as_p3) < 2.5
    assert mean_error(with_transfer(encoded(P3, "AVIF", quality=98, subsampling="4:4:4"), 12, 13)) < 2.5
    assert mean_error(with_transfer(encoded(P3, "AVIF", quality=98, subsampling="4:4:4"), 1, 13)) > 3


@pytest.mark.parametrize("order", ["<", ">"])
def test_adobe_rgb_that_exif_alone_names_is_followed(order: str) -> None:
    adobe = image_of(np.maximum(linear(PHOTO) @ TO_ADOBE.T, 0) ** (256 / 563))
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    first = struct.pack(order + "HHHIII", 1, 0x8769, 4, 1, 26, 0)
    second = struct.pack(order + "HHHIII", 1, 0xA005, 4, 1, 44, 0)
    third = struct.pack(order + "HHHI4sI", 1, 1, 2, 4, b"R03\0", 0)
    plain = encoded(adobe, "JPEG", quality=98, subsampling=0)
    named = with_segment(plain, 0xE1, b"Exif\0\0" + head + first + second + third)
    assert mean_error(named) < 1.5 < mean_error(plain)
    other = with_segment(plain, 0xE1, b"Exif\0\0" + head + first + second + third.replace(b"R03", b"R98"))
    np.testing.assert_array_equal(decode(other).pixels, decode(plain).pixels)


def test_a_profile_that_is_made_is_one_that_others_read() -> None:
    made = colour.profile_of_code_points(CodePoints(12, 13))
    assert made is not None
    read = ImageCms.getOpenProfile(BytesIO(made)).profile
    assert (read.xcolor_space, read.connection_space) == ("RGB ", "XYZ ")
    assert read.red_colorant is not None
    np.testing.assert_allclose(read.red_colorant[0], (0.51512, 0.2412, -0.00105), atol=2e-4)  # Apple's
