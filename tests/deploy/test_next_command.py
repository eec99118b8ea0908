"""Commands that are printed can be pasted: with the options in use, quoted for a shell."""

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from deploy.cli import main as cli
from deploy.cli import rollout, why
from deploy.config.plan import PlanError
from deploy.findings import terminal as report
from deploy.next_command import OPTIONS, OptionsInUse
from deploy.record.lock import Holding, Locked
from deploy.rollout.output import LogReporter
from deploy.rollout.session import Result
from tests.rollout.causes.evidence import exited, make_evidence
from tests.rollout.records import attempt, record

PLAN, URL, CONTRACT = "plans/our plan.yaml", "http://127.0.0.1:8080/a?b=$c", "it's.json"
QUOTED_PLAN, QUOTED_URL = "'plans/our plan.yaml'", "'http://127.0.0.1:8080/a?b=$c'"
QUOTED_CONTRACT = "'it'\"'\"'s.json'"
GIVEN = "--plan other.yaml --contract c.json --base-url=http://x"
ALL = OptionsInUse({"--plan": PLAN, "--contract": CONTRACT, "--base-url": URL})


def command_of(name: str) -> click.Command:
    command = cli.trail.get_command(click.Context(cli.trail), name)
    assert command is not None
    return command


def parsed(*words: str) -> dict[str, Any]:
    """Parameters of a command line."""
    return command_of(words[0]).make_context(words[0], list(words[1:])).params


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        (
            "trail resume",
            f"trail resume --plan {QUOTED_PLAN} --contract {QUOTED_CONTRACT} --base-url {QUOTED_URL}",
        ),
        ("trail status", f"trail status --plan {QUOTED_PLAN}"),
        ("trail why", f"trail why --plan {QUOTED_PLAN}"),
        ("trail why IMAGE_MISSING", "trail why IMAGE_MISSING"),  # needs no plan
        ("trail why --json", f"trail why --json --plan {QUOTED_PLAN}"),
        ("trail explain PORT_MISMATCH", "trail explain PORT_MISMATCH"),
        ("trail up", "trail up"),  # a name in a sentence
        ("trail infra apply", f"trail infra apply --plan {QUOTED_PLAN} --contract {QUOTED_CONTRACT}"),
        (f"trail up hybrid {GIVEN}", f"trail up hybrid {GIVEN}"),
        ("trail golden URL FILE", "trail golden URL FILE"),
        ("trail nothing", "trail nothing"),
    ],
)
def test_a_command_gets_the_options_that_it_takes_and_lacks(line: str, completed: str) -> None:
    assert ALL.command(line) == completed


def test_a_shell_reads_what_was_typed() -> None:
    words = shlex.split(ALL.command("trail resume"))
    assert words == ["trail", "resume", "--plan", PLAN, "--contract", CONTRACT, "--base-url", URL]
    parameters = parsed(*words[1:-2], "--base-url", "http://127.0.0.1:8080/a")
    assert (parameters["plan"], parameters["contract"]) == (Path(PLAN), Path(CONTRACT))


def test_the_image_in_use_is_named_once() -> None:
    used = OptionsInUse({"--digest": "sha256:1"})
    assert used.command("trail up --to full") == "trail up --to full --digest sha256:1"
    assert used.command("trail up simple --image shine:1") == "trail up simple --image shine:1"
    assert used.command("trail resume") == "trail resume"


def test_every_option_is_one_of_its_command() -> None:
    for name, options in OPTIONS.items():
        command = command_of(name)
        if isinstance(command, click.Group):
            command = command.commands["apply"]
        assert set(options) <= {option for parameter in command.params for option in parameter.opts}, name


def test_commands_in_a_sentence_are_completed_and_nothing_else() -> None:
    sentence = "Run `trail resume`; or `aws ecs list-tasks`, or `trail explain CODE`. Not trail status."
    output = OptionsInUse({"--plan": "p.yaml"}).text(sentence)
    assert output == sentence.replace("`trail resume`", "`trail resume --plan p.yaml`")
    assert OptionsInUse({}).text(sentence) == sentence


def test_a_default_is_no_option_in_use() -> None:
    assert OptionsInUse.of(parsed("up", "simple")).values == {}
    assert OptionsInUse.of(parsed("up", "simple", "--plan", "trail.yaml")).values == {}
    given = ["up", "simple", "--plan", "p", "--contract", "c", "--base-url", "http://x", "--digest", "sha256:1"]
    assert OptionsInUse.of(parsed(*given)).values == {
        "--plan": "p",
        "--contract": "c",
        "--base-url": "http://x",
        "--digest": "sha256:1",
    }


