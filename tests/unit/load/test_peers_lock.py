"""The lock of the servers that are compared with: exact, and what serves has the versions that serve."""

from packaging.requirements import Requirement

from tests.audit import REQUIREMENTS, Pin, entries, loose, pins

LOCK = (REQUIREMENTS / "bench.txt").read_text()


def test_the_lock_is_exact_and_has_hashes() -> None:
    assert loose(LOCK) == []


def test_the_functions_run_on_the_packages_that_serve() -> None:
    serving = set(pins((REQUIREMENTS / "runtime.txt").read_text()))
    assert serving <= set(pins(LOCK)), "run `make lock`"


def test_the_peers_are_those_that_are_asked_for() -> None:
    wanted = (REQUIREMENTS / "bench.in").read_text()
    asked = [Requirement(entry) for entry in entries(wanted) if not entry.startswith("-")]
    assert {Pin(it.name, str(it.specifier).removeprefix("==")) for it in asked} <= set(pins(LOCK)), "run `make lock`"
