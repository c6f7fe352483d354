"""What every contender promises, held by those whose rows stay in silos."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pandas as pd
import pytest

from federated import FederatedAverage, FederatedLinear, LocalOnly, strategies
from federated.dealt import DealError
from framework import Context, load
from framework.contender import Contender, Model
from framework.contenders import Linear
from framework.contenders.lagged import Lagged
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold
from tests.federated.portfolios import QUICK, fold_of, rents

MADE: dict[str, Contender] = {
    "federated": FederatedAverage(**{**QUICK, "rounds": 3}),  # type: ignore[arg-type]
    "clustered": FederatedAverage(**{**QUICK, "rounds": 2, "strategy": strategies.IFCA()}),  # type: ignore[arg-type]
    "linear": FederatedLinear(hosts=0),
    "alone": LocalOnly(Linear(strength=1.0, bends=False, log_target=False)),
}
TARGETS = {"regression": "rent", "binary": "dear"}
each = pytest.mark.parametrize("kind", TARGETS)
every = pytest.mark.parametrize("name", MADE)


@cache
def fitted(name: str, kind: str) -> tuple[Model, Fold, pd.DataFrame]:
    fold, X = fold_of(TARGETS[kind])
    return MADE[name].fit(fold, Context(seed=3, folder=Path(mkdtemp()))), fold, X


@every
@each
def test_it_answers_in_the_shape_of_its_kind_and_one_row_as_a_batch(name: str, kind: str) -> None:
    model, _, X = fitted(name, kind)
    told = model.predict(X)
    assert told.shape == ((len(X), 2) if kind == "binary" else (len(X),))
    assert np.isfinite(told).all()
    if kind == "binary":
        assert told.sum(axis=1) == pytest.approx(np.ones(len(X)))
    one = np.concatenate([model.predict(X.iloc[[row]].reset_index(drop=True)) for row in range(6)])
    assert one == pytest.approx(told[:6], rel=1e-5, abs=1e-6)


@every
def test_the_same_seed_is_the_same_model(name: str, tmp_path: Path) -> None:
    model, fold, X = fitted(name, "regression")
    np.testing.assert_array_equal(MADE[name].fit(fold, Context(seed=3, folder=tmp_path)).predict(X), model.predict(X))


@every
@each
def test_a_saved_model_answers_the_same_in_a_fresh_process(name: str, kind: str, tmp_path: Path) -> None:
    model, _, X = fitted(name, kind)
    folder = tmp_path / "model"
    folder.mkdir()
    store_model(model, folder)
    X.to_pickle(tmp_path / "rows.pkl")
    code = """
