"""Progress, by examples computed by hand: 19 gates in four phases, 5 + 4 + 4 + 6."""

from typing import Any

import pytest

from bentos.skin.settings import Phase
from deploy.record.phases import MARKERS
from deploy.record.progress import Progress, compute, current, last_proven, next_phase
from deploy.record.trail import Attempt, Note, Outcome
from tests.rollout.records import (
    DIGEST,
    EXPECTED,
    JANE,
    NEWER,
    at,
    attempt,
    complete,
    empty,
    failed,
    gates,
    half_way,
    image,
    record,
)

PHASES: list[Phase] = ["simple", "hybrid", "foundation", "full"]


def progress(*attempts: Attempt) -> Progress:
    return compute(record(attempts), EXPECTED)


def states(found: Progress) -> list[str]:
    return [station.state for station in found.stations]


def counts(found: Progress) -> list[tuple[int, int]]:
    return [(station.passed, station.gates) for station in found.stations]


def proven_in_all(digest: str, begin: float = 0) -> list[Attempt]:
    """All four phases proven by an image."""
    return [
        attempt(f"{digest[7:9]}{number}", phase, begin=begin + 10 * number, deployed=image(digest))
        for number, phase in enumerate(PHASES)
    ]


def test_an_empty_record_has_no_progress_and_names_the_first_command() -> None:
    result = compute(empty(), EXPECTED)
    assert (result.passed, result.gates, result.percent) == (0, 19, 0)
    assert states(result) == ["not begun"] * 4
    assert (result.started, result.current.attempt, result.days) == (None, None, [])
    assert result.next == "trail up simple --digest sha256:…"
    assert [station.next for station in result.stations] == [result.next, None, None, None]


def test_half_way_up() -> None:
    result = compute(half_way(), EXPECTED)
    assert states(result) == ["proven", "proven", "running", "not begun"]
    assert counts(result) == [(5, 5), (4, 4), (2, 4), (0, 6)]
    assert (result.passed, result.gates, result.percent) == (11, 19, 57)  # 57.9: not rounded up
    simple, hybrid, foundation, full = result.stations
    assert (simple.started, simple.ended, simple.seconds) == (at(0), at(7), 420)
    # Begun with the attempt that failed, and proven by the next.
    assert (hybrid.started, hybrid.ended, hybrid.seconds) == (at(30), at(99), 69 * 60)
    assert hybrid.blocks is None
    assert (foundation.started, foundation.ended, foundation.seconds) == (at(1500), None, None)
    assert foundation.reached == "These gates passed at the last check: Model by checksum, Cached."
    assert (full.started, full.digest, full.reached) == (None, None, None)
    assert result.current.attempt is not None
    assert result.current.attempt.id == "a3"
    assert result.next == foundation.next == "trail resume"
    assert result.started == at(0)


def test_a_failure_names_what_blocks_and_the_next_command() -> None:
    result = compute(failed(), EXPECTED)
    hybrid = result.stations[1]
    assert states(result) == ["proven", "failed", "not begun", "not begun"]
    assert counts(result) == [(5, 5), (3, 4), (0, 4), (0, 6)]
    assert result.percent == 42  # 8 of 19
    assert hybrid.blocks == "Metrics there did not hold within 180 s: /metrics answers 404."
    assert hybrid.cause == "metrics_there"
    assert hybrid.evidence[0] == "GET /metrics → 404 Not Found"
    assert hybrid.proof is None
    assert result.current.attempt is not None
    assert result.current.attempt.id == "a1"
    assert "runs again since hybrid was rolled back" in result.current.sentence
    assert result.next == hybrid.next == "trail why"  # and not the image that has just failed


def test_all_phases_are_proven() -> None:
    result = compute(complete(), EXPECTED)
    assert states(result) == ["proven"] * 4
    assert (result.passed, result.percent, result.next) == (19, 100, None)
    assert [station.next for station in result.stations] == [None] * 4
    assert [str(station.marker) for station in result.stations if station.proof] == [
        "🎯 Starting line: basic system operational",
        "🔍 Exploration point: hybrid service working",
        "🏗️ Foundation built: ML infrastructure robust",
        "🏆 Victory point: full ML service operational",
    ]
    full = result.stations[3].proof
    assert full is not None
    assert (full.who, full.deployed and full.deployed.digest, full.ended) == (JANE, DIGEST, at(811))
    assert [gate.value for gate in full.gates] == [2] * 6


