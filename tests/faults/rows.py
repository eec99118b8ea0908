"""The faults of weights, as data: how each is caused, the reason in the answers, and what ends it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bentos.skin.model.bundle import MANIFEST, METRICS, MODEL
from tests.faults.mounts import remount
from tests.faults.proxy import Fault
from tests.faults.service_under_fault import BUCKET, ServiceUnderFault
from tests.unit.model import bundles

Act = Callable[[ServiceUnderFault], object]


@dataclass(frozen=True, slots=True)
class Row:
    """A fault that is there when the service starts.

    Attributes:
        number: of the matrix.
        fault: what is wrong, for people.
        hurt: before the start.
        reason: that heuristic answers give.
        heal: what ends the fault; publishes a sound bundle where nothing else is said.
        env: of the service, beside what ServiceUnderFault sets.
    """

    number: int
    fault: str
    hurt: Act
    reason: str
    heal: Act = field(default=lambda service: service.publish())
    env: Callable[[ServiceUnderFault], dict[str, str]] = field(default=lambda _: {})

    @property
    def name(self) -> str:
        """What pytest calls it: 1-no-weights-at-all."""
        return "-".join([str(self.number), *re.findall(r"\w+", self.fault)])


def sound_behind(fault: Fault) -> Act:
    """A sound bundle, and a way there that is not."""

    def hurt(service: ServiceUnderFault) -> None:
        service.publish()
        service.proxy.fault = fault

    return hurt


def way_is_clear(service: ServiceUnderFault) -> None:
    """The proxy passes everything on."""
    service.proxy.fault = Fault.none()


def changed(name: str, change: Callable[[bytes], bytes]) -> Act:
    """A valid bundle with one object changed afterwards."""

    def hurt(service: ServiceUnderFault) -> None:
        bundle = service.bundle()
        service.publish(bundle)
        service.put(name, change((bundle / name).read_bytes()))

    return hurt


def flipped(data: bytes) -> bytes:
    """One bit of the middle byte is another."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def with_network(network: bytes) -> Act:
    """A sealed bundle whose network is another."""

    def hurt(service: ServiceUnderFault) -> None:
        folder = service.bundle()
        (folder / MODEL).write_bytes(network)
        sealed(folder, bundles.content())
        service.publish(folder)

    return hurt


def sealed(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of what lies in a folder."""
    manifest["files"] = {name: bundles.entry(folder / name) for name in (MODEL, METRICS)}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def remembers_otherwise(service: ServiceUnderFault) -> None:
    """The recorded answer is not the network's."""
    manifest = bundles.content()
    manifest["self_test"]["expected"]["density"] = [99.0]
    service.publish(bundles.write(service.folder / "otherwise", manifest=manifest))


def nan_network() -> bytes:
    """A network with an output that is NaN."""
    outputs = bundles.answers()
    outputs["wrinkles"][:] = np.nan
    return bundles.network(outputs)


def without(name: str) -> Act:
    """A valid bundle, one object of which is removed."""

    def hurt(service: ServiceUnderFault) -> None:
        service.publish()
        service.remove(name)

    return hurt


def pinned_elsewhere(service: ServiceUnderFault) -> dict[str, str]:
    """The pin of a version that is not yet published."""
    return {"SHINE_WEIGHTS_SHA256": bundles.entry(service.bundle("2.0.0") / MANIFEST)["sha256"]}


def into_full_disk(service: ServiceUnderFault) -> None:
    """A sound bundle and a cache of 128 kB."""
    service.publish()
    remount(service.cache, "size=128k")


def read_only_cache(service: ServiceUnderFault) -> None:
    """A sound bundle and a cache that takes nothing."""
    service.publish()
    remount(service.cache, "size=64m,ro")


def room_again(service: ServiceUnderFault) -> None:
    """The cache takes files again."""
    remount(service.cache, "remount,rw,size=64m")


def bucket_again(service: ServiceUnderFault) -> None:
    """The bucket is there, with a sound bundle."""
    service.s3.clear(BUCKET)
    service.publish()


ROWS = [
    Row(1, "no weights at all", lambda _: None, "weights_missing"),
    Row(2, "manifest missing", without(MANIFEST), "weights_missing"),
    Row(3, "manifest not JSON", changed(MANIFEST, lambda _: b"<html>"), "weights_corrupt"),
    Row(4, "unknown key in it", lambda service: service.publish(service.bundle(colour="red")), "weights_corrupt"),
    Row(
        5,
        "format version newer",
        lambda service: service.publish(service.bundle(format_version=2)),
        "weights_incompatible",
    ),
    Row(6, "file missing", without(MODEL), "weights_corrupt"),
    Row(7, "size wrong", changed(MODEL, lambda data: data + b"x"), "weights_corrupt"),
    Row(8, "checksum wrong", changed(MODEL, flipped), "weights_corrupt"),
    Row(
        9,
        "pin wrong",
        lambda service: service.publish(),
        "weights_corrupt",
        heal=lambda service: service.publish(service.bundle("2.0.0")),
        env=pinned_elsewhere,
    ),
    Row(10, "ONNX corrupt", with_network(b"no network at all"), "weights_incompatible"),
    Row(11, "ONNX valid, other inputs", with_network(bundles.stranger()), "weights_incompatible"),
    Row(12, "self-test output off", remembers_otherwise, "self_test_failed"),
    Row(13, "NaN output", with_network(nan_network()), "self_test_failed"),
    Row(14, "S3 refuses", sound_behind(Fault.refuse()), "weights_unreachable", way_is_clear),
    Row(15, "S3 hangs", sound_behind(Fault.hang()), "weights_unreachable", way_is_clear),
    Row(18, "403", sound_behind(Fault.status(403)), "weights_unreachable", way_is_clear),
    Row(
        19,
        "404 bucket",
        lambda service: service.s3.remove(BUCKET),
        "weights_missing",
        heal=bucket_again,
    ),
    Row(20, "SlowDown storm", sound_behind(Fault.status(503)), "weights_unreachable", way_is_clear),
    Row(22, "disk full", into_full_disk, "weights_unreachable", room_again),
    Row(23, "cache read-only", read_only_cache, "weights_unreachable", room_again),
]
