"""Photos of one sitting are joined, others are not."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("cv2")

from training import people

Pixels = NDArray[np.uint8]


def wall(seed: int, side: int = 640) -> Pixels:
    """Draw overlapping rectangles of random greys."""
    rng = np.random.default_rng(seed)
    pixels = np.full((side, side), 128, np.uint8)
    for _ in range(300):
        x, y, width, height = rng.integers([0, 0, 10, 10], [side, side, 60, 60])
        pixels[y : y + height, x : x + width] = rng.integers(256)
    return pixels


def moved(pixels: Pixels, x: int, y: int) -> Pixels:
    return np.ascontiguousarray(np.roll(pixels, (y, x), axis=(0, 1)))


def test_photos_of_one_wall_agree_and_photos_of_two_walls_do_not() -> None:
    one, again, other = (people.features(pixels) for pixels in (wall(0), moved(wall(0), 50, 30), wall(1)))
    assert people.agreeing(one, again) >= people.INLIERS_MIN
    assert people.agreeing(one, other) < people.INLIERS_MIN


def test_a_photo_without_features_agrees_with_none() -> None:
    empty = people.features(np.full((640, 640), 90, np.uint8))
    assert people.agreeing(empty, people.features(wall(0))) == 0


def test_the_first_look_finds_the_pair_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "CANDIDATES", 1)
    monkeypatch.setattr(people, "BLOCK", 2)
    photos = [people.features(pixels) for pixels in (wall(0), wall(1), moved(wall(0), 40, 0), wall(2), wall(3))]
    assert (0, 2) in people.candidates(photos, photos)


def test_a_mirrored_photo_joins_its_sitting(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "acne04" / "train"
    folder.mkdir(parents=True)
    (tmp_path / "acne04" / "train_1024").mkdir()
    Image.fromarray(wall(0)).save(folder / "levle0_1_jpg.rf.a.jpg")
    Image.fromarray(np.ascontiguousarray(moved(wall(0), 30, 20)[:, ::-1])).save(folder / "levle0_2_jpg.rf.b.jpg")
    Image.fromarray(wall(1)).save(folder / "levle2_3_jpg.rf.c.jpg")
    Image.fromarray(wall(1, 1024)).save(tmp_path / "acne04" / "train_1024" / "levle2_3.jpg")
    photos = people.train_photos(tmp_path)
    assert photos["levle2_3"].parent.name == "train_1024"
    assert people.groups(photos, people.pair_scores(photos)) == [["levle0_1", "levle0_2"], ["levle2_3"]]


def test_pairs_chain_to_a_group_and_weak_pairs_do_not_join() -> None:
    scores = {("a", "b"): 20, ("b", "c"): 30, ("c", "d"): 19}
    assert people.groups("abcd", scores, limit=20) == [["a", "b", "c"], ["d"]]


def test_a_group_too_large_for_one_person_is_joined_with_a_higher_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "GROUP_MAX", 2)
    scores = {("a", "b"): 40, ("b", "c"): 21, ("c", "d"): 40}
    assert people.groups("abcd", scores, limit=20) == [["a", "b"], ["c", "d"]]


def test_what_is_written_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "people.csv"
    people.write(path, [["levle0_1", "levle1_2"], ["levle0_3"]])
    assert people.people(path) == {"levle0_1": "0", "levle0_3": "1", "levle1_2": "0"}
    assert "3 photos of 2 people" in capsys.readouterr().out


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no photos"):
        people.train_photos(tmp_path)
