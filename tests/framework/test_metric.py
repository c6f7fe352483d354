"""Metrics against scikit-learn and against papers' formulas worked by hand."""

import math
import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics as learned
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from framework.data.frame import Truth
from framework.metric import METRICS, MetricError, metric
from framework.problem import DEFAULT_METRIC, KINDS
from framework.rescoring import rescorer

BINARY, MULTI = load_breast_cancer(return_X_y=True), load_wine(return_X_y=True)
LINEAR = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))


@pytest.fixture(scope="module")
def binary():
    X, y = BINARY
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    return Truth(y=y, weight=weight, classes=2), cross_val_predict(LINEAR, X, y, method="predict_proba").round(2)


@pytest.fixture(scope="module")
def multi():
    X, y = MULTI
    return Truth(y=y, classes=3), cross_val_predict(LINEAR, X[:, :2], y, method="predict_proba")


@pytest.fixture(scope="module")
def values():
    X, y = load_diabetes(return_X_y=True)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
    return Truth(y=y, weight=weight, features=X.shape[1]), cross_val_predict(Ridge(), X, y)


def test_there_are_fifteen_metrics_or_more_and_every_kind_has_some():
    assert len(METRICS) >= 15
    for kind in KINDS:
        metric(DEFAULT_METRIC[kind]).check(kind)


def test_binary_scores_are_those_of_scikit_learn(binary):
    truth, P = binary
    y, w, label, p = truth.y, truth.weight, P.argmax(1), P[:, 1]
    expected = {
        "accuracy": learned.accuracy_score(y, label, sample_weight=w),
        "balanced_accuracy": learned.balanced_accuracy_score(y, label, sample_weight=w),
        "precision": learned.precision_score(y, label, sample_weight=w),
        "recall": learned.recall_score(y, label, sample_weight=w),
        "f1": learned.f1_score(y, label, sample_weight=w),
        "roc_auc": learned.roc_auc_score(y, p, sample_weight=w),
        "pr_auc": learned.average_precision_score(y, p, sample_weight=w),
        "log_loss": learned.log_loss(y, p, sample_weight=w),
        "brier": learned.brier_score_loss(y, p, sample_weight=w),
        "mcc": learned.matthews_corrcoef(y, label, sample_weight=w),
    }
    assert {name: metric(name).score(truth, P) for name in expected} == pytest.approx(expected, abs=1e-12)
    assert set(expected) == {name for name, each in METRICS.items() if "binary" in each.kinds}


def test_multiclass_scores_are_macro_means(multi):
    truth, P = multi
    y, label = truth.y, P.argmax(1)
    expected = {
        "precision": learned.precision_score(y, label, average="macro"),
        "recall": learned.recall_score(y, label, average="macro"),
        "f1": learned.f1_score(y, label, average="macro"),
        "roc_auc": learned.roc_auc_score(y, P, multi_class="ovr", average="macro"),
        "pr_auc": learned.average_precision_score(np.eye(3)[y], P, average="macro"),
        "log_loss": learned.log_loss(y, P),
        "brier": learned.brier_score_loss(y, P),
        "mcc": learned.matthews_corrcoef(y, label),
    }
    assert {name: metric(name).score(truth, P) for name in expected} == pytest.approx(expected, abs=1e-12)


def test_scores_of_values_are_those_of_scikit_learn(values):
    truth, found = values
    y, w = truth.y, truth.weight
    r2 = learned.r2_score(y, found, sample_weight=w)
    expected = {
        "mae": learned.mean_absolute_error(y, found, sample_weight=w),
        "rmse": learned.root_mean_squared_error(y, found, sample_weight=w),
        "mape": learned.mean_absolute_percentage_error(y, found, sample_weight=w),
        "r2": r2,
        "adjusted_r2": 1 - (1 - r2) * 441 / (442 - 10 - 1),
        "pinball": learned.mean_pinball_loss(y, found, sample_weight=w),
        "pinball_90": learned.mean_pinball_loss(y, found, sample_weight=w, alpha=0.9),
        "rmsle": learned.root_mean_squared_log_error(y, found, sample_weight=w),
    }
    assert {name: metric(name).score(truth, found) for name in expected} == pytest.approx(expected, abs=1e-12)
    assert set(expected) == {name for name, each in METRICS.items() if "regression" in each.kinds}


