"""Carries the lesion boxes of ACNE04's augmented variants over to the photos as they were taken.

The exporter shrank each photo, then mirrored, cropped, turned, sheared and speckled it. SIFT features that a variant
shares with its original give the affine map between both, and the map takes the boxes back.

The copy with the originals is not quite untouched: it cut each photo to a square, along the longer side at a place that
differs, and mirrored about half of them. The second team's circles lie in the uncut photo, so their cut and mirroring
are found first; see `place_circles`.
"""

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from training import labels

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

SIDE = 640  # px; side of the variants, to which the originals are shrunk for matching
FEATURES = 3000  # of a photo, the strongest
CONTRAST = 0.01  # SIFT's least contrast, a quarter of its default: skin is smooth
RATIO = 0.8  # nearest over second nearest descriptor (Lowe 2004)
RESIDUAL = 2.0  # px of SIDE; features farther from where the map takes them do not count
INLIERS_MIN = 25  # with fewer shared features there is no map; right maps have 100 and more, wrong ones about 10
INLIERS_SURE = 100  # with as many, the mirrored variant is not tried
SPECKLE_BLUR = 3  # px; median, removes the exporter's salt and pepper
BORDER = 1.0  # px; a box this near the border of its variant may have been cut there
ANISOTROPY_MAX = 1.5  # between a box's sides as solved and those of a square that was turned
CONDITION_MAX = 6.0  # of the turn; turned by 35° and more, a box tells little of its shape
CUT_AREA = 1.6  # between the areas of two boxes of one lesion, from which the smaller is taken for cut
CUT_STEP = 8  # px of the original; between the tried places of the cut
REDNESS_BLURS = (5.0, 25.0)  # px of the original; a lesion is redder within the first than within the second
PLACE_MARGIN = 2.0  # between the scores of the upright and the mirrored photo; with less, neither is believed
SAME_LESION = 0.5  # of the larger box's mean side; boxes of two variants with centres nearer than this are one
ALIGN_MIN = 8  # shared lesions; with fewer, two variants' boxes are aligned by a shift alone
STRAIGHT = 0.006  # px of a variant across for each px of the original along


@dataclass(frozen=True, slots=True)
class Original:
    """A photo as it was taken, with the labels of its variants.

    Attributes:
        path: of the file.
        photo: its name, as "levle0_158".
        severity: 0..3, the official class.
        boxes: float64 (n, 4), the lesions: x, y, width, height in px of the original.
        circles: float64 (m, 4), the second team's lesions and comedones, as boxes in px of the original; none where
            they were not drawn or could not be placed.
        to_variant: file name of a variant → float64 (2, 3), from px of the original to px of the variant; variants
            that could not be matched are missing, and where all are missing there are no boxes.
    """

    path: Path
    photo: str
    severity: int
    boxes: Floats
    circles: Floats
    to_variant: dict[str, Floats]


def originals(data: Path) -> list[Original]:
    """Read the originals and carry their variants' boxes over, sorted by photo; takes a few minutes.

    Args:
        data: the folder that holds `acne04`.

    Raises:
        FileNotFoundError: the photos or a table are missing.
    """
    folder = data / "acne04"
    paths = sorted((folder / "train_1024").glob("*.jpg"))
    if not paths:
        raise FileNotFoundError(f"there are no photos in {folder / 'train_1024'}")
    variants: dict[str, list[labels.AcnePhoto]] = defaultdict(list)
    for variant in labels.acne_photos(folder / "train"):
        variants[photo_name(variant.path)].append(variant)
    circles = _circles(folder / "labels" / "v2_circles.csv")
    if not (folder / labels.OFFICIAL).is_file():
        raise FileNotFoundError(f"there is no {folder / labels.OFFICIAL}")
    official = labels.official_severities(folder)
    found = []
    for path in tqdm(paths, desc="originals", mininterval=5):
        photo = photo_name(path)
        pixels = grey(path)
        features = _features(_shrunk(pixels))
        to_variant: dict[str, Floats] = {}
        carried: list[tuple[Floats, NDArray[np.bool_], bool]] = []
        for variant in variants[photo]:
            seen = grey(variant.path)
            to_original = _match(seen, features, pixels.shape)
            if to_original is None:
                continue
            forward = np.asarray(cv2.invertAffineTransform(to_original), dtype=np.float64)
            to_variant[variant.path.name] = forward
            boxes_cut = cut(variant.boxes, seen.shape)
            carried.append((carry(variant.boxes, to_original), boxes_cut, straight(forward)))
        height, width = pixels.shape
        boxes = inside(merge(carried), width, height)
        placed = place_circles(np.array(circles.get(photo, [])).reshape(-1, 4), redness(path), boxes)
        name = photo.removeprefix("levle")
        severity = official.get(name, int(name[0]))
        found.append(Original(path, photo, severity, boxes, placed, to_variant))
    return found


