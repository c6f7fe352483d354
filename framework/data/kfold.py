"""Cross-validation within a contest: the rows to learn from, dealt so that each is held out once."""

import numpy as np

from framework.data.chain import chain, ordered
from framework.data.data_error import DataError
from framework.data.frame import Fold
from framework.data.rolling import rolling


def held_out(fold: Fold, folds: int, *, seed: int = 0) -> list[np.ndarray]:
    """The rows that each fold holds out, as `k_fold` has them; of forecasts those of so many origins (`rolling`), of
    other rows in order of time those of so many blocks (`chained`)."""
    if fold.problem.kind == "forecast":
        return rolling(fold, folds)
    if ordered(fold.problem) and fold.problem.kind != "clustering" and fold.shards is None:
        return chained(fold, folds)
    return k_fold(fold, folds, seed=seed)


def chained(fold: Fold, folds: int) -> list[np.ndarray]:
    """The rows that each block in order of time holds out, as `k_fold` has them, the latest first; each is to be
    answered from what came before it alone (`chain.earlier`).

    The first is the fold's own validation rows, the others before it are as long: what is said of the near future is
    not ranked beside what is said of the far one. Blocks are shorter where else nothing would be left to learn from.
    Raises DataError where the past does not suffice for so many.
    """
    rows = fold.pooled().train
    _check_folds(folds, len(rows))
    even = len(rows) / (folds + 1)
    held = chain(rows, fold.problem, folds, size=min(len(fold.valid), even) or even)
    if len(held) < folds:
        enough = f"Take {len(held)} folds." if len(held) > 1 else "Leave folds at 1."
        raise DataError(
            f"folds is {folds}; in order of {fold.problem.time!r} not so many blocks of the {len(rows)} rows have "
            f"a moment, and every class, before them. {enough}"
        )
    return held[::-1]


def k_fold(fold: Fold, folds: int, *, seed: int = 0) -> list[np.ndarray]:
    """The rows that each of the folds holds out: sorted indices into the rows of `fold.pooled().train`.

    Every class stands in all folds alike, and in no fold alone; a class of one row is held out nowhere. Groups stay
    whole. Raises DataError where rows cannot be dealt: they have an order (forecasts, a time column), lie in files, or
    have no answer; where groups are fewer than folds, or one holds all rows of a class.
    """
    problem, rows = fold.problem, len(fold.train) + len(fold.valid)
    if problem.kind in ("clustering", "forecast") or problem.time is not None or fold.shards is not None:
        what = "rows in files" if fold.shards is not None else f"kind={problem.kind!r}, time={problem.time!r}"
        raise DataError(f"{what}: these rows cannot be dealt into folds. Leave folds at 1.")
    _check_folds(folds, rows)
    y = np.concatenate([fold.train.y, fold.valid.y])
    codes = y.astype(np.int64) if problem.classified else np.zeros(rows, dtype=np.int64)
    if fold.train.group is not None and fold.valid.group is not None:
        group = np.concatenate([fold.train.group, fold.valid.group])
        return _by_group(codes, group, folds, seed, column=str(problem.group))
    place = _by_class(codes, folds, seed)
    return [np.flatnonzero(place == each) for each in range(folds)]


def _check_folds(folds: int, rows: int) -> None:
    if not 2 <= folds <= rows:
        raise DataError(f"folds is {folds}; {rows} rows can be dealt into 2 to {rows} folds.")


def _by_class(codes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Each row's fold, shape (rows,): the rows of each class dealt in turn, the next class where the last one ended.

    -1 for the only row of its class.
    """
    order = np.random.default_rng(seed).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    alone = np.bincount(codes)[codes[order]] == 1
    dealt = order[~alone]
    place = np.full(len(codes), -1)
    place[dealt] = np.arange(len(dealt)) % folds
    return place


def _by_group(codes: np.ndarray, group: np.ndarray, folds: int, seed: int, *, column: str) -> list[np.ndarray]:
    from sklearn.model_selection import StratifiedGroupKFold

    groups = len(np.unique(group))
    if groups < folds:
        raise DataError(f"group column {column!r} has {groups} groups to deal into {folds} folds. Take {groups} folds.")
    dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    dealt = [np.sort(held) for _, held in dealer.split(codes, codes, group)]
    counts = np.bincount(codes)
    if any((np.bincount(codes[held], minlength=len(counts)) == counts).any() for held in dealt):
        raise DataError(f"a group of column {column!r} holds all rows of a class: no fold could learn it.")
    return dealt
