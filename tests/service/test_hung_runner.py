"""A runner whose batching queue has lost its consumer: it accepts calls and answers none."""

import time
from pathlib import Path

import httpx
import pytest

from tests.server import PORTRAIT, Server

HEALED_S = 60.0  # 25 s until it ends itself, its new start, and room

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


def test_a_runner_that_answers_nothing_is_replaced(tmp_path: Path) -> None:
    flag = tmp_path / "hung"
    server = Server(tmp_path, "tests.service.hung_runner:Gateway", HANG_FILE=str(flag))
    try:
        server.wait_for_workers()
        first = server.worker("SkinModel").pid
        flag.touch()
        sources: list[str] = []

        def ask() -> None:
            answer = httpx.post(server.url + "/analyze", files={"image": PORTRAIT.read_bytes()}, timeout=20)
            assert answer.status_code == 200
            sources.append(answer.json()["source"])

        ask()
        flag.unlink()  # memory is free again, and the queue still has no consumer
        began = time.monotonic()
        while sources[-1] != "model" and time.monotonic() - began < HEALED_S:
            ask()
            time.sleep(0.5)
        assert (sources[0], sources[-1]) == ("heuristic", "model")
        assert server.worker("SkinModel").pid != first
    finally:
        server.stop()
