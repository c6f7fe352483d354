"""How a method answers what each silo kept back."""

from dataclasses import dataclass

import numpy as np

from framework.data.split import Split

LEAST_TOLD = 2  # rows of a silo below which no R² can be told


@dataclass(frozen=True)
class SiloScore:
    """How a method answers the rows that a silo kept back. rows: how many; r2: None where they are too few or all
    alike; rmse: in the target's own units.

    Of classes both are of their probabilities: rmse is the root of the Brier score, and r2 the skill that Brier's score
    has over the silo's own share of each class (of two classes the second alone counts).
    """

    silo: str
    rows: int
    method: str
    seed: int
    r2: float | None
    rmse: float


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
        made.append(SiloScore(name, int(chosen.sum()), method, split.seed, r2_of(y, answer), rmse))
    return made


def r2_of(y: np.ndarray, told: np.ndarray) -> float | None:
    spread = float(((y - y.mean(axis=0)) ** 2).sum())
    return 1 - float(((y - told) ** 2).sum()) / spread if len(y) >= LEAST_TOLD and spread > 0 else None
