"""Damaged photos by the thousand, several at a time, to the running server: contract statuses only, and it lives on.

Seeded: a failure names its number, and `mutant(number)` makes the same file again.
"""

import random
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import local

import httpx
import pytest
from PIL import Image

from tests.server import PORTRAIT, Server
from tests.service.expect import JSON, encoded, is_analysis, is_error_body
from tests.unit.photo.test_decode import heic

SEED = 20240607
AT_ONCE = 8
MEASURED = 10  # one in so many goes all the way; the others require a model that is off, and end after face detection
ALLOWED = {200, 413, 415, 422, 503}
BOXES = (b"meta", b"iloc", b"iinf", b"iprp", b"hvcC", b"av1C", b"mdat", b"ispe", b"ispe")


def originals() -> list[bytes]:
    """Good photos of every format and of the coding variants that decoders treat differently."""
    portrait = Image.open(PORTRAIT).convert("RGB").crop((150, 50, 310, 220))
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        encoded(portrait, "JPEG", quality=80, exif=exif),
        encoded(portrait, "JPEG", quality=80, progressive=True, restart_marker_rows=2),
        encoded(portrait.convert("CMYK"), "JPEG"),
        encoded(portrait, "PNG"),
        encoded(portrait.convert("P"), "PNG", transparency=0),
        encoded(portrait.convert("RGBA"), "WEBP", quality=80, exif=exif),
        encoded(portrait, "WEBP", lossless=True),
        heic(portrait),
        encoded(portrait, "AVIF", exif=exif),
    ]


ORIGINALS = originals()


def mutant(number: int) -> bytes:
    """The file of this number: one to three damages to a good photo."""
    chance = random.Random(SEED + number)
    data = bytearray(chance.choice(ORIGINALS))
    for _ in range(chance.choice((1, 1, 2, 3))):
        chance.choice((_flip, _flip_head, _cut, _splice, _repeat, _remove, _lie))(data, chance)
        data += b"\xff\xd8"[: max(0, 2 - len(data))]  # something to damage next
    return bytes(data)


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 4, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _flip_head(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(min(len(data), 64))] = chance.randrange(256)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(1, len(data)) :]


def _splice(data: bytearray, chance: random.Random) -> None:
    other = chance.choice(ORIGINALS)
    start = chance.randrange(len(other))
    data[chance.randrange(len(data)) :] = other[start:]


def _repeat(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    piece = bytes(data[start : start + chance.randrange(1, 2000)])
    data[start:start] = piece * chance.choice((1, 3, 20))


def _remove(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 200)]


def _lie(data: bytearray, chance: random.Random) -> None:
    """Change a length: of a JPEG segment, a PNG or RIFF chunk, or a box of ISO media, or a size in such a box."""
    kinds = (b"\xff\xc0", b"\xff\xc4", b"\xff\xdb", b"\xff\xe1", b"IHDR", b"IDAT", b"VP8", b"RIFF", *BOXES)
    for kind in chance.sample(kinds, len(kinds)):
        at = data.find(kind)
        if at < 0:
            continue
        if kind[0] == 0xFF:
            data[at + 2 : at + 4] = struct.pack(">H", chance.choice((0, 1, 2, 3, 0xFFFF, chance.randrange(1 << 16))))
        else:
            place = at - 4 if kind in (b"IHDR", b"IDAT", *BOXES[:-1]) else at + 4
            value = chance.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, chance.randrange(1 << 16)))
            data[max(place, 0) : max(place, 0) + 4] = struct.pack("<I" if kind in (b"VP8", b"RIFF") else ">I", value)
        return
    _flip(data, chance)


@pytest.mark.parametrize("count", [400, pytest.param(2000, marks=pytest.mark.long)])
def test_mutants_get_contract_answers_and_the_server_lives_on(server: Server, count: int) -> None:
    clients = local()

    def send(number: int) -> int:
        if not hasattr(clients, "client"):
            clients.client = stack.enter_context(httpx.Client(base_url=server.url, timeout=60))
        form = None if number % MEASURED == 0 else {"require": "model"}
        try:
            answer = clients.client.post("/analyze", files={"image": mutant(number)}, data=form)
        except httpx.TransportError as error:
            raise AssertionError(f"mutant {number}: {error!r}") from error
        assert answer.status_code in ALLOWED, (number, answer.status_code, answer.text[:300])
        assert answer.headers["content-type"] == JSON, number
        if answer.status_code == 200:
            is_analysis(answer.json())
        else:
            is_error_body(answer.json(), answer.status_code, answer.headers["x-request-id"])
        return int(answer.status_code)

    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as threads:
        statuses = list(threads.map(send, range(count)))
    # Neither all refused nor all read: the damage reaches decoders.
    assert statuses.count(422) > count / 10
    assert statuses.count(503) + statuses.count(200) > count / 10
    assert statuses.count(200) > 0

    good = httpx.post(server.url + "/analyze", files={"image": PORTRAIT.read_bytes()}, timeout=60)
    assert is_analysis(good.json())["face"] is not None
    assert httpx.get(server.url + "/health").json()["status"] == "ok"
    assert "Traceback" not in server.log.read_text(errors="replace")


def test_the_originals_are_good(server: Server) -> None:
    formats = [
        is_analysis(httpx.post(server.url + "/analyze", files={"image": data}, timeout=60).json())["image"]["format"]
        for data in ORIGINALS
    ]
    assert formats == ["JPEG"] * 3 + ["PNG"] * 2 + ["WEBP"] * 2 + ["HEIC", "AVIF"]
