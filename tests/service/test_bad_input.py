"""Whatever a client sends gets the contract's status and the one shape; the next good photo is served."""

import base64
import gzip
import json
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.server import PORTRAIT, Server
from tests.service.expect import encoded, is_analysis, is_error, is_error_body
from tests.service.raw import FORM_TYPE

MIB = 2**20


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """A client; in the end a good photo is served and the log knows of no crash."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client
        with PORTRAIT.open("rb") as good:
            assert is_analysis(client.post("/analyze", files={"image": good}).json())["face"] is not None
    log = server.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert '"status": 500' not in log


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG by hand, with a header that may lie."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose header claims a size."""
    good = bytearray(encoded(Image.new("RGB", (64, 64)), "JPEG"))
    frame = good.index(b"\xff\xc0")
    good[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(good)


JPEG = encoded(Image.effect_noise((300, 200), 40).convert("RGB"), "JPEG")
PNG = encoded(Image.effect_noise((300, 200), 40).convert("RGB"), "PNG")
WEBP = encoded(Image.effect_noise((300, 200), 40).convert("RGB"), "WEBP")
BROKEN_CRC = PNG[:5000] + bytes([PNG[5000] ^ 1]) + PNG[5001:]
HEIC = struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + b"\0" * 200
AVIF = struct.pack(">I", 24) + b"ftypavif\0\0\0\0mif1avif" + b"\0" * 200
FILES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 422, "image_unreadable"),
    "text": (b"a face", 415, "image_format_unsupported"),
    "html": (b"<!DOCTYPE html><html></html>", 415, "image_format_unsupported"),
    "svg": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', 415, "image_format_unsupported"),
    "gif": (encoded(Image.new("P", (100, 100)), "GIF"), 415, "image_format_unsupported"),
    "bmp": (encoded(Image.new("RGB", (100, 100)), "BMP"), 415, "image_format_unsupported"),
    "tiff": (encoded(Image.new("RGB", (100, 100)), "TIFF"), 415, "image_format_unsupported"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3", 415, "image_format_unsupported"),
    "heic without a picture": (HEIC, 422, "image_unreadable"),
    "avif without a picture": (AVIF, 422, "image_unreadable"),
    "zip": (b"PK\x03\x04" + b"\0" * 100, 415, "image_format_unsupported"),
    "zeros": (b"\0" * 1000, 415, "image_format_unsupported"),
    "truncated jpeg": (JPEG[: len(JPEG) // 2], 422, "image_unreadable"),
    "truncated png": (PNG[: len(PNG) // 2], 422, "image_unreadable"),
    "truncated webp": (WEBP[: len(WEBP) // 2], 422, "image_unreadable"),
    "magic only": (b"\xff\xd8\xff", 422, "image_unreadable"),
    "broken checksum": (BROKEN_CRC, 422, "image_unreadable"),
    "png bomb": (png(50_000, 50_000), 413, "image_too_many_pixels"),
    "jpeg bomb": (jpeg_of(50_000, 50_000), 413, "image_too_many_pixels"),
    "no pixels": (png(0, 0), 422, "image_unreadable"),
    "pixels missing": (png(300, 300, b"\0" * 100), 422, "image_unreadable"),
    "1x1": (encoded(Image.new("RGB", (1, 1)), "PNG"), 422, "image_too_small"),
    "1x20000": (encoded(Image.new("RGB", (1, 20_000)), "PNG"), 422, "image_too_small"),
    "63x63": (encoded(Image.new("RGB", (63, 63)), "JPEG"), 422, "image_too_small"),
    "11 MiB": (JPEG + b"\0" * 11 * MIB, 413, "body_too_large"),
    "a byte too large": (JPEG + b"\0" * (10 * MIB + 1 - len(JPEG)), 413, "body_too_large"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_good_photo(client: httpx.Client, name: str) -> None:
    data, status, code = FILES[name]
    is_error(client.post("/analyze", files={"image": ("a.jpg", data)}), status, code)


@pytest.mark.parametrize("name", ["empty", "html", "truncated jpeg", "png bomb", "1x20000"])
def test_the_other_endpoints_say_the_same(client: httpx.Client, name: str) -> None:
    data, status, code = FILES[name]
    is_error(client.post("/overlay", files={"image": data}), status, code)
    is_error(client.post("/quality", files={"image": data}), status, code)
    is_error(client.post("/analyze_base64", json={"image": base64.b64encode(data).decode()}), status, code)
    answer = client.post("/analyze_batch", files=[("images", data)])
    assert answer.status_code == 200
    assert is_error_body(answer.json()["results"][0], status, answer.headers["x-request-id"])["code"] == code


def test_a_photo_in_high_dynamic_range_is_named_with_what_would_be_right(client: httpx.Client) -> None:
    points = struct.pack(">I", 4) + b"cICP" + bytes((9, 16, 0, 1))
    hdr = PNG[:33] + points + struct.pack(">I", zlib.crc32(points[4:])) + PNG[33:]
    error = is_error(client.post("/analyze", files={"image": hdr}), 415, "image_format_unsupported")
    assert "PQ" in error["message"]
    assert "sRGB" in error["hint"]


def test_the_largest_allowed_file_is_taken(client: httpx.Client) -> None:
    photo = JPEG + b"\0" * (10 * MIB - len(JPEG))
    answer = client.post("/analyze", files={"image": photo}, data={"require": "model"})
    is_error(answer, 503, "model_unavailable")  # that is: it was read, decoded and would have been analysed


# --- forms ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["file", "images", "Image", "image[]", ""])
def test_a_wrong_field_name_is_image_missing(client: httpx.Client, field: str) -> None:
    error = is_error(client.post("/analyze", files={field: JPEG}), 400, "image_missing")
    assert "'image'" in error["message"] + error["hint"]


def test_no_file_chosen_is_image_missing(client: httpx.Client) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="image"; filename=""\r\n\r\n\r\n--b--\r\n'
    answer = client.post("/analyze", content=body, headers={"content-type": "multipart/form-data; boundary=b"})
    is_error(answer, 400, "image_missing")


def test_two_files_in_image_are_refused(client: httpx.Client) -> None:
    error = is_error(client.post("/analyze", files=[("image", JPEG), ("image", JPEG)]), 400, "bad_request")
    assert "/analyze_batch" in error["hint"]


@pytest.mark.parametrize("path", ["/analyze", "/quality", "/overlay", "/analyze_batch"])
@pytest.mark.parametrize(
    ("content_type", "status", "code"),
    [
        ("multipart/form-data", 400, "bad_request"),
        ("multipart/form-data; boundary=", 400, "bad_request"),
        ("multipart/form-data; boundary=other", 400, "bad_request"),
        ("multipart/form-data; boundary=" + "b" * 5000, 400, "bad_request"),
        ("multipart/form-data; boundary=\xe9\xff", 400, "bad_request"),
        ("multipart/mixed; boundary=b", 415, "content_type_unsupported"),
        ("image/jpeg", 415, "content_type_unsupported"),
        ("application/json", 415, "content_type_unsupported"),
        ("application/x-www-form-urlencoded", 415, "content_type_unsupported"),
        ("nonsense", 415, "content_type_unsupported"),
        ("", 415, "content_type_unsupported"),
    ],
)
def test_a_form_in_another_guise(client: httpx.Client, path: str, content_type: str, status: int, code: str) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + JPEG + b"\r\n--b--\r\n"
    answer = client.post(path, content=body, headers={b"content-type": content_type.encode("latin-1")})
    is_error(answer, status, code)


def test_a_missing_content_type_is_unsupported(client: httpx.Client) -> None:
    is_error(client.post("/analyze", content=JPEG), 415, "content_type_unsupported")
    is_error(client.post("/analyze_base64", content=b"{}"), 415, "content_type_unsupported")
    is_error(client.post("/analyze"), 415, "content_type_unsupported")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--",
        b"------shine--\r\n",
        b"no boundary at all",
        b'------shine\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + JPEG,
        b"------shine\r\n\xff\xfe: \x00\r\n\r\nx\r\n------shine--\r\n",
        b"------shine\r\n" + b"x" * 100_000 + b": y\r\n\r\nx\r\n------shine--\r\n",
        b"------shine\r\n" + b"x: y\r\n" * 20_000 + b"\r\nx\r\n------shine--\r\n",
        b'------shine\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * 5000 + b"------shine--\r\n",
    ],
    ids=["empty", "dashes", "no parts", "no boundary", "cut", "binary head", "long head", "many heads", "many parts"],
)
def test_a_malformed_form_is_a_bad_request(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/analyze", content=body, headers={"content-type": FORM_TYPE})
    assert answer.status_code == 400
    assert is_error_body(answer.json(), 400, answer.headers["x-request-id"])["code"] in {"bad_request", "image_missing"}


@pytest.mark.parametrize("require", ["nonsense", "Model", "true", "modelx", "model" * 1000, "\0", "\udcff"])
def test_a_nonsensical_require_is_refused(client: httpx.Client, require: str) -> None:
    data = {"require": require.encode("utf-8", "surrogateescape")}
    for path, field in (("/analyze", "image"), ("/overlay", "image"), ("/analyze_batch", "images")):
        is_error(client.post(path, files={field: JPEG}, data=data), 400, "bad_request")
    body = {"image": base64.b64encode(JPEG).decode(), "require": require.encode("utf-8", "replace").decode()}
    is_error(client.post("/analyze_base64", json=body), 400, "bad_request")


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "C:\\nul", "a\0.jpg", "x" * 1000, "%00", "ä😀.png"]
)
def test_a_file_name_means_nothing(client: httpx.Client, name: str) -> None:
    answer = client.post("/analyze", files={"image": (name, JPEG)}, data={"require": "model"})
    is_error(answer, 503, "model_unavailable")  # read, decoded, and not to be had: as with any other name


# --- base64 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "status", "code"),
    [
        (None, 400, "bad_base64"),
        (7, 400, "bad_base64"),
        (True, 400, "bad_base64"),
        ([], 400, "bad_base64"),
        ({"image": ""}, 400, "bad_base64"),
        ("", 422, "image_unreadable"),
        ("%%%", 400, "bad_base64"),
        ("a", 400, "bad_base64"),
        ("/9j/4AAQ!", 400, "bad_base64"),
        ("größe", 400, "bad_base64"),
        ("\ud800", 400, None),
        ("data:image/jpeg;base64", 400, "bad_base64"),
        ("data:image/jpeg,/9j/", 400, "bad_base64"),
        ("data:,", 400, "bad_base64"),
        ("file:///etc/passwd", 400, "bad_base64"),
        ("/etc/passwd", None, None),
    ],
)
def test_base64_that_is_none(client: httpx.Client, image: Any, status: int | None, code: str | None) -> None:
    answer = client.post(
        "/analyze_base64", content=json.dumps({"image": image}), headers={"content-type": "application/json"}
    )
    assert answer.status_code == status or (status is None and answer.status_code in {400, 415, 422})
    error = is_error_body(answer.json(), answer.status_code, answer.headers["x-request-id"])
    assert code is None or error["code"] == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_request"),
        (b"{", "bad_request"),
        (b"[" * 100_000, "bad_request"),
        (b"[" * 100_000 + b"]" * 100_000, "bad_request"),
        (b'{"image":' * 100_000, "bad_request"),
        (b'{"image": "\xff\xfe"}', "bad_request"),
        (b"\xff\xfe{\x00}\x00", "bad_request"),
        (b'{"image": "\\ud800"}', "bad_request"),
        (b"null", "bad_request"),
        (b"[]", "bad_request"),
        (b'"image"', "bad_request"),
        (b"1e999", "bad_request"),
        (b"1" * 10_000, "bad_request"),
        (b"{}", "image_missing"),
        (b'{"Image": "x"}', "image_missing"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_body_that_is_not_the_json_wanted(client: httpx.Client, body: bytes, code: str) -> None:
    answer = client.post("/analyze_base64", content=body, headers={"content-type": "application/json"})
    is_error(answer, 400, code)


@pytest.mark.parametrize("require", [0, False, "", [], {}, ["model"]])
def test_require_in_json_is_model_or_nothing(client: httpx.Client, require: Any) -> None:
    body = {"image": base64.b64encode(JPEG).decode(), "require": require}
    is_error(client.post("/analyze_base64", json=body), 400, "bad_request")


def test_base64_is_counted_decoded(client: httpx.Client) -> None:
    fits = base64.b64encode(JPEG + b"\0" * (10 * MIB - len(JPEG))).decode()
    answer = client.post("/analyze_base64", json={"image": fits, "require": "model"})
    is_error(answer, 503, "model_unavailable")
    for size in (10 * MIB + 1, 11 * MIB):
        text = base64.b64encode(JPEG + b"\0" * (size - len(JPEG))).decode()
        is_error(client.post("/analyze_base64", json={"image": text}), 413, "body_too_large")


@pytest.mark.parametrize("scheme", ["", "data:image/png;base64,"])
def test_a_plus_that_became_a_space_is_told_so_and_never_analysed(client: httpx.Client, scheme: str) -> None:
    for seed in range(1, 8):
        text = base64.b64encode(PNG + bytes([0xFB, 0xEF, 0xBE] * seed)).decode()  # pluses where no pixel is
        error = is_error(
            client.post("/analyze_base64", json={"image": scheme + text.replace("+", " ")}), 400, "bad_base64"
        )
        assert "'+'" in error["message"]
        assert "%2B" in error["hint"]


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "nonsense"])
@pytest.mark.parametrize("path", ["/analyze", "/quality", "/analyze_base64", "/analyze_batch", "/overlay"])
def test_a_coding_that_is_not_read_is_named(client: httpx.Client, path: str, coding: str) -> None:
    headers = {"content-type": FORM_TYPE, "content-encoding": coding}
    error = is_error(client.post(path, content=b"x" * 1000, headers=headers), 415, "content_type_unsupported")
    assert coding.split(", ")[-1] in error["message"]
    assert "gzip" in error["hint"]


def test_a_bomb_is_cut_at_the_limit(server: Server, client: httpx.Client) -> None:
    bomb = gzip.compress(bytes(2**28))
    gateway = server.worker("Gateway")
    before = gateway.memory_info().rss
    for path in ("/analyze", "/quality", "/analyze_base64", "/analyze_batch", "/overlay"):
        headers = {"content-type": FORM_TYPE, "content-encoding": "gzip"}
        is_error(client.post(path, content=bomb, headers=headers), 413, "body_too_large")
    assert gateway.memory_info().rss - before < 200 * MIB


# --- batches --------------------------------------------------------------------------------------------------------


def test_seventeen_photos_are_too_many(client: httpx.Client) -> None:
    error = is_error(client.post("/analyze_batch", files=[("images", JPEG)] * 17), 413, "batch_too_large")
    assert "16" in error["message"] + error["hint"]


def test_an_empty_batch_misses_its_images(client: httpx.Client) -> None:
    is_error(client.post("/analyze_batch", files=[("image", JPEG)]), 400, "image_missing")
    is_error(client.post("/analyze_batch", files=[("other", b"")]), 400, "image_missing")


def test_a_batch_of_65_mib_is_too_large(client: httpx.Client) -> None:
    photo = JPEG + b"\0" * (5 * MIB)
    is_error(client.post("/analyze_batch", files=[("images", photo)] * 13), 413, "body_too_large")


def test_bad_photos_of_a_batch_fail_alone(client: httpx.Client) -> None:
    names = ["11 MiB", "html", "png bomb", "1x1", "truncated webp", "empty"]
    files = [("images", JPEG), *(("images", FILES[name][0]) for name in names), ("images", PNG)]
    answer = client.post("/analyze_batch", files=files)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert is_analysis(results[0])["image"]["format"] == "JPEG"
    assert is_analysis(results[-1])["image"]["format"] == "PNG"
    for name, result in zip(names, results[1:-1], strict=True):
        _, status, code = FILES[name]
        assert is_error_body(result, status, answer.headers["x-request-id"])["code"] == code


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[tuple[str, list[object]]]:
    """An address on loopback, and the connections made to it."""
    calls: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen() -> None:
            try:
                while True:
                    connection, address = listening.accept()
                    connection.close()
                    calls.append(address)
            except OSError:
                return

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/face.jpg", calls
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize("scheme", ["http", "https", "ftp", "s3+http", "HTTP", " http", "file"])
def test_a_url_in_place_of_a_file_is_never_fetched(
    client: httpx.Client, listener: tuple[str, list[object]], scheme: str
) -> None:
    address, calls = listener
    # Whoever read the file would find a good photo there, and answer 200.
    url = PORTRAIT.as_uri() if scheme == "file" else address.replace("http", scheme)
    for path, field in (("/analyze", "image"), ("/quality", "image"), ("/overlay", "image")):
        is_error(client.post(path, files={field: (None, url)}), 415, "image_format_unsupported")
        is_error(client.post(path, files={field: ("a.url", url)}), 415, "image_format_unsupported")
        is_error(client.post(path, data={field: url}), 415, "content_type_unsupported")
        is_error(client.post(path, json={field: url}), 415, "content_type_unsupported")
    answer = client.post("/analyze_batch", files=[("images", (None, url)), ("images", ("a.url", url))])
    codes = [result["error"]["code"] for result in answer.json()["results"]]
    assert codes == ["image_format_unsupported"] * 2
    for text in (url, f"data:text/uri-list,{url}", f"data:image/jpeg;base64,{url}"):
        is_error(client.post("/analyze_base64", json={"image": text}), 400, "bad_base64")
    encoded_url = base64.b64encode(url.encode()).decode()
    is_error(client.post("/analyze_base64", json={"image": encoded_url}), 415, "image_format_unsupported")
    assert calls == []
    with socket.create_connection(("127.0.0.1", int(address.split(":")[2].split("/")[0]))):
        pass  # the listener does listen
    for _ in range(100):
        if calls:
            break
        threading.Event().wait(0.05)
    assert len(calls) == 1
