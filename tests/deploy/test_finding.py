"""Findings are made in one place, and whatever is in their text or values, a terminal can print it."""

import ast
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import deploy
from deploy.aws.cloudformation import Change
from deploy.aws.network import Target
from deploy.aws.service import Deployment, Event, ServiceSnapshot
from deploy.aws.task import Task
from deploy.cli import infra
from deploy.cli import main as cli
from deploy.config.image_contract import parse
from deploy.diagnose import terminal as why_told
from deploy.diagnose.ranking import diagnose
from deploy.findings import finding
from deploy.findings import terminal as report
from deploy.findings.catalog import CODES
from deploy.findings.finding import Finding, Place, fail, ok, skip, warn
from deploy.importer.report import summarize
from deploy.importer.values import ImportedValues
from deploy.rollout.output import LiveReporter, LogReporter
from deploy.verify import registry
from deploy.verify import run as preflight
from deploy.verify.account.run import run_account_checks
from deploy.verify.container import checks as container_checks
from deploy.verify.container.task import task as read_task
from tests.deploy import good, infra_plans
from tests.rollout.causes.evidence import NOW, event, exited, log, make_evidence, unhealthy

# What turns a terminal, a log or a reader round: a clear screen, a title, a C1 code, NUL, line breaks, marks of
# direction, half a character.
HOSTILE = "\x1b[2J\x1b]0;owned\x07 \x9b31m a\0b\r\nc\u2028d \u202egnp.exe\u2066 \u200f \ud800 end"
UNPRINTABLE = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printed(text: str) -> None:
    """What a terminal gets has no escape code in it, and the hostile text is there, escaped."""
    assert UNPRINTABLE.search(text) is None, ascii(text)
    assert "\\x1b[2J" in text


MAKERS: dict[str, Callable[[str], Finding]] = {
    "ok": lambda text: ok("CODE", text, ("where", text)),
    "skip": lambda text: skip("CODE", text, (text, text), repair=text),
    "warn": lambda text: warn("CODE", text, ("where", [text, {text: text}]), repair=text),
    "fail": lambda text: fail("CODE", text, Place(where=text, value={text: [text]}), repair=text),
    "the model itself": lambda text: Finding(code=text, level="FAIL", sentence=text, repair=text),
}


@pytest.mark.parametrize("made", MAKERS.values(), ids=MAKERS)
def test_a_finding_can_be_printed_whatever_is_in_it(made: Callable[[str], Finding]) -> None:
    one = made(HOSTILE)
    text = report.block(one, colours=False)
    printed(text)
    assert text.count("\n") <= 8  # its own line breaks, and none of the text's
    assert UNPRINTABLE.search(repr(one.model_dump()).replace("\\\\", "")) is None


def test_what_a_check_finds_in_a_file_can_be_printed() -> None:
    task = good.changed(good.task(), {"env.SHINE_THREADS": HOSTILE})
    findings = preflight.run_preflight([preflight.Subject(task, good.contract(), phase="full", offline=True)])
    printed(report.text(findings, all_of_them=True, colours=False))


def test_what_aws_answers_to_preflight_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    def hostile(_: Any) -> Iterator[Finding]:
        yield fail("SERVICE", f"It is {HOSTILE}.", ("ECS", {"status": HOSTILE}), repair=f"Not {HOSTILE}.")
        raise KeyError(HOSTILE)

    monkeypatch.setattr(import_module("deploy.verify.account.run"), "ACCOUNT_CHECKS", {"the service": hostile})
    findings = run_account_checks(good.plan(), good.task(), parse(good.contract()), None, "full")
    assert [item.code for item in findings] == ["SERVICE", "AWS_UNFORESEEN"]
    printed(report.text(findings, all_of_them=True, colours=False))


def test_the_last_words_of_a_container_can_be_printed() -> None:
    state = {"OOMKilled": False, "ExitCode": 3}
    running: Any = SimpleNamespace(inspect=lambda: {"State": state}, logs=lambda: f"{HOSTILE}\n{HOSTILE}")
    task = read_task(good.task(), parse(good.contract()))
    printed(report.block(container_checks._exited(running, task), colours=False))


