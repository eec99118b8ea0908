"""Fitted scikit-learn estimators → the plain numbers that `bentos.skin.measure.tuned.Network` computes with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline

DIGITS = 5  # significant, in tuned.json


def numbers(fitted: Pipeline) -> dict[str, Any]:
    """A StandardScaler followed by a linear model or a perceptron, as JSON.

    Raises:
        TypeError: for another estimator.
    """
    scaler, model = fitted[0], fitted[-1]
    if isinstance(model, MLPClassifier | MLPRegressor):
        layers = list(zip(model.coefs_, model.intercepts_, strict=True))
    elif isinstance(model, LogisticRegression | Ridge):
        weights = np.atleast_2d(model.coef_).T
        layers = [(weights, np.atleast_1d(model.intercept_))]
    else:
        raise TypeError(f"no plain numbers are known for a {type(model).__name__}")
    return {
        "mean": short(scaler.mean_),
        "scale": short(scaler.scale_),
        "layers": [{"weights": short(weights), "bias": short(bias)} for weights, bias in layers],
    }


def folds(groups: Sequence[str], count: int, seed: int = 0) -> NDArray[np.int64]:
    """A fold, 0..count - 1, for each example; examples of one group share theirs."""
    names = sorted(set(groups))
    drawn = np.random.default_rng(seed).permutation(len(names)) % count
    of_name = dict(zip(names, drawn.tolist(), strict=True))
    return np.array([of_name[group] for group in groups], dtype=np.int64)


def short(values: ArrayLike) -> Any:
    """Nested lists of floats, rounded to DIGITS significant digits."""
    array = np.asarray(values, dtype=np.float64)
    flat = [float(f"{value:.{DIGITS}g}") for value in array.ravel()]
    return np.array(flat).reshape(array.shape).tolist()
