"""The exported numbers compute what the scikit-learn estimators compute."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from bentos.skin.measure.tuned import Network, sigmoid, softmax, tuned
from training.sklearn_export import group_folds, to_numbers

RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(300, 5)) * [1, 10, 0.1, 5, 1] + 3).astype(np.float32)
CLASSES = (ROWS[:, 0] > 3).astype(int) + (ROWS[:, 1] > 8)


def test_a_logistic_regression_gives_the_same_class_probabilities() -> None:
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, CLASSES)
    np.testing.assert_allclose(softmax(Network(to_numbers(fitted))(ROWS)), fitted.predict_proba(ROWS), atol=1e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_perceptron_gives_the_same_chances() -> None:
    fitted = make_pipeline(StandardScaler(), MLPClassifier((8, 4), max_iter=20, random_state=0)).fit(ROWS, CLASSES > 0)
    chances = sigmoid(Network(to_numbers(fitted))(ROWS)[:, 0])
    np.testing.assert_allclose(chances, fitted.predict_proba(ROWS)[:, 1], atol=1e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_regressions_give_the_same_values() -> None:
    for model in (Ridge(), MLPRegressor(hidden_layer_sizes=(6,), max_iter=20, random_state=0)):
        fitted = make_pipeline(StandardScaler(), model).fit(ROWS, ROWS[:, 1])
        np.testing.assert_allclose(Network(to_numbers(fitted))(ROWS)[:, 0], fitted.predict(ROWS), atol=5e-3)


def test_an_estimator_without_plain_numbers_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="DecisionTreeClassifier"):
        to_numbers(make_pipeline(StandardScaler(), DecisionTreeClassifier()).fit(ROWS, CLASSES))


def test_variants_of_a_photo_share_a_fold() -> None:
    groups = [f"photo{number // 2}" for number in range(100)]
    folds = group_folds(groups, 3)
    assert (folds[::2] == folds[1::2]).all()
    assert set(folds.tolist()) == {0, 1, 2}
    assert np.bincount(folds).min() >= 32


def test_the_shipped_numbers_are_finite() -> None:
    def check(value: object) -> int:
        if isinstance(value, dict):
            return sum(map(check, value.values()))
        if isinstance(value, list):
            return sum(map(check, value))
        assert isinstance(value, int | float)
        assert np.isfinite(value)
        return 1

    assert check(tuned()) > 2000
