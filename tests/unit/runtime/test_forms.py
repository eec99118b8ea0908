"""Base64 as clients write it and networks change it, and multipart bodies with a preamble."""

import base64
import codecs
import json
import re
import time
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.skin.errors import BadBase64, BadRequest, ShineError
from bentos.skin.options import OVERLAY, Options
from bentos.skin.runtime.forms import (
    decode_base64,
    parse_base64,
    parse_batch_form,
    parse_multipart,
    parse_photo_form,
)

# All 64 digits, `+` and `/` more than once; JPEG's first bytes, and not a multiple of three long.
PHOTO = b"\xff\xd8\xff\0\0" + bytes(range(256)) * 3 + b"\xfb\xef\xbe\xff\xff\xfe\xff\xd9"
TEXT = base64.b64encode(PHOTO).decode()
assert TEXT.endswith("==")
assert {"+", "/"} <= set(TEXT)
LINES = "\n".join(TEXT[i : i + 76] for i in range(0, len(TEXT), 76))

# --- base64 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.rstrip("="),
        TEXT[:-1],
        TEXT + "==",
        LINES,
        LINES.replace("\n", "\r\n"),
        LINES.replace("\n", "\n\t"),
        LINES.replace("\n", "\r"),
        f"\r\n \t{TEXT}\r\n",
        TEXT + " ",
        TEXT[:-2] + "= =\n ",
        "\ufeff" + TEXT,
        TEXT.replace("+", "-").replace("/", "_"),
        TEXT.replace("+", "-").replace("/", "_").rstrip("="),
        TEXT.replace("+", "-"),
        TEXT.replace("/", "_"),
        quote(TEXT, safe=""),
        quote(LINES, safe=""),
        "data:image/jpeg;base64," + TEXT,
        "DATA:image/jpeg;BASE64," + TEXT,
        "data:;base64," + TEXT,
        "data:image/jpeg;name=a%2Cb.jpg;base64," + TEXT,
        "data:image/jpeg; base64, " + TEXT,
        "data:image/jpeg;base64,\n" + LINES + "\n",
        "\n data:image/jpeg;base64," + TEXT,
        "\r\n\tdata:image/jpeg;base64," + TEXT,
        "data:image/jpeg;base64," + quote(TEXT, safe=""),
        "data:image/jpeg;base64," + TEXT.replace("+", "%2b").replace("/", "%2f").replace("=", "%3d"),
        "data:image/jpeg;base64," + TEXT.replace("+", "%2B"),
        "data:image/jpeg;base64," + quote(LINES.replace("\n", "\r\n"), safe=""),
        "data:image/jpeg;base64," + TEXT.replace("+", "-").replace("/", "_").rstrip("="),
        quote("data:image/jpeg;base64," + TEXT, safe=""),
        " " + quote("data:image/jpeg;base64," + TEXT, safe=":/;,"),
    ],
)
def test_base64_as_clients_write_it_is_read(text: str) -> None:
    assert decode_base64(text) == PHOTO


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("+", " "),
        TEXT.replace("+", " ").rstrip("="),
        LINES.replace("+", " "),
        TEXT.replace("+", " ", 1),
        quote(TEXT.replace("+", " "), safe=""),
        "data:image/jpeg;base64," + TEXT.replace("+", " "),
        "data:image/jpeg;base64," + quote(TEXT.replace("+", " "), safe=""),
        "data:image/jpeg;base64," + TEXT.replace("+", "%20"),
        TEXT[:8] + "+" + TEXT[8:11] + " ",  # the last of them, where no padding follows
        TEXT[:8] + " ==",
        "/9j/AAA ",
        " ".join(TEXT[i : i + 76] for i in range(0, len(TEXT), 76)),  # line breaks that became spaces: nobody can tell
    ],
)
def test_a_space_that_may_have_been_a_plus_is_refused_with_that_hint(text: str) -> None:
    with pytest.raises(BadBase64) as refused:
        decode_base64(text)
    assert "space" in refused.value.message
    assert "%2B" in refused.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "%%%",
        "ab=c",
        "ab==cd==",
        "=abc",
        "größe",
        "/9j/4AAQ!",
        "/9j/4A\0Q",
        "/9j/4A\u00a0Q",
        "/9j/4A\u200bQ",
        "\\n/9j/",
        quote(quote(TEXT, safe=""), safe=""),
        "data:image/jpeg;base64",
        "data:image/jpeg," + TEXT,
        "data:image/jpeg;base64;" + TEXT,
        "data:base64," + TEXT,
        "data:image/jpeg;base64,data:image/jpeg;base64," + TEXT,
        "data:image/jpeg;base64,%",
        "data:image/jpeg;base64,%ff%fe",
        "https://example.com/face.jpg",
    ],
)
def test_what_is_no_base64_is_told_so(text: str) -> None:
    with pytest.raises(BadBase64):
        decode_base64(text)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_what_is_changed_on_its_way_never_becomes_other_bytes(data: bytes, place: int) -> None:
    """A '+' that became a space is refused; without one, spaces change nothing."""
    text = base64.b64encode(data).decode()
    for changed in (text.replace("+", " "), "data:;base64," + text.replace("+", " ")):
        if data[:1] < b"\xf8" or not data:  # as all photos; a leading space is dropped
            try:
                assert decode_base64(changed) == data
            except BadBase64:
                assert "+" in text
    assert decode_base64(text[:place] + "\r\n" + text[place:]) == data
    assert decode_base64(quote(text, safe="")) == data


