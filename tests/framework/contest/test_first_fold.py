"""What the first fold tells of contenders whose other folds are not done."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler

from framework.contest.first_fold import promising, suffices
from framework.data.frame import Truth
from framework.metric import metric

AREA = metric("roc_auc")


@pytest.fixture(scope="module")
def told() -> tuple[Truth, dict[str, np.ndarray]]:
    """Answers by all columns, by all but for a trace, and by two of them."""
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    all_, two = (cross_val_predict(LogisticRegression(), part, y, method="predict_proba") for part in (X, X[:, 8:10]))
    return Truth(y=y, classes=2), {"all": all_, "nearly": all_ * 0.999 + two * 0.001, "two": two}


def test_who_is_worth_more_folds_comes_first(told: tuple[Truth, dict[str, np.ndarray]]) -> None:
    truth, answers = told
    assert promising(["two", "nearly"], answers, truth, AREA)[-1] == "two"
    assert set(promising(["all", "two", "nearly"], answers, truth, AREA)[:2]) == {"all", "nearly"}


def test_those_that_are_done_suffice_unless_someone_is_clearly_better(
    told: tuple[Truth, dict[str, np.ndarray]],
) -> None:
    truth, answers = told
    assert not suffices([], answers, truth, AREA, seed=0)
    assert not suffices(["two"], answers, truth, AREA, seed=0)
    assert suffices(["two", "nearly"], answers, truth, AREA, seed=0)
    assert suffices(["all"], answers, truth, AREA, seed=0)
