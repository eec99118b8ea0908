"""The skin mask: drawn patches from very light to dark, what is not skin, and real photos."""

import csv
from pathlib import Path

import numpy as np
import pytest
import skimage.color
from numpy.typing import NDArray
from PIL import Image

from bentos.skin.photo.crop import CROP_SIZE, PADDING, Crop, points_to_crop
from bentos.skin.photo.decode import Photo, decode
from bentos.skin.photo.face_parts import raster
from bentos.skin.photo.skin import SIZE, face_mask, skin_mask, skin_share
from tests.drawing import face_landmarks, parts_of, portrait_crop, reader

ROOT = Path(__file__).resolve().parents[3]
PORTRAIT = ROOT / "tests/photos/astronaut.png"
ACNE = ROOT / "../shared/data/acne04/valid"
BLUE, GREEN, GREY, BLACK, WHITE = (40, 80, 200), (40, 160, 60), (128, 128, 128), (5, 5, 5), (250, 250, 250)
OAK, PINE, OCHRE = (190, 140, 80), (222, 184, 135), (160, 110, 50)

# One tone in each group by ITA: angle in degrees, a*, b*; L* follows from the angle (Chardon et al., 1991).
TONES = {
    "very_light": (62.0, 8.0, 13.0),
    "light": (48.0, 10.0, 17.0),
    "intermediate": (35.0, 12.0, 19.0),
    "tan": (19.0, 13.0, 20.0),
    "brown": (-10.0, 13.0, 19.0),
    "dark": (-50.0, 9.0, 12.0),
}
# Gains on linear RGB: a lamp, open shade.
LIGHTS = {"daylight": (1.0, 1.0, 1.0), "warm": (1.1, 1.0, 0.8), "cool": (0.95, 1.0, 1.08)}
WHOLE = (0, 0, CROP_SIZE, CROP_SIZE)


def _tone(name: str, light: str = "daylight") -> tuple[int, int, int]:
    angle, a, b = TONES[name]
    encoded = skimage.color.lab2rgb([[[50 + b * np.tan(np.radians(angle)), a, b]]])[0, 0]
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4) * LIGHTS[light]
    back = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (round(255 * float(value)) for value in back.clip(0, 1))
    return red, green, blue


