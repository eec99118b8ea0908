"""Keeps secrets out of what is shown or saved: log lines and settings may hold some, whoever wrote them there."""

import re
from collections.abc import Iterable

HIDDEN = "[hidden]"
SECRET_NAME = re.compile(r"(?i)(?:^|_)(?:keys?|secrets?|tokens?|passwords?|passwd|pwd|credentials?|dsn)(?:$|_)")
SHORTEST = 6  # characters of a value that is looked for in lines; what is shorter stands in ordinary words too

_PATTERNS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
    re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"),  # AWS's own
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),  # a JSON web token
    re.compile(r"\bsha256:[0-9a-fA-F]{32}:[0-9a-fA-F]{64}\b"),  # an entry of SHINE_API_KEYS
    re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"),  # in an address
    # Named by what stands before it: `X-API-Key: …`, `password=…`, `"token": "…"`, `Bearer …`.
    re.compile(
        r"(?i)(?P<name>\b(?:authorization|[\w-]*(?:api[_-]?keys?|secret[_-]?(?:access[_-]?)?key|session[_-]?token"
        r"|access[_-]?token|password|passwd|client[_-]?secret|token))\b[\"']?(?:\s*[:=]\s*(?:bearer\s+|basic\s+)?"
        r"[\"']?|\s+is\s+[\"']))(?!\[hidden\])[^\s\"',;:}\]]{4,}"
    ),
    re.compile(r"(?i)(?P<name>\b(?:bearer|basic)\s+)(?=\S*\d)[\w.~+/=-]{8,}"),
)
_LONG = re.compile(r"(?<![\w/+.-])[A-Za-z0-9_+-]{32,}={0,2}(?![\w/+.-])")


def secret_name(name: str) -> bool:
    """Whether a variable's name says that its value is not for everybody."""
    return SECRET_NAME.search(name) is not None


def masked(text: str, known: Iterable[str] = ()) -> str:
    """A text without what looks like a key.

    Args:
        text: a log line, a reason, a sentence.
        known: values that are secret, whatever they look like.
    """
    for value in sorted({one for one in known if len(one) >= SHORTEST}, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(_hide, text)
    return _LONG.sub(lambda found: HIDDEN if _random(found[0]) else found[0], text)


def _hide(found: re.Match[str]) -> str:
    return f"{found.groupdict().get('name') or ''}{HIDDEN}"


def _random(word: str) -> bool:
    """Whether a long word mixes digits with letters of both cases, as keys do and names, digests and ids do not."""
    return any(one.isdigit() for one in word) and any(map(str.isupper, word)) and any(map(str.islower, word))
