"""Exports spans to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, over OTLP/HTTP; without it there are none.

BentoML makes a span of each request to each of the three services, joins them by `traceparent`, and passes ended spans
to the OpenTelemetry SDK, whose thread sends them: a request never waits for a collector, and spans that a dead
collector does not accept are dropped. The variables are OpenTelemetry's own; its SDK reads the others (headers,
certificate, compression).
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace

from bentos.skin.runtime.context import RequestContext

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
TIMEOUTS = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
RATIO = "OTEL_TRACES_SAMPLER_ARG"  # share of the traces begun here; the decision of a caller takes precedence
PROTOCOL = "http/protobuf"
TIMEOUT_S = 2  # for one export, unless it is set; the SDK's 10 s would delay the stop as well
# Requested every few seconds by load balancers, scrapers and the gateway; regular expressions over the URL.
UNTRACED = [r"/(health|livez|ready|readyz|metrics|status)$"]


def tracing(environ: Mapping[str, str]) -> dict[str, Any]:
    """BentoML's `tracing` option of a service; empty, which is off, where no collector is named.

    Raises:
        SystemExit: the protocol is not supported, or the ratio is no share; with one sentence.
    """
    if not any(environ.get(name, "").strip() for name in ENDPOINTS):
        return {}
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return {}
    for name in PROTOCOLS:
        if environ.get(name, "").strip() not in ("", PROTOCOL):
            raise SystemExit(f"shine: {name} is {environ[name]!r}; spans are exported by {PROTOCOL} only, port 4318.")
    options: dict[str, Any] = {
        "exporter_type": "otlp",
        "sample_rate": _ratio(environ.get(RATIO, "").strip() or "1"),
        "excluded_urls": UNTRACED,
        # No endpoint here: the exporter reads it from the environment, and adds /v1/traces where it belongs.
        "otlp": {"protocol": "http"},
    }
    if not any(environ.get(name, "").strip() for name in TIMEOUTS):
        options["timeout"] = TIMEOUT_S
    return options


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


def _ratio(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SystemExit(f"shine: {RATIO} is {text!r}, which is not a share of traces from 0 to 1.")
    return share
