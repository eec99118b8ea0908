"""A photo is sent, for an image may start, be healthy, and fall at the first one: out of memory, or by an import."""

import time
from collections.abc import Iterator
from typing import Any

from deploy.config.image_contract import Contract
from deploy.findings.finding import Finding, fail, ok, skip
from deploy.image.container import Container
from deploy.image.load import PROBE_PHOTO, send

ANALYZE = "/analyze"
KEYS = "SHINE_API_KEYS"
KEY_WANTED = (401, 403)
NO_MODEL_YET = "model_unavailable"  # where the plan demands one: the weights are not reached from here


def photo(running: Container, contract: Contract, settings: dict[str, str]) -> Iterator[Finding]:
    """The probe photo is answered with findings.

    Args:
        running: listens on the contract's port.
        contract: of the image.
        settings: what the container was given.
    """
    if not any(one.path == ANALYZE for one in contract.endpoints):
        yield skip("TRIAL_PHOTO", f"The image's contract tells of no {ANALYZE}: no photo was sent.")
        return
    keys = settings.get(KEYS, "").replace(",", " ").split()
    began = time.monotonic()
    status, body = send(running.url, PROBE_PHOTO.read_bytes(), {"x-api-key": keys[0]} if keys else {})
    seconds, code = time.monotonic() - began, _code(body)
    places = [(f"container: POST {ANALYZE}", status), ("container: error", code)]
    if status == 200:
        yield ok("TRIAL_PHOTO", f"A photo is answered after {seconds:.1f} s, source {body.get('source')}.", *places[:1])
    elif status in KEY_WANTED or (status == 503 and code == NO_MODEL_YET):
        why = (
            "a key that is not known here" if status in KEY_WANTED else "the model, whose weights are not reached here"
        )
        yield skip("TRIAL_PHOTO", f"A photo was sent, and its answer needs {why}.", *places)
    elif running.inspect()["State"]["Status"] == "running":
        last = running.logs().strip().splitlines()[-1:]
        yield fail(
            "TRIAL_PHOTO_FAILED",
            f"A photo is answered {status or 'not at all'}{f' ({code})' if code else ''}; the container's last words: "
            f"{''.join(last)[-300:] or '(none)'}",
            *places,
            repair=f"Run the image by hand and send it a photo: curl -F image=@photo.jpg localhost:5000{ANALYZE}",
        )


def _code(body: dict[str, Any]) -> str | None:
    error = body.get("error")
    return str(error.get("code") if isinstance(error, dict) else error)[:200] if error else None
