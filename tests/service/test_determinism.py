"""The same photo gets the same answer, to the last digit: alone, in a batch, as base64, under load, after a restart."""

import base64
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.server import Server
from tests.service.traffic import drawn_photos

OF_THE_REQUEST = {"request_id", "timing_ms"}
OTHERS = drawn_photos()[1:]
BUSY = 6  # clients that send other photos meanwhile
TIMES = 10


def kept(analysis: dict[str, Any]) -> dict[str, Any]:
    """An Analysis without what belongs to the request and not to the photo."""
    return {name: value for name, value in analysis.items() if name not in OF_THE_REQUEST}


def analyze(client: httpx.Client, photo: bytes, **options: str) -> httpx.Response:
    return client.post("/analyze", files={"image": photo}, data=options)


@pytest.fixture(scope="module")
def service(serve_shared: Callable[..., Server]) -> Server:
    return serve_shared(SHINE_PHASE="hybrid").wait_for_workers()


@pytest.fixture(scope="module")
def client(service: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def alone(client: httpx.Client, portrait: bytes) -> dict[str, Any]:
    answered = analyze(client, portrait, require="model")
    assert answered.status_code == 200, answered.text
    return kept(answered.json())


@contextmanager
def other_clients(url: str) -> Iterator[list[int]]:
    """Clients that send other photos until the block ends; the statuses that they got."""
    ended, statuses = threading.Event(), list[int]()

    def send(first: int) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            for photo in itertools.cycle(OTHERS[first:] + OTHERS[:first]):
                if ended.is_set():
                    return
                statuses.append(analyze(client, photo).status_code)

    threads = [threading.Thread(target=send, args=(number % len(OTHERS),)) for number in range(BUSY)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_the_answer_names_the_weights(alone: dict[str, Any]) -> None:
    assert alone["source"] == "model"
    assert len(alone["model"]["sha256"]) == 64


@pytest.mark.parametrize("position", [0, 2, 5])
def test_in_a_batch(client: httpx.Client, portrait: bytes, alone: dict[str, Any], position: int) -> None:
    photos = [*OTHERS[:position], portrait, *OTHERS[position:]]
    form = [("images", ("photo", photo)) for photo in photos]
    answered = client.post("/analyze_batch", files=form, data={"require": "model"})
    assert answered.status_code == 200, answered.text
    assert kept(answered.json()["results"][position]) == alone


def test_as_base64(client: httpx.Client, portrait: bytes, alone: dict[str, Any]) -> None:
    body = {"image": base64.b64encode(portrait).decode(), "require": "model"}
    assert kept(client.post("/analyze_base64", json=body).json()) == alone


def test_under_load_in_batches_of_others(
    service: Server, client: httpx.Client, portrait: bytes, alone: dict[str, Any]
) -> None:
    with other_clients(service.url) as statuses:
        answers = [analyze(client, portrait, require="model") for _ in range(TIMES)]
    assert statuses.count(200) >= TIMES  # the others were answered meanwhile
    assert client.get("/ml/status").json()["batching"]["mean_batch"] > 1
    assert [answer.status_code for answer in answers] == [200] * TIMES
    assert [kept(answer.json()) for answer in answers] == [alone] * TIMES


@pytest.mark.long
def test_of_another_process(serve: Callable[..., Server], portrait: bytes, alone: dict[str, Any]) -> None:
    other = serve(SHINE_PHASE="hybrid", SHINE_THREADS="1").wait_for_workers()
    with httpx.Client(base_url=other.url, timeout=30) as client:
        assert kept(analyze(client, portrait, require="model").json()) == alone


def test_another_photo_has_another_answer(client: httpx.Client, alone: dict[str, Any]) -> None:
    """What is compared above can differ at all."""
    assert kept(analyze(client, OTHERS[0], require="model").json()) != alone
