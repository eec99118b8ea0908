"""Words for people for the codes of the contract, the same as those of the service's page."""

import json
from importlib.resources import files
from typing import Any


def texts(language: str) -> dict[str, Any]:
    """Sections of texts by code: issues, reasons, unseen, severities, errors, concerns, zones, tones and others.

    Args:
        language: its code, "en" or "de".

    Raises:
        ValueError: there are no texts in this language.
    """
    languages: dict[str, dict[str, Any]] = json.loads(files("shine_client").joinpath("texts.json").read_text("utf-8"))
    if language not in languages:
        raise ValueError(f"There are no texts in {language!r}; there are some in {', '.join(sorted(languages))}.")
    return languages[language]
