"""Metrics inside a log line, in CloudWatch's Embedded Metric Format: CloudWatch Logs extracts them, without an agent.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import time
from typing import Any

from bentos.skin.runtime.context import RequestContext

NAMESPACE = "Shine"
# Each metric is billed once for each value of its dimensions: here one dimension, with four values. The other fields of
# the line (reason, stage times, trace id) can be queried with Logs Insights at no extra cost.
DIMENSION = "phase"
QUALITY_PATH = "/quality"


def embedded(context: RequestContext, phase: str, status: int, seconds: float) -> dict[str, Any]:
    """The metrics of a photo request, as fields of its log line.

    Latency (milliseconds) covers answers and failures, not refusals (4xx) nor assessments of quality, which are quick
    and would lower it; Degraded is present once a photo was analysed. Counts are 0 or 1: their average is a ratio.

    Args:
        context: of the request.
        phase: of the service.
        status: of the response.
        seconds: from the head of the request to the end of the response.
    """
    metrics: dict[str, tuple[float, str]] = {
        "Photos": (context.photos, "Count"),
        "ServerErrors": (int(status >= 500), "Count"),
        "ClientErrors": (int(400 <= status < 500), "Count"),
        "Overloaded": (int(status == 429), "Count"),
    }
    if not 400 <= status < 500 and context.endpoint != QUALITY_PATH:
        metrics["Latency"] = (round(1000 * seconds, 1), "Milliseconds")
    if context.degraded is not None:
        metrics["Degraded"] = (int(context.degraded), "Count")
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[DIMENSION]],
        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in metrics.items()],
    }
    return {
        "_aws": {"Timestamp": int(1000 * time.time()), "CloudWatchMetrics": [directive]},
        DIMENSION: phase,
        **{name: value for name, (value, _) in metrics.items()},
    }
