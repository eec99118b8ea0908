"""The face detector: decoding, suppression, and what it finds on real pictures."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from bentos.skin.photo.decode import Photo
from bentos.skin.photo.face import COLUMNS, Face, FaceDetector, anchors, decode, weighted_nms

ROOT = Path(__file__).resolve().parents[3]
PORTRAIT = ROOT / "tests/photos/astronaut.png"
DATA = ROOT / "../shared/data"
FACE = (177.0, 81.0, 95.0, 95.0)  # of the portrait, by eye to within a few pixels

KEYPOINTS = [(204, 102), (247, 104), (225, 127), (224, 147), (178, 112), (270, 116)]  # by eye; the ears are behind hair


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    return Image.open(PORTRAIT).convert("RGB")


def _photo(image: Image.Image) -> Photo:
    return Photo(np.asarray(image), image.width, image.height, "PNG")


def _detection(score: float, x0: float, y0: float, x1: float, y1: float, point: float = 0.0) -> list[float]:
    return [score, x0, y0, x1, y1, *[point] * (COLUMNS - 5)]


def _inside(face: Face, photo: Photo) -> bool:
    x, y, w, h = face.box
    return x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= photo.width and y + h <= photo.height


def test_anchors_are_the_centres_of_the_cells_of_both_maps() -> None:
    centres = anchors()
    assert centres.shape == (896, 2)
    np.testing.assert_allclose(centres[:2], [(1 / 32, 1 / 32)] * 2)  # two in the first cell of 16 × 16
    np.testing.assert_allclose(centres[2], (3 / 32, 1 / 32))  # x runs first
    np.testing.assert_allclose(centres[512:518], [(1 / 16, 1 / 16)] * 6)  # six in the first cell of 8 × 8
    np.testing.assert_allclose(centres[-1], (15 / 16, 15 / 16))


def test_a_raw_output_becomes_score_corners_and_key_points() -> None:
    raw = np.zeros((1, 16), dtype=np.float32)
    raw[0, :4] = (12.8, -12.8, 64, 32)
    raw[0, 4:6] = (6.4, 0)
    rows = decode(raw, np.array([0.0], dtype=np.float32), np.array([[0.5, 0.5]]))
    np.testing.assert_allclose(rows[0, :7], (0.5, 0.35, 0.275, 0.85, 0.525, 0.55, 0.5), atol=1e-6)


def test_extreme_logits_are_clipped_before_the_exponential() -> None:
    rows = decode(np.zeros((2, 16), np.float32), np.array([-1e30, 1e30], np.float32), np.full((2, 2), 0.5))
    np.testing.assert_allclose(rows[:, 0], (0, 1), atol=1e-12)


def test_overlapping_detections_become_their_mean_weighted_by_score() -> None:
    rows = np.array([_detection(0.6, 10, 0, 110, 100, 1.0), _detection(0.9, 0, 0, 100, 100, 6.0)])
    merged = weighted_nms(rows)
    assert merged.shape == (1, COLUMNS)
    np.testing.assert_allclose(merged[0, :6], (0.9, 4, 0, 104, 100, 4.0))


def test_detections_apart_stay_apart_best_first() -> None:
    merged = weighted_nms(np.array([_detection(0.6, 0, 0, 50, 50), _detection(0.9, 100, 0, 150, 50)]))
    np.testing.assert_allclose(merged[:, 0], (0.9, 0.6))


def test_a_small_box_within_a_larger_better_one_is_dropped() -> None:
    merged = weighted_nms(np.array([_detection(0.9, 0, 0, 100, 100), _detection(0.8, 10, 10, 40, 40)]))
    np.testing.assert_allclose(merged[:, 0], (0.9,))


def test_suppressing_nothing_gives_nothing() -> None:
    assert weighted_nms(np.empty((0, COLUMNS))).shape == (0, COLUMNS)


def test_the_portrait_shows_one_face_with_its_key_points(detector: FaceDetector, portrait: Image.Image) -> None:
    faces = detector.detect(_photo(portrait))
    assert len(faces) == 1
    np.testing.assert_allclose(faces[0].box, FACE, atol=8)
    assert faces[0].confidence > 0.85
    assert faces[0].keypoints.dtype == np.float32
    np.testing.assert_allclose(faces[0].keypoints, KEYPOINTS, atol=5)


def test_boxes_are_in_pixels_of_the_photo_whatever_was_decoded(detector: FaceDetector, portrait: Image.Image) -> None:
    half = np.asarray(portrait.reduce(2))
    (face,) = detector.detect(Photo(half, 512, 512, "JPEG"))
    np.testing.assert_allclose(face.box, FACE, atol=10)


@pytest.mark.parametrize("size", [(1500, 1200), (2000, 1000), (700, 2400)])
def test_a_small_face_in_a_large_photo_is_found(
    detector: FaceDetector, portrait: Image.Image, size: tuple[int, int]
) -> None:
    wide = Image.new("RGB", size, (120, 130, 140))
    at = (size[0] - 530, size[1] // 3)
    wide.paste(portrait, at)
    photo = _photo(wide)
    (face,) = detector.detect(photo)
    np.testing.assert_allclose(face.box, np.array(FACE) + np.array([*at, 0, 0]), atol=15)
    assert _inside(face, photo)


@pytest.mark.parametrize("margin", [-12, -6, 0, 20, 60])
def test_a_face_that_fills_or_overflows_the_frame_is_found(
    detector: FaceDetector, portrait: Image.Image, margin: int
) -> None:
    x, y, w, h = FACE
    close = portrait.crop((int(x - margin), int(y - margin), int(x + w + margin), int(y + h + margin)))
    photo = _photo(close.resize((600, 600), Image.Resampling.BICUBIC))
    faces = detector.detect(photo)
    assert len(faces) == 1
    assert _inside(faces[0], photo)
    share = faces[0].box[2] / 600
    assert share == pytest.approx(min(w / (w + 2 * margin), 1.0), abs=0.15)


def test_of_two_faces_the_larger_comes_first(detector: FaceDetector, portrait: Image.Image) -> None:
    head = portrait.crop((120, 20, 330, 230))
    both = Image.new("RGB", (500, 300), (120, 130, 140))
    both.paste(head.resize((160, 160)), (10, 60))
    both.paste(head.resize((280, 280)), (200, 10))
    faces = detector.detect(_photo(both))
    assert [face.box[0] > 200 for face in faces] == [True, False]
    assert faces[0].box[2] > faces[1].box[2]


@pytest.mark.parametrize("name", ["cat", "coffee", "brick", "grass", "text", "gravel", "moon", "rocket", "clock"])
def test_what_is_no_face_is_not_found(detector: FaceDetector, name: str) -> None:
    image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    assert detector.detect(_photo(image)) == []


@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (3, 5000), (480, 640)])
def test_an_even_photo_of_any_shape_shows_no_face(detector: FaceDetector, shape: tuple[int, int]) -> None:
    pixels = np.full((*shape, 3), 128, dtype=np.uint8)
    assert detector.detect(Photo(pixels, shape[1], shape[0], "PNG")) == []


def test_threads_share_a_detector_and_agree(detector: FaceDetector, portrait: Image.Image) -> None:
    photos = [_photo(portrait), _photo(portrait.resize((300, 300))), _photo(portrait.crop((100, 0, 400, 300)))]
    alone = [detector.detect(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.detect, photos * 8))
    for index, faces in enumerate(together):
        (expected,), (face,) = alone[index % 3], faces
        assert face.box == expected.box
        assert face.confidence == expected.confidence
        np.testing.assert_array_equal(face.keypoints, expected.keypoints)


@pytest.mark.parametrize(("folder", "least"), [("acne04/valid", 0.94), ("wrinkles/valid/images", 1.0)])
def test_faces_of_the_validation_photos_are_found(detector: FaceDetector, folder: str, least: float) -> None:
    paths = sorted((DATA / folder).glob("*.jpg"))
    if not paths:
        pytest.skip(f"shared/data/{folder} is not here")
    photos = (_photo(Image.open(path).convert("RGB")) for path in paths)
    detections = [detector.detect(photo) for photo in photos]
    assert np.mean([bool(faces) for faces in detections]) >= least
    assert all(0 < face.confidence <= 1 for faces in detections for face in faces)