def test_there_is_no_marker_before_the_proof_although_all_gates_pass() -> None:
    """They must hold for their whole window."""
    result = progress(attempt("a1", "simple", "running", gates=gates("simple")))
    assert (result.stations[0].passed, result.stations[0].state, result.stations[0].proof) == (5, "running", None)


def test_one_gate_of_many_missing_is_never_100_percent() -> None:
    expected: dict[Phase, list[str]] = {"simple": [f"g{number}" for number in range(1000)]}
    held = [gates("simple", 5)[0].model_copy(update={"name": name}) for name in expected["simple"][:-1]]
    result = compute(record([attempt("a1", "simple", gates=held)]), expected)
    assert (result.passed, result.gates, result.percent) == (999, 1000, 99)


def test_gates_that_are_not_required_are_shown_and_not_counted() -> None:
    more = gates("simple")[0].model_copy(update={"name": "extra", "title": "Extra"})
    result = progress(attempt("a1", "simple", "running", gates=[more, *gates("simple", 1)]))
    assert counts(result)[0] == (1, 5)
    assert [item.name for item in result.stations[0].asked] == [*EXPECTED["simple"], "extra"]


def test_a_gate_that_was_never_checked_has_neither_passed_nor_failed() -> None:
    result = progress(attempt("a1", "simple", "gate_failed", gates=gates("simple", 1)[:2]))
    assert [item.holds for item in result.stations[0].asked] == [True, False, None, None, None]
    assert result.stations[0].asked[4].title == "front end connects"


def test_without_known_gates_progress_is_zero() -> None:
    result = compute(half_way(), {})
    assert (result.passed, result.gates, result.percent) == (0, 0, 0)


def test_a_proven_phase_stays_proven_after_a_rollback() -> None:
    back = attempt("r1", "hybrid", begin=900, took=3, command="rollback", back_to="3")
    result = compute(record([*complete().attempts, back]), EXPECTED)
    assert states(result) == ["proven"] * 4
    assert result.percent == 100
    assert result.current.attempt == back
    assert result.next == f"trail up foundation --digest {DIGEST}"  # it climbs again from where it runs


def test_a_new_image_begins_at_the_first_phase_again() -> None:
    result = progress(*proven_in_all(DIGEST), attempt("n1", "simple", begin=100, deployed=image(NEWER)))
    assert result.digest == NEWER
    assert states(result) == ["proven", "not begun", "not begun", "not begun"]
    assert (result.passed, result.percent) == (5, 26)
    assert [station.earlier.id if station.earlier else None for station in result.stations] == [
        "9f0",
        "9f1",
        "9f2",
        "9f3",
    ]
    assert result.next == f"trail up hybrid --digest {NEWER}"
    assert result.stations[0].started == at(100)


def test_a_new_image_is_counted_while_it_is_rolled_out() -> None:
    result = progress(
        *proven_in_all(DIGEST), attempt("n1", "simple", "running", 100, deployed=image(NEWER), gates=gates("simple", 2))
    )
    assert (result.digest, result.passed, states(result)[0]) == (NEWER, 2, "running")
    assert result.current.attempt is not None
    assert result.current.attempt.id == "9f3"


def test_a_new_image_that_failed_leaves_the_old_one_counted_and_is_told() -> None:
    bad = attempt(
        "n1", "simple", "cause_found", 100, deployed=image(NEWER), back_to="9f3", sentence="No curl.", cause="NO_CURL"
    )
    result = progress(*proven_in_all(DIGEST), bad)
    assert (result.digest, result.percent, states(result)) == (DIGEST, 100, ["proven"] * 4)
    assert result.stations[0].blocks == "With image sha256:b71eb71eb71e: No curl."
    assert result.stations[0].cause == "NO_CURL"
    assert result.next == "trail why"  # and not the image that failed


