"""Labelled photos are cut as the service cuts them, and the cache returns what was written."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")

from training import crops
from training.annotations import DataError

ASTRONAUT = Path(__file__).resolve().parents[2] / "photos" / "astronaut.png"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an acne split of two variants of a portrait and one photo without a face, and an empty cache."""
    monkeypatch.setattr(crops, "CACHE", tmp_path / "cache")
    with Image.open(ASTRONAUT) as image:
        for variant in "ab":
            image.convert("RGB").save(tmp_path / f"levle2_7_jpg.rf.{variant}.jpg", quality=95)
    Image.new("RGB", (300, 200), (200, 150, 120)).save(tmp_path / "levle0_3_jpg.rf.c.jpg")
    rows = "levle2_7_jpg.rf.a.jpg,512,512,lesion,200,100,220,120\nlevle2_7_jpg.rf.a.jpg,512,512,lesion,0,500,10,510\n"
    (tmp_path / "_annotations.csv").write_text("filename,width,height,class,xmin,ymin,xmax,ymax\n" + rows)
    return tmp_path


def test_a_box_moves_with_the_crop_and_one_outside_it_is_dropped(folder: Path) -> None:
    _, portrait, _ = crops.acne_examples(folder, "made")
    (left, top, width, height) = portrait.lesions[0]
    assert len(portrait.lesions) == 1
    corner = portrait.crop.to_photo @ [left, top, 1]
    np.testing.assert_allclose(corner, [200, 100], atol=1e-9)
    np.testing.assert_allclose([width, height], 20 / portrait.crop.to_photo[0, 0])


def test_the_second_time_the_examples_come_from_the_cache_unchanged(folder: Path) -> None:
    made = crops.acne_examples(folder, "made")
    for path in folder.glob("*.jpg"):
        path.write_bytes(b"no image any more")
    again = crops.acne_examples(folder, "made")
    assert [(example.group, example.severity) for example in again] == [("0_3", 0), ("2_7", 2), ("2_7", 2)]
    assert again[0].crop.landmarks is again[0].pupils is None
    assert again[1].crop.landmarks is not None
    np.testing.assert_array_equal(made[1].crop.landmarks, again[1].crop.landmarks)
    np.testing.assert_array_equal(made[1].pupils, again[1].pupils)
    for cut, cached in zip(made, again, strict=True):
        np.testing.assert_array_equal(cut.crop.pixels, cached.crop.pixels)
        np.testing.assert_array_equal(cut.lesions, cached.lesions)
        assert cut.crop.valid == cached.crop.valid


def test_an_interrupted_run_leaves_no_cache(folder: Path) -> None:
    (folder / "levle2_7_jpg.rf.b.jpg").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"levle2_7_jpg\.rf\.b\.jpg cannot be read"):
        crops.acne_examples(folder, "made")
    assert not list((folder / "cache").glob("made.*"))
