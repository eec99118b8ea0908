"""Reading what came back over HTTP: the service's own answer, its refusal, or a page of something in between."""

import re
from typing import Any

import httpx

from bentos.skin.errors import ApiKeyMissing
from deploy.gates.target import KEY_VARIABLE
from deploy.text import printable


class Unexpected(Exception):
    """An answer that is not what it should be; the message is a sentence."""


def expected_200(answer: httpx.Response, what: str) -> httpx.Response:
    """The answer.

    Raises:
        Unexpected: its status is another one; with what it says.
    """
    if answer.status_code != 200:
        raise Unexpected(f"{what} answers {refusal(answer)}.")
    return answer


def content(answer: httpx.Response, what: str) -> dict[str, Any]:
    """The JSON object of an answer of 200; raises as `expected_200`."""
    try:
        found = expected_200(answer, what).json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        kind = printable(answer.headers.get("content-type", "nothing"), 60)
        raise Unexpected(f"{what} answers {kind} and no JSON object: something else answers in the service's place.")
    return found


def refusal(answer: httpx.Response) -> str:
    """An answer that is not 200: status, and what it says of itself."""
    code, message = error_of(answer)
    key = f"; give a key in {KEY_VARIABLE}" if code == ApiKeyMissing.code else ""
    return f"{answer.status_code}{f' {code}' if code else ''}{f': {message}' if message else ''}{key}"


def error_of(answer: httpx.Response) -> tuple[str, str]:
    """Code and message of an error in the service's own shape; empty where it is not the service's."""
    try:
        told = answer.json()["error"]
        return printable(str(told["code"]), 40), printable(str(told["message"]), 200).rstrip(".")
    except (ValueError, LookupError, TypeError):
        return "", ""


def metric(text: str, name: str) -> float | None:
    """The sum of a metric's samples; None where there is none."""
    samples = re.findall(rf"^{name}(?:\{{[^}}\n]*\}})? ([0-9.e+-]+|NaN)$", text, re.MULTILINE)
    return sum(float(one) for one in samples) if samples else None