def test_what_blocked_once_blocks_no_more_when_a_later_attempt_is_proven() -> None:
    result = progress(
        attempt("a1", "simple", "gate_failed", deployed=image(NEWER), sentence="No."), attempt("a2", "simple", begin=9)
    )
    assert (result.stations[0].blocks, result.stations[0].cause) == (None, None)


def test_a_phase_that_was_proven_and_then_fails_is_proven_and_tells_the_failure() -> None:
    result = progress(
        attempt("a1", "simple"), attempt("a2", "simple", "gate_failed", 20, sentence="Settings.", back_to="a1")
    )
    assert states(result)[0] == "proven"
    assert counts(result)[0] == (5, 5)
    assert result.stations[0].blocks == "Settings."


def test_the_newest_proof_has_the_marker_and_the_first_ended_the_phase() -> None:
    result = progress(attempt("a1", "simple"), attempt("a2", "simple", begin=500, took=2))
    one = result.stations[0]
    assert one.proof is not None
    assert (one.proof.id, one.ended, one.seconds) == ("a2", at(7), 420)


def test_an_attempt_that_never_reached_aws_counts_as_none() -> None:
    result = progress(attempt("a1", "simple", "abandoned", deployed=None, deployment=None))
    assert (states(result)[0], result.stations[0].blocks) == ("not begun", None)
    assert result.next == "trail up simple --digest sha256:…"


def test_a_refusal_blocks_and_belongs_to_the_image_that_came_after_it() -> None:
    refused = attempt("a1", "simple", "refused", deployed=None, deployment=None, sentence="The port differs.")
    result = progress(refused)
    assert (states(result)[0], result.stations[0].blocks) == ("failed", "The port differs.")
    later = progress(refused, attempt("a2", "simple", begin=60))
    assert later.stations[0].started == at(0)
    refused = refused.model_copy(update={"started": at(80)})
    newer = progress(*proven_in_all(DIGEST), refused, attempt("n1", "simple", begin=90, deployed=image(NEWER)))
    assert newer.stations[0].started == at(80)
    older = progress(
        refused, attempt("n1", "simple", begin=90, deployed=image(NEWER)), attempt("a3", "simple", begin=99)
    )
    assert older.stations[0].started == at(99)


def test_what_ran_unproven_before_a_failure_runs_again() -> None:
    before = image(NEWER).model_copy(update={"task_definition": "arn:aws:ecs:us-east-1:1:task-definition/theirs:4"})
    failed = attempt("a1", "simple", "platform_failed", before=before)
    assert progress(failed).current.sentence == (
        "Nothing proven runs: simple failed, and theirs:4, which ran before, runs again."
    )
    first = attempt("a1", "simple", "platform_failed", before=None)
    assert progress(first).current.sentence == (
        "Nothing proven runs: simple failed, and there was nothing to roll back to."
    )


def test_a_rollback_that_was_restored_hides_nothing_that_was_known() -> None:
    back = attempt("a2", "simple", "restored", 20, command="rollback", back_to=None)
    assert progress(attempt("a1", "simple"), back).current.attempt is not None


def test_a_refusal_goes_on_with_the_image_that_runs_only_where_that_would_come_next() -> None:
    refused = attempt("a2", "hybrid", "refused", 20, deployed=None, deployment=None)
    assert progress(attempt("a1", "simple"), refused).next == f"trail up hybrid --digest {DIGEST}"
    elsewhere = attempt("a2", "simple", "refused", 20, deployed=None, deployment=None)
    assert progress(attempt("a1", "simple"), elsewhere).next == "trail up simple --digest sha256:…"


