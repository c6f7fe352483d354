"""Constraints hold in every row, alone, together and with conditions; what cannot be is told before rows are drawn."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from synthetic.condition_error import ConditionError
from synthetic.constraints import (
    ConditionalNull,
    Constraint,
    ConstraintError,
    FixedCombinations,
    Inequality,
    OneHot,
    Predicate,
    Range,
    Sum,
    called,
    from_json,
    to_json,
)
from synthetic.copula import Copula
from synthetic.fitted import Fitted, SamplingError


def heavier(rows: pd.DataFrame) -> pd.Series:
    return rows["rent"] >= 80 * rows["rooms"]


ALL: tuple[Constraint, ...] = (
    FixedCombinations(("city", "code")),
    OneHot(("flat", "house")),
    Inequality("rent", "income", strict=True),
    Range("rooms", 1, 6),
    Sum(("rent", "heating"), "total"),
    ConditionalNull("garden", "flat", (1,)),
    Predicate(("rent", "rooms"), heavier, name="eighty a room"),
)


@cache
def homes() -> pd.DataFrame:
    """1,500 rented homes in which all of these hold."""
    random = np.random.default_rng(0)
    n = 1_500
    code = random.choice(["10115", "10117", "80331", "20095"], n, p=[0.4, 0.3, 0.2, 0.1])
    rooms = random.integers(1, 7, n)
    rent = np.round(100 * rooms * random.lognormal(1, 0.3, n))
    flat = random.integers(0, 2, n)
    heating = np.round(random.gamma(3, 20, n))
    return pd.DataFrame({
        "city": pd.Series(code).str[:2].map({"10": "Berlin", "80": "Munich", "20": "Hamburg"}),
        "code": code,
        "flat": flat,
        "house": 1 - flat,
        "rooms": rooms,
        "rent": rent,
        "heating": heating,
        "total": rent + heating,
        "income": np.round(rent * (1 + random.exponential(1.5, n)) + 1),
        "garden": np.where(flat == 1, np.nan, np.round(random.gamma(2, 50, n))),
    })  # fmt: skip


@cache
def bound() -> Fitted:
    return Copula().fit(homes(), ALL)


@cache
def free() -> pd.DataFrame:
    return Copula().fit(homes()).sample(2_000, seed=1)


@pytest.mark.parametrize("constraint", ALL, ids=lambda each: type(each).__name__)
def test_a_constraint_holds_alone_in_rows_that_would_break_it(constraint: Constraint) -> None:
    rows = Copula().fit(homes(), [constraint]).sample(2_000, seed=1)
    assert constraint.holds(rows).all()
    if isinstance(constraint, FixedCombinations):
        assert len(free()[["city", "code"]].drop_duplicates()) > len(rows[["city", "code"]].drop_duplicates()) == 4
    elif not isinstance(constraint, Range):  # which the learned range keeps of itself
        assert not constraint.holds(free()).all()


@pytest.mark.parametrize(
    "conditions", [{}, {"city": "Hamburg"}, {"rooms": 6, "flat": 1}, {"garden": None, "rent": 900}]
)
def test_all_hold_together_and_with_conditions(conditions: dict[str, object]) -> None:
    rows = bound().sample(300, conditions, seed=2)
    assert len(rows) == 300
    assert rows.dtypes.tolist() == homes().dtypes.tolist()
    for constraint in ALL:
        assert constraint.holds(rows).all(), called(constraint)
    pairs = set(map(tuple, homes()[["city", "code"]].to_numpy()))
    assert set(map(tuple, rows[["city", "code"]].to_numpy())) <= pairs
    for name, value in conditions.items():
        assert (rows[name].isna() if value is None else rows[name].eq(value)).all()


@pytest.mark.parametrize(
    ("constraint", "told"),
    [
        (Inequality("income", "rent"), "Inequality.*is broken by 1,500 of 1,500 rows to learn from, first by row 1"),
        (Range("rooms", 2), r"Range\(column='rooms', least=2\) is broken by"),
        (Range("doors", 2), "names column 'doors', which is not there. Did you mean 'rooms'"),
        (Inequality("city", "rent"), "cannot be asked of these columns"),
        (FixedCombinations(("city", "rent")), "'rent', which has too many distinct numbers"),
    ],
)
def test_a_constraint_that_cannot_be_kept_is_named_before_anything_is_learned(
    constraint: Constraint, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learned(*asked: object) -> None:
        raise AssertionError("an engine was asked")

    monkeypatch.setattr("synthetic.copula.learn_copula", learned)
    with pytest.raises(ConstraintError, match=told):
        Copula().fit(homes(), [constraint])


def test_a_column_is_drawn_by_one_constraint_alone() -> None:
    with pytest.raises(ConstraintError, match=r"column 'city' is drawn by .* and by .*Put these columns into one"):
        Copula().fit(homes(), [FixedCombinations(("city", "code")), FixedCombinations(("city", "flat"))])


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ({"city": "Munich", "code": "20095"}, "city=Munich and code=20095 never stood together"),
        ({"rent": 900, "income": 500}, r"no row can have rent=900.0 and income=500.0: Inequality\(low='rent'"),
        ({"flat": 1, "garden": 100}, "no row can have garden=100.0 and flat=1.*ConditionalNull"),
        ({"total": 800}, "column 'total' is computed from rent, heating"),
    ],
)
def test_conditions_that_contradict_a_constraint_are_told_before_anything_is_drawn(
    conditions: dict[str, object], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = bound()
    monkeypatch.setattr(type(fitted.core), "draw", lambda *asked: pytest.fail("rows were drawn"))
    with pytest.raises(ConditionError, match=told):
        fitted.sample(10, conditions)


def test_a_constraint_that_is_never_met_ends_with_its_name() -> None:
    fitted = bound()
    stuck = Fitted(
        fitted.table, fitted.layout, (Predicate(("rent",), lambda rows: rows["rent"] < 0, "free"),), fitted.core
    )
    with pytest.raises(SamplingError, match=r"0 of 5 rows were found among .*Predicate 'free' held in 0.000%"):
        stuck.sample(5)


def test_plain_constraints_come_back_from_json() -> None:
    assert from_json(to_json(ALL)) == ALL[:-1]
