"""What is killed, full, expired or lost in the middle: what was written stays, and a resumed run ends the same."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import psutil
import pyarrow.parquet as pq
import pytest

from tests.batch import drawn
from tests.batch.outputs import failures, files, findings
from tests.batch.test_local import COMMAND, shine_batch, wait_for_workers
from tests.faults.mounts import remount, unmount
from tests.s3 import CREDENTIALS, S3
from tests.server import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

COUNT, PART = 40, 8  # photos, and those of a part
WAIT_S = 300.0  # ten times what a quiet machine needs


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    for number in range(COUNT):
        (folder / f"{number:03}.jpg").write_bytes(drawn.photo(drawn.BASES * number, side=480))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff and no more")
    return folder


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an undisturbed run."""
    output = tmp_path_factory.mktemp("whole") / "out"
    assert shine_batch(photos, output, "--part-size", PART).returncode == 1
    assert failures(output).column("path").to_pylist() == ["broken.jpg"]
    assert findings(output).num_rows == COUNT
    return files(output)


def begin(*arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments), "--part-size", str(PART)], stderr=subprocess.PIPE, text=True, env=env
    )


def until(true: Callable[[], Any], what: str) -> Any:
    ends = time.monotonic() + WAIT_S
    while not (found := true()):
        if time.monotonic() > ends:
            raise TimeoutError(f"no {what} within {WAIT_S:g} s")
        time.sleep(0.02)
    return found


def parts(output: Path) -> list[Path]:
    return sorted(output.glob("findings/part-*.parquet"))


def has_parts(output: Path, count: int) -> bool:
    return len(parts(output)) >= count


def have_ended(pids: list[int]) -> bool:
    there = [pid for pid in pids if psutil.pid_exists(pid)]
    return all(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in there)


def whole_files_only(output: Path) -> None:
    for path in output.rglob("part-*.parquet"):
        if not path.name.startswith("."):
            pq.read_table(path)