@pytest.mark.parametrize(
    ("last", "told", "runs"),
    [
        ({"outcome": "rollback_failed"}, "It is not known what runs: the rollback from hybrid failed", None),
        ({"outcome": "overtaken"}, "not known what runs: somebody else started a newer deployment", None),
        ({"outcome": "gate_failed"}, "Nothing proven runs: hybrid failed", None),
        ({"outcome": "gate_failed", "back_to": "nobody"}, "Nothing proven runs", None),
        ({"outcome": "gate_failed"}, "failed, and there was nothing to roll back to.", None),
        ({"outcome": "gate_failed", "before": image("")}, "failed, and s:9, which ran before, runs again.", None),
        ({"outcome": "platform_failed", "back_to": "a1"}, "Phase simple with image sha256:9f2c9f2c9f2c", "a1"),
        ({"outcome": "cause_found", "deployment": None}, "Phase simple with image", "a1"),
        (
            {"outcome": "restored", "command": "rollback", "back_to": "a1"},
            "runs again after `trail rollback`.",
            "a1",
        ),
        ({"outcome": "refused"}, "Phase simple with image", "a1"),
        ({"outcome": "abandoned"}, "Phase simple with image", "a1"),
        ({"outcome": "running"}, "Phase simple with image", "a1"),
        ({"outcome": "proven"}, "Phase hybrid with image", "a2"),
    ],
)
def test_what_runs_follows_from_how_each_attempt_ended(last: dict[str, Any], told: str, runs: str | None) -> None:
    result = current(record([attempt("a1", "simple"), attempt("a2", "hybrid", begin=20, **last)]))
    assert told in result.sentence
    assert (result.attempt.id if result.attempt else None) == runs


@pytest.mark.parametrize(
    ("outcome", "command", "told"),
    [
        ("running", "up", "trail resume"),
        ("overtaken", "up", "trail status"),
        ("rollback_failed", "rollback", "trail rollback"),
        ("rollback_failed", "up", "trail why"),
    ],
)
def test_the_next_command_follows_from_the_last_attempt(outcome: Outcome, command: Any, told: str) -> None:
    assert progress(attempt("a1", "simple"), attempt("a2", "hybrid", outcome, 20, command=command)).next == told


FAILED: list[Outcome] = ["gate_failed", "cause_found", "platform_failed", "rollback_failed"]
BAD: dict[str, Any] = {"back_to": "a1", "cause": "metrics_there"}


@pytest.mark.parametrize("outcome", FAILED)
def test_an_image_that_failed_last_is_not_to_be_tried_again(outcome: Outcome) -> None:
    result = progress(attempt("a1", "simple"), attempt("a2", "hybrid", outcome, 20, **BAD))
    assert result.next == result.stations[1].next == "trail why"
    assert DIGEST not in str(result.advice)
    assert result.advice == (
        "sha256:9f2c9f2c9f2c failed last in phase hybrid (metrics_there); `trail why` says why. If the image is the "
        "reason, build another: `trail up --to hybrid --image IMAGE`. If the plan or the account is, correct it, and "
        "run `trail preflight` before you try the same image again."
    )


def test_nor_is_one_that_failed_before_another_was_tried_or_it_was_gone_back() -> None:
    one, two = attempt("a1", "simple"), attempt("a2", "hybrid", "gate_failed", 20, **BAD)
    other = attempt("b1", "simple", "cause_found", 40, deployed=image(NEWER), back_to="a1")
    assert progress(one, two, other).next == "trail why"
    back = attempt("a3", "simple", "restored", 40, command="rollback", back_to="a1")
    assert progress(one, two, back).next == "trail why"
    refused = attempt("a3", "hybrid", "refused", 40, deployed=None, deployment=None)
    assert progress(one, two, refused).next == "trail why"
    assert progress(one, two, attempt("a3", "hybrid", "abandoned", 40)).next == "trail why"


def test_the_last_proven_image_goes_on_where_another_failed() -> None:
    other = attempt("b1", "simple", "cause_found", 40, deployed=image(NEWER), back_to="a1")
    result = progress(attempt("a1", "simple"), other)
    assert (result.next, result.advice) == (f"trail up hybrid --digest {DIGEST}", None)


def test_an_image_that_failed_and_was_proven_since_goes_on() -> None:
    failing = attempt("a2", "hybrid", "gate_failed", 20, **BAD)
    result = progress(attempt("a1", "simple"), failing, attempt("a3", "hybrid", begin=40))
    assert (result.next, result.advice) == (f"trail up foundation --digest {DIGEST}", None)


