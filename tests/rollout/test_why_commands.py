"""`trail why` for people and for programs."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from deploy.cli import main as cli
from deploy.cli import why as commands
from deploy.config.plan import PlanError
from deploy.diagnose.causes import CAUSES
from deploy.diagnose.evidence import Evidence, save
from deploy.record.s3_folder import RecordUnreachable
from deploy.record.trail import Attempt, Outcome
from tests.rollout import causes_table
from tests.rollout.causes import messages
from tests.rollout.causes.evidence import (
    BEFORE,
    DEPLOYMENT,
    FAILING,
    NAME,
    NOW,
    deployment,
    exited,
    healthy,
    log,
    make_evidence,
    unstarted,
)
from tests.rollout.records import attempt, gates, record

BAD = make_evidence(
    unstarted(messages.NOT_FOUND),
    events=[messages.BACK[0]],
    service_changes=FAILING,
    unseen=("The route tables: ec2:DescribeRouteTables is not allowed to the credentials in use.",),
)
FINE = make_evidence(running_tasks=messages.MODEL, targets=[healthy(8), healthy(9)])


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Attempt]:
    """Attempts of the trail record; none, unless a test adds some."""
    attempts: list[Attempt] = []
    monkeypatch.setattr(commands, "open_store", lambda *_: SimpleNamespace(read=lambda: record(attempts)))
    return attempts


@pytest.fixture
def run(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run `trail why` on evidence from a file; returns exit code and both outputs."""
    monkeypatch.setenv("COLUMNS", "110")

    def run(evidence: Evidence, *arguments: str) -> tuple[int, str, str]:
        save(evidence, tmp_path / "e.json")
        code = cli.main(["why", "--evidence", str(tmp_path / "e.json"), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_most_likely_cause_comes_first_with_evidence_and_repair_then_the_others(run: Any) -> None:
    code, out, err = run(BAD)
    assert (code, err) == (2, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"{NAME} in shine-ml-cluster, us-east-1, deployment {DEPLOYMENT}, as of 2026-11-03")
    assert lines[2].startswith("FAIL  ECS cannot pull 123456789012.dkr.ecr")
    text = " ".join(out.split())
    places = [text.index(part) for part in (
        "IMAGE_MISSING stopped task 00000000 2026-11-03 09:59:20 UTC: CannotPullContainerError",
        "→ Push the image to that repository",
        "Also found, but less likely the reason: CIRCUIT_BREAKER Too many tasks failed",
        "Not read: The route tables: ec2:DescribeRouteTables is not allowed",
        "`trail why IMAGE_MISSING` explains this cause",
    )]  # fmt: skip
    assert places == sorted(places)


def test_nothing_wrong_is_exit_code_0(run: Any) -> None:
    code, out, _ = run(FINE)
    assert code == 0
    assert "OK    Nothing is wrong: 2 of 2 tasks run, 2 of 2 targets are healthy." in out
    assert "→" not in out
    code, out, _ = run(FINE, "--json")
    assert (code, json.loads(out)["ok"], json.loads(out)["causes"][0]["code"]) == (0, True, "NOTHING_WRONG")


def test_a_service_of_which_nothing_runs_is_exit_code_2_though_its_deployment_is_in_progress(run: Any) -> None:
    changes = {"runningCount": 0, "pendingCount": 2, "deployments": [deployment()]}
    code, out, _ = run(make_evidence(service_changes=changes))
    assert code == 2
    assert "FAIL  0 of 2 tasks run; the deployment is in progress since" in out


def test_programs_get_all_of_it(run: Any) -> None:
    code, out, _ = run(BAD, "--json")
    report = json.loads(out)
    assert (code, report["ok"], report["service"], report["deployment"]) == (2, False, NAME, DEPLOYMENT)
    assert [cause["code"] for cause in report["causes"]] == ["IMAGE_MISSING", "CIRCUIT_BREAKER"]
    assert report["causes"][0]["deterministic"] is True
    assert report["unseen"] == list(BAD.unseen)


def test_no_control_character_and_no_secret_reaches_a_terminal(run: Any) -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07 SHINE_API_KEYS=open-sesame-1 boom"
    evidence = make_evidence(exited(3, container=hostile), logs=log(1, hostile), deployment=hostile, name=hostile)
    for more in ((), ("--json",)):
        _, out, _ = run(evidence, *more)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", out)
    _, out, _ = run(evidence)
    assert "open-sesame-1" not in "".join(out.splitlines()[2:])
    assert "[hidden]" in out


def test_evidence_is_saved_and_read_by_a_colleague(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "gather", lambda *_: BAD)
    monkeypatch.chdir(tmp_path)
    cli.main(["init"])
    assert cli.main(["why", "--save", "kept.json", "--json"]) == 2
    ours = capsys.readouterr().out.partition("trail preflight --offline\n")[2]
    monkeypatch.setattr(commands, "gather", lambda *_: pytest.fail("AWS was asked"))
    assert cli.main(["why", "--evidence", "kept.json", "--json"]) == 2
    assert capsys.readouterr().out == ours


def test_the_deployment_that_is_named_is_asked_for_and_nothing_may_be_written(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def gather(clients: Any, plan: Any, deployment: str | None) -> Evidence:
        asked.append((clients.writes, plan.service, deployment))
        return FINE

    monkeypatch.setattr(commands, "gather", gather)
    cli.main(["init", str(tmp_path / "plan.yaml")])
    assert cli.main(["why", "--plan", str(tmp_path / "plan.yaml"), "--deployment", DEPLOYMENT]) == 0
    assert asked == [(False, NAME, DEPLOYMENT)]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NoCredentialsError(), "no AWS credentials here"),
        (
            ClientError({"Error": {"Code": "ExpiredToken", "Message": "old"}}, "DescribeServices"),
            "wrong or have expired",
        ),
    ],
)
def test_credentials_that_are_no_good_are_a_sentence(
    error: Exception, says: str, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gather(*_: Any) -> Evidence:
        raise error

    monkeypatch.setattr(commands, "gather", gather)
    monkeypatch.chdir(tmp_path)
    cli.main(["init"])
    capsys.readouterr()
    assert cli.main(["why"]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""
    assert cli.main(["why", "--json"]) == 2
    assert says in json.loads(capsys.readouterr().out)["error"]


def test_a_file_that_is_no_evidence_and_a_plan_that_is_missing_are_sentences(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["why"]) == 2
    assert "trail.yaml does not exist" in capsys.readouterr().err
    Path("e.json").write_text("[]")
    assert cli.main(["why", "--evidence", "e.json"]) == 2
    assert "e.json is no evidence such as --save writes" in capsys.readouterr().err


@pytest.mark.parametrize("code", CAUSES)
def test_every_cause_can_be_explained(code: str, capsys: Any) -> None:
    assert cli.main(["why", code.lower()]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert CAUSES[code].title in out
    assert " ".join(CAUSES[code].repair.split()) in out
    assert ("No waiting and no further attempt cures it." in out) is CAUSES[code].deterministic
    assert cli.main(["why", code, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["code"] == code


def test_an_unknown_cause_is_answered_with_the_nearest(capsys: Any) -> None:
    assert cli.main(["why", "IMAGE_MISING"]) == 2
    assert "IMAGE_MISING is not a cause; did you mean IMAGE_MISSING?" in capsys.readouterr().err


def test_the_table_of_causes_is_current_and_whole() -> None:
    assert all(f"`{code}`" in causes_table.page() for code in CAUSES)
    assert causes_table.PAGE.read_text() == causes_table.page(), "python -m tests.rollout.causes_table"


# --- what the trail record knows, and AWS no longer ----------------------------------------------------------------

MINUTE = timedelta(minutes=1)
GATES = gates("hybrid", 3)
BACK = make_evidence(
    running_tasks=messages.MODEL,
    targets=[healthy(8), healthy(9)],
    service_changes={"deployments": [deployment("COMPLETED", id=BEFORE, createdAt=NOW - 3 * MINUTE)]},
    deployment=BEFORE,
)


def stopped(outcome: Outcome = "cause_found", cause: str | None = "IMAGE_MISSING", **more: Any) -> Attempt:
    """An attempt that was rolled back two minutes ago."""
    content: dict[str, Any] = {
        "started": NOW - 12 * MINUTE,
        "ended": NOW - 2 * MINUTE,
        "deployment": DEPLOYMENT,
        "cause": cause,
        "sentence": "The image is not in the registry: it cannot be pulled. Gone back to s:1; it serves.",
        "evidence": ["stopped task 00000000: CannotPullContainerError", "event: (deployment …) was stopped"],
    }
    return attempt("a2", "hybrid", outcome, **{**content, **more})


@pytest.fixture
def why(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """`trail why` where AWS shows this; exit code and output."""
    monkeypatch.setenv("COLUMNS", "110")
    cli.main(["init", str(tmp_path / "trail.yaml")])

    def why(evidence: Evidence, *more: str) -> tuple[int, str]:
        monkeypatch.setattr(commands, "gather", lambda *_: evidence)
        capsys.readouterr()
        code = cli.main(["why", "--plan", str(tmp_path / "trail.yaml"), *more])
        return code, capsys.readouterr().out

    return why


def test_a_deployment_that_the_tool_stopped_is_reported_from_its_record_beside_what_aws_shows(
    why: Any, kept: list[Attempt]
) -> None:
    kept += [attempt("a1", "simple"), stopped()]
    code, out = why(BACK)
    assert code == 2
    text = " ".join(out.split())
    places = [text.index(part) for part in (
        "FAIL By the trail record, the attempt at phase hybrid of 2026-11-03 09:48:00 UTC (" + DEPLOYMENT + ") was",
        "rolled back: a cause was found that waiting cannot fix. The image is not in the registry: it cannot be",
        "IMAGE_MISSING stopped task 00000000: CannotPullContainerError",
        "→ Push the image to that repository",
        "AWS now shows: NOTHING_WRONG Nothing is wrong: 2 of 2 tasks run, 2 of 2 targets are healthy.",
        "`trail why IMAGE_MISSING` explains this cause",
    )]  # fmt: skip
    assert places == sorted(places)
    assert "less likely" not in text


def test_programs_get_the_attempt_too(why: Any, kept: list[Attempt]) -> None:
    kept += [stopped()]
    code, out = why(BACK, "--json")
    report = json.loads(out)
    assert (code, report["ok"]) == (2, False)
    assert [(cause["code"], cause["recorded"]) for cause in report["causes"]] == [
        ("IMAGE_MISSING", True),
        ("NOTHING_WRONG", False),
    ]
    assert report["causes"][0]["at"] == "2026-11-03T09:58:00Z"
    assert (report["attempt"]["id"], report["attempt"]["cause"], report["attempt"]["deployment"]) == (
        "a2",
        "IMAGE_MISSING",
        DEPLOYMENT,
    )
    assert [cause["code"] for cause in report["findings"]] == ["IMAGE_MISSING", "NOTHING_WRONG"]


def test_a_colleague_gets_the_recorded_failure_with_the_evidence(
    why: Any, kept: list[Attempt], tmp_path: Path, capsys: Any
) -> None:
    kept += [stopped()]
    _, ours = why(BACK, "--save", str(tmp_path / "kept.json"))
    kept.clear()
    assert cli.main(["why", "--evidence", str(tmp_path / "kept.json")]) == 2
    assert capsys.readouterr().out == ours


def test_a_cause_that_aws_still_shows_is_reported_once_with_what_the_record_says(why: Any, kept: list[Attempt]) -> None:
    kept += [stopped()]
    code, out = why(BAD, "--json")
    causes = json.loads(out)["causes"]
    assert (code, [cause["code"] for cause in causes]) == (2, ["IMAGE_MISSING", "CIRCUIT_BREAKER"])
    assert causes[0]["recorded"] is False
    assert causes[0]["evidence"][0].startswith("stopped task 00000000 2026-11-03")
    assert causes[0]["evidence"][-1].startswith("By the trail record, the attempt at phase hybrid of 2026-11-03 09:48")


def test_a_gate_that_failed_is_a_cause_of_the_record(why: Any, kept: list[Attempt]) -> None:
    failing = stopped("gate_failed", "metrics_there", sentence="Gate metrics_there does not hold: 404.", gates=GATES)
    kept += [failing]
    code, out = why(BACK)
    text = " ".join(out.split())
    assert code == 2
    assert "was rolled back: a gate failed. Gate metrics_there does not hold: 404." in text
    assert "→ A gate failed: repair what it checks, then deploy the phase again." in text
    assert "explains this cause" not in text
    assert json.loads(why(BACK, "--json")[1])["causes"][0]["title"] == GATES[-1].title


def test_what_fails_now_comes_before_what_failed_before(why: Any, kept: list[Attempt]) -> None:
    kept += [stopped(ended=NOW - 5 * MINUTE)]
    _, out = why(make_evidence(exited(3), service_changes=FAILING), "--json")
    causes = json.loads(out)["causes"]
    assert [(cause["code"], cause["recorded"]) for cause in causes] == [("EXITED", False), ("IMAGE_MISSING", True)]


QUIET: dict[str, list[Attempt]] = {
    "nothing was ever tried": [],
    "it is proven since": [stopped(), attempt("a3", "hybrid", begin=0)],
    "somebody else overtook it": [stopped("overtaken", "OVERTAKEN")],
    "another attempt runs": [stopped(), attempt("a3", "hybrid", "running", begin=90)],
    "it only was refused": [attempt("a1", "simple"), stopped("refused", "TARGET_TYPE")],
    "no cause was found": [stopped(cause=None)],
}


@pytest.mark.parametrize("attempts", QUIET.values(), ids=QUIET)
def test_a_record_without_a_failure_that_counts_says_nothing(
    attempts: list[Attempt], why: Any, kept: list[Attempt]
) -> None:
    kept += attempts
    code, out = why(BACK, "--json")
    report = json.loads(out)
    assert (code, report["attempt"], [cause["code"] for cause in report["causes"]]) == (0, None, ["NOTHING_WRONG"])


LOUD: dict[str, list[Attempt]] = {
    "refused since": [stopped(), attempt("a3", "hybrid", "refused", cause="TARGET_TYPE")],
    "abandoned since": [stopped(), attempt("a3", "hybrid", "abandoned")],
    "gone back further since": [stopped(), attempt("a3", "simple", "restored", command="rollback", back_to="a1")],
    "cut off on its way back": [stopped("running", ended=None)],
    "the way back failed": [stopped("rollback_failed")],
}


@pytest.mark.parametrize("attempts", LOUD.values(), ids=LOUD)
def test_what_changed_nothing_since_does_not_hide_the_failure(
    attempts: list[Attempt], why: Any, kept: list[Attempt]
) -> None:
    kept += attempts
    code, out = why(BACK, "--json")
    assert (code, json.loads(out)["causes"][0]["code"]) == (2, "IMAGE_MISSING")


def test_after_somebody_elses_newer_deployment_the_failure_is_over(why: Any, kept: list[Attempt]) -> None:
    kept += [stopped(ended=NOW - 60 * MINUTE)]
    assert why(BACK)[0] == 0
    # With its id it is reported all the same.
    code, out = why(BACK, "--deployment", DEPLOYMENT)
    assert code == 2
    assert "By the trail record, the attempt at phase hybrid" in " ".join(out.split())
    assert why(BACK, "--deployment", BEFORE)[0] == 0


@pytest.mark.parametrize(
    ("error", "unseen"),
    [
        (RecordUnreachable("s3://b/record.json cannot be read: the credentials lack s3:GetObject."), 1),
        (PlanError("The plan names no place for the trail record."), 0),
    ],
)
def test_a_record_that_cannot_be_read_hides_nothing_of_what_aws_shows(
    error: Exception, unseen: int, why: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(commands, "open_store", fails)
    code, out = why(BACK, "--json")
    report = json.loads(out)
    assert (code, [cause["code"] for cause in report["causes"]]) == (0, ["NOTHING_WRONG"])
    assert report["unseen"] == [f"The trail record: {error}"][:unseen]


def test_where_aws_does_not_answer_the_record_is_not_waited_for(why: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "open_store", lambda *_: pytest.fail("S3 was asked"))
    nothing = make_evidence(service=None, cluster_status=None, unseen=("The service: ecs does not answer.",))
    code, out = why(nothing, "--json")
    report = json.loads(out)
    assert (code, report["causes"][0]["code"]) == (2, "NOT_SEEN")
    assert report["unseen"][-1] == "The trail record: not read, since ECS could not be asked."


def test_no_control_character_of_the_record_reaches_a_terminal(why: Any, kept: list[Attempt]) -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07 \u202egnp"
    kept += [stopped(cause=hostile, sentence=hostile, evidence=[hostile], deployment=hostile)]
    _, out = why(BACK)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", out)
    assert "\\x1b[2J" in out
