"""Exports spans to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, over OTLP/HTTP; without it there are none.

BentoML makes a span of each request to each of the three services, joins them by `traceparent`, and passes ended spans
to the OpenTelemetry SDK, whose thread sends them: a request never waits for a collector, and spans that a dead
collector does not accept are dropped. The variables are OpenTelemetry's own, of its specification; its SDK reads those
that are not here (headers, certificates, compression, service name, resource attributes, batches). A value that the
SDK would replace by its default, or end on, stops the start.
"""

import logging
import math
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import trace

from bentos.skin.runtime.context import RequestContext

log = logging.getLogger("shine.gateway")

EXPORTER = "OTEL_TRACES_EXPORTER"
# Those of one signal come first: they take precedence.
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
TIMEOUTS = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
SAMPLER = "OTEL_TRACES_SAMPLER"
SAMPLERS = {prefix + name for prefix in ("", "parentbased_") for name in ("traceidratio", "always_on", "always_off")}
RATIO = "OTEL_TRACES_SAMPLER_ARG"  # share of the traces; with no sampler named, of those begun here
PROPAGATORS = "OTEL_PROPAGATORS"
COUNTS = {  # whole numbers, by the least that is allowed
    1: (
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    ),
    0: (
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
    ),
}
QUEUE, BATCH = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
QUEUE_DEFAULT, BATCH_DEFAULT = 2048, 512  # of the specification
OTHER_EXPORTERS = ("OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER")
WORKER = "BENTOML_RUNNER_MAP"  # which BentoML sets for workers alone
PROTOCOL = "http/protobuf"
TIMEOUT_S = 2  # for one export, unless it is set; the SDK's 10 s would delay the stop as well
LONG_S = 1000  # meant as milliseconds, as the specification has them
# Requested every few seconds by load balancers, scrapers and the gateway; regular expressions over the URL.
UNTRACED = [r"/(health|livez|ready|readyz|metrics|status)$"]


def tracing(environ: Mapping[str, str]) -> dict[str, Any]:
    """BentoML's `tracing` option of a service; empty, which is off, where no collector is named or no spans are wanted.

    Raises:
        SystemExit: a variable has a value that is not supported; with one sentence.
    """
    _check_what_is_always_read(environ)
    if not _is_on(environ):
        return {}
    name, value = _first(environ, PROTOCOLS)
    if value not in ("", PROTOCOL):
        raise SystemExit(f"shine: {name} is {value!r}; spans are exported by {PROTOCOL} only, port 4318.")
    name, value = _first(environ, ENDPOINTS)
    if value and not value.startswith(("http://", "https://")):  # not shown: it may have a password in it
        raise SystemExit(f"shine: {name} cannot be used: write it as URL, e.g. http://localhost:4318.")
    _check_batches(environ)
    options: dict[str, Any] = {
        "exporter_type": "otlp",
        "sample_rate": _ratio(environ),
        "excluded_urls": UNTRACED,
        # No endpoint here: the exporter reads it from the environment, and adds /v1/traces where it belongs.
        "otlp": {"protocol": "http"},
    }
    name, value = _first(environ, TIMEOUTS)
    if not value:
        options["timeout"] = TIMEOUT_S
    elif not _is_positive(value):
        raise _refusal(name, value, "it must be a number of seconds above 0")
    elif float(value) >= LONG_S and WORKER not in environ:
        log.warning(f"{name} is read in seconds, as OpenTelemetry's SDK for Python does: {value} of them are long")
    return options


def sampler_name(environ: Mapping[str, str]) -> str:
    """The sampler that OTEL_TRACES_SAMPLER names; `parentbased_traceidratio` where it names none.

    Raises:
        SystemExit: there is none of that name; with one sentence.
    """
    name = _value(environ, SAMPLER).lower() or "parentbased_traceidratio"
    if name not in SAMPLERS:
        raise _refusal(SAMPLER, name, f"known are {', '.join(sorted(SAMPLERS))}")
    return name


