"""A runner whose batching queue begins no batch: it accepts calls and answers none."""

import contextlib
import time
from pathlib import Path

import httpx
import pytest

from tests.server import PORTRAIT, Server

FOR_EVER = "for ever"  # as hung_runner has it
HEALED_S = 60.0  # 25 s until it ends itself, its new start, and room

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


@pytest.mark.parametrize("ends", ["when memory is free again", FOR_EVER])
def test_a_runner_that_answers_nothing_heals_or_is_replaced(ends: str, tmp_path: Path) -> None:
    flag = tmp_path / "hung"
    server = Server(tmp_path, "tests.service.hung_runner:Gateway", HANG_FILE=str(flag))
    try:
        server.wait_for_workers()
        first = server.worker("SkinModel").pid
        flag.write_text(ends)
        sources: list[str] = []

        def ask() -> None:
            answer = httpx.post(server.url + "/analyze", files={"image": PORTRAIT.read_bytes()}, timeout=20)
            assert answer.status_code == 200
            sources.append(answer.json()["source"])

        ask()
        flag.unlink()
        began = time.monotonic()
        while sources[-1] != "model" and time.monotonic() - began < HEALED_S:
            ask()
            time.sleep(0.5)
        assert (sources[0], sources[-1]) == ("heuristic", "model")
        assert (server.worker("SkinModel").pid != first) is (ends == FOR_EVER)
    finally:
        server.stop()


def test_a_task_of_the_heuristics_that_never_ends_is_done_by_the_gateway_and_its_runner_is_replaced(
    tmp_path: Path,
) -> None:
    flag = tmp_path / "hung"
    server = Server(tmp_path, "tests.service.hung_runner:Gateway", HANG_FILE=str(flag), SHINE_PHASE="simple")
    try:
        server.wait_for_workers()
        first = server.worker("HeuristicFallback").pid
        flag.write_text("find")
        answers, began = [], time.monotonic()
        while time.monotonic() - began < HEALED_S:
            answers.append(httpx.post(server.url + "/analyze", files={"image": PORTRAIT.read_bytes()}, timeout=20))
            if len(answers) == 2:
                flag.unlink()  # the one that hangs hangs still
            with contextlib.suppress(LookupError):
                if server.worker("HeuristicFallback").pid != first:
                    break
        assert {(answer.status_code, answer.json().get("source")) for answer in answers} == {(200, "heuristic")}
        assert server.worker("HeuristicFallback").pid != first
    finally:
        server.stop()
