"""The skin bento: a photo in, findings out; over HTTP (service.py), or in one's own process (`Analyzer`)."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bentos.skin.analyzer import Analyzer
    from bentos.skin.errors import ShineError
    from bentos.skin.schema import Analysis

# Read when ONNX Runtime is first imported, after this: else it sends usage data to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "1.0.0"
__all__ = ["Analysis", "Analyzer", "ShineError", "__version__"]
_HOMES = {"Analysis": "schema", "Analyzer": "analyzer", "ShineError": "errors"}  # imported when they are first used


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
