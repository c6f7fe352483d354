"""Paired tests between entries, against published examples, brute force and what chance does."""

import time
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from sklearn.datasets import load_breast_cancer, load_diabetes, make_moons
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor

from framework.data.frame import Truth
from framework.metric import metric
from framework.statistics import (
    Cost,
    PreferenceError,
    compare,
    corrected_t,
    delong,
    gap,
    holm,
    preferred,
    selection_luck,
)
from framework.statistics.delong import midranks


def cancer() -> tuple[Truth, dict[str, np.ndarray]]:
    """A good model, one that sees half as much, and a coarse one with many ties."""
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    told = {
        "good": cross_val_predict(LogisticRegression(), X, y, method="predict_proba"),
        "half": cross_val_predict(LogisticRegression(C=1e-3), X[:, :2], y, method="predict_proba"),
        "coarse": cross_val_predict(KNeighborsClassifier(5), X[:, 4:8], y, method="predict_proba"),
    }
    return Truth(y=y, classes=2), told


def areas_by_brute_force(y: np.ndarray, scores: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's covariance by its definition: every positive meets every negative."""
    wins = [(s[y == 1][:, None] > s[y == 0]) + 0.5 * (s[y == 1][:, None] == s[y == 0]) for s in scores]
    rows, columns = np.array([w.mean(axis=1) for w in wins]), np.array([w.mean(axis=0) for w in wins])
    return rows.mean(axis=1), np.cov(rows) / rows.shape[1] + np.cov(columns) / columns.shape[1]


def test_delong_by_ranks_is_delong_by_its_definition():
    truth, told = cancer()
    scores = [each[:, 1].round(2) for each in told.values()]
    found = delong(truth.y == 1, scores)
    area, covariance = areas_by_brute_force(truth.y, scores)
    assert found.area == pytest.approx([roc_auc_score(truth.y, score) for score in scores], abs=1e-12)
    assert found.area == pytest.approx(area, abs=1e-12)
    assert found.covariance == pytest.approx(covariance, abs=1e-12)


def test_ranks_of_equal_values_are_shared_as_scipy_shares_them():
    values = np.random.default_rng(0).integers(0, 9, 200).astype(float)
    assert np.array_equal(midranks(values), scipy.stats.rankdata(values))


def test_delong_calls_equals_different_as_rarely_as_it_should():
    called = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        y = random.integers(0, 2, 150) == 1
        called += delong(y, [y + random.normal(0, 1.5, 150) for _ in range(2)]).p_value(0, 1) < 0.05
    assert 8 <= called <= 34  # 5 % of 400 is 20


def test_delong_of_the_same_ranking_is_one_and_of_one_class_unknown():
    y, score = np.arange(20) % 2 == 1, np.arange(20.0)
    assert delong(y, [score, score**3]).p_value(0, 1) == 1.0
    assert np.isnan(delong(np.ones(5, dtype=bool), [score[:5], score[:5]]).p_value(0, 1))


def test_holm_is_that_of_r():
    found = holm({"a": 0.01, "b": 0.02, "c": 0.03, "d": 0.04, "e": 0.05})
    assert list(found.values()) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])  # p.adjust(…, "holm")
    assert holm({"x": 0.9, "y": 0.6, "z": float("nan")}) == {
        "x": 1.0,
        "y": 1.0,
        "z": pytest.approx(np.nan, nan_ok=True),
    }
    assert holm({}) == {}


def test_the_corrected_t_is_that_of_the_published_example():
    """scikit-learn's "Statistical comparison of models using grid search": t = 0.750, one-sided p = 0.227."""
    X, y = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    scores = [cross_val_score(SVC(kernel=each), X, y, scoring="roc_auc", cv=folds) for each in ("rbf", "linear")]
    assert corrected_t(scores[0] - scores[1], test_share=1 / 9) / 2 == pytest.approx(0.227, abs=5e-4)
    assert corrected_t(np.zeros(5), test_share=0.25) == 1.0
    assert np.isnan(corrected_t([0.1], test_share=0.25))


def test_entries_are_compared_with_the_best_and_the_worse_ones_found():
    truth, told = cancer()
    found = compare(metric("roc_auc"), truth, told, "good")
    assert set(found) == {"half", "coarse"}
    assert max(found.values()) < 0.01
    again = compare(metric("roc_auc"), truth, {**told, "same": told["good"] ** 1.0}, "good")
    assert again["same"] == 1.0
    assert again["half"] >= found["half"]


