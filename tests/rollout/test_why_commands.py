"""`trail why` for people and for programs."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from deploy import cli
from deploy.why import commands
from deploy.why.evidence import Evidence, save
from deploy.why.table import CAUSES
from tests.rollout import causes_table
from tests.rollout.causes import words
from tests.rollout.causes.made import DEPLOYMENT, FAILING, NAME, exited, healthy, log, seen, unstarted

BAD = seen(
    unstarted(words.NOT_FOUND),
    events=[words.BACK[0]],
    of=FAILING,
    unseen=("The route tables: ec2:DescribeRouteTables is not allowed to the credentials in use.",),
)
FINE = seen(alive=words.MODEL, targets=[healthy(8), healthy(9)])


@pytest.fixture
def run(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run it on evidence out of a file; exit code and both outputs."""
    monkeypatch.setenv("COLUMNS", "110")

    def run(found: Evidence, *words: str) -> tuple[int, str, str]:
        save(found, tmp_path / "e.json")
        code = cli.main(["why", "--evidence", str(tmp_path / "e.json"), *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_the_most_likely_cause_is_told_with_evidence_and_repair_then_the_rest(run: Any) -> None:
    code, out, err = run(BAD)
    assert (code, err) == (2, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"{NAME} in shine-ml-cluster, us-east-1, deployment {DEPLOYMENT}, seen 2026-11-03")
    assert lines[2].startswith("FAIL  ECS cannot pull 123456789012.dkr.ecr")
    text = " ".join(out.split())
    places = [text.index(one) for one in (
        "IMAGE_MISSING stopped task 00000000 2026-11-03 09:59:20 UTC: CannotPullContainerError",
        "→ Push the image to that repository",
        "Also seen, less likely the reason: CIRCUIT_BREAKER Its tasks failed too often",
        "Not seen: The route tables: ec2:DescribeRouteTables is not allowed",
        "`trail why IMAGE_MISSING` tells more",
    )]  # fmt: skip
    assert places == sorted(places)


def test_nothing_wrong_is_exit_code_0(run: Any) -> None:
    code, out, _ = run(FINE)
    assert code == 0
    assert "OK    Nothing is wrong: 2 of 2 tasks run, 2 of 2 targets are healthy." in out
    assert "→" not in out
    code, out, _ = run(FINE, "--json")
    assert (code, json.loads(out)["ok"], json.loads(out)["causes"][0]["code"]) == (0, True, "NOTHING_WRONG")


def test_programs_get_all_of_it(run: Any) -> None:
    code, out, _ = run(BAD, "--json")
    told = json.loads(out)
    assert (code, told["ok"], told["service"], told["deployment"]) == (2, False, NAME, DEPLOYMENT)
    assert [one["code"] for one in told["causes"]] == ["IMAGE_MISSING", "CIRCUIT_BREAKER"]
    assert told["causes"][0]["deterministic"] is True
    assert told["unseen"] == list(BAD.unseen)


def test_no_control_character_and_no_secret_reaches_a_terminal(run: Any) -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07 SHINE_API_KEYS=open-sesame-1 boom"
    found = seen(exited(3, container=hostile), logs=log(1, hostile), deployment=hostile, name=hostile)
    for more in ((), ("--json",)):
        _, out, _ = run(found, *more)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", out)
    _, out, _ = run(found)
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
    told = capsys.readouterr()
    assert says in told.err
    assert told.out == ""
    assert cli.main(["why", "--json"]) == 2
    assert says in json.loads(capsys.readouterr().out)["error"]


def test_a_file_that_is_no_evidence_and_a_plan_that_is_missing_are_sentences(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["why"]) == 2
    assert "trail.yaml is not there" in capsys.readouterr().err
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
