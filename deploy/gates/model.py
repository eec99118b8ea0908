"""Gates on the model: its state, its metrics, and its weights."""

from botocore.exceptions import ClientError

from bentos.skin.model.bundle import MANIFEST, MAX_MANIFEST_BYTES, BundleError, parse
from bentos.skin.model.pointer import CURRENT, MAX_POINTER_BYTES, PIN_SHOWN, pointer
from deploy.config.plan import Weights
from deploy.gates.gate import GateOutcome, failed, passed
from deploy.gates.observation import Observation
from deploy.gates.responses import UnexpectedResponse, metric
from deploy.gates.target import LiveTarget
from deploy.text import printable

# Each of these exists once a task has analysed a photo.
FAMILIES = (
    "shine_requests_total",
    "shine_answers_total",
    "shine_stage_seconds_count",
    "shine_model_state",
    "shine_breaker_state",
)
FETCHED = "shine_weights_bytes_total"
ABSENT = frozenset({"NoSuchKey", "404"})


def model_state(live: LiveTarget, observation: Observation) -> GateOutcome:
    """/ml/status is consistent: a ready model has a name, version and sha256, one that is not ready has a reason."""
    status, model = observation.status, observation.model
    state = status.get("state")
    value = {"state": state, "reason": status.get("reason"), "phase": status.get("phase")}
    limit = {"state": ["ready", "degraded"], "phase": live.phase}
    if status.get("phase") != live.phase:
        return failed(
            f"/ml/status reports phase {printable(str(status.get('phase')), 40)}, not {live.phase}.", value, limit
        )
    if state not in limit["state"]:
        return failed(
            f"The model is {printable(str(state), 40)}; it should be ready, or degraded with a reason.", value, limit
        )
    if state == "ready":
        if model is None or not all(model.get(name) for name in ("name", "version", "sha256")):
            return failed("The model is ready, but /ml/status does not name it.", value, limit)
        return passed(
            f"The model is ready: {printable(str(model['name']))} {printable(str(model['version']))}.", value, limit
        )
    if status.get("reason") is None and status.get("breaker") == "closed":
        return failed("The model is degraded, but /ml/status gives no reason.", value, limit)
    return passed(
        f"The model is degraded ({_reason(observation)}); the heuristics answer, and responses say so.", value, limit
    )


def metrics(_: LiveTarget, observation: Observation) -> GateOutcome:
    """/metrics has the service's metrics: requests, answers, stages, state of the model and of the circuit breakers."""
    present = [name for name in FAMILIES if metric(observation.metrics, name) is not None]
    if missing := [name for name in FAMILIES if name not in present]:
        return failed(
            f"/metrics lacks {', '.join(missing)}: that task has analysed no photo, or something else answers.",
            present,
            list(FAMILIES),
        )
    return passed(
        "/metrics has requests, answers, stage times, and the state of the model and of the circuit breakers.",
        present,
        list(FAMILIES),
    )


def model_from_s3(live: LiveTarget, observation: Observation) -> GateOutcome:
    """The loaded model is the one that the plan pins, and comes from the plan's URI."""
    planned, model = _weights(live), observation.model
    value = None if model is None else {"sha256": model.get("sha256"), "source": model.get("source")}
    limit = {"sha256": planned.sha256, "source": planned.uri}
    if model is None:
        return failed(f"No model is loaded ({_reason(observation)}).", value, limit)
    if model.get("sha256") != planned.sha256:
        loaded = printable(str(model.get("sha256")), PIN_SHOWN)
        return failed(f"The loaded model is {loaded}, the plan pins {planned.sha256[:PIN_SHOWN]}….", value, limit)
    source = str(model.get("source"))
    if source != planned.uri and not source.startswith(planned.uri.rstrip("/") + "/"):
        return failed(f"The loaded model comes from {printable(source)}, not from {planned.uri}.", value, limit)
    return passed(f"The model {planned.sha256[:PIN_SHOWN]}… is loaded from {planned.uri}.", value, limit)


