"""Canaries: made-up rows planted among those learned from, once, twice and ten times: does the engine favour them?

Carlini et al. 2019, "The secret sharer". Who looks for a real row has to guess; of a planted one it is known that it
was there, and how often. Rows made up in the same way and never planted say what is luck.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from framework.contender import Context
from framework.data.data_error import DataError
from synthetic.constraints import Constraint
from synthetic.fitted import Fitted
from synthetic.sharded import row_keys
from synthetic.space import Space
from synthetic.synthesizer import Filling, Synthesizer, seeded

TIMES = (1, 2, 10)
SHARE = 0.04  # of the rows, that the canaries of one number of times take
LEAST, MOST = 3, 50  # canaries of one number of times
OTHERS = 500  # never planted
TRIES = 4
# Above these, luck added, a row that came once was remembered: AUC above a coin's; the share that came out again.
LEAK, LEAK_INSIDE, COPIED = 0.05, 0.20, 0.05


@dataclass(frozen=True)
class Planted:
    """Canaries that stood `times` times among the rows, against others that never did.

    copied: the share that is among the synthetic rows; copied_of_others: the same of others. nearest: how often a
    canary lies nearer to the synthetic rows than another does, 0.5 is luck; likelier: how often the model thinks it
    likelier, None where it tells no likelihood.
    """

    times: int
    rows: int
    others: int
    copied: float
    copied_of_others: float
    nearest: float
    likelier: float | None

    @property
    def even(self) -> float:
        """The most that `nearest` and `likelier` are by luck alone, at two standard errors."""
        return 0.5 + 2 * float(np.sqrt((1 / self.rows + 1 / self.others) / 12))

    def __str__(self) -> str:
        how = {1: "once", 2: "twice"}.get(self.times, f"{self.times} times")
        model = "" if self.likelier is None else f", likelier to the model than {self.likelier:.0%}"
        return (
            f"{self.rows} made-up rows planted {how}: {self.copied:.1%} came out again; nearer to the synthetic rows "
            f"than {self.nearest:.0%} of such rows never planted{model} (50 % is luck, up to {self.even:.0%})"
        )


@dataclass(frozen=True)
class Canaries:
    """What an engine made of planted rows; levels by how often they were planted."""

    levels: tuple[Planted, ...]

    @property
    def failed(self) -> list[str]:
        """Why rows of this engine should not be used: what stood there once was remembered. What came more often is
        told and not judged: a row that comes ten times is frequent in truth."""
        once = self.levels[0]
        failed = []
        if once.copied > once.copied_of_others + COPIED:
            failed.append(f"{once.copied:.1%} of the rows planted once came out again.")
        if once.nearest > LEAK + once.even:
            failed.append(f"rows planted once are favoured: nearer than {once.nearest:.0%} of those never planted.")
        if once.likelier is not None and once.likelier > LEAK_INSIDE + once.even:
            failed.append(f"the model favours rows planted once: likelier than {once.likelier:.0%} of the others.")
        return failed


def plant(
    engine: Synthesizer, frame: pd.DataFrame, constraints: Sequence[Constraint] = (), context: Context | None = None
) -> Canaries:
    """Fits the engine once more, with canaries among the rows, and looks for them.

    Raises what `Synthesizer.fit` does; DataError for a table so coarse that made-up rows are all real ones.
    """
    given = context or Context()
    counts = {times: int(np.clip(SHARE * len(frame) / times, LEAST, MOST)) for times in TIMES}
    made = canaries(frame, constraints, sum(counts.values()) + OTHERS, seed=given.seed)
    ends = np.cumsum([0, *counts.values()])
    planted = {times: made.iloc[ends[at] : ends[at + 1]] for at, times in enumerate(counts)}
    others = made.iloc[ends[-1] :]
    whole = pd.concat([frame, *(part for times, part in planted.items() for _ in range(times))], ignore_index=True)
    whole = whole.iloc[seeded(given.seed, 21).permutation(len(whole))].reset_index(drop=True).astype(frame.dtypes)
    fitted = engine.fit(whole, constraints, given)
    drawn = fitted.sample(len(whole), seed=given.seed + 1)
    space, keys = Space.learn(whole), row_keys(drawn)
    away = _distances(space, drawn, [others, *planted.values()])
    likely = _likelihoods(fitted, [others, *planted.values()])
    levels = [
        Planted(
            times, len(part), len(others),
            copied=_among(part, keys),
            copied_of_others=_among(others, keys),
            nearest=_auc(-away[at], -away[0]),
            likelier=None if likely is None else _auc(likely[at], likely[0]),
        )
        for at, (times, part) in enumerate(planted.items(), 1)
    ]  # fmt: skip
    return Canaries(tuple(levels))


def canaries(frame: pd.DataFrame, constraints: Sequence[Constraint], many: int, *, seed: int = 0) -> pd.DataFrame:
    """Rows whose columns were drawn from the table each by itself, and none of which is in it; columns of one
    constraint come from one row, so that it holds. Raises DataError where there are too few such rows."""
    random = seeded(seed, 20)
    real, found = row_keys(frame), []
    for _ in range(TRIES):
        parts = [
            frame[group].iloc[random.integers(len(frame), size=2 * many)].reset_index(drop=True)
            for group in _together(list(frame.columns), constraints)
        ]
        found.append(pd.concat(parts, axis=1)[list(frame.columns)])
        every = pd.concat(found, ignore_index=True)
        keys = row_keys(every)
        fresh = ~np.isin(keys, real)
        fresh[np.setdiff1d(np.arange(len(keys)), np.unique(keys, return_index=True)[1])] = False
        if fresh.sum() >= many:
            return every[fresh].iloc[:many].astype(frame.dtypes).reset_index(drop=True)
    raise DataError(
        f"{many} canaries were asked for, and the table has so few distinct rows that only {int(fresh.sum())} could be "
        f"made up that are not in it."
    )


def _together(names: list[str], constraints: Sequence[Constraint]) -> list[list[str]]:
    """The columns, those that constraints bind to one another in one group."""
    groups: list[set[str]] = [{name} for name in names]
    for constraint in constraints:
        bound = [group for group in groups if group & set(constraint.columns)]
        groups = [group for group in groups if group not in bound] + [set().union(*bound)]
    return [sorted(group, key=names.index) for group in groups]


def _distances(space: Space, drawn: pd.DataFrame, asked: Sequence[pd.DataFrame]) -> list[np.ndarray]:
    from sklearn.neighbors import NearestNeighbors

    known = NearestNeighbors(n_neighbors=1).fit(space.points(drawn))
    return [known.kneighbors(space.points(rows))[0][:, 0] for rows in asked]


def _likelihoods(fitted: Fitted, asked: Sequence[pd.DataFrame]) -> list[np.ndarray] | None:
    if not isinstance(fitted.core, Filling):
        return None
    return [np.nan_to_num(fitted.log_likelihood(rows), neginf=-1e9) for rows in asked]


def _among(rows: pd.DataFrame, keys: np.ndarray) -> float:
    return float(np.isin(row_keys(rows), keys).mean())


def _auc(planted: np.ndarray, others: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(np.repeat([1, 0], [len(planted), len(others)]), np.concatenate([planted, others])))
