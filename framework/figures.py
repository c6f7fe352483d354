"""The figures a person looks at before believing a score. Plain matplotlib figures, never pyplot's global state."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.data.frame import Truth
from framework.problem import Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from framework.leaderboard import Leaderboard

BLUE, ORANGE, INK, PALE = "#2f6db3", "#d9742b", "#333333", "#c9ced6"
CYCLE = (BLUE, ORANGE, "#3a9a6b", "#8a5fb0", "#c2455e", "#7d7d2e", "#2aa3b8", "#a05a2c", "#5d6d7e", "#d19bc4")
MOST_POINTS = 4_000  # of a scatter: more only make it darker
MOST_NAMED = 14  # classes whose names and counts still fit into the confusion matrix
SHOWN_SERIES = 6


def figures(
    problem: Problem, truth: Truth, predicted: np.ndarray, *, classes: Sequence[Any] = ()
) -> dict[str, "Figure"]:
    """File name → figure, those that fit the kind of question; none without rows.

    predicted: as `Model.predict` gives it. classes: the labels in the order of their codes.
    """
    drawn: dict[str, Callable[[], Figure]]
    if problem.classified:
        drawn = {
            "confusion_matrix": lambda: confusion_matrix(truth, predicted, classes),
            "calibration": lambda: calibration(truth, predicted, classes),
        }
    elif problem.kind == "clustering":
        drawn = {"clusters": lambda: clusters(truth, predicted)}
    else:
        drawn = {
            "predicted_and_true": lambda: predicted_and_true(truth, predicted, str(problem.target)),
            "residuals": lambda: residuals(truth, predicted, str(problem.target)),
        }
        if problem.kind == "forecast":
            drawn["forecast"] = lambda: forecast(truth, predicted, str(problem.target))
    return {name: draw() for name, draw in drawn.items()} if len(truth) else {}


def confusion_matrix(truth: Truth, predicted: np.ndarray, classes: Sequence[Any] = ()) -> "Figure":
    """Rows: the true class; columns: the likeliest one; shade: the share of the row; numbers: rows of the table."""
    count = predicted.shape[1]
    names = [str(label)[:18] for label in classes] or [str(code) for code in range(count)]
    cells = np.bincount(np.asarray(truth.y) * count + predicted.argmax(axis=1), minlength=count**2)
    matrix = cells.reshape(count, count)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 3.2 + 0.45 * min(count, MOST_NAMED)
    figure, axes = canvas("Confusion matrix", "predicted", "true", (side + 0.8, side))
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.75, label="share of the true class")
    axes.grid(visible=False)
    if count <= MOST_NAMED:
        axes.set_xticks(range(count), names, rotation=40 if max(map(len, names)) > 4 else 0, ha="center")
        axes.set_yticks(range(count), names)
        for row, column in np.ndindex(count, count):
            colour = "white" if share[row, column] > 0.55 else INK
            axes.text(column, row, f"{matrix[row, column]:,}", ha="center", va="center", color=colour, fontsize=9)
    return figure


def calibration(truth: Truth, predicted: np.ndarray, classes: Sequence[Any] = ()) -> "Figure":
    """How often what is said with probability p comes true, in ten equally filled bins, over how often each p is said.

    Two classes: the probability of class 1. More: that of the likeliest class.
    """
    y, binary = np.asarray(truth.y), predicted.shape[1] == 2
    said = predicted[:, 1] if binary else predicted.max(axis=1)
    came = (y == 1) if binary else (y == predicted.argmax(axis=1))
    edges = np.unique(np.quantile(said, np.linspace(0, 1, 11)))
    bins = np.clip(np.searchsorted(edges, said, side="right") - 1, 0, max(0, len(edges) - 2))
    counts = np.bincount(bins)
    filled = counts > 0
    x, rate = (np.bincount(bins, weights=w)[filled] / counts[filled] for w in (said, came))
    error = 1.96 * np.sqrt(np.maximum(rate * (1 - rate), 1e-9) / counts[filled])
    whose = f"probability of {classes[1]!s}" if binary and len(classes) == 2 else "probability of the likeliest class"
    figure, axes = canvas("Calibration", whose, "share that came true", (5.6, 5.2))
    axes.plot([0, 1], [0, 1], color=INK, lw=1, ls=(0, (4, 3)), label="perfectly calibrated")
    axes.errorbar(x, rate, yerr=error, color=BLUE, marker="o", ms=5, lw=1.8, elinewidth=1, label="this model (95 %)")
    below = axes.inset_axes((0, 0, 1, 0.16))
    below.hist(said, bins=30, range=(0, 1), color=PALE)
    below.set(xlim=(-0.02, 1.02))
    below.axis("off")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(frameon=False, loc="upper left")
    return figure


def predicted_and_true(truth: Truth, predicted: np.ndarray, target: str) -> "Figure":
    """Each row a point; on the line the prediction is right."""
    rows = _some(len(truth))
    figure, axes = canvas("Predicted and true", f"true {target}", f"predicted {target}", (5.6, 5.2))
    y = np.asarray(truth.y)
    low, high = min(y.min(), predicted.min()), max(y.max(), predicted.max())
    axes.scatter(y[rows], predicted[rows], s=14, color=BLUE, alpha=_alpha(len(rows)), lw=0)
    axes.plot([low, high], [low, high], color=INK, lw=1, ls=(0, (4, 3)))
    axes.set_aspect("equal", adjustable="datalim")
    return figure


def residuals(truth: Truth, predicted: np.ndarray, target: str) -> "Figure":
    """True minus predicted over the prediction, with each tenth's median: a bow or a fan is structure left over."""
    rows, error = _some(len(truth)), np.asarray(truth.y) - predicted
    figure, axes = canvas("Residuals", f"predicted {target}", "true - predicted", (6.8, 4.4))
    axes.scatter(predicted[rows], error[rows], s=14, color=BLUE, alpha=_alpha(len(rows)), lw=0)
    axes.axhline(0, color=INK, lw=1, ls=(0, (4, 3)))
    tenths = [part for part in np.array_split(np.argsort(predicted, kind="stable"), 10) if len(part)]
    middle = [np.median(predicted[part]) for part in tenths]
    low, median, high = np.array([np.quantile(error[part], [0.1, 0.5, 0.9]) for part in tenths]).T
    axes.plot(middle, median, color=ORANGE, lw=2, label="median of each tenth")
    axes.fill_between(middle, low, high, color=ORANGE, alpha=0.14, lw=0, label="80 % of each tenth")
    axes.legend(frameon=False, loc="best")
    return figure


