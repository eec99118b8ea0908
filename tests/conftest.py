"""Fixtures shared by all tests, and how pytest-xdist deals tests out to its workers."""

import functools
import gc
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.endpoint
import botocore.session
import pytest
from botocore.client import ClientCreator
from botocore.loaders import create_loader
from botocore.retries.bucket import TokenBucket
from httpx import _transports, create_ssl_context
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests import properties  # noqa: F401  registers the profiles
from tests.server import PORTRAIT, Pool, Server

settings.load_profile("everyday")
gc.disable()  # until all tests are collected

# The tests of a module run in one process, for they share servers and accounts; those of some modules all in the same.
GROUPS = {
    # They measure time: no load that one makes disturbs another's measure.
    "tests/service/test_faults.py": "seconds",
    "tests/service/test_load.py": "seconds",
    "tests/service/test_policy.py": "seconds",
    "tests/unit/runtime/test_runner_client.py": "seconds",
    "tests/unit/runtime/test_watchdog.py": "seconds",
    # One server is enough for them.
    **dict.fromkeys(
        (
            "tests/service/test_believable.py",
            *("tests/service/test_bad_input.py", "tests/service/test_contract.py", "tests/service/test_golden.py"),
            *("tests/service/test_mutants.py", "tests/service/test_openapi.py", "tests/service/test_upgrades.py"),
            *("tests/service/test_options.py", "tests/client/test_python_client.py", "tests/client/test_javascript.py"),
        ),
        "in phase simple",
    ),
    **dict.fromkeys(("tests/cli/test_server.py", "tests/cli/test_examples.py"), "without weights"),
    "tests/service/test_phases.py": "without weights",
    "tests/watch/test_alerts.py": "without weights",
}
# Groups that take longest come first, so that no process begins with one when all others are done.
FIRST = (
    "seconds",
    "in phase simple",
    "tests/service/test_compat.py",
    "tests/service/test_tracing.py",
    "tests/deploy/test_account_checks.py",
    "tests/rollout/test_gates_service.py",
    "tests/unit/training/test_evaluate.py",
    "tests/unit/training/test_export.py",
    "tests/deploy/test_infra.py",
    "tests/service/test_privacy.py",
)


def group_of(nodeid: str) -> str:
    """The group of a test."""
    module = nodeid.partition("::")[0]
    return GROUPS.get(module, module)


class ByGroup(LoadScopeScheduling):
    """Deals the tests out in groups; pytest-xdist's own marker of groups does nothing in pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByGroup:
    """Take our own."""
    config.option.loadscopereorder = False  # by the number of tests, which says little
    return ByGroup(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the groups that take longest first, where there are several processes.

    Raises:
        pytest.UsageError: a module is named here that is no longer there.
    """
    gone = [name for name in (*GROUPS, *FIRST) if name.endswith(".py") and not (config.rootpath / name).exists()]
    if gone:
        raise pytest.UsageError(f"tests/conftest.py names what is not there: {', '.join(gone)}")
    if hasattr(config, "workerinput"):
        places = {group: place for place, group in enumerate(FIRST)}
        items.sort(key=lambda item: places.get(group_of(item.nodeid), len(FIRST)))


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking, again and again, over what imports and collection left: it all stays."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _read_once() -> Iterator[None]:
    """Read once what each new client reads: descriptions of AWS's services and trusted certificates: 0.1 s, 0.02 s.

    The methods of a service's clients are made once too: half of the time that a client takes.
    """
    loader, make_context = create_loader(), functools.cache(create_ssl_context)
    plain, made = ClientCreator._create_methods, dict[str, dict[str, Any]]()

    def methods(creator: ClientCreator, service: Any) -> dict[str, Any]:
        if service.service_name not in made:
            made[service.service_name] = plain(creator, service)
        return dict(made[service.service_name])

    def context(**options: Any) -> ssl.SSLContext:
        named = {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys()
        return create_ssl_context(**options) if named else make_context(**options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda *_: loader)
        patch.setattr(ClientCreator, "_create_methods", methods)
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
