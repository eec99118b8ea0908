"""The Python client where something fails: what is sent again and when, what is said, what one bad photo does."""

import asyncio
import io
import itertools
import json
import os
import pickle
import re
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import shine_client
from PIL import Image
from shine_client import Analysis, AsyncShineClient, ShineClient, ShineError, calls, languages
from shine_client.calls import Call, get, retry_after_s
from shine_client.errors import BY_CODE, OF_CLIENT
from shine_client.models import Health
from shine_client.photo import photo_bytes

from bentos.skin.schema import EXAMPLE_ANALYSIS
from tests.client.conftest import Ask
from tests.client.scripted import ANALYSIS, Answer, Request, ScriptedService, error, page
from tests.server import ROOT, free_port

PHOTO = b"the bytes of a photo"
LARGE = bytes(16 << 20)  # more than the buffers of a connection hold
LONG_S = 20.0  # a test that waited so long would have failed
BACKOFF_S = 0.05  # the first, so that tests need not wait
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FIRST_BACKOFF_S", BACKOFF_S)


def in_seconds(seconds: float) -> dict[str, str]:
    """Headers of an answer of 2026 whose Retry-After is a date."""
    return {
        "date": format_datetime(AT, usegmt=True),
        "retry-after": format_datetime(AT + timedelta(seconds=seconds), usegmt=True),
    }


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize(
    ("first", "least_s"),
    [
        pytest.param(error(429, "overloaded", "0.2"), 0.2, id="overloaded"),
        pytest.param(error(503, "shutting_down"), BACKOFF_S / 2, id="shutting down"),
        pytest.param(page(502), BACKOFF_S / 2, id="a proxy without its service"),
        pytest.param(error(504, "timeout"), BACKOFF_S / 2, id="timeout"),
        pytest.param(Answer(0), BACKOFF_S / 2, id="no answer"),
        pytest.param(Answer(is_cut=True), BACKOFF_S / 2, id="half an answer"),
    ],
)
def test_what_may_get_better_is_sent_again_unchanged(
    ask: Ask, scripted: ScriptedService, first: Answer, least_s: float
) -> None:
    scripted.answers = [first, ANALYSIS]
    analysis = ask(scripted.url, "analyze", io.BytesIO(PHOTO), request_id="mine")
    assert analysis.concerns.acne.count == EXAMPLE_ANALYSIS["concerns"]["acne"]["count"]
    one, other = scripted.requests
    assert other.at - one.at >= least_s
    assert PHOTO in one.body
    assert (one.line, one.body) == (other.line, other.body)
    assert [request.headers["x-request-id"] for request in (one, other)] == ["mine", "mine"]
    left = [int(request.headers["x-request-deadline-ms"]) for request in (one, other)]
    assert 60_000 >= left[0] >= left[1] + 1000 * least_s > LONG_S * 1000


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "bad_request", shine_client.BadRequest),
        (401, "api_key_wrong", shine_client.ApiKeyWrong),
        (413, "body_too_large", shine_client.BodyTooLarge),
        (422, "image_unreadable", shine_client.ImageUnreadable),
        (500, "internal_error", shine_client.InternalError),
        (418, "newer_than_this_client", ShineError),
    ],
)
def test_what_will_not_get_better_is_an_error_of_its_class_at_once(
    ask: Ask, scripted: ScriptedService, status: int, code: str, kind: type[ShineError]
) -> None:
    scripted.answers = [error(status, code)]
    with pytest.raises(ShineError) as caught:
        ask(scripted.url, "analyze", PHOTO)
    fault = caught.value
    assert type(fault) is kind
    assert (fault.code, fault.status, fault.retry_after) == (code, status, None)
    assert str(fault) == f"{code}: What was wrong. What is right. (request 42)"
    assert len(scripted.requests) == 1


