"""The HTTP client against servers on loopback that answer in all the ways that servers do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from tests.load.wire import BOUNDARY, Lost, Pool, connect, get, upload
from tests.server import free_port

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Answering:
    """Answers each request of a connection by the next of some raw answers; closes after the last.

    Args:
        answers: raw HTTP, one a request.
    """

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.heads: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
                await reader.readexactly(int(length[0].split(b":")[1]) if length else 0)
                self.heads.append(head)
                for byte in (answer := self.answers.pop(0)):  # in pieces, as a network may bring them
                    writer.write(bytes([byte]))
                await writer.drain()
                if b"onnection: close" in answer or b"HTTP/1.0" in answer:
                    break
        except asyncio.IncompleteReadError:
            pass


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Pool]:
    """Connections to a server; all are closed at the end, on both sides."""
    working = set[asyncio.Task[None]]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        working.add(task)
        try:
            await handler(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    pool = Pool(server.sockets[0].getsockname()[1])
    try:
        yield pool
    finally:
        pool.close()
        server.close()
        await asyncio.gather(*working, return_exceptions=True)
        await asyncio.sleep(0)  # for the transports that were closed


def counted(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An answer that says its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n6\r\n chunk\r\n0\r\n\r\n"


def test_a_connection_is_kept_for_answers_by_length_and_in_chunks() -> None:
    answering = Answering(counted(b"first", "200 OK", "X-Analysis-Source: model"), CHUNKED, counted(b""))

    async def ask() -> None:
        async with serving(answering) as pool:
            first, second, third = [await pool.ask(get("/health")) for _ in range(3)]
        assert (first.status, first.body, first.headers["x-analysis-source"]) == (200, b"first", "model")
        assert second.body == b"four chunk"
        assert third.body == b""

    asyncio.run(ask())
    assert answering.connections == 1
    assert answering.heads[0].startswith(b"GET /health HTTP/1.1\r\n")


def test_a_refusal_is_an_answer() -> None:
    async def ask() -> None:
        async with serving(Answering(counted(b'{"error": {}}', "429 Too Many Requests", "Retry-After: 1"))) as pool:
            answer = await pool.ask(upload("/analyze", b"photo"))
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")

    asyncio.run(ask())


def test_an_interim_response_is_no_answer() -> None:
    interim = b"HTTP/1.1 102 Processing\r\n\r\n"

    async def ask() -> None:
        async with serving(Answering(2 * interim + counted(b"answer"), interim, counted(b"next"))) as pool:
            first = await pool.ask(get("/"))
            assert (first.status, first.body) == (200, b"answer")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await pool.ask(get("/"))

    asyncio.run(ask())


def test_an_upload_is_a_form_with_the_file_and_the_headers() -> None:
    answering = Answering(counted(b"ok"))

    async def ask() -> None:
        async with serving(answering) as pool:
            await pool.ask(upload("/analyze", b"\x00photo", headers={"X-Request-Deadline-Ms": "2000"}))

    asyncio.run(ask())
    request = upload("/analyze", b"\x00photo")
    head, _, body = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert body.startswith(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"'.encode())
    assert body.endswith(f"\x00photo\r\n--{BOUNDARY}--\r\n".encode())
    assert b"X-Request-Deadline-Ms: 2000\r\n" in answering.heads[0]


@pytest.mark.parametrize(
    "cut",
    [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf"],
    ids=["before an answer", "in its head", "in its body"],
)
def test_a_connection_that_is_cut_is_lost(cut: bytes) -> None:
    async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(cut)

    async def ask() -> None:
        async with serving(closes) as pool:
            with pytest.raises(Lost):
                await pool.ask(get("/health"))

    asyncio.run(ask())


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async def ask() -> None:
        async with serving(Answering(b"HTTP/1.0 200 OK\r\n\r\nto the end")) as pool:
            assert (await pool.ask(get("/"))).body == b"to the end"

    asyncio.run(ask())


def test_a_kept_connection_that_the_server_closed_is_replaced() -> None:
    answering = Answering(counted(b"one"), counted(b"two"))

    async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answering.answers.pop(0))

    async def ask() -> None:
        async with serving(one_each) as pool:
            assert (await pool.ask(get("/"))).body == b"one"
            assert (await pool.ask(get("/"))).body == b"two"

    asyncio.run(ask())


def test_a_server_that_asks_for_it_gets_a_new_connection() -> None:
    answering = Answering(counted(b"1", "200 OK", "Connection: close"), counted(b"2", "200 OK", "Connection: close"))

    async def ask() -> None:
        async with serving(answering) as pool:
            assert [(await pool.ask(get("/"))).body for _ in range(2)] == [b"1", b"2"]

    asyncio.run(ask())
    assert answering.connections == 2


def test_who_gives_up_closes_the_connection() -> None:
    async def ask() -> None:
        gone = asyncio.Event()

        async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read(-1)
            gone.set()

        async with serving(never) as pool:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await pool.ask(get("/"))
            await asyncio.wait_for(gone.wait(), 2)

    asyncio.run(ask())


def test_nobody_listening_is_lost() -> None:
    with pytest.raises(Lost, match="no connection"):
        asyncio.run(connect(free_port()))


def test_what_is_not_http_is_lost() -> None:
    async def ask() -> None:
        async with serving(Answering(b"SSH-2.0-OpenSSH\r\n")) as pool:
            with pytest.raises(Lost, match="not HTTP"):
                await pool.ask(get("/"))

    asyncio.run(ask())
