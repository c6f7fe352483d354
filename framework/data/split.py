"""The rows divided: some to learn from, some to choose by, and some kept shut away for the winner."""

from dataclasses import dataclass, field

import numpy as np

from framework.data.data_error import DataError
from framework.data.forecast import cut_horizons
from framework.data.frame import Fold, Frame
from framework.data.quality import Quality
from framework.data.schema import Schema
from framework.problem import Problem

LEAST_ROWS = 10
LEAST_GROUPS = 3
_TRIES = 30  # shuffles of the groups, of which the most even one is taken


@dataclass(frozen=True)
class Split:
    """What a contest is held on. `fold` is what contenders may see; `test` is opened once, for the winner.

    how: "stratified", "random", "grouped", "grouped, in order of time", "time", or "last 12 steps of each series".
    fingerprint: two leaderboards compare only where it is the same. source: printable, no secrets in it.
    """

    fold: Fold = field(repr=False)
    test: Frame = field(repr=False)
    how: str
    seed: int
    fingerprint: str
    quality: Quality = field(repr=False)
    source: str

    @property
    def problem(self) -> Problem:
        return self.fold.problem

    @property
    def schema(self) -> Schema:
        return self.fold.schema

    def __str__(self) -> str:
        sizes = (
            f"{len(self.fold.rows):,} to learn from, {len(self.fold.valid):,} to rank on, {len(self.test):,} kept back"
        )
        head = f"{self.source}, target {self.problem.target}" if self.problem.target else self.source
        cut = f"split {self.how}, seed {self.seed}: {sizes}; fingerprint {self.fingerprint[:12]}"
        return "\n".join([head, *self.quality.lines(), cut])


@dataclass(frozen=True)
class Parts:
    """Which rows go where: index arrays without a row in common."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    how: str
    remarks: tuple[str, ...] = ()


def divide(
    problem: Problem,
    rows: int,
    *,
    y: np.ndarray | None = None,
    group: np.ndarray | None = None,
    times: np.ndarray | None = None,
    series: np.ndarray | None = None,
    seed: int = 0,
    test: float = 0.2,
    valid: float = 0.2,
) -> Parts:
    """The rows divided as the problem asks: forecasts by horizon, else by group, by time, by class, or at random.

    y: class codes or values. group, series: codes. times: sortable. All of shape (rows,).
    test: the share of all rows; valid: the share of what is left. Each class keeps at least one row to learn from.
    Raises DataError when that cannot be done.
    """
    if not (0 < test < 1 and 0 <= valid < 1):
        raise DataError(f"test={test:g} and valid={valid:g} are shares: 0 < test < 1, 0 ≤ valid < 1.")
    if rows < LEAST_ROWS:
        raise DataError(
            f"{rows} row{'s'[: rows != 1]} with an answer are too few to learn from, choose by and test on: "
            f"at least {LEAST_ROWS} are needed."
        )
    if problem.kind == "forecast" and times is not None:
        codes = series if series is not None else np.zeros(rows, dtype=np.int64)
        cut = cut_horizons(codes, times, problem=problem)
        short = len(cut.short)
        told = (f"{short} series shorter than two horizons and a little were dropped",) if short else ()
        return Parts(cut.train, cut.valid, cut.test, f"last {problem.horizon} steps of each series", told)
    labels = y if problem.classified else None
    if group is not None:
        parts = _by_group(problem, group, labels, times, seed, test, valid)
    elif times is not None:
        parts = _by_time(times, test, valid)
    elif labels is not None:
        parts = _by_class(labels, seed, test, valid)
    else:
        parts = _by_class(np.zeros(rows, dtype=np.int64), seed, test, valid, how="random")
    if labels is not None and len(np.unique(labels[parts.train])) < len(np.unique(labels)):
        by = f"time column {problem.time!r}" if parts.how == "time" else f"group column {problem.group!r}"
        raise DataError(
            f"split by the {by}, the rows to learn from lack a class of {problem.target!r} altogether. "
            f"Leave that column out of the split, or drop the rows of that class."
        )
    return parts


def _by_class(y: np.ndarray, seed: int, test: float, valid: float, how: str = "stratified") -> Parts:
    """Every class in the same proportions everywhere; the rarest are looked after first."""
    counts = np.bincount(y)
    tested = _quota(counts, test)
    chosen = _quota(counts - tested, valid)
    order = np.random.default_rng(seed).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    codes = y[order]
    rank = np.arange(len(y)) - (np.cumsum(counts) - counts)[codes]
    in_test = rank < tested[codes]
    in_valid = ~in_test & (rank < (tested + chosen)[codes])
    train, chosen, kept = (np.sort(order[mask]) for mask in (~in_test & ~in_valid, in_valid, in_test))
    return Parts(train, chosen, kept, how)


def _quota(counts: np.ndarray, share: float) -> np.ndarray:
    """How many rows of each class: proportional, the sum exact; at least 1 and never all of them, where possible."""
    exact = counts * share
    quota = np.floor(exact).astype(np.int64)
    quota[np.argsort(quota - exact, kind="stable")[: round(exact.sum()) - quota.sum()]] += 1
    return np.clip(quota, np.minimum(1 if share else 0, np.maximum(counts - 1, 0)), np.maximum(counts - 1, 0))


def _by_group(
    problem: Problem,
    group: np.ndarray,
    y: np.ndarray | None,
    times: np.ndarray | None,
    seed: int,
    test: float,
    valid: float,
) -> Parts:
    """Whole groups on one side; of some shuffles the one nearest to the shares and the classes' proportions."""
    groups = int(group.max()) + 1
    if groups < LEAST_GROUPS:
        raise DataError(
            f"group column {problem.group!r} has {groups} group{'s'[: groups != 1]}; at least {LEAST_GROUPS} are "
            f"needed, for no group may stand on both sides of a split."
        )
    classes = int(y.max()) + 1 if y is not None else 1
    codes = y if y is not None else np.zeros(len(group), dtype=np.int64)
    table = np.bincount(group * classes + codes, minlength=groups * classes).reshape(groups, classes)
    rng = np.random.default_rng(seed)
    if times is not None:
        moments = np.unique(times, return_inverse=True)[1]
        middle = np.bincount(group, weights=moments) / np.maximum(table.sum(axis=1), 1)
        shuffled = rng.permutation(groups)  # groups of one middle are in no order
        orders, how = [shuffled[np.argsort(-middle[shuffled], kind="stable")]], "grouped, in order of time"
    else:
        orders, how = [rng.permutation(groups) for _ in range(_TRIES)], "grouped"
    cuts = [_cut_groups(table[order], test, valid) for order in orders]
    best = min(range(len(orders)), key=lambda i: cuts[i][2])
    tested, chosen, _ = cuts[best]
    place = np.empty(groups, dtype=np.int64)
    place[orders[best]] = np.arange(groups)
    rank = place[group]
    masks = (rank >= tested + chosen, (rank >= tested) & (rank < tested + chosen), rank < tested)
    train, picked, kept = (np.flatnonzero(mask) for mask in masks)
    return Parts(train, picked, kept, how)


