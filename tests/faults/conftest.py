"""The S3 that all faults share, and wards, closed with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.service_under_fault import ServiceUnderFault
from tests.s3 import S3


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A real S3 API."""
    running = S3()
    yield running
    running.close()


@pytest.fixture
def ward(s3: S3, tmp_path: Path) -> Iterator[Callable[[bool], ServiceUnderFault]]:
    """Make a ward: in a container, as BentoML believes, or not."""
    made: list[ServiceUnderFault] = []

    def make(contained: bool = False) -> ServiceUnderFault:
        made.append(ServiceUnderFault(tmp_path, s3, contained))
        return made[-1]

    yield make
    for one in made:
        one.close()