def forecast(truth: Truth, predicted: np.ndarray, target: str) -> "Figure":
    """The horizon of a few series, step by step: what came and what was said."""
    y = np.asarray(truth.y)
    series = np.zeros(len(y), dtype=int) if truth.series is None else truth.series
    every = np.unique(series)
    shown = every[np.linspace(0, len(every) - 1, min(SHOWN_SERIES, len(every))).round().astype(int)]
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    figure = _figure((1.6 + 3.4 * columns, 1.2 + 2.2 * lines))
    figure.suptitle(f"Forecast: {len(shown)} of {len(every)} series", fontweight="bold", color=INK)
    for axes, code in zip(figure.subplots(lines, columns, squeeze=False).flat, shown, strict=False):
        dress(axes, f"series {code}" if len(every) > 1 else "", "step", target)
        steps = np.flatnonzero(series == code)
        axes.plot(range(1, len(steps) + 1), y[steps], color=INK, lw=1.6, marker=".", label="true")
        axes.plot(range(1, len(steps) + 1), predicted[steps], color=ORANGE, lw=1.8, marker=".", label="forecast")
    for empty in figure.axes[len(shown) :]:
        empty.set_visible(False)
    figure.axes[0].legend(frameon=False, loc="best")
    return figure


def clusters(truth: Truth, predicted: np.ndarray) -> "Figure":
    """The rows on the two directions in which they differ most, coloured by cluster; noise in grey."""
    space = np.asarray(truth.space)
    rows = _some(len(space))
    centred = space - space.mean(axis=0)
    _, strength, directions = np.linalg.svd(centred[rows], full_matrices=False)
    flat = centred @ directions[:2].T
    flat = np.pad(flat, ((0, 0), (0, max(0, 2 - flat.shape[1]))))
    part = np.pad(strength**2 / max(float((strength**2).sum()), 1e-12), (0, 2))
    figure, axes = canvas(
        "Clusters", f"1st direction ({part[0]:.0%} of the spread)", f"2nd ({part[1]:.0%})", (6.2, 5.2)
    )
    for code in np.unique(predicted):
        chosen = rows[predicted[rows] == code]
        colour = PALE if code < 0 else CYCLE[int(code) % len(CYCLE)]
        name = f"{'noise' if code < 0 else f'cluster {code}'} ({np.count_nonzero(predicted == code):,})"
        axes.scatter(flat[chosen, 0], flat[chosen, 1], s=16, color=colour, alpha=_alpha(len(rows)), lw=0, label=name)
    if len(np.unique(predicted)) <= len(CYCLE) + 1:
        axes.legend(frameon=False, loc="best", markerscale=1.4)
    return figure


def standings(board: "Leaderboard") -> "Figure":
    """The leaderboard: each contender's validation score with its interval, best on top; failures with their status."""
    names = [entry.name for entry in board.entries] + [failure.name for failure in board.failures]
    better = "higher" if board.metric.direction == "max" else "lower"
    scale = f"{board.metric.title} on the validation rows ({better} is better), 95 % interval"
    size = (7.4, 1.6 + 0.36 * max(1, len(names)))
    figure, axes = canvas(f"{board.split.problem.name}: {board.metric.title}", scale, "", size)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    for place, entry in enumerate(board.entries):
        colour = ORANGE if place == 0 else BLUE
        axes.plot([entry.interval.low, entry.interval.high], [place, place], color=colour, lw=3, alpha=0.35)
        axes.plot([entry.score], [place], color=colour, marker="o", ms=7)
    for place, failure in enumerate(board.failures, len(board.entries)):
        axes.text(0.01, place, failure.status, transform=axes.get_yaxis_transform(), va="center", color="#8a8f98")
        axes.get_yticklabels()[place].set_color("#8a8f98")
    return figure


def _figure(size: tuple[float, float]) -> "Figure":
    from framework.picture import Picture

    return Picture(figsize=size, dpi=120, layout="constrained")


def canvas(title: str, x: str, y: str, size: tuple[float, float]) -> tuple["Figure", "Axes"]:
    """A figure of one plot in the house's look. size: inches."""
    figure = _figure(size)
    axes = figure.subplots()
    dress(axes, title, x, y)
    return figure, axes


def dress(axes: "Axes", title: str, x: str, y: str) -> None:
    """The house's look: title at the left, a pale grid, one axis line."""
    axes.set_title(title, loc="left", fontweight="bold", color=INK, fontsize=11)
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.grid(color="#e8eaee", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == "bottom")
        axes.spines[side].set_color(PALE)


def _some(rows: int) -> np.ndarray:
    """All rows, or as many as a scatter holds, drawn by a fixed seed."""
    if rows <= MOST_POINTS:
        return np.arange(rows)
    return np.random.default_rng(0).choice(rows, MOST_POINTS, replace=False)


def _alpha(points: int) -> float:
    return float(np.clip(25 / np.sqrt(max(points, 1)), 0.25, 0.85))
