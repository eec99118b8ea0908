"""`trail why`: what is failing now, and why; the most likely cause first, with the words that show it. What this tool
itself took back, the trail record knows: AWS forgets it.

    trail why                           # look at the plan's service
    trail why --deployment ecs-svc/…    # at one deployment
    trail why --save evidence.json      # keep what was seen, for a colleague without access, who says:
    trail why --evidence evidence.json
    trail why IMAGE_MISSING             # what a cause means; all of them: docs/causes.md

Exit codes: 0 nothing is wrong; 2 something was found, or it could not be looked at.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from deploy.aws.clients import Clients
from deploy.cli.explain import meaning
from deploy.config import plan as plans
from deploy.diagnose import terminal as told
from deploy.diagnose.diagnosis import Diagnosis
from deploy.diagnose.evidence import Evidence, read, save
from deploy.diagnose.gather import gather
from deploy.diagnose.ranking import diagnose
from deploy.diagnose.recorded import remembered
from deploy.exit_codes import FINE, FOUND
from deploy.findings import terminal as report
from deploy.findings.finding import fail, ok
from deploy.next_command import OptionsInUse
from deploy.record.store import RecordError, open_store
from deploy.text import printable
from deploy.verify import run as preflight


def add_commands(subparsers: Any) -> None:
    """Add `why`."""
    text = str(__doc__)
    made = subparsers.add_parser(
        "why",
        help="find out what is failing now, and why",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("code", nargs="?", help="of a cause, to have it explained; without one, look")
    made.add_argument("--plan", type=Path, default=Path("trail.yaml"), help="default: trail.yaml")
    made.add_argument("--deployment", metavar="ID", help="ecs-svc/…; default: the last that failed, else the newest")
    made.add_argument("--evidence", type=Path, metavar="FILE", help="look at what --save wrote, and ask nothing of AWS")
    made.add_argument("--save", type=Path, metavar="FILE", help="write what was seen, without secrets")
    made.add_argument("--json", action="store_true", help="print JSON for programs")
    made.set_defaults(command=why)


def why(wanted: argparse.Namespace) -> int:
    """Explain a code, or find the cause that fits; what goes wrong is raised, and said by whoever runs commands."""
    if wanted.code is not None:
        found = meaning(wanted.code, "cause")
        report.print_json(found.as_json(cause_first=True)) if wanted.json else print(found.text(), end="")
        return FINE
    seen = look(wanted)
    if wanted.save is not None:
        save(seen, wanted.save)
    causes = diagnose(seen)
    if wanted.json:
        report.print_json(as_json(seen, causes))
    else:
        options = OptionsInUse.of(wanted).with_base_url(seen.recorded.base_url if seen.recorded else None)
        print(told.text(seen, causes, report.colours_wanted(sys.stdout), options), end="")
    return FINE if all(one.harmless for one in causes) else FOUND


def look(wanted: argparse.Namespace) -> Evidence:
    """Evidence from its file, or from AWS."""
    if wanted.evidence is not None:
        return read(wanted.evidence)
    plan = plans.read(wanted.plan)
    clients = Clients(plan.region, writes=False)
    return with_attempt(gather(clients, plan, wanted.deployment), plan, clients, wanted.deployment)


def with_attempt(seen: Evidence, plan: plans.Plan, clients: Clients, deployment: str | None) -> Evidence:
    """The same with what the trail record knows of a failure; that it cannot be read hides nothing else.

    Args:
        seen: of AWS.
        plan: says where the record lies; one that does not has none.
        clients: of AWS.
        deployment: that was asked for.
    """
    if seen.service is None and seen.cluster_status is None:  # S3 would not answer either, for minutes
        return _unread(seen, "not read, since ECS could not be asked.")
    try:
        record = open_store(plan, clients).read()
    except plans.PlanError:
        return seen
    except RecordError as error:
        return _unread(seen, str(error))
    primary = next((one.created for one in seen.deployments if one.status == "PRIMARY"), None)
    return seen.model_copy(update={"recorded": remembered(record, deployment, primary)})


def _unread(seen: Evidence, why: str) -> Evidence:
    return seen.model_copy(update={"unseen": (*seen.unseen, printable(f"The trail record: {why}", 400))})


def as_json(seen: Evidence, causes: list[Diagnosis]) -> dict[str, Any]:
    """For programs: each cause, and the same as findings, which every command has."""
    findings = [
        ok(one.code, one.sentence) if one.harmless else fail(one.code, one.sentence, repair=one.repair)
        for one in causes
    ]
    return {
        **preflight.report(findings, strict=False),
        "service": seen.name,
        "cluster": seen.cluster,
        "deployment": seen.deployment or None,
        "at": seen.at.isoformat() if seen.at else None,
        "attempt": None if seen.recorded is None else seen.recorded.model_dump(mode="json"),
        "causes": [one.model_dump(mode="json") for one in causes],
        "unseen": list(seen.unseen),
    }
