"""The states of the model; a state is data, never an exception at start.

    phase without model ─▶ disabled
    start ─▶ loading ──loaded──▶ ready ◀──loaded── degraded
                └────failed────────│──────────────────▲
                                   └─invalid outputs──┘

Loaded means fetched, verified, self-tested and warm; only then does a version replace the one in service, which is kept
until the new one has answered. Where a version cannot be loaded, the one in service stays, and the source is checked
again after the poll's interval at the latest, so that a valid version is in service within it, whatever failed before.
"""

import logging
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bentos.skin.model import engine
from bentos.skin.model import source as sources
from bentos.skin.model.bundle import BundleError
from bentos.skin.model.output_checks import InvalidModelOutput
from bentos.skin.model.status import LastError, LoadedModel, ModelAnswer, ModelNotReady, ModelStatus, State
from bentos.skin.photo.crop import CROP_SIZE
from bentos.skin.schema import ModelInfo
from bentos.skin.settings import Settings
from bentos.skin.threads import thread_count

log = logging.getLogger("shine.model")

RETRY_FIRST_S, RETRY_MAX_S = 1.0, 30.0  # bounds of the backoff where trying again may help
RETRY_MIN_S = 0.2  # between two attempts, whatever the jitter
HELD_POLLS = (
    8  # intervals for which a version is not loaded again that passed its checksums and is no good all the same
)
# Trying again alone cannot cure these, a file that is published again can: they are tried at the poll's interval.
PERMANENT = frozenset({"weights_corrupt", "weights_incompatible", "self_test_failed"})


class Observer(Protocol):
    """Counts what happens."""

    def loaded(self, outcome: str, seconds: float) -> None:
        """An attempt ended: "ok", or the reason code of its failure."""

    def fetched(self, count: int) -> None:
        """Bytes were received from a source."""

    def swapped(self) -> None:
        """Another version went into service."""


@dataclass(frozen=True, slots=True)
class _Serving:
    engine: engine.Engine
    loaded: LoadedModel
    info: ModelInfo


@dataclass(frozen=True, slots=True)
class _Held:
    """A version that is whole, but no good; it is not loaded again until then (of time.monotonic)."""

    sha256: str
    until: float