import json, sys
from pathlib import Path
from tempfile import mkdtemp
import pandas as pd
from framework.contenders.store import open_model
print(json.dumps(open_model(Path(sys.argv[1])).predict(pd.read_pickle(sys.argv[2])).tolist()))
"""
    asked = [sys.executable, "-W", "ignore", "-c", code, str(folder), str(tmp_path / "rows.pkl")]
    told = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout
    assert np.array(json.loads(told)) == pytest.approx(model.predict(X), rel=1e-6, abs=1e-9)


@every
def test_a_silo_that_took_no_part_is_answered(name: str) -> None:
    model, _, X = fitted(name, "regression")
    strange = X.copy()
    strange["owner"] = pd.Categorical([None] * len(X), categories=X.owner.cat.categories)
    told = model.predict(strange)
    assert np.isfinite(told).all()
    assert not np.allclose(told, model.predict(X))


def test_it_learns_more_with_more_rounds_and_each_silo_has_its_part() -> None:
    fold, _ = fold_of()

    def missed(rounds: int) -> float:
        made = FederatedAverage(**{**QUICK, "rounds": rounds, "batch": 16})  # type: ignore[arg-type]
        model = made.fit(fold, Context(folder=Path(mkdtemp())))
        assert set(model.members) <= set(fold.train.X.owner.unique())
        return float(np.sqrt(np.mean((model.predict(fold.valid.X) - fold.valid.y) ** 2)))

    assert missed(6) < missed(1) < 3 * fold.valid.y.std()


def test_settled_makes_as_many_rounds_as_were_best_and_needs_no_rows_to_stop_by() -> None:
    model, fold, X = fitted("federated", "regression")
    settled = MADE["federated"].settled(model)
    assert isinstance(settled, FederatedAverage)
    assert settled.rounds == max(1, model.rounds)  # type: ignore[attr-defined]
    assert np.isfinite(settled.fit(fold.pooled(), Context(folder=Path(mkdtemp()))).predict(X)).all()


def test_silos_that_were_tuned_are_tuned_in_the_last_fit_too_which_has_no_rows_to_stop_by(tmp_path: Path) -> None:
    fold, X = fold_of(level=400.0)
    tuned = strategies.FineTuned(strategies.FedAvg(), rate=0.01, surety=0.0)
    made = FederatedAverage(**{**QUICK, "strategy": tuned})  # type: ignore[arg-type]
    model = made.fit(fold, Context(folder=Path(mkdtemp())))
    assert model.tuned
    assert set(model.tuned) == set(model.members)
    store_model(model, tmp_path)
    kept = open_model(tmp_path)
    assert made.settled(kept) == made.settled(model)
    last = made.settled(kept).fit(fold.pooled(), Context(folder=Path(mkdtemp())))
    assert last.tuned == model.tuned
    assert set(last.members) == set(model.members)
    common = replace(last, members={}).predict(X)
    assert not np.allclose(common, last.predict(X))


def test_it_returns_before_its_deadline() -> None:
    fold, _ = fold_of()
    made = FederatedAverage(**{**QUICK, "rounds": 1_000_000})  # type: ignore[arg-type]
    assert (
        made.fit(fold, Context(folder=Path(mkdtemp()), deadline=time.time() + 15.0)).rounds >= 0
    )  # a million rounds take a day


def test_without_silos_it_says_so() -> None:
    table = rents().drop(columns="dear")
    with pytest.raises(DealError, match="names no silo column"):
        MADE["federated"].fit(load(table, target="rent").fold, Context(folder=Path(mkdtemp())))
    table["city"] = "Berlin"
    fold = load(table, target="rent", silo="city").fold
    with pytest.raises(DealError, match=r"'city' has 1 value\(s\)"):
        MADE["alone"].fit(fold, Context(folder=Path(mkdtemp())))
    table.loc[5:9, "owner"] = None
    with pytest.raises(DealError, match="belong to no silo"):
        MADE["alone"].fit(load(table, target="rent", silo="owner").fold, Context(folder=Path(mkdtemp())))


def test_forecasts_by_lags_are_dealt_each_series_own_and_no_model_is_told_its_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    months = pd.date_range("2014-01-01", periods=72, freq="MS")
    season = np.sin(2 * np.pi * np.arange(72) / 12)
    table = pd.concat(
        pd.DataFrame({"city": f"city {n}", "month": months, "rent": 50.0 * n + 9 * season + rng.normal(0, 1, 72)})
        for n in range(1, 4)
    )
    split = load(table, target="rent", kind="forecast", time="month", series="city", silo="city", horizon=6)
    made = Lagged(FederatedLinear(hosts=0, audit=str(tmp_path / "audit")), rows=900)
    model = made.fit(split.fold, Context(folder=tmp_path))
    told = model.predict(split.test.X)
    assert np.abs(told - split.test.y).mean() < 3.0
    assert len(list((tmp_path / "audit").iterdir())) == 3
    assert "city" not in model.model.design.rows.native.schema.names  # type: ignore[union-attr]
    folder = tmp_path / "model"
    folder.mkdir()
    store_model(model, folder)
    np.testing.assert_allclose(open_model(folder).predict(split.test.X), told)
    alone = Lagged(LocalOnly(Linear()), rows=900).fit(split.fold, Context(folder=tmp_path))
    assert set(alone.model.models) == {"city 1", "city 2", "city 3"}  # type: ignore[union-attr]
    assert np.isfinite(alone.predict(split.test.X)).all()