def test_what_why_quotes_can_be_printed() -> None:
    evidence = make_evidence(
        exited(3, container=HOSTILE),
        logs=log(1, HOSTILE),
        events=[event(HOSTILE)],
        targets=[unhealthy("Target.Timeout", HOSTILE)],
        name=HOSTILE,
        deployment=HOSTILE,
        unseen=(HOSTILE,),
    )
    printed(why_told.text(evidence, diagnose(evidence), colours=False))


SEEN = ServiceSnapshot(
    NOW,
    {},
    [
        Deployment.model_construct(
            id=HOSTILE,
            status="PRIMARY",
            rollout=HOSTILE,
            reason=HOSTILE,
            task_definition="td:2",
            desired=2,
            running=1,
            pending=1,
            created=NOW,
        )
    ],
    [Task.model_construct(id=HOSTILE, status=HOSTILE, health=HOSTILE, started_by=HOSTILE, address="127.0.0.2")],
    [
        Target.model_construct(address="127.0.0.2", state=HOSTILE, reason=HOSTILE, description=HOSTILE),
        Target.model_construct(address=HOSTILE, state="healthy"),
    ],
    [Event.model_construct(at=NOW, text=HOSTILE)],
)


def test_lines_of_a_rollout_can_be_printed() -> None:
    stream = io.StringIO()
    view = LogReporter(stream)
    view.say(f"Most likely: {HOSTILE}")
    view.begin_phase("simple", HOSTILE, 60)
    view.show_snapshot(SEEN, HOSTILE)
    for line in stream.getvalue().splitlines():
        assert UNPRINTABLE.search(line) is None, ascii(line)
    printed(stream.getvalue())


def test_the_live_view_of_a_rollout_can_be_printed() -> None:
    console = Console(file=io.StringIO(), record=True, force_terminal=True, width=240)
    with LiveReporter(console) as screen:
        screen.say(f"before: {HOSTILE}")
        screen.begin_phase("simple", HOSTILE, 60)
        screen.show_snapshot(SEEN, HOSTILE)
        console.print(screen.drawing())
    printed(console.export_text())


def test_changes_of_a_stack_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    change = Change("replace", HOSTILE, "AWS::S3::Bucket", HOSTILE, (f"Name: {HOSTILE} → {HOSTILE}",))
    infra.print_changes(infra_plans.plan(infra_plans.infras()["public"]), [change], sys.stdout)
    out = capsys.readouterr().out
    printed(out)
    assert out.count("\n") == 4


def test_what_was_read_of_a_running_service_can_be_printed(tmp_path: Path) -> None:
    result = ImportedValues(source=HOSTILE, missing={"weights": HOSTILE}, notes=[HOSTILE])
    result.findings.append(fail("CODE", HOSTILE, ("where", HOSTILE), repair=HOSTILE))
    printed(summarize(result, f"{json.dumps(HOSTILE)}: 1", tmp_path / "trail.yaml").text)


def test_an_argument_that_is_none_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", HOSTILE]) == 2
    printed(capsys.readouterr().err)


def test_every_code_of_the_table_is_used_and_says_why() -> None:
    sources = "".join(path.read_text() for path in Path(deploy.__file__).parent.rglob("*.py"))
    dynamic = re.compile(r"(EXECUTION|TASK)_ROLE(_MISSING|_TRUST|_MAY|_MAY_NOT)?")  # of either role, by one function
    unused = {code for code in CODES if f'"{code}"' not in sources and not dynamic.fullmatch(code)}
    assert unused == set()
    for code in CODES.values():
        assert not code.title.endswith("."), code
        assert code.why.endswith("."), code


def test_findings_are_made_in_one_module() -> None:
    """Else one of them would let through what the other does not."""
    package = Path(deploy.__file__).parent
    makers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding"
    }
    assert makers == {Path(finding.__file__).relative_to(package).as_posix()}
    assert vars(registry)["finding"] is finding.finding
