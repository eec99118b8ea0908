"""CPUs and memory are those of the control group."""

import os
from pathlib import Path

import pytest

from bentos.skin import cgroup
from bentos.skin.cgroup import Memory


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of eight CPUs whose cgroup files lie in a folder, none of them written yet."""
    monkeypatch.setattr(cgroup, "CPU_V2", tmp_path / "cpu.max")
    monkeypatch.setattr(cgroup, "CPU_V1", (tmp_path / "quota", tmp_path / "period"))
    monkeypatch.setattr(cgroup, "MEMORY_V2", tmp_path / "v2")
    monkeypatch.setattr(cgroup, "MEMORY_V1", tmp_path / "v1")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1000 100000", 1),
        ("1600000 100000", 8),
        ("nonsense", 8),
        ("", 8),
    ],
)
def test_the_quota_of_cgroup_v2_is_rounded_up_within_the_affinity_mask(group: Path, text: str, cpus: int) -> None:
    (group / "cpu.max").write_text(text + "\n")
    assert cgroup.cpus() == cpus


@pytest.mark.parametrize(
    ("quota", "period", "cpus"), [("-1", "100000", 8), ("200000", "100000", 2), ("1", "100000", 1)]
)
def test_cgroup_v1_is_read_where_there_is_no_v2(group: Path, quota: str, period: str, cpus: int) -> None:
    (group / "quota").write_text(quota)
    (group / "period").write_text(period)
    assert cgroup.cpus() == cpus


def test_without_cgroups_the_affinity_mask_counts(group: Path) -> None:
    assert not list(group.iterdir())
    assert cgroup.cpus() == 8


def write(folder: Path, **files: str) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / f"memory.{name}").write_text(text + "\n")


@pytest.mark.parametrize(("text", "limit"), [("1000", 1000), ("max", 0)])
def test_memory_of_version_2_is_what_cannot_be_given_back(group: Path, text: str, limit: int) -> None:
    write(group / "v2", current="700", max=text, stat="anon 100\ninactive_file 250\nactive_file 50")
    assert cgroup.memory() == Memory(used=450, limit=limit)


@pytest.mark.parametrize(("text", "limit"), [("1000", 1000), ("9223372036854771712", 0)])
def test_memory_of_version_1_has_the_least_limit_of_the_groups_above(group: Path, text: str, limit: int) -> None:
    stat = f"inactive_file 1\nhierarchical_memory_limit {text}\ntotal_inactive_file 250"
    write(group / "v1", usage_in_bytes="700", stat=stat)
    assert cgroup.memory() == Memory(used=450, limit=limit)


def test_more_cache_than_use_counts_as_nothing_used(group: Path) -> None:
    write(group / "v2", current="100", max="max", stat="inactive_file 250")  # the two files are not read at once
    assert cgroup.memory() == Memory(used=0, limit=0)


@pytest.mark.parametrize("files", [{}, {"current": "1", "max": "max", "stat": "anon 1"}, {"current": "?"}])
def test_what_cannot_be_read_is_no_memory(group: Path, files: dict[str, str]) -> None:
    write(group / "v2", **files)
    assert cgroup.memory() is None
