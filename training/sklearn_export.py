"""Converts fitted scikit-learn estimators to the plain numbers that `bentos.skin.measure.tuned.Network` reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline

DIGITS = 5  # significant, in tuned.json: more would only make the file longer


def to_numbers(fitted: Pipeline) -> dict[str, Any]:
    """Convert a StandardScaler followed by a linear model or a perceptron to JSON content.

    Args:
        fitted: the fitted pipeline of two steps.

    Returns:
        mean and scale, (features,), of the scaler; layers, each with weights (inputs, outputs) and bias (outputs,).

    Raises:
        TypeError: the estimator is of another type.
    """
    scaler, model = fitted[0], fitted[-1]
    if isinstance(model, MLPClassifier | MLPRegressor):
        layers = list(zip(model.coefs_, model.intercepts_, strict=True))
    elif isinstance(model, LogisticRegression | Ridge):
        weights = np.atleast_2d(model.coef_).T
        layers = [(weights, np.atleast_1d(model.intercept_))]
    else:
        raise TypeError(f"a {type(model).__name__} cannot be converted to plain numbers")
    return {
        "mean": round_significant(scaler.mean_),
        "scale": round_significant(scaler.scale_),
        "layers": [
            {"weights": round_significant(weights), "bias": round_significant(bias)} for weights, bias in layers
        ],
    }


def group_folds(groups: Sequence[str], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Assign a fold for cross-validation to each example; examples of one group share a fold.

    Args:
        groups: n group names.
        count: number of folds.
        seed: of the assignment.

    Returns:
        int64 (n,), 0..count - 1.
    """
    names = sorted(set(groups))
    assigned = np.random.default_rng(seed).permutation(len(names)) % count
    fold_of = dict(zip(names, assigned.tolist(), strict=True))
    return np.array([fold_of[group] for group in groups], dtype=np.int64)


def round_significant(values: ArrayLike) -> Any:
    """Round to DIGITS significant digits; returns nested lists of floats in the shape of `values`."""
    array = np.asarray(values, dtype=np.float64)
    flat = [float(f"{value:.{DIGITS}g}") for value in array.ravel()]
    return np.array(flat).reshape(array.shape).tolist()
