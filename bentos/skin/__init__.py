"""The skin bento: a photo in, findings out; over HTTP (service.py), or in one's own process (`Analyzer`)."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bentos.skin.analyzer import Analyzer

# Read when ONNX Runtime is first imported, after this: else it sends usage data to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "1.0.0"
__all__ = ["Analyzer", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Analyzer":  # imported when it is first used: the server does without it
        from bentos.skin.analyzer import Analyzer

        return Analyzer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