def photo_name(path: Path) -> str:
    """Name the photo that a file shows, as "levle0_158"; a variant has its original's name."""
    return path.name.partition(".")[0].removesuffix("_jpg")


def grey(path: Path) -> Pixels:
    """Read a photo as grey values, uint8 (height, width)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def match(variant: Pixels, original: Pixels) -> Floats | None:
    """Find the affine map from a variant to its original; both upright and mirrored variants are tried.

    Args:
        variant: uint8 (height, width), grey.
        original: uint8 (height, width), grey.

    Returns:
        float64 (2, 3), from px of the variant to px of the original, counted from the outer corner of the first pixel
        as boxes are; None where fewer than INLIERS_MIN features agree on a map.
    """
    return _match(variant, _features(_shrunk(original)), original.shape)


def carry(boxes: Floats, to_original: Floats) -> Floats:
    """Carry boxes from a variant to its original.

    The exporter replaced each box by the bounds of the turned and sheared box: (W, H) = |A| (w, h), with A the linear
    part of the map from the original to the variant. Solving for (w, h) undoes that. Where the solution is not
    positive, or its shape is implausible, the box is taken for one that was square before it was turned.

    Args:
        boxes: (n, 4), x, y, width, height in px of the variant.
        to_original: (2, 3), from px of the variant to px of the original.

    Returns:
        float64 (n, 4), in px of the original.
    """
    centres = (boxes[:, :2] + boxes[:, 2:] / 2) @ to_original[:, :2].T + to_original[:, 2]
    growth = np.abs(np.linalg.inv(to_original[:, :2]))
    stretch = np.linalg.norm(growth, axis=0)  # a photo that is no square was stretched to one, before it was turned
    turn = growth / stretch
    sizes = boxes[:, 2:] @ turn / (turn.T @ turn).sum(axis=0)
    if np.linalg.cond(turn) < CONDITION_MAX:
        solved = boxes[:, 2:] @ np.linalg.inv(turn).T
        ratio = np.maximum(solved, 1e-9) / np.maximum(sizes, 1e-9)
        plausible = ((ratio < ANISOTROPY_MAX) & (ratio > 1 / ANISOTROPY_MAX)).all(axis=1)
        sizes = np.where(plausible[:, None], solved, sizes)
    sizes = sizes / stretch
    return np.concatenate([centres - sizes / 2, sizes], axis=1)


def cut(boxes: Floats, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tell which boxes reach the border of their variant, so that a part may be missing; bool (n,).

    Args:
        boxes: (n, 4), x, y, width, height in px of the variant.
        shape: height and width of the variant.
    """
    high = np.array([shape[1], shape[0]]) - BORDER
    low_edge, high_edge = boxes[:, :2] <= BORDER, boxes[:, :2] + boxes[:, 2:] >= high
    return np.asarray((low_edge | high_edge).any(axis=1), dtype=np.bool_)


def merge(carried: list[tuple[Floats, NDArray[np.bool_], bool]]) -> Floats:
    """Merge the boxes of an original's variants; a box that only one variant has is kept.

    Where the exporter turned or sheared a photo, its boxes lie up to 20 px of the original beside the lesions, all of
    one photo alike; in variants that it left straight they lie on them. Hence of two boxes that are one lesion the
    uncut one is taken, of two such the straight one, and of two equal ones the mean. An exporter that cuts and then
    turns leaves cut boxes inside the variant: where the areas of equal ones differ by CUT_AREA, the larger is taken.

    Args:
        carried: of each variant, boxes (n, 4), x, y, width, height in px of the original, which of them were cut (n,),
            and whether the variant is straight.

    Returns:
        float64 (m, 4).
    """
    merged, merged_merit = np.empty((0, 4)), np.empty(0, dtype=np.int64)
    for boxes, boxes_cut, is_straight in sorted(carried, key=lambda one: not one[2]):
        merit = 2 * ~boxes_cut + int(is_straight)
        aligned = _aligned(boxes, merged)
        pairs = same_lesions(merged, aligned)
        for i, j in pairs:
            areas = merged[i, 2:].prod(), boxes[j, 2:].prod()
            if merit[j] == merged_merit[i] and max(areas) < CUT_AREA * min(areas):
                merged[i] = (merged[i] + boxes[j]) / 2
            elif (merit[j], areas[1]) > (merged_merit[i], areas[0]):
                merged[i], merged_merit[i] = aligned[j], merit[j]
        new = np.setdiff1d(np.arange(len(boxes)), [j for _, j in pairs])
        merged = np.concatenate([merged, aligned[new]])
        merged_merit = np.concatenate([merged_merit, merit[new]])
    return merged


