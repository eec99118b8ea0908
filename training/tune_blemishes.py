"""Fits what `bentos/skin/measure/blemishes.py` knows: pixels, box sizes, candidates, count, severity."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from bentos.skin.boxes import nms, overlaps
from bentos.skin.measure import blemishes
from bentos.skin.measure.colour import reduced_lab
from bentos.skin.measure.tuned import Network, sigmoid
from bentos.skin.photo.skin import skin_mask
from bentos.skin.photo.zones import face_masks
from training.crops import Example
from training.matching import average_precision, matches
from training.networks import folds, numbers, short

FOLDS = 2  # for the pixels' perceptron: what follows is fitted on photos it has not seen
LATE_FOLDS = 4  # for what is fitted on candidates and faces
MIDDLE = 0.2  # of the box's side: nearer to its centre a pixel is a lesion's middle
AROUND = 0.55  # of the box's side: nearer than this a pixel is neither
PER_LESION, PER_FACE, RED_PER_FACE = 5, 150, 150  # pixels drawn: positives, any others, others among the reddest
RED_BAND = 4  # column of pixel_features: a*'s band from 1.2 to 2 px
HIDDEN = (32, 16)
RIGHT = 0.3  # intersection over union from which a box is right
CANDIDATE_STRENGTH, SEVERITY_STRENGTH = 0.1, 0.1  # of the logistic regressions (C)
EPOCHS = 14
SEED = 0


def fit(examples: list[Example]) -> dict[str, Any]:
    """All of "blemishes" in tuned.json; prints cross-validated figures on the way."""
    fold = folds([example.group for example in examples], FOLDS, SEED)
    rows, target, owner = _draw(examples)
    print(f"{len(rows):,} pixels, {target.sum():,} of them lesions; {rows.shape[1]} features")
    pixels = [_perceptron(HIDDEN).fit(rows[keep], target[keep]) for keep in _training(fold[owner])]
    for number in range(FOLDS):
        unseen = fold[owner] == number
        print(
            f"pixel AUC, fold {number}:",
            round(roc_auc_score(target[unseen], pixels[number].predict_proba(rows[unseen])[:, 1]), 3),
        )
    nets = [Network(numbers(net)) for net in pixels]
    logits, centres, looks = [], [], []
    for example, number in zip(tqdm(examples, desc="candidates", mininterval=5), fold, strict=True):
        where, own = _features(example)
        logits.append(nets[number](own)[:, 0] if len(own) else np.empty(0, np.float32))
        at, look = blemishes.candidates(logits[-1], where, own) if len(own) else (np.empty((0, 2), np.float32), None)
        centres.append(at)
        looks += [] if look is None else [look]
    peaks = _Peaks(examples, centres, np.concatenate(looks))
    late = folds([example.group for example in examples], LATE_FOLDS, SEED + 1)
    confidence, fitted = _fit_candidates(peaks, late)

    seen = np.array([len(values) > 0 for values in logits])
    tallies = [blemishes.face_features(v, c) for v, c in zip(logits, confidence, strict=True) if len(v)]
    faces = np.stack(tallies)
    counts = np.array([len(example.lesions) for example in examples])[seen]
    grades = np.array([example.severity for example in examples])[seen]
    _report(faces, counts, grades, late[seen])
    fitted["count"] = numbers(_counter().fit(faces, np.log1p(counts)))
    fitted["severity"] = numbers(_logistic(SEVERITY_STRENGTH).fit(faces, grades))
    fitted["pixels"] = numbers(_perceptron(HIDDEN).fit(rows, target))
    return fitted


@dataclass(frozen=True, slots=True)
class _Peaks:
    """The candidates of all examples: their centres by example, and their features one after the other."""

    examples: list[Example]
    centres: list[NDArray[np.float32]]
    features: NDArray[np.float32]

    @property
    def owner(self) -> NDArray[np.int64]:
        """The example of each candidate."""
        return np.repeat(np.arange(len(self.centres)), [len(own) for own in self.centres])

    def by_example(self, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """A value per candidate → an array per example."""
        return np.split(values, np.cumsum([len(own) for own in self.centres])[:-1])


def _fit_candidates(peaks: _Peaks, fold: NDArray[np.int64]) -> tuple[list[NDArray[np.float32]], dict[str, Any]]:
    """Confidences on photos not seen in fitting, overlaps dropped, by example; and the numbers that ship."""
    features, own_fold = peaks.features, fold[peaks.owner]
    shifts, near = _shifts(peaks)
    predicted = np.empty((len(features), 3), np.float32)
    for keep in _training(own_fold, LATE_FOLDS):
        predicted[~keep] = _box_model().fit(features[keep & near], shifts[keep & near]).predict(features[~keep])
    boxes = peaks.by_example(blemishes.place(np.concatenate(peaks.centres), predicted))
    touching = [
        overlaps(own, example.lesions).max(axis=1, initial=0) >= RIGHT
        for own, example in zip(boxes, peaks.examples, strict=True)
    ]
    target = np.concatenate(touching).astype(np.int64)
    logit = np.empty(len(features), np.float32)
    for keep in _training(own_fold, LATE_FOLDS):
        logit[~keep] = Network(numbers(_logistic(CANDIDATE_STRENGTH).fit(features[keep], target[keep])))(
            features[~keep]
        )[:, 0]
    # Of several boxes on one lesion only one is right: the chances are set by what is left once overlaps are dropped.
    logits = peaks.by_example(logit)
    kept = [nms(own, chance, blemishes.OVERLAP) for own, chance in zip(boxes, logits, strict=True)]
    boxes = [own[index] for own, index in zip(boxes, kept, strict=True)]
    logits = [own[index] for own, index in zip(logits, kept, strict=True)]
    right = [matches(own, example.lesions, RIGHT) for own, example in zip(boxes, peaks.examples, strict=True)]
    everything, truth = np.concatenate(logits), np.concatenate(right)
    platt = LogisticRegression(C=1e4).fit(everything[:, None], truth)
    slope, offset = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    total = sum(len(example.lesions) for example in peaks.examples)
    print(
        f"candidates: {len(truth):,}, right {truth.sum():,} of {total:,}; AUC {roc_auc_score(truth, everything):.3f}, "
        f"AP {average_precision(everything, truth, total):.3f}; Platt {slope:.2f}, {offset:.2f}"
    )
    final = numbers(_logistic(CANDIDATE_STRENGTH).fit(features, target))
    last = final["layers"][-1]
    last["weights"] = short(slope * np.array(last["weights"]))
    last["bias"] = short(slope * np.array(last["bias"]) + offset)
    fitted = {"candidates": final, "boxes": numbers(_box_model().fit(features[near], shifts[near]))}
    return [sigmoid(np.float32(slope) * own + np.float32(offset)) for own in logits], fitted


def _shifts(peaks: _Peaks) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What `blemishes.place` should be told of each candidate, (n, 3), and whether it is near a lesion at all."""
    shifts, near = [], []
    for own, example in zip(peaks.centres, peaks.examples, strict=True):
        lesions = example.lesions if len(example.lesions) else np.array([[-1e6, -1e6, 1.0, 1.0]])
        sides = np.maximum(np.sqrt(lesions[:, 2:].prod(axis=1)), blemishes.SIDE_MIN)
        away = (lesions[:, :2] + lesions[:, 2:] / 2)[None] - own[:, None]
        reach = np.hypot(away[..., 0], away[..., 1]) / sides
        best = reach.argmin(axis=1)
        shift = away[np.arange(len(own)), best] / blemishes.SHIFT_UNIT
        shifts.append(np.concatenate([shift, np.log(sides[best])[:, None]], axis=1))
        near.append(reach.min(axis=1) < AROUND)
    return np.concatenate(shifts), np.concatenate(near)