def test_where_nothing_failed_there_is_nothing_to_advise() -> None:
    assert compute(empty(), EXPECTED).advice is None
    assert compute(half_way(), EXPECTED).advice is None
    assert compute(complete(), EXPECTED).advice is None


def test_after_a_rollback_it_climbs_again_from_what_was_gone_back_to() -> None:
    back = attempt("a3", "simple", "restored", 40, command="rollback", back_to="a1", gates=[])
    result = progress(attempt("a1", "simple"), attempt("a2", "hybrid", begin=20), back)
    assert result.next == f"trail up hybrid --digest {DIGEST}"
    assert [station.state for station in result.stations] == ["proven", "proven", "not begun", "not begun"]


def test_a_digest_from_elsewhere_cannot_become_a_command() -> None:
    result = progress(attempt("a1", "simple", deployed=image("sha256:1; rm -rf /\n$(x)")))
    assert result.next == "trail up hybrid --digest 'sha256:1; rm -rf / $(x)'"


def test_one_goes_back_to_the_newest_proven_attempt_of_this_phase_or_an_earlier_one() -> None:
    result = record(
        [
            attempt("s1", "simple"),
            attempt("h1", "hybrid", begin=10),
            attempt("s2", "simple", begin=20, deployed=image(NEWER)),
            attempt("h2", "hybrid", "gate_failed", 30, deployed=image(NEWER), back_to="s2"),
            attempt("f1", "foundation", begin=40),
            attempt("s3", "simple", begin=50, deployed=None),
        ]
    )

    def back(phase: Phase, **without: str) -> str | None:
        one = last_proven(result, phase, **without)
        return one.id if one else None

    assert back("simple") == "s2"
    assert back("simple", not_attempt="s2") == "s1"
    assert back("hybrid") == "s2"  # newer than h1
    assert back("hybrid", not_attempt="s2") == "h1"
    assert back("full") == "f1"
    assert last_proven(empty(), "full") is None


def test_the_next_phase_follows_the_one_that_runs_else_it_is_the_first_not_proven() -> None:
    result = record([*proven_in_all(DIGEST), attempt("n1", "simple", begin=90, deployed=image(NEWER))])
    assert next_phase(result, NEWER) == "hybrid"
    assert next_phase(result, DIGEST) == "full"  # proven in all, and runs no more
    assert next_phase(result, "sha256:0") == "simple"
    assert next_phase(record(proven_in_all(DIGEST)), DIGEST) is None
    assert next_phase(empty(), None) == "simple"


def test_the_log_tells_each_day_newest_first_with_decisions_among_what_happened() -> None:
    result = compute(half_way(), EXPECTED).days
    assert [(item.date, len(item.entries)) for item in result] == [("2026-11-04", 1), ("2026-11-03", 7)]
    output = [(f"{entry.at:%H:%M}", entry.kind, entry.text) for entry in result[1].entries]
    assert output[0] == ("13:43", "good", "Phase hybrid is proven. It took 9 min; 4 of 4 gates passed.")
    assert output[2][:2] == ("13:04", "decision")
    assert output[2][2].startswith("Decision by user/jane: 2048 MiB")
    assert output[3][1] == "bad"
    assert "It took 4 min; 2 of 4 gates passed. The model's process ends with code 137" in output[3][2]
    assert output[3][2].endswith("Rolled back to simple, image sha256:9f2c9f2c9f2c.")
    assert output[-1][2] == "Phase simple with image sha256:9f2c9f2c9f2c was started by user/jane."


def test_times_without_a_zone_are_taken_for_utc() -> None:
    naive = attempt("a1", "simple", started=at(0).replace(tzinfo=None), ended=at(7).replace(tzinfo=None))
    notes = [Note(who=JANE, at=at(3), text="Meanwhile.")]
    result = compute(record([naive], notes), EXPECTED)
    assert result.stations[0].seconds == 420
    assert [entry.kind for entry in result.days[0].entries] == ["good", "decision", "begun"]


def test_all_phases_have_a_marker() -> None:
    assert list(MARKERS) == PHASES
