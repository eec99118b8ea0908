"""A photo is read the right way up, whichever way it is stored; landmarks lie on the face."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bentos.skin.photo import face_reader
from bentos.skin.photo.crop import CROP_SIZE, points_to_photo
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face_reader import FaceReader, PhotoFaces, Turn, from_turned
from bentos.skin.photo.landmarks import OVAL, POINTS, FaceMesh, pose_of
from tests.server import PORTRAIT

PIXELS = np.asarray(Image.open(PORTRAIT).convert("RGB"))
UPRIGHT = Photo(PIXELS, 512, 512, "PNG")
OTHERS: tuple[Turn, ...] = (90, 180, 270)


@pytest.fixture(scope="module")
def reader() -> FaceReader:
    return FaceReader()


@pytest.fixture(scope="module")
def upright(reader: FaceReader) -> PhotoFaces:
    return reader.read(UPRIGHT)


def stored(clockwise: int, photo: Photo = UPRIGHT) -> Photo:
    """The photo, stored turned clockwise."""
    pixels = np.ascontiguousarray(np.rot90(photo.pixels, -clockwise // 90))
    return Photo(pixels, pixels.shape[1], pixels.shape[0], photo.format)


def test_landmarks_lie_on_the_face(upright: PhotoFaces) -> None:
    assert upright.turned_degrees == 0
    assert upright.landmarks is not None
    assert upright.landmarks.presence > 0.999
    points = upright.landmarks.points
    assert points.shape == (POINTS, 3)
    assert not points.flags.writeable
    right, left = upright.faces[0].keypoints[:2]
    np.testing.assert_allclose((points[33, :2] + points[133, :2]) / 2, right, atol=4)
    np.testing.assert_allclose((points[263, :2] + points[362, :2]) / 2, left, atol=4)
    x, y, width, height = upright.faces[0].box
    oval = points[list(OVAL), :2]
    assert (oval[:, 0] > x - 0.1 * width).all()
    assert (oval[:, 0] < x + 1.1 * width).all()
    assert (oval[:, 1] > y - 0.35 * height).all()
    assert (oval[:, 1] < y + 1.25 * height).all()


@pytest.mark.parametrize("turned", OTHERS)
def test_a_photo_that_is_stored_turned_is_turned_back(reader: FaceReader, upright: PhotoFaces, turned: Turn) -> None:
    photo = stored(turned)
    faces = reader.read(photo)
    assert faces.turned_degrees == 360 - turned
    assert faces.landmarks is not None
    assert upright.landmarks is not None
    # Boxes and points are in pixels of the photo as it is stored ...
    back = from_turned(photo, faces.turned_degrees)
    to_upright = np.linalg.inv(np.vstack([back, [0, 0, 1]]))[:2]
    points = faces.landmarks.points[:, :2] @ to_upright[:, :2].T + to_upright[:, 2]
    np.testing.assert_allclose(points, upright.landmarks.points[:, :2], atol=6)
    x, y, width, height = faces.faces[0].box
    assert 0 <= x < x + width <= photo.width
    assert 0 <= y < y + height <= photo.height
    # ... and the crop shows the face upright.
    difference = np.abs(faces.crop.pixels.astype(int) - upright.crop.pixels)
    assert difference.mean() < 6
    assert faces.crop.landmarks is not None
    back_in_photo = points_to_photo(faces.crop, faces.crop.landmarks[:, :2])
    np.testing.assert_allclose(back_in_photo, faces.landmarks.points[:, :2], atol=0.1)


@pytest.mark.parametrize("turned", OTHERS)
def test_a_photo_that_is_not_square_has_its_own_size(reader: FaceReader, turned: Turn) -> None:
    tall = Photo(np.ascontiguousarray(PIXELS[:400, 130:330]), 200, 400, "PNG")
    photo = stored(turned, tall)
    faces = reader.read(photo)
    assert faces.turned_degrees == 360 - turned
    corners = points_to_photo(faces.crop, [(0, 0), (CROP_SIZE, CROP_SIZE)])
    middle = corners.mean(axis=0)
    assert 0 < middle[0] < photo.width
    assert 0 < middle[1] < photo.height
    assert np.linalg.norm(middle - faces.faces[0].keypoints.mean(axis=0)) < 60


def test_turning_back_is_the_inverse_of_turning() -> None:
    photo = Photo(np.zeros((3, 5, 3), np.uint8), 5, 3, "PNG")
    marked = photo.pixels.copy()
    marked[1, 4] = 255
    for degrees in (0, *OTHERS):
        view = np.rot90(marked, -degrees // 90)
        (row, column), *_ = np.argwhere(view[..., 0] == 255)
        x, y = from_turned(photo, degrees) @ (column + 0.5, row + 0.5, 1)
        assert (int(x), int(y)) == (4, 1)


def test_a_head_that_is_tilted_is_no_turned_photo(reader: FaceReader) -> None:
    for angle in (-35, -20, 20, 35):
        pixels = np.asarray(Image.fromarray(PIXELS).rotate(angle, Image.Resampling.BICUBIC, center=(225, 120)))
        faces = reader.read(replace(UPRIGHT, pixels=pixels))
        assert faces.turned_degrees == 0
        assert faces.landmarks is not None
        assert abs(faces.landmarks.pose.roll + angle) < 8


def test_without_a_face_there_are_no_landmarks_and_nothing_is_turned(reader: FaceReader) -> None:
    for pixels in (np.zeros((300, 200, 3), np.uint8), np.full((64, 64, 3), 127, np.uint8)):
        faces = reader.read(Photo(pixels, pixels.shape[1], pixels.shape[0], "PNG"))
        assert (faces.faces, faces.landmarks, faces.turned_degrees) == ([], None, 0)
        assert faces.crop.landmarks is None


def test_a_mesh_that_cannot_be_loaded_leaves_faces_without_landmarks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(**_: object) -> None:
        raise RuntimeError("no such file")

    monkeypatch.setattr(face_reader, "FaceMesh", fails)
    reader = FaceReader()
    assert not reader.has_mesh
    assert "face mesh cannot be loaded" in caplog.text
    faces = reader.read(UPRIGHT)
    assert len(faces.faces) == 1
    assert faces.landmarks is None


def test_the_second_pass_does_not_depend_much_on_the_first(upright: PhotoFaces) -> None:
    mesh = FaceMesh()
    face = upright.faces[0]
    x, y, width, height = face.box
    for shift in (-0.1, 0.1):
        moved = replace(face, box=(x + shift * width, y + shift * height, width, height))
        points = mesh.locate(UPRIGHT, moved).points
        assert upright.landmarks is not None
        assert np.abs(points[:, :2] - upright.landmarks.points[:, :2]).max() < 0.05 * width


def test_the_pose_is_that_of_the_points(upright: PhotoFaces) -> None:
    assert upright.landmarks is not None
    points = upright.landmarks.points.astype(np.float64)
    before = pose_of(points)
    for yaw in (-30, 30):
        turn = np.radians(yaw)
        about_y = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
        assert pose_of(points @ about_y.T).yaw == pytest.approx(before.yaw + yaw, abs=3)
    sideways = points @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]]).T  # a quarter turn counterclockwise
    assert abs(abs(pose_of(sideways).roll) - 90) < 15
