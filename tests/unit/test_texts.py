"""The texts for people: every code of the contract, in both languages, with the same placeholders, none unused."""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from bentos.skin import schema
from bentos.skin.findings import CONCERNS, Unseen
from bentos.skin.photo.quality import ADVICE
from bentos.skin.runtime import web

TEXT: dict[str, Any] = json.loads(web.source(web.TEXTS).read_text())
COMPONENT = {name for name in web.assemble(web.COMPONENT)[1] if name != web.TEXTS}
ZONES = {*schema.WrinkleZones.model_fields, *schema.ColourZones.model_fields, *schema.Outlines.model_fields}
CLIENT = web.source("shine-client.js").read_text()


def leaves(texts: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every text with its path."""
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def test_both_languages_have_the_same_keys_in_the_same_order() -> None:
    english, german = ([path for path, _ in leaves(TEXT[lang])] for lang in ("en", "de"))
    assert [*TEXT] == ["en", "de"]
    assert english == german


@pytest.mark.parametrize("lang", ["en", "de"])
@pytest.mark.parametrize(
    ("section", "codes"),
    [
        ("issues", get_args(schema.QualityIssue)),
        ("reasons", get_args(schema.Reason)),
        ("unseen", get_args(Unseen)),
        ("severities", get_args(schema.Severity)),
        ("concerns", CONCERNS),
        ("zones", ZONES),
        ("tones", get_args(schema.ToneGroup)),
        # Beside the service's codes those of a client that has no answer of the service.
        ("errors", {*get_args(schema.ErrorCode), *re.findall(r'new ShineError\("(\w+)"', CLIENT)}),
    ],
)
def test_a_section_has_the_codes_of_the_contract(lang: str, section: str, codes: set[str]) -> None:
    assert {*TEXT[lang][section]} == {*codes}


@pytest.mark.parametrize("lang", ["en", "de"])
def test_an_error_is_a_sentence_and_a_way_on(lang: str) -> None:
    for code, error in TEXT[lang]["errors"].items():
        assert [*error] == ["message", "hint"], code
        assert all(re.fullmatch(r"[A-ZÄÖÜ].+\.", sentence) for sentence in error.values()), code


def test_placeholders_are_the_same_in_both_languages() -> None:
    english, german = (dict(leaves(TEXT[lang])) for lang in ("en", "de"))
    named = re.compile(r"\{(\w+)\}")
    for path, text in english.items():
        assert {*named.findall(text)} == {*named.findall(german[path])}, path


def test_no_text_is_empty_or_left_in_the_other_language() -> None:
    english, german = (dict(leaves(TEXT[lang])) for lang in ("en", "de"))
    for path, text in english.items():
        assert text.strip() == text != "", path
        assert german[path].strip() == german[path] != "", path
        assert len(text) < 25 or text != german[path], path


def test_advice_in_english_is_that_of_the_service() -> None:
    assert TEXT["en"]["issues"] == ADVICE


def test_the_notice_is_that_of_the_service() -> None:
    component = TEXT["en"]["component"]
    assert (component["notice"], component["notice_weights"]) == (schema.NOTICE, schema.WEIGHTS_NOTICE)


@pytest.mark.parametrize("section", ["component", "page"])
def test_no_text_is_unused(section: str) -> None:
    used = _words(section)
    unused = [key for key in TEXT["en"][section] if not any(re.fullmatch(word, key) for word in used)]
    assert unused == []


def test_a_plural_has_both_forms() -> None:
    keys = TEXT["en"]["component"]
    counted = {key.rpartition("_")[0] for key in keys if key.endswith(("_one", "_other"))}
    assert counted
    assert all({f"{stem}_one", f"{stem}_other"} <= {*keys} for stem in counted)


def _words(section: str) -> set[str]:
    """Expressions for all words that stand in quotes in the files that use a section, templates included."""
    files = {path for path in web.WEB.iterdir() if path.suffix in (".js", ".html")}
    own = {path for path in files if path.name in COMPONENT}
    code = "\n".join(path.read_text() for path in (own if section == "component" else files - own))
    quoted = {*re.findall(r"[\"'](\w+)[\"']", code)}
    templates = {re.sub(r"\$\{[^}]*\}", r"\\w+", text) for text in re.findall(r"`([a-z]\w*\$\{[^}`]*\}\w*)`", code)}
    return {form for word in quoted | templates for form in (word, f"{word}_(one|other)")}
