"""The command: files of any kind are read, or refused in a sentence; exit codes; output for people and programs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.cli import explain
from deploy.cli import main as cli
from deploy.config import plan
from deploy.findings import terminal as report
from tests.deploy import codes_table, good
from tests.server import ROOT

BOMB = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n"
CYCLE = "family: &f\n  name: *f\n"
NEVER = b"\xff\xfe\x00"
TEXT = json.dumps(good.task(), indent=2)

HOSTILE: dict[str, tuple[str, bytes]] = {
    "empty": ("t.json", b""),
    "blank": ("t.json", b" \n\t "),
    "not JSON": ("t.json", b"hello"),
    "cut short": ("t.json", TEXT[:-20].encode()),
    "a list": ("t.json", b"[]"),
    "a number": ("t.json", b"5"),
    "null": ("t.json", b"null"),
    "a wrapper around a name": ("t.json", b'{"taskDefinition": "shine:7"}'),
    "keys given twice": ("t.json", b'{"family": "a", "family": "b"}'),
    "not a number": ("t.json", b'{"family": NaN}'),
    "a number without end": ("t.json", b'{"cpu": ' + b"9" * 9000 + b"}"),
    "nested deep": ("t.json", b'{"a":' + b"[" * 60 + b"]" * 60 + b"}"),
    "nested without end": ("t.json", b"[" * 200_000),
    "zeros": ("t.json", b"\0"),
    "more zeros": ("t.json", b"\0" * 100),
    "Latin-1": ("t.json", '{"family": "Glänzend"}'.encode("latin-1")),
    "half a UTF-16": ("t.json", NEVER),
    "binary": ("t.json", bytes(range(256)) * 9),
    "YAML bomb": ("t.yaml", BOMB.encode()),
    "cyclic anchors": ("t.yaml", CYCLE.encode()),
    "Python in YAML": ("t.yaml", b"a: !!python/object/apply:os.system [id]"),
    "odd tags": ("t.yml", b"a: !!int ''\nb: !!bool x"),
    "nested YAML": ("t.yml", b"[" * 20_000),
}


def run(capsys: Any, *words: str) -> tuple[int, str, str]:
    code = cli.main(list(words))
    output = capsys.readouterr()
    return code, output.out, output.err


def judged(capsys: Any, path: Path, *words: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = run(capsys, "preflight", "--task-definition", str(path), "--offline", "--json", *words)
    return code, json.loads(out)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, and a contract of one architecture."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("deploy.config.image_contract.builtin", good.contract)
    return tmp_path


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("option", ["--task-definition", "--contract", "--plan"])
def test_a_hostile_file_ends_in_a_sentence_and_2(kind: str, option: str, here: Path, capsys: Any) -> None:
    name, content = HOSTILE[kind]
    (here / name).write_bytes(content)
    code, out, err = run(capsys, "preflight", "--offline", option, name)
    assert code == 2
    assert out == ""
    assert err.startswith("trail: ")
    assert err.count("\n") == 1
    assert name in err
    assert "Traceback" not in err


@pytest.mark.parametrize("option", ["--task-definition", "--contract", "--plan"])
def test_what_is_no_file_or_too_large_is_not_read(option: str, here: Path, capsys: Any) -> None:
    os.mkfifo(here / "pipe")
    (here / "folder").mkdir()
    with (here / "large").open("wb") as file:
        file.truncate(50 << 20)
    output = {"pipe": "not a file", "folder": "not a file", "large": "52,428,800 bytes", "/dev/zero": "not a file"}
    for name, words in {**output, "gone": "o such file"}.items():
        code, _, err = run(capsys, "preflight", "--offline", option, name)
        assert (code, words in err) == (2, True), err


def test_with_json_what_cannot_be_read_is_a_finding(here: Path, capsys: Any) -> None:
    code, result = judged(capsys, here / "gone.json")
    assert code == 2
    assert result["ok"] is False
    assert [finding["code"] for finding in result["findings"]] == ["INPUT_UNUSABLE"]


ENCODINGS = {
    "utf-8-sig": "UTF-8 with a byte order mark",
    "utf-16": "UTF-16 with a byte order mark",
    "utf-16-le": "UTF-16-LE",
    "utf-16-be": "UTF-16-BE",
    "utf-32": "UTF-32 with a byte order mark",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_other_encodings_are_read_and_said(encoding: str, here: Path, capsys: Any) -> None:
    (here / "t.json").write_bytes(TEXT.encode(encoding))
    code, result = judged(capsys, here / "t.json")
    output = [finding for finding in result["findings"] if finding["level"] in ("FAIL", "WARN")]
    assert [item["code"] for item in output] == ["FILE_ENCODING"]
    assert ENCODINGS[encoding] in output[0]["sentence"]
    assert code == 0
    assert judged(capsys, here / "t.json", "--strict")[0] == 2


def described(**more: Any) -> dict[str, Any]:
    """As describe-task-definition prints it."""
    arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/shine-api-gateway:7"
    own = {"taskDefinitionArn": arn, "revision": 7, "status": "ACTIVE", "registeredAt": "2026-06-01T00:00:00+00:00"}
    return {"taskDefinition": {**good.task(), **own, "compatibilities": ["EC2", "FARGATE"], **more}, "tags": []}


def test_what_describe_prints_is_stripped_and_said(here: Path, capsys: Any) -> None:
    (here / "t.json").write_text(json.dumps(described()))
    code, result = judged(capsys, here / "t.json")
    output = {
        finding["code"]: finding["sentence"] for finding in result["findings"] if finding["level"] in ("FAIL", "WARN")
    }
    assert set(output) == {"FILE_WRAPPER", "FILE_READ_ONLY"}
    assert "taskDefinitionArn" in output["FILE_READ_ONLY"]
    assert "stripped" in output["FILE_WRAPPER"]
    assert code == 0


@pytest.mark.parametrize(
    ("more", "code", "exit_code"),
    [
        ({"status": "INACTIVE"}, "FILE_INACTIVE", 0),
        ({"revision": "simple"}, "REVISION_WORD", 2),
        ({"taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/shine:hybrid"}, "REVISION_WORD", 2),
    ],
)
def test_fields_of_ecs_itself_are_read_before_they_are_stripped(
    more: dict[str, Any], code: str, exit_code: int, here: Path, capsys: Any
) -> None:
    (here / "t.json").write_text(json.dumps(described(**more)))
    ended, result = judged(capsys, here / "t.json")
    output = {finding["code"] for finding in result["findings"] if finding["level"] in ("FAIL", "WARN")}
    assert output == {"FILE_WRAPPER", "FILE_READ_ONLY", code}
    assert ended == exit_code


def test_a_task_definition_in_yaml_is_read_too(here: Path, capsys: Any) -> None:
    import yaml

    (here / "t.yaml").write_text(yaml.safe_dump(good.task()))
    code, result = judged(capsys, here / "t.yaml")
    assert (code, result["counts"]["FAIL"], result["counts"]["WARN"]) == (0, 0, 0)


def test_a_mismatch_names_both_values_without_any_plan(here: Path, capsys: Any) -> None:
    change = {"c.portMappings.0.containerPort": 8080}
    (here / "t.json").write_text(json.dumps(good.changed(good.task(), change)))
    code, result = judged(capsys, here / "t.json")
    (output,) = [finding for finding in result["findings"] if finding["level"] == "FAIL"]
    assert code == 2
    assert result["ok"] is False
    assert "5000" in output["sentence"]
    assert "8080" in output["sentence"]
    assert {place["value"] for place in output["places"]} == {5000, 8080}
    code, out, _ = run(capsys, "preflight", "--task-definition", "t.json", "--offline")
    assert code == 2
    assert output["sentence"].split(":")[0][:40] in out
    assert "1 FAIL" in out


def test_a_contract_from_a_file_is_what_counts(here: Path, capsys: Any) -> None:
    (here / "t.json").write_text(TEXT)
    (here / "c.json").write_text(json.dumps({**good.contract(port=9000), "a_later_field": 1}))
    code, result = judged(capsys, here / "t.json", "--contract", "c.json")
    assert code == 2
    assert {finding["code"] for finding in result["findings"] if finding["level"] == "FAIL"} == {
        "PORT_MISMATCH",
        "HEALTH_PORT",
    }


def test_the_port_of_this_shell_is_not_the_image_s(monkeypatch: pytest.MonkeyPatch) -> None:
    from deploy.config import image_contract as contract

    monkeypatch.setenv("PORT", "1234")
    assert contract.builtin()["port"] == 5000
    assert os.environ["PORT"] == "1234"


def test_init_writes_a_plan_once_that_is_right_in_every_phase(here: Path, capsys: Any) -> None:
    assert run(capsys, "init")[0] == 0
    assert plan.read(here / "trail.yaml").service == "shine-api-gateway"
    assert run(capsys, "init")[0] == 2
    for phase in plan.PHASES:
        code, out, _ = run(capsys, "preflight", "--offline", "--json", "--phase", phase, "--digest", good.DIGEST)
        result = json.loads(out)
        assert (code, result["ok"], result["counts"]["WARN"]) == (0, True, 0)


def test_without_a_phase_all_four_are_judged_and_each_fault_is_told_once(here: Path, capsys: Any) -> None:
    run(capsys, "init")
    text = (here / "trail.yaml").read_text()
    (here / "trail.yaml").write_text(text.replace("interval: 10", "interval: 1").replace('"600"', '"many"'))
    code, out, _ = run(capsys, "preflight", "--offline", "--json")
    output = {
        finding["code"]: finding["sentence"] for finding in json.loads(out)["findings"] if finding["level"] == "FAIL"
    }
    assert code == 2
    assert json.loads(out)["counts"]["FAIL"] == 2
    assert output["SETTING_VALUE"].startswith("In phase full: SHINE_RATE_PER_MINUTE is")
    assert output["HEALTH_RANGE"].startswith("healthCheck.interval is 1")


@pytest.mark.usefixtures("here")
def test_render_prints_what_is_rendered(capsys: Any) -> None:
    run(capsys, "init")
    for more in ((), ("--json",)):
        code, out, _ = run(capsys, "render", "--phase", "full", "--digest", good.DIGEST, *more)
        assert code == 0
        assert json.loads(out) == good.task("full")


def test_offline_the_other_parts_are_skipped_with_their_reason(here: Path, capsys: Any) -> None:
    (here / "t.json").write_text(TEXT)
    _, result = judged(capsys, here / "t.json")
    skipped = {finding["code"]: finding["sentence"] for finding in result["findings"] if finding["level"] == "SKIP"}
    assert set(skipped) == {"IMAGE_ON_TRIAL", "ACCOUNT_ASKED"}
    assert all("--offline" in sentence for sentence in skipped.values())


@pytest.mark.parametrize("code", explain.finding_codes())
def test_every_code_can_be_explained(code: str, capsys: Any) -> None:
    ended, out, _ = run(capsys, "explain", code.lower())
    assert ended == 0
    assert explain.finding_codes()[code].title in out
    assert json.loads(run(capsys, "explain", code, "--json")[1])["code"] == code


def test_an_unknown_code_is_answered_with_the_nearest(capsys: Any) -> None:
    code, _, err = run(capsys, "explain", "PORT_MISSMATCH")
    assert code == 2
    assert "did you mean PORT_MISMATCH?" in err


BOTH = sorted(code for code, meaning in explain.meanings().items() if meaning.finding and meaning.cause)


@pytest.mark.parametrize("command", ["explain", "why"])
@pytest.mark.parametrize("code", ["PORT_MISMATCH", "HEALTH_FLAPPING", *BOTH])
def test_both_commands_look_a_code_up_in_one_table(command: str, code: str, capsys: Any) -> None:
    result = explain.meanings()[code]
    ended, out, _ = run(capsys, command, code)
    assert ended == 0
    for part in (result.finding and result.finding.why, result.cause and result.cause.repair):
        assert " ".join((part or "").split()) in " ".join(out.split())
    output = json.loads(run(capsys, command, code, "--json")[1])
    assert set(output) == {"code", "title", "why", "incident", "looks", "repair", "deterministic", "harmless"}
    assert output["why"] == (result.finding.why if result.finding else None)
    assert output["looks"] == (result.cause.looks if result.cause else None)
    one = (result.cause or result.finding) if command == "why" else (result.finding or result.cause)
    assert one is not None
    assert output["title"] == one.title


def test_some_codes_are_a_finding_and_a_cause() -> None:
    assert "IMAGE_MISSING" in BOTH


@pytest.mark.parametrize(
    ("command", "typed", "near"),
    [("explain", "HEALTH_FLAPING", "HEALTH_FLAPPING"), ("why", "port-missmatch", "PORT_MISMATCH")],
)
def test_each_of_the_two_knows_the_nearest_code_of_the_other(command: str, typed: str, near: str, capsys: Any) -> None:
    code, _, err = run(capsys, command, typed)
    assert code == 2
    assert f"did you mean {near}?" in err


def test_all_codes_are_listed_findings_and_causes(capsys: Any) -> None:
    _, out, _ = run(capsys, "explain")
    listed = [line.split()[0] for line in out.splitlines()]
    assert listed == sorted(listed)
    assert {"PORT_MISMATCH", "HEALTH_FLAPPING", "USAGE_WRONG"} <= set(listed)
    output = json.loads(run(capsys, "explain", "--json")[1])
    assert [item["code"] for item in output] == listed


def test_the_schema_knows_every_key_of_the_plan(capsys: Any) -> None:
    code, out, _ = run(capsys, "schema")
    assert code == 0
    assert set(json.loads(out)["properties"]) == set(plan.Plan.model_fields)


@pytest.mark.parametrize("words", [[], ["nothing"], ["preflight", "--phase", "five"], ["render", "--phase", "full"]])
def test_wrong_usage_is_2(words: list[str], capsys: Any) -> None:
    assert cli.main(words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_help_is_one_page_that_names_every_command(capsys: Any) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) <= 55
    for name in ("init", "schema", "render", "preflight", "explain"):
        assert re.search(rf"^ +{name}\b", out, re.MULTILINE)


def test_it_runs_as_a_command_in_plain_ascii_and_into_a_closed_pipe(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    line = f"'{sys.executable}' -m deploy explain | head -1"
    ended = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.startswith("ACCOUNT ")
    assert ended.stderr == ""


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("name", "says"), [("shine-api-gateway:simple", "simple is a word"), ("shine:7", "describe")])
def test_a_revision_in_place_of_a_file_is_answered_with_what_is_meant(name: str, says: str, capsys: Any) -> None:
    code, _, err = run(capsys, "preflight", "--offline", "--task-definition", name)
    assert code == 2
    assert says in err


@pytest.mark.usefixtures("here")
def test_a_profile_that_is_not_there_is_a_sentence(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run(capsys, "init")
    monkeypatch.setenv("AWS_PROFILE", "nobodys")
    code, _, err = run(capsys, "preflight", "--phase", "simple")
    assert code == 2
    assert err.startswith("trail: AWS cannot be asked: there are no AWS credentials here")
    assert "(nobodys)" in err


def test_colours_are_for_terminals_alone() -> None:
    one = report.reason("It is missing.", "INPUT_UNUSABLE")
    assert "\033[31mFAIL" in report.text([one], all_of_them=False, colours=True)
    assert "\033" not in report.text([one], all_of_them=False, colours=False)


def test_the_table_of_codes_is_current() -> None:
    assert codes_table.PAGE.read_text() == codes_table.page(), "python -m tests.deploy.codes_table"
