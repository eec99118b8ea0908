"""Fixtures shared by all tests, and how pytest-xdist deals tests out to its workers."""

import functools
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.endpoint
import botocore.session
import pytest
from botocore.loaders import create_loader
from botocore.retries.bucket import TokenBucket
from httpx import _transports, create_ssl_context
from hypothesis import settings

from tests import properties  # noqa: F401  registers the profiles
from tests.server import PORTRAIT, Pool, Server

settings.load_profile("everyday")

TESTS = Path(__file__).parent
# What takes longest comes first, so that no worker begins with it when all others are done.
FIRST = (
    "service/test_faults.py",
    "service/test_policy.py",
    "service/test_compat.py",
    "service/test_tracing.py",
    "service/test_load.py",
    "unit/training/test_evaluate.py",
    "unit/training/test_train.py",
    "unit/training/test_export.py",
    "deploy/test_account_checks.py",
    "deploy/test_infra.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of a module together on one worker, for they share servers and accounts."""
    if not hasattr(config, "workerinput"):
        return
    order = {TESTS / name: place for place, name in enumerate(FIRST)}
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(TESTS))))
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(scope="session", autouse=True)
def _read_once() -> Iterator[None]:
    """Read once what each new client reads: descriptions of AWS's services and trusted certificates: 0.1 s, 0.02 s."""
    loader, make_context = create_loader(), functools.cache(create_ssl_context)

    def context(**options: Any) -> ssl.SSLContext:
        named = {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys()
        return create_ssl_context(**options) if named else make_context(**options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda *_: loader)
        patch.setattr(_transports.default, "create_ssl_context", context)
        yield


@pytest.fixture(scope="session")
def portrait() -> bytes:
    """A portrait that is free to redistribute: 512×512 PNG."""
    return PORTRAIT.read_bytes()


@pytest.fixture(scope="session")
def serve_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Get the server of an environment, for tests that do it no harm: it is started once, and stopped at the end."""
    pool = Pool(tmp_path_factory.mktemp("pool"))
    yield pool.get
    pool.close()


@pytest.fixture(scope="module")
def server(serve_shared: Callable[..., Server]) -> Server:
    """A running service in phase simple, shared."""
    return serve_shared(SHINE_PHASE="simple").wait_for_workers()


@pytest.fixture(scope="session")
def no_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for weights that holds none."""
    return tmp_path_factory.mktemp("no-weights")


@pytest.fixture(scope="module")
def unweighted(no_weights: Path, serve_shared: Callable[..., Server]) -> Server:
    """A running service in phase hybrid that finds no weights, shared."""
    return serve_shared(SHINE_PHASE="hybrid", SHINE_WEIGHTS_URI=str(no_weights)).wait_for_workers()


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


@pytest.fixture
def retry_delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that botocore would have waited before it asks again; it does not wait."""
    seconds: list[float] = []

    class Clock:
        sleep = staticmethod(seconds.append)

    monkeypatch.setattr(botocore.endpoint, "time", Clock)
    monkeypatch.setattr(TokenBucket, "acquire", lambda *_, **__: True)  # which spaces calls after a refusal
    return seconds
