"""A split keeps its word: nothing in two parts, shares held, groups and moments whole, the future at the end."""

import numpy as np
import pytest

from framework.data.data_error import DataError
from framework.data.forecast import naive_errors
from framework.data.split import Parts, divide
from framework.problem import Kind, Problem

RNG = np.random.default_rng(7)


def problem(kind: Kind = "binary", **fields: object) -> Problem:
    target = None if kind == "clustering" else "y"
    return Problem("p", kind, target, time="t" if kind == "forecast" else None, **fields)  # type: ignore[arg-type]


def whole(parts: Parts, rows: int) -> None:
    together = np.concatenate([parts.train, parts.valid, parts.test])
    assert np.array_equal(np.sort(together), np.arange(rows))


def test_random_parts_hold_their_shares() -> None:
    parts = divide(problem("regression"), 1000, y=RNG.normal(size=1000))
    whole(parts, 1000)
    assert (len(parts.train), len(parts.valid), len(parts.test), parts.how) == (640, 160, 200, "random")


def test_the_seed_decides_the_split() -> None:
    y = RNG.integers(0, 3, 500)
    first, same, other = (divide(problem("multiclass"), 500, y=y, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.test, same.test)
    assert not np.array_equal(first.test, other.test)


def test_classes_keep_their_proportions() -> None:
    y = np.repeat([0, 1, 2], [700, 250, 50])
    parts = divide(problem("multiclass"), 1000, y=y)
    whole(parts, 1000)
    assert np.bincount(y[parts.test]).tolist() == [140, 50, 10]
    assert np.bincount(y[parts.valid]).tolist() == [112, 40, 8]
    assert parts.how == "stratified"


@pytest.mark.parametrize(("rare", "where"), [(2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_a_rare_class_stands_in_train_first(rare: int, where: tuple[int, int, int]) -> None:
    y = np.repeat([0, 1], [100, rare])
    parts = divide(problem(), len(y), y=y)
    assert tuple(int((y[part] == 1).sum()) for part in (parts.train, parts.valid, parts.test)) == where


def test_a_group_never_stands_on_both_sides() -> None:
    group = RNG.integers(0, 40, 1000)
    y = (RNG.random(1000) < 0.1 + 0.4 * (group % 2)).astype(int)
    parts = divide(problem(group="g"), 1000, y=y, group=group)
    whole(parts, 1000)
    sides = [set(group[part]) for part in (parts.train, parts.valid, parts.test)]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    assert abs(len(parts.test) / 1000 - 0.2) < 0.05
    assert abs(y[parts.test].mean() - y.mean()) < 0.06
    assert parts.how == "grouped"


@pytest.mark.parametrize("groups", [1, 2])
def test_two_groups_are_too_few(groups: int) -> None:
    with pytest.raises(DataError, match=f"group column 'g' has {groups} group"):
        divide(problem("regression", group="g"), 90, y=np.zeros(90), group=np.arange(90) % groups)


def test_three_groups_are_enough() -> None:
    parts = divide(problem("regression", group="g"), 90, y=np.zeros(90), group=np.arange(90) % 3)
    assert [len(part) for part in (parts.train, parts.valid, parts.test)] == [30, 30, 30]


def test_groups_with_moments_are_split_in_their_order() -> None:
    group = np.repeat(np.arange(10), 20)
    parts = divide(problem("regression", group="g"), 200, y=np.zeros(200), group=group, times=(9 - group) * 1.0)
    assert set(group[parts.test]) == {0, 1}
    assert parts.how == "grouped, in order of time"


def test_groups_of_one_time_are_in_no_order_of_their_names() -> None:
    group, years = np.repeat(np.arange(20), 5), np.tile(np.arange(5.0), 20)
    asked = problem("regression", group="g")
    tested = [
        set(group[divide(asked, 100, y=np.zeros(100), group=group, times=years, seed=seed).test]) for seed in (0, 1)
    ]
    assert [len(each) for each in tested] == [4, 4]
    assert tested[0] != tested[1]


def test_the_past_learns_and_the_future_tests() -> None:
    times = RNG.permutation(1000).astype(float)
    parts = divide(problem("regression"), 1000, y=np.zeros(1000), times=times)
    whole(parts, 1000)
    assert times[parts.train].max() < times[parts.valid].min()
    assert times[parts.valid].max() < times[parts.test].min()
    assert (len(parts.test), parts.how) == (200, "time")


def test_one_moment_is_never_cut_in_two_when_that_is_possible() -> None:
    times = np.repeat(np.arange(9.0), 13)
    parts = divide(problem("regression"), len(times), y=np.zeros(len(times)), times=times)
    sides = [set(times[part]) for part in (parts.train, parts.valid, parts.test)]
    assert not sides[0] & sides[1]
    assert not sides[1] & sides[2]
    assert all(sides)
    same = divide(problem("regression"), 50, y=np.zeros(50), times=np.zeros(50))
    assert len(same.train)
    assert len(same.valid)
    assert len(same.test)


def test_a_class_that_the_past_never_saw_is_told() -> None:
    with pytest.raises(DataError, match="lack a class of 'y'"):
        divide(problem(), 100, y=np.repeat([0, 1], [90, 10]), times=np.arange(100.0))


def test_each_series_is_cut_at_its_own_end() -> None:
    series = np.repeat([0, 1, 2], [40, 30, 26])
    times = np.concatenate([np.arange(40.0), np.arange(30.0) + 5, np.arange(26.0)])
    order = RNG.permutation(96)
    parts = divide(problem("forecast", horizon=12), 96, series=series[order], times=times[order])
    for code, length, start in ((0, 40, 0), (1, 30, 5)):
        mine = [times[order][part[series[order][part] == code]] for part in (parts.train, parts.valid, parts.test)]
        assert np.array_equal(np.concatenate(mine), np.arange(length) + start)
        assert [len(part) for part in mine] == [length - 24, 12, 12]
    assert not (series[order][np.concatenate([parts.train, parts.valid, parts.test])] == 2).any()
    assert parts.remarks[0].startswith("1 series shorter")
    assert parts.how == "last 12 steps of each series"


def test_series_that_cannot_be_cut_are_told() -> None:
    with pytest.raises(DataError, match=r"longest has 26 steps; with horizon=12 at least 27 .* horizon of at most 11"):
        divide(problem("forecast"), 26, times=np.arange(26.0))
    with pytest.raises(DataError, match=r"two rows at t 3; .* Name the column that tells the series apart"):
        divide(problem("forecast"), 60, times=np.append(np.arange(59.0), 3.0))


def test_the_scale_of_a_forecast_is_its_seasonal_naive_error() -> None:
    y = RNG.normal(size=48)
    by_hand = np.mean([abs(y[t] - y[t - 12]) for t in range(12, 48)])
    assert naive_errors(y, np.zeros(48, dtype=int), 12)[0] == pytest.approx(by_hand)
    yearly = np.tile(np.arange(12.0), 3)  # repeats itself exactly
    series = np.repeat([0, 1, 2], [36, 36, 5])
    scales = naive_errors(np.concatenate([yearly, np.ones(36), [1, 3, 5, 7, 9]]), series, 12)
    assert scales[0] == pytest.approx(np.abs(np.diff(yearly)).mean())
    assert scales[2] == 2.0
    assert scales[1] == pytest.approx((scales[0] + scales[2]) / 2)
    assert naive_errors(np.ones(9), np.zeros(9, dtype=int), 1).tolist() == [1.0]


@pytest.mark.parametrize("shares", [{"test": 0.0}, {"test": 1.0}, {"valid": 1.0}, {"valid": -0.1}])
def test_shares_are_shares(shares: dict[str, float]) -> None:
    with pytest.raises(DataError, match="are shares"):
        divide(problem("regression"), 100, **shares)  # type: ignore[arg-type]


def test_nothing_to_choose_by_is_allowed() -> None:
    parts = divide(problem("regression"), 100, y=np.zeros(100), valid=0.0)
    assert (len(parts.train), len(parts.valid), len(parts.test)) == (80, 0, 20)
