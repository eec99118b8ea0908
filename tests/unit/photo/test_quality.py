"""Quality: each issue is reported when it is there, and only then, with one sentence of advice."""

import csv
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bentos.skin.findings import Unseen
from bentos.skin.photo import quality
from bentos.skin.photo.crop import cut, points_to_photo
from bentos.skin.photo.decode import Photo, decode
from bentos.skin.photo.face import Face
from bentos.skin.photo.face_parts import ZONES
from bentos.skin.photo.face_reader import PhotoFaces
from bentos.skin.photo.landmarks import Landmarks, Pose
from bentos.skin.photo.quality import Quality
from bentos.skin.photo.view import FaceView, view_of_face
from bentos.skin.pipeline import prepare
from tests import drawing
from tests.drawing import photo_of, portrait_faces, reader

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "../shared/data"
ACNE04, LONDON = DATA / "acne04/valid", DATA / "london"
ASTRONAUT = decode((ROOT / "tests/photos/astronaut.png").read_bytes())
ISSUES = [
    *["too_small", "blurred", "too_dark", "too_bright", "uneven_light", "tinted", "no_colour", "no_face"],
    *["several_faces", "little_skin", "turned_away", "cut_off", "covered", "compressed"],
]

Pixels = NDArray[np.uint8]


def scaled(face: Face, by: float) -> Face:
    x, y, width, height = face.box
    return Face((x * by, y * by, width * by, height * by), face.confidence, face.keypoints * np.float32(by))


def resized(pixels: Pixels, by: float) -> Pixels:
    size = round(pixels.shape[1] * by), round(pixels.shape[0] * by)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def blurred(pixels: Pixels, radius: float) -> Pixels:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def noisy(pixels: Pixels, levels: float) -> Pixels:
    noise = np.random.default_rng(0).normal(0, levels, pixels.shape)
    return (pixels + noise).clip(0, 255).astype(np.uint8)


def exposed(pixels: Pixels, stops: float) -> Pixels:
    """Another exposure, in linear light (gamma 2.2 for sRGB)."""
    return (255 * ((pixels / 255) ** 2.2 * 2**stops).clip(0, 1) ** (1 / 2.2)).astype(np.uint8)


def resaved(pixels: Pixels, compression: int) -> Pixels:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=compression)
    return np.asarray(Image.open(buffer))


@cache
def portrait() -> Pixels:
    """The astronaut's face as a phone would take it, 190 px wide: the photo twice as large, and sharp."""
    return np.asarray(Image.fromarray(resized(ASTRONAUT.pixels, 2)).filter(ImageFilter.UnsharpMask(1.5, 150, 0)))


FACE = portrait_faces().faces[0]  # 95 px wide
NEAR = scaled(FACE, 2)  # on the portrait


def faces_of(photo: Photo, faces: list[Face]) -> PhotoFaces:
    """The faces of a photo of the astronaut that was resized, with the landmarks of the largest."""
    if not faces:
        return PhotoFaces([], None, 0, cut(photo, None))
    known = portrait_faces().landmarks
    assert known is not None
    points = known.points * np.float32(faces[0].box[2] / FACE.box[2])
    return PhotoFaces(faces, replace(known, points=points), 0, cut(photo, faces[0], points))


def look(photo: Photo, faces: PhotoFaces, view: FaceView | None = None) -> Quality:
    return quality.assess(photo, faces, view or view_of_face(photo, faces))


def assessed(pixels: Pixels, faces: list[Face]) -> Quality:
    """The quality of the astronaut's photo, had she no fringe."""
    photo = photo_of(pixels)
    found = faces_of(photo, faces)
    return look(photo, found, without_fringe(view_of_face(photo, found)))


def without_fringe(view: FaceView) -> FaceView:
    return replace(view, unseen={zone: reason for zone, reason in view.unseen.items() if zone != "forehead"})


def issues(pixels: Pixels, faces: list[Face]) -> list[str]:
    return assessed(pixels, faces).issues


def test_a_good_portrait_has_no_issue_and_a_score_near_one() -> None:
    result = assessed(portrait(), [NEAR])
    assert result.issues == result.advice == []
    assert 0.8 < result.score <= 1.0


