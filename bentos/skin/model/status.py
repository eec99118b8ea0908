"""What the model runner sends to the gateway: its state, its answers, its refusal."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import bentoml
from pydantic import BaseModel, ConfigDict, Field

from bentos.skin.findings import LesionsAndWrinkles
from bentos.skin.schema import ModelInfo

State = Literal["disabled", "loading", "ready", "degraded"]


class ModelNotReady(bentoml.exceptions.BentoMLException):  # type: ignore[misc]  # BentoML is untyped to mypy
    """The runner works and has no model; the message is the reason code.

    The status is 424: with 503 BentoML says "overloaded", and a status of its own lets the gateway's client restore
    this class.
    """

    error_code = HTTPStatus.FAILED_DEPENDENCY


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """Acne and wrinkles of one crop, and the weights that found them: versions change while photos are answered."""

    lesions_and_wrinkles: LesionsAndWrinkles
    model: ModelInfo


class LastError(BaseModel):
    """What fails now in the lifecycle, the last error; `at` is its time in RFC 3339."""

    code: str
    message: str
    at: str


class LoadedModel(ModelInfo):
    """The loaded weights and their source; `note` says what is unusual about them."""

    source: str
    loaded_at: str
    engine: str
    input_size: int
    note: str | None = None


class ModelStatus(BaseModel):
    """The state of the model runner.

    Attributes:
        reason: why there is no model; None when there is one.
        last_error: of the attempts since a version was last loaded, or found in service as the newest; else None.
        next_retry_s: seconds until loading is tried again; None while a model is in service.
        metrics: measured accuracy and repeatability of the loaded weights; None where there are none, or the caller
            knows them already.
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
    metrics: dict[str, Any] | None = Field(repr=False)
