"""Where spans go: to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, over OTLP/HTTP; nowhere while it is unset.

BentoML makes a span of each request to each of the three services, joins them by `traceparent`, and hands ended spans
to the OpenTelemetry SDK, whose thread sends them: a request never waits for a collector, and what a dead one does not
take is dropped. The names are OpenTelemetry's own, its SDK reads the rest of them (headers, certificate, compression).
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace

from bentos.skin.runtime.context import RequestContext

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
TIMEOUTS = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
RATIO = "OTEL_TRACES_SAMPLER_ARG"  # share of the traces begun here; a caller's own decision goes before it
SPOKEN = "http/protobuf"
TIMEOUT_S = 2  # for one export, unless told otherwise; the SDK's 10 s would be waited at a stop too
# Asked every few seconds by load balancers, scrapers and the gateway's own watch; regular expressions over the URL.
UNTRACED = [r"/(health|livez|ready|readyz|metrics|status)$"]


def tracing(environ: Mapping[str, str]) -> dict[str, Any]:
    """BentoML's `tracing` option of a service; empty, which is off, where no collector is named.

    Raises:
        SystemExit: the protocol is not the one spoken here, or the ratio is no share; with one sentence.
    """
    if not any(environ.get(name, "").strip() for name in ENDPOINTS):
        return {}
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return {}
    for name in PROTOCOLS:
        if environ.get(name, "").strip() not in ("", SPOKEN):
            raise SystemExit(f"shine: {name} is {environ[name]!r}; spans are exported by {SPOKEN} only, port 4318.")
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
    """Write on the request's span what its log line says and HTTP does not: source, reason, stage times, error.

    To be called before the answer ends, since the span ends with it.
    """
    span = trace.get_current_span()
    if not span.get_span_context().trace_flags.sampled:
        return
    told = {
        "request_id": context.request_id,
        "source": context.source,
        "degraded": context.degraded,
        "reason": context.reason,
        "drill": context.drill or None,
        "error": context.error_code,
        **{f"{stage}_ms": value for stage, value in context.stages_ms.items()},
    }
    span.set_attributes({f"shine.{name}": value for name, value in told.items() if value is not None})


def _ratio(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SystemExit(f"shine: {RATIO} is {text!r}, which is not a share of traces from 0 to 1.")
    return share
