"""Gates about the model: its state, its metrics, where it came from and at what cost."""

from botocore.exceptions import ClientError

from bentos.skin.model.bundle import MANIFEST, MAX_MANIFEST_BYTES, BundleError, parse
from bentos.skin.model.pointer import CURRENT, MAX_POINTER_BYTES, PIN_SHOWN, pointer
from deploy.config.plan import Weights
from deploy.gates.gate import GateOutcome, failed, passed
from deploy.gates.observation import Observation
from deploy.gates.replies import Unexpected, metric
from deploy.gates.target import LiveTarget
from deploy.text import printable

# Of each, one that is there once a task has answered a photo.
FAMILIES = (
    "shine_requests_total",
    "shine_answers_total",
    "shine_stage_seconds_count",
    "shine_model_state",
    "shine_breaker_state",
)
FETCHED = "shine_weights_bytes_total"
ABSENT = frozenset({"NoSuchKey", "404"})


def model_state(live: LiveTarget, seen: Observation) -> GateOutcome:
    """/ml/status tells a state that can be: a model that is ready has a name, one that is not has a reason."""
    told, model = seen.status, seen.model
    state = told.get("state")
    value = {"state": state, "reason": told.get("reason"), "phase": told.get("phase")}
    limit = {"state": ["ready", "degraded"], "phase": live.phase}
    if told.get("phase") != live.phase:
        return failed(
            f"/ml/status tells phase {printable(str(told.get('phase')), 40)}, not {live.phase}.", value, limit
        )
    if state not in limit["state"]:
        return failed(
            f"The model is {printable(str(state), 40)}; it should be ready, or degraded with a reason.", value, limit
        )
    if state == "ready":
        if model is None or not all(model.get(name) for name in ("name", "version", "sha256")):
            return failed("The model is ready, but /ml/status does not tell which one it is.", value, limit)
        return passed(
            f"The model is ready: {printable(str(model['name']))} {printable(str(model['version']))}.", value, limit
        )
    if told.get("reason") is None and told.get("breaker") == "closed":
        return failed("The model is degraded, but /ml/status gives no reason.", value, limit)
    return passed(f"The model is degraded ({_reason(seen)}); the heuristics answer, marked.", value, limit)


def metrics(_: LiveTarget, seen: Observation) -> GateOutcome:
    """/metrics holds the service's own: requests, answers, stages, the model's and the breakers' state."""
    found = [name for name in FAMILIES if metric(seen.metrics, name) is not None]
    if missing := [name for name in FAMILIES if name not in found]:
        return failed(
            f"/metrics lacks {', '.join(missing)}: no photo was answered by that task, or something else answers.",
            found,
            list(FAMILIES),
        )
    return passed(
        "/metrics tells requests, answers, stage times, the model's and the breakers' state.", found, list(FAMILIES)
    )


def model_from_s3(live: LiveTarget, seen: Observation) -> GateOutcome:
    """The loaded model is the one that the plan pins, and came from where the plan says."""
    planned, model = _weights(live), seen.model
    value = None if model is None else {"sha256": model.get("sha256"), "source": model.get("source")}
    limit = {"sha256": planned.sha256, "source": planned.uri}
    if model is None:
        return failed(f"No model is loaded ({_reason(seen)}).", value, limit)
    if model.get("sha256") != planned.sha256:
        found = printable(str(model.get("sha256")), PIN_SHOWN)
        return failed(f"The loaded model is {found}, the plan pins {planned.sha256[:PIN_SHOWN]}….", value, limit)
    source = str(model.get("source"))
    if source != planned.uri and not source.startswith(planned.uri.rstrip("/") + "/"):
        return failed(f"The loaded model comes from {printable(source)}, not from {planned.uri}.", value, limit)
    return passed(f"The model {planned.sha256[:PIN_SHOWN]}… is loaded from {planned.uri}.", value, limit)


def cached(live: LiveTarget, seen: Observation) -> GateOutcome:
    """A task has fetched its weights once at the most, and has them loaded.

    A task counts what its processes fetch for as long as it lives, so this shows that a runner which was started anew
    took them from the task's own disk. That a new start of the whole container does so too only a restart with the
    same disk can show, which Fargate does not offer: each task has a disk of its own and fetches once.
    """
    if seen.model is None:
        return failed(f"No model is loaded ({_reason(seen)}).")
    fetched, limit = metric(seen.metrics, FETCHED), bundle_bytes(live)
    if fetched is None:
        return failed(f"/metrics does not tell {FETCHED}.", None, limit)
    if fetched > limit:
        return failed(
            f"The task that answered has fetched {fetched:,.0f} bytes of weights, more than one bundle of {limit:,}: "
            "its cache does not hold. Can SHINE_CACHE_DIR be written?",
            fetched,
            limit,
        )
    return passed(
        f"The task that answered has fetched {fetched:,.0f} bytes of weights, one bundle at the most.", fetched, limit
    )


def bundle_bytes(live: LiveTarget) -> int:
    """What one start fetches at the most: pointer, manifest and the files that it lists.

    Raises:
        Unexpected: the manifest cannot be read.
        ClientError: S3 refuses.
    """
    planned = _weights(live)
    bucket, _, prefix = planned.uri.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    try:
        told = _small(live, bucket, f"{prefix}/{CURRENT}", MAX_POINTER_BYTES)
        if told is not None:
            live_version = pointer(told, planned.uri)
            prefix = (
                f"{prefix}/{live_version.folder}"
                if live_version.sha256 == planned.sha256
                else _pinned(live, bucket, prefix)
            )
        manifest = _small(live, bucket, f"{prefix}/{MANIFEST}", MAX_MANIFEST_BYTES)
        if manifest is None:
            raise Unexpected(f"There is no {MANIFEST} in s3://{bucket}/{prefix}.")
        return len(told or b"") + len(manifest) + sum(one.size for one in parse(manifest).files.values())
    except BundleError as error:
        raise Unexpected(f"The weights in {planned.uri} cannot be read: {error.message}") from None


def _pinned(live: LiveTarget, bucket: str, prefix: str) -> str:
    """The folder of the pinned version, as bentos/skin/model/s3.py finds it."""
    planned = _weights(live)
    pages = live.clients["s3"].get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket, Prefix=f"{prefix}/".lstrip("/"), Delimiter="/"):
        for one in page.get("CommonPrefixes", []):
            if one["Prefix"].endswith(f"-{planned.sha256[:PIN_SHOWN]}/"):
                return str(one["Prefix"]).rstrip("/")
    raise Unexpected(f"The pinned version {planned.sha256[:PIN_SHOWN]}… is not in {planned.uri}.")


def _small(live: LiveTarget, bucket: str, key: str, most: int) -> bytes | None:
    try:
        body = live.clients["s3"].get_object(Bucket=bucket, Key=key.lstrip("/"))["Body"]
    except ClientError as error:
        if error.response["Error"].get("Code") in ABSENT:
            return None
        raise
    found: bytes = body.read(most)
    return found


def _weights(live: LiveTarget) -> Weights:
    if live.plan.weights is None:
        raise Unexpected(
            "The plan names no weights; weights.uri and weights.sha256 say which ones phase foundation loads."
        )
    return live.plan.weights


def _reason(seen: Observation) -> str:
    error = seen.status.get("last_error")
    message = (
        printable(str(error["message"]), 160).rstrip(".") if isinstance(error, dict) and "message" in error else ""
    )
    reason = printable(str(seen.status.get("reason") or f"circuit {seen.status.get('breaker')}"), 40)
    return f"{reason}: {message}" if message and reason != "None" else reason
