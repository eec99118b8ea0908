"""After many photos, no photo and no part of one is on a disk or in the log."""

import base64
import os
import stat
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from tests.server import PORTRAIT, WORKERS, Server
from tests.service.traffic import FAKE_ENGINE, Engine

MARKER = f"Kalliope-{os.urandom(6).hex()}"  # in the photo's metadata and file name; nowhere else on this machine
SHARED = [Path(path) for path in ("/tmp", "/var/tmp", "/dev/shm")]
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")
LARGEST = 64 * 2**20  # of a file of somebody else that is searched


def marked_photo() -> bytes:
    """A photo of more than 1 MiB, which frameworks spool to disk, unlike any other."""
    with Image.open(PORTRAIT) as portrait:
        pixels = np.asarray(portrait.convert("RGB").resize((1600, 1600)), dtype=np.int16)
    noise = np.random.default_rng().integers(-12, 13, pixels.shape)
    image = Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x010E] = MARKER  # ImageDescription
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=95, exif=exif, comment=MARKER.encode())
    assert len(buffer.getvalue()) > 2**20
    return buffer.getvalue()


PHOTO = marked_photo()


def needles() -> list[bytes]:
    """What must not be found: the marker, pieces of the file, each in base64 too, and rows of pixels."""
    pieces = [MARKER.encode(), *(PHOTO[len(PHOTO) * part // 8 :][:24] for part in range(1, 8))]
    encoded = []
    for piece in pieces:
        for shift in range(3):  # whatever stands before it
            text = base64.b64encode(bytes(shift) + piece)
            encoded.append(text[4:-4])
    whole = base64.b64encode(PHOTO)
    encoded += [whole[len(whole) * part // 8 :][:32] for part in range(1, 8)]
    with Image.open(BytesIO(PHOTO)) as decoded:
        rows = np.asarray(decoded)[100:1500:100, 200:216].tobytes()
    return [*pieces, *encoded, *(rows[start : start + 48] for start in range(0, len(rows), 48))]


NEEDLES = needles()


def holds_a_photo(path: Path) -> bool:
    """Whether a file has any of the needles in it; what cannot be read is not ours."""
    try:
        if path.stat().st_size > LARGEST:
            return False
        content = path.read_bytes()
    except OSError:
        return False
    return any(needle in content for needle in NEEDLES)


def files_under(folder: Path, newer_than: float = 0.0) -> Iterator[Path]:
    """Regular files that were changed since a time."""
    for root, _, names in os.walk(folder, onerror=lambda _: None):
        for name in names:
            path = Path(root, name)
            try:
                if stat.S_ISREG(path.lstat().st_mode) and path.lstat().st_mtime >= newer_than:
                    yield path
            except OSError:
                continue


def spooled(server: Server) -> set[str]:
    """Files without a name that the server's processes have open: what temporary files are while they live."""
    spooled_paths = set()
    for worker in WORKERS:
        try:
            descriptors = list(Path(f"/proc/{server.worker(worker).pid}/fd").iterdir())
        except (LookupError, OSError, psutil.Error):
            continue
        for descriptor in descriptors:
            try:
                target = str(descriptor.readlink())
            except OSError:
                continue
            if target.endswith("(deleted)") and not target.startswith(("/memfd:", "/dev/zero")):
                spooled_paths.add(target)
    return spooled_paths


def ask_in_every_way(client: httpx.Client, *, overlay: bool) -> set[int]:
    """Send the photo to every endpoint, whole and broken; the statuses seen."""
    name = f"{MARKER}.jpg"
    text = base64.b64encode(PHOTO).decode()
    answers = [
        client.post("/analyze", files={"image": (name, PHOTO)}),
        client.post(f"/analyze?note={MARKER}", files={"image": (name, PHOTO)}, data={"require": "model"}),
        client.post("/quality", files={"image": (name, PHOTO)}),
        client.post("/analyze_base64", json={"image": f"data:image/jpeg;base64,{text}"}),
        client.post("/analyze_batch", files=[("images", (name, PHOTO)), ("images", (name, PHOTO[:50_000]))]),
        client.post("/analyze", files={"image": (name, PHOTO[: len(PHOTO) // 2])}),
        client.post("/analyze_base64", json={"image": text[:-7] + "?*"}),
        client.post("/analyze", files={"picture": (name, PHOTO)}, headers={"x-marker": MARKER}),
    ]
    if overlay:
        answers.append(client.post("/overlay", files={"image": (name, PHOTO)}))
    return {answer.status_code for answer in answers}


def test_what_is_searched_for_would_be_found(tmp_path: Path) -> None:
    kept = {
        "photo.jpg": PHOTO,
        "form": b"--boundary\r\n\r\n" + PHOTO[1000:],
        "log": b'{"image": "' + base64.b64encode(PHOTO) + b'"}',
        "line": base64.b64encode(b"x" + PHOTO)[70_000:],
        "pixels": np.asarray(Image.open(BytesIO(PHOTO))).tobytes(),
        "exif": b"Exif\0\0" + MARKER.encode(),
    }
    for name, content in kept.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "harmless").write_bytes(PORTRAIT.read_bytes())
    holding = {path.name for path in files_under(tmp_path) if holds_a_photo(path)}
    for name in kept:
        (tmp_path / name).unlink()  # else the next test finds them
    assert holding == kept.keys()


@pytest.mark.parametrize("rounds", [2, pytest.param(28, marks=pytest.mark.long)])
def test_no_photo_is_left_on_disk_or_in_the_log(tmp_path: Path, rounds: int) -> None:
    """So many rounds, each of eight requests, and an overlay in each fourth."""
    began = time.time() - 1
    here = tmp_path / "here"
    here.mkdir()
    engine = Engine(tmp_path)
    server = Server(tmp_path, FAKE_ENGINE, cwd=here, SHINE_LOG_FORMAT="text", **engine.env)
    try:
        server.wait_for_workers()
        spooled_paths: set[str] = set()
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.02):
                spooled_paths.update(spooled(server))

        looking = threading.Thread(target=look)
        looking.start()
        statuses: set[int] = set()
        with httpx.Client(base_url=server.url, timeout=30) as client:
            for number in range(rounds):
                if number == rounds // 2:
                    engine.behaves("raises")  # with a stack trace in the log
                statuses |= ask_in_every_way(client, overlay=number % 4 == 0)
        over.set()
        looking.join()
        assert statuses == {200, 400, 422, 503}
        assert spooled_paths == set()
        assert [path for path in files_under(server.tmp) if path.read_bytes()[:8].startswith(MAGIC)] == []
        assert [path for path in files_under(server.tmp) if holds_a_photo(path)] == []
        assert list(files_under(here)) == []
        assert [path for folder in SHARED for path in files_under(folder, began) if holds_a_photo(path)] == []
    finally:
        server.stop()
    assert [path for folder in SHARED for path in files_under(folder, began) if holds_a_photo(path)] == []
    log = server.log.read_bytes()
    assert b"the engine is broken" in log  # the log that was searched is one that says much
    assert [needle for needle in NEEDLES if needle in log] == []
    # No line is long enough to hold a photo in some other form.
    assert max(len(line) for line in log.splitlines()) < 20_000
