"""The winner when several cannot be told apart: the best, the simplest, or the fastest of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from cluster.user_error import UserError

Prefer = Literal["best", "simple", "fast"]
PREFERENCES: tuple[Prefer, ...] = get_args(Prefer)
TIED = 0.05  # the p-value from which two entries count as not told apart


class PreferenceError(UserError):
    """A preference that is none."""


@dataclass(frozen=True)
class Cost:
    """What a model costs whoever keeps it.

    members: how many models it is made of. bytes: of its folder. seconds: to answer the validation rows.
    """

    members: int = 1
    bytes: int = 0
    seconds: float = math.inf


def preferred(
    ranked: Sequence[str], noise: Mapping[str, float], costs: Mapping[str, Cost], prefer: Prefer = "best"
) -> str:
    """The entry that wins, by its name.

    ranked: all entries, best first. noise: the p-values of `compare`, of all but the best; a missing one or nan counts
    as told apart. costs: of all entries.
    "best": the first. "simple": of those not told apart from it who has the fewest members, then the fewest bytes.
    "fast": who answers quickest. Of equals the better one. Raises PreferenceError for another word.
    """
    check_preference(prefer)
    first, *rest = ranked
    if prefer == "best":
        return first
    tied = [first, *(name for name in rest if noise.get(name, 0.0) >= TIED)]
    if prefer == "fast":
        return min(tied, key=lambda name: costs[name].seconds)
    return min(tied, key=lambda name: (costs[name].members, costs[name].bytes))


def check_preference(prefer: str) -> None:
    """Raises PreferenceError for a word that is none of PREFERENCES."""
    if prefer not in PREFERENCES:
        raise PreferenceError(f"prefer is {prefer!r}; it is one of {', '.join(PREFERENCES)}.")
