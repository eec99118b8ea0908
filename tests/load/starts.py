"""How long a service takes to start: until /health answers, and until the model does."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.load.process_tree import ProcessTree
from tests.load.processes import Broken, end
from tests.load.servers import PHASE
from tests.load.ways import PATH
from tests.load.wire import Lost, Pool, get, upload
from tests.server import PORTRAIT, ROOT, START_S, Server

POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class StartTime:
    """Seconds from the moment at which a service was spawned.

    Attributes:
        way: "service" or "base".
        health_s: to the first 200 of /health.
        model_s: to the first answer by the model.
    """

    way: str
    health_s: float
    model_s: float


def start_time(way: str, folder: Path, source: Path = ROOT) -> StartTime:
    """Start a service, wait for both, and stop it.

    Args:
        way: "service" or "base".
        folder: for its log.
        source: this repository, or an older commit of it.

    Raises:
        Broken: it ended, or did not answer in time.
    """
    began = time.perf_counter()
    server = Server(folder, cwd=source, PYTHONPATH=str(source), SHINE_PHASE=PHASE)
    tree = ProcessTree(server.process.pid)
    try:
        health_at, model_at = asyncio.run(_first_answers(server))
        return StartTime(way, health_at - began, model_at - began)
    finally:
        tree.sample()
        server.stop()
        end(server.process, tree)


async def _first_answers(server: Server) -> tuple[float, float]:
    """When /health, and when the model, first answered; seconds of the clock."""
    pool, photo = Pool(server.port), upload(PATH, PORTRAIT.read_bytes())

    async def healthy() -> bool:
        return (await pool.ask(get("/health"))).status == 200

    async def loaded() -> bool:
        return bool(json.loads((await pool.ask(get("/ml/status"))).body)["state"] == "ready")

    async def answers() -> bool:
        answer = await pool.ask(photo)
        return answer.status == 200 and json.loads(answer.body)["source"] == "model"

    try:
        await _until(healthy, server)
        health_at = time.perf_counter()
        # Photos before that would be answered by the heuristics, and take the time that the model needs to load.
        await _until(loaded, server)
        await _until(answers, server)
        return health_at, time.perf_counter()
    finally:
        pool.close()


async def _until(holds: Callable[[], Awaitable[bool]], server: Server) -> None:
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        try:
            if await holds():
                return
        except Lost:
            if server.process.poll() is not None:
                break
        await asyncio.sleep(POLL_S)
    raise Broken(f"the service did not start:\n{server.tail()}")
