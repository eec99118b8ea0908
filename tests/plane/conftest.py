"""Fixtures of the plane's own tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plane import Plane
from tests.plane.driver import Driver

SCALE = 0.02  # stand-ins start at once, and need no longer


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    with Plane(tmp_path / "plane", scale=SCALE) as running:
        yield running


@pytest.fixture
def driver(plane: Plane) -> Driver:
    return Driver(plane)


@pytest.fixture
def live(driver: Driver) -> Driver:
    """A service that runs, of two stubs."""
    made = driver.create(driver.register("stub"))
    driver.settled(made["deployments"][0]["id"])
    return driver


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They prove a stand-in of the tests' own: all of them belong to the long ones."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.long)