def test_forecast_errors_are_worked_by_hand():
    truth = Truth(y=np.array([10.0, 20.0, 0.0, 5.0]), scale=np.array([2.0, 2.0, 4.0, 0.0]))
    forecast = np.array([12.0, 16.0, 0.0, 9.0])
    assert metric("mase").score(truth, forecast) == pytest.approx((1 + 2 + 0) / 3)  # the flat series is left out
    assert metric("smape").score(truth, forecast) == pytest.approx((4 / 22 + 8 / 36 + 0 + 8 / 14) / 4)


def test_silhouette_is_scikit_learns_and_noise_or_one_cluster_cannot_win():
    X = StandardScaler().fit_transform(load_iris().data)
    labels = KMeans(3, n_init=3, random_state=0).fit_predict(X)
    truth, silhouette = Truth(space=X), metric("silhouette")
    full = silhouette.score(truth, labels)
    assert full == pytest.approx(learned.silhouette_score(X, labels))
    assert silhouette.score(truth, np.zeros(150, int)) == -1
    assert silhouette.score(truth, np.full(150, -1)) == -1
    each = learned.silhouette_samples(X, labels)
    pruned = np.where(each < np.quantile(each, 0.8), -1, labels)  # only the easiest fifth is labelled
    assert silhouette.score(truth, pruned) < full


def test_a_class_that_is_absent_gives_no_ranking_score_rather_than_an_error():
    P = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert math.isnan(metric("roc_auc").score(Truth(y=np.array([1, 1]), classes=2), P))
    three = np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.5, 0.4, 0.1]])
    assert metric("roc_auc").score(Truth(y=np.array([1, 0, 0]), classes=3), three) == 1.0
    assert math.isfinite(metric("log_loss").score(Truth(y=np.array([1, 0, 0]), classes=3), three))


def test_a_prediction_that_is_no_number_never_wins():
    score = metric("rmse").score(Truth(y=np.array([1.0, 2.0])), np.array([1.0, np.nan]))
    assert math.isnan(score)
    assert metric("rmse").better(1e9, score)
    assert not metric("rmse").better(score, 1e9)


def test_better_follows_the_direction():
    assert metric("roc_auc").better(0.9, 0.8)
    assert metric("log_loss").better(0.1, 0.2)
    assert not metric("log_loss").better(0.2, 0.2)


def test_a_misspelt_metric_is_answered_with_the_nearest():
    assert metric("ROC-AUC").name == "roc_auc"
    with pytest.raises(MetricError, match=r"'roc_acu' is unknown. Did you mean 'roc_auc'\?"):
        metric("roc_acu")


def test_a_metric_that_contradicts_the_kind_names_those_that_fit():
    with pytest.raises(MetricError, match=r"cannot score kind='regression'\. Take one of: mae, rmse"):
        metric("roc_auc").check("regression")
    with pytest.raises(MetricError, match="never negative; the least is -3"):
        metric("rmsle").score(Truth(y=np.array([1.0, -3.0])), np.array([1.0, 1.0]))


@pytest.mark.parametrize("name", list(METRICS))
def test_rescoring_resampled_rows_equals_scoring_them(name, binary, multi, values):
    random = np.random.default_rng(3)
    for truth, predicted in (binary, multi, values):
        kind = {2: "binary", 3: "multiclass", 0: "forecast"}[truth.classes]
        if kind not in METRICS[name].kinds:
            continue
        if name == "mase":
            scale = random.uniform(1, 9, len(truth)) * (random.random(len(truth)) > 0.1)
            truth = Truth(y=truth.y, weight=truth.weight, scale=scale)
        rescore = rescorer(METRICS[name], truth, predicted)
        for _ in range(3):
            rows = random.integers(0, len(truth), len(truth))
            scored = metric(name).score(truth.take(rows), predicted[rows])
            counts = np.bincount(rows, minlength=len(truth)).astype(float)
            assert rescore(counts[None])[0] == pytest.approx(scored, abs=1e-10)


def test_importing_metrics_does_not_import_scikit_learn():
    code = "import sys, framework.metric, framework.statistics; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