@pytest.mark.usefixtures("_soon")
def test_it_gives_up_after_its_retries(ask: Ask, scripted: ScriptedService) -> None:
    scripted.answers = [error(503, "model_unavailable", "0")] * 3
    with pytest.raises(shine_client.ModelUnavailable):
        ask(scripted.url, "analyze", PHOTO, client={"retries": 2})
    assert len(scripted.requests) == 3


NINE_HOURS_ON = format_datetime(datetime.now(UTC) + timedelta(hours=9), usegmt=True)


@pytest.mark.parametrize("retry_after", ["30", pytest.param(NINE_HOURS_ON, id="a date")])
def test_it_gives_up_at_once_where_it_may_only_come_back_after_its_deadline(
    ask: Ask, scripted: ScriptedService, retry_after: str
) -> None:
    scripted.answers = [error(429, "rate_limited", retry_after)]
    began = time.monotonic()
    with pytest.raises(shine_client.RateLimited) as caught:
        ask(scripted.url, "analyze", PHOTO, deadline=LONG_S)
    assert time.monotonic() - began < LONG_S
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 30


@pytest.mark.parametrize(
    "slow",
    [
        pytest.param(Answer(late_s=LONG_S), id="no head"),
        pytest.param(Answer(stalled_s=LONG_S), id="half a body"),
        pytest.param(Answer(trickled_s=0.05), id="byte by byte"),
        pytest.param(Answer(deaf_s=LONG_S), id="the photo is not read"),
    ],
)
def test_a_call_ends_with_its_deadline(ask: Ask, scripted: ScriptedService, slow: Answer) -> None:
    scripted.answers = [slow]
    began = time.monotonic()
    with pytest.raises(shine_client.DeadlineExceeded, match=r"within 0\.2 seconds"):
        ask(scripted.url, "analyze", LARGE if slow.deaf_s else PHOTO, deadline=0.2)
    assert 0.2 <= time.monotonic() - began < LONG_S / 2
    assert len(scripted.requests) <= 1


@pytest.mark.parametrize(
    ("slow", "photo"),
    [
        pytest.param(Answer(late_s=1.2, stalled_s=LONG_S), PHOTO, id="a head, then half a body"),
        pytest.param(Answer(deaf_s=1, late_s=LONG_S), LARGE, id="a photo that takes long to send, then no head"),
    ],
)
def test_a_call_gets_no_second_deadline_by_half_a_success(
    scripted: ScriptedService, slow: Answer, photo: bytes
) -> None:
    scripted.answers = [slow]
    began = time.monotonic()
    with ShineClient(scripted.url) as shine, pytest.raises(shine_client.DeadlineExceeded):
        shine.analyze(photo, deadline=1.5)
    assert 1.5 <= time.monotonic() - began < 2.3


def test_the_deadline_is_one_for_all_attempts(ask: Ask, scripted: ScriptedService) -> None:
    scripted.answers = [error(429, "overloaded", "0.2"), Answer(late_s=LONG_S)]
    with pytest.raises(shine_client.DeadlineExceeded) as caught:
        ask(scripted.url, "analyze", PHOTO, client={"deadline": 1.0})
    assert isinstance(caught.value.__cause__, shine_client.Overloaded)
    assert int(scripted.requests[1].headers["x-request-deadline-ms"]) <= 800


@pytest.mark.parametrize(
    ("method", "answer", "said"),
    [
        ("analyze", page(200), "status 200 and text/html"),
        ("analyze", page(500), "status 500 and text/html"),
        ("analyze", Answer(body=b'{"concerns": {}}'), "status 200 and application/json"),
        ("analyze", Answer(body=b"\xff"), "status 200 and application/json"),
        ("analyze", Answer(headers={"Content-Encoding": "gzip"}), "encoding is damaged"),
        (
            "analyze",
            page(301, Location="https://example.com/skin/analyze"),
            "redirect to https://example.com/skin/analyze",
        ),
        ("analyze_batch", Answer(body=b'{"results": [{}]}'), "status 200"),
        ("analyze_batch", Answer(body=b'{"results": []}'), "status 200"),
        ("overlay", ANALYSIS, "status 200 and application/json"),
        ("ready", page(503), "status 503 and text/html"),
    ],
)
def test_what_the_service_cannot_have_answered_is_named(
    ask: Ask, scripted: ScriptedService, method: str, answer: Answer, said: str
) -> None:
    scripted.answers = [answer]
    photos = {"ready": (), "analyze_batch": ([PHOTO],)}.get(method, (PHOTO,))
    with pytest.raises(shine_client.UnexpectedAnswer, match=re.escape(said)):
        ask(scripted.url, method, *photos, client={"retries": 0})


