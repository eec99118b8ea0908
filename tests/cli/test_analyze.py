"""`shine analyze`: the same findings as over HTTP, in a table, as JSON, drawn; and all that can go wrong."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bentos.cli.analyze import COLUMNS
from bentos.cli.photos import Photo
from bentos.cli.sources import Result
from bentos.skin import Analyzer
from tests.cli.conftest import Shine, rows, without_ids
from tests.server import PORTRAIT


def test_in_a_pipe_there_is_a_line_with_tabs_for_each_photo(shine: Shine, photos: Path, analyzer: Analyzer) -> None:
    ended = shine("analyze", photos, PORTRAIT, PORTRAIT)
    assert (ended.code, ended.err) == (0, "")
    first, second, third = rows(ended)
    assert tuple(first) == COLUMNS
    assert first["photo"] == str(photos / "face.png")
    assert second["photo"] == str(photos / "second visit" / "face.png")
    found = analyzer.analyze(PORTRAIT)
    assert third == {
        **dict.fromkeys(COLUMNS, ""),
        "photo": str(PORTRAIT),
        "source": "model",
        "acne_count": str(found.concerns.acne.count),
        "acne_severity": str(found.concerns.acne.severity),
        **{name: str(concern.score) for name, concern in found.concerns},
        "quality": str(found.quality.score),
        "issues": "too_small covered",
    }


def test_json_is_a_list_with_one_analysis_or_error_a_photo(shine: Shine, photos: Path, analyzer: Analyzer) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    ended = shine("analyze", photos, photos / "gone.jpg", "--json")
    assert ended.code == 1
    broken, first, second, gone = json.loads(ended.out)
    expected = without_ids(analyzer.analyze(PORTRAIT).model_dump(mode="json"))
    assert without_ids(first) == without_ids(second) == expected
    assert broken["error"]["code"] == "image_unreadable"
    assert broken["error"]["hint"]
    assert gone["photo"] == str(photos / "gone.jpg")
    assert gone["error"]["code"] == "photo_unreadable"
    assert "No such file" in gone["error"]["message"]


def test_options_are_those_of_the_endpoint(shine: Shine, analyzer: Analyzer) -> None:
    ended = shine("analyze", PORTRAIT, "--json", "--include", "outlines", "--include", "maps", "--min-confidence", "0")
    (analysis,) = json.loads(ended.out)
    expected = analyzer.analyze(PORTRAIT, include=["outlines", "maps"], min_confidence=0)
    assert without_ids(analysis) == without_ids(expected.model_dump(mode="json"))
    assert analysis["outlines"]["face"]
    assert analysis["maps"]["redness"].startswith("data:image/png;base64,")


def test_standard_input_is_a_photo(shine: Shine, analyzer: Analyzer) -> None:
    ended = shine("analyze", "-", "--json", stdin=PORTRAIT.read_bytes())
    assert ended.code == 0
    (analysis,) = json.loads(ended.out)
    assert analysis["photo"] == "standard input"
    assert without_ids(analysis) == without_ids(analyzer.analyze(PORTRAIT).model_dump(mode="json"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Missing argument"),
        (["x.png", "--include", "outlines"], "add --json"),
        (["x.png", "--include", "shoes", "--json"], "'shoes' is not one of"),
        (["x.png", "--min-confidence", "2"], "not in the range"),
        (["x.png", "--overlai", "out.png"], "--overlay"),
        ([PORTRAIT, "--weights", "gs://bucket/x"], "must name a folder or s3://bucket/prefix"),
        ([PORTRAIT, "--weights", "x", "--server", "http://localhost:9"], "give --server or --weights, not both"),
        ([PORTRAIT, "--min-confidence", "nan"], "'--min-confidence': it is no number"),
        ([PORTRAIT, "--overlay", "-"], "names a file that ends in .png"),
        ([PORTRAIT, "--overlay", ""], "'--overlay': it is empty"),
        ([PORTRAIT, "--server", ""], "'--server': it is empty"),
        ([PORTRAIT, "--weights", ""], "'--weights': it is empty"),
        ([""], "it is empty"),
    ],
)
def test_wrong_usage_is_2_and_a_sentence(shine: Shine, words: list[object], says: str) -> None:
    ended = shine("analyze", *words)
    assert ended.code == 2
    assert says in ended.err


# --- pictures ---------------------------------------------------------------------------------------------------


def test_one_photo_is_drawn_into_a_file(shine: Shine, tmp_path: Path, analyzer: Analyzer) -> None:
    out = tmp_path / "out.png"
    ended = shine("analyze", PORTRAIT, "--overlay", out)
    assert (ended.code, len(rows(ended))) == (0, 1)
    assert out.read_bytes() == analyzer.overlay(PORTRAIT)
    assert out.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_several_are_drawn_into_a_folder_with_the_same_sub_folders(shine: Shine, photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "face.png", photos / "face.PNG")
    other = tmp_path / "face.png"
    shutil.copy(PORTRAIT, other)
    drawn = tmp_path / "new" / "drawn"
    assert shine("analyze", photos, PORTRAIT, other, "--overlay", drawn).code == 0
    written = sorted(str(path.relative_to(drawn)) for path in drawn.rglob("*.png"))
    assert written == ["astronaut.png", "face-2.png", "face-3.png", "face.png", "second visit/face.png"]
    with Image.open(drawn / "second visit" / "face.png") as picture:
        assert picture.width >= 1200


def test_a_picture_that_exists_is_kept_unless_overwritten(shine: Shine, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    out.write_text("mine")
    ended = shine("analyze", PORTRAIT, "--overlay", out)
    assert (ended.code, ended.out) == (3, "")
    assert "out.png exists; name another file, or add --overwrite" in ended.err
    assert out.read_text() == "mine"
    assert shine("analyze", PORTRAIT, "--overlay", out, "--overwrite").code == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    (tmp_path / "drawn" / "second visit").mkdir(parents=True)
    (tmp_path / "drawn" / "second visit" / "face.png").write_text("mine")
    ended = shine("analyze", photos, "--overlay", tmp_path / "drawn")
    assert (ended.code, ended.out) == (3, "")
    assert not (tmp_path / "drawn" / "face.png").exists()


@pytest.mark.parametrize(
    ("place", "says"),
    [("nowhere/out.png", "There is no folder"), ("file/x/out.png", "There is no folder")],
)
def test_a_picture_needs_a_folder(shine: Shine, tmp_path: Path, place: str, says: str) -> None:
    (tmp_path / "file").write_text("")
    ended = shine("analyze", PORTRAIT, "--overlay", tmp_path / place)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err


def test_a_file_is_no_place_for_several_pictures(shine: Shine, photos: Path, tmp_path: Path) -> None:
    ended = shine("analyze", photos, "--overlay", tmp_path / "out.png")
    assert (ended.code, ended.out) == (2, "")
    assert "name a folder after --overlay" in ended.err


@pytest.fixture
def full_disk() -> Iterator[Path]:
    """A folder on a disk of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = Path(tempfile.mkdtemp(prefix="shine-full-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


def test_on_a_full_disk_nothing_is_left_of_a_picture_or_a_page(shine: Shine, photos: Path, full_disk: Path) -> None:
    for words in (["analyze", PORTRAIT, "--overlay", full_disk / "a.png"], ["report", photos, "--out"]):
        ended = shine(*words, *([full_disk / "report.html"] if words[0] == "report" else []))
        assert ended.code == 2
        assert "cannot be written: No space left on device. Nothing of it is left" in ended.err
        assert list(full_disk.iterdir()) == []


# --- photos that fail -------------------------------------------------------------------------------------------


def test_one_bad_among_many_fails_alone(shine: Shine, photos: Path) -> None:
    (photos / "aa.jpg").write_bytes(b"")
    (photos / "bb.jpg").write_bytes(PORTRAIT.read_bytes()[:9000])
    ended = shine("analyze", photos)
    assert ended.code == 1
    errors = [row["error"].split(":")[0] for row in rows(ended)]
    assert errors == ["image_unreadable", "image_unreadable", "", ""]


def test_where_all_fail_it_is_2_and_the_errors_are_told(shine: Shine, tmp_path: Path) -> None:
    ended = shine("analyze", tmp_path / "gone.jpg", "-")
    assert ended.code == 2
    assert [row["error"] for row in rows(ended)] == [
        "photo_unreadable: It cannot be read: No such file or directory.",
        "image_unreadable: The file is empty.",
    ]


def test_an_empty_folder_among_photos_is_said(shine: Shine, tmp_path: Path) -> None:
    ended = shine("analyze", tmp_path, PORTRAIT)
    assert (ended.code, len(rows(ended))) == (0, 1)
    assert ended.err == f"shine: {tmp_path} holds no file; name photos, or a folder with some.\n"


def test_odd_names_are_printed_safely_and_kept_in_json(shine: Shine, tmp_path: Path) -> None:
    odd = [
        b"two words.png",
        b"two\nlines\tand tabs.png",
        b"broken \xff utf8.png",
        b"\xe2\x80\xaered.png",
        b"[red].png",
    ]
    for name in odd:
        shutil.copy(PORTRAIT, tmp_path / os.fsdecode(name))
    shown = {row["photo"].removeprefix(f"{tmp_path}/") for row in rows(shine("analyze", tmp_path))}
    assert shown == {
        "two words.png",
        "two\\nlines\\tand tabs.png",
        "broken \\udcff utf8.png",
        "\\u202ered.png",
        "[red].png",
    }
    ended = shine("analyze", tmp_path, "--json")
    assert ended.out.isascii()
    assert {os.fsencode(Path(item["photo"]).name) for item in json.loads(ended.out)} == set(odd)


@pytest.fixture
def as_nobody(analyzer: Analyzer) -> Iterator[Path]:
    """A folder that anybody may enter, while this process is nobody's."""
    analyzer.analyze(PORTRAIT)  # all is loaded
    folder = Path(tempfile.mkdtemp(prefix="shine-", dir="/tmp"))
    folder.chmod(0o755)
    root = os.geteuid() == 0
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        for path in folder.rglob("*"):
            path.chmod(0o700)
        shutil.rmtree(folder)


def test_without_permission_files_and_folders_are_errors_of_their_own(shine: Shine, as_nobody: Path) -> None:
    shutil.copy(PORTRAIT, as_nobody / "mine.png")
    shutil.copy(PORTRAIT, as_nobody / "secret.png")
    (as_nobody / "closed").mkdir()
    shine("analyze", PORTRAIT)
    (as_nobody / "secret.png").chmod(0)
    (as_nobody / "closed").chmod(0)
    (as_nobody / "mine.png").chmod(0o644)
    if os.geteuid() == 0:
        os.seteuid(65534)
    ended = shine("analyze", as_nobody)
    assert ended.code == 1
    said = {row["photo"].rpartition("/")[2]: row["error"] for row in rows(ended)}
    denied = "photo_unreadable: It cannot be read: Permission denied."
    assert said == {"mine.png": "", "secret.png": denied, "closed": denied}
    ended = shine("analyze", as_nobody / "mine.png", "--overlay", as_nobody / "closed")
    assert ended.code == 2
    assert "closed/mine.png: Permission denied." in ended.err
    ended = shine("analyze", as_nobody / "closed" / "inside.png", as_nobody / "mine.png")
    assert (ended.code, rows(ended)[0]["error"]) == (1, denied)


# --- weights ----------------------------------------------------------------------------------------------------


def test_without_weights_the_heuristics_answer_and_it_is_said(shine: Shine, no_weights: Path) -> None:
    ended = shine("analyze", PORTRAIT, "--weights", no_weights)
    assert ended.code == 0
    (row,) = rows(ended)
    assert (row["source"], row["reason"]) == ("heuristic", "weights_missing")
    assert ended.err.startswith("shine: The model does not answer (weights_missing): There is no manifest.json in")
    assert ended.err.count("\n") == 1


def test_where_the_model_is_required_missing_weights_are_4(
    shine: Shine, no_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHINE_WEIGHTS_URI", str(no_weights))
    ended = shine("analyze", PORTRAIT, "--require-model")
    assert (ended.code, ended.out) == (4, "")
    assert f"`shine weights check {no_weights}` tells more" in ended.err
    assert shine("analyze", PORTRAIT, "--require-model", "--weights", "bentos/skin/weights").code == 0


def test_a_model_that_fails_in_the_middle_is_4_where_it_is_required(
    shine: Shine, analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_crops: object) -> Any:
        raise RuntimeError("of ONNX Runtime")

    monkeypatch.setattr(analyzer._model, "predict", fails)
    ended = shine("analyze", PORTRAIT, "--require-model")
    assert ended.code == 4
    assert rows(ended)[0]["error"].startswith("model_unavailable: ")
    assert rows(shine("analyze", PORTRAIT))[0]["reason"] == "model_crashed"


def test_a_result_names_its_photo_first() -> None:
    result = Result(Photo("a", None), error={"code": "x"})
    assert list(result.as_json()) == ["photo", "error"]


@pytest.mark.parametrize("overlay", ["photos", "photos/drawn", "photos/second visit"])
def test_no_picture_is_drawn_where_photos_are_read(shine: Shine, photos: Path, overlay: str) -> None:
    ended = shine("analyze", photos, "--overlay", photos.parent / overlay, "--overwrite")
    assert (ended.code, ended.out) == (3, "")
    assert "name another place" in ended.err
    assert (photos / "face.png").read_bytes() == PORTRAIT.read_bytes()


@pytest.mark.parametrize("overlay", ["face.png", "."])
def test_a_photo_is_never_replaced_by_its_picture(shine: Shine, photos: Path, overlay: str) -> None:
    ended = shine("analyze", photos / "face.png", "--overlay", photos / overlay, "--overwrite")
    assert ended.code == 3
    assert "would be replaced" in ended.err
    assert (photos / "face.png").read_bytes() == PORTRAIT.read_bytes()


def test_a_place_that_ends_in_a_slash_is_a_folder(shine: Shine, analyzer: Analyzer, tmp_path: Path) -> None:
    assert shine("analyze", PORTRAIT, "--overlay", f"{tmp_path}/drawn/").code == 0
    assert (tmp_path / "drawn" / "astronaut.png").read_bytes() == analyzer.overlay(PORTRAIT)
    ended = shine("analyze", PORTRAIT, "--overlay", tmp_path / "drawn.jpg")
    assert (ended.code, (tmp_path / "drawn.jpg").exists()) == (2, False)
    assert "ends in .png" in ended.err


def test_a_link_to_itself_is_one_error_also_where_pictures_are_drawn(
    shine: Shine, photos: Path, tmp_path: Path
) -> None:
    (photos / "loop.png").symlink_to("loop.png")
    ended = shine("analyze", photos, "--overlay", tmp_path / "drawn")
    assert ended.code == 1
    assert "Too many levels of symbolic links" in ended.out
    assert (tmp_path / "drawn" / "face.png").exists()
    assert shine("analyze", photos / "face.png", "--overlay", photos / "loop.png").code == 3


def test_a_photo_named_itself_and_by_its_folder_is_read_once(shine: Shine, photos: Path) -> None:
    ended = shine("analyze", photos, f"{photos}/", photos / "face.png")
    assert ended.out.count(f"{photos}/face.png") == 1


def test_a_folder_named_twice_is_read_once(shine: Shine, photos: Path) -> None:
    ended = shine("analyze", photos, photos)
    assert (ended.code, ended.err) == (0, "")
    assert len(rows(ended)) == 2
