"""Fits what `bentos/skin/measure/blemishes.py` knows: pixels, box sizes, candidates, count, severity."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from bentos.skin.measure import blemishes
from bentos.skin.measure.colour import reduced_lab
from bentos.skin.measure.tuned import Network
from bentos.skin.photo.skin import skin_mask
from training.crops import Example
from training.matching import average_precision, matches
from training.networks import folds, numbers

FOLDS = 2  # for the pixels' perceptron: what follows is fitted on photos it has not seen
LATE_FOLDS = 5  # for the figures printed of what follows
MIDDLE = 0.2  # of the box's side: nearer to its centre a pixel is a lesion's middle
AROUND = 0.55  # of the box's side: nearer than this a pixel is neither
PER_LESION, PER_FACE, RED_PER_FACE = 5, 150, 150  # pixels drawn: positives, any others, others among the reddest
RED_BAND = 4  # column of pixel_features: a*'s band from 1.2 to 2 px
HIDDEN = (32, 16)
EPOCHS = 14
SEED = 0


def fit(examples: list[Example]) -> dict[str, Any]:
    """All of "blemishes" in tuned.json; prints cross-validated figures on the way."""
    fold = folds([example.group for example in examples], FOLDS, SEED)
    rows, target, side, owner = _draw(examples)
    print(f"{len(rows):,} pixels, {target.sum():,} of them lesions; {rows.shape[1]} features")
    pixels = [_perceptron().fit(rows[keep], target[keep]) for keep in _training(fold[owner])]
    for number in range(FOLDS):
        unseen = fold[owner] == number
        print(
            f"pixel AUC, fold {number}:",
            round(roc_auc_score(target[unseen], pixels[number].predict_proba(rows[unseen])[:, 1]), 3),
        )
    size = _size_model().fit(rows[target == 1], np.log(side[target == 1]))
    print(f"log size: R² {size.score(rows[target == 1], np.log(side[target == 1])):.3f}")
    final = _perceptron().fit(rows, target)

    nets = [Network(numbers(net)) for net in pixels]
    sizes = Network(numbers(size))
    logits, found, right = [], [], []
    for example, number in zip(tqdm(examples, desc="candidates", mininterval=5), fold, strict=True):
        where, own = _features(example)
        values = nets[number](own)[:, 0] if len(own) else np.empty(0, np.float32)
        logits.append(values)
        if len(own):
            found.append(blemishes.candidates(values, where, own, sizes))
        else:
            found.append(blemishes.Candidates(np.empty((0, 4), np.float32), np.empty((0, 6), np.float32)))
        right.append(matches(found[-1].boxes, example.lesions, 0.3))
    late = folds([example.group for example in examples], LATE_FOLDS, SEED + 1)
    owner_c = np.repeat(np.arange(len(examples)), [len(one.boxes) for one in found])
    candidate_rows, labels = np.concatenate([one.features for one in found]), np.concatenate(right).astype(int)
    candidate = _logistic().fit(candidate_rows, labels)
    unseen_share = np.empty(len(labels), np.float32)
    for keep in _training(late[owner_c], LATE_FOLDS):
        unseen_share[~keep] = (
            _logistic().fit(candidate_rows[keep], labels[keep]).predict_proba(candidate_rows[~keep])[:, 1]
        )
    total = sum(len(example.lesions) for example in examples)
    print(
        f"candidates: {len(labels):,}, right {labels.sum():,} of {total:,}; "
        f"AUC {roc_auc_score(labels, unseen_share):.3f}, AP {average_precision(unseen_share, labels, total):.3f}"
    )

    confidence = np.split(unseen_share, np.cumsum([len(one.boxes) for one in found])[:-1])
    seen = np.array([len(values) > 0 for values in logits])
    faces = np.stack([blemishes.face_features(v, c) for v, c, s in zip(logits, confidence, seen, strict=True) if s])
    counts = np.array([len(example.lesions) for example in examples])[seen]
    grades = np.array([example.severity for example in examples])[seen]
    count, severity = _counter().fit(faces, np.log1p(counts)), _logistic(0.1).fit(faces, grades)
    _report(faces, counts, grades, late[seen])
    fitted = {"pixels": final, "size": size, "candidates": candidate, "count": count, "severity": severity}
    return {name: numbers(model) for name, model in fitted.items()}


def _draw(
    examples: list[Example],
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Pixels to learn from: features, 1 in the middle of a lesion, the side of its box in crop px, the example."""
    rng = np.random.default_rng(SEED)
    drawn = []
    for number, example in enumerate(tqdm(examples, desc="pixels", mininterval=5)):
        where, rows = _features(example)
        if not len(rows):
            continue
        distance, side = _nearest(where, example.lesions)
        middle = np.flatnonzero(distance < MIDDLE)
        other = np.flatnonzero(distance > AROUND)
        middle = rng.permutation(middle)[: PER_LESION * len(example.lesions)]
        red = other[np.argsort(-rows[other, RED_BAND])][: len(other) // 12]
        chosen = np.concatenate([middle, rng.permutation(other)[:PER_FACE], rng.permutation(red)[:RED_PER_FACE]])
        target = (np.arange(len(chosen)) < len(middle)).astype(np.int64)
        drawn.append((rows[chosen], target, side[chosen], np.full(len(chosen), number)))
    rows, target, side, owner = (np.concatenate(column) for column in zip(*drawn, strict=True))
    return rows, target, side, owner


def _nearest(where: NDArray[np.bool_], lesions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each pixel looked at: distance to the nearest lesion's centre over its side, and that side (crop px)."""
    y, x = np.nonzero(where)
    best, side = np.full(len(x), np.inf), np.ones(len(x))
    for left, top, width, height in lesions:
        own = max(float(np.sqrt(width * height)), 6.0)
        reach = np.hypot(
            blemishes.FACTOR * (x + 0.5) - left - width / 2, blemishes.FACTOR * (y + 0.5) - top - height / 2
        )
        nearer = reach / own < best
        best, side = np.where(nearer, reach / own, best), np.where(nearer, own, side)
    return best, side


def _features(example: Example) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    crop = example.crop
    return blemishes.pixel_features(crop, reduced_lab(crop.pixels, blemishes.FACTOR), skin_mask(crop))


def _training(fold: NDArray[np.int64], count: int = FOLDS) -> list[NDArray[np.bool_]]:
    return [fold != number for number in range(count)]


def _perceptron() -> Pipeline:
    net = MLPClassifier(
        HIDDEN, alpha=1e-3, batch_size=1024, learning_rate_init=2e-3, max_iter=EPOCHS, random_state=SEED
    )
    return make_pipeline(StandardScaler(), net)


def _size_model() -> Pipeline:
    net = MLPRegressor(
        hidden_layer_sizes=(16,),
        alpha=1e-2,
        batch_size=1024,
        learning_rate_init=2e-3,
        max_iter=EPOCHS,
        random_state=SEED,
    )
    return make_pipeline(StandardScaler(), net)


def _logistic(strength: float = 1.0) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))