@pytest.mark.usefixtures("_soon")
def test_nobody_there(ask: Ask) -> None:
    url = f"http://127.0.0.1:{free_port()}/skin"
    with pytest.raises(shine_client.ConnectionFailed) as caught:
        ask(url, "health", client={"retries": 1})
    assert caught.value.message.startswith(f"The connection to {url.removesuffix('/skin')} failed (")
    assert caught.value.request_id


def test_a_certificate_that_is_not_trusted_is_not_tried_again() -> None:
    call = Call(get("health", Health), "https://localhost/", {}, deadline=60, retries=3)
    refused = httpx.ConnectError("refused")
    with pytest.raises(shine_client.ConnectionFailed) as caught:
        call.fail(refused)
    assert 0 < call.pause(caught.value) < 1
    refused.__cause__ = ssl.SSLCertVerificationError("self-signed")
    with pytest.raises(shine_client.ConnectionFailed):
        call.pause(caught.value)


def test_pauses_grow_and_differ() -> None:
    pauses = []
    for _ in range(20):
        call = Call(get("health", Health), "https://localhost/", {}, deadline=60, retries=9)
        pauses.append([call.pause(ShineError("Gone.", status=503)) for _ in range(7)])
    limits = [(0.125 * 2**n, 0.25 * 2**n) for n in range(6)] + [(4.0, 8.0)]
    assert all(low <= pause <= high for row in pauses for pause, (low, high) in zip(row, limits, strict=True))
    assert len({row[0] for row in pauses}) > 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 0.5 "}, 0.5),
        (in_seconds(90), 90),
        (in_seconds(-90), 0),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


@pytest.mark.parametrize(("given", "in_environment", "sent"), [(" a\n", "b", "a"), (None, "b", "b"), ("", "b", None)])
def test_key_prefix_and_options_are_sent(
    ask: Ask, scripted: ScriptedService, monkeypatch: pytest.MonkeyPatch, given: str, in_environment: str, sent: str
) -> None:
    monkeypatch.setenv("SHINE_API_KEY", in_environment)
    picture = Answer(body=b"\x89PNG", headers={"Content-Type": "image/png"})
    scripted.answers = [picture]
    options: dict[str, Any] = {"layers": ["zones", "redness"], "legend": False, "width": 800, "min_confidence": 0}
    assert ask(scripted.url + "/a%20b/", "overlay", PHOTO, client={"api_key": given}, **options) == picture.body
    (request,) = scripted.requests
    assert request.line == "POST /a%20b/overlay HTTP/1.1"
    assert request.headers.get("x-api-key") == sent
    fields = dict(re.findall(rb'name="(\w+)"\r\n\r\n(.*?)\r\n', request.body))
    assert fields == {b"layers": b"zones,redness", b"legend": b"false", b"width": b"800", b"min_confidence": b"0.0"}


def numbered(request: Request) -> Answer:
    """An Analysis whose request id is the photo; or the error that the photo asks for."""
    found = re.search(rb"photo (\d+) ?(\w*)", request.body)
    assert found
    number, wish = found.groups()
    if wish:
        return error({b"image_unreadable": 422, b"api_key_wrong": 401}[wish], wish.decode())
    late_s = 0.2 if number == b"0" else 0.02
    return Answer(body=json.dumps(EXAMPLE_ANALYSIS | {"request_id": number.decode()}).encode(), late_s=late_s)


def named(items: list[Analysis | ShineError]) -> list[str]:
    return [item.request_id if isinstance(item, Analysis) else item.code for item in items]