def _cut_groups(table: np.ndarray, test: float, valid: float) -> tuple[int, int, float]:
    """How many of the first groups test, how many of the next are chosen by, and how uneven that is.

    table: rows of each class in each group, shape (groups, classes).
    """
    sizes = table.sum(axis=1)
    total, groups = sizes.sum(), len(sizes)
    upto = np.cumsum(sizes)
    spare = 2 if valid else 1
    tested = int(np.abs(upto[: groups - spare] - test * total).argmin()) + 1
    wanted = upto[tested - 1] + valid * (total - upto[tested - 1])
    chosen = int(np.abs(upto[tested : groups - 1] - wanted).argmin()) + 1 if valid else 0
    uneven = abs(upto[tested - 1] / total - test)
    for part in (table[:tested], table[tested : tested + chosen], table[tested + chosen :]):
        if len(part):
            uneven += np.abs(part.sum(axis=0) / part.sum() - table.sum(axis=0) / total).sum()
    if (table[tested + chosen :].sum(axis=0) == 0).any():
        uneven += 10.0
    return tested, chosen, float(uneven)


def _by_time(times: np.ndarray, test: float, valid: float) -> Parts:
    """The past to learn from, what came then to choose by, the latest to test on; in the order of time."""
    order = np.argsort(times, kind="stable")
    sorted_times = times[order]
    rows = len(order)
    fresh = np.flatnonzero(sorted_times[1:] != sorted_times[:-1]) + 1  # where a new moment begins
    until_test = _untied(fresh, rows - max(1, round(rows * test)), 2, rows - 1)
    until_valid = until_test
    if valid:
        until_valid = _untied(fresh, until_test - max(1, round(until_test * valid)), 1, until_test - 1)
    return Parts(order[:until_valid], order[until_valid:until_test], order[until_test:], "time")


def _untied(fresh: np.ndarray, wanted: int, least: int, most: int) -> int:
    """The place nearest to `wanted` where no moment is cut in two; `wanted` itself where there is none."""
    allowed = fresh[(fresh >= least) & (fresh <= most)]
    return int(allowed[np.abs(allowed - wanted).argmin()]) if len(allowed) else wanted
