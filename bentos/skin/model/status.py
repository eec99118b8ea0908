"""What the model runner says of itself, as it crosses to the gateway."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import bentoml
from pydantic import BaseModel, ConfigDict

from bentos.skin.findings import Learned
from bentos.skin.schema import ModelInfo

State = Literal["disabled", "loading", "ready", "degraded"]


class ModelNotReady(bentoml.exceptions.BentoMLException):  # type: ignore[misc]  # BentoML is untyped to mypy
    """The runner lives and has no model; the message is the reason code.

    424, because it must not look like 503, which is how BentoML says "overloaded", and because this class survives the
    hop to the gateway with a status of its own.
    """

    error_code = HTTPStatus.FAILED_DEPENDENCY


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The learned concerns of one crop, and the weights that found them: versions change while photos are asked."""

    learned: Learned
    model: ModelInfo


class LastError(BaseModel):
    """The last thing that went wrong."""

    code: str
    message: str
    at: str


class LoadedModel(ModelInfo):
    """What is loaded, and from where; `note` says what is unusual about that."""

    source: str
    loaded_at: str
    engine: str
    input_size: int
    note: str | None = None


class ModelStatus(BaseModel):
    """The runner's own account of itself.

    Attributes:
        reason: why there is no model; None when there is one.
        next_retry_s: seconds until weights are tried again; None while a model is in service.
        metrics: measured accuracy of what is loaded; None where nothing is, or where the asker has it already.
    """

    model_config = ConfigDict(protected_namespaces=())

    state: State
    reason: str | None
    model: LoadedModel | None
    attempts: int
    last_error: LastError | None
    next_retry_s: float | None
    batches: int
    photos: int
    metrics: dict[str, Any] | None