def test_json_may_begin_with_a_byte_order_mark() -> None:
    body = json.dumps({"image": TEXT}).encode()
    assert parse_base64(codecs.BOM_UTF8 + body, "application/json").photos == [PHOTO]
    for twice in (codecs.BOM_UTF8 * 2 + body, codecs.BOM_UTF16_LE + body):
        with pytest.raises(BadRequest, match="not valid JSON"):
            parse_base64(twice, "application/json")


def test_the_largest_photo_is_decoded_in_no_long_time_however_it_is_written() -> None:
    photo = PHOTO * (10 * 2**20 // len(PHOTO))
    text = base64.b64encode(photo).decode()
    for written in (text, "data:image/jpeg;base64," + quote(text, safe=""), base64.encodebytes(photo).decode()):
        began = time.monotonic()
        assert decode_base64(written) == photo
        assert time.monotonic() - began < 3


# --- multipart ------------------------------------------------------------------------------------------------------

FORM = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + PHOTO + b"\r\n--b--\r\n"
TYPE = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    "preamble",
    [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"This is a multi-part message in MIME format.\r\n",
        b"This is a multi-part message in MIME format.\r\n\r\n",
        b"a --b in a line\r\n",
        b"--bb\r\n--b2\r\n",
        b"--\r\n",
        b"-" * 100_000 + b"\r\n",
        b"\0\xff\r\n",
    ],
    ids=lambda preamble: repr(preamble[:24]),
)
@pytest.mark.parametrize("padding", [b"", b" ", b"\t \t"])
@pytest.mark.parametrize("epilogue", [b"", b"and so on\r\n--b\r\n"])
def test_what_stands_before_the_first_boundary_and_after_the_last_is_ignored(
    preamble: bytes, padding: bytes, epilogue: bytes
) -> None:
    body = preamble + FORM.replace(b"--b\r\n", b"--b" + padding + b"\r\n", 1) + epilogue
    assert parse_photo_form(body, TYPE).photos == [PHOTO]


@pytest.mark.parametrize(
    "body", [b"", b"text", b"text\r\n", b"text --b\r\n", b"text\r\n--bb\r\n", b"text" + FORM, FORM[:-9], b"--b"]
)
def test_without_a_boundary_at_the_begin_of_a_line_a_form_is_malformed(body: bytes) -> None:
    with pytest.raises(ShineError) as refused:
        parse_photo_form(body, TYPE)
    assert refused.value.status == 400


