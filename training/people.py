"""Groups the train photos of ACNE04 that show one person in one sitting, for splits by person.

    python -m training.people --out training/people.csv    # four minutes; the result is committed

Two photos are joined where many ORB features of theirs agree on one map of shift, scale and turn: on skin, hair,
clothes or hairbands. No faces are recognised: frontal and profile photos of a person often stay apart, and a few people
in the same pose are joined, which a split by person can afford.
"""

from training import commands

if __name__ == "__main__":  # before OpenCV, which --help does not need
    commands.people(__doc__).parse_args()

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.originals import SPECKLE_BLUR, grey, photo_name

PEOPLE = Path(__file__).with_name("people.csv")
SIDE = 512  # px, to which the photos are shrunk
FEATURES = 1000  # of a photo, the strongest
FEATURES_FIRST = 128  # of them, for the first look at each pair
DISTANCE_FIRST = 44  # of 256 bits, between descriptors that are alike at the first look
BLOCK = 64  # photos compared at once at the first look; their products fit the processor's cache
CELLS = 4  # cells across and down, over which the features of the first look are spread
CANDIDATES = 8  # most alike photos of each photo, upright and mirrored, which are looked at closely
DISTANCE_MAX = 50  # of 256 bits, between the descriptors of one feature
RATIO = 0.85  # nearest over second nearest descriptor
RESIDUAL = 6.0  # px of SIDE
INLIERS_MIN = 24  # agreeing features of joined photos; by eye most pairs are right from 27 on, few below 24
GROUP_MAX = 12  # photos of one person; a larger group is joined again with a higher limit
LIT_BLUR = 4.0  # px of SIDE; the light is measured over about a feature's size

Features = tuple[NDArray[np.float32], NDArray[np.uint8]]  # places (n, 2) in px, descriptors (n, 32)


def people(path: Path = PEOPLE) -> dict[str, str]:
    """Read the person of each train photo: photo, as "levle0_158" → person.

    Raises:
        FileNotFoundError: there is no such table.
    """
    with path.open(newline="") as file:
        return {row["photo"]: row["person"] for row in csv.DictReader(file)}


def train_photos(data: Path) -> dict[str, Path]:
    """List the train photos: name → the photo as it was taken, or its first variant; sorted by name.

    Raises:
        FileNotFoundError: there are none.
    """
    folder = data / "acne04"
    paths: dict[str, Path] = {}
    for path in [*sorted((folder / "train_1024").glob("*.jpg")), *sorted((folder / "train").glob("*.jpg"))]:
        paths.setdefault(photo_name(path), path)
    if not paths:
        raise FileNotFoundError(f"there are no photos in {folder / 'train_1024'} and {folder / 'train'}")
    return dict(sorted(paths.items()))


