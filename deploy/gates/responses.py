"""Reads HTTP responses: of the service, its errors, or a page from something between it and the client."""

import re
from typing import Any

import httpx

from bentos.skin.errors import ApiKeyMissing
from deploy.gates.target import KEY_VARIABLE
from deploy.text import printable


class UnexpectedResponse(Exception):
    """A response that is not what it should be; the message is a sentence."""


def require_200(response: httpx.Response, request: str) -> httpx.Response:
    """The response.

    Raises:
        UnexpectedResponse: it has another status; the sentence quotes the error.
    """
    if response.status_code != 200:
        raise UnexpectedResponse(f"{request} answers {describe_error(response)}.")
    return response


def json_object(response: httpx.Response, request: str) -> dict[str, Any]:
    """The JSON object in a response with status 200; raises as `require_200`."""
    try:
        content = require_200(response, request).json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        kind = printable(response.headers.get("content-type", "nothing"), 60)
        raise UnexpectedResponse(
            f"{request} answers {kind} instead of a JSON object: something other than the service answers."
        )
    return content


def describe_error(response: httpx.Response) -> str:
    """Status, code and message of a response that is not 200."""
    code, message = error_of(response)
    key = f"; give a key in {KEY_VARIABLE}" if code == ApiKeyMissing.code else ""
    return f"{response.status_code}{f' {code}' if code else ''}{f': {message}' if message else ''}{key}"


def error_of(response: httpx.Response) -> tuple[str, str]:
    """Code and message of an error of the service; empty if something else sent the response."""
    try:
        error = response.json()["error"]
        return printable(str(error["code"]), 40), printable(str(error["message"]), 200).rstrip(".")
    except (ValueError, LookupError, TypeError):
        return "", ""


def metric(text: str, name: str) -> float | None:
    """The sum of a metric's samples; None if there are none."""
    samples = re.findall(rf"^{name}(?:\{{[^}}\n]*\}})? ([0-9.e+-]+|NaN)$", text, re.MULTILINE)
    return sum(float(sample) for sample in samples) if samples else None
