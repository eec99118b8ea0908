"""Reads the header of a photo file: format, size, orientation, colour profile; no pixel is decoded.

The size is known here, so that a photo that is too large costs nothing. Metadata is removed from JPEG and PNG: no
decoder sees text, EXIF, multi-picture or profile segments, so it cannot fail, warn or allocate memory because of one.
"""

import re
import struct
import zlib
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Literal

import pi_heif
from PIL.AvifImagePlugin import AvifImageFile

from bentos.skin.errors import ImageFormatUnsupported, ImageUnreadable
from bentos.skin.photo import colour
from bentos.skin.photo.av1 import largest_frame
from bentos.skin.photo.colour import CodePoints
from bentos.skin.photo.magic import AVIF_BRANDS, HEIF_BRANDS, HEVC_BRANDS, MAGICS, PNG_MAGIC

pi_heif.options.DECODE_THREADS = 1  # photos are decoded side by side already
pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False

Format = Literal["JPEG", "PNG", "WEBP", "HEIC", "AVIF"]

MAX_PROFILE_BYTES = 4 << 20  # unpacked; press profiles (CMYK) have 0.5 to 2.5 MiB; a larger one is ignored
MAX_SCANS = 64  # of a progressive JPEG; encoders write about 10, and each costs a pass over the whole photo
MAX_CHUNKS = 50_000  # of a PNG; 10 MiB in the usual 8 KiB pieces are 1,280
_PNG_COLOUR = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")

