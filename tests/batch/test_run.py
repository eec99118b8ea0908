"""One run: what is written, refused, and done again."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bentos.batch import storage, tables
from bentos.batch.errors import BatchError, OutputInUse, WeightsUnusable
from bentos.batch.run import Outcome, Request, run
from bentos.batch.storage import Folder
from bentos.batch.work import Weights, Work, Worker
from bentos.skin.schema import Analysis
from tests.batch.conftest import WORK, InProcess, Told
from tests.batch.outputs import failures, files, findings

ROWS = [
    "a/photo 0.jpg",
    "a/photo 3.jpg",
    "a/photo 6.jpg",
    "b/photo 1.jpg",
    "b/photo 4.jpg",
    "c/photo 2.jpg",
    "c/photo 5.jpg",
]


def request(folder: Path, output: Path, **options: Any) -> Request:
    return replace(Request(str(folder), str(output), WORK, part_photos=4), **options)


def copied(output: Path, to: Path, *names: str) -> Path:
    """An output as a killed run leaves it: only run.json, which is not finished, and these files."""
    record = json.loads((output / "run.json").read_text())
    to.mkdir(exist_ok=True)
    for name in names:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes((output / name).read_bytes())
    (to / "run.json").write_text(json.dumps(record | {"finished": None}))
    return to


def test_every_photo_is_a_row_of_one_of_the_tables(undisturbed: Path, folder: Path, worker: Worker) -> None:
    found = findings(undisturbed)
    assert found.schema.equals(tables.FINDINGS)
    assert found.column("path").to_pylist() == ROWS
    assert failures(undisturbed).select(["path", "code"]).to_pylist() == [
        {"path": "a/notes.jpg", "code": "image_format_unsupported"},
        {"path": "b/cut.jpg", "code": "image_unreadable"},
        {"path": "c/gone.jpg", "code": "file_missing"},
    ]
    assert sorted(files(undisturbed)) == [
        f"{table}/part-00000{number}.parquet" for table in ("failures", "findings") for number in range(3)
    ]
    row = found.to_pylist()[0]
    expected = worker._analyzer.analyze(folder / row["path"])
    assert row["analysis"] == expected.model_dump_json(exclude=set(tables.NOT_STORED))
    assert (row["acne_count"], row["redness_score"]) == (expected.concerns.acne.count, expected.concerns.redness.score)
    assert row["source"] == "model"
    record = json.loads((undisturbed / "run.json").read_text())
    assert record["finished"]["failures"] == 3
    assert record["weights"]["sha256"] == row["model_sha256"] == worker.weights.sha256


@pytest.mark.parametrize(
    ("left", "missing"),
    [
        ((), 10),
        (("failures/part-000000.parquet", "findings/part-000000.parquet"), 6),
        (("failures/part-000000.parquet", "findings/part-000000.parquet", "failures/part-000001.parquet"), 6),
        (("failures/part-000002.parquet", "findings/part-000002.parquet", "findings/part-000001.parquet"), 8),
    ],
)
def test_a_resumed_run_does_what_is_missing_and_ends_with_the_same_files(
    undisturbed: Path, folder: Path, engine: InProcess, tmp_path: Path, left: tuple[str, ...], missing: int
) -> None:
    output = copied(undisturbed, tmp_path / "out", *left) if left else tmp_path / "out"
    if left:
        (output / "findings" / ".part-000001.parquet.x1.part").write_bytes(b"unfinished")
    told = Told()
    outcome = run(request(folder, output, resume=True), engine, told)
    assert outcome == Outcome(photos=10, failed=3, analysed_now=missing)
    assert (told.before, told.done) == (10 - missing, missing)
    assert sum(len(task.photos) for task in engine.tasks) == missing
    assert files(output) == files(undisturbed)


def test_a_finished_run_that_is_resumed_analyses_nothing(
    undisturbed: Path, folder: Path, engine: InProcess, tmp_path: Path
) -> None:
    output = copied(undisturbed, tmp_path / "out", *files(undisturbed))
    assert run(request(folder, output, resume=True), engine, Told()) == Outcome(10, 3, 0)
    assert engine.tasks == []


@pytest.mark.parametrize(
    ("table", "damage"),
    [("findings", "empty"), ("findings", "cut"), ("failures", "overwritten"), ("failures", "another")],
)
def test_a_part_that_is_damaged_is_done_anew(
    undisturbed: Path, folder: Path, engine: InProcess, tmp_path: Path, table: str, damage: str
) -> None:
    output = copied(undisturbed, tmp_path / "out", *files(undisturbed))
    name = f"{table}/part-000000.parquet"
    data = (output / name).read_bytes()
    damaged = {
        "empty": b"",
        "cut": data[:-1],
        "overwritten": data[:-100] + bytes(100),
        "another": (output / name.replace("000000", "000002")).read_bytes(),
    }
    (output / name).write_bytes(damaged[damage])
    told = Told()
    run(request(folder, output, resume=True), engine, told)
    assert (told.damaged, told.before, told.done) == (1, 6, 4)
    assert files(output) == files(undisturbed)


def test_a_footer_that_no_parser_understands_is_damage_too(
    undisturbed: Path, folder: Path, engine: InProcess, tmp_path: Path
) -> None:
    output = copied(undisturbed, tmp_path / "out", *files(undisturbed))
    part = output / "findings" / "part-000000.parquet"
    begin, name, end = part.read_bytes().partition(b"acne_score")
    part.write_bytes(begin + b"\xff" + name[1:] + end)
    with pytest.raises(UnicodeDecodeError):
        tables.rows_in(part.read_bytes())
    run(request(folder, output, resume=True), engine, Told())
    assert files(output) == files(undisturbed)


def test_a_part_beyond_the_last_is_refused(undisturbed: Path, folder: Path, engine: InProcess, tmp_path: Path) -> None:
    output = copied(undisturbed, tmp_path / "out", *files(undisturbed))
    (output / "findings" / "part-000099.parquet").write_bytes(
        (output / "findings" / "part-000000.parquet").read_bytes()
    )
    with pytest.raises(OutputInUse, match=r"findings/part-000099\.parquet is no part of this run: remove it"):
        run(request(folder, output, resume=True), engine, Told())


def test_hidden_files_of_others_are_left_where_they_are(folder: Path, engine: InProcess, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".DS_Store").write_text("")
    assert run(request(folder / "a", tmp_path / "out"), engine, Told()).photos == 4
    assert run(request(folder / "a", tmp_path / "out", overwrite=True), engine, Told()).photos == 4
    assert (tmp_path / "out" / ".DS_Store").exists()


def test_a_run_that_is_refused_leaves_no_folder(engine: InProcess, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    for name in ("new", "kept"):
        with pytest.raises(BatchError, match="No such file"):
            run(request(tmp_path / "nowhere", tmp_path / name), engine, Told())
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_only_the_end_of_a_finished_part_is_read(
    undisturbed: Path, folder: Path, engine: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = copied(undisturbed, tmp_path / "out", *files(undisturbed))
    footers = [int.from_bytes(path.read_bytes()[-8:-4], "little") + 8 for path in output.glob("findings/*.parquet")]
    assert max(footers) * 4 < storage.TAIL
    monkeypatch.setattr(storage, "TAIL", max(footers))
    told = Told()
    run(request(folder, output, resume=True), engine, told)
    assert (told.damaged, told.before) == (0, 10)


def test_files_that_are_no_photos_are_left_out_and_counted(
    undisturbed: Path, folder: Path, engine: InProcess, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    for name in "abc":
        (tmp_path / "photos" / name).symlink_to(folder / name)
    (tmp_path / "photos" / "Thumbs.db").write_bytes(b"")
    (tmp_path / "photos" / "b.json").write_text("{}")
    told = Told()
    run(request(tmp_path / "photos", tmp_path / "out"), engine, told)
    assert (told.photos, told.others) == (10, 2)
    assert files(tmp_path / "out") == files(undisturbed)


def test_output_that_is_there_is_refused_and_overwritten_when_told(
    undisturbed: Path, folder: Path, engine: InProcess, tmp_path: Path
) -> None:
    output = copied(undisturbed, tmp_path / "out", *files(undisturbed))
    (output / "findings" / "part-000009.parquet").write_bytes(b"of a larger run")
    before = files(output)
    with pytest.raises(OutputInUse, match="--resume to do what it lacks, --overwrite to begin anew"):
        run(request(folder, output), engine, Told())
    assert files(output) == before
    run(request(folder, output, overwrite=True), engine, Told())
    assert files(output) == files(undisturbed)


@pytest.mark.parametrize("option", ["resume", "overwrite"])
def test_files_of_others_are_never_touched(folder: Path, engine: InProcess, tmp_path: Path, option: str) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputInUse, match=r"holds other files, such as mine\.txt"):
        run(request(folder, tmp_path, **{option: True}), engine, Told())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"tables": 0}, OutputInUse, "begun with tables of version 0, this is 1"),
        ({"analysis": 0}, OutputInUse, "analyses of schema 0"),
        ({"shine": "0.9"}, OutputInUse, "begun with shine 0.9"),
        (
            {"options": {"allow_fallback": True, "part_size": 4}},
            OutputInUse,
            "begun with --allow-fallback: do the same",
        ),
        (
            {"options": {"allow_fallback": False, "part_size": 8}},
            OutputInUse,
            "begun with --part-size 8: do the same",
        ),
        ({"input": {"place": "x", "photos": 9, "sha256": ""}}, OutputInUse, "9 photos of x; now there are 10"),
        ({"weights": {"name": "w", "version": "1", "sha256": "ab"}}, WeightsUnusable, r"w 1 \(sha256 ab\)"),
    ],
)
def test_a_table_never_mixes_runs_of_different_kinds(
    undisturbed: Path,
    folder: Path,
    engine: InProcess,
    tmp_path: Path,
    change: dict[str, object],
    error: type[BatchError],
    sentence: str,
) -> None:
    output = copied(undisturbed, tmp_path / "out")
    record = json.loads((output / "run.json").read_text())
    (output / "run.json").write_text(json.dumps(record | change))
    told = Told()
    with pytest.raises(error, match=sentence):
        run(request(folder, output, resume=True), engine, told)
    assert engine.tasks == []
    assert (told.photos == 0) == (error is OutputInUse)  # which is known before processes are started


PARTLY = '{"tables": 1, "analysis": 1, "shine": "1", "input": {}, "weights": 3, "options": [], "began": ""}'


@pytest.mark.parametrize("text", ["", "[]", "{}", "no JSON", PARTLY])
def test_a_run_of_which_nothing_is_known_is_not_resumed(
    folder: Path, engine: InProcess, tmp_path: Path, text: str
) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(OutputInUse, match="cannot be read: begin anew by --overwrite"):
        run(request(folder, tmp_path, resume=True), engine, Told())


def test_parts_without_their_run_are_not_resumed(
    undisturbed: Path, folder: Path, engine: InProcess, tmp_path: Path
) -> None:
    copied(undisturbed, tmp_path, "findings/part-000000.parquet")
    (tmp_path / "run.json").unlink()
    with pytest.raises(OutputInUse, match=r"has no run\.json"):
        run(request(folder, tmp_path, resume=True), engine, Told())


def test_another_run_on_the_same_output_is_named(folder: Path, engine: InProcess, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with Folder(str(output)).locked(), pytest.raises(OutputInUse, match=f"process {os.getpid()} on "):
        run(request(folder, output), engine, Told())


def test_a_lock_of_a_process_that_was_killed_is_taken_over(tmp_path: Path) -> None:
    code = (
        "import os, sys; from bentos.batch.storage import Folder\n"
        "with Folder(sys.argv[1]).locked(): os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert ended.returncode == -9
    assert (tmp_path / "_lock").exists()
    with Folder(str(tmp_path)).locked():
        assert json.loads((tmp_path / "_lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "_lock").exists()


def test_weights_that_fail_end_the_run_before_anything_is_removed(
    undisturbed: Path, folder: Path, engine: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = copied(undisturbed, tmp_path / "out", *files(undisturbed))
    monkeypatch.setattr(engine, "weights", lambda: Weights(None, None, None, "There is no manifest.json in /w."))
    with pytest.raises(
        WeightsUnusable, match=r"There is no manifest\.json in /w\. Repair them, or .* --allow-fallback"
    ):
        run(request(folder, output, overwrite=True), engine, Told())
    assert files(output) == files(undisturbed)


def test_a_process_that_has_other_weights_ends_the_run(
    folder: Path, engine: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "weights", lambda: Weights("face-skin", "1", "ab"))
    with pytest.raises(WeightsUnusable, match="A process that began later has face-skin 2"):
        run(request(folder, tmp_path / "out"), engine, Told())


def test_a_model_that_fails_midway_is_a_failure_and_never_mixed_in(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, allowed = Worker(WORK), Worker(Work(None, allow_fallback=True))
    for worker in (failing, allowed):
        monkeypatch.setattr(worker._analyzer._model, "predict", _crash)
    run(request(folder / "a", tmp_path / "out"), InProcess(failing), Told())
    assert findings(tmp_path / "out").num_rows == 0
    assert failures(tmp_path / "out").column("code").to_pylist()[1:] == ["model_unavailable"] * 3
    run(request(folder / "a", tmp_path / "marked", work=Work(None, True)), InProcess(allowed), Told())
    assert findings(tmp_path / "marked").column("reason").to_pylist() == ["model_crashed"] * 3


def _crash(*_: object) -> None:
    raise RuntimeError("the engine fails")


def test_a_photo_that_breaks_the_analysis_is_a_failure(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(WORK)
    analyze = worker._analyzer.analyze

    def broken(photo: bytes, **options: Any) -> Analysis:
        if photo == (folder / "a" / "photo 3.jpg").read_bytes():
            raise MemoryError
        return analyze(photo, **options)

    monkeypatch.setattr(worker._analyzer, "analyze", broken)
    assert run(request(folder / "a", tmp_path / "out"), InProcess(worker), Told()).failed == 2
    assert failures(tmp_path / "out").to_pylist()[1]["sentence"].startswith("The analysis failed: MemoryError")


@pytest.mark.parametrize("output", [".", "a", "a/out"])
def test_output_within_the_photos_is_refused(folder: Path, engine: InProcess, output: str) -> None:
    with pytest.raises(BatchError, match="lies within"):
        run(request(folder, folder / output), engine, Told())


def test_output_that_is_a_file_is_refused(folder: Path, engine: InProcess, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(BatchError, match="is a file: name a folder"):
        run(request(folder, tmp_path / "out"), engine, Told())