def test_many_photos_are_analysed_in_order_lazily_and_few_at_once(ask: Ask, scripted: ScriptedService) -> None:
    scripted.answer_of = numbered
    taken = []

    def photos() -> Iterator[Any]:
        for number in itertools.count():
            taken.append(number)
            yield {2: b"photo 2 image_unreadable", 4: "no such file", 5: 5}.get(number, b"photo %d" % number)

    items = ask(scripted.url, "analyze_many", photos(), first=8, concurrency=3)
    assert named(items) == ["0", "1", "image_unreadable", "3", "photo_unreadable", "photo_unreadable", "6", "7"]
    assert isinstance(items[4].__cause__, FileNotFoundError)
    assert isinstance(items[5].__cause__, TypeError)
    assert 1 < scripted.most_at_once <= 3
    assert len(taken) <= 8 + 3


def test_a_wrong_key_ends_many_photos_at_its_turn(ask: Ask, scripted: ScriptedService) -> None:
    scripted.answer_of = numbered
    photos = [b"photo 1", b"photo 2 api_key_wrong", b"photo 3"]
    assert named(ask(scripted.url, "analyze_many", photos, first=1)) == ["1"]
    with pytest.raises(shine_client.ApiKeyWrong):
        ask(scripted.url, "analyze_many", photos)


def test_a_program_ends_that_does_not_want_the_rest(scripted: ScriptedService) -> None:
    scripted.answer_of = lambda request: Answer(late_s=LONG_S) if b"photo 2" in request.body else numbered(request)
    script = "import sys, shine_client\nwith shine_client.ShineClient(sys.argv[1]) as shine:\n"
    script += "    print(next(shine.analyze_many([b'photo 1', b'photo 2'])).request_id)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "bentos" / "client")}
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script, scripted.url], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert time.monotonic() - began < LONG_S / 2


def test_a_photo_is_read_before_the_next_is_asked_for(ask: Ask, scripted: ScriptedService, tmp_path: Path) -> None:
    scripted.answer_of = numbered
    path = tmp_path / "photo"

    def photos() -> Iterator[io.BufferedReader]:
        for number in range(3):
            path.write_bytes(b"photo %d" % number)
            with path.open("rb") as file:
                yield file

    assert named(ask(scripted.url, "analyze_many", photos())) == ["0", "1", "2"]


def test_the_async_client_takes_photos_from_an_async_iterator(scripted: ScriptedService) -> None:
    scripted.answer_of = numbered

    async def photos() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"photo %d" % number

    async def run() -> list[Analysis | ShineError]:
        async with AsyncShineClient(scripted.url) as shine:
            return [item async for item in shine.analyze_many(photos())]

    assert named(asyncio.run(run())) == ["0", "1", "2"]


def test_in_a_batch_what_cannot_be_read_is_an_error_in_its_place(ask: Ask, scripted: ScriptedService) -> None:
    failed = {"error": {"code": "image_too_small", "message": "Small.", "hint": "Larger.", "request_id": "42"}}
    scripted.answers = [Answer(body=json.dumps({"results": [failed, EXAMPLE_ANALYSIS]}).encode())]
    items = ask(scripted.url, "analyze_batch", ["no such file", b"one", b"two", 3.5])
    assert named(items) == ["photo_unreadable", "image_too_small", EXAMPLE_ANALYSIS["request_id"], "photo_unreadable"]
    assert type(items[1]) is shine_client.ImageTooSmall
    assert named(ask(scripted.url, "analyze_batch", ["no such file"])) == ["photo_unreadable"]
    assert len(scripted.requests) == 1


