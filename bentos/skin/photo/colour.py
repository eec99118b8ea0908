"""Colour spaces of photos: ICC profiles as they are, and profiles made of code points, gamma and chromaticities."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from bentos.skin.errors import ImageFormatUnsupported

_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_INVISIBLE = 1  # of 255: a profile that changes no colour by more is sRGB's own
_D50 = (0.96422, 1.0, 0.82521)  # the white of ICC profiles (ICC.1:2022, 7.2.16)
# Cone responses of XYZ (ICC.1:2022, annex E).
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D65 = (0.3127, 0.3290)
_ILLUMINANT_C = (0.310, 0.316)

Chromaticities = tuple[tuple[float, float], ...]
"""x, y of red, green, blue and white."""

# ITU-T H.273, table 2: the colours of the primaries, by code point.
_BT709: Chromaticities = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
_BT601: Chromaticities = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
PRIMARIES: dict[int, Chromaticities] = {
    1: _BT709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _ILLUMINANT_C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: _BT601,
    7: _BT601,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _ILLUMINANT_C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}

# Parametric curves of ICC profiles (ICC.1:2022, 10.18): one number is a gamma; five are g, a, b, c, d of type 3.
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
# ITU-T H.273, table 3: transfer characteristics, by code point.
CURVES: dict[int, tuple[float, ...]] = {
    1: _BT709_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: _BT709_CURVE,
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0913),
    8: (1.0,),
    11: _BT709_CURVE,
    12: _BT709_CURVE,
    13: _SRGB_CURVE,
    14: _BT709_CURVE,
    15: _BT709_CURVE,
    17: (2.6,),
}
_UNSUPPORTED_CURVES = {9: "logarithmic", 10: "logarithmic", 16: "PQ (HDR)", 18: "HLG (HDR)"}
_CODE = np.arange(256) / 255.0
LINEAR = np.where(_CODE <= 0.04045, _CODE / 12.92, ((_CODE + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""Linear light, 0 to 1, by 8-bit code of sRGB (IEC 61966-2-1)."""
_HDR_HINT = "Send the photo in standard dynamic range: sRGB or Display P3, as phones share it by default."


@dataclass(frozen=True, slots=True)
class CodePoints:
    """What a file says of its colours by ITU-T H.273, in a PNG's cICP chunk or a HEIC's or AVIF's nclx box.

    Attributes:
        primaries: colours of the primaries.
        transfer: characteristics of the transfer function.
    """

    primaries: int
    transfer: int


def profile_of_code_points(points: CodePoints) -> bytes | None:
    """The ICC profile of code points.

    Args:
        points: as the file has them.

    Returns:
        An RGB profile; None where they say nothing (unspecified or reserved).

    Raises:
        ImageFormatUnsupported: a transfer function for high dynamic range, by its name.
    """
    _refuse_high_range(points.transfer)
    if points.primaries not in PRIMARIES and points.transfer not in CURVES:
        return None
    return _matrix_profile(PRIMARIES.get(points.primaries, _BT709), CURVES.get(points.transfer, _SRGB_CURVE))


def profile_of_gamma(gamma: float | None, chromaticities: Chromaticities | None) -> bytes | None:
    """The ICC profile of a PNG's gAMA and cHRM chunks.

    Args:
        gamma: exponent of the encoding, 1 for linear samples and 0.45455 for what stands for sRGB's curve; None where
            the file has none.
        chromaticities: of red, green, blue and white; None where the file has none, for those of sRGB.

    Returns:
        An RGB profile; None where there is neither, or they are none of a display.
    """
    if (gamma is None and chromaticities is None) or (gamma is not None and not 0.1 <= gamma <= 10):
        return None
    curve = _SRGB_CURVE if gamma is None or abs(gamma - 1 / 2.2) < 0.001 else (1 / gamma,)
    try:
        return _matrix_profile(chromaticities or _BT709, curve)
    except (ArithmeticError, ValueError, np.linalg.LinAlgError, struct.error):
        return None


def adobe_rgb() -> bytes:
    """The ICC profile of Adobe RGB (1998), which cameras name in EXIF alone (CIPA DC-008, interoperability "R03")."""
    return _matrix_profile(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65), (563 / 256,))


