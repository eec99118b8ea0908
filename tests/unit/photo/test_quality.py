"""Quality: each issue is reported when it is there, and only then."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bentos.skin.photo import quality
from bentos.skin.photo.crop import cut
from bentos.skin.photo.decode import Photo, decode
from bentos.skin.photo.face import Face, FaceDetector

ROOT = Path(__file__).resolve().parents[3]
ACNE04 = ROOT / "../shared/data/acne04/valid"
ASTRONAUT = decode((ROOT / "tests/photos/astronaut.png").read_bytes())
FACE = Face((177.0, 78.0, 95.0, 95.0), 0.9, np.zeros((6, 2), np.float32))
GOOD_SKIN = 0.4

Pixels = NDArray[np.uint8]


def photo_of(pixels: Pixels) -> Photo:
    return Photo(pixels, pixels.shape[1], pixels.shape[0], "PNG")


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


def issues(pixels: Pixels, faces: list[Face], skin_share: float = GOOD_SKIN) -> list[str]:
    photo = photo_of(pixels)
    return quality.assess(photo, faces, cut(photo, faces[0] if faces else None), skin_share).issues


def portrait() -> Pixels:
    """The astronaut's face as a phone would take it, 190 px wide: the photo twice as large, and sharp."""
    return np.asarray(Image.fromarray(resized(ASTRONAUT.pixels, 2)).filter(ImageFilter.UnsharpMask(1.5, 150, 0)))


NEAR = scaled(FACE, 2)


def test_a_good_portrait_has_no_issue_and_a_score_near_one() -> None:
    photo = photo_of(portrait())
    result = quality.assess(photo, [NEAR], cut(photo, NEAR), GOOD_SKIN)
    assert result.issues == []
    assert 0.8 < result.score <= 1.0


def test_a_face_of_few_pixels_is_too_small_whatever_the_photo() -> None:
    assert issues(ASTRONAUT.pixels, [FACE]) == ["too_small"]
    assert "too_small" not in issues(portrait(), [NEAR])


def test_a_small_photo_without_a_face_is_too_small() -> None:
    assert issues(resized(ASTRONAUT.pixels, 0.3), []) == ["too_small", "no_face"]


def test_the_size_of_the_photo_counts_and_not_what_was_decoded() -> None:
    small = resized(ASTRONAUT.pixels, 0.5)
    reduced = Photo(small, 1024, 1024, "JPEG")
    assert "too_small" not in quality.assess(reduced, [NEAR], cut(reduced, NEAR), GOOD_SKIN).issues


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
    large = scaled(FACE, 4)
    assert quality.assess(reduced, [large], cut(reduced, large), GOOD_SKIN).issues == []
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
    assert issues(exposed(portrait(), 2), [NEAR]) == ["too_bright"]


def test_dark_skin_in_good_light_is_not_too_dark() -> None:
    """The face darkened as skin is: the highlights on it, of the lamp and not of the skin, stay."""
    pixels = portrait()
    darker = (pixels * 0.45).astype(np.uint8)
    shine = pixels.min(axis=2) > np.percentile(pixels.min(axis=2), 93)
    darker[shine] = (pixels[shine] * 0.75).astype(np.uint8)
    assert "too_dark" not in issues(darker, [NEAR])


def test_a_photo_without_a_face_says_so() -> None:
    assert issues(portrait(), []) == ["no_face"]


def test_a_second_face_counts_only_if_it_is_large() -> None:
    assert issues(portrait(), [NEAR, scaled(NEAR, 0.6)]) == ["several_faces"]
    assert issues(portrait(), [NEAR, scaled(NEAR, 0.4)]) == []


def test_little_skin_is_seen() -> None:
    assert issues(portrait(), [NEAR], skin_share=quality.MIN_SKIN_SHARE - 0.01) == ["little_skin"]
    assert issues(portrait(), [NEAR], skin_share=quality.MIN_SKIN_SHARE) == []


def test_the_score_falls_with_each_measure_and_is_at_most_half_at_an_issue() -> None:
    scores = []
    for radius in (0.5, 2.0, 4.0, 8.0):
        photo = photo_of(blurred(portrait(), radius))
        result = quality.assess(photo, [NEAR], cut(photo, NEAR), GOOD_SKIN)
        assert (result.score <= 0.5) == bool(result.issues)
        scores.append(result.score)
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.8
    assert scores[-1] < 0.3


@pytest.mark.skipif(not ACNE04.is_dir(), reason="needs shared/data/acne04")
def test_sharp_portraits_are_told_from_blurred_ones() -> None:
    detector = FaceDetector()
    sharp, soft = [], []
    for path in sorted(ACNE04.glob("*.jpg"))[::14]:
        photo = decode(path.read_bytes())
        faces = detector.detect(photo)
        if not faces:
            continue
        crop = cut(photo, faces[0])
        sharp.append("blurred" in quality.assess(photo, faces, crop, GOOD_SKIN).issues)
        scale = max(float(crop.to_photo[0, 0]), 1.0)  # 3 px of the crop, or of the photo where it is magnified
        photo = photo_of(blurred(photo.pixels, 3 * scale))
        soft.append("blurred" in quality.assess(photo, faces, cut(photo, faces[0]), GOOD_SKIN).issues)
    assert len(sharp) >= 15
    assert np.mean(sharp) <= 0.05
    assert np.mean(soft) >= 0.95
