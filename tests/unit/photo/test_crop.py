"""The crop: what it shows, and the transform back to the photo."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.skin.photo.crop import CROP_SIZE, PADDING, boxes_to_photo, cut, points_to_crop, points_to_photo
from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face import Face


def _photo(width: int, height: int, shrunk: int = 1, value: int = 200) -> Photo:
    pixels = np.full((height // shrunk, width // shrunk, 3), value, dtype=np.uint8)
    return Photo(pixels, width, height, "JPEG")


def _face(x: float, y: float, side: float) -> Face:
    shape = np.array([(0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.5, 0.75), (0.1, 0.4), (0.9, 0.4)])
    return Face((x, y, side, side), 0.9, (shape * side + (x, y)).astype(np.float32))


def _dotted(width: int, height: int, dot: tuple[float, float], sigma: float, shrunk: int = 1) -> Photo:
    """A black photo with a soft white dot at a place given in photo pixels."""
    rows, columns = height // shrunk, width // shrunk
    x, y = (np.arange(columns) + 0.5) * width / columns, (np.arange(rows) + 0.5) * height / rows
    spot = np.exp(-((y - dot[1]) ** 2)[:, None] / (2 * sigma**2) - ((x - dot[0]) ** 2)[None] / (2 * sigma**2))
    return Photo(np.repeat((255 * spot).round().astype(np.uint8)[..., None], 3, axis=2), width, height, "PNG")


def _centroid(pixels: np.ndarray, valid: tuple[int, int, int, int]) -> tuple[float, float]:
    x0, y0, x1, y1 = valid
    light = pixels[y0:y1, x0:x1, 0].astype(np.float64)
    x, y = np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5
    return float((light.sum(0) * x).sum() / light.sum()), float((light.sum(1) * y).sum() / light.sum())


@pytest.mark.parametrize(
    ("width", "height", "shrunk", "face"),
    [
        pytest.param(900, 1200, 1, _face(300, 400, 300), id="selfie"),
        pytest.param(640, 640, 1, _face(80, 90, 474), id="close-up"),
        pytest.param(500, 700, 1, _face(-0.0, 20, 260), id="face at the left border"),
        pytest.param(500, 700, 1, _face(240, 440, 260), id="face in the lower right corner"),
        pytest.param(400, 900, 1, _face(4, 300, 392), id="face wider than the margin allows"),
        pytest.param(80, 70, 1, _face(20, 20, 40), id="tiny photo"),
        pytest.param(4000, 3000, 1, _face(1000, 700, 1500), id="huge photo"),
        pytest.param(4000, 3000, 4, _face(1000, 700, 1500), id="huge photo, decoded at a quarter"),
        pytest.param(701, 501, 2, _face(300, 200, 200), id="odd sides, decoded at half"),
        pytest.param(900, 300, 1, None, id="no face, wide"),
        pytest.param(300, 900, 1, None, id="no face, tall"),
    ],
)
def test_a_dot_in_the_crop_lies_where_the_affine_says(width: int, height: int, shrunk: int, face: Face | None) -> None:
    middle = cut(_photo(width, height, shrunk), face)
    step = middle.to_photo[0, 0]
    sigma = 2.0 * max(step, float(shrunk))
    x0, y0, x1, y1 = middle.valid
    dot = points_to_photo(middle, [(x0 + 0.4 * (x1 - x0), y0 + 0.6 * (y1 - y0))])[0]
    crop = cut(_dotted(width, height, (dot[0], dot[1]), sigma, shrunk), face)
    centroid = points_to_photo(crop, [_centroid(crop.pixels, crop.valid)])[0]
    assert np.abs(centroid - dot).max() < 0.5 * max(1.0, step)
    assert np.abs(centroid - dot).max() < 0.1 * sigma


@given(
    width=st.integers(64, 3000),
    height=st.integers(64, 3000),
    at=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    size=st.floats(0.02, 1.0),
)
def test_any_face_is_cut_whole_and_points_come_back(
    width: int, height: int, at: tuple[float, float], size: float
) -> None:
    side = max(size * min(width, height), 4.0)
    face = _face(at[0] * (width - side), at[1] * (height - side), side)
    photo = Photo(np.zeros((max(height // 16, 1), max(width // 16, 1), 3), dtype=np.uint8), width, height, "JPEG")
    landmarks = np.column_stack([face.keypoints, np.full(6, side)]).astype(np.float32)
    crop = cut(photo, face, landmarks)
    assert crop.pixels.shape == (CROP_SIZE, CROP_SIZE, 3)
    assert crop.landmarks is not None
    back = points_to_photo(crop, crop.landmarks[:, :2])
    np.testing.assert_allclose(back, face.keypoints, atol=1e-3 * side + 1e-3)
    np.testing.assert_allclose(crop.landmarks[:, 2] * crop.to_photo[0, 0], side, rtol=1e-4)  # depth in the same unit
    points = np.array([(0.0, 0.0), (17.25, 400.5), (512.0, 512.0)])
    np.testing.assert_allclose(points_to_crop(crop.to_photo, points_to_photo(crop.to_photo, points)), points, atol=1e-6)
    x, y, w, h = face.box
    corners = points_to_crop(crop, [(x, y), (x + w, y + h)])
    x0, y0, x1, y1 = crop.valid
    assert bool((corners[0] >= np.array([x0, y0]) - 1.01).all())
    assert bool((corners[1] <= np.array([x1, y1]) + 1.01).all())


@given(width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_without_a_face_the_whole_photo_is_shown_in_the_middle(width: int, height: int) -> None:
    crop = cut(Photo(np.full((3, 5, 3), 9, dtype=np.uint8), width, height, "PNG"), None)
    x0, y0, x1, y1 = crop.valid
    assert crop.landmarks is None
    assert x1 > x0
    assert y1 > y0
    assert abs(x0 - (CROP_SIZE - x1)) <= 1
    assert abs(y0 - (CROP_SIZE - y1)) <= 1
    assert (x0, x1) == (0, CROP_SIZE) or (y0, y1) == (0, CROP_SIZE)
    np.testing.assert_allclose(points_to_photo(crop, [(256.0, 256.0)])[0], (width / 2, height / 2), atol=1e-6)


def test_what_lies_beyond_the_photo_is_mid_grey_and_nothing_else_is() -> None:
    crop = cut(_photo(400, 200, value=200), None)
    assert crop.valid == (0, 128, 512, 384)
    assert (crop.pixels[128:384] == 200).all()
    assert (crop.pixels[:128] == PADDING).all()
    assert (crop.pixels[384:] == PADDING).all()


def test_the_hairline_and_the_chin_of_a_selfie_are_in_the_crop() -> None:
    crop = cut(_photo(900, 1200), _face(300, 400, 300))
    top, bottom = points_to_crop(crop, [(450, 400 - 0.35 * 300), (450, 700 + 0.15 * 300)])[:, 1]
    assert top > 0
    assert bottom < CROP_SIZE
    assert crop.to_photo[0, 0] * CROP_SIZE == pytest.approx(1.6 * 300)


def test_a_photo_filled_by_its_face_is_shown_without_padding() -> None:
    crop = cut(_photo(640, 640), _face(40, 40, 560))
    assert crop.valid == (0, 0, CROP_SIZE, CROP_SIZE)


def test_a_face_at_the_border_shifts_the_square_into_the_photo() -> None:
    crop = cut(_photo(1000, 1000), _face(0, 0, 200))
    assert crop.valid == (0, 0, CROP_SIZE, CROP_SIZE)
    np.testing.assert_allclose(crop.to_photo[:, 2], (0, 0), atol=1e-9)


def test_shrinking_averages_instead_of_picking_pixels() -> None:
    pixels = np.zeros((2048, 2048, 3), dtype=np.uint8)
    pixels[:, ::2] = 255  # stripes far finer than a crop pixel
    crop = cut(Photo(pixels, 2048, 2048, "PNG"), None)
    inner = crop.pixels[4:-4, 4:-4].astype(float)
    assert np.abs(inner - 127.5).max() < 3


def test_boxes_in_the_photo_are_inside_it_and_never_empty() -> None:
    affine = np.array([[2.0, 0.0, -100.0], [0.0, 2.0, 30.0]])
    boxes = [(60, 10, 20, 30), (0, 0, 10, 10), (500, 500, 300, 300), (100, 100, 0, 0)]
    moved = boxes_to_photo(affine, boxes, 640, 480)
    np.testing.assert_allclose(moved[0], (20, 50, 40, 60))
    np.testing.assert_allclose(moved[1], (0, 30, 1, 20))
    assert (moved[:, :2] >= 0).all()
    assert (moved[:, 2:] >= 1).all()
    assert (moved[:, 0] + moved[:, 2] <= 640).all()
    assert (moved[:, 1] + moved[:, 3] <= 480).all()
    assert boxes_to_photo(affine, [], 640, 480).shape == (0, 4)
