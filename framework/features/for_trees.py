"""Columns made of others that pay for trees: their loss with a kind of them is held against their loss without."""

import numpy as np

from framework.contenders.native import Native
from framework.data.frame import Fold
from framework.features.cells import Cells
from framework.features.made import Asked, arithmetic, make
from framework.features.quick import ANSWERS, booster, sure, tree_losses

STRONGEST = 6  # numbers that arithmetic is tried on
MOST_ARITHMETIC = 8
FEW_VALUES = 4  # of a category, that trees tell apart without help
MOST_MEANS = 64  # columns of mean answers, one a class: beyond, no category gets any
SURE = 2.0  # standard errors that a gain is above 0 …
SURE_CHOSEN = 3.0  # … and that of the best of many, which flatters itself


def paying(fold: Fold, parts: np.ndarray, *, seed: int) -> list[Asked]:
    """Arithmetic of the strongest numbers, mean answers by category, counts of its values: each kind where it pays.

    parts: each training row's part: a row is answered by what has learned the others.
    """
    train = fold.train
    native = Native.learn(fold.schema, train.X, seed=seed)
    matrix, coded = native.matrix(train.X), np.flatnonzero(native.categorical).tolist()
    cells = Cells.learn(train.X)
    named = [name for name in cells.named() if len(cells.levels[name]) > FEW_VALUES]
    shares = len(named) * max(1, len(fold.classes) - 1)
    kinds: list[tuple[float, list[Asked]]] = [
        (SURE_CHOSEN, _best_arithmetic(fold, matrix, seed=seed, coded=coded)),
        (SURE, [["mean", name, name] for name in named if shares <= MOST_MEANS]),
        (SURE, [["count", name, name] for name in named]),
    ]
    before = tree_losses(fold, matrix, parts, seed=seed, coded=coded)
    kept: list[Asked] = []
    for least, kind in kinds:
        if not kind:
            continue
        _, columns = make(kind, train, answer=ANSWERS[fold.problem.kind], parts=parts)
        after = tree_losses(fold, np.column_stack([matrix, columns]), parts, seed=seed, coded=coded)
        if sure(before - after) > least:
            kept += kind
    return kept


def strong_numbers(fold: Fold, most: int, *, seed: int) -> list[str]:
    """The table's strongest numbers, at most so many, in its order."""
    names = [column.name for column in fold.schema.columns if column.kind == "number"]
    names = [name for name in names if fold.train.X[name].nunique() > 1]
    return strongest(fold, names, fold.train.X[names].to_numpy(dtype=np.float64), most, seed=seed)


def strongest(fold: Fold, names: list[str], matrix: np.ndarray, most: int, *, seed: int) -> list[str]:
    """The names, at most so many, of those columns of the matrix that a small booster gains most by; in their order."""
    if len(names) <= most:
        return names
    fitted = booster(fold, fold.train, matrix, seed=seed, coded=[])
    gained = np.argsort(-fitted.feature_importance("gain"), kind="stable")[:most]
    return [names[place] for place in sorted(gained)]


def _best_arithmetic(fold: Fold, matrix: np.ndarray, *, seed: int, coded: list[int]) -> list[Asked]:
    asked = arithmetic(strong_numbers(fold, STRONGEST, seed=seed), fold.train.X)
    if not asked:
        return []
    _, columns = make(asked, fold.train, answer=ANSWERS[fold.problem.kind], parts=np.zeros(len(fold.train), dtype=int))
    fitted = booster(fold, fold.train, np.column_stack([matrix, columns]), seed=seed + 1, coded=coded)
    gained = np.argsort(-fitted.feature_importance("gain")[matrix.shape[1] :], kind="stable")[:MOST_ARITHMETIC]
    return [asked[place] for place in sorted(gained)]