def test_many_threads_share_a_client(scripted: ScriptedService) -> None:
    scripted.answer_of = numbered
    found: dict[int, str] = {}
    with ShineClient(scripted.url) as shine:

        def analyze(number: int) -> None:
            found[number] = shine.analyze(b"photo %d" % number).request_id

        threads = [threading.Thread(target=analyze, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG_S)
    assert found == {number: str(number) for number in range(8)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"url": "localhost:5000"}, "must be http:// or https://"),
        ({"url": "http://name:secret@localhost"}, "must be http:// or https://"),
        ({"url": "http://localhost:x"}, "base URL is invalid"),
        ({"api_key": "ключ"}, "API key has a character"),
        ({"deadline": 0}, "deadline is 0"),
        ({"retries": -1}, "retries is -1"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        ShineClient(**{"url": "http://localhost:5000"} | arguments)
    assert "secret" not in str(caught.value)


def test_an_error_survives_another_process() -> None:
    fault = shine_client.Overloaded("Busy.", hint="Wait.", request_id="42", status=429, retry_after=2.0)
    copy = pickle.loads(pickle.dumps(fault))  # noqa: S301  as process pools do it
    assert (type(copy), vars(copy), str(copy)) == (type(fault), vars(fault), str(fault))
    assert {kind.CODE for kind in OF_CLIENT} - {"timeout"} == {
        "connection_failed",
        "unexpected_answer",
        "photo_unreadable",
    }
    assert set(BY_CODE.values()).isdisjoint(OF_CLIENT)


PIXELS = np.random.default_rng(1).integers(0, 255, (6, 8, 3), np.uint8)


def decoded(photo: Any) -> Image.Image:
    image = Image.open(io.BytesIO(photo_bytes(photo)))
    assert image.format == "PNG"
    return image


@pytest.mark.parametrize("array", [PIXELS, PIXELS[..., ::-1], PIXELS[..., 0]], ids=["RGB", "BGR turned", "grey"])
def test_an_array_becomes_a_png_of_the_same_pixels(array: Any) -> None:
    assert np.array_equal(np.asarray(decoded(array)), array)
    assert np.array_equal(np.asarray(decoded(Image.fromarray(array))), array)


def test_an_image_becomes_a_png_of_the_upright_image() -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(PIXELS).save(file, "PNG", exif=exif)
    assert decoded(Image.open(file)).size == (6, 8)
    assert decoded(Image.fromarray(PIXELS).convert("CMYK")).mode == "RGB"
    assert decoded(Image.fromarray(PIXELS).convert("P")).mode == "P"


def test_bytes_paths_and_files_are_sent_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(PHOTO)
    with path.open("rb") as file:
        assert {photo_bytes(photo) for photo in (path, str(path), file, bytearray(PHOTO), memoryview(PHOTO))} == {PHOTO}


@pytest.mark.parametrize(
    ("photo", "kind", "said"),
    [
        (None, TypeError, "this is NoneType"),
        ([PHOTO], TypeError, "this is list"),
        (io.StringIO("text"), TypeError, "open it with 'rb'"),
        (io.BytesIO(), ValueError, "seek(0)"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, "this is uint8 and 4×4×4"),
        (np.zeros((4, 4, 3)), ValueError, "this is float64 and 4×4×3"),
        (np.zeros((0, 4), np.uint8), ValueError, "this is uint8 and 0×4"),
        (Image.new("F", (4, 4)), ValueError, "mode F"),
    ],
)
def test_what_is_no_photo_is_refused(photo: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=re.escape(said)):
        photo_bytes(photo)


def test_of_a_single_photo_that_is_none_no_request_is_made(ask: Ask, scripted: ScriptedService) -> None:
    with pytest.raises(TypeError, match="A photo is a path, bytes"):
        ask(scripted.url, "quality", 3.5)
    with pytest.raises(FileNotFoundError):
        ask(scripted.url, "overlay", "no such file")
    assert scripted.requests == []


def test_texts_of_a_language(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "texts.json").write_text('{"de": {"issues": {"blurred": "Unscharf."}}}')
    monkeypatch.setattr(languages, "files", lambda _: tmp_path)
    assert shine_client.texts("de")["issues"]["blurred"] == "Unscharf."
    with pytest.raises(ValueError, match="no texts in 'fr'; there are some in de"):
        shine_client.texts("fr")
