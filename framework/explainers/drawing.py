"""The two pictures of an explanation: bars of importance, and every row's contributions as a swarm of points."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from framework.explainers.contributions import Contributions
from framework.explainers.permutation import Importance
from framework.figures import BLUE, INK, PALE, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 12


def importance_bars(ranking: Sequence[Importance], scale: str) -> "Figure":
    """The first features as bars, with one standard deviation where it is known."""
    shown = ranking[:SHOWN]
    figure, axes = canvas("Importance", scale, "", (7.0, 1.4 + 0.34 * max(1, len(shown))))
    error = [each.spread if np.isfinite(each.spread) else 0.0 for each in shown]
    axes.barh(range(len(shown)), [each.drop for each in shown], xerr=error, color=BLUE, ecolor=INK, height=0.62)
    axes.set_yticks(range(len(shown)), [each.feature for each in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.axvline(0, color=INK, lw=0.8)
    axes.grid(visible=False, axis="y")
    return figure


def swarm(found: Contributions) -> "Figure":
    """One line a feature, one point a row: where it pushed the first output, coloured by the feature's own value.

    Grey: a category, text, or a missing value.
    """
    order = np.argsort(-np.abs(found.values[:, :, 0]).mean(axis=0))[:SHOWN]
    title = f"SHAP: what pushes {found.outputs[0]}"
    figure, axes = canvas(title, f"contribution ({found.space})", "", (7.6, 1.6 + 0.38 * max(1, len(order))))
    random = np.random.default_rng(0)
    for line, place in enumerate(order):
        x = found.values[:, place, 0]
        colour = ranks(found.X[found.features[place]])
        height = line + _spread(x, random)
        known = np.isfinite(colour)
        axes.scatter(x[~known], height[~known], s=11, color=PALE, lw=0)
        points = axes.scatter(x[known], height[known], s=11, c=colour[known], cmap="coolwarm", vmin=0, vmax=1, lw=0)
    axes.set_yticks(range(len(order)), [found.features[place] for place in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.axvline(0, color=INK, lw=0.8)
    axes.grid(visible=False, axis="y")
    if len(order):
        bar = figure.colorbar(points, ax=axes, aspect=40, ticks=[0, 1], label="the feature's value")
        bar.ax.set_yticklabels(["low", "high"])
        bar.outline.set_visible(False)
    return figure


def ranks(column: pd.Series) -> np.ndarray:
    """Each value's place from 0 to 1; nan where there is no order."""
    if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == object or column.nunique() < 2:
        return np.full(len(column), np.nan)
    ranks = column.rank(method="average").to_numpy(dtype=np.float64)
    low, high = np.nanmin(ranks), np.nanmax(ranks)
    return np.asarray((ranks - low) / (high - low))


def _spread(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """How far each point stands off its line: the more, the denser the points there."""
    counts, edges = np.histogram(x, bins=40)
    dense = counts[np.clip(np.searchsorted(edges, x, side="right") - 1, 0, 39)] / max(1, counts.max())
    return np.asarray(random.uniform(-0.36, 0.36, len(x)) * np.sqrt(dense))
