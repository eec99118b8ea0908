"""Keeps secrets out of what is shown or saved; log lines and settings may hold some."""

import re
from collections.abc import Iterable

HIDDEN = "[hidden]"
SECRET_NAME = re.compile(r"(?i)(?:^|_)(?:keys?|secrets?|tokens?|passwords?|passwd|pwd|credentials?|dsn)(?:$|_)")
SHORTEST = 6  # characters of a value that is hidden in lines; shorter ones occur in ordinary words too

_PATTERNS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
    re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"),  # IDs of AWS's keys
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),  # a JSON web token
    re.compile(r"\bsha256:[0-9a-fA-F]{32}:[0-9a-fA-F]{64}\b"),  # an entry of SHINE_API_KEYS
    re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"),  # user and password in a URL
    # A value after a telling name: `X-API-Key: …`, `password=…`, `"token": "…"`, `Bearer …`.
    re.compile(
        r"(?i)(?P<name>\b(?:authorization|[\w-]*(?:api[_-]?keys?|secret[_-]?(?:access[_-]?)?key|session[_-]?token"
        r"|access[_-]?token|password|passwd|client[_-]?secret|token))\b[\"']?(?:\s*[:=]\s*(?:bearer\s+|basic\s+)?"
        r"[\"']?|\s+is\s+[\"']))(?!\[hidden\])[^\s\"',;:}\]]{4,}"
    ),
    re.compile(r"(?i)(?P<name>\b(?:bearer|basic)\s+)(?=\S*\d)[\w.~+/=-]{8,}"),
)
_LONG = re.compile(r"(?<![\w/+.-])[A-Za-z0-9_+-]{32,}={0,2}(?![\w/+.-])")


def secret_name(name: str) -> bool:
    """Whether the name of a variable says that its value is secret."""
    return SECRET_NAME.search(name) is not None


def masked(text: str, known: Iterable[str] = ()) -> str:
    """A text in which everything that looks like a key is hidden.

    Args:
        text: a log line, a reason, a sentence.
        known: values that are secret, whatever they look like.
    """
    for value in sorted({value for value in known if len(value) >= SHORTEST}, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(_hide, text)
    return _LONG.sub(lambda match: HIDDEN if _random(match[0]) else match[0], text)


def _hide(match: re.Match[str]) -> str:
    return f"{match.groupdict().get('name') or ''}{HIDDEN}"


def _random(word: str) -> bool:
    """Whether a long word mixes digits with letters of both cases, as keys do and names, digests and ids do not."""
    return any(map(str.isdigit, word)) and any(map(str.isupper, word)) and any(map(str.islower, word))
