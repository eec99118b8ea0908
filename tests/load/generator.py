"""The load generator, a process of its own: sends photos as a job says, and compares what comes back.

    python -m tests.load.generator JOB REPORT

It says `ready` when all is read, waits for a line, sends, says `done`, compares, and writes its report.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from tests.load.arithmetic import poisson_arrivals
from tests.load.findings import differences, findings
from tests.load.job import (
    CLOSED_TIMEOUT_S,
    DEADLINE_HEADER,
    GIVE_UP_S,
    HEALTH_EVERY_S,
    Job,
    Report,
    Sent,
    read_job,
    write_report,
)
from tests.load.wire import Answer, Lost, Pool, get, upload

TOLD = 5  # differences in a report
BACK_OFF_S = 0.1  # of a closed loop after anything but 200: clients that ask at once again only keep the machine busy


class Load:
    """One load on one server.

    Args:
        job: what is to be sent.
        ask: sends a whole request and gives the answer, or raises Lost.
        requests: whole requests, one a photo.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        job: Job,
        ask: Callable[[bytes], Awaitable[Answer]],
        requests: list[bytes],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._job, self._ask, self._requests, self._clock = job, ask, requests, clock
        self._began = clock()
        self._next_photo = 0
        self.sent: list[Sent] = []
        self.bodies: list[tuple[Sent, bytes]] = []
        self.health_ms: list[float] = []
        self.health_failed = 0

    async def run(self) -> None:
        """Send everything, and wait for every answer."""
        self._began = self._clock()
        asking = asyncio.ensure_future(self._ask_health()) if self._job.health is not None else None
        try:
            await (self._closed() if self._job.clients else self._open())
        finally:
            if asking is not None:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    async def _closed(self) -> None:
        async def client() -> None:
            while (now := self._now()) < self._job.seconds:
                if await self._send(now, CLOSED_TIMEOUT_S) != 200:
                    await asyncio.sleep(BACK_OFF_S)

        await asyncio.gather(*(client() for _ in range(self._job.clients)))

    async def _open(self) -> None:
        sending = []
        for due in poisson_arrivals(self._job.rate, self._job.seconds, self._job.seed):
            if (early := due - self._now()) > 0:
                await asyncio.sleep(early)
            sending.append(asyncio.ensure_future(self._send(due, GIVE_UP_S)))
        await asyncio.gather(*sending)

    async def _send(self, due: float, patience_s: float) -> int:
        """Send the next photo, and note what became of it; the status of its answer, 0 without one.

        Args:
            due: when it is to be sent.
            patience_s: from then on; who waits longer gives up.
        """
        photo = self._next_photo
        self._next_photo = (photo + 1) % len(self._requests)
        request = Sent(photo, due, sent=self._now(), ended=0.0, kind="lost")
        try:
            async with asyncio.timeout(due + patience_s - self._now()):
                answer = await self._ask(self._requests[photo])
        except TimeoutError:
            request.kind = "gave_up"
        except Lost as error:
            print(f"lost: {error}", file=sys.stderr)
        else:
            request.kind, request.status = "answered", answer.status
            request.source = answer.headers.get("x-analysis-source", "")
            if answer.status == 200:
                self.bodies.append((request, answer.body))
        request.ended = self._now()
        self.sent.append(request)
        return request.status

    async def _ask_health(self) -> None:
        assert self._job.health is not None
        request, number = get(self._job.health), 0
        while True:
            due = number * HEALTH_EVERY_S
            await asyncio.sleep(max(0.0, due - self._now()))
            number += 1
            try:
                async with asyncio.timeout(GIVE_UP_S):
                    answer = await self._ask(request)
            except (TimeoutError, Lost):
                self.health_failed += 1
                continue
            if answer.status == 200:
                self.health_ms.append(1000 * (self._now() - due))
            else:
                self.health_failed += 1

    def _now(self) -> float:
        return self._clock() - self._began


def compare(load: Load, job: Job, report: Report) -> None:
    """Read all answers by 200: note who found what, and where the model's findings differ from what is expected.

    Those of the heuristics are others, and counted as such.
    """
    expected = {} if job.expected is None else json.loads(Path(job.expected).read_text())
    names = [Path(photo).name for photo in job.photos]
    for request, body in load.bodies:
        try:
            found = findings(body)
        except ValueError as error:
            found = {"error": f"not an Analysis: {error}"}
        request.source = request.source or str(found.get("source", ""))
        request.degraded = bool(found.get("degraded", False))
        name = names[request.photo]
        if name not in expected or request.source == "heuristic":
            continue
        report.compared += 1
        if different := differences(expected[name], found):
            report.different += 1
            report.differences += [f"{name}{line}" for line in different][: TOLD - len(report.differences)]


def whole_requests(job: Job) -> list[bytes]:
    """What is sent for each photo; clients of an open loop say how long they wait."""
    headers = {} if job.clients else {DEADLINE_HEADER: f"{1000 * GIVE_UP_S:.0f}"}
    return [upload(job.path, Path(photo).read_bytes(), headers=headers) for photo in job.photos]


async def run(job: Job, requests: list[bytes]) -> Report:
    """Do a job as soon as a line says so.

    Args:
        job: to be done.
        requests: one a photo.
    """
    pool = Pool(job.port)
    load = Load(job, pool.ask, requests)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    cpu = time.process_time()
    await load.run()
    own = time.process_time() - cpu
    print("done", flush=True)
    pool.close()
    seconds = max((request.ended for request in load.sent), default=0.0)
    report = Report(load.sent, seconds, health_ms=load.health_ms, health_failed=load.health_failed, own_cpu_s=own)
    compare(load, job, report)
    return report


def main() -> None:
    task, result = (Path(argument) for argument in sys.argv[1:])
    job = read_job(task)
    write_report(uvloop.run(run(job, whole_requests(job))), result)


if __name__ == "__main__":
    main()
