"""Progress, by examples computed by hand: 19 gates in four phases, 5 + 4 + 4 + 6."""

from typing import Any

import pytest

from bentos.skin.settings import Phase
from deploy.record.progress import Progress, compute, current, last_proven, next_phase
from deploy.record.stations import MARKERS
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
    return [one.state for one in found.stations]


def counts(found: Progress) -> list[tuple[int, int]]:
    return [(one.passed, one.gates) for one in found.stations]


def climbed(digest: str, begin: float = 0) -> list[Attempt]:
    """All four phases proven by an image."""
    return [
        attempt(f"{digest[7:9]}{number}", phase, begin=begin + 10 * number, deployed=image(digest))
        for number, phase in enumerate(PHASES)
    ]


def test_where_nobody_set_out_nothing_is_reached_and_the_first_command_is_told() -> None:
    found = compute(empty(), EXPECTED)
    assert (found.passed, found.gates, found.percent) == (0, 19, 0)
    assert states(found) == ["not begun"] * 4
    assert (found.started, found.current.attempt, found.days) == (None, None, [])
    assert found.next == "trail up simple --digest sha256:…"
    assert [one.next for one in found.stations] == [found.next, None, None, None]


def test_half_way_up() -> None:
    found = compute(half_way(), EXPECTED)
    assert states(found) == ["proven", "proven", "running", "not begun"]
    assert counts(found) == [(5, 5), (4, 4), (2, 4), (0, 6)]
    assert (found.passed, found.gates, found.percent) == (11, 19, 57)  # 57.9: not rounded up
    simple, hybrid, foundation, full = found.stations
    assert (simple.started, simple.ended, simple.seconds) == (at(0), at(7), 420)
    # Begun with the attempt that failed, and proven by the next.
    assert (hybrid.started, hybrid.ended, hybrid.seconds) == (at(30), at(99), 69 * 60)
    assert hybrid.blocks is None
    assert (foundation.started, foundation.ended, foundation.seconds) == (at(1500), None, None)
    assert foundation.reached == "Held when last asked: Model by checksum, Cached."
    assert (full.started, full.digest, full.reached) == (None, None, None)
    assert found.current.attempt is not None
    assert found.current.attempt.id == "a3"
    assert found.next == foundation.next == "trail resume"
    assert found.started == at(0)


def test_a_failure_names_what_blocks_and_how_it_goes_on() -> None:
    found = compute(failed(), EXPECTED)
    hybrid = found.stations[1]
    assert states(found) == ["proven", "failed", "not begun", "not begun"]
    assert counts(found) == [(5, 5), (3, 4), (0, 4), (0, 6)]
    assert found.percent == 42  # 8 of 19
    assert hybrid.blocks == "Metrics there did not hold within 180 s: /metrics answers 404."
    assert hybrid.cause == "metrics_there"
    assert hybrid.evidence[0] == "GET /metrics → 404 Not Found"
    assert hybrid.proof is None
    assert found.current.attempt is not None
    assert found.current.attempt.id == "a1"
    assert "runs again since hybrid was taken back" in found.current.sentence
    assert found.next == hybrid.next == f"trail up hybrid --digest {DIGEST}"


def test_the_end_of_the_trail() -> None:
    found = compute(complete(), EXPECTED)
    assert states(found) == ["proven"] * 4
    assert (found.passed, found.percent, found.next) == (19, 100, None)
    assert [one.next for one in found.stations] == [None] * 4
    assert [str(one.marker) for one in found.stations if one.proof] == [
        "🎯 Starting line: basic system operational",
        "🔍 Exploration point: hybrid service working",
        "🏗️ Foundation built: ML infrastructure robust",
        "🏆 Victory point: full ML service operational",
    ]
    full = found.stations[3].proof
    assert full is not None
    assert (full.who, full.deployed and full.deployed.digest, full.ended) == (JANE, DIGEST, at(811))
    assert [one.value for one in full.gates] == [2] * 6


def test_a_marker_is_not_there_before_the_proof_though_all_gates_hold() -> None:
    """They must hold for their whole window."""
    found = progress(attempt("a1", "simple", "running", gates=gates("simple")))
    assert (found.stations[0].passed, found.stations[0].state, found.stations[0].proof) == (5, "running", None)


def test_one_gate_of_many_missing_is_never_100_percent() -> None:
    expected: dict[Phase, list[str]] = {"simple": [f"g{number}" for number in range(1000)]}
    held = [gates("simple", 5)[0].model_copy(update={"name": name}) for name in expected["simple"][:-1]]
    found = compute(record([attempt("a1", "simple", gates=held)]), expected)
    assert (found.passed, found.gates, found.percent) == (999, 1000, 99)


def test_gates_that_are_not_demanded_are_shown_and_not_counted() -> None:
    more = gates("simple")[0].model_copy(update={"name": "extra", "title": "Extra"})
    found = progress(attempt("a1", "simple", "running", gates=[more, *gates("simple", 1)]))
    assert counts(found)[0] == (1, 5)
    assert [one.name for one in found.stations[0].asked] == [*EXPECTED["simple"], "extra"]


