"""`trail why`: what is failing now, and why."""

import sys
from pathlib import Path
from typing import Any

import click

from deploy.aws.clients import Clients
from deploy.cli import options
from deploy.cli.explain import meaning
from deploy.config import plan as plans
from deploy.diagnose import terminal
from deploy.diagnose.cause import Diagnosis
from deploy.diagnose.evidence import Evidence, read, save
from deploy.diagnose.gather import gather
from deploy.diagnose.ranking import diagnose
from deploy.diagnose.recorded import last_failure
from deploy.exit_codes import FINE, FOUND
from deploy.findings import terminal as report
from deploy.findings.finding import fail, ok
from deploy.next_command import OptionsInUse
from deploy.record.store import RecordError, open_store
from deploy.text import printable


@click.command(cls=options.Command)
@click.argument("code", required=False)
@options.plan
@click.option("--deployment", metavar="ID", help="ecs-svc/… (default: the last that failed, else the newest).")
@click.option("--evidence", type=options.FILE, metavar="FILE", help="Diagnose what --save wrote; AWS is not called.")
@click.option("--save", "save_to", type=options.FILE, metavar="FILE", help="Write the evidence, without secrets.")
@options.json_output
def why(
    code: str | None,
    plan: Path,
    deployment: str | None,
    evidence: Path | None,
    save_to: Path | None,
    as_json: bool,
) -> int:
    """Find out what is failing now, and why: the most likely cause first, with the evidence.

    With a CODE, say what it means. What this tool itself rolled back is read from the trail record: AWS forgets it.

    \b
    trail why                           # the plan's service
    trail why --deployment ecs-svc/…    # one deployment
    trail why --save evidence.json      # for a colleague without access, who runs:
    trail why --evidence evidence.json
    trail why IMAGE_MISSING             # what a cause means; all of them: docs/causes.md

    Exit codes: 0 nothing is wrong; 2 a cause was found, or AWS could not be read.
    """
    if code is not None:
        meant = meaning(code, "cause")
        report.print_json(meant.as_json(cause_first=True)) if as_json else print(meant.text(), end="")
        return FINE
    collected = read(evidence) if evidence is not None else collect(plan, deployment)
    if save_to is not None:
        save(collected, save_to)
    causes = diagnose(collected)
    if as_json:
        report.print_json(json_report(collected, causes))
    else:
        used = OptionsInUse.of({"plan": plan})
        used = used.with_base_url(collected.recorded.base_url if collected.recorded else None)
        print(terminal.text(collected, causes, report.colours_wanted(sys.stdout), used), end="")
    return FINE if all(cause.harmless for cause in causes) else FOUND


def collect(path: Path, deployment: str | None) -> Evidence:
    """Read evidence from AWS and from the trail record."""
    plan = plans.read(path)
    clients = Clients(plan.region, writes=False)
    return with_attempt(gather(clients, plan, deployment), plan, clients, deployment)


def with_attempt(evidence: Evidence, plan: plans.Plan, clients: Clients, deployment: str | None) -> Evidence:
    """The same with what the trail record knows of a failure; that it cannot be read hides nothing else.

    Args:
        evidence: what was read of AWS.
        plan: says where the record lies; one that does not has none.
        clients: of AWS.
        deployment: that was asked for.
    """
    if evidence.service is None and evidence.cluster_status is None:  # S3 would not answer either, for minutes
        return _unread(evidence, "not read, since ECS could not be asked.")
    try:
        record = open_store(plan, clients).read()
    except plans.PlanError:
        return evidence
    except RecordError as error:
        return _unread(evidence, str(error))
    primary = next((item.created for item in evidence.deployments if item.status == "PRIMARY"), None)
    return evidence.model_copy(update={"recorded": last_failure(record, deployment, primary)})


def _unread(evidence: Evidence, why: str) -> Evidence:
    return evidence.model_copy(update={"unseen": (*evidence.unseen, printable(f"The trail record: {why}", 400))})


def json_report(evidence: Evidence, causes: list[Diagnosis]) -> dict[str, Any]:
    """For programs: each cause, and the same as findings, which every command has."""
    findings = [
        ok(cause.code, cause.sentence) if cause.harmless else fail(cause.code, cause.sentence, repair=cause.repair)
        for cause in causes
    ]
    return {
        **report.report(findings, strict=False),
        "service": evidence.name,
        "cluster": evidence.cluster,
        "deployment": evidence.deployment or None,
        "at": evidence.at.isoformat() if evidence.at else None,
        "attempt": None if evidence.recorded is None else evidence.recorded.model_dump(mode="json"),
        "causes": [cause.model_dump(mode="json") for cause in causes],
        "unseen": list(evidence.unseen),
    }