def straight(to_variant: Floats) -> bool:
    """Tell whether a variant was neither turned nor sheared by more than STRAIGHT."""
    return bool(np.abs(to_variant[[0, 1], [1, 0]]).max() < STRAIGHT)


def _aligned(boxes: Floats, others: Floats) -> Floats:
    """Move boxes as a whole onto the others that show the same lesions, by an affine map or, with few, a shift."""
    pairs = same_lesions(boxes, others, limit=2 * SAME_LESION)
    if not pairs:
        return boxes
    source, target = (
        rows[numbers, :2] + rows[numbers, 2:] / 2
        for rows, numbers in zip((boxes, others), np.array(pairs).T, strict=True)
    )
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    fit = None
    if len(pairs) >= ALIGN_MIN:
        fit, _ = cv2.estimateAffine2D(source, target, method=cv2.RANSAC, ransacReprojThreshold=2 * RESIDUAL)
    moved = centre + np.median(target - source, axis=0) if fit is None else centre @ fit[:, :2].T + fit[:, 2]
    return np.concatenate([moved - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


def same_lesions(boxes: Floats, others: Floats, limit: float = SAME_LESION) -> list[tuple[int, int]]:
    """Pair the boxes of two variants, the nearest first; each is paired once.

    Args:
        boxes: (n, 4), x, y, width, height in px of the original.
        others: (m, 4).
        limit: on the centres' distance, in mean sides of the larger box.

    Returns:
        (index in boxes, index in others).
    """
    if not len(boxes) or not len(others):
        return []
    centres, other_centres = (rows[:, :2] + rows[:, 2:] / 2 for rows in (boxes, others))
    apart = np.linalg.norm(centres[:, None] - other_centres, axis=2)
    side = np.maximum(boxes[:, 2:].mean(axis=1)[:, None], others[:, 2:].mean(axis=1))
    apart = apart / side
    pairs = []
    for i, j in zip(*np.unravel_index(np.argsort(apart, axis=None), apart.shape), strict=True):
        if apart[i, j] < limit:
            pairs.append((int(i), int(j)))
            apart[i, :] = apart[:, j] = np.inf
    return pairs


def place_circles(circles: Floats, red: NDArray[np.float32], boxes: Floats) -> Floats:
    """Find how an original was cut and mirrored, and place the circles of the uncut photo on it.

    A circle's box is as many px wide as high, so its fractions give the uncut photo's shape. Each cut along the longer
    side, upright and mirrored, is scored: the redness at the circles in standard errors, and the boxes with a circle's
    centre over the root of their number.

    Args:
        circles: (m, 4), x, y, width, height as fractions of the uncut photo.
        red: (side, side), from `redness`.
        boxes: (n, 4), the first team's lesions: x, y, width, height in px of the original.

    Returns:
        float64 (k, 4), x, y, width, height in px, of the circles that lie on the original; none where upright and
        mirrored differ by less than PLACE_MARGIN.
    """
    if not len(circles):
        return np.empty((0, 4))
    side = len(red)
    ratio = float(np.median(circles[:, 2] / circles[:, 3]))  # height over width of the uncut photo
    extent = np.array([max(1, 1 / ratio), max(1, ratio)]) * side
    along, slack = int(extent.argmax()), int(extent.max() - side)
    spread = float(red.std()) / len(circles) ** 0.5 + 1e-9
    best: list[tuple[float, Floats]] = []  # upright, mirrored
    for mirrored in (False, True):
        placed = circles.copy()
        if mirrored:
            placed[:, 0] = 1 - placed[:, 0] - placed[:, 2]
        placed *= np.tile(extent, 2)
        shifts = []
        for shift in range(0, slack + 1, CUT_STEP):
            moved = placed.copy()
            moved[:, along] -= shift
            moved = moved[_centre_inside(moved, side, side)]
            centre = moved[:, :2] + moved[:, 2:] / 2
            x, y = centre.astype(int).T
            low, high = boxes[:, None, :2], boxes[:, None, :2] + boxes[:, None, 2:]
            holds = np.asarray((centre >= low) & (centre < high)).all(axis=2)
            held = int(np.asarray(holds).any(axis=1).sum())
            score = (float(red[y, x].mean()) / spread if len(moved) else 0.0) + held / max(len(boxes), 1) ** 0.5
            shifts.append((score, moved))
        best.append(max(shifts, key=lambda pair: pair[0]))
    first, second = sorted(best, key=lambda pair: -pair[0])
    return first[1] if first[0] - second[0] >= PLACE_MARGIN else np.empty((0, 4))


def redness(path: Path) -> NDArray[np.float32]:
    """Measure how much redder and darker each pixel is than its surroundings; float32 (height, width), Lab units."""
    with Image.open(path) as image:
        lab = cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2LAB).astype(np.float32)
    red = lab[..., 1] - lab[..., 0] / 2
    near, far = (cv2.GaussianBlur(red, (0, 0), sigma) for sigma in REDNESS_BLURS)
    return np.clip(near - far, -3, 5, dtype=np.float32)


def inside(boxes: Floats, width: int, height: int) -> Floats:
    """Drop the boxes whose centres lie outside the photo, and cut the others to it."""
    low, high = (np.clip(edge, 0, [width, height]) for edge in (boxes[:, :2], boxes[:, :2] + boxes[:, 2:]))
    return np.concatenate([low, high - low], axis=1)[_centre_inside(boxes, width, height)]


def _centre_inside(boxes: Floats, width: int, height: int) -> NDArray[np.bool_]:
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    return np.asarray(((centre >= 0) & (centre < [width, height])).all(axis=1), dtype=np.bool_)


def _circles(table: Path) -> dict[str, list[list[float]]]:
    """Read the second team's lesions: photo → x, y, width, height as fractions of it."""
    circles: dict[str, list[list[float]]] = defaultdict(list)
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            x0, y0, x1, y1 = (float(row[key]) for key in ("x0", "y0", "x1", "y1"))
            circles[row["photo"]].append([x0, y0, x1 - x0, y1 - y0])
    return circles


def _shrunk(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _features(pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """SIFT features: places (n, 2) in px counted from the outer corner of the first pixel, and descriptors (n, 128)."""
    points, descriptors = cv2.SIFT.create(FEATURES, contrastThreshold=CONTRAST).detectAndCompute(pixels, None)
    if descriptors is None:
        return np.empty((0, 2), np.float32), np.empty((0, 128), np.float32)
    places = np.array([point.pt for point in points], np.float32) + np.float32(0.5)
    return places, np.asarray(descriptors, dtype=np.float32)


def _match(
    variant: Pixels, features: tuple[NDArray[np.float32], NDArray[np.float32]], shape: tuple[int, ...]
) -> Floats | None:
    """Match as `match` does, with the features of the shrunk original and the original's height and width."""
    width = variant.shape[1]
    places, descriptors = features
    if len(places) < 2:
        return None
    best, inliers_best = None, INLIERS_MIN - 1
    for mirrored in (False, True):
        seen = np.ascontiguousarray(variant[:, ::-1]) if mirrored else variant
        own, own_descriptors = _features(np.asarray(cv2.medianBlur(seen, SPECKLE_BLUR), dtype=np.uint8))
        pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(own_descriptors, descriptors, k=2) if len(own) else ()
        good = [first for first, second in pairs if first.distance < RATIO * second.distance]
        if len(good) < INLIERS_MIN:
            continue
        source, target = own[[pair.queryIdx for pair in good]], places[[pair.trainIdx for pair in good]]
        found, inliers = cv2.estimateAffine2D(
            source, target, method=cv2.RANSAC, ransacReprojThreshold=RESIDUAL, maxIters=5000, confidence=0.999
        )
        if found is not None and int(inliers.sum()) > inliers_best:
            flip = np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) if mirrored else np.eye(3)
            best, inliers_best = found @ flip, int(inliers.sum())
        if inliers_best >= INLIERS_SURE:
            break
    if best is None:
        return None
    enlarge = np.array([[shape[1] / SIDE], [shape[0] / SIDE]])
    return np.asarray(best * enlarge, dtype=np.float64)