def test_a_gate_that_was_never_asked_is_neither_held_nor_failed() -> None:
    found = progress(attempt("a1", "simple", "gate_failed", gates=gates("simple", 1)[:2]))
    assert [one.holds for one in found.stations[0].asked] == [True, False, None, None, None]
    assert found.stations[0].asked[4].title == "front end connects"


def test_where_no_gates_are_known_progress_is_nought_and_nothing_breaks() -> None:
    found = compute(half_way(), {})
    assert (found.passed, found.gates, found.percent) == (0, 0, 0)


def test_what_was_proven_stays_proven_when_it_is_rolled_back_from() -> None:
    back = attempt("r1", "hybrid", begin=900, took=3, command="rollback", back_to="3")
    found = compute(record([*complete().attempts, back]), EXPECTED)
    assert states(found) == ["proven"] * 4
    assert found.percent == 100
    assert found.current.attempt == back
    assert found.next == f"trail up foundation --digest {DIGEST}"  # it climbs again from where it runs


def test_a_new_image_sets_out_at_the_first_station_again() -> None:
    found = progress(*climbed(DIGEST), attempt("n1", "simple", begin=100, deployed=image(NEWER)))
    assert found.digest == NEWER
    assert states(found) == ["proven", "not begun", "not begun", "not begun"]
    assert (found.passed, found.percent) == (5, 26)
    assert [one.earlier.id if one.earlier else None for one in found.stations] == ["9f0", "9f1", "9f2", "9f3"]
    assert found.next == f"trail up hybrid --digest {NEWER}"
    assert found.stations[0].started == at(100)


def test_a_new_image_is_counted_while_it_is_rolled_out() -> None:
    found = progress(
        *climbed(DIGEST), attempt("n1", "simple", "running", 100, deployed=image(NEWER), gates=gates("simple", 2))
    )
    assert (found.digest, found.passed, states(found)[0]) == (NEWER, 2, "running")
    assert found.current.attempt is not None
    assert found.current.attempt.id == "9f3"


def test_a_new_image_that_failed_leaves_the_old_one_counted_and_is_told() -> None:
    bad = attempt(
        "n1", "simple", "cause_found", 100, deployed=image(NEWER), back_to="9f3", sentence="No curl.", cause="NO_CURL"
    )
    found = progress(*climbed(DIGEST), bad)
    assert (found.digest, found.percent, states(found)) == (DIGEST, 100, ["proven"] * 4)
    assert found.stations[0].blocks == "With image sha256:b71eb71eb71e: No curl."
    assert found.stations[0].cause == "NO_CURL"
    assert found.next == "trail why"  # and not the image that failed


def test_what_blocked_once_blocks_no_more_when_a_later_attempt_is_proven() -> None:
    found = progress(
        attempt("a1", "simple", "gate_failed", deployed=image(NEWER), sentence="No."), attempt("a2", "simple", begin=9)
    )
    assert (found.stations[0].blocks, found.stations[0].cause) == (None, None)


def test_a_phase_that_was_proven_and_then_fails_is_proven_and_tells_the_failure() -> None:
    found = progress(
        attempt("a1", "simple"), attempt("a2", "simple", "gate_failed", 20, sentence="Settings.", back_to="a1")
    )
    assert states(found)[0] == "proven"
    assert counts(found)[0] == (5, 5)
    assert found.stations[0].blocks == "Settings."


def test_the_newest_proof_has_the_marker_and_the_first_ended_the_phase() -> None:
    found = progress(attempt("a1", "simple"), attempt("a2", "simple", begin=500, took=2))
    one = found.stations[0]
    assert one.proof is not None
    assert (one.proof.id, one.ended, one.seconds) == ("a2", at(7), 420)


def test_an_attempt_that_never_reached_aws_counts_as_none() -> None:
    found = progress(attempt("a1", "simple", "abandoned", deployed=None, deployment=None))
    assert (states(found)[0], found.stations[0].blocks) == ("not begun", None)
    assert found.next == "trail up simple --digest sha256:…"


