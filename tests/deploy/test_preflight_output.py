"""What an operator sees of preflight: the failures first and in the last screen, a few lines for a few facts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deploy.cli import main as cli
from deploy.findings import terminal
from deploy.findings.finding import Finding, fail, ok, skip, warn
from tests.deploy import good

COLUMNS, LINES = 80, 24  # of a terminal
NULLS = [
    "command", "entryPoint", "dnsServers", "dnsSearchDomains", "dockerSecurityOptions", "dockerLabels", "links",
    "extraHosts", "hostname", "interactive", "privileged", "pseudoTerminal", "resourceRequirements", "startTimeout",
    "systemControls", "volumesFrom", "workingDirectory", "restartPolicy", "firelensConfiguration", "dependsOn",
    "environmentFiles", "memory", "memoryReservation", "repositoryCredentials", "disableNetworking", "credentialSpecs",
    "versionConsistency",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _a_small_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("LINES", str(LINES))
    contract = good.contract()
    monkeypatch.setattr("deploy.config.image_contract.builtin", lambda: contract)


def printed(changes: dict[str, Any], capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What preflight prints of the good task definition with changes."""
    Path("t.json").write_text(json.dumps(good.changed(good.task(), changes)))
    cli.main(["preflight", "--offline", "--task-definition", "t.json", *words])
    return str(capsys.readouterr().out)


THREE = {
    "c.portMappings.0.containerPort": 8080,
    "c.healthCheck.command": ["CMD-SHELL", "curl -f http://localhost:8080/ || exit 1"],
    "c.image": "shine-api-gateway:simple",
}


def test_three_facts_take_at_most_forty_lines(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(THREE, capsys)
    assert len(out.splitlines()) <= 40
    assert all(len(line) <= COLUMNS for line in out.splitlines())
    for code in ("PORT_MISMATCH", "HEALTH_EXECUTABLE", "HEALTH_PORT", "HEALTH_PATH", "IMAGE_TAG_MOVES"):
        assert code in out
    assert out.count("→") == 3  # one repair for all faults of the health command


def test_what_is_ok_or_skipped_is_counted_and_unfolded_with_all(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed({}, capsys)
    assert len(out.splitlines()) <= 2
    assert re.search(r"\d+ checks: 0 FAIL, 0 WARN, 2 SKIP, \d+ OK", out)
    assert "--all" in out
    listed = printed({}, capsys, "--all")
    assert listed.count("\nOK ") > 60
    assert "IMAGE_ON_TRIAL" in listed
    assert "--all" not in listed


def test_thirty_four_nulls_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    nulls: dict[str, Any] = {f"c.{name}": None for name in NULLS}
    nulls |= dict.fromkeys(("pidMode", "ipcMode", "proxyConfiguration", "inferenceAccelerators", "tags"), None)
    nulls |= {"c.healthCheck.retries": None, "c.logConfiguration.secretOptions": None}
    assert len(nulls) == 34
    out = printed(nulls, capsys)
    assert "34 keys have no value" in out
    assert out.count("WARN  ") == 1
    assert len(out.splitlines()) <= 12


def findings(failures: int, warnings: int) -> list[Finding]:
    place = ("task definition: family", "x")
    return [
        ok("FAMILY_NAME", "It is fine."),
        skip("IMAGE_ON_TRIAL", "It was not run."),
        *(warn(f"W{number}", f"Warning {number}.", place, repair=f"Repair {number}.") for number in range(warnings)),
        *(fail(f"F{number}", f"Failure {number}.", place, repair=f"Mend {number}.") for number in range(failures)),
    ]


def test_failures_come_first_and_stand_in_the_last_screen() -> None:
    lines = terminal.text(findings(3, 30), all_of_them=False, colours=False).splitlines()
    assert lines[0] == "FAIL  Failure 0."
    last = "\n".join(lines[-LINES:])
    for number in range(3):
        assert f"FAIL  F{number}: Failure {number}." in last
    every = terminal.text(findings(3, 30), all_of_them=True, colours=False)
    assert every.startswith("FAIL  Failure 0.")
    assert "FAIL  F2: Failure 2." in "\n".join(every.splitlines()[-LINES:])


def test_failures_on_one_screen_are_not_repeated() -> None:
    text = terminal.text(findings(3, 1), all_of_them=False, colours=False)
    assert text.count("Failure 0.") == 1


def test_many_failures_fit_into_the_last_screen() -> None:
    lines = terminal.text(findings(60, 60), all_of_them=False, colours=False).splitlines()
    assert "FAIL  and 52 more, above." in lines[-LINES:]


def test_of_one_code_three_are_listed_and_the_others_counted() -> None:
    many = [fail("FIELD_UNKNOWN", f"Key {number}.", ("x", number), repair=f"Remove {number}.") for number in range(9)]
    text = terminal.text(many, all_of_them=False, colours=False)
    assert "6 more of FIELD_UNKNOWN" in text
    assert "→ Remove 3." not in text
    assert "→ Remove 8." in terminal.text(many, all_of_them=True, colours=False)


def test_json_has_every_finding_and_its_counts(capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(printed(THREE, capsys, "--json"))
    assert set(report) == {"findings", "counts", "ok"}
    assert report["counts"]["FAIL"] == 5
    assert sum(report["counts"].values()) == len(report["findings"])
    assert report["findings"][0]["level"] == "FAIL"
    assert set(report["findings"][0]) == {"code", "level", "sentence", "places", "repair"}
