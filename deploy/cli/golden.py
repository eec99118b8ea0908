"""`trail golden`: what a running service finds on the probe photo, written down to hold later answers against."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import httpx

from bentos.skin.settings import DRILL, DRILL_HEADER
from deploy.config.plan import PlanError
from deploy.findings.terminal import print_json
from deploy.gates import golden
from deploy.gates.gate import reason
from deploy.gates.observation import ANALYZE
from deploy.gates.responses import UnexpectedResponse, json_object
from deploy.gates.target import KEY_VARIABLE, client
from deploy.image.load import PROBE_PHOTO
from deploy.text import printable

ANSWER_S = 30.0  # for one photo; nobody waits behind it
FILE = Path("golden.json")


def add_commands(commands: Any) -> None:
    """Add `golden`."""
    told = "write what a running service finds on the probe photo, which gates hold later answers against"
    made = commands.add_parser(
        "golden",
        help=told,
        description=f"{told[0].upper()}{told[1:]}. What the file holds of other weights stays. Name it as "
        f"gates.golden of a phase in the plan. A service that wants a key gets the one in {KEY_VARIABLE}.",
    )
    made.add_argument("url", metavar="URL", help="of the service, e.g. http://localhost:5000")
    made.add_argument("file", metavar="FILE", nargs="?", type=Path, default=FILE, help="default: golden.json")
    made.add_argument("--json", action="store_true", help="print JSON for programs")
    made.set_defaults(command=write)


def write(wanted: argparse.Namespace) -> int:
    """Ask for the model's findings and the heuristics', and put both into the file.

    Raises:
        PlanError: the service does not answer as it should, or the file cannot be used.
    """
    known = golden.read(wanted.file).findings if wanted.file.exists() else {}
    found = ask(wanted.url.rstrip("/"), os.environ.get(KEY_VARIABLE, "").strip())
    made = golden.Golden(photo=golden.photo_sha256(), findings=dict(sorted({**known, **found}.items())))
    try:
        wanted.file.write_text(json.dumps(made.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise PlanError(f"{wanted.file} cannot be written: {error.strerror}.") from None
    if wanted.json:
        print_json({"written": str(wanted.file), "findings": sorted(found)}, None)
    else:
        runners = sorted(found)
        who = ["the heuristics" if one == golden.HEURISTIC else f"the model {printable(one, 12)}" for one in runners]
        file = printable(str(wanted.file), 400)
        print(f"Wrote {file}: what {' and '.join(who)} found on the probe photo. Check that it is right.")
    return 0


def ask(url: str, key: str = "") -> dict[str, golden.Findings]:
    """Findings by runner: of whoever answers, and of the heuristics, which a drill makes answer.

    Raises:
        PlanError: the service does not answer as it should.
    """
    keys = {"x-api-key": key} if key else {}
    found: dict[str, golden.Findings] = {}
    try:
        with client() as http:
            for extra in ({}, {DRILL_HEADER: DRILL}):
                answer = http.post(
                    url + ANALYZE,
                    files={"image": (PROBE_PHOTO.name, PROBE_PHOTO.read_bytes(), "image/png")},
                    headers={**keys, **extra},
                    timeout=ANSWER_S,
                )
                analysis = json_object(answer, f"POST {ANALYZE}")
                found[golden.source_of(analysis)] = golden.findings(analysis)
    except UnexpectedResponse as odd:
        raise PlanError(f"{url}: {odd}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PlanError(f"{url} gives no answer: {reason(error)}.") from None
    except (LookupError, TypeError, ValueError):
        raise PlanError(f"{url} answers, but not with an analysis; is it a Shine?") from None
    return found
