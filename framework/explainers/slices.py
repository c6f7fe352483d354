"""Where the model is good and where it is not: its score by segment, and the worst segments found."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.data.frame import Truth
from framework.explainers.bins import Bins
from framework.explainers.slice_search import alike, combined, row_losses, welch
from framework.metric import Metric
from framework.statistics import Interval, holm, interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LEVELS = 12  # of a column that is sliced by without being asked for
SURE = 0.05
WORST = 5
MOST_DRAWN = 28
REPEATS = 200  # of the bootstrap


@dataclass(frozen=True)
class Slice:
    """Some of the rows. rule: which. score: theirs, with its 95 % bootstrap interval; nan where they have one class.

    p_value: of "their losses are like the others'", one-sided and corrected (Holm); nan for one that was not tried.
    loss: the mean loss of a row, others: that of all other rows; both nan for one that was not tried.
    """

    rule: str
    rows: int
    score: float
    interval: Interval
    p_value: float = float("nan")
    loss: float = float("nan")
    others: float = float("nan")


@dataclass(frozen=True)
class Slices:
    """segments: column → its values' slices. worst: those found to be worse than the rest, the worst first; tried: of
    how many. overall: the score of all rows. cut: columns whose segments time did not reach."""

    metric: str
    overall: float
    segments: dict[str, tuple[Slice, ...]]
    worst: tuple[Slice, ...]
    tried: int
    cut: int = 0

    def table(self) -> pd.DataFrame:
        """A row for each segment, then for each of the worst."""
        listed = [(column, each) for column, slices in self.segments.items() for each in slices]
        listed += [("worst", each) for each in self.worst]
        return pd.DataFrame(
            [
                {"by": column, "slice": each.rule, "rows": each.rows, self.metric: each.score,
                 "low": each.interval.low, "high": each.interval.high, "p_value": each.p_value}
                for column, each in listed
            ]
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "metric": self.metric,
            "overall": self.overall,
            "tried": self.tried,
            "segments": {column: [_json(each) for each in slices] for column, slices in self.segments.items()},
            "worst": [_json(each) | {"p_value": each.p_value} for each in self.worst],
        }

    def __str__(self) -> str:
        if not self.tried:
            return "slices: too few rows to look for those that are worse than the rest"
        if not self.worst:
            return f"slices: none of {self.tried} is surely worse than the rest ({self.metric} {self.overall:.4g})"
        told = [
            f"  {each.rule}: {self.metric} {each.score:.4g} ({each.interval.low:.4g} … {each.interval.high:.4g}), "
            f"{each.rows} rows, p {each.p_value:.2g}"
            for each in self.worst
        ]
        return "\n".join([f"the worst of {self.tried} slices ({self.metric} overall {self.overall:.4g}):", *told])


def slices(
    metric: Metric,
    truth: Truth,
    predicted: np.ndarray,
    columns: pd.DataFrame,
    *,
    by: Sequence[str],
    seconds: float,
    seed: int,
) -> Slices:
    """Slices of these rows by the columns of `by`, and the worst of all columns, alone and two at a time.

    columns: of the same rows, conformed or raw. by: none: every column of at most 12 values.
    """
    end = time.monotonic() + seconds
    order = [*by, *(name for name in columns.columns if name not in by)]
    bins = {str(name): Bins.learn(columns[name]) for name in order if name in by or columns[name].nunique() > 1}
    wanted = list(by) or [name for name in bins if columns[name].nunique() <= MOST_LEVELS]
    codes = {name: each.codes(columns[name]) for name, each in bins.items()}

    def scored(rule: str, rows: np.ndarray, **facts: float) -> Slice:
        mine, told = truth.take(rows), predicted[rows]
        spread = interval(metric, mine, told, seed=seed, repeats=REPEATS)
        return Slice(rule, len(rows), metric.score(mine, told), spread, **facts)

    tried = dict(combined(bins, codes, len(predicted)))
    p_values, means, others = welch(row_losses(metric, truth, predicted), list(tried.values()))
    sure = holm(dict(zip(tried, p_values.tolist(), strict=True)))
    tested = {rule: (float(mine), float(rest)) for rule, mine, rest in zip(tried, means, others, strict=True)}
    found = sorted((rule for rule in sure if sure[rule] < SURE), key=lambda rule: tested[rule][1] - tested[rule][0])
    worst: list[Slice] = []
    kept: list[np.ndarray] = []
    for rule in found:
        rows = tried[rule]
        if len(worst) == WORST:
            break
        if any(alike(rows, other) for other in kept):
            continue
        kept.append(rows)
        worst.append(scored(rule, rows, p_value=sure[rule], loss=tested[rule][0], others=tested[rule][1]))
    segments: dict[str, tuple[Slice, ...]] = {}
    for name in wanted:
        if segments and time.monotonic() > end:
            break
        segments[name] = tuple(
            scored(rule, rows)
            for code, rule in enumerate(bins[name].names)
            if len(rows := np.flatnonzero(codes[name] == code))
        )
    late = len(wanted) - len(segments)
    return Slices(metric.name, metric.score(truth, predicted), segments, tuple(worst), len(tried), late)


def _json(each: Slice) -> dict[str, Any]:
    return {
        "slice": each.rule,
        "rows": each.rows,
        "score": each.score,
        "interval": [each.interval.low, each.interval.high],
    }


def slice_points(found: Slices) -> "Figure":
    """Every slice's score and interval, around the line of all rows; the worst ones first, in another colour."""
    from framework.figures import BLUE, INK, ORANGE, PALE, canvas

    listed = [(each, ORANGE) for each in found.worst]
    listed += [(each, BLUE) for column in found.segments.values() for each in column]
    listed = [(each, colour) for each, colour in listed if np.isfinite(each.score)]
    title = f"Score by slice, the first {MOST_DRAWN} of {len(listed)}" if len(listed) > MOST_DRAWN else "Score by slice"
    listed = listed[:MOST_DRAWN]
    figure, axes = canvas(title, found.metric, "", (7.6, 1.6 + 0.3 * max(1, len(listed))))
    axes.axvline(found.overall, color=INK, lw=1, ls=(0, (4, 3)), label="all rows")
    for line, (each, colour) in enumerate(listed):
        axes.plot([each.interval.low, each.interval.high], [line, line], color=PALE, lw=3, zorder=1)
        axes.plot(each.score, line, "o", color=colour, ms=6)
    axes.set_yticks(range(len(listed)), [f"{each.rule} ({each.rows})"[:60] for each, _ in listed])
    axes.set_ylim(len(listed) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.legend(frameon=False, loc="best")
    return figure