def test_a_refusal_blocks_and_belongs_to_the_image_that_came_after_it() -> None:
    refused = attempt("a1", "simple", "refused", deployed=None, deployment=None, sentence="The port differs.")
    found = progress(refused)
    assert (states(found)[0], found.stations[0].blocks) == ("failed", "The port differs.")
    later = progress(refused, attempt("a2", "simple", begin=60))
    assert later.stations[0].started == at(0)
    refused = refused.model_copy(update={"started": at(80)})
    newer = progress(*climbed(DIGEST), refused, attempt("n1", "simple", begin=90, deployed=image(NEWER)))
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
        "Nothing proven runs: simple failed, and there was nothing to go back to."
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
        ({"outcome": "rollback_failed"}, "What runs is not known: the way back from hybrid failed", None),
        ({"outcome": "overtaken"}, "not known: somebody else's newer deployment came", None),
        ({"outcome": "gate_failed"}, "Nothing proven runs: hybrid failed", None),
        ({"outcome": "gate_failed", "back_to": "nobody"}, "Nothing proven runs", None),
        ({"outcome": "platform_failed", "back_to": "a1"}, "Phase simple with image sha256:9f2c9f2c9f2c", "a1"),
        ({"outcome": "cause_found", "deployment": None}, "Phase simple with image", "a1"),
        ({"outcome": "restored", "command": "rollback", "back_to": "a1"}, "again since it was gone back to", "a1"),
        ({"outcome": "refused"}, "Phase simple with image", "a1"),
        ({"outcome": "abandoned"}, "Phase simple with image", "a1"),
        ({"outcome": "running"}, "Phase simple with image", "a1"),
        ({"outcome": "proven"}, "Phase hybrid with image", "a2"),
    ],
)
def test_what_runs_follows_from_how_each_attempt_ended(last: dict[str, Any], told: str, runs: str | None) -> None:
    found = current(record([attempt("a1", "simple"), attempt("a2", "hybrid", begin=20, **last)]))
    assert told in found.sentence
    assert (found.attempt.id if found.attempt else None) == runs


@pytest.mark.parametrize(
    ("outcome", "command", "told"),
    [
        ("running", "up", "trail resume"),
        ("overtaken", "up", "trail status"),
        ("rollback_failed", "rollback", "trail rollback"),
        ("rollback_failed", "up", f"trail up hybrid --digest {DIGEST}"),
    ],
)
def test_the_next_command_follows_from_the_last_attempt(outcome: Outcome, command: Any, told: str) -> None:
    assert progress(attempt("a1", "simple"), attempt("a2", "hybrid", outcome, 20, command=command)).next == told


def test_after_a_rollback_it_climbs_again_from_what_was_gone_back_to() -> None:
    back = attempt("a3", "simple", "restored", 40, command="rollback", back_to="a1", gates=[])
    found = progress(attempt("a1", "simple"), attempt("a2", "hybrid", begin=20), back)
    assert found.next == f"trail up hybrid --digest {DIGEST}"
    assert [one.state for one in found.stations] == ["proven", "proven", "not begun", "not begun"]


def test_a_digest_from_elsewhere_cannot_become_a_command() -> None:
    found = progress(attempt("a1", "simple", deployed=image("sha256:1; rm -rf /\n$(x)")))
    assert found.next == "trail up hybrid --digest 'sha256:1; rm -rf / $(x)'"


def test_one_goes_back_to_the_newest_proven_attempt_of_this_phase_or_an_earlier_one() -> None:
    found = record(
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
        one = last_proven(found, phase, **without)
        return one.id if one else None

    assert back("simple") == "s2"
    assert back("simple", not_attempt="s2") == "s1"
    assert back("hybrid") == "s2"  # newer than h1
    assert back("hybrid", not_attempt="s2") == "h1"
    assert back("full") == "f1"
    assert last_proven(empty(), "full") is None


def test_an_image_climbs_from_where_it_runs_else_from_where_it_is_not_proven() -> None:
    found = record([*climbed(DIGEST), attempt("n1", "simple", begin=90, deployed=image(NEWER))])
    assert next_phase(found, NEWER) == "hybrid"
    assert next_phase(found, DIGEST) == "full"  # proven in all, and runs no more
    assert next_phase(found, "sha256:0") == "simple"
    assert next_phase(record(climbed(DIGEST)), DIGEST) is None
    assert next_phase(empty(), None) == "simple"


def test_the_log_tells_each_day_newest_first_with_decisions_among_what_happened() -> None:
    found = compute(half_way(), EXPECTED).days
    assert [(one.date, len(one.entries)) for one in found] == [("2026-11-04", 1), ("2026-11-03", 7)]
    told = [(f"{one.at:%H:%M}", one.kind, one.text) for one in found[1].entries]
    assert told[0] == ("13:43", "good", "Phase hybrid is proven, after 9 min; 4 of 4 gates held.")
    assert told[2][:2] == ("13:04", "decision")
    assert told[2][2].startswith("Decision of user/jane: 2048 MiB")
    assert told[3][1] == "bad"
    assert "after 4 min; 2 of 4 gates held. The model's process ends with code 137" in told[3][2]
    assert told[3][2].endswith("Gone back to simple, image sha256:9f2c9f2c9f2c.")
    assert told[-1][2] == "Phase simple with image sha256:9f2c9f2c9f2c begun by user/jane."


def test_times_without_a_zone_are_taken_for_utc() -> None:
    naive = attempt("a1", "simple", started=at(0).replace(tzinfo=None), ended=at(7).replace(tzinfo=None))
    notes = [Note(who=JANE, at=at(3), text="Meanwhile.")]
    found = compute(record([naive], notes), EXPECTED)
    assert found.stations[0].seconds == 420
    assert [one.kind for one in found.days[0].entries] == ["good", "decision", "begun"]


def test_all_phases_have_a_marker() -> None:
    assert list(MARKERS) == PHASES
