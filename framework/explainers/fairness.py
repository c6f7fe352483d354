"""Whether groups of rows are treated alike: selected as often, found as often, wrongly picked as often.

Demographic parity (Calders et al. 2009), equal opportunity and equalised odds (Hardt, Price & Srebro 2016), with
bootstrap intervals. The four-fifths rule of US employment law is the ratio of selection rates.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.explainers.bins import Bins
from framework.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPEATS = 500
RATES = ("selection rate", "true positive rate", "false positive rate")
LEAST_ROWS = 10


@dataclass(frozen=True)
class Group:
    """rates: selection, true positive and false positive rate, each from 0 to 1; nan where no row says."""

    rule: str
    rows: int
    rates: tuple[float, float, float]


@dataclass(frozen=True)
class Fairness:
    """Of one column. gaps: rate → the largest difference between two groups, with its 95 % bootstrap interval.

    ratio: the least selection rate over the largest; below 0.8 fails the four-fifths rule. positive: the class
    that a row is selected for by being likelier of it than not.
    """

    column: str
    positive: str
    groups: tuple[Group, ...]
    gaps: dict[str, tuple[float, Interval]]
    ratio: float
    left_out: tuple[str, ...] = field(default=())

    def table(self) -> pd.DataFrame:
        """A row for each group."""
        return pd.DataFrame(
            [{self.column: g.rule, "rows": g.rows, **dict(zip(RATES, g.rates, strict=True))} for g in self.groups]
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        groups = [{"group": g.rule, "rows": g.rows, **dict(zip(RATES, g.rates, strict=True))} for g in self.groups]
        gaps = {rate: {"gap": gap, "interval": [band.low, band.high]} for rate, (gap, band) in self.gaps.items()}
        return {"column": self.column, "positive": self.positive, "groups": groups, "gaps": gaps,
                "selection_ratio": self.ratio}  # fmt: skip

    def __str__(self) -> str:
        told = ", ".join(
            f"{rate} {gap:.3f} ({band.low:.3f} … {band.high:.3f})" for rate, (gap, band) in self.gaps.items()
        )
        return f"gaps of {self.positive} by {self.column}: {told}; selection ratio {self.ratio:.2f}"


def fairness(y: np.ndarray, chosen: np.ndarray, column: pd.Series, *, positive: str, seed: int) -> Fairness:
    """y, chosen: whether each row is, and is said to be, of the positive class, bool, shape (rows,); all count alike.

    Raises ValueError where fewer than two groups have ten rows.
    """
    bins = Bins.learn(column)
    codes, count = bins.codes(column), len(bins.names)
    rows = np.bincount(codes, minlength=count)
    kept = np.flatnonzero(rows >= LEAST_ROWS)
    if len(kept) < 2:
        raise ValueError(f"column {column.name!r} has fewer than two groups of {LEAST_ROWS} rows and more")
    cells = np.bincount(4 * codes + 2 * y + chosen, minlength=4 * count)  # group, truth, choice: all a rate asks
    rates = _rates(cells[None])[0][kept]
    drawn = np.random.default_rng(seed).multinomial(len(y), cells / len(y), size=REPEATS)
    again = _rates(drawn)[:, kept]
    gaps = {}
    for place, rate in enumerate(RATES):
        spread = _spread(again[:, :, place])
        known = spread[np.isfinite(spread)]
        low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
        gaps[rate] = (float(_spread(rates[None, :, place])[0]), Interval(float(low), float(high)))
    groups = tuple(
        Group(bins.names[code], int(rows[code]), (float(chosen_), float(found_), float(wrong)))
        for code, (chosen_, found_, wrong) in zip(kept, rates, strict=True)
    )
    most = rates[:, 0].max()
    ratio = float(rates[:, 0].min() / most) if most > 0 else 1.0
    left_out = tuple(bins.names[code] for code in range(count) if 0 < rows[code] < LEAST_ROWS)
    return Fairness(str(column.name), positive, groups, gaps, ratio, left_out)


def _spread(rates: np.ndarray) -> np.ndarray:
    """The largest difference between two groups' rates, shape (resamples,); nan where fewer than two are known."""
    high = np.where(np.isnan(rates), -np.inf, rates).max(axis=1)
    low = np.where(np.isnan(rates), np.inf, rates).min(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(rates).sum(axis=1) > 1, high - low, np.nan)


def _rates(cells: np.ndarray) -> np.ndarray:
    """Shape (resamples, groups, 3). cells: rows of each group, truth and choice, shape (resamples, 4 · groups)."""
    table = cells.reshape(len(cells), -1, 2, 2).astype(np.float64)
    hits = np.stack([table[..., 1].sum(axis=2), table[:, :, 1, 1], table[:, :, 0, 1]], axis=2)
    among = np.stack([table.sum(axis=(2, 3)), table[:, :, 1].sum(axis=2), table[:, :, 0].sum(axis=2)], axis=2)
    return np.asarray(np.divide(hits, among, out=np.full_like(hits, np.nan), where=among > 0))


def fairness_bars(found: Fairness) -> "Figure":
    """Each group's three rates side by side."""
    from framework.figures import BLUE, ORANGE, PALE, canvas

    title = f"{found.positive} by {found.column}"
    figure, axes = canvas(title, "rate", "", (7.0, 1.8 + 0.7 * len(found.groups)))
    lines = np.arange(len(found.groups))
    for place, (rate, colour) in enumerate(zip(RATES, (BLUE, ORANGE, PALE), strict=True)):
        values = [group.rates[place] for group in found.groups]
        axes.barh(lines + 0.26 * (place - 1), values, height=0.24, color=colour, label=rate)
    axes.set_yticks(lines, [f"{group.rule} ({group.rows})" for group in found.groups])
    axes.set_ylim(len(found.groups) - 0.4, -0.6)
    axes.set_xlim(0, 1.02)
    axes.grid(visible=False, axis="y")
    axes.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.22 if len(lines) < 4 else -0.12))
    return figure