def describe_span(context: RequestContext) -> None:
    """Add to the request's span what the log line has and HTTP does not: source, reason, stage times, error.

    To be called before the response ends, since the span ends with it.
    """
    span = trace.get_current_span()
    if not span.get_span_context().trace_flags.sampled:
        return
    attributes = {
        "request_id": context.request_id,
        "source": context.source,
        "degraded": context.degraded,
        "reason": context.reason,
        "drill": context.drill or None,
        "error": context.error_code,
        **{f"{stage}_ms": value for stage, value in context.stages_ms.items()},
    }
    span.set_attributes({f"shine.{name}": value for name, value in attributes.items() if value is not None})


def _refusal(name: str, value: object, right: str) -> SystemExit:
    return SystemExit(f"shine: {name} is {value!r}, which cannot be used: {right}.")


def _value(environ: Mapping[str, str], name: str) -> str:
    """Empty where it is not set: the specification makes no difference."""
    return environ.get(name, "").strip()


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """The first of these variables that is set, and its value; empty where none is."""
    return next(((name, value) for name in names if (value := _value(environ, name))), (names[0], ""))


def _is_on(environ: Mapping[str, str]) -> bool:
    """Whether spans are exported: to a named collector, or as `otlp` to the one on this host.

    Raises:
        SystemExit: OTEL_TRACES_EXPORTER names an exporter that is not here.
    """
    if _value(environ, "OTEL_SDK_DISABLED").lower() == "true":
        return False
    exporters = {name.strip().lower() for name in environ.get(EXPORTER, "").split(",")} - {""}
    if exporters - {"otlp", "none"}:
        raise _refusal(EXPORTER, environ[EXPORTER], "known are otlp, and none for no spans")
    for name in OTHER_EXPORTERS:
        if _value(environ, name).lower() not in ("", "none") and WORKER not in environ:  # once, not in each process
            log.warning(f"{name} has no effect: metrics are at /metrics, logs on standard error")
    if exporters:
        return "otlp" in exporters
    return bool(_first(environ, ENDPOINTS)[1])


def _check_what_is_always_read(environ: Mapping[str, str]) -> None:
    """Check what the SDK reads although no spans are exported.

    Raises:
        SystemExit: with one sentence.
    """
    sampler_name(environ)
    for least, counts in COUNTS.items():
        for name in counts:
            _count(environ, name, least)
    if names := _value(environ, PROPAGATORS):
        known = {point.name for point in entry_points(group="opentelemetry_propagator")} | {"none"}
        if {name.strip() for name in names.split(",")} - known:
            raise _refusal(PROPAGATORS, names, f"known are {', '.join(sorted(known))}")


def _check_batches(environ: Mapping[str, str]) -> None:
    queue = _count(environ, QUEUE, 1) or QUEUE_DEFAULT
    batch = _count(environ, BATCH, 1) or BATCH_DEFAULT
    if batch > queue:
        raise _refusal(BATCH, batch, f"it must not be more than {QUEUE}, which is {queue}")


def _count(environ: Mapping[str, str], name: str, least: int) -> int | None:
    text = _value(environ, name)
    if not text:
        return None
    if not text.isdecimal() or int(text) < least:
        raise _refusal(name, text, f"it must be a whole number from {least} on")
    return int(text)


def _is_positive(text: str) -> bool:
    """Whether it is a timeout: OpenTelemetry's SDK for Python reads seconds, the specification has milliseconds."""
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _ratio(environ: Mapping[str, str]) -> float:
    """The share of traces that are exported, by the sampler's name and its argument.

    Raises:
        SystemExit: the argument is no share.
    """
    name = sampler_name(environ)
    if not name.endswith("traceidratio"):
        return 0.0 if name.endswith("always_off") else 1.0
    text = _value(environ, RATIO) or "1"
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SystemExit(f"shine: {RATIO} is {text!r}, which is not a share of traces from 0 to 1.")
    return share
