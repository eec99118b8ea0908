"""Metrics with bounded labels, and one log line per request, without photo content."""

import logging
from collections import Counter
from typing import Literal

from bentos.skin.cgroup import Memory
from bentos.skin.runtime import emf
from bentos.skin.runtime.context import RequestContext
from bentos.skin.schema import Analysis
from bentos.skin.settings import HEALTH_PATH, Settings

REQUESTS = logging.getLogger("shine.request")
STAGE_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2, 5, 10)
LOAD_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
SCORE_BUCKETS = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
COUNT_BUCKETS = (0, 1, 2, 5, 10, 20, 35, 50, 100)
SHARE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
PHOTO_PATHS = frozenset({"/analyze", "/analyze_base64", "/analyze_batch", "/overlay", "/quality"})
PROBED = frozenset({HEALTH_PATH, "/livez", "/ready", "/readyz", "/metrics"})
MODEL_STATES = ("disabled", "loading", "degraded", "ready")
BREAKER_STATES = ("closed", "half_open", "open")


class Telemetry:
    """The metrics of a gateway process.

    To be created after BentoML has set PROMETHEUS_MULTIPROC_DIR, that is in a service's `__init__`: prometheus_client
    decides at its first import whether metrics are merged over processes. Gauges have the mode "mostrecent": the file
    of a killed process remains, and with "max" its last value would count for ever.

    Args:
        settings: of this process.
    """

    def __init__(self, settings: Settings) -> None:
        from prometheus_client import Counter as Count
        from prometheus_client import Gauge, Histogram

        self._settings = settings

        self.answers: Counter[str] = Counter(model=0, heuristic=0, refused=0)
        self._requests = Count("shine_requests", "Requests", ["endpoint", "status", "source", "degraded"])
        self._seconds = Histogram("shine_request_seconds", "Seconds per request", ["endpoint"], buckets=STAGE_BUCKETS)
        # A drill causes on purpose what alarms report, so it is counted here and nowhere else.
        self._drills = Count(
            "shine_drills", "Requests that asked to be answered without the model", ["endpoint", "status"]
        )
        self._answers = Count("shine_answers", "Photos answered or refused", ["source", "reason"])
        self._stages = Histogram("shine_stage_seconds", "Seconds per photo by stage", ["stage"], buckets=STAGE_BUCKETS)
        self._errors = Count("shine_errors", "Errors answered, items of a batch included", ["code"])
        self._last_resort = Count("shine_last_resort", "Photos measured in the gateway's own process", ["reason"])
        self._breaker = Gauge(
            "shine_breaker_state", "0 closed, 1 half open, 2 open", ["runner"], multiprocess_mode="mostrecent"
        )
        self._model = Gauge(
            "shine_model_state", "1 for the state the model is in", ["state"], multiprocess_mode="mostrecent"
        )
        self._memory = Gauge("shine_memory_bytes", "Memory of the container in use", multiprocess_mode="mostrecent")
        self._memory_limit = Gauge(
            "shine_memory_limit_bytes", "Memory the container may use, 0 for no limit", multiprocess_mode="mostrecent"
        )
        # To detect drift: properties of photos and findings.
        self._faces = Count("shine_photos", "Photos analysed", ["face"])
        self._quality = Histogram("shine_quality_score", "Quality of photos", buckets=SHARE_BUCKETS)
        self._issues = Count("shine_quality_issues", "Quality issues seen", ["issue"])
        self._scores = Histogram("shine_concern_score", "Scores by concern", ["concern"], buckets=SCORE_BUCKETS)
        self._unjudged = Count("shine_concern_unjudged", "Concerns that could not be judged", ["concern", "reason"])
        self._counts = Histogram("shine_lesion_count", "Lesion counts", buckets=COUNT_BUCKETS)

    def answered(self, analysis: Analysis) -> None:
        """A photo was analysed."""
        self.answers[analysis.source] += 1
        self._answers.labels(analysis.source, analysis.reason or "").inc()
        for stage, milliseconds in analysis.timing_ms.model_dump().items():
            self._stages.labels(stage).observe(milliseconds / 1000)
        self._faces.labels("none" if analysis.face is None else "found").inc()
        if analysis.quality.score is not None:
            self._quality.observe(analysis.quality.score)
        for issue in analysis.quality.issues:
            self._issues.labels(issue).inc()
        for name in type(analysis.concerns).model_fields:
            concern = getattr(analysis.concerns, name)
            if concern.score is None:
                self._unjudged.labels(name, concern.reason).inc()
            else:
                self._scores.labels(name).observe(concern.score)
        if analysis.concerns.acne.count is not None:
            self._counts.observe(analysis.concerns.acne.count)

    def refused(self) -> None:
        """The model was required and did not answer."""
        self.answers["refused"] += 1
        self._answers.labels("refused", "model_unavailable").inc()

    def photo_refused(self, code: str) -> None:
        """One photo of a batch was answered with an error."""
        self._errors.labels(code).inc()

    def last_resort(self, reason: str) -> None:
        """The heuristic runner did not answer; the gateway measured a photo itself."""
        self._last_resort.labels(reason).inc()

    def breakers(self, **states: Literal["closed", "open", "half_open"]) -> None:
        """Set the breakers' states, by runner."""
        for runner, state in states.items():
            self._breaker.labels(runner).set(BREAKER_STATES.index(state))

    def model_state(self, state: str) -> None:
        """Set the model's state, as it is for the next photo."""
        for name in MODEL_STATES:
            self._model.labels(name).set(name == state)

    def memory(self, memory: Memory | None) -> None:
        """Set the container's memory; None where it is not known."""
        if memory is not None:
            self._memory.set(memory.used)
            self._memory_limit.set(memory.limit)

    def request(self, context: RequestContext, method: str, status: int, seconds: float) -> None:
        """Count a request that has ended, and write its log line."""
        if context.drill:
            self._drills.labels(context.endpoint, str(status)).inc()
        else:
            degraded = "" if context.degraded is None else str(context.degraded).lower()
            self._requests.labels(context.endpoint, str(status), context.source or "", degraded).inc()
            self._seconds.labels(context.endpoint).observe(seconds)
            if context.error_code is not None:
                self._errors.labels(context.error_code).inc()
        level = logging.INFO
        if status >= 500:
            level = logging.WARNING if status in (503, 504) else logging.ERROR
        elif context.endpoint in PROBED and status < 400:
            level = logging.DEBUG  # load balancers and scrapers send one every few seconds
        fields = {
            "request_id": context.request_id,
            "trace_id": context.trace_id,
            "method": method,
            "endpoint": context.endpoint,
            "status": status,
            "ms": round(1000 * seconds, 1),
            "photos": context.photos,
            "source": context.source,
            "degraded": context.degraded,
            "reason": context.reason,
            "drill": context.drill or None,
            "error": context.error_code,
            "stages_ms": context.stages_ms or None,
        }
        if self._settings.log_emf and method == "POST" and context.endpoint in PHOTO_PATHS and not context.drill:
            fields |= emf.embedded(context, self._settings.phase, status, seconds)
        REQUESTS.log(level, "request", extra={"fields": fields})


class LoadTelemetry:
    """The metrics of the model runner: an `Observer` of its lifecycle. To be created like `Telemetry`."""

    def __init__(self) -> None:
        from prometheus_client import Counter as Count
        from prometheus_client import Gauge, Histogram

        self._attempts = Count("shine_model_load_attempts", "Attempts to load weights", ["outcome"])
        self._seconds = Histogram("shine_model_load_seconds", "Seconds per attempt", buckets=LOAD_BUCKETS)
        self._bytes = Count("shine_weights_bytes", "Bytes of weights fetched over the network")
        self._swaps = Count("shine_model_swaps", "Times that weights went into service")
        self._failing = Gauge(
            "shine_model_load_failing", "1 when the last attempt to load weights failed", multiprocess_mode="mostrecent"
        )

    def loaded(self, outcome: str, seconds: float) -> None:
        """An attempt ended: "ok", or the reason code of its failure."""
        self._attempts.labels(outcome).inc()
        self._seconds.observe(seconds)
        self._failing.set(outcome != "ok")

    def fetched(self, count: int) -> None:
        """Bytes of weights were received."""
        self._bytes.inc(count)

    def swapped(self) -> None:
        """Another version went into service."""
        self._swaps.inc()
