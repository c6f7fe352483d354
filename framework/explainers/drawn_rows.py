"""Pictures of rows: a waterfall from the base to a prediction, a line's weights, one column's contributions over its
values."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from framework.explainers.contributions import Contributions
from framework.explainers.drawing import SHOWN, ranks
from framework.explainers.lime import Lime
from framework.figures import BLUE, INK, ORANGE, PALE, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def telling(found: Contributions) -> int:
    """The row whose prediction is farthest from the base, at the first output: the one to look at first."""
    return int(np.abs(found.predicted[:, 0] - found.base[0]).argmax())


def waterfall(found: Contributions, place: int, output: int = 0) -> "Figure":
    """From the base to one row's prediction, the largest contribution at the top; what is small is one bar."""
    values = found.values[place, :, output]
    order = np.argsort(-np.abs(values), kind="stable")
    shown, rest = order[: SHOWN - 1], order[SHOWN - 1 :]
    names = [f"{found.features[each]} = {_said(found.X[found.features[each]].iloc[place])}" for each in shown]
    steps = [float(values[each]) for each in shown]
    if len(rest):
        names.append(f"{len(rest)} others")
        steps.append(float(values[rest].sum()))
    base, end = float(found.base[output]), float(found.predicted[place, output])
    row = found.places[place] if len(found.places) else place
    title = f"Row {row}: {found.outputs[output]} from {base:.4g} to {end:.4g}"
    figure, axes = canvas(title, found.space, "", (7.6, 1.6 + 0.36 * max(1, len(steps))))
    after = end  # from the top down: what is above has already been added
    for line, step in enumerate(steps):
        axes.barh(line, step, left=after - step, color=ORANGE if step > 0 else BLUE, height=0.62)
        axes.plot([after - step] * 2, [line - 0.31, line + 1.31], color=PALE, lw=1, zorder=0)
        axes.annotate(f"{step:+.3g}", (after if step > 0 else after - step, line), xytext=(4, 0),
                      textcoords="offset points", va="center", fontsize=8, color=INK)  # fmt: skip
        after -= step
    axes.axvline(base, color=INK, lw=0.8, ls=(0, (4, 3)), label="base: the mean answer")
    axes.use_sticky_edges = False
    axes.margins(x=0.12)
    axes.legend(frameon=False, fontsize=8, loc="upper left" if end > base else "upper right")
    axes.set_yticks(range(len(steps)), names)
    axes.set_ylim(len(steps) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    return figure


def contribution_points(found: Contributions, feature: str, output: int = 0) -> "Figure":
    """One column's contributions over its values, each row a point, coloured by the column that they most depend on
    besides."""
    place = found.features.index(feature)
    column, y = found.X[feature], found.values[:, place, output]
    figure, axes = canvas(
        f"Contribution of {feature}", feature, f"to {found.outputs[output]} ({found.space})", (6.6, 4.4)
    )
    labelled = isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == object
    gaps = column.isna().to_numpy()
    if labelled:
        counts = column.value_counts()
        levels = list(counts[counts > 0].index[:SHOWN])
        x = np.array([levels.index(value) if value in levels else np.nan for value in column], dtype=np.float64)
        x += np.random.default_rng(0).uniform(-0.18, 0.18, len(x))
        axes.set_xticks(range(len(levels)), [str(level)[:16] for level in levels])
    else:
        x = column.to_numpy() if column.dtype.kind == "M" else column.to_numpy(dtype=np.float64)
    other = _beside(found, place, output)
    colour = ranks(found.X[found.features[other]]) if other is not None else np.full(len(y), np.nan)
    known = np.isfinite(colour)
    axes.scatter(x[~known & ~gaps], y[~known & ~gaps], s=14, color=BLUE if other is None else PALE, lw=0)
    points = axes.scatter(x[known & ~gaps], y[known & ~gaps], s=14, c=colour[known & ~gaps], cmap="coolwarm",
                          vmin=0, vmax=1, lw=0)  # fmt: skip
    if other is not None:
        bar = figure.colorbar(points, ax=axes, aspect=40, ticks=[0, 1], label=found.features[other])
        bar.ax.set_yticklabels(["low", "high"])
        bar.outline.set_visible(False)
    axes.axhline(0, color=INK, lw=0.8)
    if column.dtype.kind == "M":
        figure.autofmt_xdate()
    return figure


def _beside(found: Contributions, place: int, output: int) -> int | None:
    """The other column that goes with what a column's own value leaves open of its contributions; None: none does."""
    y = found.values[:, place, output]
    own = found.X[found.features[place]]
    parts = pd.qcut(own, 8, duplicates="drop") if own.dtype.kind in "fM" and own.nunique() > 8 else own.astype(object)
    left = y - pd.Series(y).groupby(parts.to_numpy(), dropna=False).transform("mean").to_numpy()
    best, strongest = None, 0.1
    for other, name in enumerate(found.features):
        order = ranks(found.X[name])
        known = np.isfinite(order)
        if other == place or known.sum() < 10 or np.ptp(order[known]) == 0 or np.ptp(left[known]) < 1e-12:
            continue
        tied = abs(float(np.corrcoef(order[known], left[known])[0, 1]))
        if tied > strongest:
            best, strongest = other, tied
    return best


def _said(value: object) -> str:
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return "missing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:24]


def lime_bars(found: Lime, place: int = 0) -> "Figure":
    """One row's line: what each of its values adds, with the spread over seeds."""
    row = found.rows[place]
    order = np.argsort(-np.abs(row.mean), kind="stable")[:SHOWN]
    title = f"LIME: row {row.place} ({row.output} {row.predicted:.3g}, line's R² {row.fit:.2f})"
    figure, axes = canvas(title, "added by this value", "", (7.6, 1.6 + 0.34 * max(1, len(order))))
    means, spread = row.mean[order], row.weights.std(axis=0, ddof=1)[order]
    colours = [ORANGE if each > 0 else BLUE for each in means]
    axes.barh(range(len(order)), means, xerr=spread, color=colours, ecolor=INK, height=0.62)
    axes.set_yticks(range(len(order)), [row.rules[each] for each in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.axvline(0, color=INK, lw=0.8)
    axes.grid(visible=False, axis="y")
    return figure
