"""Which photos an input has, and their bytes."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bentos.batch.errors import BatchError, PhotoUnreadable
from bentos.batch.photos import Photo, find, read

MOST = 100


def names(source: Path) -> list[str]:
    listing = find(str(source))
    found = [photo.path for photo in listing.read(0, listing.count)]
    assert len(found) == listing.count
    return found


def test_a_folder_is_read_in_the_order_of_names_whatever_they_are(tmp_path: Path) -> None:
    for name in ("b.jpg", "a b.jpg", "new\nline.jpg", "sub/c.jpg", ".hidden.jpg", ".cache/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")).write_bytes(b"broken")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert names(tmp_path) == ["a b.jpg", "b.jpg", "new\nline.jpg", "sub/c.jpg", "\udcff.jpg"]
    listing = find(str(tmp_path))
    assert read(next(iter(listing.read(4, 5))), MOST) == b"broken"


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "1.jpg").write_bytes(b"x")
    (tmp_path / "photos" / "a" / "up").symlink_to("..")
    (tmp_path / "photos" / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "2.jpg").write_bytes(b"x")
    (tmp_path / "photos" / "linked").symlink_to("../elsewhere")
    assert names(tmp_path / "photos") == ["a/1.jpg", "linked/2.jpg", "loop.jpg"]


def test_the_fingerprint_is_that_of_the_names(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    before = find(str(tmp_path)).fingerprint
    (tmp_path / "a.jpg").write_bytes(b"other")
    assert find(str(tmp_path)).fingerprint == before
    (tmp_path / "a.jpg").rename(tmp_path / "b.jpg")
    assert find(str(tmp_path)).fingerprint != before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"b.jpg\r\na.jpg\n\nb.jpg\n", ["a.jpg", "b.jpg"]),
        (b"a\n1.jpg\0b.jpg\0", ["a\n1.jpg", "b.jpg"]),
        (b"s3://bucket/key.jpg\n\xff.jpg", ["s3://bucket/key.jpg", "\udcff.jpg"]),
    ],
)
def test_a_list_has_lines_or_zero_bytes(tmp_path: Path, text: bytes, expected: list[str]) -> None:
    (tmp_path / "list").write_bytes(text)
    assert names(tmp_path / "list") == expected


def test_paths_of_a_list_are_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"here")
    (tmp_path / "list").write_text(f"a.jpg\n{tmp_path}/a.jpg\n")
    assert [read(photo, MOST) for photo in find("list").read(0, 2)] == [b"here", b"here"]


def test_a_table_has_photos_or_their_paths_in_the_order_of_its_rows(tmp_path: Path) -> None:
    table = tmp_path / "photos.parquet"
    data = {"bytes": [b"b", None, b"a", None], "id": [7, 8, None, 9], "path": ["x.jpg", None, "x.jpg", "/y.jpg"]}
    pq.write_table(pa.table({**data, "other": [1, 2, 3, 4]}), table)
    listing = find(str(table))
    assert listing.count == 4
    assert list(listing.read(1, 4)) == [
        Photo("photos.parquet#1", "", "8"),
        Photo("x.jpg", "", None, b"a"),
        Photo("/y.jpg", "/y.jpg", "9"),
    ]
    with pytest.raises(PhotoUnreadable, match="no photo"):
        read(Photo("photos.parquet#1", "", "8"), MOST)
    pq.write_table(pa.table({"path": ["/b.jpg", "/a.jpg"]}), table)
    assert [photo.place for photo in find(str(table)).read(0, 2)] == ["/b.jpg", "/a.jpg"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda _place: None, "No such file"),
        (lambda place: place.mkdir(), "holds no file"),
        (lambda place: place.write_bytes(b"\n"), "names no photo"),
        (lambda place: place.write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF"), "neither a list of paths nor a Parquet file"),
        (lambda place: place.write_bytes(b"PAR1 and no more"), "cannot be read as Parquet"),
        (lambda place: os.mkfifo(place), "neither a file nor a folder"),
        (lambda place: pq.write_table(pa.table({"image": [b""]}), place), "has the columns image"),
        (lambda place: pq.write_table(pa.table({"bytes": ["text"]}), place), "is of type string, not binary"),
        (
            lambda place: pq.write_table(pa.table({"path": ["a"], "id": [b"a"]}), place),
            "is of type binary, not string or",
        ),
        (lambda place: pq.write_table(pa.table([["a"], ["b"]], ["path", "path"]), place), "has 2 columns `path`"),
        (lambda place: pq.write_table(pa.table({"path": pa.array([], pa.string())}), place), "has no row"),
    ],
)
def test_an_input_without_photos_is_refused(tmp_path: Path, make: object, sentence: str) -> None:
    make(tmp_path / "input")  # type: ignore[operator]
    with pytest.raises(BatchError, match=sentence):
        find(str(tmp_path / "input"))


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("gone.jpg", "file_missing"),
        ("s3://", "file_missing"),
        ("s3://bucket", "file_missing"),
        ("s3://no bucket/a.jpg", "file_missing"),
        ("file.jpg/below.jpg", "file_missing"),
        ("zero\0byte.jpg", "file_missing"),
        ("loop.jpg", "file_unreadable"),
        ("pipe", "file_unreadable"),
        ("folder/", "folder_unreadable"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, place: str, code: str) -> None:
    (tmp_path / "file.jpg").write_bytes(b"x")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PhotoUnreadable) as refused:
        read(Photo("x", place if place.startswith("s3:") else f"{tmp_path}/{place}"), MOST)
    assert refused.value.code == code
    assert refused.value.sentence.endswith(".")


def test_of_a_file_that_is_too_large_only_the_beginning_is_read(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(bytes(2 * MOST))
    assert len(read(Photo("large.jpg", f"{tmp_path}/large.jpg"), MOST)) == MOST + 1