def test_every_issue_of_the_contract_has_advice_in_its_order() -> None:
    assert list(quality.ADVICE) == ISSUES
    for sentence in quality.ADVICE.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert 20 < len(sentence) <= 100
    assert len(set(quality.ADVICE.values())) == len(ISSUES)
    result = assessed(blurred(exposed(portrait(), -4), 6), [NEAR, scaled(NEAR, 0.6)])
    assert result.issues == ["blurred", "too_dark", "several_faces"]
    assert result.advice == [quality.ADVICE[issue] for issue in result.issues]


def test_a_face_of_few_pixels_is_too_small_whatever_the_photo() -> None:
    assert "too_small" in issues(ASTRONAUT.pixels, [FACE])
    assert "too_small" not in issues(portrait(), [NEAR])


def test_a_small_photo_without_a_face_is_too_small() -> None:
    assert issues(resized(ASTRONAUT.pixels, 0.3), [])[:1] == ["too_small"]
    assert "no_face" in issues(resized(ASTRONAUT.pixels, 0.3), [])


def test_the_size_of_the_photo_counts_and_not_what_was_decoded() -> None:
    reduced = Photo(resized(ASTRONAUT.pixels, 0.5), 1024, 1024, "JPEG")
    assert "too_small" not in look(reduced, faces_of(reduced, [NEAR])).issues


@pytest.mark.parametrize("radius", [4.0, 6.0])
def test_a_blurred_face_is_blurred_with_noise_on_top_too(radius: float) -> None:
    soft = blurred(portrait(), radius)
    assert "blurred" in issues(soft, [NEAR])
    assert "blurred" in issues(noisy(soft, 5), [NEAR])


def test_motion_in_one_direction_is_blur() -> None:
    kernel = np.ones(13) / 13
    for axis in (0, 1):
        moved = np.apply_along_axis(lambda line: np.convolve(line, kernel, "same"), axis, portrait().astype(float))
        assert "blurred" in issues(moved.clip(0, 255).astype(np.uint8), [NEAR])


def test_a_sharp_face_in_front_of_a_blurred_background_is_sharp() -> None:
    pixels = portrait()
    behind = blurred(pixels, 8).copy()
    x, y, width, height = (round(value) for value in NEAR.box)
    behind[y : y + height, x : x + width] = pixels[y : y + height, x : x + width]
    assert "blurred" not in issues(behind, [NEAR])


def test_a_blurred_face_in_front_of_a_sharp_background_is_blurred() -> None:
    pixels = portrait().copy()
    x, y, width, height = (round(value) for value in NEAR.box)
    pixels[y : y + height, x : x + width] = blurred(pixels, 6)[y : y + height, x : x + width]
    assert "blurred" in issues(pixels, [NEAR])


def test_magnifying_noise_and_even_skin_are_not_blur() -> None:
    assert "blurred" not in issues(ASTRONAUT.pixels, [FACE])  # magnified 3.4 times into the crop
    assert "blurred" not in issues(resized(ASTRONAUT.pixels, 0.5), [scaled(FACE, 0.5)])  # 6.7 times
    reduced = Photo(resized(ASTRONAUT.pixels, 0.5), 2048, 2048, "JPEG")  # as much, after decoding at an eighth
    assert "blurred" not in look(reduced, faces_of(reduced, [scaled(FACE, 4)])).issues
    assert "blurred" not in issues(noisy(portrait(), 8), [NEAR])
    even = blurred(portrait(), 8).copy()
    x, y = round(NEAR.box[0]), round(NEAR.box[1])
    even[y + 60 : y + 70, x + 30 : x + 160] = 30  # sharp brows in a face that has nothing else
    even[y + 140 : y + 146, x + 60 : x + 130] = 40
    even[y + 60 : y + 140, x + 90 : x + 94] = 60
    assert "blurred" not in issues(even, [NEAR])


def test_blur_is_the_standard_deviation_of_the_edge_spread() -> None:
    step = np.kron(np.indices((6, 6)).sum(axis=0) % 2 * 200, np.ones((40, 40))).astype(np.uint8)
    for radius in (1.0, 2.0, 3.0, 4.0):
        luma = blurred(step, radius).astype(np.float32)
        assert quality.blur(luma) == pytest.approx(radius, abs=0.6)


