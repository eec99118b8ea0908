"""Fits the numbers of `bentos/skin/measure/blemishes.py`: pixels, boxes, candidates, count and severity."""

from dataclasses import dataclass, replace
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
from bentos.skin.measure.tuned import Network, sigmoid
from bentos.skin.photo.view import view_of
from training.crops import Example
from training.labels import LondonFace
from training.matching import average_precision, best_threshold, clear_threshold, match_boxes
from training.sklearn_export import group_folds, round_significant, to_numbers

FOLDS = 2  # of the pixel perceptron: the later models are fitted on its predictions out of fold
LATE_FOLDS = 4  # of the models of candidates and faces
MIDDLE = 0.2  # of the box's side; a pixel nearer to the centre is a positive
NEAR = 0.55  # of the box's side; a pixel between MIDDLE and NEAR is neither positive nor negative
PER_LESION, PER_FACE, RED_PER_FACE = 5, 150, 150  # pixels sampled: positives, negatives, negatives among the reddest
CLEAR_WEIGHT = 5  # so many times as many of a clear face: there are few, and ACNE04 has none
RED_BAND = 4  # column of pixel_features: the band of a* from 1.2 to 2 px
HIDDEN = (32, 16)  # units of the perceptron; a few thousand numbers in tuned.json
MIN_IOU = 0.3  # least intersection over union of a correct box
CANDIDATE_C, SEVERITY_C = 0.1, 0.1  # inverse regularisation of the logistic regressions
EPOCHS = 14  # the number of epochs is the regularisation
SEED = 0  # of folds, samples and initial weights


