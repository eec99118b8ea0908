"""Many clients at once, and the responses that each of them got."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageEnhance, ImageOps

from deploy.image.load import at_work
from tests.server import PORTRAIT, Server

FAKE_ENGINE = "tests.service.fake_engine:Gateway"
DEADLINE_S = 10.0  # of a request
ROOM_S = 2.0  # for the way there and back on a busy machine


@dataclass(frozen=True, slots=True)
class Response:
    """A response, or the error that the client raised instead.

    Attributes:
        photo: index of the photo that was sent.
        status: of the answer; 0 when there was none.
        seconds: from sending to the whole answer.
        body: of the answer, when it is JSON.
        headers: of the answer.
        error: what the client raised.
    """

    photo: int
    status: int
    seconds: float
    body: dict[str, Any] = field(default_factory=dict)
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    error: str = ""


def drawn_photos() -> list[bytes]:
    """Six photos that differ, drawn from the portrait: mirrored, darker, warmer, smaller, cropped."""
    with Image.open(PORTRAIT) as opened:
        portrait = opened.convert("RGB")
    variants = [
        portrait,
        ImageOps.mirror(portrait),
        ImageEnhance.Brightness(portrait).enhance(0.7),
        ImageEnhance.Color(portrait).enhance(1.6),
        portrait.resize((384, 384)),
        portrait.crop((64, 0, 400, 336)),
    ]
    photos = []
    for variant in variants:
        buffer = BytesIO()
        variant.save(buffer, "JPEG", quality=92)
        photos.append(buffer.getvalue())
    return photos


def ask(client: httpx.Client, photo: bytes, index: int = 0, /, **form: str) -> Response:
    """Send one photo to /analyze; never raises."""
    began = time.monotonic()
    try:
        answer = client.post("/analyze", files={"image": photo}, data=form)
    except httpx.TransportError as error:
        return Response(index, 0, time.monotonic() - began, error=repr(error))
    return Response(index, answer.status_code, time.monotonic() - began, answer.json(), answer.headers)


def client_of(server: Server) -> httpx.Client:
    """A client that waits longer than any deadline, so that what hangs is seen as late, not as an error of its own."""
    return httpx.Client(base_url=server.url, timeout=60)


def ask_many(server: Server, photos: Sequence[bytes], requests: int, concurrency: int, **form: str) -> list[Response]:
    """Send so many photos in turn, so many at a time; in the order sent."""
    responses: list[Response | None] = [None] * requests
    numbers = iter(range(requests))
    lock = threading.Lock()

    def work() -> None:
        with client_of(server) as client:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                index = number % len(photos)
                responses[number] = ask(client, photos[index], index, **form)

    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [response for response in responses if response is not None]


@contextmanager
def crowd(server: Server, photos: Sequence[bytes], clients: int = 8, retries: int = 0) -> Iterator[list[Response]]:
    """Clients that send photo after photo until the block ends; the list grows with what they saw.

    Args:
        server: that is asked.
        photos: sent in turn.
        clients: so many at a time.
        retries: how often a client sends a photo again whose connection was lost.
    """
    responses: list[Response] = []

    def work(number: int, over: threading.Event) -> None:
        with client_of(server) as client:
            while not over.is_set():
                index = number % len(photos)
                number += 1
                answer = ask(client, photos[index], index)
                for _ in range(retries):
                    if answer.status == 0:
                        answer = ask(client, photos[index], index)
                responses.append(answer)
                if answer.status != 200:
                    over.wait(0.1)

    with at_work(work, clients):
        yield responses


def statuses(responses: Sequence[Response]) -> Counter[int]:
    """How often each status was seen; 0 is a lost connection."""
    return Counter(response.status for response in responses)


def sources(responses: Sequence[Response]) -> Counter[tuple[str, str | None]]:
    """How often each source was seen, with its reason."""
    return Counter(
        (response.body["source"], response.body["reason"]) for response in responses if response.status == 200
    )


def were_answered(responses: Sequence[Response]) -> None:
    """Assert that every photo was answered with 200 by its deadline."""
    lost = [
        (response.status, response.error, response.body.get("error"))
        for response in responses
        if response.status != 200
    ]
    assert not lost, (len(lost), len(responses), lost[:5])
    assert max(response.seconds for response in responses) < DEADLINE_S + ROOM_S


def until(holds: Callable[[], object], within_s: float, what: str) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it did not in time.
    """
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends, f"{what}: not within {within_s} s"
        time.sleep(0.05)


def status_of(server: Server) -> dict[str, Any]:
    """/ml/status."""
    body: dict[str, Any] = httpx.get(server.url + "/ml/status", timeout=10).json()
    return body


def in_progress(server: Server) -> float:
    """How many requests to /analyze are being answered."""
    lines = httpx.get(server.url + "/metrics", timeout=10).text.splitlines()
    own = [line for line in lines if "request_in_progress{" in line and 'endpoint="/analyze"' in line]
    assert own, "the metric has another name, or nobody has asked yet"
    return sum(float(line.rpartition(" ")[2]) for line in own)


def closed(server: Server) -> bool:
    """Whether the model answers photos and both breakers are closed."""
    status = status_of(server)
    return status["state"] == "ready" and set(status["breakers"].values()) == {"closed"}


class Engine:
    """The file with the behaviour of the engine of `tests.service.fake_engine`."""

    def __init__(self, folder: Path, behaviour: str = "healthy") -> None:
        self._file = folder / "behaviour"
        self.env = {"FAKE_ENGINE_BEHAVIOUR": str(self._file)}
        self.behaves(behaviour)

    def behaves(self, behaviour: str) -> None:
        """Set one of the behaviours that tests/service/fake_engine.py lists."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(behaviour)
        fresh.rename(self._file)  # at once, so that the engine never reads half a word
