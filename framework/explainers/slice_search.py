"""Segments worth a look: those of the values of one column and of two together (Slice Finder: Chung et al. 2019).

Each is held against all other rows by Welch's t-test of the rows' losses; rows count alike, and as independent.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from framework.data.frame import Truth
from framework.explainers.bins import Bins
from framework.metric import Metric, shares
from framework.rescoring import per_row

LEAST_ROWS = 20  # of a slice
LEAST_SHARE = 0.01  # of the rows
MOST_COLUMNS = 25  # that are taken two at a time: the first


def row_losses(metric: Metric, truth: Truth, predicted: np.ndarray) -> np.ndarray:
    """What each row adds to the metric where that is a mean of losses; else its log loss, or its absolute error."""
    if metric.direction == "min":
        try:
            return per_row(metric, truth, predicted)
        except ValueError:
            pass
    y = np.asarray(truth.y)
    if predicted.ndim == 2:
        said = shares(predicted)[np.arange(len(y)), y]
        return np.asarray(-np.log(np.clip(said, 1e-7, 1.0)))
    return np.asarray(np.abs(y - predicted))


def combined(bins: Mapping[str, Bins], codes: Mapping[str, np.ndarray], count: int) -> Iterator[tuple[str, np.ndarray]]:
    """Every value alone, and every two of different columns among the first 25, that have enough rows and leave
    enough."""
    least = max(LEAST_ROWS, int(LEAST_SHARE * count))
    alone: list[tuple[str, str, np.ndarray]] = []
    for name, each in bins.items():
        for code, rule in enumerate(each.names):
            rows = codes[name] == code
            if least <= rows.sum() <= count - least:
                alone.append((name, rule, rows))
                yield rule, np.flatnonzero(rows)
    first_ones = set(list(bins)[:MOST_COLUMNS])
    paired = [each for each in alone if each[0] in first_ones]
    for (first, rule, rows), (second, other, more) in combinations(paired, 2):
        both = rows & more
        if first != second and least <= both.sum() < min(rows.sum(), more.sum()):
            yield f"{rule} and {other}", np.flatnonzero(both)


def welch(losses: np.ndarray, slices: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each slice (indices of rows) the one-sided p-value of "no worse than the rest", and both mean losses."""
    from scipy.stats import ttest_ind_from_stats

    centre = float(losses.mean())
    every = losses - centre
    many = np.array([len(rows) for rows in slices], dtype=np.float64)
    sums = np.array([every[rows].sum() for rows in slices])
    squares = np.array([(every[rows] ** 2).sum() for rows in slices])
    others = len(losses) - many
    mine, rest = sums / many, (every.sum() - sums) / others
    spread = np.sqrt(np.maximum(squares - many * mine**2, 0) / (many - 1))
    apart = np.sqrt(np.maximum((every**2).sum() - squares - others * rest**2, 0) / (others - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        told = ttest_ind_from_stats(mine, spread, many, rest, apart, others, equal_var=False, alternative="greater")
    still = (spread == 0) & (apart == 0)
    p_values = np.where(still, np.where(mine > rest, 0.0, 1.0), told.pvalue)
    return np.asarray(p_values), mine + centre, rest + centre


def alike(rows: np.ndarray, others: np.ndarray) -> bool:
    """Whether most rows of one are in the other: the same finding once more."""
    return len(np.intersect1d(rows, others)) > 0.8 * min(len(rows), len(others))
