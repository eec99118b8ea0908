"""The model's state: disabled, or loading → ready ⇄ degraded. State is data, never an exception at start."""

import threading
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

import bentoml
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from bentos.skin.findings import Learned
from bentos.skin.model import engine
from bentos.skin.model.bundle import BundleError
from bentos.skin.photo.crop import CROP_SIZE
from bentos.skin.schema import ModelInfo
from bentos.skin.settings import Settings

State = Literal["disabled", "loading", "ready", "degraded"]


class ModelNotReady(bentoml.exceptions.BentoMLException):  # type: ignore[misc]  # BentoML is untyped to mypy
    """The runner lives and has no model; the message is the reason code.

    424, because it must not look like 503, which is how BentoML says "overloaded", and because this class survives the
    hop to the gateway with a status of its own.
    """

    error_code = HTTPStatus.FAILED_DEPENDENCY


class LastError(BaseModel):
    """The last thing that went wrong."""

    code: str
    message: str
    at: str


class LoadedModel(ModelInfo):
    """What is loaded, and from where."""

    source: str
    loaded_at: str
    engine: str
    input_size: int


class ModelStatus(BaseModel):
    """The runner's own account of itself, as it crosses to the gateway."""

    model_config = ConfigDict(protected_namespaces=())

    state: State
    reason: str | None
    model: LoadedModel | None
    attempts: int
    last_error: LastError | None
    next_retry_s: float | None
    batches: int
    photos: int
    metrics: dict[str, Any] | None  # measured accuracy of what is loaded


def now() -> str:
    """The time as RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Lifecycle:
    """Loads the engine in a thread, so that the start never blocks and never raises.

    Args:
        settings: where the weights are.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine: engine.Engine | None = None
        self._attempts = 0
        self._batches = 0
        self._photos = 0
        self._last_error: LastError | None = None
        self._loaded: LoadedModel | None = None
        self._state: State = "loading" if settings.wants_model else "disabled"
        self._reason: str | None = "model_loading" if settings.wants_model else "model_disabled"

    def start(self) -> None:
        """Begin to load, unless the phase wants no model."""
        if self._state == "loading":
            threading.Thread(target=self._load, name="model-load", daemon=True).start()

    def _load(self) -> None:
        self._attempts += 1
        try:
            loaded = engine.load(self._settings)
        except BundleError as error:
            self._fail(error.reason, error.message)
        except Exception as error:  # whatever a file can do to a parser must leave the runner alive
            self._fail("weights_corrupt", f"{type(error).__name__} while loading the weights.")
        else:
            self._loaded = LoadedModel(
                **loaded.info.model_dump(),
                source=loaded.source,
                loaded_at=now(),
                engine=loaded.kind,
                input_size=CROP_SIZE,
            )
            self._engine = loaded
            self._state, self._reason = "ready", None

    def _fail(self, reason: str, message: str) -> None:
        self._state, self._reason = "degraded", reason
        self._last_error = LastError(code=reason, message=message, at=now())

    def predict(self, crops: NDArray[np.uint8]) -> list[Learned]:
        """Learned concerns of a batch of crops, uint8 (batch, 512, 512, 3).

        Raises:
            ModelNotReady: there is no model; the message is the reason code.
        """
        if self._engine is None:
            raise ModelNotReady(self._reason or "model_loading")
        self._batches += 1
        self._photos += len(crops)
        return self._engine.predict(crops)

    def status(self) -> dict[str, Any]:
        """A `ModelStatus` as plain data."""
        return ModelStatus(
            state=self._state,
            reason=self._reason,
            model=self._loaded,
            attempts=self._attempts,
            last_error=self._last_error,
            next_retry_s=None,
            batches=self._batches,
            photos=self._photos,
            metrics=None if self._engine is None else self._engine.metrics,
        ).model_dump()
