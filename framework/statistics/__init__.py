"""How sure a score is, which differences are noise, and who wins when they are."""

from framework.statistics.bootstrap import MOST_ROWS, Interval, Resampled, interval, noise, resample
from framework.statistics.delong import delong
from framework.statistics.folds import corrected_t
from framework.statistics.holm import holm
from framework.statistics.luck import Gap, gap, selection_luck
from framework.statistics.paired import compare
from framework.statistics.preference import Cost, Prefer, PreferenceError, preferred

__all__ = [
    "MOST_ROWS",
    "Cost",
    "Gap",
    "Interval",
    "Prefer",
    "PreferenceError",
    "Resampled",
    "compare",
    "corrected_t",
    "delong",
    "gap",
    "holm",
    "interval",
    "noise",
    "preferred",
    "resample",
    "selection_luck",
]
