"""`trail why`: what is failing now, and why; the most likely cause first, with the words that show it.

    trail why                           # look at the plan's service
    trail why --deployment ecs-svc/…    # at one deployment
    trail why --save evidence.json      # keep what was seen, for a colleague without access, who says:
    trail why --evidence evidence.json
    trail why IMAGE_MISSING             # what a cause means; all of them: deploy/CAUSES.md

Exit codes: 0 nothing is wrong; 2 something was found, or it could not be looked at.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy import plan as plans
from deploy import refusal, report
from deploy.aws import Clients
from deploy.codes import nearest
from deploy.why import told
from deploy.why.diagnose import diagnose
from deploy.why.evidence import Evidence, EvidenceError, gather, read, save
from deploy.why.table import CAUSES, Cause
from deploy.words import printable

FINE, FOUND = 0, 2


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
    """Explain a cause, or find the one that fits."""
    try:
        if wanted.code is not None:
            return explain(wanted)
        seen = look(wanted)
        if wanted.save is not None:
            save(seen, wanted.save)
    except EvidenceError as error:
        return _cannot(str(error), wanted)
    except (BotoCoreError, ClientError) as error:
        return _cannot(refusal.told(error), wanted)
    found = diagnose(seen)
    if wanted.json:
        print(json.dumps(as_json(seen, found), indent=2))
    else:
        print(told.text(seen, found, report.colours_wanted(sys.stdout)), end="")
    return FINE if all(one.harmless for one in found) else FOUND


def look(wanted: argparse.Namespace) -> Evidence:
    """Evidence from its file, or from AWS."""
    if wanted.evidence is not None:
        return read(wanted.evidence)
    plan = plans.read(wanted.plan)
    return gather(Clients(plan.region, writes=False), plan, wanted.deployment)


def as_json(seen: Evidence, found: list[Any]) -> dict[str, Any]:
    """For programs."""
    return {
        "ok": all(one.harmless for one in found),
        "service": seen.name,
        "cluster": seen.cluster,
        "deployment": seen.deployment or None,
        "at": seen.at.isoformat() if seen.at else None,
        "causes": [one.model_dump(mode="json") for one in found],
        "unseen": list(seen.unseen),
    }


def explain(wanted: argparse.Namespace) -> int:
    """One cause at length."""
    code = wanted.code.strip().upper().replace("-", "_")
    one = CAUSES.get(code)
    if one is None:
        near = nearest(wanted.code, CAUSES)
        hint = f"did you mean {near}?" if near else "deploy/CAUSES.md lists them."
        raise EvidenceError(f"{printable(wanted.code, 60)} is not a cause; {hint}")
    print(json.dumps(row(one), indent=2) if wanted.json else told.explained(one), end="\n" if wanted.json else "")
    return FINE


def row(one: Cause) -> dict[str, Any]:
    """Of the table, for programs."""
    names = ("code", "title", "looks", "repair", "deterministic", "harmless")
    return {name: getattr(one, name) for name in names}


def _cannot(sentence: str, wanted: argparse.Namespace) -> int:
    if wanted.json:
        print(json.dumps({"ok": False, "error": printable(sentence, 600)}))
    print(f"trail: {printable(sentence, 600)}", file=sys.stderr)
    return FOUND
