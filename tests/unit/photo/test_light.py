"""The light on a face: how much, how even, of which colour; drawn on the portrait, and measured on the London faces."""

import csv
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bentos.skin.measure.redness import redness
from bentos.skin.measure.surface import prepare
from bentos.skin.measure.tone import tone
from bentos.skin.photo.crop import CROP_SIZE, Crop
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face_parts import raster
from bentos.skin.photo.light import COLOUR_CONCERNS, Light, measure_light, unjudged
from bentos.skin.photo.skin import shown_mask
from bentos.skin.photo.view import view_of
from tests.drawing import flush, parts_of, portrait_crop, reader
from training.distortions import LIGHTS

DATA = Path(__file__).resolve().parents[3] / "../shared/data"
LONDON = DATA / "london"
ISSUES = ("too_dark", "too_bright", "uneven_light", "tinted", "no_colour")
SKIN, DARK_SKIN = (205, 160, 135), (84, 56, 43)

Pixels = NDArray[np.uint8]


def light_of(crop: Crop) -> Light:
    view = view_of(crop)
    return measure_light(np.asarray(Image.fromarray(crop.pixels).reduce(2)), view.skin, view.parts, shown_mask(crop))


def issues(crop: Crop) -> list[str]:
    light = light_of(crop)
    assert tuple(light.ratios) == ISSUES
    assert all(0 <= ratio <= 2 for ratio in light.ratios.values())
    return [issue for issue, ratio in light.ratios.items() if ratio < 1]


def changed(pixels: Pixels, crop: Crop | None = None) -> Crop:
    return replace(crop or portrait_crop(), pixels=pixels)


def gained(pixels: Pixels, red: float, green: float, blue: float) -> Pixels:
    """Another light, in linear light (gamma 2.2 for sRGB)."""
    return (255 * ((pixels / 255) ** 2.2 * (red, green, blue)).clip(0, 1) ** (1 / 2.2)).astype(np.uint8)


def exposed(stops: float) -> Crop:
    return changed(gained(portrait_crop().pixels, *[2.0**stops] * 3))


def grey(pixels: Pixels) -> NDArray[np.float64]:
    return np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float64)[..., None]


def sepia(pixels: Pixels) -> Pixels:
    return (grey(pixels) * (1.07, 0.9, 0.7)).clip(0, 255).astype(np.uint8)


def duotone(pixels: Pixels) -> Pixels:
    share = grey(pixels) / 255
    return (np.array([20, 30, 90]) * (1 - share) + np.array([250, 220, 160]) * share).astype(np.uint8)


def noisy_grey(pixels: Pixels) -> Pixels:
    noise = np.random.default_rng(0).normal(0, 6, pixels.shape)
    return (grey(pixels) + noise).clip(0, 255).astype(np.uint8)


def resaved(pixels: Pixels, quality: int) -> Pixels:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def shaded(where: NDArray[np.float64], stops: float) -> Crop:
    """The portrait with shade of so many stops where `where`, in distances between the pupils, is positive."""
    pixels = portrait_crop().pixels
    gain = 2.0 ** (-stops * np.clip(where / 0.1 + 0.5, 0, 1))[..., None]
    return changed((255 * ((pixels / 255) ** 2.2 * gain) ** (1 / 2.2)).astype(np.uint8))


def face_coordinates() -> NDArray[np.float64]:
    """x and y of every pixel in the face's own axes, (2, 512, 512)."""
    landmarks = portrait_crop().landmarks
    assert landmarks is not None
    axes = parts_of(landmarks).axes
    rows, columns = np.mgrid[:CROP_SIZE, :CROP_SIZE] + 0.5
    offset = np.stack([columns, rows]) - axes[:, 2][:, None, None]
    return np.asarray(np.tensordot(np.linalg.inv(axes[:, :2]), offset, 1))


def everywhere(pixels: Pixels) -> Crop:
    """A photo without a face."""
    return Crop(pixels, np.eye(2, 3), (0, 0, CROP_SIZE, CROP_SIZE), None)


def flat(*colour: int) -> Pixels:
    return np.full((CROP_SIZE, CROP_SIZE, 3), colour, np.uint8)


