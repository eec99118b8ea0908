"""Photos of all sizes that the service admits, and clients that send them; the load that an image is measured under."""

import io
import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageFilter

PORTRAIT = Path(__file__).resolve().parents[2] / "tests" / "photos" / "astronaut.png"
DESCRIPTION = "8 clients: a 512 px PNG, 1, 12 and 40 megapixel JPEGs of a portrait, a 40 megapixel PNG, in turn"
CLIENTS = 8


@dataclass
class Tally:
    """What the clients saw.

    Attributes:
        statuses: of each answer, 0 where there was none.
        sources: of each analysis.
        seconds: of each answer.
        wrong: answers that were neither an analysis nor a refusal with Retry-After or for want of time.
        lost: requests without an answer.
    """

    statuses: list[int] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lost: int = 0


def photos() -> list[bytes]:
    """One of each kind, encoded."""
    with Image.open(PORTRAIT) as opened:
        portrait = opened.convert("RGB")

    def encoded(side: tuple[int, int], kind: str) -> bytes:
        image = portrait.resize(side, Image.Resampling.BICUBIC)
        if kind == "PNG" and side[0] > 1000:  # few colours, or it would be larger than the body may be
            image = portrait.filter(ImageFilter.GaussianBlur(8)).quantize(16).convert("RGB").resize(side)
        buffer = io.BytesIO()
        image.save(buffer, kind, **({"quality": 85} if kind == "JPEG" else {"compress_level": 9}))
        return buffer.getvalue()

    return [
        PORTRAIT.read_bytes(),
        encoded((1000, 1000), "JPEG"),
        encoded((4000, 3000), "JPEG"),
        encoded((7300, 5470), "JPEG"),
        encoded((7300, 5470), "PNG"),
    ]


def send(url: str, photo: bytes, headers: dict[str, str] | None = None) -> tuple[int, dict[str, object]]:
    """POST /analyze; status and JSON, (0, {"error": …}) where there is no answer."""
    border = uuid.uuid4().hex
    head = f'--{border}\r\nContent-Disposition: form-data; name="image"; filename="photo"\r\n\r\n'.encode()
    body = head + photo + f"\r\n--{border}--\r\n".encode()
    request = urllib.request.Request(  # noqa: S310  our own loopback
        url + "/analyze", body, {"content-type": f"multipart/form-data; boundary={border}", **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        return error.code, json.loads(text) if text.startswith("{") else {"error": text}  # a proxy's own page
    except (OSError, ValueError) as error:
        return 0, {"error": repr(error)}


@contextmanager
def at_work(work: Callable[[int, threading.Event], None], count: int) -> Iterator[None]:
    """Threads that work until the block ends; each is given its number, and an event that is set then."""
    over = threading.Event()
    threads = [threading.Thread(target=work, args=(number, over)) for number in range(count)]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        over.set()
        for one in threads:
            one.join()


@contextmanager
def clients(url: str, pictures: list[bytes], count: int = CLIENTS) -> Iterator[Tally]:
    """Clients that send photo after photo until the block ends; an overloaded service is asked again later."""
    tally = Tally()

    def work(number: int, over: threading.Event) -> None:
        while not over.is_set():
            number += 1
            began = time.monotonic()
            status, body = send(url, pictures[number % len(pictures)])
            tally.statuses.append(status)
            tally.seconds.append(time.monotonic() - began)
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
