"""The S3 that all faults share, and wards, closed with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.ward import Ward
from tests.s3 import S3


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A real S3 API."""
    running = S3()
    yield running
    running.close()


@pytest.fixture
def ward(s3: S3, tmp_path: Path) -> Iterator[Callable[[bool], Ward]]:
    """Make a ward: in a container, as BentoML believes, or not."""
    made: list[Ward] = []

    def make(contained: bool = False) -> Ward:
        made.append(Ward(tmp_path, s3, contained))
        return made[-1]

    yield make
    for one in made:
        one.close()
