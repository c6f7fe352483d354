"""Greedy selection: what joins, what stays out, and what the mean is."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from cluster.user_error import UserError
from framework.contender import Context
from framework.contenders.blend import Blend, BlendModel, mean, select
from framework.contenders.linear import Linear
from framework.contenders.neighbours import Neighbours
from framework.contenders.xgboost import XGBoost
from framework.data.frame import Truth
from framework.data.load import load
from framework.metric import metric

RNG = np.random.default_rng(0)
Y = RNG.normal(size=400)
TRUTH = Truth(y=Y)
NOISY = {name: Y + RNG.normal(0, spread, 400) for name, spread in (("a", 0.5), ("b", 0.55), ("c", 3.0))}
RMSE = metric("rmse")


def test_two_that_err_apart_are_better_than_one() -> None:
    weights = select(NOISY, TRUTH, RMSE)
    assert weights["a"] + weights["b"] >= 0.9  # the third began with them, and is outweighed
    assert sum(weights.values()) == pytest.approx(1.0)
    best = min(RMSE.score(TRUTH, told) for told in NOISY.values())
    assert RMSE.score(TRUTH, mean({n: NOISY[n] for n in weights}, weights)) < 0.8 * best


def test_one_that_nothing_helps_stays_alone() -> None:
    assert select({"bad": Y + 5, "perfect": Y, "twin": Y}, TRUTH, RMSE) == {"perfect": 1.0}


def test_a_larger_score_is_followed_where_larger_is_better() -> None:
    weights = select(NOISY, TRUTH, metric("r2"))
    assert weights["a"] + weights["b"] >= 0.9  # the third began with them, and is outweighed


def test_the_blends_score_is_on_rows_its_weights_were_not_chosen_on() -> None:
    noise = {f"noise{place}": RNG.normal(size=60) for place in range(40)}
    truth = Truth(y=RNG.normal(size=60))
    fold = load(load_diabetes(as_frame=True).frame, target="target").fold
    rows = replace(fold.train.take(np.arange(len(truth))), truth=truth)
    combined = Blend().combine(noise, rows, fold, Context())
    weights = select(noise, truth, RMSE)
    flattered = RMSE.score(truth, mean({n: noise[n] for n in weights}, weights))
    assert RMSE.score(truth, combined.predicted) > flattered
    assert combined.members == tuple(weights)


def test_a_blend_of_models_is_their_weighted_mean() -> None:
    fold = load(load_breast_cancer(as_frame=True).frame, target="target", kind="binary").fold
    blend = Blend(members=(Linear(bends=False), Neighbours(), XGBoost(rounds=20)))
    model = blend.fit(fold, Context())
    told = {name: model.models[name].predict(fold.valid.X) for name in model.weights}
    expected = sum(weight * told[name] for name, weight in model.weights.items())
    assert np.allclose(model.predict(fold.valid.X), expected)
    settled = blend.settled(model)
    assert [member.name for member in settled.members] == list(model.weights)
    assert settled.weights == tuple(model.weights.values())


def test_weights_given_need_not_sum_to_one() -> None:
    assert np.allclose(mean({"a": np.ones(3), "b": np.zeros(3)}, {"a": 3, "b": 1}), 0.75)


def test_a_blend_of_nothing_says_what_to_do() -> None:
    fold = load(load_breast_cancer(as_frame=True).frame, target="target", kind="binary").fold
    with pytest.raises(UserError, match="members"):
        Blend().fit(fold, Context())
    assert BlendModel({}, {}).contenders == ()
