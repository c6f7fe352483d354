"""Attacks: what was learned by heart fails each that is a gate, honest rows pass, and what luck does is not leakage."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from framework.contender import Context
from framework.data.data_error import DataError
from synthetic.attacks.apart import Apart
from synthetic.attacks.canaries import Canaries, Planted, canaries, plant
from synthetic.attacks.inference import infer
from synthetic.attacks.linkability import link
from synthetic.attacks.risk import Risk, wilson
from synthetic.attacks.singling_out import single_out
from synthetic.constraints import FixedCombinations, Inequality
from synthetic.copula import Copula
from synthetic.fidelity import RISK, judge
from synthetic.space import Space
from tests.synthetic.by_heart import ByHeart
from tests.synthetic.tables import attrition, penguins

COLUMNS = ["Age", "Attrition", "Department", "JobRole", "MonthlyIncome", "OverTime", "TotalWorkingYears", "DailyRate",
           "YearsAtCompany", "EducationField", "DistanceFromHome", "HourlyRate"]  # fmt: skip
ATTACKS = {"singling out": single_out, "linkability": link, "attribute inference": infer}
each = pytest.mark.parametrize("name", ATTACKS)


@cache
def parts() -> tuple[Space, pd.DataFrame, pd.DataFrame]:
    """Employees learned from, and others held out."""
    table = attrition()[COLUMNS].sample(frac=1, random_state=0).reset_index(drop=True)
    return Space.learn(table), table.iloc[:735], table.iloc[735:].reset_index(drop=True)


@cache
def honest() -> pd.DataFrame:
    return Copula().fit(parts()[1]).sample(735, seed=1)


@each
def test_rows_learned_by_heart_are_found_out(name: str) -> None:
    space, train, holdout = parts()
    risk = ATTACKS[name](space, train, holdout, train.sample(frac=1, random_state=1), seed=1)
    assert risk is not None
    assert risk.low > RISK
    assert risk.low < risk.value < risk.high


@each
def test_rows_shaken_a_little_are_found_out(name: str) -> None:
    space, train, holdout = parts()
    shaken = train.assign(
        MonthlyIncome=train["MonthlyIncome"] + 3, DailyRate=train["DailyRate"] - 1, HourlyRate=train["HourlyRate"] + 1
    )
    risk = ATTACKS[name](space, train, holdout, shaken.sample(frac=1, random_state=1), seed=1)
    assert risk is not None
    assert risk.low > RISK


@each
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_honest_engines_rows_pass(name: str, seed: int) -> None:
    space, train, holdout = parts()
    risk = ATTACKS[name](space, train, holdout, honest(), seed=seed)
    assert risk is not None
    assert risk.low < RISK


@each
def test_the_same_seed_makes_the_same_guesses(name: str) -> None:
    space, train, holdout = parts()
    assert ATTACKS[name](space, train, holdout, honest(), seed=5) == ATTACKS[name](
        space, train, holdout, honest(), seed=5
    )


def test_the_gate_names_the_attack_and_its_guesses() -> None:
    _, train, holdout = parts()
    shaken = train.assign(MonthlyIncome=train["MonthlyIncome"] + 1)
    told = judge(train, holdout, shaken, target="Attrition")
    for name in ATTACKS:
        (reason,) = [reason for reason in told.failed if reason.startswith(name)]
        assert "guesses about learned rows were right" in reason
        (score,) = [score for score in told.scores if score.name == f"{name}: risk"]
        assert score.band is not None
        assert score.band[0] > RISK
    assert judge(train, holdout, honest(), target="Attrition").passed


def test_what_one_row_tells_of_all_rows_is_no_leak() -> None:
    space, train, holdout = parts()
    other = holdout.iloc[:367]
    for attack in ATTACKS.values():
        risk = attack(space, train, holdout.iloc[367:], other, seed=3)
        assert risk is not None
        assert risk.low < RISK


@each
def test_luck_alone_seldom_looks_like_a_leak_in_few_rows(name: str) -> None:
    alarms = 0
    for seed in range(12):
        mixed = penguins().sample(frac=1, random_state=seed).reset_index(drop=True)
        parts = mixed.iloc[:40], mixed.iloc[40:60], mixed.iloc[60:100]
        risk = ATTACKS[name](Space.learn(mixed), *parts, seed=seed)
        alarms += risk is not None and risk.low > RISK
    assert alarms <= 2


def test_a_table_too_small_to_guess_about_makes_no_risk() -> None:
    table = penguins()[["species"]]
    space = Space.learn(table)
    assert link(space, table, table, table) is None
    assert infer(space, table, table, table) is None
    assert single_out(space, table, table, table) is None  # no species is one bird's alone


def test_a_risk_of_equal_shares_is_none_and_all_right_is_one() -> None:
    even = Risk(50, 100, 50, 100)
    assert even.value == 0
    assert even.low < 0 < even.high
    assert Risk(1_000, 1_000, 0, 1_000).value > 0.99
    assert Risk(3, 3, 0, 3).low < 0.5 < Risk(300, 300, 0, 300).low  # few guesses prove little
    assert wilson(8, 40) == pytest.approx((0.105_0, 0.347_6), abs=5e-4)


def test_distances_of_columns_add_up_to_those_of_points() -> None:
    table = penguins()
    space = Space.learn(table)
    rows, others = table.iloc[:7], table.iloc[100:140]
    points = space.points(rows)[:, None] - space.points(others)[None]
    total = Apart(space, rows, others).columns(range(len(table.columns)))
    np.testing.assert_allclose(total, (points**2).sum(axis=2), atol=1e-5)


def test_planted_rows_are_remembered_by_who_learns_by_heart_and_not_by_a_copula() -> None:
    _, train, _ = parts()
    heart = plant(ByHeart(), train, (), Context(seed=1))
    assert any("planted once" in reason for reason in heart.failed)
    assert heart.levels[0].copied > 0.3 > heart.levels[0].copied_of_others == 0
    assert heart.levels[-1].copied > heart.levels[0].copied
    assert heart.levels[0].likelier is None  # it tells no likelihood
    fair = plant(Copula(), train, (), Context(seed=1))
    assert fair.failed == []
    assert [level.times for level in fair.levels] == [1, 2, 10]
    assert fair.levels[0].likelier is not None
    assert "made-up rows planted once: 0.0% came out again" in str(fair.levels[0])


def test_what_became_of_planted_rows_is_part_of_the_judgement() -> None:
    _, train, holdout = parts()
    told = judge(train, holdout, honest(), target="Attrition")
    bad = Canaries((Planted(1, 30, 500, 0.5, 0.0, 0.95, 0.99),))
    failed = told.with_canaries(bad)
    assert told.passed
    assert len(failed.failed) == 3
    assert "50.0% of the rows planted once came out again." in failed.failed
    assert failed.to_json()["canaries"][0]["times"] == 1
    assert "planted once" in str(failed)


def test_canaries_are_new_rows_and_hold_to_constraints() -> None:
    _, train, _ = parts()
    bound = [Inequality("YearsAtCompany", "TotalWorkingYears"), FixedCombinations(("JobRole", "Department"))]
    made = canaries(train, bound, 200, seed=1)
    assert len(made.drop_duplicates()) == 200
    assert made.dtypes.tolist() == train.dtypes.tolist()
    assert bound[0].holds(made).all()
    pairs = set(map(tuple, train[["JobRole", "Department"]].to_numpy()))
    assert set(map(tuple, made[["JobRole", "Department"]].to_numpy())) <= pairs
    assert not set(map(tuple, made.to_numpy())) & set(map(tuple, train.to_numpy()))
    coarse = pd.DataFrame({"a": [0, 1] * 50, "b": [0, 0, 1, 1] * 25})
    with pytest.raises(DataError, match="so few distinct rows that only 0 could be made up"):
        canaries(coarse, (), 10)
