"""Reads the header of a photo file: format, size, orientation, colour profile; no pixel is decoded.

The size is known here, so that a photo that is too large costs nothing. Metadata is removed: Pillow never sees text,
EXIF, multi-picture or profile segments, so it cannot fail, warn or allocate memory because of one.
"""

import struct
import zlib
from dataclasses import dataclass, replace

from bentos.skin.errors import ImageFormatUnsupported, ImageUnreadable

MAX_PROFILE_BYTES = 4 << 20  # unpacked; press profiles (CMYK) have 0.5 to 2.5 MiB; a larger one is ignored
MAX_SCANS = 64  # of a progressive JPEG; encoders write about 10, and each costs a pass over the whole photo
MAX_CHUNKS = 50_000  # of a PNG; 10 MiB in the usual 8 KiB pieces are 1,280

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_MAGICS = {"JPEG": b"\xff\xd8\xff", "PNG": _PNG_MAGIC, "WEBP": b"RIFF"}

_HEIC_HINT = (
    "Convert the photo to JPEG, PNG or WebP. On an iPhone: Settings > Camera > Formats > Most Compatible takes JPEG "
    "photos; sharing one by mail, or copying it into Files, converts it too."
)
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
_ISO_BRANDS = (  # ISO base media files (ISO/IEC 14496-12) by what their brands begin with
    ((b"avif", b"avis"), "an AVIF"),
    ((b"hei", b"hev", b"mif1", b"msf1"), "a HEIC (HEIF)"),
)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The header of a photo file, and the file without its metadata.

    Attributes:
        format: "JPEG", "PNG" or "WEBP".
        width: in px, as stored, before the orientation is applied.
        height: in px, as stored.
        stream: the file without its metadata, for the decoder.
        orientation: EXIF tag 0x0112, 1 to 8; 1 where there is none or it is broken.
        profile: ICC profile, unchecked; None where there is none, or it is larger than MAX_PROFILE_BYTES.
    """

    format: str
    width: int
    height: int
    stream: bytes
    orientation: int
    profile: bytes | None


def read_header(data: bytes) -> ImageHeader:
    """Parse the structure of a photo file, in the time that it takes to read the file once.

    Args:
        data: the whole file.

    Raises:
        ImageFormatUnsupported: not JPEG, PNG or WebP by content; the message names what it is.
        ImageUnreadable: empty, truncated, or broken in its structure.
    """
    if not data:
        raise ImageUnreadable("The file is empty.", "Send the photo itself; nothing arrived.")
    header: ImageHeader | None = None
    try:
        if data.startswith(_MAGICS["JPEG"]):
            header = _jpeg(data)
        elif data.startswith(_MAGICS["PNG"]):
            header = _png(data)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            header = _webp(data)
    except (struct.error, IndexError) as error:  # parsing ran past the end
        raise _truncated() from error
    if header is not None:
        oversized = header.profile is not None and len(header.profile) > MAX_PROFILE_BYTES
        return replace(header, profile=None) if oversized else header
    if len(data) < 12 and any(magic.startswith(data[: len(magic)]) for magic in _MAGICS.values()):
        raise _truncated()
    raise _unsupported(data)


def _truncated() -> ImageUnreadable:
    return ImageUnreadable("The photo is truncated: it ends before its data do.")


def _unsupported(data: bytes) -> ImageFormatUnsupported:
    """The error for a file that is not a supported photo; it names the format."""
    head = data[:1024]
    if head[4:8] == b"ftyp":
        brands = head[8 : min(struct.unpack(">I", head[:4])[0], len(head))]
        for starts, name in _ISO_BRANDS:
            if any(brands[i : i + 4].startswith(starts) for i in range(0, len(brands), 4)):
                hint = _HEIC_HINT if "HEIC" in name else None
                return ImageFormatUnsupported(f"The file is {name} picture, which is not supported.", hint)
        return ImageFormatUnsupported("The file is a video, not a photo.", "Send a JPEG, PNG or WebP photo.")
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
        hint = "Send the bytes of a JPEG, PNG or WebP file; base64 goes to /analyze_base64."
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
        raise ImageUnreadable(f"The JPEG has more than {MAX_SCANS} scans.", "Save it again as an ordinary JPEG.")
    kept.append(data[position:])
    profile = b"".join(profile_parts[number] for number in sorted(profile_parts))
    return ImageHeader("JPEG", *size, b"".join(kept), _orientation(exif), profile or None)


def _png(data: bytes) -> ImageHeader:
    """Reads the chunks (PNG specification, third edition, section 5); checks what the decoder does not check."""
    kept: list[bytes] = [_PNG_MAGIC]
    header: tuple[int, int, int, int] | None = None
    exif = b""
    profile: bytes | None = None
    has_pixels = False
    position = len(_PNG_MAGIC)
    for _ in range(MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise _truncated()
        if header is None and (kind != b"IHDR" or length != 13):
            raise ImageUnreadable("The PNG is corrupt: it does not begin with its header.")
        critical = not kind[0] & 0x20
        used = critical or kind in (b"tRNS", b"iCCP", b"eXIf")
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
        elif kind == b"eXIf" and intact:
            exif = data[position + 8 : end - 4]
        elif kind == b"iCCP" and intact:
            profile = _png_profile(data[position + 8 : end - 4])
        has_pixels |= kind == b"IDAT"
        if kind == b"IEND":
            break
        position = end
    else:
        raise ImageUnreadable(f"The PNG has more than {MAX_CHUNKS:,} chunks.", "Save it again as an ordinary PNG.")
    if header is None or not has_pixels:
        raise ImageUnreadable("The PNG holds no picture data.")
    return ImageHeader("PNG", header[0], header[1], b"".join(kept), _orientation(exif), profile)


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


def _orientation(exif: bytes) -> int:
    """EXIF orientation (CIPA DC-008, tag 0x0112 of the first directory); 1 where it is missing or broken."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        directory = struct.unpack_from(order + "I", tiff, 4)[0]
        for entry in range(struct.unpack_from(order + "H", tiff, directory)[0]):
            tag, kind = struct.unpack_from(order + "HH", tiff, directory + 2 + 12 * entry)
            if tag == 0x0112:
                code = {3: "H", 4: "I"}[kind]  # SHORT as the standard says; some cameras write LONG
                value: int = struct.unpack_from(order + code, tiff, directory + 10 + 12 * entry)[0]
                return value if 1 <= value <= 8 else 1
    except (struct.error, KeyError):
        pass
    return 1
