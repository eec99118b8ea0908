"""API keys: the entries of SHINE_API_KEYS, how a caller's key is checked, and a command that makes a key.

    python -m bentos.skin.keys                  # a new key, and its entry for SHINE_API_KEYS
    python -m bentos.skin.keys --json           # the same for programs
    python -m bentos.skin.keys --hash < a-key   # the entry of an existing key

An entry is the key itself, or `sha256:<salt>:<digest>`, from which the key cannot be recovered. One round of SHA-256
is enough for keys made here: 256 random bits cannot be guessed, however fast each guess is. Slow hashes protect
passwords that people invent, and would cost a fraction of a second of CPU on each request, wrong keys included. So a
key of your own should be random too; `--hash` cannot check that.
"""

import argparse
import hashlib
import hmac
import json
import re
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass

SCHEME = "sha256:"
SALT_BYTES = 16  # equal keys of two services have different entries
HASHED = re.compile(r"sha256:([0-9a-f]{32}):([0-9a-f]{64})", re.IGNORECASE)
SHORTEST = 16  # characters of a key; a shorter one can be guessed over HTTP
SENDABLE = re.compile(r"[!-+\--~]+")  # visible ASCII without the comma, which separates entries


class KeyUnusable(ValueError):
    """A key or an entry cannot be used; the message says why, and never shows it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An accepted key: SHA-256 over 16 bytes of salt and the key. Plain entries are hashed when they are read."""

    salt: bytes
    digest: bytes

    def fits(self, given: bytes) -> bool:
        """Whether this is the key; compared in constant time."""
        return hmac.compare_digest(_digest(self.salt, given), self.digest)

    def __str__(self) -> str:
        """As written in SHINE_API_KEYS."""
        return f"{SCHEME}{self.salt.hex()}:{self.digest.hex()}"


def read_entry(text: str) -> Entry:
    """An entry of SHINE_API_KEYS, hashed or plain.

    Raises:
        KeyUnusable: a malformed hashed entry, or a plain key that no header can carry.
    """
    if not text.lower().startswith(SCHEME):
        return hashed(text)
    parts = HASHED.fullmatch(text)
    if parts is None:
        raise KeyUnusable(
            "starts like a hashed key but is not sha256:<32 hex digits of salt>:<64 hex digits of digest>; "
            "`python -m bentos.skin.keys` makes one"
        )
    return Entry(bytes.fromhex(parts[1]), bytes.fromhex(parts[2]))


def is_short(text: str) -> bool:
    """Whether an entry is a plain key that could be guessed; it is accepted, with a warning in the log."""
    return not text.lower().startswith(SCHEME) and len(text) < SHORTEST


def hashed(key: str) -> Entry:
    """The entry of a plain key, with a salt of its own.

    Raises:
        KeyUnusable: no header can carry the key.
    """
    if not SENDABLE.fullmatch(key):
        raise KeyUnusable("has characters other than visible ASCII, or a comma, which a header would not carry safely")
    salt = secrets.token_bytes(SALT_BYTES)
    return Entry(salt, _digest(salt, key.encode()))


def matching_entry(entries: Sequence[Entry], given: bytes) -> int | None:
    """Index of the entry that a key fits; None for an unknown key.

    Every entry is compared, each in constant time, so that the time reveals neither a part of a key nor its index.
    """
    fitting = [entry.fits(given) for entry in entries]
    return fitting.index(True) if any(fitting) else None


def _digest(salt: bytes, key: bytes) -> bytes:
    return hashlib.sha256(salt + key).digest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a new key with its entry, or the entry of the key on standard input; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bentos.skin.keys", description="Make an API key.")
    parser.add_argument("--hash", action="store_true", help="read a key from standard input and print its entry only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args(arguments)
    key = sys.stdin.readline().strip() if chosen.hash else secrets.token_urlsafe(32)
    try:
        if is_short(key):
            raise KeyUnusable(f"is shorter than {SHORTEST} characters; without --hash a long one is made")
        entry = str(hashed(key))
    except KeyUnusable as error:
        print(f"keys: the key on standard input {error}.", file=sys.stderr)
        return 2
    made = {"entry": entry} if chosen.hash else {"key": key, "entry": entry}
    if chosen.json:
        print(json.dumps(made))
    elif chosen.hash:
        print(entry)
    else:
        print(f"key    {key}\n       For the caller, who sends it as X-API-Key. It is shown here and nowhere else.\n")
        print(f"entry  {entry}\n       For the service: add it to SHINE_API_KEYS, after a comma. It opens nothing.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
