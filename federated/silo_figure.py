"""Methods beside one another, each silo a point: the figure of a comparison."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from framework.leaderboard import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GREY = "#8b929c"


def drawn(measured: str, errors: Mapping[str, Mapping[str, float]]) -> "Figure":
    """Each method's error on each silo, a point each; the bar, and the number at the right, are their mean.

    Silos that are alone ("local …") are grey, pooled rows ("pooled …") orange, and federations blue. measured: what an
    error is. errors: method → silo → its error.
    """
    from framework.figures import BLUE, INK, ORANGE, canvas

    figure, axes = canvas(
        "Each silo alone (grey), federated (blue), pooled (orange)", measured, "", (8.2, 1.6 + 0.34 * len(errors))
    )
    worst = max(error for each in errors.values() for error in each.values())
    for place, (method, each) in enumerate(errors.items()):
        colour = GREY if method.startswith("local") else ORANGE if method.startswith("pooled") else BLUE
        told = list(each.values())
        axes.scatter(told, np.full(len(told), place), s=22, color=colour, alpha=0.5, lw=0)
        axes.plot([np.mean(told)] * 2, [place - 0.32, place + 0.32], color=INK, lw=2)
        axes.text(1.04 * worst, place, number(float(np.mean(told))), va="center", ha="left", color=INK, fontsize=9)
    axes.text(1.04 * worst, -0.8, "mean", va="center", ha="left", color=INK, fontsize=9)
    axes.set_xlim(0, 1.02 * worst)
    axes.set_yticks(range(len(errors)), list(errors))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    return figure
