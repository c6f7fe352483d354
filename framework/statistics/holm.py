"""Several tests at once: "A simple sequentially rejective multiple test procedure" (Holm 1979)."""

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """Adjusted p-values: below 0.05 whoever is, the chance that any of them is a false alarm is below 0.05.

    The i-th smallest of m, from 0, times (m - i), never below an earlier one, at most 1. nan stays nan, uncounted.
    """
    known = sorted((name for name in p_values if not math.isnan(p_values[name])), key=lambda name: p_values[name])
    adjusted = dict(p_values)
    reached = 0.0
    for place, name in enumerate(known):
        reached = max(reached, min(1.0, (len(known) - place) * p_values[name]))
        adjusted[name] = reached
    return adjusted
