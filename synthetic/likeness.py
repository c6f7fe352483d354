"""How alike two tables are: column by column, pair by pair, as clouds of points, and to a classifier."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthetic.codec import Numbers
from synthetic.space import Space

FOLDS = 3
ROUNDS = 80
NEIGHBOURS = 5
TAIL = 0.05
LOST_SHARE = 0.005  # of the real rows: from this on a category must be there


@dataclass(frozen=True)
class Likeness:
    """Of one table to another of as many rows, from 0 to 1 where not said otherwise.

    shapes, pairs: each column's, each pair's; 1 is the same. tails: of numbers, how alike the outer 5 % on both sides
    are. c2st: ROC AUC of a classifier that tells the two apart (classifier two-sample test): 0.5 cannot, 1 always can.
    precision, recall: α-precision and β-recall (Alaa et al. 2022): are the rows typical of the other's, and do they
    cover them.
    """

    shapes: dict[str, float]
    pairs: dict[tuple[str, str], float]
    tails: dict[str, float]
    c2st: float
    precision: float
    recall: float

    @property
    def shape(self) -> float:
        return float(np.mean(list(self.shapes.values())))

    @property
    def pair(self) -> float:
        return float(np.mean(list(self.pairs.values()))) if self.pairs else 1.0

    @property
    def tail(self) -> float:
        return float(np.mean(list(self.tails.values()))) if self.tails else 1.0

    @property
    def quality(self) -> float:
        """Mean of shapes and pairs, as SDMetrics' quality report has it."""
        return (self.shape + self.pair) / 2


def likeness(space: Space, real: pd.DataFrame, other: pd.DataFrame, *, seed: int = 0, threads: int = 1) -> Likeness:
    """How alike `other` is to `real`."""
    ours, theirs = space.coarse(real), space.coarse(other)
    names = space.table.names
    shapes, tails = {}, {}
    for at, codec in enumerate(space.table.codecs):
        if isinstance(codec, Numbers) and codec.card > 2:
            a, b = codec.numbers(real[codec.name]), codec.numbers(other[codec.name])
            shapes[codec.name] = _numbers_alike(a, b)
            tails[codec.name] = _tails_alike(a, b)
        else:
            shapes[codec.name] = _shares_alike(ours[at], theirs[at])
    pairs = {
        (names[a], names[b]): _pair_alike(space, (a, b), ours, theirs, real, other)
        for a in range(len(names))
        for b in range(a + 1, len(names))
    }
    precision, recall = alpha_beta(space.points(real), space.points(other))
    told = c2st(space.numbers(real), space.numbers(other), seed=seed, threads=threads)
    return Likeness(shapes, pairs, tails, told, precision, recall)


