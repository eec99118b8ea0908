"""The skin bento: a photo in, findings out."""

import os

# Read when ONNX Runtime is first imported, after this: else it sends usage data to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "1.0.0"
