"""Slices find the segment that is bad and no other, and fairness counts as scikit-learn counts."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind
from sklearn.metrics import confusion_matrix, roc_auc_score

from framework.data.frame import Truth
from framework.explainers.fairness import fairness, fairness_bars
from framework.explainers.slice_search import welch
from framework.explainers.slices import slice_points, slices
from framework.metric import metric

ROWS = 1_200


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame({
        "region": random.choice(["north", "south", "east"], ROWS),
        "size": random.uniform(20, 200, ROWS),
        "kind": pd.Categorical(random.choice(["flat", "house"], ROWS)),
        "id": [f"row {n}" for n in range(ROWS)],
    })  # fmt: skip


def probabilities(y: np.ndarray, wrong: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Good ones, but none the better than a coin where `wrong`."""
    second = np.clip(np.where(y == 1, 0.75, 0.25) + random.normal(0, 0.15, len(y)), 0.02, 0.98)
    second[wrong] = random.uniform(0.02, 0.98, wrong.sum())
    return np.column_stack([1 - second, second])


def test_the_bad_corner_of_two_columns_is_found_and_is_the_worst(rows) -> None:
    random = np.random.default_rng(1)
    y = random.integers(0, 2, ROWS)
    bad = ((rows["region"] == "south") & (rows["kind"] == "house")).to_numpy()
    predicted = probabilities(y, bad, random)
    found = slices(metric("roc_auc"), Truth(y=y, classes=2), predicted, rows, by=(), seconds=240, seed=0)
    first = found.worst[0]
    assert set(first.rule.split(" and ")) == {"region = south", "kind = house"}
    assert first.rows == bad.sum()
    assert first.score == pytest.approx(roc_auc_score(y[bad], predicted[bad, 1]))
    assert first.p_value < 0.001
    assert first.loss > first.others
    assert first.interval.low < first.score < first.interval.high < found.overall
    assert set(found.segments) == {"region", "kind"}  # the others have too many values to be asked without being named
    assert [each.rows for each in found.segments["region"]] == rows["region"].value_counts().tolist()
    assert "the worst of" in str(found)
    assert len(slice_points(found).axes[0].get_yticks()) == 5 + len(found.worst)
    assert {"by", "slice", "rows", "roc_auc", "low", "high", "p_value"} == set(found.table())


def test_where_no_slice_is_worse_none_is_found() -> None:
    """Of 40 tables without a bad slice, hardly one has a finding: each has hundreds of slices to be unlucky in."""
    false = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        columns = pd.DataFrame({name: random.choice(list("abcd"), 400) for name in "uvwxyz"})
        y = random.integers(0, 2, 400)
        predicted = probabilities(y, np.zeros(400, dtype=bool), random)
        found = slices(metric("log_loss"), Truth(y=y, classes=2), predicted, columns, by=("u",), seconds=240, seed=0)
        assert found.tried > 200
        false += bool(found.worst)
    assert false <= 5


def test_all_slices_at_once_are_tested_as_scipy_tests_one() -> None:
    random = np.random.default_rng(0)
    losses = random.exponential(size=500)
    losses[:40] += 0.5
    parts = [np.arange(40), np.arange(20, 300), random.permutation(500)[:77]]
    p_values, mine, rest = welch(losses, parts)
    for place, rows in enumerate(parts):
        others = np.delete(losses, rows)
        told = ttest_ind(losses[rows], others, equal_var=False, alternative="greater")
        assert p_values[place] == pytest.approx(told.pvalue, rel=1e-9)
        assert (mine[place], rest[place]) == pytest.approx((losses[rows].mean(), others.mean()))
    same, worse = np.ones(50), np.where(np.arange(50) < 25, 2.0, 1.0)
    assert [welch(each, [np.arange(25)])[0][0] for each in (same, worse)] == [1.0, 0.0]


def test_a_number_is_sliced_in_quarters_and_a_regression_by_its_error(rows) -> None:
    random = np.random.default_rng(2)
    y = random.normal(100, 10, ROWS)
    large = (rows["size"] > rows["size"].quantile(0.75)).to_numpy()
    predicted = y + random.normal(0, 1, ROWS) + np.where(large, random.normal(0, 8, ROWS), 0)
    found = slices(metric("rmse"), Truth(y=y), predicted, rows, by=("size",), seconds=240, seed=0)
    assert list(found.segments) == ["size"]
    assert [each.rows for each in found.segments["size"]] == [300] * 4
    assert found.worst[0].rule.startswith("size > 1")
    error = predicted[large] - y[large]
    assert found.segments["size"][3].score == pytest.approx(np.sqrt(np.mean(error**2)))


def test_short_time_leaves_segments_out_and_says_how_many(rows) -> None:
    y = np.random.default_rng(0).normal(size=ROWS)
    found = slices(metric("mae"), Truth(y=y), y + 1, rows, by=("region", "kind", "size"), seconds=0, seed=0)
    assert (list(found.segments), found.cut) == (["region"], 2)


def test_rates_are_those_of_the_confusion_matrix_and_gaps_their_largest_difference() -> None:
    random = np.random.default_rng(0)
    group = random.choice(["f", "m", "x"], 900, p=[0.45, 0.5, 0.05])
    y = random.random(900) < 0.4
    chosen = np.where(group == "m", random.random(900) < 0.3 + 0.5 * y, random.random(900) < 0.1 + 0.5 * y)
    found = fairness(y, chosen, pd.Series(group, name="sex"), positive="approved", seed=0)
    rates = []
    for each in found.groups:
        mine = group == each.rule.removeprefix("sex = ")
        tn, fp, fn, tp = confusion_matrix(y[mine], chosen[mine]).ravel()
        rates.append(((tp + fp) / mine.sum(), tp / (tp + fn), fp / (fp + tn)))
        assert each.rows == mine.sum()
        assert each.rates == pytest.approx(rates[-1])
    spread = np.ptp(np.array(rates), axis=0)
    assert [gap for gap, _ in found.gaps.values()] == pytest.approx(spread.tolist())
    assert list(found.gaps) == ["selection rate", "true positive rate", "false positive rate"]
    assert all(band.low < gap < band.high for gap, band in found.gaps.values())
    assert found.gaps["false positive rate"][1].low > 0.05  # men are wrongly picked more often, and surely so
    selected = [rate for rate, _, _ in rates]
    assert found.ratio == pytest.approx(min(selected) / max(selected))
    assert "gaps of approved by sex" in str(found)
    assert len(fairness_bars(found).axes[0].patches) == 9


def test_groups_of_a_few_rows_are_named_but_not_compared_and_one_group_is_refused() -> None:
    y = np.tile([True, False], 50)
    group = pd.Series(["a"] * 60 + ["b"] * 35 + ["c"] * 5, name="g")
    found = fairness(y, y, group, positive="yes", seed=0)
    assert [each.rule for each in found.groups] == ["g = a", "g = b"]
    assert found.left_out == ("g = c",)
    assert found.gaps["true positive rate"][0] == 0
    with pytest.raises(ValueError, match="fewer than two groups"):
        fairness(y, y, pd.Series(["a"] * 100, name="g"), positive="yes", seed=0)


def test_a_group_without_a_true_case_has_no_true_positive_rate() -> None:
    y = np.array([True] * 20 + [False] * 40)
    group = pd.Series(["a"] * 40 + ["b"] * 20, name="g")
    found = fairness(y, y, group, positive="yes", seed=0)
    assert np.isnan(found.groups[1].rates[1])
    assert np.isnan(found.gaps["true positive rate"][0])
    assert found.gaps["selection rate"][0] == pytest.approx(0.5)