def test_a_picture_without_edges_is_blurred_and_never_fails() -> None:
    flat = np.full((300, 300), 90, np.float32)
    assert quality.blur(flat) == quality.NO_EDGES_BLUR
    assert quality.blur(flat[:5, :5]) == quality.NO_EDGES_BLUR
    assert "blurred" in issues(np.full((600, 600, 3), 120, np.uint8), [])


def test_under_and_over_exposure_are_seen() -> None:
    assert issues(exposed(portrait(), -4), [NEAR]) == ["too_dark"]
    assert "too_bright" in issues(exposed(portrait(), 2), [NEAR])


def test_dark_skin_in_good_light_is_not_too_dark() -> None:
    """The face darkened as skin is: the highlights on it, of the lamp and not of the skin, stay."""
    pixels = portrait()
    darker = (pixels * 0.45).astype(np.uint8)
    shine = pixels.min(axis=2) > np.percentile(pixels.min(axis=2), 93)
    darker[shine] = (pixels[shine] * 0.75).astype(np.uint8)
    assert "too_dark" not in issues(darker, [NEAR])


def test_a_fringe_covers_the_forehead() -> None:
    photo = photo_of(portrait())
    assert look(photo, faces_of(photo, [NEAR])).issues == ["covered"]


def test_a_photo_without_a_face_says_so() -> None:
    assert "no_face" in issues(portrait(), [])
    assert "no_face" not in issues(portrait(), [NEAR])


def test_a_second_face_counts_only_if_it_is_large() -> None:
    assert issues(portrait(), [NEAR, scaled(NEAR, 0.6)]) == ["several_faces"]
    assert issues(portrait(), [NEAR, scaled(NEAR, 0.4)]) == []


def seen(**changes: object) -> list[str]:
    """Issues of the portrait with another view of it."""
    photo = photo_of(portrait())
    faces = faces_of(photo, [NEAR])
    view = replace(view_of_face(photo, faces), unseen={})
    return look(photo, faces, replace(view, **changes)).issues  # type: ignore[arg-type]


def test_little_skin_is_seen() -> None:
    assert seen() == []
    skin = view_of_face(photo_of(portrait()), faces_of(photo_of(portrait()), [NEAR])).skin.copy()
    skin[:, skin.any(axis=0).argmax() + 40 :] = False
    assert seen(skin=skin) == ["little_skin"]


def test_what_covers_the_face_is_told_but_a_beard_is_no_fault_of_the_photo() -> None:
    def covered(*zones: str) -> list[str]:
        return seen(unseen=dict.fromkeys(zones, "covered"))

    for zone in ("forehead", "cheek_left", "cheek_right", "nose"):
        assert covered(zone) == ["covered"]
    assert covered("crows_feet_left", "crows_feet_right", "frown") == ["covered"]  # sunglasses
    assert seen(unseen=dict.fromkeys(("crows_feet_left", "crows_feet_right"), "too_dark")) == ["covered"]  # black ones
    assert covered("chin", "nasolabial_left", "nasolabial_right") == []
    assert covered("crows_feet_left") == []  # a lock of hair, or shade
    assert seen(unseen={"cheek_left": "turned_away"}) == []


@pytest.mark.parametrize(
    ("yaw", "expected"), [(0, []), (34, []), (-34, []), (36, ["turned_away"]), (-50, ["turned_away"])]
)
def test_a_head_is_turned_away_where_its_far_side_is_not_seen(yaw: float, expected: list[str]) -> None:
    photo = photo_of(portrait())
    faces = faces_of(photo, [NEAR])
    assert faces.landmarks is not None
    turned = replace(faces, landmarks=replace(faces.landmarks, pose=Pose(yaw, 0.0, 0.0)))
    assert look(photo, turned, without_fringe(view_of_face(photo, turned))).issues == expected


@pytest.mark.parametrize(("reason", "expected"), [("turned_away", ["turned_away"]), ("outside_photo", ["cut_off"])])
def test_a_face_without_landmarks_is_turned_away_or_cut_off(reason: Unseen, expected: list[str]) -> None:
    photo = photo_of(portrait())
    faces = PhotoFaces([NEAR], None, 0, cut(photo, NEAR))
    view = replace(view_of_face(photo, faces), unseen=dict.fromkeys(ZONES, reason))
    assert [issue for issue in look(photo, faces, view).issues if issue != "little_skin"] == expected


