"""Shows text of unknown origin: on one line, and fit for any terminal and any encoding."""

MOST_SHOWN = 120  # characters of a value in a sentence


def printable(text: str, most: int = MOST_SHOWN) -> str:
    """Text that any terminal and any encoding can show: no control characters, no lone surrogates, not too long."""
    safe = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text[: most + 1]
    )
    return safe if len(text) <= most else safe[:most] + "…"


def number_of(number: int, what: str) -> str:
    """A number of things: 1 photo, 2,000 photos."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
