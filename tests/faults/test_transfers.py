"""Temporary faults of network and cache, and versions that change while photos are answered."""

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from bentos.skin.model.bundle import MODEL
from tests.faults import outcomes
from tests.faults.proxy import Fault
from tests.faults.rows import flipped
from tests.faults.service_under_fault import URI, ServiceUnderFault
from tests.s3 import CREDENTIALS
from tests.server import ROOT
from tests.service.traffic import until
from tests.unit.model import bundles

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
Make = Callable[[bool], ServiceUnderFault]


def ranges(service: ServiceUnderFault) -> list[str | None]:
    """The Range of each request for the model."""
    return [ranged for method, path, ranged in service.proxy.requests if method == "GET" and path.endswith(MODEL)]


def test_16_s3_at_1_kb_a_second_is_given_up_and_healed(make_service: Make) -> None:
    service = make_service(False)
    service.publish()
    service.proxy.fault = Fault.slow(1000, MODEL)
    service.start()
    with service.load():
        service.until_state("degraded", "weights_unreachable")
        assert "too slowly" in service.status()["last_error"]["message"]
        service.until_answered_by("heuristic")
        service.proxy.fault = Fault.none()
        healed = service.until_answered_by("model")
    outcomes.note(16, "S3 at 1 kB/s", service, ["weights_unreachable"], healed)


def test_17_a_transfer_cut_at_half_is_resumed(make_service: Make) -> None:
    service = make_service(False)
    service.publish()
    service.proxy.fault = Fault.cut(150_000, MODEL)
    service.start()
    with service.load():
        healed = service.until_answered_by("model")
    first, second = ranges(service)
    assert first is None
    assert second is not None
    assert service.reasons() <= {"model_loading"}
    outcomes.note(17, "cut at half, then resumed", service, ["model_loading"], healed)


def test_21_an_object_replaced_during_the_download_is_never_mixed(make_service: Make) -> None:
    service = make_service(False)
    service.publish()
    service.proxy.fault = Fault.slow(60_000, MODEL)
    service.start()
    with service.load():
        until(lambda: ranges(service), 30, "the download has begun")
        time.sleep(1)  # some of it has come
        service.publish(service.bundle("1.1.0"))
        service.proxy.fault = Fault.refuse()
        until(lambda: len(ranges(service)) > 1, 30, "it was cut, and is asked for again")
        service.proxy.fault = Fault.none()
        healed = service.until_answered_by("model")
        until(lambda: service.versions()[-1:] == ["1.1.0"], 60, "the new version")
    rest = [status for path, ranged, status in service.proxy.answered if path.endswith(MODEL) and ranged]
    assert rest == [412]  # the rest of another object is refused, and all of it fetched
    assert service.reasons() <= {"model_loading", "weights_corrupt", "weights_unreachable"}
    outcomes.note(21, "object replaced during the download", service, service.reasons(), healed)


def test_24_a_flipped_bit_in_the_cache_is_fetched_again(make_service: Make) -> None:
    service = make_service(False)
    service.publish()
    service.start()
    service.until_state("ready")
    service.running.stop()
    (cached,) = (service.cache / "weights").glob(f"*/{MODEL}")
    sound = cached.read_bytes()
    cached.write_bytes(flipped(sound))
    fetched = len(ranges(service))
    service.start()
    with service.load():
        healed = service.until_answered_by("model")
    assert len(ranges(service)) == fetched + 1
    assert cached.read_bytes() == sound
    outcomes.note(24, "cache bit flipped", service, ["model_loading"], healed)


def test_25_two_services_on_one_cache_download_once(make_service: Make) -> None:
    service, other = make_service(False), make_service(False)  # in one folder, so with one cache
    service.publish()
    service.proxy.fault = Fault.slow(200_000, MODEL)
    for process in (service, other):
        process.launch(AWS_ENDPOINT_URL=service.proxy.url)
    for process in (service, other):
        process.running.wait()
    with service.load(), other.load():
        healed = max(service.until_answered_by("model"), other.until_answered_by("model"))
    assert len(ranges(service)) == 1
    outcomes.note(25, "two processes at once on one cache", service, ["model_loading"], healed)


def test_32_a_good_version_takes_over_under_load_without_an_error(make_service: Make) -> None:
    service = make_service(False)
    service.publish()
    service.start()
    with service.load():
        service.until_answered_by("model")
        began = len(service.responses)
        service.publish(service.bundle("1.1.0"))
        until(lambda: service.versions()[-1:] == ["1.1.0"], 60, "the new version")
        service.until_answered_by("model")
    assert service.versions() == ["1.0.0", "1.1.0"]  # changed once
    assert all(response.body["source"] == "model" for response in service.responses[began:])
    outcomes.note(32, "new good version under load", service, (), None)


def test_33_a_bad_version_under_load_changes_nothing_but_the_status(make_service: Make) -> None:
    service = make_service(False)
    service.publish()
    service.start()
    with service.load():
        service.until_answered_by("model")
        began = len(service.responses)
        manifest = {**bundles.content(), "version": "1.1.0"}
        manifest["self_test"]["expected"]["density"] = [99.0]
        service.publish(bundles.write(service.folder / "bad", manifest=manifest))
        until(lambda: service.status()["last_error"], 60, "the error is told")
        service.until_answered_by("model")
    status = service.status()
    assert (status["state"], status["last_error"]["code"]) == ("ready", "self_test_failed")
    assert service.versions() == ["1.0.0"]
    assert all(response.body["source"] == "model" for response in service.responses[began:])
    outcomes.note(33, "new bad version under load", service, (), None)


def test_34_a_publisher_killed_in_the_middle_changes_nothing(make_service: Make) -> None:
    service = make_service(False)
    environment = {**CREDENTIALS, "AWS_ENDPOINT_URL": service.s3.url, "PATH": "/usr/bin:/bin"}
    publish = [sys.executable, "-m", "training.publish", URI, "--bundle"]
    first, second = str(service.bundle("1.0.0")), str(service.bundle("1.1.0"))
    subprocess.run([*publish, first], cwd=ROOT, env=environment, check=True, capture_output=True)
    service.start()
    with service.load():
        service.until_answered_by("model")
        began = len(service.responses)
        service.proxy.fault = Fault.hang("1.1.0")
        killed = subprocess.Popen(
            [*publish, second],
            cwd=ROOT,
            env={**environment, "AWS_ENDPOINT_URL": service.proxy.url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: any("1.1.0" in path for _, path, _ in service.proxy.requests), 60, "the upload has begun")
        killed.kill()
        killed.wait()
        service.proxy.fault = Fault.none()
        time.sleep(3)
        service.until_answered_by("model")
        assert service.versions() == ["1.0.0"]
        subprocess.run([*publish, second], cwd=ROOT, env=environment, check=True, capture_output=True)
        until(lambda: service.versions()[-1:] == ["1.1.0"], 60, "published again")
    assert all(response.body["source"] == "model" for response in service.responses[began:])
    outcomes.note(34, "publisher killed in the middle of an upload", service, (), None)
