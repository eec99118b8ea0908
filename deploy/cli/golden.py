"""`trail golden` writes what a running service finds on the probe photo, for the gates."""

import json
import os
from pathlib import Path

import click
import httpx

from bentos.skin.settings import DRILL, DRILL_HEADER
from deploy.cli import options
from deploy.config.plan import PlanError
from deploy.exit_codes import FINE
from deploy.findings.terminal import print_json
from deploy.gates import golden as findings_file
from deploy.gates.gate import reason
from deploy.gates.observation import ANALYZE
from deploy.gates.responses import UnexpectedResponse, json_object
from deploy.gates.target import KEY_VARIABLE, client
from deploy.image.load import PROBE_PHOTO
from deploy.text import printable

ANSWER_S = 30.0  # for one photo
FILE = Path("golden.json")


@click.command(cls=options.Command)
@click.argument("url", metavar="URL")
@click.argument("file", type=options.FILE, default=FILE)
@options.json_output
def golden(url: str, file: Path, as_json: bool) -> int:
    """Write what the service at URL finds on the probe photo to FILE (default: golden.json).

    The gates compare later answers with it. The findings of other weights in the file stay. Name the file as
    gates.golden of a phase in the plan. If the service wants an API key, set TRAIL_API_KEY.

    \b
    trail golden http://localhost:5000
    """
    known = findings_file.read(file).findings if file.exists() else {}
    answered = ask(url.rstrip("/"), os.environ.get(KEY_VARIABLE, "").strip())
    content = findings_file.Golden(
        photo=findings_file.photo_sha256(), findings=dict(sorted({**known, **answered}.items()))
    )
    try:
        file.write_text(json.dumps(content.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise PlanError(f"{file} cannot be written: {error.strerror}.") from None
    if as_json:
        print_json({"written": str(file), "findings": sorted(answered)}, None)
    else:
        runners = [
            "the heuristics" if name == findings_file.HEURISTIC else f"the model {printable(name, 12)}"
            for name in sorted(answered)
        ]
        shown = printable(str(file), 400)
        print(f"Wrote {shown}: what {' and '.join(runners)} found on the probe photo. Check that it is right.")
    return FINE


def ask(url: str, key: str = "") -> dict[str, findings_file.Findings]:
    """Findings by runner: of the one that answers, and of the heuristics, which answer in a drill.

    Raises:
        PlanError: the service does not answer as it should.
    """
    keys = {"x-api-key": key} if key else {}
    result: dict[str, findings_file.Findings] = {}
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
                result[findings_file.source_of(analysis)] = findings_file.findings(analysis)
    except UnexpectedResponse as odd:
        raise PlanError(f"{url}: {odd}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PlanError(f"{url} gives no answer: {reason(error)}.") from None
    except (LookupError, TypeError, ValueError):
        raise PlanError(f"{url} answers, but not with an analysis; is it a Shine?") from None
    return result