def _noisy(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(7).normal(0, 3, pixels.shape)
    return (pixels + noise).clip(0, 255).astype(np.uint8)


def _drawn(inner: tuple[int, int, int], outer: tuple[int, int, int], face: bool) -> tuple[Crop, NDArray[np.bool_]]:
    """A crop of one colour inside (a face, or a square) and another outside; and the inside at half its size."""
    landmarks = face_landmarks() if face else None
    inside = np.zeros((CROP_SIZE, CROP_SIZE), dtype=np.bool_)
    inside[100:400, 120:420] = True
    if landmarks is not None:
        inside = raster([(parts_of(landmarks).outline, 0.0)], CROP_SIZE)
    pixels = np.where(inside[..., None], np.array(inner), np.array(outer)).astype(np.uint8)
    return Crop(_noisy(pixels), np.eye(2, 3), WHOLE, landmarks), inside[::2, ::2]


def _mask(crop: Crop) -> NDArray[np.bool_]:
    return skin_mask(crop, None if crop.landmarks is None else parts_of(crop.landmarks))


def _features(crop: Crop) -> NDArray[np.bool_]:
    return raster(() if crop.landmarks is None else parts_of(crop.landmarks).features, SIZE, 0.5)


def _zone(crop: Crop, name: str) -> NDArray[np.bool_]:
    assert crop.landmarks is not None
    return raster([(parts_of(crop.landmarks).zones[name], 0.0)], SIZE, 0.5)


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("face", [False, True], ids=["no face", "face"])
def test_skin_of_every_tone_under_every_light_is_skin(tone: str, light: str, face: bool) -> None:
    crop, inside = _drawn(_tone(tone, light), BLUE, face)
    mask = _mask(crop)
    assert mask.shape == (SIZE, SIZE)
    assert mask.dtype == np.bool_
    expected = inside & ~_features(crop)
    assert (mask & expected).sum() > 0.95 * expected.sum()
    assert (mask & ~inside).sum() < 0.03 * inside.sum()


@pytest.mark.parametrize("colour", [BLUE, GREEN, GREY, BLACK, WHITE, OAK, PINE, OCHRE])
def test_what_is_not_skin_is_not_skin(colour: tuple[int, int, int]) -> None:
    crop, _ = _drawn(colour, colour, face=False)
    assert skin_share(_mask(crop), crop) < 0.01


@pytest.mark.parametrize("background", [BLUE, GREEN, GREY, BLACK, WHITE, OAK])
@pytest.mark.parametrize("tone", TONES)
def test_the_background_of_a_face_is_not_skin(tone: str, background: tuple[int, int, int]) -> None:
    crop, inside = _drawn(_tone(tone), background, face=True)
    assert (_mask(crop) & ~inside).sum() < 0.05 * inside.sum()


@pytest.mark.parametrize("tone", TONES)
def test_eyes_brows_lips_and_hair_on_the_forehead_are_left_out(tone: str) -> None:
    crop, _ = _drawn(_tone(tone), BLUE, face=True)
    fringe = _zone(crop, "forehead").copy()
    fringe[:, 100:] = False
    crop.pixels[fringe.repeat(2, axis=0).repeat(2, axis=1)] = (18, 16, 15)
    mask = _mask(crop)
    assert not (mask & _features(crop)).any()
    assert (mask & fringe).sum() < 0.25 * fringe.sum()  # its rim may be closed over


def test_highlights_and_lesions_stay_skin() -> None:
    crop, _ = _drawn(_tone("intermediate"), BLUE, face=True)
    y, x = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    cheek = face_landmarks()[425, :2]
    for shift, colour in ((-15, (246, 236, 228)), (20, (176, 92, 84))):
        crop.pixels[np.hypot(x - cheek[0] - shift, y - cheek[1]) < 8] = colour
    mask = _mask(crop)
    for shift in (-15, 20):
        assert mask[int(cheek[1]) // 2, int(cheek[0] + shift) // 2]


def test_a_black_and_white_face_is_skin_all_the_same() -> None:
    grey = np.asarray(Image.open(PORTRAIT).convert("L").convert("RGB"))
    crop = reader().read(Photo(grey, grey.shape[1], grey.shape[0], "PNG")).crop
    mask = _mask(crop)
    for name in ("cheek_left", "cheek_right", "nose"):
        zone = _zone(crop, name) & ~_features(crop)
        assert (mask & zone).sum() > 0.85 * zone.sum(), name


def test_the_portraits_cheeks_are_skin_and_suit_and_wall_are_not() -> None:
    crop = portrait_crop()
    mask = _mask(crop)
    for name in ("cheek_left", "cheek_right", "nose", "chin"):
        zone = _zone(crop, name) & ~_features(crop)
        assert (mask & zone).sum() > 0.9 * zone.sum(), name
    for x, y in points_to_crop(crop, [(180, 185), (285, 110), (285, 150)]) / 2:  # suit, hair, wall
        assert not mask[int(y), int(x)]
    assert 0.2 < skin_share(mask, crop) < 0.5


def test_skin_lies_on_the_face_alone() -> None:
    crop, _ = _drawn(_tone("light"), _tone("light"), face=True)
    assert crop.landmarks is not None
    face = face_mask(parts_of(crop.landmarks))
    assert (_mask(crop) == face).mean() > 0.99


def test_padding_is_neither_skin_nor_counted() -> None:
    pixels = np.full((CROP_SIZE, CROP_SIZE, 3), PADDING, dtype=np.uint8)
    pixels[:, 100:300] = _tone("light")
    crop = Crop(pixels, np.eye(2, 3), (100, 0, 300, CROP_SIZE), None)
    mask = _mask(crop)
    assert not mask[:, :50].any()
    assert not mask[:, 150:].any()
    assert skin_share(mask, crop) > 0.95


def test_share_counts_the_shown_part_only() -> None:
    mask = np.zeros((SIZE, SIZE), dtype=np.bool_)
    mask[:50, :25] = True
    crop = Crop(np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8), np.eye(2, 3), (0, 0, 100, 100), None)
    assert skin_share(mask, crop) == 0.5


def test_labelled_lesions_lie_on_skin() -> None:
    if not ACNE.is_dir():
        pytest.skip("shared/data/acne04 is not here")
    boxes: dict[str, list[tuple[float, float]]] = {}
    with (ACNE / "_annotations.csv").open() as table:
        for row in csv.DictReader(table):
            middle = (float(row["xmin"]) + float(row["xmax"])) / 2, (float(row["ymin"]) + float(row["ymax"])) / 2
            boxes.setdefault(row["filename"], []).append(middle)
    on_skin, shares = [], []
    for name in sorted(boxes)[::4]:
        faces = reader().read(decode((ACNE / name).read_bytes()))
        mask = _mask(faces.crop)
        shares.append(skin_share(mask, faces.crop))
        places = (points_to_crop(faces.crop, boxes[name]) / 2).astype(int).clip(0, SIZE - 1)
        on_skin += [bool(mask[y, x]) for x, y in places]
    assert np.mean(on_skin) > 0.8
    assert 0.3 < np.median(shares) < 0.6
