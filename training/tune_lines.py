"""Fits the numbers of `bentos/skin/measure/lines.py`: first the cells of the wrinkle map, then the zones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.measure import lines
from bentos.skin.measure.tuned import Network
from bentos.skin.photo.view import view_of
from training.crops import Example
from training.sklearn_export import group_folds, to_numbers

FOLDS = 3  # of the cross-validation: the zones are fitted on cells that were predicted out of fold
PER_ZONE, PER_FACE = 40, 300  # cells sampled from each face: in the boxes of each zone, and outside all boxes
HIDDEN = (32, 16)  # units of the perceptron; a few thousand numbers in tuned.json
EPOCHS = 12  # the number of epochs is the regularisation
REGULARISATION_C = 0.03  # of the zones' logistic regression: chosen by cross-validation among .003 … 1
SEED = 0  # of folds, samples and initial weights


def fit(examples: list[Example]) -> dict[str, Any]:
    """Fit the numbers and print cross-validated metrics on the way.

    Args:
        examples: the wrinkle crops of the train split.

    Returns:
        The content of "lines" in tuned.json.
    """
    examples = [example for example in examples if view_of(example.crop).skin.any()]
    fold = group_folds([example.group for example in examples], FOLDS, SEED)
    rng = np.random.default_rng(SEED)
    views = [view_of(example.crop) for example in examples]
    cells = [lines.place_features(view) for view in tqdm(views, desc="cells", mininterval=5)]
    targets = [_targets(mask, example) for (mask, _), example in zip(cells, examples, strict=True)]
    samples = [_sample(target, rng) for target in targets]
    features = np.concatenate([own[indices] for (_, own), indices in zip(cells, samples, strict=True)])
    target = np.concatenate([own[indices] for own, indices in zip(targets, samples, strict=True)])
    example_of = np.repeat(np.arange(len(examples)), [len(indices) for indices in samples])
    print(f"{len(features):,} cells, {features.shape[1]} features; in boxes of each zone: {target.sum(axis=0)}")
    nets = []
    for number in range(FOLDS):
        train = fold[example_of] != number
        fitted = _perceptron().fit(features[train], target[train])
        probabilities = fitted.predict_proba(features[~train])
        print(
            f"cell AUC, fold {number}:",
            np.round([roc_auc_score(target[~train, z], probabilities[:, z]) for z in range(4)], 3),
        )
        nets.append(Network(to_numbers(fitted)))
    faces = np.stack(
        [
            lines.face_features(nets[number](own), mask, view)
            for (mask, own), number, view in zip(cells, fold, views, strict=True)
        ]
    )
    fitted_zones = {}
    for zone in WRINKLE_ZONES:
        wrinkled = np.array([len(example.wrinkles[zone]) > 0 for example in examples])
        usable = np.array([len(lines.seen_parts(view, zone)) > 0 for view in views])
        probability = np.full(len(examples), np.nan)
        for number in range(FOLDS):
            train, test = (fold != number) & usable, fold == number
            probability[test] = _zone_model().fit(faces[train], wrinkled[train]).predict_proba(faces[test])[:, 1]
        auc = roc_auc_score(wrinkled[usable], probability[usable])
        print(f"{zone}: {wrinkled[usable].sum()} of {usable.sum()} wrinkled, AUC {auc:.3f}")
        fitted_zones[zone] = to_numbers(_zone_model().fit(faces[usable], wrinkled[usable]))
    return {"places": to_numbers(_perceptron().fit(features, target)), "zones": fitted_zones}


def _targets(mask: NDArray[np.bool_], example: Example) -> NDArray[np.int64]:
    """Decide for each cell of the mask whether it lies in a box of each zone; 0 or 1, int64 (n, 4)."""
    y, x = lines.FACTOR * lines.CELL * (np.argwhere(mask).T + 0.5)
    columns = []
    for zone in WRINKLE_ZONES:
        inside = np.zeros(len(x), dtype=np.bool_)
        for left, top, width, height in example.wrinkles[zone]:
            inside |= (np.abs(x - left - width / 2) <= width / 2) & (np.abs(y - top - height / 2) <= height / 2)
        columns.append(inside)
    return np.stack(columns, axis=1).astype(np.int64)


def _sample(target: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose the indices of the cells to train on."""
    in_boxes = [rng.permutation(np.flatnonzero(column))[:PER_ZONE] for column in target.T]
    return np.concatenate([*in_boxes, rng.permutation(np.flatnonzero(~target.any(axis=1)))[:PER_FACE]])


def _perceptron() -> Pipeline:
    net = MLPClassifier(
        HIDDEN, alpha=1e-2, batch_size=1024, learning_rate_init=2e-3, max_iter=EPOCHS, random_state=SEED
    )
    return make_pipeline(StandardScaler(), net)


def _zone_model() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=REGULARISATION_C, max_iter=2000))
