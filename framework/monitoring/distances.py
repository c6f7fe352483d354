"""How far two samples of one column lie apart, one of them given by its quantiles or counts.

On scipy and numpy: the libraries for it do not fit this environment (alibi-detect pins NumPy 1.26 and is under the
Business Source License; evidently, nannyml and frouros need environments of their own), and each of the measures is a
few lines once the reference is quantiles and counts instead of rows.
"""

import math

import numpy as np

from framework.monitoring.reference import Summary

BINS = 10  # of the population stability index
RARE = 5.0  # expected rows of a cell, below which χ² pools it


def psi(before: np.ndarray, now: np.ndarray) -> float:
    """The population stability index of two counts over the same bins: Σ (p - q) ln(p / q), half a row added to each
    bin so that an empty one is finite; a bin that is empty in both is none."""
    held = (before + now) > 0
    before, now = before[held], now[held]
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (before, now))
    return float(((p - q) * np.log(p / q)).sum())


def ks(summary: Summary, values: np.ndarray) -> tuple[float, float]:
    """The two-sample Kolmogorov-Smirnov statistic at the reference's quantiles, and its p-value as scipy's asymptotic
    one; looking at the quantiles only makes it a little conservative. values: without missing ones, at least one."""
    from scipy.stats import kstwo

    live = np.searchsorted(np.sort(values), np.array(summary.quantiles), side="right") / len(values)
    far = float(np.abs(live - np.array(summary.below)).max())
    known = summary.rows - summary.missing
    return far, float(np.clip(kstwo.sf(far, max(1, round(known * len(values) / (known + len(values))))), 0, 1))


def chi2(before: np.ndarray, now: np.ndarray) -> tuple[float, float]:
    """The χ² statistic of two counts over the same cells and its p-value; cells that expect fewer than five rows are
    pooled. 0 and 1 where there is one cell."""
    from scipy.stats import chi2_contingency

    table = np.array([before, now], dtype=np.float64)
    expected = table.sum(axis=0) * (table.sum(axis=1).min() / table.sum())
    rare = expected < RARE
    if rare.any():
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 0.0, 1.0
    found = chi2_contingency(table, correction=False)
    return float(found.statistic), float(found.pvalue)


def wasserstein(summary: Summary, present: np.ndarray) -> float:
    """The mean distance of quantiles of the same levels, in standard deviations of the reference."""
    steps = len(summary.quantiles)
    live = np.sort(present)[((np.arange(steps) + 0.5) / steps * len(present)).astype(np.int64)]
    far = float(np.abs(live - np.array(summary.quantiles)).mean())
    return far / summary.deviation if summary.deviation > 0 else (math.inf if far else 0.0)


def binned(summary: Summary, present: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the reference and live ones in ten bins of the reference, or fewer where many rows have one value, and
    the bins' upper edges, one fewer than there are bins."""
    if not summary.quantiles:
        return np.array([0.0]), np.array([len(present)]), np.array([])
    edges, first = np.unique(np.array(summary.quantiles), return_index=True)
    reached = np.array(summary.below)[first]
    cut = np.unique(np.searchsorted(reached, np.arange(1, BINS) / BINS).clip(max=len(edges) - 1))
    then = np.diff([0.0, *reached[cut], 1.0]) * (summary.rows - summary.missing)
    now = np.diff([0, *np.searchsorted(np.sort(present), edges[cut], side="right"), len(present)])
    return then, now, edges[cut]
