"""The states of the model: real bundles in a real folder, a real loading thread, a source that the test controls."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bentos.skin.model import lifecycle as loading
from bentos.skin.model import source as sources
from bentos.skin.model.bundle import Bundle, BundleError, read
from bentos.skin.model.lifecycle import Lifecycle, backoff
from bentos.skin.model.status import ModelNotReady, ModelStatus
from bentos.skin.settings import read as settings
from tests.unit.model import bundles

WITHIN_S = 20.0


class Counts:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.swaps = 0

    def loaded(self, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.outcomes.append(outcome)

    def fetched(self, count: int) -> None:
        """Folders fetch nothing."""

    def swapped(self) -> None:
        self.swaps += 1


class Steered:
    """A source whose folder or failure a test sets."""

    name, note = "steered", None

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.failure: BundleError | None = None
        self.fetches = self.asked = 0
        self.hold = threading.Event()
        self.hold.set()

    def fetch(self) -> Bundle:
        self.fetches += 1
        self.asked += 1
        assert self.hold.wait(WITHIN_S)
        if self.failure is not None:
            raise self.failure
        assert self.folder is not None
        return read(self.folder)

    def newest(self) -> str | None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return None if self.folder is None else read(self.folder).sha256


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Steered:
    steered = Steered(version(tmp_path, "1.0.0"))
    monkeypatch.setattr(sources, "source", lambda *_: steered)
    monkeypatch.setattr(loading, "backoff", lambda _: 0.05)
    return steered


@pytest.fixture
def living(source: Steered) -> Iterator[Lifecycle]:
    """Polls each second, the least that the settings allow; `wake` makes it look at once."""
    yield Lifecycle(settings({"SHINE_WEIGHTS_POLL_S": "1", "SHINE_THREADS": "1"}), Counts())
    # Its thread goes on beside the tests that follow. It waits a second each time, and draws no random number.
    source.failure = BundleError("weights_corrupt", "The test is over.")


def version(folder: Path, name: str, invalid: bool = False) -> Path:
    """A bundle; an invalid one passes its self-test, and gives invalid outputs for brighter crops."""
    manifest: dict[str, Any] = bundles.content()
    manifest["version"] = name
    outputs = bundles.answers()
    path = bundles.write(folder / name, outputs, manifest)
    if invalid:
        (path / "model.onnx").write_bytes(bundles.network(outputs, brightness=1e3))
        manifest["self_test"]["expected"].pop("density")
        manifest["self_test"]["png"] = bundles.png((0, 0, 0))
        manifest["files"] = {file: bundles.entry(path / file) for file in ("model.onnx", "metrics.json")}
        (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def status(of: Lifecycle) -> ModelStatus:
    return ModelStatus.model_validate(of.status())


def until(of: Lifecycle, holds: Callable[[ModelStatus], object]) -> ModelStatus:
    ends = time.monotonic() + WITHIN_S
    while time.monotonic() < ends:
        if holds(state := status(of)):
            return state
        time.sleep(0.01)
    raise AssertionError(status(of))


def await_that(source: Steered, asked: int) -> None:
    """Wait until the source was asked so often."""
    ends = time.monotonic() + WITHIN_S
    while source.asked < asked:
        assert time.monotonic() < ends
        time.sleep(0.01)


def ask(of: Lifecycle) -> str:
    """The version that answers one crop."""
    crop = np.full((512, 512, 3), 127, np.uint8)
    return of.predict([crop])[0].model.version


def test_no_model_is_wanted_in_phase_simple() -> None:
    lifecycle = Lifecycle(settings({"SHINE_PHASE": "simple"}), Counts())
    lifecycle.start()
    state = status(lifecycle)
    assert (state.state, state.reason, state.attempts) == ("disabled", "model_disabled", 0)
    with pytest.raises(ModelNotReady, match="model_disabled"):
        ask(lifecycle)


def test_the_start_does_not_wait_for_the_weights(living: Lifecycle, source: Steered) -> None:
    source.hold.clear()
    living.start()
    assert status(living).state == "loading"
    with pytest.raises(ModelNotReady, match="model_loading"):
        ask(living)
    source.hold.set()
    state = until(living, lambda state: state.state == "ready")
    assert state.model is not None
    assert (state.model.version, state.model.source, state.metrics) == ("1.0.0", "steered", {"made": "up"})
    assert state.next_retry_s is None
    assert ask(living) == "1.0.0"


def test_metrics_are_told_once_for_each_version(living: Lifecycle) -> None:
    living.start()
    state = until(living, lambda state: state.model)
    assert state.model is not None
    assert ModelStatus.model_validate(living.status(known=state.model.sha256)).metrics is None
    assert ModelStatus.model_validate(living.status(known="0" * 64)).metrics == {"made": "up"}


def test_it_heals_when_the_weights_come(living: Lifecycle, source: Steered) -> None:
    source.failure = BundleError("weights_unreachable", "S3 does not answer.")
    living.start()
    state = until(living, lambda state: state.attempts >= 2)
    assert (state.state, state.reason) == ("degraded", "weights_unreachable")
    assert state.last_error is not None
    assert state.last_error.message == "S3 does not answer."
    with pytest.raises(ModelNotReady, match="weights_unreachable"):
        ask(living)
    source.failure = None
    until(living, lambda state: state.state == "ready")


def test_what_trying_again_cannot_cure_is_tried_slowly(living: Lifecycle, source: Steered) -> None:
    source.failure = BundleError("weights_incompatible", "The bundle has format 2.")
    living.start()
    state = until(living, lambda state: state.next_retry_s)
    assert state.next_retry_s is not None
    assert state.next_retry_s > 0.5  # the poll's interval, not the backoff's .05
    assert state.attempts == 1


def test_an_exception_nobody_foresaw_leaves_it_degraded_and_alive(
    living: Lifecycle, source: Steered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "fetch", lambda: 1 / 0)
    living.start()
    state = until(living, lambda state: state.state == "degraded")
    assert (state.reason, state.last_error and state.last_error.message) == (
        "weights_corrupt",
        "ZeroDivisionError while loading the weights.",
    )


def test_a_new_version_takes_over_and_a_bad_one_does_not(living: Lifecycle, source: Steered, tmp_path: Path) -> None:
    living.start()
    until(living, lambda state: state.state == "ready")
    assert ask(living) == "1.0.0"
    source.folder = version(tmp_path, "1.1.0")
    until(living, lambda state: state.model and state.model.version == "1.1.0")
    assert ask(living) == "1.1.0"
    bad = bundles.content()
    bad["version"] = "1.2.0"
    bad["self_test"]["expected"]["density"] = [99.0]
    source.folder = bundles.write(tmp_path / "1.2.0", manifest=bad)
    state = until(living, lambda state: state.last_error)
    assert state.last_error is not None
    assert (state.state, state.reason, state.last_error.code) == ("ready", None, "self_test_failed")
    assert ask(living) == "1.1.0"


REFUSED: dict[str, dict[str, Any]] = {
    "another format": {"format_version": 2},
    "self-test": {"self_test": {**bundles.content()["self_test"], "expected": {"density": [99.0]}}},
}


def broken(folder: Path, name: str, **changes: Any) -> Path:
    """A bundle that cannot be loaded."""
    return bundles.write(folder / name, manifest={**bundles.content(), "version": name, **changes})


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("serves", [True, False], ids=["beside one in service", "with none in service"])
def test_after_failed_attempts_a_good_version_goes_in_within_one_poll_interval(
    changes: dict[str, Any], serves: bool, living: Lifecycle, source: Steered, tmp_path: Path
) -> None:
    source.folder = source.folder if serves else broken(tmp_path, "1.1.0", **changes)
    living.start()
    until(living, lambda state: state.state == ("ready" if serves else "degraded"))
    for number in range(6):  # each was awaited twice as long as the one before
        source.folder = broken(tmp_path / str(number), f"1.1.{number}", **changes)
        asked = source.asked
        living.wake()
        await_that(source, asked + 1)
        until(living, lambda state: state.last_error)
    source.folder = version(tmp_path, "1.2.0")
    began = time.monotonic()
    until(living, lambda state: state.model and state.model.version == "1.2.0")
    assert time.monotonic() - began < 1.0 + 1.5  # the poll's interval, and the time to load
    assert status(living).last_error is None


def test_a_version_that_is_published_again_under_the_same_manifest_goes_in_within_one_poll_interval(
    living: Lifecycle, source: Steered, tmp_path: Path
) -> None:
    folder = version(tmp_path, "1.1.0")
    whole = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(whole[:-1])
    source.folder = folder
    living.start()
    state = until(living, lambda state: state.attempts >= 2)
    assert (state.state, state.reason) == ("degraded", "weights_corrupt")
    (folder / "model.onnx").write_bytes(whole)
    began = time.monotonic()
    until(living, lambda state: state.state == "ready")
    assert time.monotonic() - began < 1.0 + 1.5


def test_a_version_that_fails_its_self_test_is_not_loaded_again_at_each_poll(
    living: Lifecycle, source: Steered, tmp_path: Path
) -> None:
    source.folder = broken(tmp_path, "1.1.0", **REFUSED["self-test"])
    living.start()
    until(living, lambda state: state.state == "degraded")
    for _ in range(3):
        living.wake()
        time.sleep(0.1)
    assert status(living).attempts == 1


def test_the_last_error_is_over_once_a_load_has_succeeded(living: Lifecycle, source: Steered, tmp_path: Path) -> None:
    source.failure = BundleError("weights_unreachable", "S3 does not answer.")
    living.start()
    until(living, lambda state: state.last_error)
    source.failure = None
    assert until(living, lambda state: state.state == "ready").last_error is None
    source.failure = BundleError("weights_unreachable", "S3 does not answer.")
    living.wake()
    assert until(living, lambda state: state.last_error).state == "ready"
    source.failure = None
    living.wake()
    until(living, lambda state: state.last_error is None)
    source.folder, before = broken(tmp_path, "1.1.0", **REFUSED["another format"]), source.folder
    living.wake()
    until(living, lambda state: state.last_error)
    source.folder = before  # what failed is withdrawn
    living.wake()
    until(living, lambda state: state.last_error is None)


def test_wake_looks_before_the_poll_would(source: Steered, tmp_path: Path) -> None:
    lifecycle = Lifecycle(settings({"SHINE_WEIGHTS_POLL_S": "3600"}), Counts())
    lifecycle.start()
    until(lifecycle, lambda state: state.state == "ready")
    source.folder = version(tmp_path, "1.1.0")
    lifecycle.wake()
    until(lifecycle, lambda state: state.model and state.model.version == "1.1.0")


def test_a_pinned_version_is_not_left(source: Steered, tmp_path: Path) -> None:
    assert source.folder is not None
    pin = read(source.folder).sha256
    lifecycle = Lifecycle(settings({"SHINE_WEIGHTS_POLL_S": "1", "SHINE_WEIGHTS_SHA256": pin}), Counts())
    lifecycle.start()
    until(lifecycle, lambda state: state.state == "ready")
    source.folder = version(tmp_path, "1.1.0")
    lifecycle.wake()
    time.sleep(0.3)
    assert ask(lifecycle) == "1.0.0"
    assert source.fetches == 1


def test_the_version_before_answers_when_the_outputs_of_the_new_one_are_invalid(
    living: Lifecycle, source: Steered, tmp_path: Path
) -> None:
    living.start()
    until(living, lambda state: state.state == "ready")
    assert ask(living) == "1.0.0"
    source.folder = version(tmp_path, "1.1.0", invalid=True)
    until(living, lambda state: state.model and state.model.version == "1.1.0")
    assert ask(living) == "1.0.0"
    state = status(living)
    assert (state.state, state.last_error and state.last_error.code) == ("ready", "self_test_failed")


def test_a_model_with_invalid_outputs_goes_out_of_service_until_a_valid_one_is_loaded(
    living: Lifecycle, source: Steered, tmp_path: Path
) -> None:
    source.folder = version(tmp_path, "1.1.0", invalid=True)
    living.start()
    until(living, lambda state: state.state == "ready")
    with pytest.raises(ModelNotReady, match="self_test_failed"):
        ask(living)
    source.folder = version(tmp_path, "1.2.0")
    until(living, lambda state: state.model and state.model.version == "1.2.0")
    assert ask(living) == "1.2.0"


def test_every_attempt_is_counted_by_its_outcome(source: Steered) -> None:
    counts = Counts()
    lifecycle = Lifecycle(settings({}), counts)
    source.failure = BundleError("weights_missing", "Nothing there.")
    lifecycle.start()
    until(lifecycle, lambda state: state.attempts >= 2)
    source.failure = None
    until(lifecycle, lambda state: state.state == "ready")
    assert counts.outcomes[-1] == "ok"
    assert set(counts.outcomes[:-1]) == {"weights_missing"}
    assert counts.swaps == 1


def test_the_backoff_spreads_and_grows_up_to_its_cap() -> None:
    first, late = ([backoff(failures) for _ in range(200)] for failures in (1, 50))
    assert max(first) <= 2
    assert min(first) >= 0.2
    assert len({round(pause, 3) for pause in late}) > 100
    assert 20 < max(late) <= 30