def _draw(
    examples: list[Example],
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Pixels to learn from: features, 1 in the middle of a lesion, the example."""
    rng = np.random.default_rng(SEED)
    drawn = []
    for number, example in enumerate(tqdm(examples, desc="pixels", mininterval=5)):
        where, rows = _features(example)
        if not len(rows):
            continue
        distance = _nearest(where, example.lesions)
        middle = np.flatnonzero(distance < MIDDLE)
        other = np.flatnonzero(distance > AROUND)
        middle = rng.permutation(middle)[: PER_LESION * len(example.lesions)]
        red = other[np.argsort(-rows[other, RED_BAND])][: len(other) // 12]
        chosen = np.concatenate([middle, rng.permutation(other)[:PER_FACE], rng.permutation(red)[:RED_PER_FACE]])
        target = (np.arange(len(chosen)) < len(middle)).astype(np.int64)
        drawn.append((rows[chosen], target, np.full(len(chosen), number)))
    rows, target, owner = (np.concatenate(column) for column in zip(*drawn, strict=True))
    return rows, target, owner


def _nearest(where: NDArray[np.bool_], lesions: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each pixel looked at, how far the nearest lesion's centre is, over the side of that lesion's box."""
    y, x = blemishes.FACTOR * (np.argwhere(where).T + 0.5)
    best = np.full(len(x), np.inf)
    for left, top, width, height in lesions:
        side = max(float(np.sqrt(width * height)), blemishes.SIDE_MIN)
        best = np.minimum(best, np.hypot(x - left - width / 2, y - top - height / 2) / side)
    return best


def _features(example: Example) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    crop, masks = example.crop, face_masks(example.crop)
    lab = reduced_lab(crop.pixels, blemishes.FACTOR)
    return blemishes.pixel_features(crop, lab, skin_mask(crop, masks), masks)


def _training(fold: NDArray[np.int64], count: int = FOLDS) -> list[NDArray[np.bool_]]:
    return [fold != number for number in range(count)]


def _perceptron(hidden: tuple[int, ...]) -> Pipeline:
    net = MLPClassifier(
        hidden, alpha=1e-3, batch_size=1024, learning_rate_init=2e-3, max_iter=EPOCHS, random_state=SEED
    )
    return make_pipeline(StandardScaler(), net)


def _box_model() -> Pipeline:
    # A perceptron here overfits: cross-validated average precision .15 against .34 for the straight line.
    return make_pipeline(StandardScaler(), Ridge(alpha=1000.0))


def _logistic(strength: float) -> Pipeline:
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
        chosen[~keep] = _logistic(SEVERITY_STRENGTH).fit(faces[keep], grades[keep]).predict(faces[~keep])
    estimate = np.maximum(np.expm1(log_count), 0)
    error, of_median = np.abs(estimate - counts).mean(), np.abs(np.median(counts) - counts).mean()
    print(f"count: MAE {error:.2f}, of the median {of_median:.2f}, Spearman {spearmanr(estimate, counts)[0]:.3f}")
    kappa = cohen_kappa_score(chosen, grades, weights="quadratic")
    majority = np.bincount(grades).max() / len(grades)
    print(f"severity: accuracy {(chosen == grades).mean():.3f}, of the majority {majority:.3f}, kappa {kappa:.3f}")
