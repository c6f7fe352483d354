"""How often an attacker's guesses about learned rows come true, beyond how often they do about rows never seen.

After Giomi et al. 2023, "A unified framework for quantifying privacy risk in synthetic data" (Anonymeter): what is
right about strangers too was learned of the world, and is what the rows are for. They divide the difference by what
luck leaves open; here it is told as it is, because the quotient of few rows finds leaks where there are none.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

MOST_TARGETS = 1_000  # rows that are guessed about, of members and of strangers each
MOST_SYNTHETIC = 10_000


@dataclass(frozen=True)
class Risk:
    """right of guesses about rows learned from, right_of_others of guesses about rows that were not.

    about: what the guesses were about, where there was a choice. level: of the interval.
    """

    right: int
    guesses: int
    right_of_others: int
    guesses_of_others: int
    about: str = ""
    level: float = 0.95

    @property
    def value(self) -> float:
        """How many more of the guesses about learned rows are right, as a share; 0: nothing leaks."""
        return self.right / self.guesses - self.right_of_others / self.guesses_of_others

    @property
    def low(self) -> float:
        (mine, below, _), (others, _, above) = self._shares
        return self.value - float(np.hypot(mine - below, above - others))

    @property
    def high(self) -> float:
        (mine, _, above), (others, below, _) = self._shares
        return self.value + float(np.hypot(above - mine, others - below))

    def __str__(self) -> str:
        about = f"{self.about}: " if self.about else ""
        mine, others = f"{self.right:,} of {self.guesses:,}", f"{self.right_of_others:,} of {self.guesses_of_others:,}"
        return f"{about}{mine} guesses about learned rows were right, {others} about rows never seen"

    @property
    def _shares(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Both shares with the ends of their intervals: Newcombe 1998, method 10, makes the difference's of them."""
        mine = (self.right / self.guesses, *wilson(self.right, self.guesses, self.level))
        others = self.right_of_others, self.guesses_of_others
        return mine, (others[0] / others[1], *wilson(*others, self.level))


def wilson(right: int, guesses: int, level: float = 0.95) -> tuple[float, float]:
    """The ends of Wilson's interval of a share."""
    from scipy.stats import norm

    z = float(norm.ppf((1 + level) / 2))
    middle, wide = right + z**2 / 2, guesses + z**2
    half = z * float(np.sqrt(right * (guesses - right) / guesses + z**2 / 4))
    return (middle - half) / wide, (middle + half) / wide


def some(frame: pd.DataFrame, most: int, random: np.random.Generator) -> pd.DataFrame:
    """At most so many rows, by chance."""
    return frame.iloc[random.permutation(len(frame))[:most]].reset_index(drop=True)
