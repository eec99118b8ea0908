"""The image, built once from this checkout, or the one that IMAGE_UNDER_TEST names; skipped where no engine can run."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from deploy.image.build import build
from deploy.image.container import Container
from deploy.image.engine import EngineError, down, environment, up
from tests.container.registry import PROGRAM, Registry, registry_on_loopback


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each of them is long, and needs the image."""
    for item in items:
        if "/container/" in str(item.path):
            item.add_marker(pytest.mark.long)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def engine() -> Iterator[dict[str, str]]:
    """The environment in which docker answers; an engine that was started for the tests is stopped after them."""
    if os.geteuid() != 0 and shutil.which("docker") is None:
        pytest.skip("no Docker engine, and only root can start one")
    try:
        yield environment()
        return  # it was there before, and stays
    except EngineError:
        pass
    try:
        env = up()
    except EngineError as error:
        pytest.skip(f"no Docker engine: {error}")
    yield env
    down()


@pytest.fixture(scope="session")
def image(engine: dict[str, str]) -> str:
    """The image's name."""
    return os.environ.get("IMAGE_UNDER_TEST") or build("shine:test", engine).tag


@pytest.fixture
def run(engine: dict[str, str], image: str) -> Iterator[Callable[..., Container]]:
    """Run containers of the image as the platform will; they are removed with the test."""
    started: list[Container] = []

    def start(**options: object) -> Container:
        started.append(Container(image, engine, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for container in started:
        container.__exit__()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real one, which wants a password as ECR does."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"no registry: apt-get install {PROGRAM}")
    with registry_on_loopback(tmp_path_factory.mktemp("registry")) as running:
        yield running