def test_a_preamble_of_ten_mebibytes_takes_no_long_time() -> None:
    for line in (b"--c\r\n", b"\r\n", b"--b ", b"\n--b "):
        began = time.monotonic()
        with pytest.raises(BadRequest):
            parse_multipart(line * (10 * 2**20 // len(line)), TYPE)
        assert time.monotonic() - began < 2


# --- options --------------------------------------------------------------------------------------------------------


def form(*fields: tuple[str, bytes], photo: str = "image") -> bytes:
    """A form with a photo and text fields."""
    parts = [FORM[: -len(b"--b--\r\n")].replace(b'"image"', f'"{photo}"'.encode())]
    head = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n'
    parts += [head.format(name).encode() + text + b"\r\n" for name, text in fields]
    return b"".join(parts) + b"--b--\r\n"


def test_a_form_without_options_has_the_usual_ones() -> None:
    assert parse_photo_form(form(), TYPE).options == Options()
    assert parse_batch_form(form(photo="images"), TYPE).options == Options()
    assert parse_base64(json.dumps({"image": TEXT}).encode(), "application/json").options == Options()


def test_the_options_of_each_endpoint_are_read() -> None:
    fields = [("require", b"model"), ("min_confidence", b"0.25"), ("include", b"outlines,maps")]
    asked = Options("model", 0.25, frozenset({"outlines", "maps"}))
    assert parse_photo_form(form(*fields), TYPE).options == asked
    assert parse_batch_form(form(*fields[:2], photo="images"), TYPE).options == Options("model", 0.25)
    drawn = [*fields, ("layers", b"redness,zones"), ("legend", b"false"), ("width", b"640")]
    assert parse_photo_form(form(*drawn), TYPE, OVERLAY).options == replace(
        asked, layers=("redness", "zones"), legend=False, width=640
    )
    body = {"image": TEXT, "require": "model", "min_confidence": 0.25, "include": ["outlines", "maps"]}
    assert parse_base64(json.dumps(body).encode(), "application/json").options == asked
    nulls = {"image": TEXT, "require": None, "min_confidence": None, "include": None}
    assert parse_base64(json.dumps(nulls).encode(), "application/json").options == Options()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("min_confidance", "Did you mean 'min_confidence'?"),
        ("Include", "Did you mean 'include'?"),
        ("legend", "It knows image, require, min_confidence, include."),
        ("images", "Did you mean 'image'?"),
        ("", "It knows image"),
        ("\u2028" + "x" * 1000, "It knows image"),
    ],
)
def test_an_unknown_field_of_a_form_is_refused_by_its_name(name: str, hint: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_photo_form(form((name, b"1")), TYPE)
    assert repr(name[:40]) in refused.value.message
    assert hint in refused.value.hint


def test_an_unknown_field_of_json_is_refused_by_its_name() -> None:
    for name in ("includes", "layers", ""):
        body = json.dumps({"image": TEXT, name: None}).encode()
        with pytest.raises(BadRequest, match=re.escape(repr(name))):
            parse_base64(body, "application/json")


def test_an_option_that_has_no_effect_on_an_endpoint_is_unknown_to_it() -> None:
    with pytest.raises(BadRequest, match="'include'"):
        parse_batch_form(form(("include", b"maps"), photo="images"), TYPE)
    with pytest.raises(BadRequest, match="'require'"):
        parse_photo_form(form(("require", b"model")), TYPE, ())


def test_a_field_that_stands_twice_in_json_is_refused_by_its_name() -> None:
    image = json.dumps(TEXT)
    for body in (
        f'{{"image": {image}, "require": "model", "require": null}}',
        f'{{"image": {image}, "require": null, "require": null}}',
    ):
        with pytest.raises(BadRequest, match="'require' is sent more than once"):
            parse_base64(body.encode(), "application/json")
    with pytest.raises(BadRequest, match="'image' is sent more than once"):
        parse_base64(f'{{"image": {image}, "image": {image}}}'.encode(), "application/json")


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"image":' * 100_000, b'{"image": "\\ud800"}', b'{"image": "\xff"}']
)
def test_json_that_parsers_stumble_over_is_refused(body: bytes) -> None:
    with pytest.raises(ShineError) as refused:
        parse_base64(body, "application/json")
    assert refused.value.status == 400


def test_a_field_that_is_sent_twice_is_refused_by_its_name() -> None:
    for text in (b"maps", b""):
        with pytest.raises(BadRequest, match="'include' is sent more than once"):
            parse_photo_form(form(("include", b"maps"), ("include", text)), TYPE)
