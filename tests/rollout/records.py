"""Builds trail records for tests from short attempts."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bentos.skin.settings import Phase
from deploy.record.store import ServiceName
from deploy.record.trail import Attempt, Deployed, GateResult, Note, Outcome, Record

SERVICE = ServiceName("123456789012", "us-east-1", "shine-ml-cluster", "shine-api-gateway")
JANE = "arn:aws:iam::123456789012:user/jane"
DIGEST, NEWER = f"sha256:{'9f2c' * 16}", f"sha256:{'b71e' * 16}"
START = datetime(2026, 11, 3, 12, 4, tzinfo=UTC)
# Gates of the tests; those of the rollout are in deploy/gates.
EXPECTED: dict[Phase, list[str]] = {
    "simple": ["container_starts", "port_bound", "health_passes", "targets_healthy", "front_end_connects"],
    "hybrid": ["stable", "status_tells", "degradation_proven", "metrics_there"],
    "foundation": ["model_by_checksum", "cached", "logs_arrive", "latency"],
    "full": ["model_answers", "alarms_quiet", "autoscaling", "https", "load", "end_to_end"],
}


def at(minutes: float) -> datetime:
    """Minutes after the start."""
    return START + timedelta(minutes=minutes)


def gates(phase: Phase, passing: int | None = None, **changes: Any) -> list[GateResult]:
    """Results of a phase's gates; the first `passing` of them pass, by default all."""
    names = EXPECTED[phase]
    number = len(names) if passing is None else passing
    return [
        GateResult(
            name=name,
            title=name.replace("_", " ").capitalize(),
            holds=index < number,
            value=2 if index < number else 1,
            limit=2,
            sentence="It is as it should be." if index < number else f"1 of 2 tasks shows {name}; look at its log.",
            at=START,
        ).model_copy(update=changes)
        for index, name in enumerate(names)
    ]


def attempt(
    name: str, phase: Phase, outcome: Outcome = "proven", begin: float = 0, took: float = 7, **changes: Any
) -> Attempt:
    """One attempt; if it is proven, with all its gates."""
    content: dict[str, Any] = {
        "id": name,
        "phase": phase,
        "who": JANE,
        "host": "laptop:4711",
        "started": at(begin),
        "ended": None if outcome == "running" else at(begin + took),
        "deployed": Deployed(
            digest=DIGEST, task_definition=f"arn:aws:ecs:us-east-1:123456789012:task-definition/s:{name}"
        ),
        "deployment": f"ecs-svc/{name}",
        "outcome": outcome,
        "gates": gates(phase) if outcome == "proven" else [],
    }
    return Attempt(**content | changes)


def image(digest: str) -> Deployed:
    """A deployed image."""
    return Deployed(digest=digest, task_definition="arn:aws:ecs:us-east-1:123456789012:task-definition/s:9")


def record(attempts: Sequence[Attempt] = (), notes: Sequence[Note] = ()) -> Record:
    """A record of the service."""
    return Record(**SERVICE._asdict(), attempts=list(attempts), notes=list(notes))


def empty() -> Record:
    """A record without attempts."""
    return record()


def half_way() -> Record:
    """Two phases are proven, the second at the second try; the third is running, and half of its gates pass."""
    broken = attempt(
        "a2",
        "hybrid",
        "cause_found",
        30,
        4,
        gates=gates("hybrid", 2),
        back_to="a1",
        cause="MODEL_CRASHES",
        sentence="The model's process ends with code 137: 512 MiB are too few for it.",
        evidence=["OOMKilled: container shine-api-gateway", "stoppedReason: OutOfMemoryError: container killed"],
    )
    return record(
        [
            attempt("a1", "simple"),
            broken,
            attempt("a3", "hybrid", begin=90, took=9),
            attempt("a4", "foundation", "running", 1500, gates=gates("foundation", 2)),
        ],
        [Note(who=JANE, at=at(60), text="2048 MiB from now on; the model needs 900 when it loads.")],
    )


def failed() -> Record:
    """The second phase failed and was rolled back."""
    return record(
        [
            attempt("a1", "simple"),
            attempt(
                "a2",
                "hybrid",
                "gate_failed",
                30,
                12,
                gates=gates("hybrid", 3),
                back_to="a1",
                cause="metrics_there",
                sentence="Metrics there did not hold within 180 s: /metrics answers 404.",
                evidence=["GET /metrics → 404 Not Found", "healthy targets: 2 of 2"],
            ),
        ]
    )


def complete() -> Record:
    """All four phases are proven."""
    phases: tuple[Phase, ...] = ("simple", "hybrid", "foundation", "full")
    return record(
        [attempt(f"a{number}", phase, begin=200 * number, took=7 + number) for number, phase in enumerate(phases, 1)],
        [Note(who=JANE, at=at(300), text="We keep two tasks at night; the queue stays empty.")],
    )
