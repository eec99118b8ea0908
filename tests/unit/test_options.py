"""The options of requests: what each may be, in forms and in JSON, and that nothing else is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.skin.errors import BadRequest
from bentos.skin.options import MAX_WIDTH, MIN_WIDTH, OVERLAY, Options, of_form, of_json


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("require", b"model", "model"),
        ("require", b' "model" ', "model"),
        ("min_confidence", b"0", 0.0),
        ("min_confidence", b"1", 1.0),
        ("min_confidence", b" .5\r\n", 0.5),
        ("min_confidence", b"2.5e-1", 0.25),
        ("min_confidence", b'"0.5"', 0.5),
        ("include", b"maps", frozenset({"maps"})),
        ("include", b"maps, outlines", frozenset({"maps", "outlines"})),
        ("include", b'["maps", "outlines"]', frozenset({"maps", "outlines"})),
        ("include", b'"maps,outlines"', frozenset({"maps", "outlines"})),
        ("include", b"[]", frozenset()),
        ("layers", b"texture,boxes,texture", ("texture", "boxes")),
        ("legend", b"true", True),
        ("legend", b"False", False),
        ("width", b"800", 800),
        ("width", str(MIN_WIDTH).encode(), MIN_WIDTH),
        ("width", str(MAX_WIDTH).encode(), MAX_WIDTH),
    ],
)
def test_what_clients_write_is_read(name: str, text: bytes, value: object) -> None:
    read = getattr(of_form({name: text}), name)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("name", OVERLAY)
@pytest.mark.parametrize("text", [b"", b"null", b" \r\n", b'""'])
def test_an_empty_field_is_as_if_left_out(name: str, text: bytes) -> None:
    assert of_form({name: text}) == Options()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("require", text) for text in (b"Model", b"true", b"model,model", b'["model"]', b"\xff", b"model" * 500)),
        *(("min_confidence", text) for text in (b"2", b"-0.1", b"nan", b"inf", b"-inf", b"1e400", b"0,5", b"50%")),
        *(("min_confidence", text) for text in (b"0x1", b"1_0", b"\xd9\xa1", b"[0.5]", b"true", b"0.5.5", b"1e")),
        *(
            ("include", text)
            for text in (b"foo", b"maps;outlines", b"maps,", b",", b"Maps", b"[1]", b"[maps]", b"[" * 999)
        ),
        *(("layers", text) for text in (b"box", b"boxes zones", b"face", b"none", b'{"a": 1}')),
        *(("legend", text) for text in (b"maybe", b"0", b"no", b"2", b"[true]")),
        *(("width", text) for text in (b"-3", b"0", b"63", b"2049", b"1e3", b"800.0", b"800px", b"9" * 1000, b"nan")),
    ],
)
def test_what_an_option_cannot_be_is_refused_by_its_name(name: str, text: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        of_form({name: text})
    assert f"'{name}'" in refused.value.message
    assert f"{name}=" in refused.value.hint
    assert len(refused.value.message) < 250


WRONG_IN_JSON: dict[str, list[Any]] = {
    "require": [0, False, "", [], {}, ["model"]],
    "min_confidence": ["0.5", True, float("nan"), float("inf"), 10**400, -(10**400), []],
    "include": ["maps", ["foo"], [["maps"]], [None], {"maps": True}, 1, [10**400]],
    "width": [800.0, "800", True],
    "legend": ["true", 1],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG_IN_JSON for value in WRONG_IN_JSON[name]])
def test_json_has_the_types_of_json(name: str, value: Any) -> None:
    with pytest.raises(BadRequest, match=f"'{name}'"):
        of_json({name: value})


def test_a_number_too_long_to_be_written_is_refused() -> None:
    for name, value in (("min_confidence", 10**5000), ("include", [10**5000]), ("include", 10**5000)):
        with pytest.raises(BadRequest, match="too large a number"):
            of_json({name: value})


@given(st.sampled_from(OVERLAY), st.binary(max_size=60))
def test_any_text_is_read_or_refused(name: str, text: bytes) -> None:
    try:
        options = of_form({name: text})
    except BadRequest:
        return
    assert options == Options(**{name: getattr(options, name)})
