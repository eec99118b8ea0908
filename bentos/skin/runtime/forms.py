"""Parses the body of a request into its photos. In memory only: no photo is ever spooled to disk."""

import base64
import binascii
import codecs
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from bentos.skin.errors import (
    BadBase64,
    BadRequest,
    BatchTooLarge,
    ContentTypeUnsupported,
    ImageMissing,
)
from bentos.skin.options import ANALYZE, BATCH, WHITESPACE, Options, of_form, of_json, refuse_unknown
from bentos.skin.settings import MAX_BATCH_PHOTOS

MAX_PARTS = 64  # parts of a form; a batch has 16 photos
DATA_URL_HEAD = re.compile(r"data:[^,]*;\s*base64\s*", re.IGNORECASE)
URL_SAFE = bytes.maketrans(b"-_", b"+/")  # RFC 4648, section 5; which of the two alphabets it is does not matter


@dataclass(frozen=True, slots=True)
class Upload:
    """The photos of a request as bytes, and its options."""

    photos: list[bytes]
    options: Options


@dataclass(slots=True)
class Part:
    """One part of a multipart body; `filename` is None where the part is not a file."""

    name: str = ""
    filename: str | None = None
    content: bytearray = field(default_factory=bytearray)


def media_type(content_type: str) -> str:
    """Content-Type without its parameters, lower-case."""
    return content_type.partition(";")[0].strip().lower()


def parse_multipart(body: bytes, content_type: str) -> list[Part]:
    """The parts of a multipart/form-data body.

    Raises:
        ContentTypeUnsupported: the Content-Type is another one, or missing.
        BadRequest: there is no boundary, or the body does not follow it to its end.
    """
    if media_type(content_type) != "multipart/form-data":
        shown = media_type(content_type)[:80] or "missing"
        raise ContentTypeUnsupported(f"The Content-Type is {shown}, where multipart/form-data is expected.")
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise BadRequest(
            "The Content-Type names no boundary.",
            "Let your HTTP client set the Content-Type of the form by itself; it knows the boundary.",
        )
    parts: list[Part] = []
    header_name, header_value = bytearray(), bytearray()
    ended = False

    def on_part_begin() -> None:
        if len(parts) == MAX_PARTS:
            raise FormParserError("too many parts")
        parts.append(Part())

    def on_header_field(data: bytes, start: int, end: int) -> None:
        header_name.extend(data[start:end])

    def on_header_value(data: bytes, start: int, end: int) -> None:
        header_value.extend(data[start:end])

    def on_header_end() -> None:
        if bytes(header_name).lower() == b"content-disposition":
            _, disposition = parse_options_header(header_value.decode("latin-1"))
            parts[-1].name = disposition.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in disposition:
                parts[-1].filename = disposition[b"filename"].decode("utf-8", "replace")
        header_name.clear()
        header_value.clear()

    def on_part_data(data: bytes, start: int, end: int) -> None:
        parts[-1].content += memoryview(data)[start:end]

    def on_end() -> None:
        nonlocal ended
        ended = True

    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": on_part_begin,
                "on_header_field": on_header_field,
                "on_header_value": on_header_value,
                "on_header_end": on_header_end,
                "on_part_data": on_part_data,
                "on_end": on_end,
            },
        )
        for piece in _without_preamble(body, boundary):
            parser.write(piece)
        parser.finalize()
    except FormParserError:
        raise BadRequest("The multipart body is malformed.") from None
    if not ended:
        raise BadRequest("The multipart body ends before its closing boundary.")
    return parts


def _without_preamble(body: bytes, boundary: bytes) -> tuple[bytes, ...]:
    """The body from its first boundary on, without padding after it: RFC 2046 (5.1.1) allows both, the parser neither.

    In two pieces where something had to go, and as it is where there is no boundary: the parser says what is wrong.
    """
    delimiter = b"--" + boundary
    if body.startswith((delimiter + b"\r\n", delimiter + b"--")):
        return (body,)  # as nearly every client sends it; a pattern for its boundary takes half a millisecond
    padded = re.escape(delimiter) + rb"(?:[ \t]*(?=\r\n)|(?=--))"
    first = re.match(padded, body) or re.search(rb"\n" + padded, body)
    if first is None or first.group() == delimiter:
        return (body,)
    return delimiter, body[first.end() :]


def parse_photo_form(body: bytes, content_type: str, options: Sequence[str] = ANALYZE) -> Upload:
    """The form of an endpoint for one photo: exactly one file in `image`, and options.

    Args:
        body: of the request.
        content_type: of the request.
        options: names of those that the endpoint has.

    Raises:
        ShineError: as `parse_multipart`; ImageMissing; BadRequest for a second file, an unknown field or a wrong value.
    """
    parts = parse_multipart(body, content_type)
    files = _files(parts, "image")
    if len(files) > 1:
        raise BadRequest(
            f"The field 'image' holds {len(files)} files.", "Send one file in 'image'; use /analyze_batch for several."
        )
    return Upload(files, _options(parts, "image", options))


