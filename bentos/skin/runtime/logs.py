"""Log lines: one JSON object each, with the ids of the current request; or text for people."""

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Literal

from bentos.skin.runtime.context import ids


def _is_expected(kind: type[BaseException] | None) -> bool:
    """Whether an exception is no error, so that BentoML's stack trace is left out: no model yet, or a call given up."""
    return kind is not None and kind.__name__ in ("ModelNotReady", "ClientDisconnect")


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in getattr(record, "fields", {}).items() if value is not None}
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **ids(),
            **fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """One line of text per record, for people at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        pairs = [f"{name}={value}" for name, value in fields.items() if value is not None and name != "stages_ms"]
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = " ".join([clock, record.levelname.lower(), record.getMessage(), *pairs])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging(log_format: Literal["json", "text"]) -> None:
    """Write all log lines of this process to standard error in one format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    handler.addFilter(lambda record: not (record.exc_info and _is_expected(record.exc_info[0])))
    logging.getLogger().handlers = [handler]
    for name in ("shine", "bentoml", "uvicorn", "circus"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    # A malformed form is answered with an error, which the request's own line has.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("shine").setLevel(logging.INFO)
    logging.getLogger("uvicorn.access").disabled = True  # replaced by the line of the request
