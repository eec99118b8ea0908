"""`trail status` and `trail record`, from the command line, against moto's server over HTTP."""

import json
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.config import Config

from deploy.aws import clients as aws
from deploy.cli import main as cli
from deploy.cli import record as commands
from deploy.config.plan import Plan, read
from deploy.next_command import NO_OPTIONS
from deploy.record.lock import take
from deploy.record.trail import Record
from deploy.rollout.status import LiveStatus
from tests.deploy.infra_plans import content
from tests.rollout.record_s3 import BUCKET, RECORD, URI, AtomicClient, atomic_client, body, put, store
from tests.rollout.records import DIGEST, EXPECTED, attempt, complete, failed, half_way, record
from tests.s3 import CREDENTIALS, S3


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """A server."""
    running = S3()
    yield running
    running.close()


@pytest.fixture
def client(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AtomicClient:
    """An empty bucket, found by the environment alone; a plan beside which one stands."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": s3.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("deploy.cli.record.names", EXPECTED.__getitem__)
    monkeypatch.setattr("deploy.cli.record.live_status", None)  # nobody is asked what runs: this is about the record
    monkeypatch.chdir(tmp_path)
    Path("trail.yaml").write_text(yaml.safe_dump(content(None, record=URI)))
    return atomic_client(s3)


def run(capsys: Any, *words: str) -> tuple[int, str, str]:
    code = cli.main(list(words))
    output = capsys.readouterr()
    return code, output.out, output.err


def hold(client: AtomicClient, record: Record) -> None:
    """This is the record."""
    put(client, RECORD, record.model_dump_json().encode())


def kept(client: AtomicClient) -> Record:
    return Record.model_validate_json(body(client, RECORD))


def test_status_tells_progress_what_blocks_and_the_next_command(client: AtomicClient, capsys: Any) -> None:
    hold(client, failed())
    code, out, err = run(capsys, "status")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "shine-api-gateway, cluster shine-ml-cluster, account 123456789012, us-east-1"
    assert lines[1].startswith(
        "  1 simple      proven     5/5 gates  3 Nov 2026, 12:04 UTC to 3 Nov 2026, 12:11 UTC (7 min)"
    )
    assert lines[1].endswith("sha256:9f2c9f2c9f2c  🎯 Starting line: basic system operational")
    assert lines[2].startswith("  2 hybrid      failed     3/4 gates")
    assert lines[3].strip() == "Metrics there did not hold within 180 s: /metrics answers 404. (metrics_there)"
    assert lines[6] == "8 of 19 gates passed (42 %), started 3 Nov 2026, 12:04 UTC."
    assert lines[7].startswith("Runs:  Phase simple with image")
    assert (lines[8], len(lines)) == ("Next:  trail why", 10)  # and not the image that has just failed


def test_status_before_anybody_set_out(client: AtomicClient, capsys: Any) -> None:
    code, out, _ = run(capsys, "status")
    assert code == 0
    assert "0 of 19 gates passed (0 %). No phase has been started yet." in out
    assert out.endswith("Next:  trail up simple --digest sha256:…\n")
    assert "put_object" not in client.calls


def test_status_names_who_holds_the_lock(client: AtomicClient, capsys: Any) -> None:
    with take(store(client), attempt("a9", "hybrid", "running")) as lock:
        _, out, _ = run(capsys, "status")
        output = json.loads(run(capsys, "status", "--json")[1])
    assert "Lock:  arn:aws:iam::123456789012:user/jane on laptop:4711, since " in out
    assert "(stale)" not in out
    assert output["lock"]["owner"]["token"] == lock.owner.token
    assert output["lock"]["stale"] is False


def test_status_for_programs(client: AtomicClient, capsys: Any) -> None:
    hold(client, half_way())
    code, out, err = run(capsys, "status", "--json")
    output = json.loads(out)
    assert (code, err, output["lock"], output["live"]) == (0, "", None, None)
    assert (output["progress"]["passed"], output["progress"]["gates"], output["progress"]["next"]) == (
        11,
        19,
        "trail resume",
    )
    assert [station["state"] for station in output["progress"]["stations"]] == [
        "proven",
        "proven",
        "running",
        "not begun",
    ]


def test_the_next_command_names_the_plan_and_the_address_in_use(client: AtomicClient, capsys: Any) -> None:
    Path("trail.yaml").rename("our plan.yaml")
    address: dict[str, Any] = {"base_url": "http://127.0.0.1:8080"}
    hold(client, record([attempt("a1", "simple", **address), attempt("a2", "hybrid", "running", 30, **address)]))
    expected = "trail resume --plan 'our plan.yaml' --base-url http://127.0.0.1:8080"
    code, out, _ = run(capsys, "status", "--plan", "our plan.yaml")
    assert (code, out.splitlines()[-1]) == (0, f"Next:  {expected}")
    output = json.loads(run(capsys, "status", "--plan", "our plan.yaml", "--json")[1])["progress"]
    assert (output["next"], output["stations"][1]["next"]) == (expected, expected)
    assert shlex.split(expected)[3] == "our plan.yaml"


def test_an_image_that_failed_last_is_not_recommended_and_what_to_do_is_said(client: AtomicClient, capsys: Any) -> None:
    Path("trail.yaml").rename("plan.yaml")
    hold(client, failed())
    code, out, _ = run(capsys, "status", "--plan", "plan.yaml")
    following, advice = out.splitlines()[-2:]
    assert (code, following) == (0, "Next:  trail why --plan plan.yaml")
    assert DIGEST not in out
    assert advice.startswith(
        "       sha256:9f2c9f2c9f2c failed last in phase hybrid (metrics_there); `trail why --plan "
    )
    assert "build another: `trail up --to hybrid --image IMAGE --plan plan.yaml`" in advice
    output = json.loads(run(capsys, "status", "--plan", "plan.yaml", "--json")[1])["progress"]
    assert (output["next"], output["advice"]) == ("trail why --plan plan.yaml", advice.strip())


def test_what_blocks_is_told_with_commands_that_can_be_pasted(client: AtomicClient, capsys: Any) -> None:
    Path("trail.yaml").rename("plan.yaml")
    sentence = "It fails. Nothing had been changed; `trail rollback` goes to what was before."
    hold(client, record([attempt("a1", "simple", "gate_failed", cause="metrics_there", sentence=sentence)]))
    assert "`trail rollback --plan plan.yaml` goes to" in run(capsys, "status", "--plan", "plan.yaml")[1]
    assert sentence in run(capsys, "status", "--plan", "plan.yaml", "--json")[1]  # the record keeps it as it was said


def test_what_runs_in_truth_is_asked_by_whom_it_is_given(client: AtomicClient, capsys: Any) -> None:
    def live(plan: Plan, clients: aws.Clients, _: Record) -> LiveStatus:
        with pytest.raises(aws.WriteRefused):
            clients["s3"].put_object(Bucket=BUCKET, Key="x", Body=b"")
        return LiveStatus([f"AWS:   {plan.service} runs 2 of 2 tasks."], {"running": 2})

    plan = read(Path("trail.yaml"))
    for as_json in (False, True):
        assert commands.print_status(plan, NO_OPTIONS, as_json, live) == 0
    out = capsys.readouterr().out
    assert "AWS:   shine-api-gateway runs 2 of 2 tasks.\n" in out
    assert '"running": 2' in out
    assert client.calls == []


def test_a_decision_is_added_with_who_and_when_and_takes_nothing_away(client: AtomicClient, capsys: Any) -> None:
    hold(client, half_way())
    code, out, err = run(capsys, "record", "--note", "  We wait for <b>Monday</b>. ")
    assert (code, out, err) == (0, "", "The decision is in the record.\n")
    result = kept(client)
    assert result.attempts == half_way().attempts
    assert [note.text for note in result.notes[1:]] == ["We wait for <b>Monday</b>."]
    assert result.notes[1].who.startswith("arn:aws:sts::123456789012:")
    assert result.notes[1].at.utcoffset() is not None


@pytest.mark.parametrize("text", ["", "  \n", "x" * 2001])
def test_a_decision_without_words_or_without_end_is_refused(client: AtomicClient, capsys: Any, text: str) -> None:
    code, _, err = run(capsys, "record", "--note", text)
    assert code == 2
    assert "2,000 characters at most" in err
    assert "put_object" not in client.calls


def test_a_decision_with_another_accounts_credentials_is_refused(client: AtomicClient, capsys: Any) -> None:
    Path("trail.yaml").write_text(yaml.safe_dump(content(None, record=URI) | {"account": "210987654321"}))
    code, _, err = run(capsys, "record", "--note", "Mine.")
    assert (code, err) == (2, "trail: These credentials are for account 123456789012, the plan is for 210987654321.\n")
    assert client.calls == []


def test_the_tracker_is_printed_as_markdown_where_nothing_is_said(client: AtomicClient, capsys: Any) -> None:
    hold(client, complete())
    plain = run(capsys, "record")
    assert plain == run(capsys, "record", "--markdown")
    assert plain[0] == 0
    assert plain[1].startswith("# The snail trail of shine-api-gateway\n")
    assert "**Progress: 19 of 19 gates (100 %)**" in plain[1]


def test_pages_are_written_and_a_decision_is_in_them_already(client: AtomicClient, capsys: Any) -> None:
    hold(client, half_way())
    Path("trail.html").write_text("old")
    old = os.umask(0o022)
    try:
        code, out, _ = run(capsys, "record", "--note", "So be it.", "--html", "trail.html", "--markdown", "TRAIL.md")
    finally:
        os.umask(old)
    assert (code, out) == (0, "")
    assert "So be it." in Path("TRAIL.md").read_text()
    assert "So be it." in Path("trail.html").read_text()
    assert Path("trail.html").read_text().startswith("<!doctype html>")
    assert stat.S_IMODE(Path("trail.html").stat().st_mode) == 0o644
    assert sorted(item.name for item in Path().iterdir()) == ["TRAIL.md", "trail.html", "trail.yaml"]


def test_a_page_that_is_a_link_stays_one(client: AtomicClient, capsys: Any) -> None:
    hold(client, half_way())
    Path("site").mkdir()
    Path("trail.html").symlink_to("site/index.html")
    assert run(capsys, "record", "--html", "trail.html")[0] == 0
    assert Path("trail.html").is_symlink()
    assert Path("site/index.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("where", ["missing/trail.html", "folder", "a\0b", "n" * 300])
def test_a_page_that_cannot_be_written_is_a_sentence_and_leaves_nothing_behind(
    client: AtomicClient, capsys: Any, where: str
) -> None:
    Path("folder").mkdir()
    (Path("folder") / "x").touch()
    code, out, err = run(capsys, "record", "--html", where)
    assert (code, out) == (2, "")
    assert err.startswith("trail: ")
    assert "cannot be written" in err
    assert sorted(item.name for item in Path().iterdir()) == ["folder", "trail.yaml"]
    assert client.calls == []


def test_the_record_for_programs_is_whole(client: AtomicClient, capsys: Any) -> None:
    hold(client, half_way())
    code, out, _ = run(capsys, "record", "--json")
    output = json.loads(out)
    assert code == 0
    assert Record.model_validate(output["record"]) == half_way()
    assert (output["progress"]["passed"], output["progress"]["percent"]) == (11, 57)


@pytest.mark.parametrize("words", [["status"], ["record"], ["record", "--note", "Mine."]])
def test_a_record_that_is_none_is_a_sentence_and_2(client: AtomicClient, capsys: Any, words: list[str]) -> None:
    put(client, RECORD, b"{")
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"trail: {URI}record.json is not a trail record")
    assert err.count("\n") == 1
    code, out, _ = run(capsys, *words, "--json")
    output = json.loads(out)
    assert (code, set(output)) == (2, {"error", "exit", "ok", "counts", "findings"})
    assert (output["findings"][0]["code"], output["findings"][0]["sentence"]) == ("RECORD_UNUSABLE", output["error"])
    assert body(client, RECORD) == b"{"


@pytest.mark.parametrize("words", [["status"], ["record"], ["record", "--note", "Mine."]])
def test_a_place_that_cannot_be_reached_is_a_sentence_and_2(
    client: AtomicClient, capsys: Any, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # discard; nobody listens
    monkeypatch.setattr(aws, "CONFIG", Config(connect_timeout=1, retries={"total_max_attempts": 1}))
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert "AWS cannot be asked" in err
    assert "Traceback" not in err
    assert client.calls == []


def test_a_plan_that_names_no_place_says_what_to_write(client: AtomicClient, capsys: Any) -> None:
    Path("trail.yaml").write_text(yaml.safe_dump(content(None)))
    code, _, err = run(capsys, "status")
    assert code == 2
    assert "write `record: s3://YOUR-BUCKET/trail/` in trail.yaml" in err
    assert run(capsys, "status", "--plan", "nowhere.yaml")[2].startswith("trail: nowhere.yaml does not exist")
    assert client.calls == []


def test_a_pipe_is_written_to_and_a_file_keeps_who_may_read_it(
    client: AtomicClient, capsys: Any, tmp_path: Path
) -> None:
    hold(client, half_way())
    pipe, page = tmp_path / "pipe", tmp_path / "page.html"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run(capsys, "record", "--markdown", str(pipe))[0] == 0
    assert os.read(reading, 1 << 16).startswith(b"# ")
    os.close(reading)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    page.write_text("before")
    page.chmod(0o600)
    assert run(capsys, "record", "--html", str(page))[0] == 0
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


@pytest.mark.usefixtures("client")
def test_status_under_another_account_than_the_plans_is_refused(capsys: Any) -> None:
    plan = yaml.safe_load(Path("trail.yaml").read_text())
    text = json.dumps(plan).replace("123456789012", "999999999999")
    Path("trail.yaml").write_text(text)
    code, _, err = run(capsys, "status")
    assert code == 2
    assert "These credentials are for account 123456789012, the plan is for 999999999999." in err