class Lifecycle:
    """Loads weights in a thread of its own, so that the start never blocks and never raises.

    Args:
        settings: source of the weights, and how often it is checked.
        observer: counts attempts, bytes and swaps.
    """

    def __init__(self, settings: Settings, observer: Observer) -> None:
        self._settings = settings
        self._observer = observer
        self._source: sources.Source | None = None
        self._wake = threading.Event()
        self._swap_lock = (
            threading.Lock()
        )  # guards the four below: the loader puts a version in, the model's thread takes it out
        self._serving: _Serving | None = None
        self._proven: _Serving | None = None  # the previous version, until the new one has answered
        self._state: State = "loading" if settings.wants_model else "disabled"
        self._reason: str | None = "model_loading" if settings.wants_model else "model_disabled"
        self._last_error: LastError | None = None
        self._failures = 0  # in a row; reset when a model has answered, not when it was loaded
        self._attempts = self._batches = self._photos = 0
        self._held: _Held | None = None
        self._next_at: float | None = None

    def start(self) -> None:
        """Start to load, unless the phase uses no model."""
        if self._state == "loading":
            threading.Thread(target=self._run, name="model-load", daemon=True).start()

    def load(self) -> None:
        """Try to load once, in this thread, instead of `start`; `status` says what came of it."""
        if self._settings.wants_model:
            self._step()

    def wake(self) -> None:
        """Check the source now."""
        self._wake.set()

    # --- loading ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                pause = self._step()
            except MemoryError:  # while a failure was noted; without this thread no weights would ever be loaded again
                pause = self._settings.weights_poll_s
            self._next_at = time.monotonic() + pause
            self._wake.wait(pause)
            self._wake.clear()

    def _step(self) -> float:
        """Put the newest version into service, if it is not there yet; seconds until the next step."""
        began = time.monotonic()
        try:
            if self._source is None:
                self._source = sources.source(self._settings, self._observer.fetched)
            if (pause := self._nothing_new(self._source, began)) is not None:
                return pause
            self._attempts += 1
            self._load(self._source)
        except BundleError as error:
            return self._failed(error.reason, error.message, time.monotonic() - began)
        except Exception as error:  # whatever a file does to a parser, the runner must go on
            log.exception("loading the weights failed unexpectedly")
            message = f"{type(error).__name__} while loading the weights."
            return self._failed("weights_corrupt", message, time.monotonic() - began)
        self._observer.loaded("ok", time.monotonic() - began)
        return self._settings.weights_poll_s

    def _nothing_new(self, source: sources.Source, now: float) -> float | None:
        """Seconds to wait where there is no version to load now; None where there is one, or it is not known."""
        poll, pin = self._settings.weights_poll_s, self._settings.weights_sha256
        with self._swap_lock:
            serving, held = self._serving, self._held
        if serving is not None and pin is not None:
            return poll  # a pinned version is never replaced
        if serving is None and held is None:
            return None
        newest = pin or source.newest()
        if serving is not None and newest == serving.info.sha256:
            with self._swap_lock:
                self._last_error = None  # whatever failed is no longer offered, or the source is reachable again
            return poll
        if serving is not None and newest is None:
            return poll
        if held is not None and held.sha256 == newest and now < held.until:
            return min(poll, held.until - now)
        return None

    def _load(self, source: sources.Source) -> None:
        bundle = source.fetch()
        try:
            new = engine.load(bundle, thread_count(self._settings))
        except BundleError:
            with self._swap_lock:
                self._held = _Held(bundle.sha256, time.monotonic() + HELD_POLLS * self._settings.weights_poll_s)
            raise
        loaded = LoadedModel(
            **new.info.model_dump(),
            source=source.name,
            loaded_at=now(),
            engine=new.kind,
            input_size=CROP_SIZE,
            note=source.note,
        )
        with self._swap_lock:
            self._proven = self._proven or self._serving
            self._serving = _Serving(new, loaded, new.info)
            self._state, self._reason, self._last_error = "ready", None, None
        self._observer.swapped()
        fields = {"version": loaded.version, "sha256": loaded.sha256, "source": loaded.source, "note": loaded.note}
        log.log(logging.WARNING if loaded.note else logging.INFO, "weights are in service", extra={"fields": fields})

    def _failed(self, reason: str, message: str, seconds: float) -> float:
        """Note a failed attempt; seconds until the next."""
        self._observer.loaded(reason, seconds)
        self._failures += 1
        pause = self._settings.weights_poll_s
        if reason not in PERMANENT and self._serving is None:
            pause = min(pause, backoff(self._failures))
        with self._swap_lock:
            self._note(reason, message)
        serves = self._serving.loaded.version if self._serving is not None else None
        fields = {"reason": reason, "cause": message, "in_service": serves, "next_retry_s": round(pause, 1)}
        why = " Trying again alone cannot cure this." if reason in PERMANENT else ""
        log.warning("weights cannot be loaded: %s%s", message, why, extra={"fields": fields})
        return pause

    def _note(self, reason: str, message: str) -> None:
        """Set the last error, and the state where nothing is in service. To be called under the lock."""
        self._last_error = LastError(code=reason, message=message, at=now())
        if self._serving is None:
            self._state, self._reason = "degraded", reason

    # --- answering ----------------------------------------------------------------------------------------------

    def predict(self, crops: Sequence[NDArray[np.uint8]]) -> list[ModelAnswer]:
        """Acne and wrinkles of a batch of crops, each uint8 (512, 512, 3).

        Raises:
            ModelNotReady: there is no model; the message is the reason code.
        """
        serving = self._serving
        if serving is None:
            raise ModelNotReady(self._reason or "model_loading")
        try:
            answers = serving.engine.predict(crops)
        except InvalidModelOutput as error:
            self._take_out(serving, str(error))
            return self.predict(crops)  # by the previous version, or not at all
        self._batches += 1
        self._photos += len(crops)
        with self._swap_lock:
            if self._serving is serving:
                self._proven, self._failures = None, 0
        return [ModelAnswer(answer, serving.info) for answer in answers]

    def _take_out(self, serving: _Serving, message: str) -> None:
        """Take a version with invalid outputs out of service; the previous one replaces it, if it is still there."""
        with self._swap_lock:
            if self._serving is not serving:
                return
            self._serving, self._proven = self._proven, None
            self._failures += 1
            pause = backoff(self._failures) if self._serving is None else HELD_POLLS * self._settings.weights_poll_s
            self._held = _Held(serving.info.sha256, time.monotonic() + pause)
            self._note("self_test_failed", message)
        fields = {"version": serving.info.version, "cause": message, "back_in_service": self._serving is not None}
        log.error("the model's answers are poisoned: it is out of service", extra={"fields": fields})
        self.wake()

    # --- state --------------------------------------------------------------------------------------------------

    def status(self, known: str | None = None) -> dict[str, Any]:
        """A `ModelStatus` as plain data; without the metrics where `known` is the sha256 of what is loaded."""
        with self._swap_lock:
            serving, state, reason, error = self._serving, self._state, self._reason, self._last_error
        waiting = state == "degraded" and self._next_at is not None
        return ModelStatus(
            state=state,
            reason=reason,
            model=None if serving is None else serving.loaded,
            attempts=self._attempts,
            last_error=error,
            next_retry_s=round(max(self._next_at - time.monotonic(), 0.0), 1) if waiting and self._next_at else None,
            batches=self._batches,
            photos=self._photos,
            metrics=None if serving is None or serving.info.sha256 == known else serving.engine.metrics,
        ).model_dump()


def backoff(failures: int) -> float:
    """Seconds before the next attempt, with full jitter: instances that fail together must not retry together."""
    most = min(RETRY_FIRST_S * 2 ** min(failures, 10), RETRY_MAX_S)
    return max(RETRY_MIN_S, random.uniform(0, most))  # noqa: S311  no secret


def now() -> str:
    """The time as RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
