"""The arithmetic of millions of photos."""

from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="needs `make setup-batch`")

from tests.load.batch_page import PAGE, tables
from tests.load.capacity_page import Table, written
from tests.load.sizing import FargatePrice, Prices, S3Price

PRICES = Prices(
    as_of="2025",
    source="somewhere",
    region="us-east-1",
    currency="USD",
    fargate={"X86_64": FargatePrice(vcpu_hour=0.04, gb_hour=0.005), "ARM64": FargatePrice(vcpu_hour=0.03, gb_hour=0)},
    gpu={},
    s3=S3Price(get=0.0004, put_or_list=0.005, gb_month=0.02),
)
LIMIT = {"per_s": 20.0, "cpu_ms": 90.0, "others_cores": 0.0}
RUN: dict[str, Any] = {
    "engine": "local",
    "photos": 2000,
    "start_s": 3.0,
    "seconds": 114.0,
    "per_s": 19.0,
    "cpu_ms": 100.0,
    "others_cores": 0.1,
    "pss_mib": 500.0,
    "row_bytes": 500.0,
    "limit": [LIMIT, LIMIT],
}
RECORD = {
    "commit": "0123456789ab",
    "changed": False,
    "ended": "2026-11-30T06:00:00+00:00",
    "machine": {"cores": 2, "cpu": "a CPU"},
    "photo_bytes": 200_000.0,
    "listed_bytes": 140.0,
    "runs": [RUN | {"photos": 500, "cpu_ms": 120.0}, RUN, RUN | {"engine": "ray", "cpu_ms": 150.0}],
}


def rows(name: str) -> list[list[str]]:
    part = tables(RECORD, PRICES)[name]
    assert isinstance(part, Table)
    return [list(row) for row in part.rows]


def test_a_million_photos_are_counted_with_the_largest_run_of_one_machine() -> None:
    cores, hours, requests = rows("costs")[0][1:3], rows("costs")[0][8:10], rows("costs")[0][3:6]
    assert cores == ["28", "2"]  # 0.1 s a photo
    assert hours == ["1", "1"]  # 27.8 × 0.05, 27.8 × 0.03
    assert requests == ["1,000,000", "3,908", "1,000"]
    assert rows("costs")[0][6:8] == ["200", "0.5"]  # GB
    assert rows("costs")[0][10:] == ["0.42", "0.01"]  # 0.40 of GET, 0.02 of PUT and LIST; 0.5 GB
    assert rows("costs")[2][1:3] == ["2,778", "116"]


def test_each_run_is_told_over_its_own_limit() -> None:
    assert [row[:4] for row in rows("measured")] == [
        ["local", "500", "19.00", "0.95"],
        ["local", "2,000", "19.00", "0.95"],
        ["ray", "2,000", "19.00", "0.95"],
    ]


def test_the_page_has_a_place_for_each_part() -> None:
    assert "| 1 million | 28 | 2 |" in written(PAGE.read_text(), tables(RECORD, PRICES))
