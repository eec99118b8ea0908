"""What is seen of a face: which zones, which concerns, and where lesions may lie."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.skin.findings import CONCERNS, Unseen
from bentos.skin.photo.crop import CROP_SIZE, Crop
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face_parts import ZONES, raster
from bentos.skin.photo.face_reader import FaceReader, PhotoFaces
from bentos.skin.photo.view import lesion_mask, on_skin, unseen_wrinkles, view_of, view_of_face
from tests.drawing import face_landmarks, parts_of, photo_of, portrait, portrait_crop, portrait_faces, portrait_view

SKIN, BLUE, BLACK = (205, 160, 135), (40, 80, 200), (20, 20, 22)


def face(
    yaw: float = 0.0, centre: tuple[float, float] = (256.0, 230.0), background: tuple[int, int, int] = BLUE
) -> Crop:
    """A crop with a face of nearly one colour: redder cheeks, yellower forehead, a little noise."""
    landmarks = face_landmarks(yaw, centre=centre)
    inside = raster([(parts_of(landmarks).outline, 0.0)], CROP_SIZE)
    noise = np.random.default_rng(1).normal(0, 2, (CROP_SIZE, CROP_SIZE, 1))
    rows = np.linspace(-1, 1, CROP_SIZE)[:, None, None]
    skin = np.array(SKIN) + np.array([6, -6, 0]) * np.cos(8 * rows) + np.array([0, 4, -12]) * rows
    pixels = np.where(inside[..., None], skin, np.array(background)) + noise
    pixels[raster(parts_of(landmarks).features, CROP_SIZE)] *= 0.6
    return Crop(pixels.clip(0, 255).astype(np.uint8), np.eye(2, 3), (0, 0, CROP_SIZE, CROP_SIZE), landmarks)


def painted(crop: Crop, zone: str, colour: tuple[int, int, int]) -> Crop:
    assert crop.landmarks is not None
    pixels = crop.pixels.copy()
    pixels[raster([(parts_of(crop.landmarks).zones[zone], 8.0)], CROP_SIZE)] = colour
    return replace(crop, pixels=pixels)


def test_of_a_bare_face_from_the_front_everything_is_seen() -> None:
    view = view_of(face())
    assert view.unseen == {}
    assert view.reasons == {}


@pytest.mark.parametrize("zone", ["forehead", "chin", "cheek_left", "nose", "nasolabial_right"])
@pytest.mark.parametrize("colour", [BLUE, BLACK, (240, 240, 240)])
def test_what_is_covered_is_not_seen(zone: str, colour: tuple[int, int, int]) -> None:
    view = view_of(painted(face(), zone, colour))
    assert view.unseen.get(zone) == "covered"
    assert view.reasons == {}


@pytest.mark.parametrize(("yaw", "hidden"), [(45, "left"), (-45, "right")])
def test_the_far_side_of_a_turned_head_is_not_seen(yaw: float, hidden: str) -> None:
    unseen = view_of(face(yaw)).unseen
    assert unseen[f"cheek_{hidden}"] == unseen[f"crows_feet_{hidden}"] == "turned_away"
    assert "crows_feet" not in unseen_wrinkles(view_of(face(yaw)))  # the other side is seen
    assert "forehead" not in unseen


def test_what_lies_outside_the_photo_is_not_seen() -> None:
    crop = replace(face(), valid=(0, 0, CROP_SIZE, 330))
    assert view_of(crop).unseen["chin"] == "outside_photo"
    assert "forehead" not in view_of(crop).unseen


def test_a_wholly_covered_face_has_no_skin() -> None:
    crop = face()
    view = view_of(replace(crop, pixels=np.full_like(crop.pixels, BLUE)))
    assert set(view.unseen) == set(ZONES)
    assert view.reasons == dict.fromkeys((*CONCERNS, "tone"), "no_skin")


def test_a_mask_in_the_colour_of_skin_is_told_by_the_mouth_that_is_not_seen() -> None:
    crop = face()
    assert crop.landmarks is not None
    parts = parts_of(crop.landmarks)
    pixels = crop.pixels.copy()
    pixels[raster([(parts.features[4][0], 12.0)], CROP_SIZE)] = SKIN
    view = view_of(replace(crop, pixels=pixels))
    assert set(view.unseen) >= {"chin"}
    assert not set(view.unseen) & {"forehead", "nose", "crows_feet_left"}


def test_a_drawing_of_a_face_has_no_skin() -> None:
    crop = face()
    assert crop.landmarks is not None
    drawn = np.full_like(crop.pixels, SKIN)
    drawn[raster(parts_of(crop.landmarks).features, CROP_SIZE)] = (60, 40, 40)
    view = view_of(replace(crop, pixels=drawn))
    assert set(view.reasons) == {*CONCERNS, "tone"}
    assert set(view.unseen) == set(ZONES)


def noise(mean: tuple[int, int, int], sigma: float) -> NDArray[np.uint8]:
    grey = np.random.default_rng(0).normal(0, sigma, (CROP_SIZE, CROP_SIZE, 1))
    return np.clip(np.array(mean) + grey, 0, 255).astype(np.uint8)


def checks(a: tuple[int, int, int], b: tuple[int, int, int], side: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:CROP_SIZE, :CROP_SIZE] // side
    return np.where(((x + y) % 2)[..., None] == 0, np.array(a), np.array(b)).astype(np.uint8)


def faceless(pixels: NDArray[np.uint8]) -> Crop:
    return Crop(pixels, np.eye(2, 3), (0, 0, CROP_SIZE, CROP_SIZE), None)


def test_a_close_up_of_skin_is_judged_without_zones() -> None:
    view = view_of(faceless(noise(SKIN, 5)))
    assert view.unseen == dict.fromkeys(ZONES, "no_face")
    assert view.reasons == {"wrinkles": "no_face"}
    assert view.skin.mean() > 0.9


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8),
        np.full((CROP_SIZE, CROP_SIZE, 3), 255, np.uint8),
        np.tile(np.array(SKIN, np.uint8), (CROP_SIZE, CROP_SIZE, 1)),
        np.random.default_rng(0).integers(0, 256, (CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8),
        checks((225, 180, 155), (150, 100, 80), 8),
        checks((225, 180, 155), (150, 100, 80), 40),
        noise((120, 120, 120), 5),
        noise(BLUE, 5),
    ],
    ids=["black", "white", "flat", "noise", "small checks", "checks", "grey", "blue"],
)
def test_what_is_no_skin_has_no_finding(pixels: NDArray[np.uint8]) -> None:
    view = view_of(faceless(pixels))
    assert view.reasons == dict.fromkeys((*CONCERNS, "tone"), "no_skin")
    assert not view.skin.any()


@pytest.mark.parametrize("reason", ["turned_away", "outside_photo"])
def test_a_face_without_landmarks_is_judged_by_its_acne_alone(reason: Unseen) -> None:
    view = view_of(replace(portrait_crop(), landmarks=None), reason)
    assert view.unseen == dict.fromkeys(ZONES, reason)
    assert view.reasons == dict.fromkeys((*CONCERNS[1:], "tone"), reason)
    assert lesion_mask(view).all()


def test_why_a_face_has_no_landmarks_depends_on_the_photos_border() -> None:
    pixels, _, _ = portrait(512)
    photo, faces = photo_of(pixels), portrait_faces()
    without = replace(faces, landmarks=None, crop=replace(faces.crop, landmarks=None))
    assert set(view_of_face(photo, without).unseen.values()) == {"turned_away"}
    _, y, _, height = faces.faces[0].box
    cut = Photo(pixels[: int(y + height)], 512, int(y + height), "PNG")
    assert set(view_of_face(cut, without).unseen.values()) == {"outside_photo"}
    assert set(view_of_face(photo, replace(without, has_mesh=False)).unseen.values()) == {"no_face"}


def test_a_reader_without_its_mesh_answers_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no mesh")

    monkeypatch.setattr("bentos.skin.photo.face_reader.FaceMesh", broken)
    reader = FaceReader()
    pixels, _, _ = portrait(512)
    faces: PhotoFaces = reader.read(photo_of(pixels))
    view = view_of_face(photo_of(pixels), faces)
    assert not reader.has_mesh
    assert faces.largest is not None
    assert set(view.unseen) == set(ZONES)
    assert "acne" not in view.reasons


def test_lesions_lie_on_the_faces_skin() -> None:
    crop = face()
    assert crop.landmarks is not None
    view = view_of(crop)

    def box(x: float, y: float) -> tuple[float, float, float, float]:
        return (x - 5, y - 5, 10, 10)

    cheek, mouth, eye = (crop.landmarks[index, :2] for index in (425, 13, 159))
    boxes = [box(*cheek), box(*mouth), box(*eye), box(20, 20), box(-50, 900)]
    assert on_skin(view, boxes).tolist() == [True, False, False, False, False]
    assert on_skin(view, []).shape == (0,)


def test_lesions_do_not_lie_on_what_covers_the_face() -> None:
    view = view_of(painted(face(), "cheek_left", BLUE))
    assert view.parts is not None
    x, y = view.parts.zones["cheek_left"].mean(axis=0)
    assert not on_skin(view, [(x - 5, y - 5, 10, 10)])[0]


def test_the_portraits_fringe_covers_her_forehead() -> None:
    assert portrait_view().unseen == {"forehead": "covered"}


def test_a_view_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        portrait_view().skin[0, 0] = True
