"""Decodes JPEG with libjpeg-turbo and refuses damaged data: Pillow drops libjpeg's warnings and fills up with grey."""

import re
import struct

import numpy as np
import simplejpeg
from numpy.typing import NDArray

_MODES = {"Gray": "GRAY", "CMYK": "CMYK", "YCCK": "CMYK"}
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker")
_HOLE = re.compile(rb"(.)\1{127}", re.DOTALL)  # no coded photo has so many equal bytes in a row
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
MOST_LEFT_OVER = 0.25  # of a file; random data in its middle leave some 2 % over, half the rows in its header 50 %


def decode(stream: bytes, width: int, height: int, factor: int) -> NDArray[np.uint8]:
    """Decodes a JPEG.

    Args:
        stream: the file.
        width: in px, by the parsed header.
        height: in px, by the parsed header.
        factor: 1, 2, 4 or 8, by which it is reduced while it is decoded.

    Returns:
        uint8 (height, width) of grey, (height, width, 3) of RGB or (height, width, 4) of CMYK.

    Raises:
        ValueError: it cannot be decoded, or its data are damaged: they end before the last row, hold codes that do not
            exist, or lack a restart.
    """
    decoded_height, decoded_width, space, _ = simplejpeg.decode_jpeg_header(stream, strict=False)
    if (decoded_width, decoded_height) != (width, height):
        raise ValueError("two sizes in one file")
    options = {"colorspace": _MODES.get(space, "RGB"), "min_width": width // factor, "min_height": height // factor}
    try:
        pixels = simplejpeg.decode_jpeg(stream, **options)
    except ValueError as warning:
        if not _is_harmless(str(warning), stream):
            raise
        pixels = simplejpeg.decode_jpeg(stream, **options, strict=False)
    if options["colorspace"] == "CMYK":  # inverted, as Adobe's programs write it and all others since
        pixels = 255 - pixels
    return np.asarray(pixels[..., 0] if options["colorspace"] == "GRAY" else pixels)


def _is_harmless(warning: str, stream: bytes) -> bool:
    """Whether all rows were decoded all the same: bytes are left over before a marker, as in cameras' intact files.

    libjpeg tells its first warning alone, so what may hide behind it is looked for here: a header that claims fewer
    rows than there are, a hole filled with one value, restarts that are missing.
    """
    match = _EXTRANEOUS.search(warning)
    if match is None or int(match[1]) >= MOST_LEFT_OVER * len(stream):
        return False
    scan, restarts = _scan(stream)
    if _HOLE.search(scan[: len(scan) - int(match[1])]):
        return False
    markers = [marker[0] & 7 for marker in _RESTART.findall(scan)]
    return restarts is None or markers == [number & 7 for number in range(restarts)]


def _scan(stream: bytes) -> tuple[bytes, int | None]:
    """The data up to the end marker, and how many restarts they should have; None where there are several scans."""
    position, interval, blocks = 2, 0, 0
    while (marker := stream[position + 1]) != 0xDA:
        length = struct.unpack_from(">H", stream, position + 2)[0]
        body = stream[position + 4 : position + 2 + length]
        if marker == 0xDD:
            interval = struct.unpack(">H", body[:2])[0]
        elif marker in (0xC0, 0xC1, 0xC9):  # in one scan, as nearly all are that are not progressive
            height, width, components = struct.unpack_from(">HHB", body, 1)
            sampling = [(body[7 + 3 * i] >> 4, body[7 + 3 * i] & 15) for i in range(components)]
            across, down = (max(item[axis] for item in sampling) if components > 1 else 1 for axis in (0, 1))
            blocks = -(-width // (8 * across)) * -(-height // (8 * down))
        position += 2 + length
    end = stream.find(b"\xff\xd9", position)
    scan = stream[position + 2 : end if end >= 0 else len(stream)]
    if not blocks or b"\xff\xda" in scan:
        return scan, None
    return scan, -(-blocks // interval) - 1 if interval else 0