def lost_categories(space: Space, real: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """COLUMN=VALUE for each category with LOST_SHARE of the real rows that the other table has not once."""
    lost = []
    for codec in space.table.codecs:
        if isinstance(codec, Numbers):
            continue
        tokens, found = (codec.encode(frame[codec.name]).astype(np.int64) for frame in (real, other))
        counts = np.bincount(tokens, minlength=codec.card)
        for token in np.flatnonzero((counts >= LOST_SHARE * len(real)) & (counts > 1)):
            if token not in found:
                value = codec.values[token] if token < len(codec.values) else "missing"
                lost.append(f"{codec.name}={value}")
    return lost


def c2st(real: np.ndarray, other: np.ndarray, *, seed: int = 0, threads: int = 1) -> float:
    """ROC AUC, over held-out folds, of boosted trees that tell the two apart; shapes (rows, columns)."""
    import xgboost
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    rows = min(len(real), len(other))
    X = np.concatenate([real[:rows], other[:rows]])
    y = np.repeat([0, 1], rows)
    told = np.zeros(len(y))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(X, y):
        trees = xgboost.XGBClassifier(
            n_estimators=ROUNDS, max_depth=4, learning_rate=0.1, n_jobs=threads, random_state=seed
        )
        told[test] = trees.fit(X[train], y[train]).predict_proba(X[test])[:, 1]
    return float(roc_auc_score(y, told))


def alpha_beta(real: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Integrated α-precision and β-recall of points, shapes (rows, dimensions).

    α: how many of the others lie in the ball around the real rows' centre that holds a share α of these. β: how many of
    the real rows have one of the others within the ball of a share β, nearer than their own k-th neighbour.
    Both 1 - 2 · the mean distance from what would be right (Alaa et al. 2022, equations 6 to 9).
    """
    from sklearn.neighbors import NearestNeighbors

    levels = np.linspace(0.05, 0.95, 19)
    centre, away = real.mean(axis=0), other.mean(axis=0)
    radius = np.linalg.norm(real - centre, axis=1)
    inside = [float((np.linalg.norm(other - centre, axis=1) <= np.quantile(radius, level)).mean()) for level in levels]
    own = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(real).kneighbors(real)[0][:, -1]
    distance, nearest = NearestNeighbors(n_neighbors=1).fit(other).kneighbors(real)
    reach = np.linalg.norm(other - away, axis=1)
    near = distance[:, 0] <= own
    covered = [float((near & (reach[nearest[:, 0]] <= np.quantile(reach, level))).mean()) for level in levels]
    precision = 1 - 2 * float(np.mean(np.abs(np.array(inside) - levels)))
    return precision, 1 - 2 * float(np.mean(np.abs(np.minimum(covered, levels) - levels)))


def _numbers_alike(a: np.ndarray, b: np.ndarray) -> float:
    """1 - the Kolmogorov-Smirnov distance of the values there are, weighed down by unequal shares of missing ones."""
    from scipy.stats import ks_2samp

    gaps = 1 - abs(float(np.isnan(a).mean() - np.isnan(b).mean()))
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    if not len(a) or not len(b):
        return gaps
    return float(1 - ks_2samp(a, b, method="asymp").statistic) * gaps


def _tails_alike(a: np.ndarray, b: np.ndarray) -> float:
    """1 - how far the shares beyond the real outer 5 % are from those, on both sides, over 5 %."""
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    if not len(a) or not len(b):
        return 1.0
    low, high = np.quantile(a, [TAIL, 1 - TAIL])
    missed = [abs(float((a < low).mean() - (b < low).mean())), abs(float((a > high).mean() - (b > high).mean()))]
    return max(0.0, 1 - sum(missed) / 2 / TAIL)


def _shares_alike(a: np.ndarray, b: np.ndarray) -> float:
    """1 - the total variation distance of two columns of codes."""
    size = int(max(a.max(initial=0), b.max(initial=0))) + 1
    apart = np.abs(np.bincount(a, minlength=size) / len(a) - np.bincount(b, minlength=size) / len(b)).sum() / 2
    return float(1 - apart)


def _pair_alike(
    space: Space,
    pair: tuple[int, int],
    ours: list[np.ndarray],
    theirs: list[np.ndarray],
    real: pd.DataFrame,
    other: pd.DataFrame,
) -> float:
    """Two numbers: 1 - half the difference of their correlations; else 1 - the total variation distance of the table
    of both columns' codes (SDMetrics' CorrelationSimilarity and ContingencySimilarity)."""
    a, b = (space.table.codecs[at] for at in pair)
    if isinstance(a, Numbers) and isinstance(b, Numbers):
        told = [_correlation(a.numbers(frame[a.name]), b.numbers(frame[b.name])) for frame in (real, other)]
        return 1 - abs(told[0] - told[1]) / 2
    wide = int(max(ours[pair[1]].max(), theirs[pair[1]].max())) + 1
    return _shares_alike(ours[pair[0]] * wide + ours[pair[1]], theirs[pair[0]] * wide + theirs[pair[1]])


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    there = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[there], b[there]
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
