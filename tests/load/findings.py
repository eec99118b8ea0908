"""Whether two answers to the same photo say the same."""

import json
from collections.abc import Iterator
from typing import Any

OWN = ("request_id", "timing_ms")  # of each answer
BOX_PX = 0.5  # boxes of the same network may differ by this, where its batches have other sizes
SHARE = 0.001  # the same for any other number that is not whole
ROUNDING = 1e-6
FEW = 5  # differences that are told of one answer


def findings(body: bytes) -> dict[str, Any]:
    """What an Analysis says of its photo.

    Raises:
        ValueError: the body is not a JSON object.
    """
    content = json.loads(body)
    if not isinstance(content, dict):
        raise ValueError(f"the answer is a {type(content).__name__}, not an object")
    return {name: value for name, value in content.items() if name not in OWN}


def differences(expected: Any, found: Any) -> list[str]:
    """Where two findings differ by more than is allowed; the first few, each as `path: expected → found`.

    Boxes may differ by BOX_PX, other fractions by SHARE; whole numbers, text and the number of boxes by nothing.
    """
    return [line for _, line in zip(range(FEW), _differing(expected, found, ""), strict=False)]


def _differing(expected: Any, found: Any, path: str) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted(expected.keys() | found.keys()):
            if name not in expected or name not in found:
                yield f"{path}.{name}: only in {'the answer' if name in found else 'what was expected'}"
            else:
                yield from _differing(expected[name], found[name], f"{path}.{name}")
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{path}: {len(expected)} → {len(found)} entries"
            return
        for number, (left, right) in enumerate(zip(expected, found, strict=True)):
            yield from _differing(left, right, f"{path}[{number}]")
    elif not _alike(expected, found, BOX_PX if ".box[" in path else SHARE):
        yield f"{path}: {expected!r} → {found!r}"


def _alike(expected: Any, found: Any, tolerance: float) -> bool:
    fractions = isinstance(expected, float) or isinstance(found, float)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (expected, found))
    if fractions and numbers:
        return bool(abs(expected - found) <= tolerance + ROUNDING)
    return bool(expected == found) and isinstance(expected, bool) == isinstance(found, bool)