def test_without_a_mesh_no_face_is_called_turned_away_or_cut_off() -> None:
    photo = photo_of(portrait())
    found = look(photo, PhotoFaces([NEAR], None, 0, cut(photo, NEAR), has_mesh=False)).issues
    assert not {"turned_away", "cut_off", "covered", "no_face"} & set(found)


def moved(faces: PhotoFaces, photo: Photo, x: float, y: float) -> PhotoFaces:
    """The same faces in a photo that was cut by x, y at its left and top."""
    assert isinstance(faces.landmarks, Landmarks)
    points = faces.landmarks.points - np.array([x, y, 0], np.float32)
    left, top, width, height = NEAR.box
    low, high = (
        np.clip([left - x, top - y], 0, None),
        np.minimum([left - x + width, top - y + height], photo.pixels.shape[1::-1]),
    )
    face = Face((*low.tolist(), *(high - low).tolist()), NEAR.confidence, NEAR.keypoints - np.array([x, y], np.float32))
    return PhotoFaces([face], replace(faces.landmarks, points=points), 0, cut(photo, face, points))


@pytest.mark.parametrize("edge", ["left", "top", "right", "bottom"])
@pytest.mark.parametrize(("share", "expected"), [(-0.1, False), (0.02, False), (0.25, True), (0.5, True)])
def test_a_face_that_reaches_beyond_the_photo_is_cut_off(edge: str, share: float, expected: bool) -> None:
    """`share` of the face's height or width is cut off; what is left is seen."""
    whole = photo_of(portrait())
    faces = faces_of(whole, [NEAR])
    assert faces.landmarks is not None
    view = view_of_face(whole, faces)
    assert view.parts is not None
    outline = points_to_photo(view.crop, view.parts.outline)
    (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0)
    x, y, right, bottom = 0, 0, 1024, 1024
    if edge == "left":
        x = round(x0 + share * (x1 - x0))
    elif edge == "top":
        y = round(y0 + share * (y1 - y0))
    elif edge == "right":
        right = round(x1 - share * (x1 - x0))
    else:
        bottom = round(y1 - share * (y1 - y0))
    photo = photo_of(np.ascontiguousarray(portrait()[max(y, 0) : bottom, max(x, 0) : right]))
    assert ("cut_off" in look(photo, moved(faces, photo, max(x, 0), max(y, 0))).issues) is expected


@pytest.mark.parametrize("compression", [5, 10, 15])
def test_strong_compression_is_told_by_the_pixels_alone(compression: int) -> None:
    """Saved again as PNG, cut, turned: what matters is in the pixels."""
    pixels = resaved(portrait(), compression)
    assert "compressed" in issues(pixels, [NEAR])
    for changed in (pixels[3:, 5:], np.rot90(pixels), pixels[::-1], pixels[:, ::-1]):
        luma = np.asarray(Image.fromarray(np.ascontiguousarray(changed)).convert("L"))
        assert quality.blockiness(luma) > quality.MAX_BLOCKINESS
    grey = Image.fromarray(portrait()).convert("L")
    assert quality.blockiness(resaved(np.asarray(grey), compression)) > quality.MAX_BLOCKINESS


@pytest.mark.parametrize("compression", [60, 70, 85, 98])
def test_what_phones_and_messengers_write_is_not_compressed(compression: int) -> None:
    for by in (1.0, 0.75, 0.5):
        pixels = resaved(resized(portrait(), by), compression)
        assert "compressed" not in issues(pixels, [scaled(NEAR, by)])


