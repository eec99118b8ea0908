"""Fixtures shared by all rooms."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server import PORTRAIT, Server


@pytest.fixture(scope="session")
def portrait() -> bytes:
    """A portrait that is free to redistribute: 512×512 PNG."""
    return PORTRAIT.read_bytes()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running service in phase simple, shared by tests that do it no harm."""
    running = Server(tmp_path_factory.mktemp("server"), SHINE_PHASE="simple")
    try:
        yield running.wait_for_workers()
    finally:
        running.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers of one's own, with any environment; they are stopped with the test."""
    started: list[Server] = []

    def start(target: str = "service:Gateway", **env: str) -> Server:
        started.append(Server(tmp_path, target, **env))
        return started[-1]

    yield start
    for running in started:
        running.stop()