def test_delong_and_the_bootstrap_agree():
    truth, told = cancer()
    random = np.random.default_rng(0)
    logit = np.log(told["good"][:, 1] / told["good"][:, 0])
    for strength in (1.0, 2.0, 3.0):
        second = 1 / (1 + np.exp(-(logit + strength * random.normal(size=len(logit)))))
        pair = {"good": told["good"], "noisy": np.column_stack([1 - second, second])}
        formula = compare(metric("roc_auc"), truth, pair, "good")["noisy"]
        weighed = Truth(y=truth.y, classes=2, weight=np.ones(len(truth)))
        assert formula == pytest.approx(
            compare(metric("roc_auc"), weighed, pair, "good", repeats=4000)["noisy"], abs=0.05
        )


def test_many_entries_can_still_be_told_apart():
    X, y = load_diabetes(return_X_y=True)
    told = {f"ridge {place}": cross_val_predict(Ridge(0.1 + 1e-9 * place), X, y) for place in range(20)}
    told["tree"] = cross_val_predict(DecisionTreeRegressor(random_state=0), X, y)
    found = compare(metric("rmse"), Truth(y=y), told, "ridge 0")
    assert found["tree"] < 0.05
    assert min(p for name, p in found.items() if name != "tree") > 0.05


def test_groups_make_the_test_as_careful_as_they_are_few():
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(8), 60)
    y = random.normal(size=480)
    shift = np.repeat(random.normal(0, 1, 8), 60)
    told = {"best": y + 0.5 * random.normal(size=480), "other": y + 0.5 * random.normal(size=480) + 0.8 * shift}
    alone = compare(metric("mae"), Truth(y=y), told, "best")["other"]
    whole = compare(metric("mae"), Truth(y=y, group=group), told, "best")["other"]
    assert whole > 3 * alone


def test_the_first_of_many_equals_looks_better_than_it_is_by_what_is_told():
    flattered, told = [], []
    for seed in range(20):
        random = np.random.default_rng(seed)
        y = random.normal(size=150)
        entries = {str(place): y + random.normal(0, 1, 150) for place in range(25)}
        best = min(metric("mae").score(Truth(y=y), each) for each in entries.values())
        flattered.append(np.sqrt(2 / np.pi) - best)
        told.append(selection_luck(metric("mae"), Truth(y=y), entries, repeats=100))
    assert np.mean(told) == pytest.approx(np.mean(flattered), rel=0.35)
    one = selection_luck(metric("mae"), Truth(y=y), {"only": entries["0"]})
    assert one < 0.25 * np.mean(told)


def test_the_gap_between_validation_and_test_has_a_sign_and_an_interval():
    random = np.random.default_rng(0)
    y = random.normal(size=400)
    fair = y + random.normal(0, 1, 400)
    flattering = y + random.normal(0, 0.5, 400)
    found = gap(metric("rmse"), (Truth(y=y), flattering), (Truth(y=y), fair))
    assert found.optimism == pytest.approx(0.5, abs=0.1)
    assert found.real
    assert not gap(metric("rmse"), (Truth(y=y), fair), (Truth(y=y[::-1]), fair[::-1])).real
    assert str(found).startswith("validation 0.")


def test_the_preference_chooses_among_those_not_told_apart():
    ranked, noise = ["blend", "boosted", "linear", "stump"], {"boosted": 0.4, "linear": 0.06, "stump": 0.001}
    costs = {
        "blend": Cost(5, 900, 5.0),
        "boosted": Cost(1, 500, 0.1),
        "linear": Cost(1, 10, 0.2),
        "stump": Cost(1, 1, 0.01),
    }
    assert preferred(ranked, noise, costs) == "blend"
    assert preferred(ranked, noise, costs, "simple") == "linear"
    assert preferred(ranked, noise, costs, "fast") == "boosted"
    assert preferred(ranked, {}, costs, "simple") == "blend"
    assert preferred(ranked, {**noise, "linear": float("nan")}, costs, "simple") == "boosted"
    with pytest.raises(PreferenceError, match="'cheap'; it is one of best, simple, fast"):
        preferred(ranked, noise, costs, "cheap")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["roc_auc", "pr_auc", "log_loss", "mcc"])
def test_twenty_entries_are_compared_in_a_moment(name):
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 1500)
    told = {str(place): np.column_stack([1 - p, p]) for place in range(20) for p in [random.random(1500)]}
    began = time.process_time()
    compare(metric(name), Truth(y=y, classes=2), told, "0")
    assert time.process_time() - began < 10.0  # 0.5 s on a quiet machine


def test_more_noise_is_never_told_apart_less():
    y = np.random.default_rng(0).normal(size=300)
    best = y + np.random.default_rng(1).normal(0, 0.5, 300)
    others = {str(more): y + np.random.default_rng(2).normal(0, 0.5 + more, 300) for more in (0.0, 0.05, 0.2, 0.5)}
    found = list(compare(metric("rmse"), Truth(y=y), {"best": best, **others}, "best").values())
    assert all(first >= second - 0.02 for first, second in pairwise(found))