def test_a_killed_driver_loses_nothing_that_was_written(photos: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    output = tmp_path / "out"
    for killed_at in (1, 3):
        process = begin(photos, output, "--resume")
        until(partial(has_parts, output, killed_at), "part")
        workers = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        process.kill()
        process.communicate()
        until(partial(have_ended, workers), "end of the processes")
        whole_files_only(output)
    written = {path: path.stat().st_mtime_ns for path in parts(output)}
    done = len(written)
    ended = shine_batch(photos, output, "--resume", "--part-size", PART)
    assert ended.returncode == 1
    assert f"{done * PART} done before" in ended.stderr
    assert files(output) == whole
    assert all(path.stat().st_mtime_ns == at for path, at in written.items())


def test_killed_workers_are_replaced(photos: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = begin(photos, output)
    for at in (1, 3):
        until(partial(has_parts, output, at), "part")
        os.kill(wait_for_workers(process.pid)[0], signal.SIGKILL)
    process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert files(output) == whole


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_disk_that_is_full_before_it_begins(photos: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    remount(disk, "size=16k")
    try:
        (disk / "out").mkdir()
        with suppress(OSError):
            (disk / "filling").write_bytes(bytes(16 << 10))
        ended = shine_batch(photos, disk / "out")
        assert ended.returncode == 2
        assert f"The disk of {disk}/out is full." in ended.stderr
        assert not list((disk / "out").iterdir())
    finally:
        unmount(disk)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_is_a_sentence_and_the_rest_is_done_later(
    photos: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    remount(disk, "size=160k")
    try:
        ended = shine_batch(photos, disk / "out", "--part-size", PART)
        assert ended.returncode == 2
        assert "The disk of " in ended.stderr
        assert "make room, and run again with --resume" in ended.stderr
        whole_files_only(disk / "out")
        done = len(parts(disk / "out"))
        assert 0 < done < len(whole) // 2
        before = sum(min(PART, COUNT + 1 - PART * int(path.stem[-6:])) for path in parts(disk / "out"))
        remount(disk, "remount,size=8m")
        ended = shine_batch(photos, disk / "out", "--part-size", PART, "--resume")
        assert f"{before} done before" in ended.stderr
        assert files(disk / "out") == whole
    finally:
        unmount(disk)


def test_ten_thousand_files_that_are_no_photos(tmp_path: Path) -> None:
    for number in range(10_000):
        path = tmp_path / "files" / str(number % 100) / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"no photo {number}")
    ended = shine_batch(tmp_path / "files", tmp_path / "out")
    assert ended.returncode == 2
    assert "holds no photo among 10,000 files" in ended.stderr
    (tmp_path / "list").write_text("\n".join(str(path) for path in (tmp_path / "files").rglob("*.txt")))
    ended = shine_batch(tmp_path / "list", tmp_path / "out")
    assert ended.returncode == 2
    assert "holds the findings of 0 photos; 10,000 failed" in ended.stderr
    assert findings(tmp_path / "out").num_rows == 0
    assert set(failures(tmp_path / "out").column("code").to_pylist()) == {"image_format_unsupported"}


# --- S3 -----------------------------------------------------------------------------------------------------------


class Gate:
    """Stands before S3, and answers so many objects that are put; then the credentials have expired.

    Attributes:
        url: its endpoint.
        puts: how many more objects of findings may be put.
    """

    def __init__(self, behind: str) -> None:
        gate = self
        self.puts = sys.maxsize

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.command == "PUT" and "/findings/" in self.path:
                    gate.puts -= 1
                if gate.puts < 0:
                    text = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
                    self.send(400, {"Content-Type": "application/xml"}, text)
                    return
                headers = {"Content-Type": "application/octet-stream", **self.headers}  # else urllib calls it a form
                request = HttpRequest(behind + self.path, body or None, headers, method=self.command)  # noqa: S310
                try:
                    with urlopen(request, timeout=20) as answer:  # noqa: S310  loopback
                        self.send(answer.status, dict(answer.headers), answer.read())
                except HTTPError as error:
                    self.send(error.code, dict(error.headers), error.read())

            def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
                self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    server = S3()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def bucket(s3: S3, photos: Path) -> S3:
    """A bucket with the photos below photos/."""
    s3.clear("skin")
    for path in photos.iterdir():
        s3.client().put_object(Bucket="skin", Key=f"photos/{path.name}", Body=path.read_bytes())
    s3.client().put_object(Bucket="skin", Key="photos/.hidden", Body=b"")
    s3.client().put_object(Bucket="skin", Key="photos/folder/", Body=b"")
    return s3


def on_s3(url: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": url}
    command = [*COMMAND, "s3://skin/photos", *map(str, arguments), "--part-size", str(PART)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=WAIT_S, env=env)


def objects(s3: S3, prefix: str) -> dict[str, bytes]:
    client = s3.client()
    keys = [it["Key"] for it in client.list_objects_v2(Bucket="skin", Prefix=prefix).get("Contents", [])]
    found = {key.removeprefix(prefix): client.get_object(Bucket="skin", Key=key)["Body"].read() for key in keys}
    found.pop("run.json", None)
    return found


def test_a_bucket_is_read_and_written_and_expired_credentials_lose_nothing(bucket: S3, tmp_path: Path) -> None:
    ended = on_s3(bucket.url, "s3://skin/whole/")
    assert ended.returncode == 1, ended.stderr
    whole = objects(bucket, "whole/")
    for name, data in whole.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert findings(tmp_path).column("path").to_pylist() == [
        f"s3://skin/photos/{number:03}.jpg" for number in range(COUNT)
    ]
    assert failures(tmp_path).column("path").to_pylist() == ["s3://skin/photos/broken.jpg"]
    gate = Gate(bucket.url)
    try:
        gate.puts = 3
        ended = on_s3(gate.url, "s3://skin/out")
        assert ended.returncode == 2
        assert re.search(r"S3 refuses the credentials \(ExpiredToken\) on s3://skin/\S+: renew them", ended.stderr)
        assert len([name for name in objects(bucket, "out/") if name.startswith("findings/")]) == 3
        gate.puts = sys.maxsize
        ended = on_s3(gate.url, "s3://skin/out", "--resume")
    finally:
        gate.close()
    assert ended.returncode == 1, ended.stderr
    assert f"{3 * PART} done before" in ended.stderr
    assert objects(bucket, "out/") == whole


def test_s3_says_what_is_missing_or_taken(bucket: S3) -> None:
    for arguments, code, sentence in (
        (["s3://elsewhere/out"], 2, "There is no bucket elsewhere"),
        (["s3://skin/photos/out"], 2, "lies within"),
        (["s3://skin/out"], 3, "Another run works on s3://skin/out: process 1 on another-host, since 2026"),
    ):
        owner = {"host": "another-host", "pid": 1, "began": 1, "since": "2026-11-30"}
        bucket.client().put_object(Bucket="skin", Key="out/_lock", Body=json.dumps(owner).encode())
        ended = on_s3(bucket.url, *arguments)
        assert ended.returncode == code
        assert sentence in ended.stderr
    ended = on_s3("http://127.0.0.1:9", "s3://skin/out2")
    assert ended.returncode == 2
    assert "S3 cannot be reached" in ended.stderr


def test_a_lock_in_s3_of_a_process_that_was_killed_is_taken_over(bucket: S3) -> None:
    env = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": bucket.url}
    program = (
        "import os; from bentos.batch.storage import Bucket\n"
        "with Bucket('s3://skin/out').locked(): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False, env=env)
    assert "_lock" in objects(bucket, "out/")
    ended = on_s3(bucket.url, "s3://skin/out")
    assert ended.returncode == 1, ended.stderr
    assert "_lock" not in objects(bucket, "out/")


# --- Ray ----------------------------------------------------------------------------------------------------------


RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}  # else it writes a token into the home folder


@contextmanager
def node(*options: object, ready: str) -> Iterator[tuple[int, re.Match[str]]]:
    """A node that `ray start` starts; its processes alone are ended.

    Args:
        options: of `ray start`.
        ready: what it prints once it is.

    Yields:
        Its process, and what it has printed.
    """
    command = [str(Path(sys.executable).with_name("ray")), "start", "--block", *map(str, options)]
    more = ["--object-store-memory", str(256 << 20)]
    env = {**os.environ, **RAY, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    ) as started:
        assert started.stdout is not None
        try:
            told = next(match for line in started.stdout if (match := re.search(ready, line)))
            threading.Thread(target=started.stdout.read, daemon=True).start()
            yield started.pid, told
        finally:
            everything = psutil.Process(started.pid).children(recursive=True)
            started.terminate()
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                started.kill()
            for process in psutil.wait_procs(everything, timeout=5)[1]:
                process.kill()


@contextmanager
def cluster(cpus: int = 2) -> Iterator[str]:
    """A cluster of one node; gives its address."""
    options = ["--head", "--port", 0, "--num-cpus", cpus, "--include-dashboard", "false"]
    with node(*options, ready=r"--address='([0-9.:]+)'") as (_, told):
        yield told[1]


def actors(under: int) -> list[int]:
    """The processes of Ray that analyse."""
    children = psutil.Process(under).children(recursive=True)
    return [child.pid for child in children if "MapWorker" in " ".join(_words(child))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_ray_of_its_own_finds_the_same(photos: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    ended = shine_batch(photos, tmp_path / "out", "--engine", "ray", "--part-size", PART)
    assert ended.returncode == 1, ended.stderr
    assert files(tmp_path / "out") == whole


def test_a_cluster_finds_the_same_when_a_worker_and_then_the_driver_is_killed(
    photos: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    with cluster() as address:
        env = {**os.environ, **RAY, "RAY_ADDRESS": address}
        process = begin(photos, output, "--engine", "ray", env=env)
        until(partial(has_parts, output, 1), "part")
        os.kill(actors(os.getpid())[0], signal.SIGKILL)
        _, told = process.communicate(timeout=WAIT_S)
        assert process.returncode == 1, told
        assert files(output) == whole

        again = tmp_path / "again"
        process = begin(photos, again, "--engine", "ray", env=env)
        until(partial(has_parts, again, 2), "part")
        process.kill()
        process.communicate()
        whole_files_only(again)
        process = begin(photos, again, "--engine", "ray", "--resume", env=env)
        _, told = process.communicate(timeout=WAIT_S)
        assert process.returncode == 1, told
        assert re.search(r"(16|24|32|40) done before", told)
        assert files(again) == whole


def test_a_cluster_that_loses_a_node_finds_the_same(photos: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    output = tmp_path / "out"
    with (
        cluster(cpus=1) as address,
        node("--address", address, "--num-cpus", 1, ready="Ray runtime started") as (pid, _),
    ):
        process = begin(photos, output, "--engine", "ray", env={**os.environ, **RAY, "RAY_ADDRESS": address})
        until(partial(has_parts, output, 1), "part")
        for lost in psutil.Process(pid).children(recursive=True):
            lost.kill()
        _, told = process.communicate(timeout=WAIT_S)
        assert process.returncode == 1, told
        assert files(output) == whole


def test_a_cluster_that_is_not_there_is_a_sentence(photos: Path, tmp_path: Path) -> None:
    process = begin(photos, tmp_path / "out", "--engine", "ray", env={**os.environ, "RAY_ADDRESS": "127.0.0.1:9"})
    _, told = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2, told
    assert "the cluster at RAY_ADDRESS=127.0.0.1:9 cannot be used" in told