def fit(acne: list[Example], london: list[tuple[Example, LondonFace]], wrinkled: list[Example]) -> dict[str, Any]:
    """Fit the numbers and print cross-validated metrics on the way.

    Args:
        acne: the acne crops of the train split.
        london: the London faces of the fit split, mostly clear, with their labels. Those without lesions are examples
            of what is no lesion; all count for the count.
        wrinkled: wrinkle crops of the train split. Their faces have hardly a lesion: examples of what is none, for
            pixels and boxes alone.

    Returns:
        The content of "blemishes" in tuned.json.
    """
    background = [replace(example, wrinkles={}) for example in wrinkled if example.crop.landmarks is not None]
    examples = acne + [example for example, label in london if not label.lesions] + background
    spotted = [example for example, label in london if label.lesions]
    fold = group_folds([example.group for example in examples], FOLDS, SEED)
    clear = {example.group for example, label in london if not label.lesions}
    features, target, example_of = _sample_pixels(examples, clear)
    print(f"{len(features):,} pixels, {target.sum():,} of them in lesions; {features.shape[1]} features")
    perceptrons = [_perceptron(HIDDEN).fit(features[t], target[t]) for t in _train_masks(fold[example_of])]
    for number in range(FOLDS):
        test = fold[example_of] == number
        print(
            f"pixel AUC, fold {number}:",
            round(roc_auc_score(target[test], perceptrons[number].predict_proba(features[test])[:, 1]), 3),
        )
    nets = [Network(to_numbers(perceptron)) for perceptron in perceptrons]
    logits, centres, candidate_features = [], [], []
    for example, number in zip(tqdm(examples, desc="candidates", mininterval=5), fold, strict=True):
        mask, rows = _features(example)
        if len(rows):
            logits.append(nets[number](rows)[:, 0])
            example_centres, example_features = blemishes.candidates(logits[-1], mask, rows)
            centres.append(example_centres)
            candidate_features.append(example_features)
        else:
            logits.append(np.empty(0, np.float32))
            centres.append(np.empty((0, 2), np.float32))
    candidates = _Candidates(examples, centres, np.concatenate(candidate_features))
    late = group_folds([example.group for example in examples], LATE_FOLDS, SEED + 1)
    confidence, fitted = _fit_candidates(candidates, late, len(examples) - len(background))
    rate = Network(fitted["candidates"]), Network(fitted["boxes"])
    for example in spotted:  # none of them was fitted on, so any of the networks will do
        mask, rows = _features(example)
        logits.append(nets[0](rows)[:, 0])
        own_centres, own_features = blemishes.candidates(logits[-1], mask, rows)
        own_boxes, scores = blemishes.place(own_centres, rate[1](own_features)), sigmoid(rate[0](own_features)[:, 0])
        confidence.append(scores[nms(own_boxes, scores, blemishes.OVERLAP)])

    # From here on without the background, of whose lesions nobody counted.
    examples = examples[: len(examples) - len(background)]
    logits = logits[: len(examples)] + logits[len(logits) - len(spotted) :]
    confidence = confidence[: len(examples)] + confidence[len(confidence) - len(spotted) :]
    label_of = {example.group: label for example, label in london}
    everyone = examples + spotted
    with_skin = np.array([len(values) > 0 for values in logits])
    faces = np.stack([blemishes.face_features(v, c) for v, c in zip(logits, confidence, strict=True) if len(v)])
    labels = [label_of.get(example.group) for example in everyone]
    counts = np.array(
        [len(e.lesions) if label is None else label.lesions for e, label in zip(everyone, labels, strict=True)]
    )[with_skin]
    severities = np.array([example.severity for example in everyone])[with_skin]
    late = group_folds([example.group for example in everyone], LATE_FOLDS, SEED + 1)[with_skin]
    estimate = _report(faces, counts, severities, late)
    bounds = [
        (float(value), label.least, label.most)
        for value, label in zip(estimate, np.array(labels, object)[with_skin], strict=True)
        if label is not None
    ]
    graded = severities >= 0
    fitted["clear_below"] = clear_threshold(bounds)
    fitted["count"] = to_numbers(_count_model().fit(faces, np.log1p(counts)))
    fitted["severity"] = to_numbers(_logistic(SEVERITY_C).fit(faces[graded], severities[graded]))
    fitted["pixels"] = to_numbers(_perceptron(HIDDEN).fit(features, target))
    return fitted


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The candidate lesions of all examples.

    Attributes:
        examples: n.
        centres: float32 (k, 2) for each example, in crop pixels.
        features: float32 (m, f), the candidates of all examples one after the other.
    """

    examples: list[Example]
    centres: list[NDArray[np.float32]]
    features: NDArray[np.float32]

    @property
    def example_of(self) -> NDArray[np.int64]:
        """The index of each candidate's example, int64 (m,)."""
        return np.repeat(np.arange(len(self.centres)), [len(own) for own in self.centres])

    def by_example(self, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Split values (m, ...) of the candidates into one array for each example."""
        return np.split(values, np.cumsum([len(own) for own in self.centres])[:-1])


def _fit_candidates(
    candidates: _Candidates, fold: NDArray[np.int64], labelled: int
) -> tuple[list[NDArray[np.float32]], dict[str, Any]]:
    """Return each example's confidences, predicted out of fold, without overlapping boxes; and the fitted numbers.

    Confidence and threshold are those of the first `labelled` examples; the others are background.
    """
    features, own_fold = candidates.features, fold[candidates.example_of]
    shifts, near = _shifts(candidates)
    predicted = np.empty((len(features), 3), np.float32)
    for train in _train_masks(own_fold, LATE_FOLDS):
        predicted[~train] = _box_model().fit(features[train & near], shifts[train & near]).predict(features[~train])
    boxes = candidates.by_example(blemishes.place(np.concatenate(candidates.centres), predicted))
    on_lesion = [
        overlaps(example_boxes, example.lesions).max(axis=1, initial=0) >= MIN_IOU
        for example_boxes, example in zip(boxes, candidates.examples, strict=True)
    ]
    target = np.concatenate(on_lesion).astype(np.int64)
    logit = np.empty(len(features), np.float32)
    for train in _train_masks(own_fold, LATE_FOLDS):
        net = Network(to_numbers(_logistic(CANDIDATE_C).fit(features[train], target[train])))
        logit[~train] = net(features[~train])[:, 0]
    # Of several boxes on one lesion only one is correct, so the confidence is calibrated after overlaps are removed.
    logits = candidates.by_example(logit)
    kept = [nms(b, score, blemishes.OVERLAP) for b, score in zip(boxes, logits, strict=True)]
    boxes = [b[index] for b, index in zip(boxes, kept, strict=True)]
    logits = [score[index] for score, index in zip(logits, kept, strict=True)]
    matched = [match_boxes(b, e.lesions, MIN_IOU) for b, e in zip(boxes, candidates.examples, strict=True)]
    all_logits, correct = np.concatenate(logits[:labelled]), np.concatenate(matched[:labelled])
    platt = LogisticRegression(C=1e4).fit(all_logits[:, None], correct)
    slope, offset = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    total = sum(len(example.lesions) for example in candidates.examples)
    print(
        f"candidates: {len(correct):,}, correct {correct.sum():,}, lesions {total:,}; "
        f"AUC {roc_auc_score(correct, all_logits):.3f}, AP {average_precision(all_logits, correct, total):.3f}; "
        f"Platt {slope:.2f}, {offset:.2f}"
    )
    share = sigmoid((slope * all_logits + offset).astype(np.float32))
    threshold = best_threshold(share, correct, total)
    final = to_numbers(_logistic(CANDIDATE_C).fit(features, target))
    last = final["layers"][-1]
    last["weights"] = round_significant(slope * np.array(last["weights"]))
    last["bias"] = round_significant(slope * np.array(last["bias"]) + offset)
    fitted = {
        "min_confidence": threshold,
        "candidates": final,
        "boxes": to_numbers(_box_model().fit(features[near], shifts[near])),
    }
    return [sigmoid(np.float32(slope) * score + np.float32(offset)) for score in logits], fitted


def _shifts(candidates: _Candidates) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the ideal input of `blemishes.place` for each candidate, (m, 3), and whether a lesion is near, (m,)."""
    shifts, near = [], []
    for centres, example in zip(candidates.centres, candidates.examples, strict=True):
        lesions = example.lesions if len(example.lesions) else np.array([[-1e6, -1e6, 1.0, 1.0]])
        sides = np.maximum(np.sqrt(lesions[:, 2:].prod(axis=1)), blemishes.SIDE_MIN)
        offsets = (lesions[:, :2] + lesions[:, 2:] / 2)[None] - centres[:, None]
        distance = np.hypot(offsets[..., 0], offsets[..., 1]) / sides
        nearest = distance.argmin(axis=1)
        shift = offsets[np.arange(len(centres)), nearest] / blemishes.SHIFT_UNIT
        shifts.append(np.concatenate([shift, np.log(sides[nearest])[:, None]], axis=1))
        near.append(distance.min(axis=1) < NEAR)
    return np.concatenate(shifts), np.concatenate(near)


def _sample_pixels(
    examples: list[Example], clear: set[str]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Sample the pixels to train on: features (n, f), target (n,), 1 in the middle of a lesion, example index (n,)."""
    rng = np.random.default_rng(SEED)
    samples = []
    for number, example in enumerate(tqdm(examples, desc="pixels", mininterval=5)):
        mask, rows = _features(example)
        if not len(rows):
            continue
        distance = _lesion_distance(mask, example.lesions)
        positive = np.flatnonzero(distance < MIDDLE)
        negative = np.flatnonzero(distance > NEAR)
        weight = CLEAR_WEIGHT if example.group in clear else 1
        positive = rng.permutation(positive)[: PER_LESION * len(example.lesions)]
        red = negative[np.argsort(-rows[negative, RED_BAND])][: len(negative) // 12]
        indices = np.concatenate(
            [positive, rng.permutation(negative)[: weight * PER_FACE], rng.permutation(red)[: weight * RED_PER_FACE]]
        )
        target = (np.arange(len(indices)) < len(positive)).astype(np.int64)
        samples.append((rows[indices], target, np.full(len(indices), number)))
    features, target, example_of = (np.concatenate(column) for column in zip(*samples, strict=True))
    return features, target, example_of


def _lesion_distance(mask: NDArray[np.bool_], lesions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each masked pixel's distance to the nearest lesion's centre, in sides of that lesion's box."""
    y, x = blemishes.FACTOR * (np.argwhere(mask).T + 0.5)
    distance = np.full(len(x), np.inf)
    for left, top, width, height in lesions:
        side = max(float(np.sqrt(width * height)), blemishes.SIDE_MIN)
        distance = np.minimum(distance, np.hypot(x - left - width / 2, y - top - height / 2) / side)
    return distance


def _features(example: Example) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    view = view_of(example.crop)
    return blemishes.pixel_features(view)


def _train_masks(fold: NDArray[np.int64], count: int = FOLDS) -> list[NDArray[np.bool_]]:
    """Return for each fold which rows lie outside it."""
    return [fold != number for number in range(count)]


def _perceptron(hidden: tuple[int, ...]) -> Pipeline:
    net = MLPClassifier(
        hidden, alpha=1e-3, batch_size=1024, learning_rate_init=2e-3, max_iter=EPOCHS, random_state=SEED
    )
    return make_pipeline(StandardScaler(), net)


def _box_model() -> Pipeline:
    # A perceptron overfits here: its cross-validated average precision is .15, that of ridge regression .34.
    return make_pipeline(StandardScaler(), Ridge(alpha=1000.0))


def _logistic(inverse_regularisation: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=inverse_regularisation, max_iter=2000))


def _count_model() -> Pipeline:
    return make_pipeline(StandardScaler(), Ridge(alpha=3.0))


def _report(
    faces: NDArray[np.float32], counts: NDArray[np.int64], severities: NDArray[np.int64], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Print the cross-validated metrics of count and severity; returns the counts, predicted out of fold."""
    log_count, predicted = np.empty(len(counts)), np.empty(len(counts), np.int64)
    graded = severities >= 0
    for train in _train_masks(fold, LATE_FOLDS):
        log_count[~train] = _count_model().fit(faces[train], np.log1p(counts[train])).predict(faces[~train])
        known = train & graded
        predicted[~train] = _logistic(SEVERITY_C).fit(faces[known], severities[known]).predict(faces[~train])
    all_estimates = np.maximum(np.expm1(log_count), 0)
    estimate, counts, predicted, severities = (v[graded] for v in (all_estimates, counts, predicted, severities))
    error, of_median = np.abs(estimate - counts).mean(), np.abs(np.median(counts) - counts).mean()
    print(f"count: MAE {error:.2f}, of the median {of_median:.2f}, Spearman {spearmanr(estimate, counts)[0]:.3f}")
    kappa = cohen_kappa_score(predicted, severities, weights="quadratic")
    majority = np.bincount(severities).max() / len(severities)
    print(
        f"severity: accuracy {(predicted == severities).mean():.3f}, of the majority {majority:.3f}, kappa {kappa:.3f}"
    )
    return all_estimates
