"""Fixtures of the fake ECS's own tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_ecs import FakeEcs
from tests.fake_ecs.driver import Driver

SCALE = 0.02  # stand-ins start at once, and need no longer


@pytest.fixture
def fake_ecs(tmp_path: Path) -> Iterator[FakeEcs]:
    with FakeEcs(tmp_path / "fake_ecs", scale=SCALE) as running:
        yield running


@pytest.fixture
def driver(fake_ecs: FakeEcs) -> Driver:
    return Driver(fake_ecs)


@pytest.fixture
def live(driver: Driver) -> Driver:
    """A running service with two stub tasks."""
    made = driver.create(driver.register("stub"))
    driver.settled(made["deployments"][0]["id"])
    return driver


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark these tests as long: they test the stand-in, not the product."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.long)