def test_a_command_is_not_broken_where_a_line_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    command = ALL.command("trail resume")
    lines = report.filled(f"It was cut off; `{command}` picks it up from there, and nothing is begun twice.").split(
        "\n"
    )
    assert len(lines) > 2
    assert any(f"`{command}`" in line for line in lines)


# --- of each command that prints some ------------------------------------------------------------------------------


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A plan that is not at its default place."""
    monkeypatch.chdir(tmp_path)
    Path("plans").mkdir()
    cli.main(["init", PLAN])
    yield QUOTED_PLAN
    assert not os.path.exists("trail.yaml")  # noqa: PTH110


WITH_URL = ["--base-url", "http://127.0.0.1:8080/a"]


def test_init_names_the_plan_that_it_wrote(capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cli.main(["init", "our plan.yaml"])
    assert capsys.readouterr().out.endswith("then: trail preflight --offline --plan 'our plan.yaml'\n")


@pytest.mark.parametrize("words", [["up", "simple"], ["rollback"], ["resume"]])
@pytest.mark.parametrize("json_wanted", [False, True])
def test_a_rollout_tells_how_to_go_on_with_its_plan_and_address(
    words: list[str], json_wanted: bool, plan: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: Any) -> Any:
        raise Locked(Holding(owner=None, age_s=500), "s3://b/lock.json")

    def cut(*_: Any) -> Any:
        return Result(130, "Interrupted. In AWS ecs-svc/1 goes on; `trail resume` picks it up from there.")

    options = f"--plan {plan} --base-url http://127.0.0.1:8080/a"
    monkeypatch.setattr(rollout, "prepared", lambda *_: None)
    command = {"up": "run_up", "rollback": "run_rollback", "resume": "run_resume"}[words[0]]
    monkeypatch.setattr(rollout, command, cut)
    capsys.readouterr()
    more = ["--json"] if json_wanted else []
    assert cli.main([*words, "--plan", PLAN, *WITH_URL, *more]) == 130
    out = capsys.readouterr().out
    output = json.loads(out)["sentence"] if json_wanted else out
    assert f"`trail resume {options}` picks it up" in output


def test_the_climb_that_is_named_has_the_image_that_was_asked_for(
    plan: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> Any:
        raise PlanError("Phase simple is not proven with this image; `trail up --to hybrid` climbs there.")

    monkeypatch.setattr(rollout, "prepared", lambda *_: None)
    monkeypatch.setattr(rollout, "run_up", refused)
    assert cli.main(["up", "hybrid", "--plan", PLAN, "--digest", f"sha256:{'a' * 64}"]) == 2
    assert f"`trail up --to hybrid --plan {plan} --digest sha256:{'a' * 64}` climbs" in capsys.readouterr().out


def test_lines_of_a_rollout_name_its_plan(plan: str, capsys: Any) -> None:
    options = OptionsInUse.of(parsed("up", "simple", "--plan", PLAN))
    with LogReporter(options=options) as view:
        view.say("How this ended is not in the record; `trail resume` writes it there later.")
    assert f"`trail resume --plan {plan}` writes it" in capsys.readouterr().err


def test_why_names_its_plan_and_the_address_of_the_attempt(
    plan: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = attempt(
        "a1",
        "hybrid",
        "gate_failed",
        cause="metrics_there",
        base_url="http://127.0.0.1:8080",
        sentence="It fails. Nothing is taken back; `trail rollback` goes to what was before.",
    )
    monkeypatch.setattr(why, "open_store", lambda *_: type("S", (), {"read": lambda _: record([failing])})())
    monkeypatch.setattr(why, "gather", lambda *_: make_evidence())
    capsys.readouterr()
    cli.main(["why", "--plan", PLAN])
    output = " ".join(capsys.readouterr().out.split())
    assert f"`trail rollback --plan {plan} --base-url http://127.0.0.1:8080` goes" in output


def test_what_why_advises_names_its_plan(plan: str, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = make_evidence(exited(1), target_group_status="MISSING", target_group=None)
    monkeypatch.setattr(why, "open_store", lambda *_: type("S", (), {"read": lambda _: record()})())
    monkeypatch.setattr(why, "gather", lambda *_: missing)
    capsys.readouterr()
    cli.main(["why", "--plan", PLAN])
    assert f"`trail preflight --plan {plan}` says which is missing" in " ".join(capsys.readouterr().out.split())


def test_what_ends_a_command_names_its_plan(plan: str, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(*_: Any, **__: Any) -> Any:
        raise PlanError("Somebody is at it; `trail status` tells.")

    monkeypatch.setattr("deploy.cli.record.Clients", ends)
    cli.main(["record", "--plan", PLAN])
    assert f"`trail status --plan {plan}` tells" in capsys.readouterr().err