def features(pixels: NDArray[np.uint8]) -> Features:
    """Find the ORB features of a photo: the strongest of each of CELLS × CELLS cells, then their second strongest.

    Args:
        pixels: uint8 (height, width), grey.
    """
    shrunk = cv2.resize(cv2.medianBlur(pixels, SPECKLE_BLUR), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    even = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(shrunk)
    # Behind most faces is one dark room, whose features join everybody: only what is lit counts.
    blurred = cv2.GaussianBlur(shrunk, (0, 0), LIT_BLUR)
    _, lit = cv2.threshold(blurred, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    points, descriptors = cv2.ORB.create(FEATURES, fastThreshold=8).detectAndCompute(even, lit)
    if descriptors is None:
        return np.empty((0, 2), np.float32), np.empty((0, 32), np.uint8)
    places = np.array([point.pt for point in points], np.float32)
    column, row = (places * CELLS / SIDE).astype(int).T
    cell, strength = row * CELLS + column, np.array([point.response for point in points])
    rank = np.empty(len(points), dtype=np.int64)
    for number in np.unique(cell):
        members = np.flatnonzero(cell == number)
        rank[members[np.argsort(-strength[members], kind="stable")]] = np.arange(len(members))
    order = np.lexsort((-strength, rank))
    return places[order], np.asarray(descriptors[order], dtype=np.uint8)


def agreeing(one: Features, other: Features) -> int:
    """Count the features of two photos that agree on one map of shift, scale and turn, without mirroring."""
    if min(len(one[0]), len(other[0])) < 2:
        return 0
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(one[1], other[1], k=2)
    good = [a for a, b in pairs if a.distance < DISTANCE_MAX and a.distance < RATIO * b.distance]
    # Several features may match one feature of the other photo: the nearest counts.
    nearest = {pair.trainIdx: pair for pair in sorted(good, key=lambda pair: -pair.distance)}
    if len(nearest) < 4:
        return 0
    source = one[0][[pair.queryIdx for pair in nearest.values()]]
    target = other[0][[pair.trainIdx for pair in nearest.values()]]
    _, inliers = cv2.estimateAffinePartial2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=RESIDUAL, maxIters=500, confidence=0.99
    )
    # Features of several octaves at one place are one.
    kept = np.round(source[inliers.ravel() > 0] / RESIDUAL) if inliers is not None else np.empty((0, 2))
    return len(np.unique(kept, axis=0))


def candidates(queries: list[Features], others: list[Features]) -> set[tuple[int, int]]:
    """Find for each photo the CANDIDATES whose strongest features are most alike, by descriptors alone.

    Args:
        queries: n photos, upright or mirrored.
        others: the same n photos, upright.

    Returns:
        (index in queries, index in others), the lower index first in pairs of upright photos too.
    """
    # With bits as ±1 a dot product is 256 - 2 × the Hamming distance, and one matrix product compares everything.
    limit = 256 - 2 * DISTANCE_FIRST
    starts = range(0, len(others), BLOCK)
    blocks = [np.concatenate([_signs(other) for other in others[start : start + BLOCK]]) for start in starts]
    alike = np.zeros((len(queries), len(others)), np.int64)
    for i, query in enumerate(tqdm(queries, desc="first look", mininterval=5)):
        signs = _signs(query)
        for start, block in zip(starts, blocks, strict=True):
            if start + BLOCK > i:  # pairs are symmetric: later photos are enough
                near = (signs @ block.T >= limit).reshape(FEATURES_FIRST, -1, FEATURES_FIRST)
                alike[i, start : start + near.shape[1]] = near.any(axis=2).sum(axis=0)
    alike = np.triu(alike)
    alike = np.maximum(alike, alike.T)
    np.fill_diagonal(alike, 0)
    best = np.argsort(-alike, axis=1, kind="stable")[:, :CANDIDATES]
    return {(min(i, int(j)), max(i, int(j))) for i, row in enumerate(best) for j in row if i != j}


def _signs(photo: Features) -> NDArray[np.float32]:
    """The bits of the FEATURES_FIRST strongest features as ±1, float32 (FEATURES_FIRST, 256); missing ones are 0."""
    bits = np.unpackbits(photo[1][:FEATURES_FIRST], axis=1)
    signs = np.zeros((FEATURES_FIRST, 256), np.float32)
    signs[: len(bits)] = bits.astype(np.float32) * 2 - 1
    return signs


def pair_scores(photos: dict[str, Path]) -> dict[tuple[str, str], int]:
    """Count the agreeing features of all pairs of photos that may show one sitting; takes some four minutes.

    The variants, and about half of the originals, are mirrored, so each pair is tried both ways.

    Args:
        photos: name → file, from `train_photos`.

    Returns:
        The pair's names → the larger of the two counts.
    """
    names, upright, mirrored = list(photos), [], []
    for path in tqdm(photos.values(), desc="features", mininterval=5):
        pixels = grey(path)
        upright.append(features(pixels))
        mirrored.append(features(np.ascontiguousarray(pixels[:, ::-1])))
    scores: dict[tuple[str, str], int] = {}
    for queries in (upright, mirrored):
        for i, j in tqdm(sorted(candidates(queries, upright)), desc="pairs", mininterval=5):
            pair = names[i], names[j]
            scores[pair] = max(scores.get(pair, 0), agreeing(queries[i], upright[j]))
    return scores


def groups(names: Iterable[str], scores: dict[tuple[str, str], int], limit: int = INLIERS_MIN) -> list[list[str]]:
    """Join the photos of one person.

    Args:
        names: of all photos.
        scores: pairs of names → agreeing features.
        limit: least score that joins a pair; raised by a quarter within groups of more than GROUP_MAX, until none is.

    Returns:
        The groups, each sorted, by their first photo.
    """
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for (one, other), score in scores.items():
        if score >= limit and one in parent and other in parent:
            first, second = sorted((root(one), root(other)))
            parent[second] = first
    members: dict[str, list[str]] = {}
    for name in sorted(parent):
        members.setdefault(root(name), []).append(name)
    joined: list[list[str]] = []
    for group in members.values():
        if len(group) > GROUP_MAX:
            joined += groups(group, scores, limit + max(1, limit // 4))
        else:
            joined.append(group)
    return sorted(joined)


def main() -> None:
    parser = commands.people(__doc__)
    options = parser.parse_args()
    cv2.setRNGSeed(0)
    try:
        photos = train_photos(options.data)
    except FileNotFoundError as error:
        parser.error(str(error))
    write(options.out or PEOPLE, groups(photos, pair_scores(photos)))


def write(path: Path, found: list[list[str]]) -> None:
    """Write the table photo, person, and print the groups' sizes."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["photo", "person"])
        table.writerows(sorted((photo, number) for number, group in enumerate(found) for photo in group))
    sizes = Counter(map(len, found))
    print(f"{sum(map(len, found))} photos of {len(found)} people; photos of a person: people")
    print(*(f"{size}: {sizes[size]}" for size in sorted(sizes)), sep="\n")


if __name__ == "__main__":
    main()