def parse_batch_form(body: bytes, content_type: str) -> Upload:
    """The form of /analyze_batch: 1 to 16 files in `images`; raises as `parse_photo_form`, and BatchTooLarge."""
    parts = parse_multipart(body, content_type)
    files = _files(parts, "images")
    if len(files) > MAX_BATCH_PHOTOS:
        raise BatchTooLarge(f"The batch holds {len(files)} photos; {MAX_BATCH_PHOTOS} are the most.")
    return Upload(files, _options(parts, "images", BATCH))


def parse_base64(body: bytes, content_type: str) -> Upload:
    """The JSON of /analyze_base64: {"image": "<base64 or data: URL>"}, and options.

    Raises:
        ContentTypeUnsupported, BadRequest, ImageMissing, BadBase64.
    """
    if media_type(content_type) != "application/json":
        shown = media_type(content_type)[:80] or "missing"
        raise ContentTypeUnsupported(f"The Content-Type is {shown}, where application/json is expected.")
    try:
        # A byte order mark is ignored, as RFC 8259 (8.1) lets parsers do.
        value = json.loads(body.removeprefix(codecs.BOM_UTF8).decode(), object_pairs_hook=_without_repetition)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError):
        raise BadRequest("The body is not valid JSON.", BadBase64.hint) from None
    if not isinstance(value, dict):
        raise BadRequest("The JSON body is not an object.", BadBase64.hint)
    if "image" not in value:
        raise ImageMissing("The JSON body has no 'image'.", BadBase64.hint)
    image = value["image"]
    if not isinstance(image, str):
        raise BadBase64("'image' is not a string.")
    refuse_unknown(value, ("image", *ANALYZE))
    options = of_json({name: value[name] for name in ANALYZE if name in value})
    return Upload([decode_base64(image)], options)


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The members of a JSON object.

    Raises:
        BadRequest: one is there more than once, of which parsers keep the first or the last.
    """
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise _repeated(name)
        members[name] = value
    return members


def _repeated(name: str) -> BadRequest:
    return BadRequest(f"The field {name[:40]!r} is sent more than once.", f"Send {name[:40]!r} once.")


def decode_base64(text: str) -> bytes:
    """Bytes of base64 text or of a data: URL.

    Line breaks, missing padding, the URL-safe alphabet and percent-encoding are accepted. A space among the digits is
    not: it may have been a '+', and without it the bytes would be others.

    Raises:
        BadBase64: the text is neither, or was changed on its way.
    """
    text = text.lstrip("\ufeff" + WHITESPACE)
    if "%" in text and text[:5].lower() != "data:":  # a whole data: URL may be percent-encoded too
        text = unquote(text).lstrip(WHITESPACE)
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not DATA_URL_HEAD.fullmatch(head):
            raise BadBase64("The data: URL holds no base64.")
        if "%" in text:
            text = unquote(text)
    # No photo begins with a '+'. It may end with one, but not after padding.
    text = text.lstrip(WHITESPACE)
    unpadded = text.rstrip("=" + WHITESPACE)
    end = text[len(unpadded) :]
    if " " in unpadded or " " in end.partition("=")[0]:
        raise BadBase64(
            "'image' holds a space where base64 has a '+'.",
            "Send '+' as %2B in URLs and forms, where a bare one means a space, or use the URL-safe alphabet.",
        )
    try:
        digits = unpadded.encode("ascii").translate(URL_SAFE, WHITESPACE.encode())
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise BadBase64("'image' is not valid base64.") from None


def _files(parts: list[Part], name: str) -> list[bytes]:
    # A part without a file name is taken as a file too: its content decides, as for every file.
    files = [bytes(part.content) for part in parts if part.name == name and (part.filename != "" or part.content)]
    if not files:
        others = ", ".join(sorted({repr(part.name[:40]) for part in parts if part.filename}))
        message = f"No file in the field '{name}'" + (f"; there is one in {others}." if others else ".")
        raise ImageMissing(message, ImageMissing.hint.replace("'image'", f"'{name}'").replace("image=@", f"{name}=@"))
    return files


def _options(parts: list[Part], photos: str, known: Sequence[str]) -> Options:
    """The options of a form whose photos are in the field `photos`."""
    refuse_unknown([part.name for part in parts], (photos, *known))
    given: dict[str, bytes] = {}
    for part in parts:
        if part.name == photos:
            continue
        if part.name in given:
            raise _repeated(part.name)
        given[part.name] = bytes(part.content)
    return of_form(given)