def test_patterns_and_noise_are_not_compressed() -> None:
    y, x = np.mgrid[:400, :400]
    for side in (4, 8, 16, 40):
        assert quality.blockiness(((x // side + y // side) % 2 * 200).astype(np.uint8)) < quality.MAX_BLOCKINESS
        assert quality.blockiness((x // side % 2 * 200).astype(np.uint8)) < quality.MAX_BLOCKINESS
    noise = np.random.default_rng(0).integers(0, 256, (400, 400), dtype=np.uint8)
    assert quality.blockiness(noise) < quality.MAX_BLOCKINESS
    assert quality.blockiness(noise[:20, :20]) == 0
    assert quality.blockiness(np.zeros((400, 400), np.uint8)) == 0


def test_the_score_falls_with_each_measure_and_is_at_most_half_at_an_issue() -> None:
    scores = []
    for radius in (0.5, 2.0, 4.0, 8.0):
        result = assessed(blurred(portrait(), radius), [NEAR])
        assert (result.score <= 0.5) == bool(result.issues)
        scores.append(result.score)
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.8
    assert scores[-1] < 0.3


# --- real faces -----------------------------------------------------------------------------------------------------


def read(path: Path) -> tuple[Photo, PhotoFaces]:
    photo = decode(path.read_bytes())
    return photo, reader().read(photo)


def bare_faces() -> list[Path]:
    with (LONDON / "labels.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["beard"]) < 2 and int(row["hair_forehead"]) < 2]
    return [LONDON / "faces" / row["file"] for row in rows]


needs_london = pytest.mark.skipif(not LONDON.is_dir(), reason="needs shared/data/london")


@needs_london
def test_bare_faces_in_good_light_have_no_issue() -> None:
    found = {path.name: look(*read(path)).issues for path in bare_faces()}
    assert len(found) >= 30
    assert not {name: value for name, value in found.items() if value}


@needs_london
def test_real_faces_are_told_when_they_are_compressed_and_only_then() -> None:
    for path in bare_faces()[::5]:
        photo, faces = read(path)
        assert faces.largest is not None
        for compression, told in ((10, True), (60, False), (80, False)):
            pixels = resaved(photo.pixels, compression)
            assert (
                quality.blockiness(quality.part_of_photo(photo_of(pixels), faces.largest)) > quality.MAX_BLOCKINESS
            ) is told
        smaller = resized(photo.pixels, 0.6)
        small = photo_of(resaved(smaller, 65))
        assert quality.blockiness(quality.part_of_photo(small, scaled(faces.largest, 0.6))) < quality.MAX_BLOCKINESS


@pytest.mark.skipif(not ACNE04.is_dir(), reason="needs shared/data/acne04")
@pytest.mark.long
def test_sharp_portraits_are_told_from_blurred_ones() -> None:
    sharp, soft, compressed = [], [], []
    for path in sorted(ACNE04.glob("*.jpg"))[::14]:
        photo, faces = read(path)
        if not faces.faces:
            continue
        found = look(photo, faces).issues
        sharp.append("blurred" in found)
        compressed.append("compressed" in found)
        scale = max(float(np.abs(faces.crop.to_photo[0, :2]).max()), 1.0)
        softened = photo_of(blurred(photo.pixels, 3 * scale))  # 3 px of the crop, or of the photo where it is magnified
        points = None if faces.landmarks is None else faces.landmarks.points
        soft.append("blurred" in look(softened, replace(faces, crop=cut(softened, faces.faces[0], points))).issues)
    assert len(sharp) >= 15
    assert np.mean(sharp) <= 0.05
    assert np.mean(soft) >= 0.95
    assert not any(compressed)


def test_a_blurred_face_is_not_called_clear_and_a_small_one_has_no_wrinkles() -> None:
    pixels, face, _ = drawing.portrait(1024)
    reasons = []
    for share in (0.0, 0.005, 0.02):
        soft = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(share * face.box[2]))
        photo = photo_of(np.asarray(soft))
        reasons.append(prepare(photo, reader().read(photo)).view.reasons)
    assert "acne" not in reasons[0]
    assert "acne" not in reasons[1]
    assert reasons[2]["acne"] == reasons[2]["wrinkles"] == reasons[2]["texture"] == "too_blurred"
    small = photo_of(np.asarray(Image.fromarray(pixels).resize((220, 220), Image.Resampling.LANCZOS)))
    reasons = [prepare(small, reader().read(small)).view.reasons]
    assert reasons[0]["wrinkles"] == reasons[0]["texture"] == "too_small"
    assert "acne" not in reasons[0]