def _counter() -> Pipeline:
    return make_pipeline(StandardScaler(), Ridge(alpha=3.0))


def _report(
    faces: NDArray[np.float32], counts: NDArray[np.int64], grades: NDArray[np.int64], fold: NDArray[np.int64]
) -> None:
    """Prints what count and severity reach on photos of other folds."""
    log_count, chosen = np.empty(len(counts)), np.empty(len(counts), np.int64)
    for keep in _training(fold, LATE_FOLDS):
        log_count[~keep] = _counter().fit(faces[keep], np.log1p(counts[keep])).predict(faces[~keep])
        chosen[~keep] = _logistic(0.1).fit(faces[keep], grades[keep]).predict(faces[~keep])
    estimate = np.maximum(np.expm1(log_count), 0)
    error, of_median = np.abs(estimate - counts).mean(), np.abs(np.median(counts) - counts).mean()
    print(f"count: MAE {error:.2f}, of the median {of_median:.2f}, Spearman {spearmanr(estimate, counts)[0]:.3f}")
    kappa = cohen_kappa_score(chosen, grades, weights="quadratic")
    majority = np.bincount(grades).max() / len(grades)
    print(f"severity: accuracy {(chosen == grades).mean():.3f}, of the majority {majority:.3f}, kappa {kappa:.3f}")
