"""Columns made of others that pay for a linear model: those that explain its errors.

As OpenFE chooses for boosting (Zhang et al. 2023): what a first model leaves is looked at, not the answer.
"""

from itertools import combinations

import numpy as np

from framework.data.frame import Fold
from framework.features.cells import Cells
from framework.features.for_trees import strong_numbers, strongest
from framework.features.made import Asked, arithmetic, make
from framework.features.quick import ANSWERS, linear_errors, sure, weights

STRONGEST = 12  # numbers that are tried, two at a time …
MOST_CROSSED = 30  # … and columns of any kind
MOST = 16  # of them are made, or fewer where each is a column for every class …
MOST_COLUMNS = 64  # … so that there are no more of these
SURE = 2.5  # standard errors that a gain is above 0
SHRINK = 10.0  # rows without effect that every cell is thought to hold besides
FINER = 16  # bins that a number made of others is judged by


def paying(fold: Fold, parts: np.ndarray, *, seed: int) -> list[Asked]:
    """Arithmetic of two numbers and mean answers by two columns at once, the best first.

    Each explains some of the errors that a linear model makes beside those before it, judged by the rows of other
    parts. parts: each training row's part.
    """
    weight = weights(fold.train)[:, None]
    errors = linear_errors(fold, parts, seed=seed)
    found = _tried(fold, parts, seed=seed)
    most = max(1, min(MOST, MOST_COLUMNS // errors.shape[1]))
    chosen: list[Asked] = []
    while found and len(chosen) < most:
        gains = {place: _gain(cells, errors, parts, weight) for place, (_, cells) in found.items()}
        found = {place: one for place, one in found.items() if gains[place][1] > SURE}
        if found:
            asked, cells = found.pop(max(found, key=lambda place: gains[place][0]))
            chosen.append(asked)
            errors = errors - _explained(cells, errors, parts)
    return chosen


def _tried(fold: Fold, parts: np.ndarray, *, seed: int) -> dict[int, tuple[Asked, np.ndarray]]:
    """All that could be made, and each row's cell by it, from 0, shape (rows,)."""
    X = fold.train.X
    numbers = strong_numbers(fold, STRONGEST, seed=seed)
    asked = arithmetic(numbers, X)
    found: list[tuple[Asked, np.ndarray]] = []
    if asked:
        _, columns = make(asked, fold.train, answer=ANSWERS[fold.problem.kind], parts=parts)
        found = [(one, _binned(values)) for one, values in zip(asked, columns.T, strict=True)]
    kinds = ("category", "text", "boolean")
    crossed = [column.name for column in fold.schema.columns if column.kind in kinds or column.name in numbers]
    cells = Cells.learn(X[crossed])
    codes = {name: cells.of(X, name) for name in cells.levels}
    names = strongest(fold, list(codes), np.array(list(codes.values()), dtype=np.float64).T, MOST_CROSSED, seed=seed)
    for first, second in combinations(names, 2):
        both = codes[first] * cells.size(second) + codes[second]
        found.append((["mean", first, second], np.unique(both, return_inverse=True)[1]))
    return dict(enumerate(found))


def _binned(values: np.ndarray) -> np.ndarray:
    there = values[~np.isnan(values)]
    if not len(there):
        return np.zeros(len(values), dtype=np.int64)
    cuts = np.unique(np.quantile(there, np.linspace(0, 1, FINER + 1)[1:-1]))
    return np.where(np.isnan(values), 0, np.searchsorted(cuts, values, side="right") + 1)


def _gain(cells: np.ndarray, errors: np.ndarray, parts: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """By how much the squared errors would be less with what these cells explain, a row; and how surely."""
    less = (weight * (errors**2 - (errors - _explained(cells, errors, parts)) ** 2)).sum(axis=1)
    return float(less.mean()), sure(less)


def _explained(cells: np.ndarray, errors: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """The mean error of the same cell's rows in other parts, shrunk towards 0, shape of errors."""
    groups, size = int(parts.max()) + 1, int(cells.max()) + 1
    place = cells * groups + parts
    counts = np.bincount(place, minlength=size * groups).reshape(size, groups)
    others = counts.sum(axis=1, keepdims=True) - counts
    told = np.empty_like(errors)
    for column in range(errors.shape[1]):
        sums = np.bincount(place, weights=errors[:, column], minlength=size * groups).reshape(size, groups)
        told[:, column] = ((sums.sum(axis=1, keepdims=True) - sums) / (others + SHRINK))[cells, parts]
    return told
