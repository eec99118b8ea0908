"""Whatever ends a command, --json prints one form: preflight's report, with the reason as its first finding."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from deploy import exit_codes as exits
from deploy.aws.clients import WriteRefused
from deploy.cli import main as cli
from deploy.cli import rollout, why
from deploy.cli.explain import finding_codes, meanings
from deploy.config.image_contract import ContractError
from deploy.config.plan import PlanError
from deploy.findings.finding import Finding, fail, ok, warn
from deploy.infra import apply as infra
from deploy.record.lock import Holding, Locked, LockLost
from deploy.record.s3_folder import RecordError, RecordUnreachable
from deploy.rollout.session import ConcurrentDeploymentError, Result
from tests.deploy import good, infra_plans
from tests.rollout.records import attempt

SHAPE = {"findings", "counts", "ok", "exit", "error"}
MISSING = ["--plan", "gone.yaml"]
FAILING: dict[str, list[str]] = {
    "init, where a file is": ["init", "there.yaml"],
    "policy": ["policy", *MISSING],
    "render": ["render", "--phase", "full", "--digest", good.DIGEST, *MISSING],
    "preflight": ["preflight", "--offline", *MISSING],
    "preflight of a task definition": ["preflight", "--offline", "--task-definition", "gone.json"],
    "explain": ["explain", "PORT_MISSMATCH"],
    "infra diff": ["infra", "diff", *MISSING],
    "infra apply": ["infra", "apply", "--yes", *MISSING],
    "up": ["up", "simple", *MISSING],
    "rollback": ["rollback", *MISSING],
    "resume": ["resume", *MISSING],
    "why": ["why", *MISSING],
    "why of evidence": ["why", "--evidence", "gone.json"],
    "why of a code": ["why", "IMAGE_MISING"],
    "golden": ["golden", "http://127.0.0.1:9", "golden.json"],
    "status": ["status", *MISSING],
    "record": ["record", *MISSING],
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plan, and with a file of another name."""
    monkeypatch.chdir(tmp_path)
    cli.main(["init", "trail.yaml"])
    Path("there.yaml").touch()
    return tmp_path


def failed(capsys: Any, code: int, *words: str) -> dict[str, Any]:
    """What a command printed that must have failed; it is of the one form."""
    capsys.readouterr()
    assert cli.main([*words, "--json"]) == code
    out, err = capsys.readouterr()
    output: dict[str, Any] = json.loads(out)
    assert output.keys() >= SHAPE
    assert (output["ok"], output["exit"]) == (False, code)
    first = output["findings"][0]
    assert (first["level"], output["error"]) == ("FAIL", first["sentence"])
    assert first["code"] in meanings()
    assert sum(output["counts"].values()) == len(output["findings"])
    assert "Traceback" not in err
    return output


@pytest.mark.parametrize("words", FAILING.values(), ids=FAILING)
def test_a_command_that_fails_says_why_in_one_form(words: list[str], capsys: Any) -> None:
    output = failed(capsys, 2, *words)
    assert output.keys() == SHAPE
    assert [finding["code"] for finding in output["findings"]] == ["INPUT_UNUSABLE"]
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith("trail: "), err.count("\n")) == ("", True, 1)


WRONG = [["nothing"], ["preflight", "--phase", "five"], ["render", "--phase", "full"], ["up", "--every", "soon"],
         ["infra"], ["infra", "diff", "--colour"], ["why", "--deployment"], ["golden"]]  # fmt: skip


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_a_wrong_command_line_is_a_finding_too(words: list[str], capsys: Any) -> None:
    capsys.readouterr()
    code = cli.main([words[0], "--json", *words[1:]])
    out, err = capsys.readouterr()
    output = json.loads(out)
    assert (code, output.keys(), output["exit"], output["ok"]) == (2, SHAPE, 2, False)
    assert [finding["code"] for finding in output["findings"]] == ["USAGE_WRONG"]
    assert output["error"] in err
    assert err.startswith("Usage: trail ")