_AGAIN = "Send the bytes of the file as the camera or the phone wrote it."
_ORDINARY = "Save it again as an ordinary JPEG."
_BASELINE_HINT = "Save it again as an ordinary JPEG of 8 bits a sample."
# Processes of JPEG by the marker of the frame header (ISO/IEC 10918-1, table B.1) that are no photo's.
_OTHER_JPEGS = {
    **dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "a lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xCD, 0xCE), "a hierarchical JPEG"),
}
_OTHER_MAGICS = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF or a camera's raw file"),
    (b"MM\0*", "a TIFF or a camera's raw file"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"8BPS", "a Photoshop document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
)
# What the bytes of a photo become when a program takes them for text.
_MANGLED = re.compile(
    rb"(\xef\xbf\xbd){2,}|\xef\xbf\xbdPNG"  # bytes that are no UTF-8 became U+FFFD
    rb"|\?{3,4}.{0,3}(JFIF|Exif)|\?PNG"  # or question marks
    rb"|\xc3\xbf\xc3\x98\xc3\xbf|(\xc2\x89|\xe2\x80\xb0)PNG"  # bytes were taken for characters of Latin-1
    rb"|\xff\xfe\xff\0\xd8\0|\xff\xfe\x89\0P\0"  # and written as UTF-16
    rb"|\x89PNG(\n|\r\r)|\x89PNG\r\n\x1a\r|\x09PNG",  # line ends were converted, the eighth bit was cut
    re.DOTALL,
)
_SPELT_OUT = (  # the bytes of a photo as text
    (re.compile(rb"(data:image/|/9j/|iVBORw0KGgo|UklGR|AAAA.{0,6}Z0eX)"), "base64", "Base64 goes to /analyze_base64."),
    (re.compile(rb"\W*(0x)?(ff\W*(0x)?d8|89\W*(0x)?50\W*(0x)?4e)"), "hexadecimal digits", "Decode them first."),
    (re.compile(rb"\W*(255\W+216\W+255|137\W+80\W+78)"), "a list of numbers", "Make bytes of them first."),
    (re.compile(rb"b['\"]\\x"), "a Python literal", "Write the bytes, not their str()."),
)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The header of a photo file, and the file without its metadata.

    Attributes:
        format: of the content.
        width: in px, as stored, before the orientation is applied.
        height: in px, as stored.
        stream: the file for the decoder; JPEG and PNG without their metadata.
        orientation: 1 to 8 as EXIF tag 0x0112 has it; 1 where there is none, it is broken, or the decoder applies it.
        profile: ICC profile, unchecked, or one made of what the file says otherwise; None where it says nothing, says
            sRGB, or the profile is larger than MAX_PROFILE_BYTES.
        full_range: False where samples lie between 16 and 235.
        frame_pixels: of the largest frame that has to be decoded for it; width × height but for AVIF.
    """

    format: Format
    width: int
    height: int
    stream: bytes
    orientation: int
    profile: bytes | None
    full_range: bool = True
    frame_pixels: int = 0


def read_header(data: bytes) -> ImageHeader:
    """Parse the structure of a photo file, in the time that it takes to read the file once.

    Args:
        data: the whole file.

    Raises:
        ImageFormatUnsupported: no format that is supported, or a kind of it that is not, by content; the message
            names what it is.
        ImageUnreadable: empty, truncated, or broken in its structure.
    """
    if not data:
        raise ImageUnreadable("The file is empty.", "Send the photo itself; nothing arrived.")
    header: ImageHeader | None = None
    try:
        if data.startswith(MAGICS["JPEG"]):
            header = _jpeg(data)
        elif data.startswith(MAGICS["PNG"]):
            header = _png(data)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            header = _webp(data)
        elif data[4:8] == b"ftyp":
            header = _iso_media(data)
    except (struct.error, IndexError) as error:  # parsing ran past the end
        raise _truncated() from error
    if header is not None:
        oversized = header.profile is not None and len(header.profile) > MAX_PROFILE_BYTES
        return replace(header, profile=None) if oversized else header
    if len(data) < 12 and any(magic.startswith(data[: len(magic)]) for magic in MAGICS.values()):
        raise _truncated()
    raise _unsupported(data)


def _truncated() -> ImageUnreadable:
    return ImageUnreadable("The photo is truncated: it ends before its data do.")


def _unsupported(data: bytes) -> ImageFormatUnsupported:
    """The error for a file that is not a supported photo; it names the format."""
    head = data[:1024]
    if head[4:8] == b"ftyp":
        return ImageFormatUnsupported("The file is a video, not a photo.", "Send a photo.")
    if _MANGLED.match(head):
        return ImageFormatUnsupported("The file was once a photo, but a program read and wrote it as text.", _AGAIN)
    for magic, name in _OTHER_MAGICS:
        if head.startswith(magic):
            return ImageFormatUnsupported(f"The file is {name}, which is not supported.")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in text:
        return ImageFormatUnsupported("The file is an SVG drawing, not a photo.")
    if text.startswith((b"<!doctype html", b"<html")):
        hint = "Send the photo itself, not the page that shows it."
        return ImageFormatUnsupported("The file is an HTML page, not a photo.", hint)
    if not any(byte < 0x20 and byte not in b"\t\n\f\r" for byte in head):
        for pattern, form, advice in _SPELT_OUT:
            if pattern.match(head.lstrip()):
                return ImageFormatUnsupported(
                    f"The file is a photo's bytes as {form}, not a photo.", f"{_AGAIN} {advice}"
                )
        hint = "Send the bytes of a photo; base64 goes to /analyze_base64."
        return ImageFormatUnsupported("The file is text, not a photo.", hint)
    return ImageFormatUnsupported("The file is not in a known picture format.")


def _jpeg(data: bytes) -> ImageHeader:
    """Reads the segments before the first scan (ISO/IEC 10918-1, annex B)."""
    size: tuple[int, int] | None = None
    exif = b""
    profile_parts: dict[int, bytes] = {}
    kept: list[bytes] = [b"\xff\xd8"]
    position = 2
    while True:
        position = data.find(b"\xff", position)  # libjpeg skips stray bytes between segments too
        if position < 0:
            raise _truncated()
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # no length follows
            position += 2
            continue
        if marker == 0xD9:
            raise ImageUnreadable("The JPEG holds no picture data.")
        length = struct.unpack_from(">H", data, position + 2)[0]
        end = position + 2 + length
        if length < 2:
            raise ImageUnreadable("The JPEG is corrupt: a segment has an impossible length.")
        if end > len(data):
            raise _truncated()
        body = data[position + 4 : end]
        if marker == 0xDA:
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            if size is not None:
                raise ImageUnreadable("The JPEG is corrupt: it has two frame headers.")
            if marker in _OTHER_JPEGS:
                raise ImageFormatUnsupported(
                    f"The file is {_OTHER_JPEGS[marker]}, which is not supported.", _BASELINE_HINT
                )
            if body[0] != 8:
                raise ImageFormatUnsupported(f"The JPEG has {body[0]} bits a sample; 8 are supported.", _BASELINE_HINT)
            height, width = struct.unpack_from(">HH", body, 1)
            size = width, height
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif = exif or body
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
            profile_parts[body[12]] = body[14:]
        elif marker < 0xE0 or (marker == 0xE0 and body.startswith(b"JFIF")) or marker == 0xEE:
            kept.append(data[position:end])  # JFIF and Adobe (APP14) say which colour space the numbers are in
        position = end
    if size is None:
        raise ImageUnreadable("The JPEG is corrupt: no frame header before its data.")
    picture_end = data.find(b"\xff\xd9", position)  # neither marker can occur inside entropy-coded data
    if data.count(b"\xff\xda", position, picture_end if picture_end >= 0 else len(data)) > MAX_SCANS:
        raise ImageUnreadable(f"The JPEG has more than {MAX_SCANS} scans.", _ORDINARY)
    kept.append(data[position:])
    profile = b"".join(profile_parts[number] for number in sorted(profile_parts))
    if not profile and _is_adobe_rgb(exif):
        profile = colour.adobe_rgb()
    return ImageHeader("JPEG", *size, b"".join(kept), _orientation(exif), profile or None)


def _png(data: bytes) -> ImageHeader:
    """Reads the chunks (PNG specification, third edition, section 5); checks what the decoder does not check."""
    kept: list[bytes] = [PNG_MAGIC]
    header: tuple[int, int, int, int] | None = None
    ancillary: dict[bytes, bytes] = {}  # chunks that matter, by kind
    has_pixels = False
    position = len(PNG_MAGIC)
    for _ in range(MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise _truncated()
        if kind == b"CgBI":
            hint = "Export it as an ordinary PNG or JPEG; Xcode writes this form for apps only."
            raise ImageFormatUnsupported("The file is a CgBI PNG, Apple's own form, which is not supported.", hint)
        if header is None and (kind != b"IHDR" or length != 13):
            raise ImageUnreadable("The PNG is corrupt: it does not begin with its header.")
        critical = not kind[0] & 0x20
        used = critical or kind in (b"tRNS", b"eXIf", *_PNG_COLOUR)
        intact = (
            used and zlib.crc32(memoryview(data)[position + 4 : end - 4]) == struct.unpack_from(">I", data, end - 4)[0]
        )
        if critical and not intact:
            raise ImageUnreadable("The PNG is corrupt: the checksum of its data is wrong.")
        if kind == b"IHDR":
            if header is not None:
                raise ImageUnreadable("The PNG is corrupt: it has two headers.")
            header = struct.unpack_from(">IIBB", data, position + 8)
        if critical or (kind == b"tRNS" and intact and header is not None and _plain_transparency(*header[2:])):
            kept.append(data[position:end])
        elif used and intact and not (has_pixels and kind in _PNG_COLOUR):
            ancillary.setdefault(kind, data[position + 8 : end - 4])
        has_pixels |= kind == b"IDAT"
        if kind == b"IEND":
            break
        position = end
    else:
        raise ImageUnreadable(f"The PNG has more than {MAX_CHUNKS:,} chunks.", "Save it again as an ordinary PNG.")
    if header is None or not has_pixels:
        raise ImageUnreadable("The PNG holds no picture data.")
    profile, full_range = _png_colour(ancillary)
    orientation = _orientation(ancillary.get(b"eXIf", b""))
    return ImageHeader("PNG", header[0], header[1], b"".join(kept), orientation, profile, full_range)


def _png_colour(ancillary: dict[bytes, bytes]) -> tuple[bytes | None, bool]:
    """Profile, and whether samples use their full range, by the first chunk that says it (PNG, third edition, 4.3).

    Raises:
        ImageFormatUnsupported: brightness follows PQ or HLG.
    """
    points = ancillary.get(b"cICP", b"")
    if len(points) == 4:
        full_range = points[3] != 0
        profile = colour.profile_of_code_points(CodePoints(points[0], points[1]))
        if profile is not None or not full_range:
            return profile, full_range
    if b"iCCP" in ancillary and (profile := _png_profile(ancillary[b"iCCP"])) is not None:
        return profile, True
    if b"sRGB" in ancillary:
        return None, True
    gamma, chromaticities = ancillary.get(b"gAMA", b""), ancillary.get(b"cHRM", b"")
    white: colour.Chromaticities | None = None
    if len(chromaticities) == 32:
        numbers = [number / 100_000 for number in struct.unpack(">8I", chromaticities)]
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        white = (*pairs[1:], pairs[0])
    exponent = struct.unpack(">I", gamma)[0] / 100_000 if len(gamma) == 4 else None
    return colour.profile_of_gamma(exponent, white), True


def _plain_transparency(bit_depth: int, colour_type: int) -> bool:
    """Whether Pillow decodes a tRNS chunk correctly: that of a palette, or one key colour of 8 bits a channel."""
    return colour_type == 3 or bit_depth == 8


def _png_profile(body: bytes) -> bytes | None:
    """The profile in an iCCP chunk: name, 0, method 0, zlib stream."""
    packed = body[body.find(b"\0") + 2 :]
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed, MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if unpacker.eof else None


def _webp(data: bytes) -> ImageHeader:
    """Reads the chunks (RFC 9649, section 2)."""
    size: tuple[int, int] | None = None
    exif = b""
    profile: bytes | None = None
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        start = position + 8
        if size is None:
            size = _webp_size(kind, data[start : start + 10])
        if kind == b"EXIF":
            exif = data[start : start + length]
        elif kind == b"ICCP":
            profile = data[start : start + length]
        position = start + length + (length & 1)
        if profile is not None and exif:
            break
    if size is None:
        raise ImageUnreadable("The WebP holds no picture data.")
    return ImageHeader("WEBP", *size, data, _orientation(exif), profile)


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int]:
    """Canvas size from the first chunk, which must be VP8X, VP8L or VP8."""
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", body, 1)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise ImageUnreadable("The WebP is corrupt: it does not begin with a picture.")


def _iso_media(data: bytes) -> ImageHeader | None:
    """Reads an ISO base media file (ISO/IEC 14496-12) that says it holds an AVIF or a HEIC picture; None for others.

    Raises:
        ImageFormatUnsupported: brightness follows PQ or HLG.
        ImageUnreadable: truncated, or broken in its structure.
    """
    end = min(struct.unpack_from(">I", data)[0], 1024)
    brands = [data[8:12], *(data[i : i + 4] for i in range(16, end, 4))]
    if not any(brand in AVIF_BRANDS or brand in HEIF_BRANDS for brand in brands):
        return None
    is_avif = brands[0] in AVIF_BRANDS or (
        any(brand in AVIF_BRANDS for brand in brands) and not any(brand in HEVC_BRANDS for brand in brands)
    )
    name: Format = "AVIF" if is_avif else "HEIC"
    try:
        picture = pi_heif.open_heif(BytesIO(data))
    except Exception as error:  # its binding raises several built-in exceptions
        raise ImageUnreadable(f"The {name} is corrupt or truncated: its structure cannot be read.") from error
    width, height = picture.size
    profile = picture.info.get("icc_profile")
    points = picture.info.get("nclx_profile")
    if points is not None:
        made = colour.profile_of_code_points(
            CodePoints(int(points["color_primaries"]), int(points["transfer_characteristics"]))
        )
        profile = profile or made
    if not is_avif:
        return ImageHeader(name, width, height, data, 1, profile)
    # As a still picture, never as a sequence: only its items are looked at here.
    data = data[:8] + b"avif" + data[12:]
    try:
        frame_pixels = largest_frame(data)
        avif = AvifImageFile(BytesIO(data))
    except Exception as error:  # Pillow raises nearly every built-in exception for some broken file
        raise ImageUnreadable("The AVIF is corrupt or truncated: its structure cannot be read.") from error
    orientation = _orientation(avif.info.get("exif", b""))  # the container's own, which Pillow writes there
    return ImageHeader(name, *avif.size, data, orientation, profile, frame_pixels=frame_pixels)


def _orientation(exif: bytes) -> int:
    """EXIF orientation (CIPA DC-008, tag 0x0112 of the first directory); 1 where it is missing or broken."""
    value = _exif_tag(exif, (0x0112,))
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _is_adobe_rgb(exif: bytes) -> bool:
    """Whether EXIF says that colours are Adobe RGB (CIPA DC-008, interoperability index "R03")."""
    return _exif_tag(exif, (0x8769, 0xA005, 0x0001)) == b"R03\0"


def _exif_tag(exif: bytes, path: tuple[int, ...]) -> int | bytes | None:
    """The value of a tag, by the tags of the directories that lead to it; None where it is missing or broken."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return None
    value: int | bytes | None = None
    try:
        directory = struct.unpack_from(order + "I", tiff, 4)[0]
        for expected in path:
            value = None
            for entry in range(struct.unpack_from(order + "H", tiff, directory)[0]):
                position = directory + 2 + 12 * entry
                tag, kind = struct.unpack_from(order + "HH", tiff, position)
                if tag == expected:
                    # SHORT as the standard says; some cameras write LONG; four characters lie in the entry itself.
                    value = {
                        3: struct.unpack_from(order + "H", tiff, position + 8)[0],
                        4: struct.unpack_from(order + "I", tiff, position + 8)[0],
                        2: tiff[position + 8 : position + 12],
                    }.get(kind)
                    break
            if value is None:
                return None
            directory = value if isinstance(value, int) else 0
    except struct.error:
        return None
    return value
