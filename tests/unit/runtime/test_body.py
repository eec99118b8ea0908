"""Bodies of requests: how slow they may be, and how they are inflated."""

import asyncio
import contextlib
import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from bentos.skin.errors import BadRequest, BodyTooLarge, ContentTypeUnsupported, RequestTimeout
from bentos.skin.runtime.body import MAX_MEMBERS, SAVED, Body, Pace, content_codings, inflate

KIB, MIB = 2**10, 2**20
RATE, GRACE_S = 8 * KIB, 10.0

# --- how slow -------------------------------------------------------------------------------------------------------


def sent_before_the_cut(chunk: int, every_s: float, at_most_s: float, at_once: int = 0) -> float:
    """Seconds until a client is cut that sends a chunk again and again; `at_most_s` where it never is."""
    now = 1000.0
    pace = Pace(RATE, GRACE_S, now)
    pace.received(at_once, now)
    while now < 1000 + at_most_s:
        if now + every_s > pace.deadline:
            return pace.deadline - 1000
        now += every_s
        pace.received(chunk, now)
    return at_most_s


@pytest.mark.parametrize(
    ("chunk", "every_s"),
    [(4 * KIB, 0.1), (RATE, 1), (RATE // 20, 0.05), (72 * KIB, 9), (200 * KIB, 9.9), (1, 1 / RATE)],
)
def test_a_steady_client_at_the_minimum_rate_is_never_cut(chunk: int, every_s: float) -> None:
    at_most_s = 2000 if every_s > 0.01 else 20
    assert sent_before_the_cut(chunk, every_s, at_most_s) == at_most_s


@pytest.mark.parametrize("at_once", [0, KIB, 100 * KIB, 64 * MIB])
@pytest.mark.parametrize(("chunk", "every_s"), [(0, 1), (1, 1), (1, 9), (KIB, 1), (RATE // 2, 1)])
def test_one_that_trickles_is_cut_whatever_it_sent_before(at_once: int, chunk: int, every_s: float) -> None:
    seconds = sent_before_the_cut(chunk, every_s, 1e6, at_once)
    assert GRACE_S <= seconds <= SAVED * GRACE_S / (1 - chunk / every_s / RATE)


def test_one_that_was_faster_may_pause_for_longer_than_the_grace_time() -> None:
    pace = Pace(RATE, GRACE_S, 0)
    pace.received(MIB, 0.5)
    assert pace.deadline == 0.5 + SAVED * GRACE_S


def read(chunks: list[bytes], *, headers: dict[bytes, bytes], limit: int = MIB, grace_s: float = GRACE_S) -> bytes:
    """What a body is read as; after the last chunk its client is silent."""
    left = list(chunks)

    async def receive() -> Any:
        if not left:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    return asyncio.run(Body(receive, headers, limit, RATE, grace_s).read())


def test_a_client_that_falls_silent_is_told_so() -> None:
    began = time.monotonic()
    with pytest.raises(RequestTimeout, match="too slowly"):
        read([b"x" * 100], headers={b"content-length": b"5000"}, grace_s=0.1)
    assert 0.1 < time.monotonic() - began < 2


# --- codings --------------------------------------------------------------------------------------------------------


def headers(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/json"), *((b"content-encoding", value) for value in values)]


@pytest.mark.parametrize(
    ("values", "codings"),
    [
        ([], []),
        ([b""], []),
        ([b"identity"], []),
        ([b"gzip"], ["gzip"]),
        ([b" GZIP "], ["gzip"]),
        ([b"x-gzip"], ["x-gzip"]),
        ([b"Deflate"], ["deflate"]),
        ([b"deflate, identity,gzip"], ["deflate", "gzip"]),
        ([b"deflate", b"gzip"], ["deflate", "gzip"]),
        ([b",gzip,"], ["gzip"]),
    ],
)
def test_the_codings_of_a_body_are_read_in_their_order(values: list[bytes], codings: list[str]) -> None:
    assert content_codings(headers(*values)) == codings


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (b"br", "'br'"),
        (b"zstd", "'zstd'"),
        (b"compress", "'compress'"),
        (b"gzip, br", "'br'"),
        (b"aws-chunked", "'aws-chunked'"),
        (b"gzip;q=1", "'gzip;q=1'"),
        (b"\xff", "'\xff'"),
        (b"gzip," * 5, "5 codings"),
        (b"x" * 5000, "'" + "x" * 40 + "'"),
    ],
)
def test_another_coding_is_refused_by_its_name(value: bytes, named: str) -> None:
    with pytest.raises(ContentTypeUnsupported) as refused:
        content_codings(headers(value))
    assert named in refused.value.message
    assert "gzip or deflate" in refused.value.hint


def raw_deflate(data: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(data) + packing.flush()


def gzipped(data: bytes, level: int = 9) -> bytes:
    """Without the time of day, which would stand in the names of tests: each process would have others."""
    return gzip.compress(data, level, mtime=0)


PHOTO = bytes(range(256)) * 400
PACKED: dict[str, tuple[bytes, list[str]]] = {
    "gzip": (gzipped(PHOTO), ["gzip"]),
    "x-gzip": (gzipped(PHOTO), ["x-gzip"]),
    "stored gzip": (gzipped(PHOTO, 0), ["gzip"]),
    "deflate": (zlib.compress(PHOTO), ["deflate"]),
    "stored deflate": (zlib.compress(PHOTO, 0), ["deflate"]),
    "deflate without its head": (raw_deflate(PHOTO), ["deflate"]),
    "members": (gzipped(PHOTO[:9]) + gzipped(b"") + gzipped(PHOTO[9:]), ["gzip"]),
    "many members": (b"".join(gzipped(PHOTO[i : i + 100]) for i in range(0, len(PHOTO), 100)), ["gzip"]),
    "zeros after it": (gzipped(PHOTO) + bytes(511), ["gzip"]),
    "zeros between members": (gzipped(PHOTO[:9]) + bytes(9) + gzipped(PHOTO[9:]), ["gzip"]),
    "both": (zlib.compress(gzipped(PHOTO)), ["gzip", "deflate"]),
    "twice": (gzipped(gzipped(PHOTO)), ["gzip", "gzip"]),
    "as it is": (PHOTO, []),
}


@pytest.mark.parametrize("name", PACKED)
def test_a_packed_body_is_the_body_at_the_very_limit_too(name: str) -> None:
    data, codings = PACKED[name]
    assert inflate(data, codings, len(PHOTO)) == PHOTO
    if codings:
        with pytest.raises(BodyTooLarge):
            inflate(data, codings, len(PHOTO) - 1)


@pytest.mark.parametrize("pack", [gzipped, zlib.compress, raw_deflate])
@pytest.mark.parametrize("size", [0, 1])
def test_an_empty_body_may_be_packed(pack: Callable[[bytes], bytes], size: int) -> None:
    coding = "gzip" if pack is gzipped else "deflate"
    assert inflate(pack(bytes(size)), [coding], 100) == bytes(size)


@pytest.mark.parametrize(
    ("data", "coding"),
    [
        (b"", "gzip"),
        (b"", "deflate"),
        (PHOTO, "gzip"),
        (b"\xff" + PHOTO, "deflate"),
        (gzipped(PHOTO)[:-1], "gzip"),
        (gzipped(PHOTO)[:-9], "gzip"),
        (gzipped(PHOTO)[:5], "gzip"),
        (zlib.compress(PHOTO)[:-1], "deflate"),
        (raw_deflate(PHOTO)[:-1], "deflate"),
        (gzipped(PHOTO)[:-8] + bytes(8), "gzip"),  # its checksum
        (zlib.compress(PHOTO)[:-4] + bytes(4), "deflate"),
        (gzipped(PHOTO) + b"more", "gzip"),
        (gzipped(PHOTO) + gzipped(PHOTO)[:-1], "gzip"),
        (zlib.compress(PHOTO) + b"more", "deflate"),
        (zlib.compress(PHOTO), "gzip"),
        (gzipped(PHOTO), "deflate"),
        (gzipped(b"") * (MAX_MEMBERS + 1), "gzip"),
    ],
)
def test_a_damaged_one_is_a_bad_request_by_the_name_of_its_coding(data: bytes, coding: str) -> None:
    with pytest.raises(BadRequest, match=coding) as refused:
        inflate(data, [coding], MIB)
    assert refused.value.code == "bad_request"


@pytest.mark.parametrize("codings", [["gzip"], ["deflate"], ["gzip", "gzip"], ["deflate", "gzip", "deflate"]])
def test_a_bomb_is_cut_at_the_limit_while_it_is_inflated(codings: list[str]) -> None:
    bomb = bytes(64 * MIB)
    for coding in codings:
        bomb = gzipped(bomb) if coding == "gzip" else zlib.compress(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            inflate(bomb, codings, MIB)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [gzipped(b"") * 500_000, (gzipped(b"") + b"\0") * 400_000, gzipped(b"") + bytes(10 * MIB)],
    ids=["members", "padded members", "padding"],
)
def test_ten_mebibytes_of_members_or_padding_take_no_long_time(data: bytes) -> None:
    began = time.monotonic()
    with contextlib.suppress(BadRequest):
        inflate(data, ["gzip"], 10 * MIB)
    assert time.monotonic() - began < 2
