"""Columns of many values in a linear model over silos: by the mean answers that silos agree on, and by no row's own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from federated import FederatedLinear, Policy
from federated.linear.encoding import DRAWN, Encoding, looked_up
from federated.linear.model import LinearModel
from federated.message import Message
from federated.preparation import Preparation
from federated.statistics import target_sums_of
from framework import Context, load
from framework.contenders.store import open_model, store_model
from framework.data.split import Split
from tests.federated.portfolios import agreed

OPEN = Policy(minimum_count=1, minimum_rows=1)
FIXED: dict[str, Any] = {"strength": 3.0, "log_target": False, "bends": False, "hosts": 0}
STREETS = 120


def flats(*, told: float = 1.0, slope: float = 4.0, owners: int = 4, rows: int = 1_500) -> pd.DataFrame:
    """Rents by street and size. told: how much of a street's level is in the rent; slope: a unit of size."""
    rng = np.random.default_rng(5)
    level = rng.normal(0, 100, STREETS)
    street, size = rng.integers(0, STREETS, owners * rows), rng.normal(70, 20, owners * rows)
    rent = 500 + slope * size + told * level[street] + rng.normal(0, 60, len(size))
    owner = np.repeat([f"owner {place}" for place in range(owners)], rows)
    names = np.array([f"{n} Long Street" for n in range(STREETS)])
    return pd.DataFrame({"owner": owner, "street": names[street], "size": size, "rent": rent})


def split_of(table: pd.DataFrame, target: str = "rent") -> Split:
    split = load(table, target=target, silo="owner")
    assert {column.name: column.kind for column in split.fold.schema.columns}["street"] == "text"
    return split


def fitted(split: Split, **settings: Any) -> LinearModel:
    return FederatedLinear(**FIXED | settings).fit(split.fold, Context())


def r2(split: Split, model: LinearModel) -> float:
    y = split.test.y
    return 1 - float(((y - model.predict(split.test.X)) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def test_a_street_is_told_by_its_mean_rent_and_the_means_are_the_pooled_ones(tmp_path: Path) -> None:
    split = split_of(flats())
    model = fitted(split, policy=OPEN)
    train = split.fold.train
    texts = train.X["street"].astype(str)
    ((place, values),) = model.design.encoded.items()
    names = model.design.rows.native.schema.columns[place].categories
    mean = train.y.mean()
    pooled = pd.Series(np.asarray(train.y)).groupby(texts.to_numpy())
    drawn = (pooled.sum() + DRAWN * mean) / (pooled.count() + DRAWN) - mean
    spread = float(np.sqrt((pooled.count() * drawn**2).sum() / len(train.y)))
    assert values == pytest.approx(drawn[list(names)].to_numpy() / spread, rel=1e-10)

    without = fitted(split_without_street(), policy=OPEN)
    assert r2(split, model) > 0.75
    assert r2(split_without_street(), without) < 0.4
    store_model(model, tmp_path)
    assert open_model(tmp_path).predict(split.test.X).tolist() == model.predict(split.test.X).tolist()


def split_without_street() -> Split:
    return load(flats().drop(columns="street"), target="rent", silo="owner")


@pytest.mark.parametrize("target", ["rent", "dear"])
def test_by_masked_sums_it_is_the_same_model(target: str) -> None:
    table = flats(rows=900)
    table["dear"] = np.where(table["rent"] > table["rent"].median(), "yes", "no")
    split = split_of(table.drop(columns="dear" if target == "rent" else "rent"), target)
    told = fitted(split).predict(split.test.X)
    assert fitted(split, secure=True).predict(split.test.X) == pytest.approx(told, rel=1e-6, abs=1e-6)


def test_a_street_that_says_nothing_is_not_learned_by_heart() -> None:
    table = flats(told=0.0, slope=0.0, rows=600)
    split = split_of(table)
    model = fitted(split, policy=OPEN)
    at = 2  # after the ones and the size
    assert model.design.encoded
    assert abs(model.beta[at]) < 3 * 60 / np.sqrt(len(split.fold.train.y)), "a beta of noise"
    train = split.fold.train
    naive = model.design.matrix(train.X)
    learned = np.linalg.lstsq(naive, train.y, rcond=None)[0]
    assert learned[at] > 6 * 60 / np.sqrt(len(train.y)), "with its own answer in it, a street seems to say much"


def test_no_rows_number_has_its_own_answer_in_it() -> None:
    rng = np.random.default_rng(0)
    codes, y, weight = rng.integers(-1, 6, 80), rng.normal(size=80), np.ones(80)
    elsewhere = np.stack([np.full(6, 20.0), rng.normal(size=6)])

    def crossed(y: np.ndarray, *, within: bool) -> np.ndarray:
        told = target_sums_of(codes, y, weight, 6, least=5)
        encoding = Encoding(elsewhere + told * within, 0.1, 0.5)
        return encoding.crossed(codes, y, weight, told, within=within, seed=3)

    for within in (True, False):
        before = crossed(y, within=within)
        for row in range(80):
            other = y.copy()
            other[row] += 100.0
            assert crossed(other, within=within)[row] == pytest.approx(before[row], abs=1e-9)
        assert (before[codes < 0] == 0).all()


def test_a_value_with_too_few_rows_here_is_not_told_and_no_forged_sum_points_at_it() -> None:
    codes, weight = np.array([0] * 10 + [1] * 2), np.ones(12)
    y = np.arange(12.0)
    told = target_sums_of(codes, y, weight, 2, least=5)
    assert told[:, 1].tolist() == [0.0, 0.0]
    forged = Encoding(np.array([[10.0, 1e9], [45.0, 1e15]]), 0.0, 1.0)
    encoded = forged.crossed(codes, y, weight, told, within=True, seed=0)
    assert (encoded[codes == 1] == 0).all()
    assert (encoded[codes == 0] != 0).all()


def test_what_is_missing_or_unknown_counts_as_nothing() -> None:
    assert looked_up(np.array([1.0, 2.0]), np.array([1, -1, 0])).tolist() == [2.0, 0.0, 1.0]
    empty = Encoding.learn(np.zeros((2, 3)))
    assert empty.values().tolist() == [0.0, 0.0, 0.0]


def test_a_silo_that_comes_back_is_given_what_was_agreed() -> None:
    silos = fitted_preparation()
    facts, groups = silos.to_message()
    told = Message.from_bytes(Message("prepare", facts=facts, groups=groups).to_bytes())
    again = Preparation.from_message(told.facts, told.groups)
    assert again.answering == ("a", "b")
    assert again.answers["street"].tolist() == silos.answers["street"].tolist()


def fitted_preparation() -> Preparation:
    return replace(agreed(), answers={"street": np.array([[3.0, 4.0], [1.5, 2.5]])}, answering=("a", "b"))
