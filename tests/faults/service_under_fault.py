"""A real service under a small load, whose weights lie in a real S3 behind a proxy that fails."""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.faults.mounts import unmount
from tests.faults.proxy import Fault, Proxy
from tests.s3 import CREDENTIALS, S3
from tests.server import Server
from tests.service.traffic import Response, ask_many, closed, crowd, drawn_photos, status_of, until, were_answered
from tests.unit.model import bundles

BUCKET, PREFIX = "weights", "face-skin"
URI = f"s3://{BUCKET}/{PREFIX}"
STATE_S = 60.0  # for a state to be told, on a busy machine
HEAL_S = 90.0  # for the model to be back once the fault has ended
CLIENTS = 2
ENOUGH = 6  # answers to look at, of each stretch
MEMORY_ROOM = 60 << 20  # bytes; allocators keep some of what a fault cost
DESCRIPTOR_ROOM = 12  # sockets and files in use at the moment


class ServiceUnderFault:
    """A running service, its weights in S3 behind a proxy, under a small load.

    Args:
        folder: for bundles, cache and logs.
        s3: real, shared.
        contained: whether BentoML believes to run in a container.

    Attributes:
        seen: every answer that the load got.
        server: once started.
        published: minor version of the newest bundle that a soak has published.
    """

    def __init__(self, folder: Path, s3: S3, contained: bool) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.s3 = s3
        self.proxy = Proxy(s3.url)
        self.server: Server | None = None
        self.responses: list[Response] = []
        self.healths: list[int] = []
        self.published = 0
        self._contained = {"BENTOML_CONTAINERIZED": "true"} if contained else {}
        self._photos = drawn_photos()
        s3.clear(BUCKET)

    # --- weights ------------------------------------------------------------------------------------------------

    def bundle(self, version: str = "1.0.0", **changes: Any) -> Path:
        """A whole bundle, whose network differs from that of other versions; changes go into the manifest."""
        outputs = bundles.answers()
        outputs["offset"][0, 0] = float(version.replace(".", "")) / 1000  # where no peak is
        manifest = {**bundles.content(outputs), "version": version, **changes}
        return bundles.write(self.folder / f"bundle-{version}", outputs, manifest)

    def publish(self, bundle: Path | None = None) -> None:
        """Put a bundle into S3, in place of what is there, the manifest last."""
        self.s3.put_bundle(BUCKET, PREFIX, self.bundle() if bundle is None else bundle)

    def put(self, name: str, data: bytes) -> None:
        """Put one object of the bundle."""
        self.s3.client().put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=data)

    def remove(self, name: str) -> None:
        """Remove one object of the bundle."""
        self.s3.client().delete_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}")

    # --- the service --------------------------------------------------------------------------------------------

    def start(self, target: str = "service:Gateway", **env: str) -> Server:
        """Start the service on the weights in S3, or those that the environment names, and wait for it."""
        self.launch(target, **env)
        return self.running.wait()

    def launch(self, target: str = "service:Gateway", **env: str) -> None:
        """Start the service, without waiting."""
        here = {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.proxy.url,
            "SHINE_WEIGHTS_URI": URI,
            "SHINE_WEIGHTS_POLL_S": "1",
            "SHINE_CACHE_DIR": str(self.cache),
            **self._contained,
        }
        self.server = Server(self.folder, target, **{**here, **env})

    @property
    def running(self) -> Server:
        """The service."""
        assert self.server is not None
        return self.server

    def status(self) -> dict[str, Any]:
        """/ml/status."""
        return status_of(self.running)

    def until_state(self, state: str, reason: str | None = None, within_s: float = STATE_S) -> dict[str, Any]:
        """Wait until the status tells a state, and a reason; that status."""

        def reached() -> bool:
            status = self.status()
            return status["state"] == state and reason in (None, status["reason"])

        try:
            until(reached, within_s, f"{state} ({reason})")
        except AssertionError as error:
            raise AssertionError(f"{error}; {json.dumps(self.status())[:600]}\n{self.running.tail()}") from None
        return self.status()

    def until_answered_by(self, source: str, within_s: float = HEAL_S) -> float:
        """Wait until the newest answers are all of a source; seconds that took."""
        began, before = time.monotonic(), len(self.responses)

        def reached() -> bool:
            newest = self.responses[max(before, len(self.responses) - ENOUGH) :]
            return len(newest) >= ENOUGH and {response.body.get("source") for response in newest} == {source}

        try:
            until(reached, within_s, f"answers of {source}")
        except AssertionError as error:
            raise AssertionError(f"{error}; {json.dumps(self.status())[:600]}\n{self.running.tail()}") from None
        return time.monotonic() - began

    @contextmanager
    def load(self) -> Iterator[None]:
        """A small load, and a probe of /health, until the block ends; the invariants hold at its end."""
        over = threading.Event()

        def probe() -> None:
            with httpx.Client(base_url=self.running.url, timeout=5) as client:
                while not over.wait(0.2):
                    try:
                        self.healths.append(client.get("/health").status_code)
                    except httpx.TransportError:
                        self.healths.append(0)

        watcher = threading.Thread(target=probe)
        watcher.start()
        try:
            with crowd(self.running, self._photos, CLIENTS) as responses:
                self.responses = responses
                yield
        finally:
            over.set()
            watcher.join()
        self.holds()

    def holds(self) -> None:
        """Every request was answered in time, every fallback is marked, /health was 200 throughout."""
        were_answered(self.responses)
        for response in self.responses:
            model = response.body["source"] == "model"
            assert response.body["degraded"] is not model
            assert (response.body["reason"] is None) is model
            assert (response.body["model"] is not None) is model
            assert response.headers["x-analysis-source"] == response.body["source"]
            assert response.headers["x-degraded"] == str(not model).lower()
            assert response.body["concerns"]["acne"]["source"] == response.body["source"]
        assert set(self.healths) <= {200}, self.healths

    # --- looking ------------------------------------------------------------------------------------------------

    def settled(self) -> tuple[int, int]:
        """Wait until the model answers and breakers are closed; `usage` then, once some photos have been answered.

        Connections and buffers that a first load makes stay: a server that has answered nobody is no measure.
        """
        until(lambda: closed(self.running), HEAL_S, "ready, breakers closed")
        ask_many(self.running, self._photos, 4 * ENOUGH, CLIENTS)
        time.sleep(1)
        return self.usage()

    def usage(self) -> tuple[int, int]:
        """Bytes of memory and open descriptors of all processes of the service."""
        processes = [psutil.Process(self.running.process.pid), *psutil.Process(self.running.process.pid).children(True)]
        memory = descriptors = 0
        for process in processes:
            try:
                memory += process.memory_info().rss
                descriptors += process.num_fds()
            except psutil.NoSuchProcess:
                continue
        return memory, descriptors

    def reasons(self) -> set[str]:
        """Reasons of the heuristic answers so far."""
        return {response.body["reason"] for response in self.responses if response.body.get("source") == "heuristic"}

    def versions(self) -> list[str]:
        """Versions of the model's answers, in the order in which they came, repetitions left out."""
        output: list[str] = []
        for response in self.responses:
            if response.body.get("model") and (not output or output[-1] != response.body["model"]["version"]):
                output.append(response.body["model"]["version"])
        return output

    def counted(self, reason: str) -> bool:
        """Whether a metric counts answers of that reason."""
        text = httpx.get(self.running.url + "/metrics", timeout=10).text
        label = f'reason="{reason}",source="heuristic"'
        return any(line.startswith("shine_answers_total{") and label in line for line in text.splitlines())

    def logged(self, text: str) -> bool:
        """Whether the log of the service says something."""
        return text in self.running.log.read_text(errors="replace")

    def close(self) -> None:
        """Stop everything."""
        self.proxy.fault = Fault.none()
        if self.server is not None:
            self.server.stop()
        self.proxy.close()
        unmount(self.cache)
        shutil.rmtree(self.folder, ignore_errors=True)


def kill_every(pid: Callable[[], int | None], period_s: float, times: int) -> Sequence[int]:
    """Kill a process that comes back again and again; the pids."""
    killed = []
    for _ in range(times):
        if (process_id := pid()) is not None:
            os.kill(process_id, 9)
            killed.append(process_id)
        time.sleep(period_s)
    return killed
