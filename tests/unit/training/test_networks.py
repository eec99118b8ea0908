"""The numbers that ship compute what scikit-learn fitted."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from bentos.skin.measure.tuned import Network, sigmoid, softmax, tuned
from training.networks import folds, numbers

RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(300, 5)) * [1, 10, 0.1, 5, 1] + 3).astype(np.float32)
CLASSES = (ROWS[:, 0] > 3).astype(int) + (ROWS[:, 1] > 8)


def test_a_logistic_regression_gives_the_same_class_probabilities() -> None:
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, CLASSES)
    np.testing.assert_allclose(softmax(Network(numbers(fitted))(ROWS)), fitted.predict_proba(ROWS), atol=1e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_perceptron_gives_the_same_chances() -> None:
    fitted = make_pipeline(StandardScaler(), MLPClassifier((8, 4), max_iter=20, random_state=0)).fit(ROWS, CLASSES > 0)
    chances = sigmoid(Network(numbers(fitted))(ROWS)[:, 0])
    np.testing.assert_allclose(chances, fitted.predict_proba(ROWS)[:, 1], atol=1e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_regressions_give_the_same_values() -> None:
    for model in (Ridge(), MLPRegressor(hidden_layer_sizes=(6,), max_iter=20, random_state=0)):
        fitted = make_pipeline(StandardScaler(), model).fit(ROWS, ROWS[:, 1])
        np.testing.assert_allclose(Network(numbers(fitted))(ROWS)[:, 0], fitted.predict(ROWS), atol=5e-3)


def test_an_estimator_without_plain_numbers_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="DecisionTreeClassifier"):
        numbers(make_pipeline(StandardScaler(), DecisionTreeClassifier()).fit(ROWS, CLASSES))


def test_variants_of_a_photo_share_a_fold() -> None:
    groups = [f"photo{number // 2}" for number in range(100)]
    drawn = folds(groups, 3)
    assert (drawn[::2] == drawn[1::2]).all()
    assert set(drawn.tolist()) == {0, 1, 2}
    assert np.bincount(drawn).min() >= 32


def test_the_numbers_that_ship_are_finite() -> None:
    def check(value: object) -> int:
        if isinstance(value, dict):
            return sum(map(check, value.values()))
        if isinstance(value, list):
            return sum(map(check, value))
        assert isinstance(value, int | float)
        assert np.isfinite(value)
        return 1

    assert check(tuned()) > 2000
