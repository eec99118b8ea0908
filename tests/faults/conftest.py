"""The S3 that all faults share, and services under fault, closed with their test."""

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
def make_service(s3: S3, tmp_path: Path) -> Iterator[Callable[[bool], ServiceUnderFault]]:
    """Makes services under fault; `contained`: BentoML believes to run in a container."""
    services: list[ServiceUnderFault] = []

    def make(contained: bool = False) -> ServiceUnderFault:
        services.append(ServiceUnderFault(tmp_path, s3, contained))
        return services[-1]

    yield make
    for service in services:
        service.close()
