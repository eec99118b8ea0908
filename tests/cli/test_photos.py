"""The photos that a command line names: folders, links, odd names, what is no photo."""

import os
from pathlib import Path

import pytest

from bentos.cli.command import CommandError
from bentos.cli.photos import MOST_BYTES, Photo, PhotoUnreadable, find
from bentos.skin.photo.magic import begins_as_photo
from tests.server import PORTRAIT

JPEG = b"\xff\xd8\xff\xe0 and so on"


def names(folder: Path, *arguments: object) -> list[str]:
    found = find(tuple(map(str, arguments or (folder,))))
    return [os.path.relpath(photo.name, folder) for photo in found]


def test_a_folder_gives_its_photos_and_those_below_in_order(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.JPEG", "deep/er/c.webp", "deep/d.heic", "notes.txt", ".hidden.jpg", ".git/e.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert names(tmp_path) == ["a.JPEG", "b.jpg", "deep/d.heic", "deep/er/c.webp"]


def test_a_photo_is_known_by_its_content_too(tmp_path: Path) -> None:
    (tmp_path / "upload-1").write_bytes(JPEG)
    (tmp_path / "video.mp4").write_bytes(b"\0\0\0\x20ftypisom\0\0")
    (tmp_path / "sound.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    assert names(tmp_path) == ["upload-1"]


@pytest.mark.parametrize(
    "head",
    [JPEG, PORTRAIT.read_bytes()[:12], b"RIFF\0\0\0\0WEBP", b"\0\0\0\x20ftypavif", b"\0\0\0\x18ftypheic"],
)
def test_each_format_is_known_by_twelve_bytes(head: bytes) -> None:
    assert begins_as_photo(head[:12])
    assert not begins_as_photo(head[1:12])


def test_links_are_followed_and_each_folder_is_read_once(tmp_path: Path) -> None:
    album = tmp_path / "album"
    (album / "inner").mkdir(parents=True)
    (album / "inner" / "a.jpg").write_bytes(JPEG)
    (album / "inner" / "back").symlink_to(album, target_is_directory=True)
    (album / "itself").symlink_to(album / "itself")
    (album / "again").symlink_to(album / "inner", target_is_directory=True)
    (album / "z.jpg").symlink_to(album / "inner" / "a.jpg")
    (album / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = names(album)
    assert len(found) == 3
    assert {name.split("/")[-1] for name in found} == {"a.jpg", "z.jpg", "gone.jpg"}


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "a.jpg").write_bytes(JPEG)
    assert names(tmp_path) == ["a.jpg"]


def test_what_is_named_itself_is_taken_whatever_it_is(tmp_path: Path) -> None:
    assert find((str(tmp_path / "gone"), "-")) == [
        Photo(str(tmp_path / "gone"), tmp_path / "gone"),
        Photo("standard input", None),
    ]


def test_an_empty_folder_and_one_without_photos_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="holds no file; name photos, or a folder with some"):
        find((str(tmp_path),))
    for number in range(10_000):
        (tmp_path / f"{number}.dat").touch()
    with pytest.raises(CommandError, match="holds no photo among 10,000 files; photos are JPEG"):
        find((str(tmp_path),))


def test_a_file_without_end_is_given_up(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    for path in (Path("/dev/zero"), tmp_path / "huge.jpg"):
        with pytest.raises(PhotoUnreadable, match="more than 64 MiB"):
            Photo("it", path).read()


@pytest.mark.parametrize(
    ("path", "why"),
    [("/nowhere.jpg", "No such file or directory"), ("/proc/self/mem", "Input/output error"), ("a\0b", "null byte")],
)
def test_what_cannot_be_read_says_why(path: str, why: str) -> None:
    with pytest.raises(PhotoUnreadable, match=why):
        Photo(path, Path(path)).read()
