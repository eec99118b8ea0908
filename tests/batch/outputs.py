"""What a batch has written."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def findings(output: Path) -> pa.Table:
    """All rows of the first table, in the order of the parts."""
    return pq.read_table(output / "findings")


def failures(output: Path) -> pa.Table:
    """All rows of the second table."""
    return pq.read_table(output / "failures")


def files(output: Path) -> dict[str, bytes]:
    """Name → content of each file, hidden ones and the lock too; without run.json, which has times."""
    paths = [path for path in output.rglob("*") if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(output)): path.read_bytes() for path in paths}
