"""How a method answers what each silo kept back."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from framework.data.split import Split

LEAST_TOLD = 2  # rows of a silo below which no R² can be told


@dataclass(frozen=True)
class SiloScore:
    """How a method answers the rows that a silo kept back. rows: how many; r2: None where they are too few or all
    alike; rmse: in the target's own units.

    Of classes both are of their probabilities: rmse is the root of the Brier score, and r2 the skill that Brier's score
    has over the silo's own share of each class (of two classes the second alone counts). mase: of forecasts, the mean
    |error| in units of the silo's own seasonal naive error, so that silos of any size can be compared; None of others,
    and of a series that does not move.
    """

    silo: str
    rows: int
    method: str
    seed: int
    r2: float | None
    rmse: float
    mase: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Without `mase` where there is none."""
        told = dict(vars(self))
        return told if self.mase is not None else {name: value for name, value in told.items() if name != "mase"}


def values_of(split: Split, told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Answers and what was told, both shape (rows, values): of classes 1 or 0 and their probabilities."""
    if not split.problem.classified:
        return split.test.y[:, None], told[:, None]
    answers = np.eye(told.shape[1])[split.test.y]
    return (answers[:, 1:], told[:, 1:]) if told.shape[1] == 2 else (answers, told)


def scores_of(split: Split, silo: str, method: str, told: np.ndarray) -> list[SiloScore]:
    names = split.test.X[silo].astype(str).to_numpy()
    answers, values = values_of(split, told)
    made = []
    for name in sorted(set(names)):
        chosen = names == name
        y, answer = answers[chosen], values[chosen]
        rmse = float(np.sqrt(np.mean(((y - answer) ** 2).sum(axis=1))))
        mase = mase_of(np.abs(y - answer)[:, 0], split.test.truth.scale, chosen)
        made.append(SiloScore(name, int(chosen.sum()), method, split.seed, r2_of(y, answer), rmse, mase))
    return made


def mase_of(errors: np.ndarray, scale: np.ndarray | None, chosen: np.ndarray) -> float | None:
    """The mean of errors, shape (chosen rows,), in units of the scale that these rows of a split have."""
    if scale is None or not (np.isfinite(scale[chosen]) & (scale[chosen] > 0)).all():
        return None
    return float(np.mean(errors / scale[chosen]))


def r2_of(y: np.ndarray, told: np.ndarray) -> float | None:
    spread = float(((y - y.mean(axis=0)) ** 2).sum())
    return 1 - float(((y - told) ** 2).sum()) / spread if len(y) >= LEAST_TOLD and spread > 0 else None
