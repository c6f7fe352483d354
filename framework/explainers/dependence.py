"""How the answer goes with one column: partial dependence (Friedman 2001) and each row's own curve (ICE: Goldstein et
al. 2015), by asking the model about rows in which that column alone is changed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.contender import Model
from framework.data.schema import Schema
from framework.explainers.contributions import outputs_of
from framework.explainers.sampling import answers_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 20  # of a number's grid, at even shares of the rows
MOST_LEVELS = 12  # of a category: the commonest
MOST_ROWS = 200  # each with a curve of its own
DRAWN = 60  # of these curves in the figure
COLUMNS = 6  # without an order of importance: the first


@dataclass(frozen=True)
class Dependence:
    """Of one column. grid: the values it was set to; ice: each row's answers there, shape (rows, points, outputs).

    A flat curve beside curves of rows that cross each other means that another column decides which way this one works.
    Rows may become such as never occur where columns hang together.
    """

    feature: str
    outputs: tuple[str, ...]
    grid: tuple[Any, ...]
    ice: np.ndarray = field(repr=False)

    @property
    def mean(self) -> np.ndarray:
        """The partial dependence, shape (points, outputs)."""
        return np.asarray(self.ice.mean(axis=0))

    @property
    def reach(self) -> float:
        """How far the mean goes from its least to its most, at the output where that is most."""
        return float(np.ptp(self.mean, axis=0).max())

    def to_json(self) -> dict[str, Any]:
        """Plain data: the grid and the mean at every output."""
        grid = [str(value) if isinstance(value, pd.Timestamp) else value for value in self.grid]
        means = {output: self.mean[:, place].tolist() for place, output in enumerate(self.outputs)}
        return {"feature": self.feature, "grid": grid, "mean": means, "reach": self.reach}


def dependences(
    model: Model, schema: Schema, X: pd.DataFrame, features: Sequence[str], *, seconds: float, seed: int
) -> tuple[Dependence, ...]:
    """Of each of these columns in turn, of as many as the seconds allow, one at the least.

    features: columns that are no texts and have some value.
    """
    end = time.monotonic() + seconds
    kept = np.random.default_rng(seed).permutation(len(X))[:MOST_ROWS]
    rows = X.iloc[kept].reset_index(drop=True)
    found: list[Dependence] = []
    for name in features:
        if found and time.monotonic() > end:
            break
        grid = _grid(X[name])
        asked = rows.take(np.repeat(np.arange(len(rows)), len(grid))).reset_index(drop=True)
        asked[name] = pd.Series(grid * len(rows)).astype(X[name].dtype)
        told = answers_of(model, asked).reshape(len(rows), len(grid), -1)
        found.append(Dependence(name, outputs_of(schema), tuple(grid), told))
    return tuple(found)


def _grid(values: pd.Series) -> list[Any]:
    """The values to ask about: all of a few, else at even shares of the rows; the commonest categories."""
    known = values.dropna()
    if isinstance(values.dtype, pd.CategoricalDtype):
        counts = known.value_counts()
        return [str(value) for value in counts[counts > 0].index[:MOST_LEVELS]]
    distinct = np.sort(known.unique())
    if len(distinct) > POINTS:
        distinct = np.unique(np.quantile(known, np.linspace(0.01, 0.99, POINTS), method="nearest"))
    return [pd.Timestamp(value) if values.dtype.kind == "M" else float(value) for value in distinct]


def dependence_curves(found: Dependence) -> "Figure":
    """The mean, bold, and some rows' own curves, pale; of the output that the column moves most."""
    from framework.figures import BLUE, ORANGE, PALE, canvas

    place = int(np.ptp(found.mean, axis=0).argmax())
    output = found.outputs[place]
    figure, axes = canvas(f"Partial dependence on {found.feature}", found.feature, f"answer: {output}", (6.4, 4.4))
    curves, mean = found.ice[:DRAWN, :, place], found.mean[:, place]
    if isinstance(found.grid[0], str):
        axes.boxplot(found.ice[:, :, place], widths=0.5, showfliers=False, medianprops={"color": PALE},
                     boxprops={"color": PALE}, whiskerprops={"color": PALE}, capprops={"color": PALE})  # fmt: skip
        steps = np.arange(1, len(found.grid) + 1)
        axes.plot(steps, mean, "o", color=ORANGE, ms=7, label="mean")
        names = [label if len(label) <= 16 else f"{label[:15]}…" for label in found.grid]
        axes.set_xticks(steps, names, rotation=35 if sum(map(len, names)) > 50 else 0, ha="center")
    else:
        for curve in curves:
            axes.plot(found.grid, curve, color=BLUE, alpha=0.18, lw=0.8)
        axes.plot(found.grid, mean, color=ORANGE, lw=2.6, label=f"mean of {len(found.ice)} rows")
    axes.legend(frameon=False)
    return figure
