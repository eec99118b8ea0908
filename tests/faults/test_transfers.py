"""Faults of the way and of the cache that end by themselves, and versions that change while photos are answered."""

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from bentos.skin.model.bundle import MODEL
from tests.faults import outcomes
from tests.faults.proxy import Fault
from tests.faults.rows import flipped
from tests.faults.ward import URI, Ward
from tests.s3 import CREDENTIALS
from tests.server import ROOT
from tests.service.traffic import until
from tests.unit.model import bundles

pytestmark = pytest.mark.timeout(300)
Make = Callable[[bool], Ward]
long = pytest.mark.long


def ranges(ward: Ward) -> list[str | None]:
    """The Range of each request for the model."""
    return [ranged for method, path, ranged in ward.proxy.requests if method == "GET" and path.endswith(MODEL)]


@long
def test_16_s3_at_1_kb_a_second_is_given_up_and_healed(ward: Make) -> None:
    place = ward(False)
    place.publish()
    place.proxy.fault = Fault.slow(1000, MODEL)
    place.start()
    with place.load():
        place.until_state("degraded", "weights_unreachable")
        assert "too slowly" in place.status()["last_error"]["message"]
        place.until_answered_by("heuristic")
        place.proxy.fault = Fault.none()
        healed = place.until_answered_by("model")
    outcomes.note(16, "S3 at 1 kB/s", place, ["weights_unreachable"], healed)


@long
def test_17_a_transfer_cut_at_half_is_resumed(ward: Make) -> None:
    place = ward(False)
    place.publish()
    place.proxy.fault = Fault.cut(150_000, MODEL)
    place.start()
    with place.load():
        healed = place.until_answered_by("model")
    first, second = ranges(place)
    assert first is None
    assert second is not None
    assert place.reasons() <= {"model_loading"}
    outcomes.note(17, "cut at half, then resumed", place, ["model_loading"], healed)


@long
def test_21_an_object_replaced_during_the_download_is_never_mixed(ward: Make) -> None:
    place = ward(False)
    place.publish()
    place.proxy.fault = Fault.slow(60_000, MODEL)
    place.start()
    with place.load():
        until(lambda: ranges(place), 30, "the download has begun")
        time.sleep(1)  # some of it has come
        place.publish(place.bundle("1.1.0"))
        place.proxy.fault = Fault.refuse()
        until(lambda: len(ranges(place)) > 1, 30, "it was cut, and is asked for again")
        place.proxy.fault = Fault.none()
        healed = place.until_answered_by("model")
        until(lambda: place.versions()[-1:] == ["1.1.0"], 60, "the new version")
    rest = [status for path, ranged, status in place.proxy.answered if path.endswith(MODEL) and ranged]
    assert rest == [412]  # the rest of another object is refused, and all of it fetched
    assert place.reasons() <= {"model_loading", "weights_corrupt", "weights_unreachable"}
    outcomes.note(21, "object replaced during the download", place, place.reasons(), healed)


@long
def test_24_a_flipped_bit_in_the_cache_is_fetched_again(ward: Make) -> None:
    place = ward(False)
    place.publish()
    place.start()
    place.until_state("ready")
    place.running.stop()
    (cached,) = (place.cache / "weights").glob(f"*/{MODEL}")
    sound = cached.read_bytes()
    cached.write_bytes(flipped(sound))
    fetched = len(ranges(place))
    place.start()
    with place.load():
        healed = place.until_answered_by("model")
    assert len(ranges(place)) == fetched + 1
    assert cached.read_bytes() == sound
    outcomes.note(24, "cache bit flipped", place, ["model_loading"], healed)


@long
def test_25_two_services_on_one_cache_download_once(ward: Make) -> None:
    place, other = ward(False), ward(False)  # in one folder, so with one cache
    place.publish()
    place.proxy.fault = Fault.slow(200_000, MODEL)
    for one in (place, other):
        one.launch(AWS_ENDPOINT_URL=place.proxy.url)
    for one in (place, other):
        one.running.wait()
    with place.load(), other.load():
        healed = max(place.until_answered_by("model"), other.until_answered_by("model"))
    assert len(ranges(place)) == 1
    outcomes.note(25, "two processes at once on one cache", place, ["model_loading"], healed)


def test_32_a_good_version_takes_over_under_load_without_an_error(ward: Make) -> None:
    place = ward(False)
    place.publish()
    place.start()
    with place.load():
        place.until_answered_by("model")
        began = len(place.seen)
        place.publish(place.bundle("1.1.0"))
        until(lambda: place.versions()[-1:] == ["1.1.0"], 60, "the new version")
        place.until_answered_by("model")
    assert place.versions() == ["1.0.0", "1.1.0"]  # changed once
    assert all(one.body["source"] == "model" for one in place.seen[began:])
    outcomes.note(32, "new good version under load", place, (), None)


def test_33_a_bad_version_under_load_changes_nothing_but_the_status(ward: Make) -> None:
    place = ward(False)
    place.publish()
    place.start()
    with place.load():
        place.until_answered_by("model")
        began = len(place.seen)
        manifest = {**bundles.content(), "version": "1.1.0"}
        manifest["self_test"]["expected"]["density"] = [99.0]
        place.publish(bundles.write(place.folder / "bad", manifest=manifest))
        until(lambda: place.status()["last_error"], 60, "the error is told")
        place.until_answered_by("model")
    status = place.status()
    assert (status["state"], status["last_error"]["code"]) == ("ready", "self_test_failed")
    assert place.versions() == ["1.0.0"]
    assert all(one.body["source"] == "model" for one in place.seen[began:])
    outcomes.note(33, "new bad version under load", place, (), None)


@long
def test_34_a_publisher_killed_in_the_middle_changes_nothing(ward: Make) -> None:
    place = ward(False)
    environment = {**CREDENTIALS, "AWS_ENDPOINT_URL": place.s3.url, "PATH": "/usr/bin:/bin"}
    publish = [sys.executable, "-m", "training.publish", URI, "--bundle"]
    first, second = str(place.bundle("1.0.0")), str(place.bundle("1.1.0"))
    subprocess.run([*publish, first], cwd=ROOT, env=environment, check=True, capture_output=True)
    place.start()
    with place.load():
        place.until_answered_by("model")
        began = len(place.seen)
        place.proxy.fault = Fault.hang("1.1.0")
        killed = subprocess.Popen(
            [*publish, second],
            cwd=ROOT,
            env={**environment, "AWS_ENDPOINT_URL": place.proxy.url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: any("1.1.0" in path for _, path, _ in place.proxy.requests), 60, "the upload has begun")
        killed.kill()
        killed.wait()
        place.proxy.fault = Fault.none()
        time.sleep(3)
        place.until_answered_by("model")
        assert place.versions() == ["1.0.0"]
        subprocess.run([*publish, second], cwd=ROOT, env=environment, check=True, capture_output=True)
        until(lambda: place.versions()[-1:] == ["1.1.0"], 60, "published again")
    assert all(one.body["source"] == "model" for one in place.seen[began:])
    outcomes.note(34, "publisher killed in the middle of an upload", place, (), None)