def test_without_json_a_wrong_command_line_is_said_on_stderr_alone(capsys: Any) -> None:
    capsys.readouterr()
    assert cli.main(["up", "--json-please"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: No such option '--json-please'" in err


EXPIRED = ClientError({"Error": {"Code": "ExpiredToken", "Message": "old"}}, "DescribeServices")
ERRORS: dict[str, tuple[Exception | type[KeyboardInterrupt], int, str]] = {
    "a plan": (PlanError("It is wrong."), 2, "INPUT_UNUSABLE"),
    "a contract": (ContractError("It is wrong."), 2, "INPUT_UNUSABLE"),
    "the record": (RecordError("It is none."), 2, "RECORD_UNUSABLE"),
    "a record that is away": (RecordUnreachable("It is away."), 2, "RECORD_UNUSABLE"),
    "no credentials": (NoCredentialsError(), 2, "CREDENTIALS"),
    "expired credentials": (EXPIRED, 2, "CREDENTIALS"),
    "Ctrl-C": (KeyboardInterrupt, 130, "INTERRUPTED"),
}
OF_A_ROLLOUT: dict[str, tuple[Exception, int, str]] = {
    "a call that writes": (WriteRefused("It changes something."), 2, "ROLLOUT_REFUSED"),
    "a lock": (Locked(Holding(owner=None, age_s=1), "s3://b/lock.json"), 6, "SOMEBODY_ELSE"),
    "a lost lock": (LockLost("It was taken."), 6, "SOMEBODY_ELSE"),
    "another deployment": (ConcurrentDeploymentError("It is theirs."), 6, "SOMEBODY_ELSE"),
}


def raising(error: Exception | type[KeyboardInterrupt]) -> Callable[..., Any]:
    def raises(*_: Any, **__: Any) -> Any:
        raise error

    return raises


@pytest.mark.parametrize(("error", "code", "finding"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("words", [["up", "simple"], ["rollback"], ["resume"], ["why"], ["status"], ["record"]])
def test_what_aws_the_record_or_a_person_ends_is_a_finding(
    error: Any, code: int, finding: str, words: list[str], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout, "prepared", raising(error))
    monkeypatch.setattr(why, "gather", raising(error))
    monkeypatch.setattr("deploy.cli.record.Clients", raising(error))
    assert failed(capsys, code, *words)["findings"][0]["code"] == finding


@pytest.mark.parametrize(("error", "code", "finding"), OF_A_ROLLOUT.values(), ids=OF_A_ROLLOUT)
def test_what_stands_in_the_way_of_a_rollout_is_a_finding(
    error: Exception, code: int, finding: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout, "prepared", raising(error))
    output = failed(capsys, code, "up", "simple")
    assert output["findings"][0]["code"] == finding
    assert output.keys() == SHAPE | {"sentence", "attempt"}


@pytest.mark.parametrize("words", [["diff"], ["apply"]])
def test_an_interrupted_change_of_the_stack_says_how_to_go_on(
    words: list[str], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("trail.yaml").write_text(json.dumps(infra_plans.content(infra_plans.infras()["public"])))
    monkeypatch.setattr(infra, words[0], raising(KeyboardInterrupt))
    output = failed(capsys, 130, "infra", *words)
    assert output["findings"][0]["code"] == "INTERRUPTED"
    assert "`trail infra diff" in output["error"]


def test_a_change_of_the_stack_that_is_not_confirmed_is_a_finding_beside_the_changes(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("trail.yaml").write_text(json.dumps(infra_plans.content(infra_plans.infras()["public"])))
    monkeypatch.setattr(infra, "apply", lambda *_: None)
    output = failed(capsys, 2, "infra", "apply")
    assert output["findings"][0]["code"] == "NOT_CONFIRMED"
    assert output.keys() == SHAPE | {"stack", "applied", "outputs", "changes"}
    assert output["applied"] is False


def test_in_preflights_own_report_the_worst_comes_first(capsys: Any) -> None:
    Path("t.json").write_text(json.dumps(good.changed(good.task(), {"c.portMappings.0.containerPort": 8080})))
    capsys.readouterr()
    assert cli.main(["preflight", "--offline", "--task-definition", "t.json", "--json"]) == 2
    output = json.loads(capsys.readouterr().out)
    levels = [finding["level"] for finding in output["findings"]]
    assert levels == sorted(levels, key=["FAIL", "WARN", "SKIP", "OK"].index)
    assert (levels[0], output["ok"]) == ("FAIL", False)


ATTEMPT = attempt("a1", "hybrid", "gate_failed", cause="metrics_there", sentence="It fails.")
RESULTS: dict[str, tuple[Result, str]] = {
    "a gate": (Result(exits.GATE_FAILED, "It fails.", ATTEMPT), "GATE_FAILED"),
    "a cause": (
        Result(exits.PLATFORM, "It fails.", ATTEMPT.model_copy(update={"cause": "HEALTH_PATH_MISSING"})),
        "HEALTH_PATH_MISSING",
    ),
    "a cause without a code": (
        Result(exits.PLATFORM, "It fails.", ATTEMPT.model_copy(update={"cause": "SomethingOfAws"})),
        "DEPLOYMENT_FAILED",
    ),
    "no cause": (Result(exits.PLATFORM, "It fails.", ATTEMPT.model_copy(update={"cause": None})), "DEPLOYMENT_FAILED"),
    "the way back": (Result(exits.ROLLBACK_FAILED, "It fails.", ATTEMPT), "ROLLBACK_FAILED"),
    "somebody": (Result(exits.SOMEBODY_ELSE, "It fails."), "SOMEBODY_ELSE"),
    "cut off": (Result(exits.INTERRUPTED, "It fails.", ATTEMPT), "INTERRUPTED"),
    "nothing to do": (Result(exits.FOUND, "It fails."), "ROLLOUT_REFUSED"),
    "not confirmed": (Result(exits.FOUND, "It fails.", code="NOT_CONFIRMED"), "NOT_CONFIRMED"),
}


@pytest.mark.parametrize(("result", "code"), RESULTS.values(), ids=RESULTS)
def test_a_rollout_that_fails_has_its_reason_as_its_first_finding(result: Result, code: str) -> None:
    output = rollout.json_report(result)
    assert output.keys() == SHAPE | {"sentence", "attempt"}
    assert (output["ok"], output["exit"], output["error"], output["sentence"]) == (
        False,
        result.exit,
        "It fails.",
        "It fails.",
    )
    assert [(finding["code"], finding["level"], finding["sentence"]) for finding in output["findings"]] == [
        (code, "FAIL", "It fails.")
    ]
    assert code in finding_codes() or code in meanings()


def test_the_gate_that_failed_stands_in_the_finding() -> None:
    (output,) = rollout.json_report(RESULTS["a gate"][0])["findings"]
    assert output["places"] == [{"where": "gate", "value": "metrics_there"}]


def test_what_preflight_found_before_a_rollout_comes_worst_first() -> None:
    findings: tuple[Finding, ...] = (
        ok("PORT_MISMATCH", "Fine."),
        warn("KEEP_ALIVE", "Doubtful.", repair="Look."),
        fail("TARGET_TYPE", "Wrong.", repair="Change it."),
    )
    output = rollout.json_report(Result(exits.FOUND, "Preflight: Wrong. Nothing was changed.", ATTEMPT, findings))
    assert [finding["code"] for finding in output["findings"]] == ["TARGET_TYPE", "KEEP_ALIVE", "PORT_MISMATCH"]
    assert (output["error"], output["counts"]) == ("Wrong.", {"FAIL": 1, "WARN": 1, "SKIP": 0, "OK": 1})


def test_a_rollout_that_succeeds_has_the_same_keys_but_for_the_error() -> None:
    output = rollout.json_report(Result(exits.FINE, "Phase simple is proven.", attempt("a1", "simple")))
    assert output.keys() == (SHAPE | {"sentence", "attempt"}) - {"error"}
    assert (output["ok"], output["exit"], output["findings"], output["attempt"]["id"]) == (True, 0, [], "a1")
