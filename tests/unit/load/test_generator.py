"""What the load generator sends and when, on a server that is a function."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from tests.load import generator
from tests.load.arithmetic import poisson_arrivals
from tests.load.generator import Load, compare, whole_requests
from tests.load.job import GIVE_UP_S, Job, Report, read_job, read_report, write_job, write_report
from tests.load.wire import Answer, Lost

ANALYSIS = {"source": "model", "degraded": False, "concerns": {"acne": {"count": 2}}}


def job(**changes: object) -> Job:
    return Job(**{"port": 1, "path": "/analyze", "photos": ["0.jpg", "1.jpg"], "seconds": 0.2, **changes})  # type: ignore[arg-type]


def run(given: Job, answers: "list[Answer | Exception | float]", by_default: float = 0.01) -> Load:
    """Do a job: each answer is one, an error, or seconds after which an ordinary one comes."""
    left = iter(answers)

    async def ask(request: bytes) -> Answer:
        assert request.startswith((b"photo", b"GET"))
        answer = next(left, by_default)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Answer):
            return answer
        await asyncio.sleep(answer)
        return Answer(200, {"x-analysis-source": "model"}, json.dumps(ANALYSIS).encode())

    async def do() -> Load:
        load = Load(given, ask, [b"photo 0", b"photo 1"])
        await load.run()
        return load

    return asyncio.run(do())


def test_each_client_of_a_closed_loop_waits_for_its_answer() -> None:
    at_work, most = 0, 0

    async def ask(_: bytes) -> Answer:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.02)
        at_work -= 1
        return Answer(200)

    async def do() -> Load:
        load = Load(job(clients=3), ask, [b"photo 0", b"photo 1"])
        await load.run()
        return load

    sent = sorted(asyncio.run(do()).sent, key=lambda request: request.due)
    assert most == 3
    assert len(sent) >= 6
    assert [request.photo for request in sent[:4]] == [0, 1, 0, 1]
    assert max(request.due for request in sent) < 0.2


def test_latency_counts_from_when_a_request_was_due() -> None:
    """Where the generator is held up, people waited longer than their connections saw."""
    held_up = iter([0.2])

    def hold_up() -> None:
        time.sleep(next(held_up, 0.0))

    async def ask(_: bytes) -> Answer:
        hold_up()
        return Answer(200)

    async def do() -> Load:
        load = Load(job(rate=100, seconds=0.15, seed=3), ask, [b"photo"])
        await load.run()
        return load

    sent = sorted(asyncio.run(do()).sent, key=lambda request: request.due)
    assert [request.due for request in sent] == poisson_arrivals(100, 0.15, 3)
    for request in sent[1:]:
        assert request.latency_ms > 1000 * (sent[0].due + 0.2 - request.due) - 1


def test_arrivals_of_an_open_loop_wait_for_nobody() -> None:
    load = run(job(rate=50, seed=1), [0.5] * 50)
    assert len(load.sent) == len(poisson_arrivals(50, 0.2, 1)) > 4
    assert max(request.sent for request in load.sent) < 1  # one after the other they would have taken longer


def test_who_waits_too_long_gives_up_so_long_after_it_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "GIVE_UP_S", 0.1)
    load = run(job(rate=30, seed=1), [5.0])
    gave_up = [request for request in load.sent if request.kind == "gave_up"]
    assert len(gave_up) == 1
    assert 99 < gave_up[0].latency_ms < 1000
    assert gave_up[0].status == 0


def test_refusals_and_lost_connections_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "BACK_OFF_S", 0.001)
    load = run(job(clients=1), [Answer(429), Lost("cut"), Answer(200, {}, b"{}")])
    report = Report(load.sent, 1.0)
    assert [request.status for request in load.sent[:3]] == [429, 0, 200]
    assert report.statuses == {"200": len(load.sent) - 2, "429": 1, "lost": 1}
    assert report.sources == {"model": len(load.sent) - 3, "not told": 1}


def test_health_is_asked_meanwhile() -> None:
    asked = []

    async def ask(request: bytes) -> Answer:
        asked.append(request[:4])
        return Answer(200 if len(asked) % 2 else 503)

    async def do() -> Load:
        load = Load(job(rate=10, seconds=0.45, seed=2, health="/health"), ask, [b"photo"])
        await load.run()
        return load

    load = asyncio.run(do())
    assert asked.count(b"GET ") == len(load.health_ms) + load.health_failed
    assert 3 <= asked.count(b"GET ") <= 6
    assert load.health_failed
    assert min(load.health_ms) >= 0


def test_answers_are_compared_with_what_is_expected_of_their_photo(tmp_path: Path) -> None:
    expected = tmp_path / "expected.json"
    expected.write_text(json.dumps({"0.jpg": ANALYSIS, "1.jpg": {**ANALYSIS, "source": "heuristic"}}))
    given = job(clients=1, expected=str(expected))
    no_json = Answer(200, {}, b"<html>")
    load = run(given, [0.0, 0.0, no_json])
    report = Report(load.sent, 1.0)
    compare(load, given, report)
    assert report.compared == len(load.sent)
    assert report.different == len([request for request in load.sent if request.photo == 1]) + 1
    assert report.differences[0] == "1.jpg.source: 'heuristic' → 'model'"
    assert any("only in the answer" in line for line in report.differences)


def test_answers_of_the_heuristics_are_counted_and_not_compared(tmp_path: Path) -> None:
    expected = tmp_path / "expected.json"
    expected.write_text(json.dumps({"0.jpg": ANALYSIS, "1.jpg": ANALYSIS}))
    given = job(clients=1, expected=str(expected))
    degraded = {**ANALYSIS, "source": "heuristic", "degraded": True}
    load = run(given, [Answer(200, {}, json.dumps(degraded).encode())])
    report = Report(load.sent, 1.0)
    compare(load, given, report)
    assert (report.compared, report.different) == (len(load.sent) - 1, 0)
    assert [request.degraded for request in load.sent[:2]] == [True, False]


def test_clients_of_open_loops_say_how_long_they_wait(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"photo")
    deadline = f"X-Request-Deadline-Ms: {1000 * GIVE_UP_S:.0f}\r\n".encode()
    assert deadline in whole_requests(job(rate=1, photos=[str(photo)]))[0]
    assert deadline not in whole_requests(job(clients=1, photos=[str(photo)]))[0]


def test_jobs_and_reports_are_read_as_they_were_written(tmp_path: Path) -> None:
    given = job(rate=3.5, seed=9, health="/health", expected="there")
    write_job(given, tmp_path / "job")
    assert read_job(tmp_path / "job") == given
    report = Report(run(job(clients=1), []).sent, 2.5, compared=3, differences=["a"], health_ms=[1.5], own_cpu_s=0.1)
    write_report(report, tmp_path / "report")
    assert read_report(tmp_path / "report") == report