def texture(colour: tuple[int, int, int]) -> Pixels:
    """Skin that fills the photo: patches and pores."""
    random = np.random.default_rng(0)
    coarse = random.normal(0, 8, (CROP_SIZE // 16, CROP_SIZE // 16)).astype(np.float32)
    patches = np.asarray(Image.fromarray(coarse).resize((CROP_SIZE, CROP_SIZE), Image.Resampling.BICUBIC))
    shade = 1 + (patches + random.normal(0, 3, patches.shape))[..., None] / 160
    return (np.array(colour) * shade).clip(0, 255).astype(np.uint8)


def test_a_portrait_in_white_light_has_no_issue() -> None:
    assert issues(portrait_crop()) == []
    assert unjudged(light_of(portrait_crop())) == {}


@pytest.mark.parametrize("stops", [-0.7, -0.4, 0.3])
def test_a_little_more_or_less_light_is_no_issue(stops: float) -> None:
    assert issues(exposed(stops)) == []


def test_little_and_glaring_light_are_seen() -> None:
    assert issues(exposed(-4)) == ["too_dark"]
    assert "too_bright" in issues(exposed(2))
    dark, bright = exposed(-8), exposed(2.5)
    assert light_of(dark).crushed.mean() > 0.5
    assert light_of(bright).blown.mean() > 0.4
    assert not light_of(portrait_crop()).crushed[100:150, 100:150].any()


def test_the_amount_of_light_is_told_by_the_eyes_and_not_by_the_skin() -> None:
    crop = portrait_crop()
    assert crop.landmarks is not None
    parts = parts_of(crop.landmarks)
    eyes = raster([(outline, 0.0) for outline, _ in parts.features[:2]], CROP_SIZE)[..., None]
    dark_skin = (crop.pixels * 0.35).astype(np.uint8)
    assert "too_dark" not in issues(changed(np.where(eyes, crop.pixels, dark_skin)))
    assert "too_dark" in issues(changed(dark_skin))


@pytest.mark.parametrize(
    "gains",
    [(0.8, 1, 1.6), (1, 1, 2.0), (0.7, 1, 0.8), (1.1, 0.6, 1), (1, 0.7, 0.25)],
    ids=["sky", "blue", "green", "purple", "orange"],
)
def test_coloured_light_is_seen(gains: tuple[float, float, float]) -> None:
    tinted = changed(gained(portrait_crop().pixels, *gains))
    assert issues(tinted) == ["tinted"]
    assert unjudged(light_of(tinted)) == dict.fromkeys(COLOUR_CONCERNS, "no_colour")


def closed_eyes() -> Crop:
    """The portrait with skin instead of eyes."""
    crop = portrait_crop()
    assert crop.landmarks is not None
    pixels = crop.pixels.copy()
    pixels[raster([(outline, 6.0) for outline, _ in parts_of(crop.landmarks).features[:2]], CROP_SIZE)] = SKIN
    return changed(pixels)


@pytest.mark.parametrize(
    "gains", [(1, 1, 2), (0.7, 1, 1.6), (0.7, 1, 0.7), (1, 0.7, 0.15)], ids=["blue", "sky", "green", "orange"]
)
def test_coloured_light_is_seen_on_skin_alone(gains: tuple[float, float, float]) -> None:
    assert issues(closed_eyes()) == []
    assert issues(changed(gained(closed_eyes().pixels, *gains))) == ["tinted"]
    close_up = np.asarray(Image.fromarray(texture(SKIN)).reduce(2))
    everything = np.ones(close_up.shape[:2], dtype=np.bool_)
    assert measure_light(close_up, everything, None, everything).ratios["tinted"] >= 1
    assert measure_light(gained(close_up, *gains), everything, None, everything).ratios["tinted"] < 1


def test_a_flushed_face_and_the_light_of_a_living_room_are_not_tinted() -> None:
    crop = portrait_crop()
    assert crop.landmarks is not None
    assert issues(changed(flush(crop.pixels, crop.landmarks, strength=1.5).pixels)) == []
    assert issues(changed(gained(crop.pixels, 1.1, 1, 0.85))) == []


@pytest.mark.parametrize(
    "print_of", [lambda pixels: grey(pixels).repeat(3, 2).astype(np.uint8), sepia, duotone, noisy_grey]
)
@pytest.mark.parametrize("quality", [None, 80, 60])
def test_black_and_white_sepia_and_duotone_have_no_colour(print_of, quality: int | None) -> None:  # type: ignore[no-untyped-def]
    pixels = print_of(portrait_crop().pixels)
    crop = changed(pixels if quality is None else resaved(pixels, quality))
    assert issues(crop) == ["no_colour"]
    assert unjudged(light_of(crop)) == dict.fromkeys(COLOUR_CONCERNS, "no_colour")


def test_pale_colours_are_colours() -> None:
    pixels = portrait_crop().pixels
    assert issues(changed((0.6 * pixels + 0.4 * grey(pixels)).astype(np.uint8))) == []
    assert issues(changed((0.1 * pixels + 0.9 * grey(pixels)).astype(np.uint8))) == ["no_colour"]


@pytest.mark.parametrize("side", [-1, 1])
def test_one_side_in_the_shade_is_uneven_light(side: int) -> None:
    across = face_coordinates()[0]
    assert "uneven_light" in issues(shaded(side * across, 2.5))
    assert "uneven_light" not in issues(shaded(side * across, 0.5))


def test_the_shade_of_a_brim_is_uneven_light_and_the_same_shade_everywhere_is_not() -> None:
    down = face_coordinates()[1]
    assert "uneven_light" in issues(shaded(0.6 - down, 3))
    assert issues(shaded(np.ones_like(down), 0.8)) == []


def test_pictures_without_a_face_are_judged_by_what_they_show() -> None:
    assert issues(everywhere(flat(0, 0, 0))) == ["too_dark", "no_colour"]
    assert issues(everywhere(flat(255, 255, 255))) == ["too_bright", "no_colour"]
    assert issues(everywhere(flat(128, 128, 128))) == ["no_colour"]
    noise = np.random.default_rng(0).integers(0, 256, (CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    assert issues(everywhere(noise)) == []
    assert issues(everywhere(flat(200, 40, 40))) == issues(everywhere(flat(40, 160, 60))) == []


@pytest.mark.parametrize("colour", [SKIN, (150, 104, 80), DARK_SKIN])
def test_a_close_up_of_skin_of_any_tone_is_neither_dark_nor_tinted(colour: tuple[int, int, int]) -> None:
    pixels = texture(colour)
    assert issues(everywhere(pixels)) == []
    assert issues(everywhere(grey(pixels).repeat(3, 2).astype(np.uint8))) == ["no_colour"]
    assert "too_dark" in issues(everywhere(gained(pixels, *[2.0**-5] * 3)))


def test_exposure_is_told_before_a_cast_that_it_may_cause() -> None:
    light = light_of(portrait_crop())
    assert unjudged(replace(light, ratios={**light.ratios, "uneven_light": 0.1})) == {}
    reasons = {"too_dark": "too_dark", "too_bright": "too_bright", "tinted": "no_colour", "no_colour": "no_colour"}
    for issue, reason in reasons.items():
        found = unjudged(replace(light, ratios={**light.ratios, issue: 0.9}))
        assert found == dict.fromkeys(COLOUR_CONCERNS, reason)
    both = unjudged(replace(light, ratios={**light.ratios, "too_bright": 0.9, "tinted": 0.9}))
    assert set(both.values()) == {"too_bright"}


def test_nothing_shown_and_a_face_beside_the_crop_are_answered() -> None:
    crop = portrait_crop()
    assert crop.landmarks is not None
    issues(replace(crop, valid=(0, 0, 1, 1)))
    issues(replace(crop, landmarks=crop.landmarks + np.array([2000, 0, 0], np.float32)))
    issues(replace(crop, landmarks=crop.landmarks * np.float32(0.02)))
    issues(changed(flat(0, 0, 0)))
    issues(changed(flat(255, 255, 255)))


# --- real faces -----------------------------------------------------------------------------------------------------


def london(split: str) -> dict[str, dict[str, str]]:
    with (LONDON / "labels.csv").open() as file:
        return {row["file"]: row for row in csv.DictReader(file) if row["split"] == split}


def crop_of(path: Path) -> Crop:
    return reader().read(decode(path.read_bytes())).crop


needs_london = pytest.mark.skipif(not LONDON.is_dir(), reason="needs shared/data/london")


@needs_london
def test_dark_skin_is_no_dark_photo() -> None:
    dark = {name for split in ("fit", "check") for name, row in london(split).items() if int(row["monk"]) >= 7}
    assert len(dark) >= 7
    for name in sorted(dark):
        crop = crop_of(LONDON / "faces" / name)
        light, surface = light_of(crop), prepare(view_of(crop))
        assert min(light.ratios.values()) >= 1, name
        assert tone(surface.lab, surface.skin) is not None, name


@needs_london
@pytest.mark.long
def test_casts_and_exposures_are_told_or_leave_redness_as_it_is() -> None:
    """In nine of ten London faces that no threshold was chosen on: within 8 points, or not judged."""
    told: dict[str, list[bool]] = {name: [] for name in LIGHTS}
    for file in sorted(london("check")):
        crop = crop_of(LONDON / "faces" / file)
        before = redness(prepare(view_of(crop))).score
        assert before is not None
        for name, distortion in LIGHTS.items():
            other = replace(crop, pixels=np.asarray(distortion.change(Image.fromarray(crop.pixels))))
            after = redness(prepare(view_of(other))).score
            told[name].append(
                "redness" in unjudged(light_of(other)) or (after is not None and abs(after - before) <= 8)
            )
    shares = {name: float(np.mean(values)) for name, values in told.items()}
    assert min(shares.values()) >= 0.9, shares


@pytest.mark.skipif(not LONDON.is_dir() or not (DATA / "wrinkles").is_dir(), reason="needs shared/data")
@pytest.mark.long
def test_photos_as_they_are_are_hardly_ever_called_tinted_or_badly_exposed() -> None:
    paths = [
        *sorted((DATA / "acne04/valid").glob("*.jpg"))[::6],
        *sorted((DATA / "wrinkles/valid/images").iterdir())[::4],
    ]
    paths += sorted((LONDON / "faces").glob("*.jpg"))[::3]
    found: list[list[str]] = []
    for path in paths:
        light = light_of(crop_of(path))
        found.append([issue for issue, ratio in light.ratios.items() if ratio < 1])
    for issue in ("tinted", "too_dark", "too_bright"):
        assert np.mean([issue in one for one in found]) <= 0.05, issue
