"""The tables of docs/batch.md, made of a record and of prices."""

import math
from collections.abc import Mapping
from typing import Any

from bentos.batch.run import PART_PHOTOS
from tests.load.capacity_page import Table
from tests.load.sizing import Prices
from tests.load.table import DISTURBED_CORES, number
from tests.server import ROOT

PAGE = ROOT / "docs" / "batch.md"
MILLIONS = (1, 10, 100)
HOURS = 24  # within which each is to be done
GB_A_VCPU = 2  # of memory, the least that Fargate sells with a vCPU
LISTED = 1000  # objects that one request to list them answers
MILLION = 1_000_000


def tables(record: Mapping[str, Any], prices: Prices) -> dict[str, str | Table]:
    """Name of each part of the page → its text or table.

    Args:
        record: as `python -m tests.load.batch` writes it.
        prices: that are paid.
    """
    runs = record["runs"]
    machine = record["machine"]
    largest = max((run for run in runs if run["engine"] == "local"), key=lambda run: run["photos"])
    others = max(run["others_cores"] for run in runs)
    doubtful = "\n**Others were at work: CPU of a photo counts, photos a second are doubtful.**"
    return {
        "run": (
            f"Measured {record['ended'][:10]} at commit {str(record['commit'])[:10]}"
            f"{' with changes' if record['changed'] else ''}, on {machine['cores']} cores of {machine['cpu']}; photos "
            f"of 1080 px and {record['photo_bytes'] / 1000:.0f} kB. Others used "
            f"{others:.1f} cores at most.{doubtful if others > DISTURBED_CORES else ''}\n"
        ),
        "measured": _measured(runs),
        "inputs": _inputs(record, largest),
        "costs": _costs(record, largest, prices),
        "prices": f"Prices: {prices.source}. Region {prices.region}, {prices.currency}.\n",
    }


def _measured(runs: list[dict[str, Any]]) -> Table:
    head = ["engine", "photos", "photos/s", "over the limit", "CPU-ms a photo", "the limit's", "start, s", "PSS, MiB"]
    rows = []
    for run in runs:
        limit = sum(it["per_s"] for it in run["limit"]) / len(run["limit"])
        cpu = sum(it["cpu_ms"] for it in run["limit"]) / len(run["limit"])
        rows.append(
            [
                run["engine"],
                f"{run['photos']:,}",
                number(run["per_s"], 2),
                number(run["per_s"] / limit, 2),
                number(run["cpu_ms"]),
                number(cpu),
                number(run["start_s"]),
                number(run["pss_mib"], 0),
            ]
        )
    return Table(head, rows)


def _inputs(record: Mapping[str, Any], run: Mapping[str, Any]) -> Table:
    return Table(
        ["input", "value"],
        [
            ["CPU of a photo, `--engine local`", f"{run['cpu_ms']:.1f} ms"],
            ["a photo", f"{record['photo_bytes'] / 1000:.0f} kB"],
            ["its row in Parquet", f"{run['row_bytes']:.0f} bytes"],
            ["its path in the memory of the process that hands out work", f"{record['listed_bytes']:.0f} bytes"],
        ],
    )


def _costs(record: Mapping[str, Any], run: Mapping[str, Any], prices: Prices) -> Table:
    rows: list[list[str]] = []
    names = ("photos", "core-hours", f"cores for {HOURS} hours", "GET", "PUT", "LIST", "read, GB", "written, GB")
    for millions in MILLIONS:
        photos = millions * MILLION
        core_hours = photos * run["cpu_ms"] / 1000 / 3600
        puts = 2 * math.ceil(photos / PART_PHOTOS)
        lists = math.ceil(photos / LISTED)
        requests = (photos * prices.s3.get + (puts + lists) * prices.s3.put_or_list) / 1000
        hours = [
            core_hours * (price.vcpu_hour + GB_A_VCPU * price.gb_hour)
            for price in (prices.fargate["X86_64"], prices.fargate["ARM64"])
        ]
        rows.append(
            [
                f"{millions} million",
                f"{core_hours:,.0f}",
                f"{math.ceil(core_hours / HOURS):,}",
                f"{photos:,}",
                f"{puts:,}",
                f"{lists:,}",
                f"{photos * record['photo_bytes'] / 1e9:,.0f}",
                f"{photos * run['row_bytes'] / 1e9:,.1f}",
                f"{hours[0]:,.0f}",
                f"{hours[1]:,.0f}",
                f"{requests:,.2f}",
                f"{photos * run['row_bytes'] / 1e9 * prices.s3.gb_month:,.2f}",
            ]
        )
    return Table([*names, "$ compute", "on ARM64, if as quick", "$ requests", "$ a month stored"], rows)
