"""The load that an image is measured under: photos of all sizes that the service accepts, and clients."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from PIL import Image, ImageFilter

from deploy.image.container import loopback_client

PROBE_PHOTO = Path(__file__).resolve().parents[2] / "tests" / "photos" / "astronaut.png"
DESCRIPTION = "8 clients: a 512 px PNG, 1, 12 and 40 megapixel JPEGs of a portrait, a 40 megapixel PNG, in turn"
CLIENTS = 8
TIMEOUT_S = 60.0  # until a connection stands, and between two reads or writes


@dataclass
class Tally:
    """Responses to the clients.

    Attributes:
        statuses: one a request, 0 where there was no response.
        sources: `source` of each analysis.
        seconds: one a request.
        wrong: responses other than 200, 429 and 504, each as status and body.
        lost: number of requests without a response.
    """

    statuses: list[int] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lost: int = 0


def photos() -> list[bytes]:
    """Encode the probe photo in each size and format of DESCRIPTION."""
    with Image.open(PROBE_PHOTO) as opened:
        photo = opened.convert("RGB")

    def encoded(side: tuple[int, int], kind: str) -> bytes:
        image = photo.resize(side, Image.Resampling.BICUBIC)
        if kind == "PNG" and side[0] > 1000:  # few colours, or it would be larger than the body may be
            image = photo.filter(ImageFilter.GaussianBlur(8)).quantize(16).convert("RGB").resize(side)
        buffer = io.BytesIO()
        image.save(buffer, kind, **({"quality": 85} if kind == "JPEG" else {"compress_level": 9}))
        return buffer.getvalue()

    return [
        PROBE_PHOTO.read_bytes(),
        encoded((1000, 1000), "JPEG"),
        encoded((4000, 3000), "JPEG"),
        encoded((7300, 5470), "JPEG"),
        encoded((7300, 5470), "PNG"),
    ]


def send(url: str, photo: bytes, headers: dict[str, str] | None = None) -> tuple[int, dict[str, object]]:
    """POST /analyze.

    Args:
        url: of the service, without a path.
        photo: an encoded image.
        headers: more of the request.

    Returns:
        Status and JSON; (0, {"error": …}) where there is no response, or a success that is not JSON.
    """
    try:
        response = loopback_client().post(
            f"{url}/analyze", files={"image": ("photo", photo)}, headers=headers, timeout=TIMEOUT_S
        )
    except httpx.HTTPError as error:
        return 0, {"error": repr(error)}
    try:
        return response.status_code, dict(response.json())
    except (ValueError, TypeError):  # a proxy's own page, with an error's status; with another one it is no analysis
        return 0 if response.is_success else response.status_code, {"error": response.text}


@contextmanager
def at_work(work: Callable[[int, threading.Event], None], count: int) -> Iterator[None]:
    """Run threads until the block ends.

    Args:
        work: of each thread; takes its number, and an event that is set when the block ends.
        count: of threads.
    """
    over = threading.Event()
    threads = [threading.Thread(target=work, args=(number, over)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@contextmanager
def clients(url: str, pictures: list[bytes], count: int = CLIENTS) -> Iterator[Tally]:
    """Send photo after photo from several clients until the block ends; after a 429 they wait half a second."""
    tally = Tally()

    def work(number: int, over: threading.Event) -> None:
        while not over.is_set():
            number += 1
            started = time.monotonic()
            status, body = send(url, pictures[number % len(pictures)])
            tally.statuses.append(status)
            tally.seconds.append(time.monotonic() - started)
            if status == 200:
                tally.sources.append(str(body["source"]))
            elif status == 0:
                tally.lost += 1
            elif status == 429:
                over.wait(0.5)
            elif status != 504:
                tally.wrong.append(f"{status} {body}")

    with at_work(work, count):
        yield tally