def is_srgb(profile: bytes | None) -> bool:
    """Whether RGB pixels are sRGB's already: their profile is missing, broken, another mode's, or changes nothing.

    Raises:
        ImageFormatUnsupported: the profile says that brightness follows PQ or HLG.
    """
    if profile is None:
        return True
    _refuse_high_range(_transfer_of(profile))
    return _transform(profile, "RGB") is None


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert pixels to sRGB by their profile; by the plain formula where it is missing or broken.

    Args:
        image: of mode L, RGB or CMYK.
        profile: ICC profile, unchecked.

    Returns:
        The image in mode RGB.

    Raises:
        ImageFormatUnsupported: the profile says that brightness follows PQ or HLG.
    """
    if profile is None:
        return image.convert("RGB")
    _refuse_high_range(_transfer_of(profile))
    if image.mode == "L" and profile[16:20] == b"RGB ":
        image = image.convert("RGB")
    transform = _transform(profile, image.mode)
    return image.convert("RGB") if transform is None else transform.apply(image)


@lru_cache(maxsize=8)  # one phone's photos all carry the same profile, and a transform takes 6 ms to build
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Profile → sRGB for images of `mode`; None where that changes nothing, or it is broken, or another mode's."""
    try:
        source = ImageCms.getOpenProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except Exception:  # Pillow raises whatever its parser of profiles does; the photo is used without its profile
        return None
    if mode == "RGB":
        levels = np.linspace(0, 255, 9).round().astype(np.uint8)
        colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
        converted = np.asarray(transform.apply(Image.fromarray(colours)))
        if np.abs(converted.astype(int) - colours).max() <= _INVISIBLE:
            return None
    return transform


def _refuse_high_range(transfer: int | None) -> None:
    """Refuse transfer characteristics for which there is no curve.

    Raises:
        ImageFormatUnsupported: they are such; with their name.
    """
    if transfer in _UNSUPPORTED_CURVES:
        name = _UNSUPPORTED_CURVES[transfer]
        raise ImageFormatUnsupported(f"The photo's brightness is {name}, which is not supported.", _HDR_HINT)


def _transfer_of(profile: bytes) -> int | None:
    """The transfer characteristics in an ICC profile's cicp tag (ICC.1:2022, 9.2.17); None where it has none."""
    try:
        for tag in range(min(struct.unpack_from(">I", profile, 128)[0], 100)):
            name, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * tag)
            if name == b"cicp" and size >= 12:
                transfer: int = struct.unpack_from("4B", profile, offset + 8)[1]
                return transfer
    except struct.error:
        pass
    return None


@lru_cache(maxsize=8)
def _matrix_profile(chromaticities: Chromaticities, curve: tuple[float, ...]) -> bytes:
    """An RGB profile of three primaries and one curve (ICC.1:2022, 8.3.3).

    Raises:
        LinAlgError, ValueError, ArithmeticError, struct.error: no such primaries span a plane of colours.
    """
    red, green, blue = _to_pcs(chromaticities).T
    response = b"para" + bytes(4) + struct.pack(">HH", 0 if len(curve) == 1 else 3, 0) + _fixed(curve)
    tags = {
        b"desc": _text("RGB"),
        b"cprt": _text("none"),
        b"wtpt": b"XYZ " + bytes(4) + _fixed(_D50),
        b"rXYZ": b"XYZ " + bytes(4) + _fixed(red),
        b"gXYZ": b"XYZ " + bytes(4) + _fixed(green),
        b"bXYZ": b"XYZ " + bytes(4) + _fixed(blue),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), response),
    }
    start = 132 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += padded
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(_D50)
    return header + bytes(128 - len(header)) + table + body


def _to_pcs(chromaticities: Chromaticities) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """Linear RGB → XYZ of D50: float64 (3, 3), adapted by Bradford's matrix (ICC.1:2022, annex E)."""
    *primaries, white = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in chromaticities)
    matrix = np.stack(primaries, axis=1)
    matrix = matrix * np.linalg.solve(matrix, white)
    cones = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ white)
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ matrix)


def _fixed(numbers: Sequence[float] | np.ndarray) -> bytes:
    """Numbers as s15Fixed16Number."""
    return b"".join(struct.pack(">i", round(float(number) * 65536)) for number in numbers)


def _text(text: str) -> bytes:
    """A text as multiLocalizedUnicodeType."""
    encoded = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded
