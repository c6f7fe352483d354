"""The autoregressive engine: exact conditions, values filled in, likelihoods that are probabilities."""

import itertools
import time

import numpy as np
import pandas as pd
import pytest

from framework.contender import Context
from synthetic.ar import AR
from synthetic.condition_error import ConditionError
from synthetic.constraints import FixedCombinations, Inequality, Sum
from synthetic.copula import Copula
from tests.synthetic.tables import fitted, penguins


def test_probabilities_of_all_rows_sum_to_one() -> None:
    random = np.random.default_rng(0)
    a = random.integers(0, 3, 600)
    table = pd.DataFrame({"a": a, "b": (a + (random.random(600) < 0.2)) % 3, "c": random.choice(list("xy"), 600)})
    model = AR(width=32, epochs=40).fit(table, (), Context(seed=0))
    every = pd.DataFrame(list(itertools.product(range(3), range(3), "xy")), columns=list("abc"))
    told = np.exp(model.log_likelihood(every))
    assert told.sum() == pytest.approx(1.0, abs=0.05)
    shares = table.value_counts(normalize=True).reindex(pd.MultiIndex.from_frame(every), fill_value=0).to_numpy()
    assert np.abs(told - shares).max() < 0.05
    drawn = model.sample(20_000, seed=1).value_counts(normalize=True)
    assert np.abs(drawn.reindex(pd.MultiIndex.from_frame(every), fill_value=0).to_numpy() - shares).max() < 0.05


@pytest.mark.parametrize("name", ["ar", "copula"])
def test_a_condition_gives_what_the_rows_that_meet_it_give(name: str) -> None:
    rows = fitted(name).sample(800, {"species": "Gentoo"}, seed=1)
    real = penguins()[penguins()["species"] == "Gentoo"]
    assert abs(rows["flipper_length_mm"].mean() - real["flipper_length_mm"].mean()) < (5 if name == "ar" else 9)
    if name == "ar":  # a copula of three species on one line knows no more of islands
        assert rows["island"].eq("Biscoe").mean() > 0.85


def test_a_rare_condition_on_three_columns_costs_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    model, drawn = fitted("ar"), []
    real = type(model.core).draw
    monkeypatch.setattr(
        type(model.core), "draw", lambda core, rows, *rest: drawn.append(rows) or real(core, rows, *rest)
    )
    rows = model.sample(1_000, {"species": "Chinstrap", "sex": None, "heavy": True}, seed=0)
    assert len(rows) == 1_000
    assert sum(drawn) < 1_200
    assert rows["species"].eq("Chinstrap").all()
    assert rows["sex"].isna().all()
    assert rows["heavy"].all()


@pytest.mark.parametrize("name", ["ar", "copula"])
def test_missing_values_are_filled_in_given_the_others(name: str) -> None:
    table = penguins().drop(columns=["wings"]).dropna().reset_index(drop=True)
    model = (AR(width=48, epochs=15) if name == "ar" else Copula()).fit(penguins(), (), Context(seed=3))
    gaps = table.copy()
    gaps["wings"] = np.nan
    gaps.loc[::2, "flipper_length_mm"] = np.nan
    gaps.loc[::3, "sex"] = None
    filled = model.impute(gaps[penguins().columns], seed=1)
    assert filled["flipper_length_mm"].notna().all()
    assert filled["sex"].isin(["male", "female"]).all()
    kept = gaps["flipper_length_mm"].notna()
    pd.testing.assert_series_equal(filled.loc[kept, "flipper_length_mm"], table.loc[kept, "flipper_length_mm"])
    error = (filled["flipper_length_mm"] - table["flipper_length_mm"])[~kept].abs().mean()
    shuffled = table["flipper_length_mm"].sample(frac=1, random_state=0).to_numpy()
    assert error < 0.8 * (shuffled - table["flipper_length_mm"])[~kept].abs().mean()
    pd.testing.assert_frame_equal(filled, model.impute(gaps[penguins().columns], seed=1))


def test_what_is_filled_in_holds_to_the_constraints() -> None:
    random = np.random.default_rng(0)
    low = random.integers(0, 20, 400)
    table = pd.DataFrame({"low": low, "high": low + random.integers(0, 20, 400), "city": np.where(low > 9, "A", "B")})
    table["side"] = np.where(low > 9, "left", "right")
    table["both"] = table["low"] + table["high"]
    constraints = (Inequality("low", "high"), FixedCombinations(("city", "side")), Sum(("low", "high"), "both"))
    model = Copula().fit(table, constraints)
    gaps = table.head(100).astype({"high": float, "both": float})
    gaps.loc[::2, ["high", "both"]] = np.nan
    gaps.loc[::3, "side"] = None
    filled = model.impute(gaps, seed=0)
    assert (filled["low"] <= filled["high"]).all()
    assert (filled["both"] == filled["low"] + filled["high"]).all()
    assert (filled["city"].eq("A") == filled["side"].eq("left")).all()


def test_an_engine_that_cannot_says_so() -> None:
    for ask in (fitted("gan").impute, fitted("gan").log_likelihood):
        with pytest.raises(ConditionError, match=r"the engine 'gan' cannot .* Take 'ar' or 'copula'"):
            ask(penguins())


def test_it_keeps_its_deadline_with_a_net_that_draws() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(2_000, 8)).round(3), columns=list("abcdefgh"))
    looks: list[int] = []
    context = Context(seed=0, deadline=time.time() + 4.0, sink=lambda step, metrics: looks.append(step))
    model = AR(epochs=10_000, patience=0).fit(table, (), context)
    assert len(looks) < 10_000
    assert len(model.sample(10)) == 10


def test_two_workers_learn_together(ray_session: object) -> None:
    alone = AR(width=32, epochs=6, dropout=0.0).fit(penguins(), (), Context(seed=1))
    pair = AR(width=32, epochs=6, dropout=0.0, workers=2).fit(penguins(), (), Context(seed=1))
    told = [float(model.log_likelihood(penguins()).mean()) for model in (alone, pair)]
    assert told[0] == pytest.approx(told[1], rel=0.1)
    assert pair.sample(20, {"species": "Adelie"}, seed=1)["species"].eq("Adelie").all()
