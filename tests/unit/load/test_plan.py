"""What a run does, and in which order."""

import io
from pathlib import Path

import pytest

from tests.load import photos
from tests.load.bench import parse
from tests.load.plan import FULL, PARTS, QUICK, Scale, steps
from tests.load.progress import Step, carry_out
from tests.load.session import Session
from tests.load.worktree import OlderCommit

BASE = OlderCommit("0" * 40, Path("/nowhere"))


def titles(parts: str, scale: Scale = FULL, base: OlderCommit | None = None) -> list[str]:
    session = Session(Path("/nowhere"), {"1080": [], "640": []}, "1080", base)
    return [step.title for step in steps(session, scale, frozenset(parts.split(",")))]


def planned_s(scale: Scale) -> float:
    sets: dict[str, list[Path]] = {str(side): [] for side in (1080, *scale.sides)}
    session = Session(Path("/nowhere"), sets, "1080", None if scale is QUICK else BASE)
    return sum(step.seconds for step in steps(session, scale, frozenset(PARTS)))


def test_ways_take_turns_in_every_round() -> None:
    told = [title for title in titles("limit,service,fastapi") if "photos 1080, 8 clients, round" in title]
    assert told == [
        f"{way}, photos 1080, 8 clients, round {number}" for number in (1, 2, 3) for way in ("this service", "FastAPI")
    ]


def test_calls_in_process_are_made_in_the_same_round_as_what_they_are_compared_with() -> None:
    told = titles("limit,service")
    first = told.index("in process, one thread, photos 1080, calls, round 1")
    assert told[first + 1] == "this service, photos 1080, 1 client, round 1"
    assert "in process, all cores: the limit, photos 1080, calls, round 1" in told[first:]


def test_only_what_is_asked_for_is_started() -> None:
    told = titles("service")
    assert "the service starts" in told
    assert not [title for title in told if "FastAPI" in title or "capacity" in title or "start of" in title]


def test_overload_starts_the_service_and_comes_after_everything_else() -> None:
    told = titles("overload")
    assert told.index("the service starts") < told.index("capacity of the service")
    assert told[-1] == "capacity of the service with one core busy, again"
    assert "the service at 2 × capacity with one core busy" in told


def test_an_older_commit_takes_part_where_there_is_one() -> None:
    assert not [title for title in titles("base,start") if "BASE" in title]
    told = titles("base,start", base=BASE)
    assert "start of the service at BASE, 3" in told
    assert "in process at BASE, one thread, photos 640, calls, round 2" in told
    assert "this service at BASE, photos 1080, 32 clients, round 3" in told


def test_a_run_fits_into_its_time() -> None:
    assert planned_s(FULL) < 22 * 60
    assert planned_s(QUICK) < 4 * 60


def test_each_step_is_told_with_the_time_that_is_left() -> None:
    out, done = io.StringIO(), list[int]()
    carry_out([Step("one", 90, lambda: done.append(1)), Step("two", 30, lambda: done.append(2))], out)
    assert done == [1, 2]
    assert out.getvalue().splitlines()[0] == "[1/2] 0:00, about 2:00 left: one"
    assert out.getvalue().splitlines()[1].startswith("[2/2] 0:00, about 0:0")


def test_the_command_line_names_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--only", "service,flask"])
    assert "--only knows no flask; it knows limit, service" in capsys.readouterr().err


def test_an_older_commit_that_is_named_takes_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--only", "service", "--base", "HEAD"]).parts == {"service", "base"}
    with pytest.raises(SystemExit):
        parse(["--only", "service,base"])
    assert "--base COMMIT" in capsys.readouterr().err


def test_photos_of_one_size_differ_from_each_other() -> None:
    assert len({photos.derived(96, number) for number in range(2)}) == 2


def test_the_photos_of_a_folder_are_sent_where_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no file in"):
        photos.of_folder(tmp_path)
    with pytest.raises(SystemExit, match="there is no folder"):
        photos.of_folder(tmp_path / "none")
    for name in ("b.JPG", "a.png", "notes.txt"):
        (tmp_path / name).touch()
    assert photos.of_folder(tmp_path) == {tmp_path.name: [tmp_path / "a.png", tmp_path / "b.JPG"]}