def cached(live: LiveTarget, observation: Observation) -> GateOutcome:
    """A task has fetched its weights at most once, and has loaded them.

    A task counts the bytes that all its processes fetch, so this proves that a restarted runner reads the weights from
    the task's disk. It does not prove that for a restarted container: on Fargate each task has a new disk.
    """
    if observation.model is None:
        return failed(f"No model is loaded ({_reason(observation)}).")
    fetched, limit = metric(observation.metrics, FETCHED), bundle_bytes(live)
    if fetched is None:
        return failed(f"/metrics lacks {FETCHED}.", None, limit)
    if fetched > limit:
        return failed(
            f"The task that answered has fetched {fetched:,.0f} bytes of weights, more than one bundle of {limit:,}: "
            "the cache is not used. Is SHINE_CACHE_DIR writable?",
            fetched,
            limit,
        )
    return passed(
        f"The task that answered has fetched {fetched:,.0f} bytes of weights, at most one bundle.", fetched, limit
    )


def bundle_bytes(live: LiveTarget) -> int:
    """Largest number of bytes that one start fetches: pointer, manifest and the files that it lists.

    Raises:
        UnexpectedResponse: the manifest cannot be read.
        ClientError: S3 refuses.
    """
    planned = _weights(live)
    bucket, _, prefix = planned.uri.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    try:
        current = _read(live, bucket, f"{prefix}/{CURRENT}", MAX_POINTER_BYTES)
        if current is not None:
            live_version = pointer(current, planned.uri)
            prefix = (
                f"{prefix}/{live_version.folder}"
                if live_version.sha256 == planned.sha256
                else _pinned(live, bucket, prefix)
            )
        manifest = _read(live, bucket, f"{prefix}/{MANIFEST}", MAX_MANIFEST_BYTES)
        if manifest is None:
            raise UnexpectedResponse(f"There is no {MANIFEST} in s3://{bucket}/{prefix}.")
        return len(current or b"") + len(manifest) + sum(file.size for file in parse(manifest).files.values())
    except BundleError as error:
        raise UnexpectedResponse(f"The weights in {planned.uri} cannot be read: {error.message}") from None


def _pinned(live: LiveTarget, bucket: str, prefix: str) -> str:
    """The folder of the pinned version; bentos/skin/model/s3.py finds it in the same way."""
    planned = _weights(live)
    pages = live.clients["s3"].get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket, Prefix=f"{prefix}/".lstrip("/"), Delimiter="/"):
        for item in page.get("CommonPrefixes", []):
            if item["Prefix"].endswith(f"-{planned.sha256[:PIN_SHOWN]}/"):
                return str(item["Prefix"]).rstrip("/")
    raise UnexpectedResponse(f"The pinned version {planned.sha256[:PIN_SHOWN]}… is not in {planned.uri}.")


def _read(live: LiveTarget, bucket: str, key: str, most: int) -> bytes | None:
    """Up to `most` bytes of an object in S3; None if there is none."""
    try:
        body = live.clients["s3"].get_object(Bucket=bucket, Key=key.lstrip("/"))["Body"]
    except ClientError as error:
        if error.response["Error"].get("Code") in ABSENT:
            return None
        raise
    content: bytes = body.read(most)
    return content


def _weights(live: LiveTarget) -> Weights:
    if live.plan.weights is None:
        raise UnexpectedResponse("The plan names no weights; phase foundation needs weights.uri and weights.sha256.")
    return live.plan.weights


def _reason(observation: Observation) -> str:
    error = observation.status.get("last_error")
    message = (
        printable(str(error["message"]), 160).rstrip(".") if isinstance(error, dict) and "message" in error else ""
    )
    reason = printable(str(observation.status.get("reason") or f"circuit {observation.status.get('breaker')}"), 40)
    return f"{reason}: {message}" if message and reason != "None" else reason
