"""Fits what `bentos/skin/measure/lines.py` knows: places of the face, then zones."""

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
from bentos.skin.photo import zones
from training.crops import Example
from training.networks import folds, numbers

FOLDS = 3
PER_ZONE, PER_FACE = 40, 300  # places drawn of each face: in a zone's boxes, and any others
SEEN = 0.6  # share of a zone that must lie in the tile; a zone that is cut off is neither positive nor negative
HIDDEN = (32, 16)
EPOCHS = 12
STRENGTH = 0.03  # of the zones' logistic regression (C): chosen by cross-validation among .003 … 1
SEED = 0


def fit(examples: list[Example]) -> dict[str, Any]:
    """All of "lines" in tuned.json; prints cross-validated figures on the way."""
    fold = folds([example.group for example in examples], FOLDS, SEED)
    rng = np.random.default_rng(SEED)
    places = [
        lines.place_features(example.crop, zones.face_masks(example.crop))
        for example in tqdm(examples, desc="places", mininterval=5)
    ]
    targets = [_targets(where, example) for (where, _), example in zip(places, examples, strict=True)]
    drawn = [_draw(target, rng) for target in targets]
    rows = np.concatenate([own[chosen] for (_, own), chosen in zip(places, drawn, strict=True)])
    target = np.concatenate([own[chosen] for own, chosen in zip(targets, drawn, strict=True)])
    owner = np.repeat(np.arange(len(examples)), [len(chosen) for chosen in drawn])
    print(f"{len(rows):,} places, {rows.shape[1]} features; of each zone {target.sum(axis=0)}")
    nets = []
    for number in range(FOLDS):
        keep = fold[owner] != number
        fitted = _perceptron().fit(rows[keep], target[keep])
        chances = fitted.predict_proba(rows[~keep])
        print(
            f"place AUC, fold {number}:",
            np.round([roc_auc_score(target[~keep, z], chances[:, z]) for z in range(4)], 3),
        )
        nets.append(Network(numbers(fitted)))
    faces = np.stack(
        [
            lines.face_features(nets[number](own), where, zones.face_masks(example.crop))
            for (where, own), number, example in zip(places, fold, examples, strict=True)
        ]
    )
    judged = {}
    for zone in WRINKLE_ZONES:
        has = np.array([len(example.wrinkles[zone]) > 0 for example in examples])
        usable = has | np.array([_visible(example, zone) for example in examples])
        chance = np.full(len(examples), np.nan)
        for number in range(FOLDS):
            keep = (fold != number) & usable
            chance[fold == number] = (
                _zone_model().fit(faces[keep], has[keep]).predict_proba(faces[fold == number])[:, 1]
            )
        print(f"{zone}: {has[usable].sum()} of {usable.sum()}, AUC {roc_auc_score(has[usable], chance[usable]):.3f}")
        judged[zone] = numbers(_zone_model().fit(faces[usable], has[usable]))
    return {"places": numbers(_perceptron().fit(rows, target)), "zones": judged}


def _targets(where: NDArray[np.bool_], example: Example) -> NDArray[np.int64]:
    """For each place looked at whether it lies in a box of each zone, (n, 4)."""
    y, x = lines.FACTOR * lines.CELL * (np.argwhere(where).T + 0.5)
    columns = []
    for zone in WRINKLE_ZONES:
        inside = np.zeros(len(x), dtype=np.bool_)
        for left, top, width, height in example.wrinkles[zone]:
            inside |= (np.abs(x - left - width / 2) <= width / 2) & (np.abs(y - top - height / 2) <= height / 2)
        columns.append(inside)
    return np.stack(columns, axis=1).astype(np.int64)


def _draw(target: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of the places to learn from."""
    chosen = [rng.permutation(np.flatnonzero(column))[:PER_ZONE] for column in target.T]
    return np.concatenate([*chosen, rng.permutation(np.flatnonzero(~target.any(axis=1)))[:PER_FACE]])


def _visible(example: Example, zone: str) -> bool:
    """Whether enough of the zone, or of its better side, lies in the picture."""
    if example.crop.keypoints is None:
        return False
    outlines = zones.polygons(example.crop.keypoints)
    x0, y0, x1, y1 = example.crop.valid
    seen = [
        float(((outline >= (x0, y0)) & (outline < (x1, y1))).all(axis=1).mean())
        for part in lines.ZONE_PARTS[zone]
        if (outline := outlines.get(part)) is not None
    ]
    return max(seen, default=0.0) >= SEEN


def _perceptron() -> Pipeline:
    net = MLPClassifier(
        HIDDEN, alpha=1e-2, batch_size=1024, learning_rate_init=2e-3, max_iter=EPOCHS, random_state=SEED
    )
    return make_pipeline(StandardScaler(), net)


def _zone_model() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=2000))
