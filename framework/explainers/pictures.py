"""The figures of an explanation, each by the name of its file."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from framework.explanation import Explanation


def pictures(told: "Explanation") -> dict[str, "Figure"]:
    """importance; shap (a swarm), waterfall and dependence; pdp_1 …; lime; slices; fairness: those there is something
    for."""
    from framework.explainers.dependence import dependence_curves
    from framework.explainers.drawing import importance_bars, swarm
    from framework.explainers.drawn_rows import contribution_points, lime_bars, telling, waterfall
    from framework.explainers.fairness import fairness_bars
    from framework.explainers.slices import slice_points

    drawn: dict[str, Figure] = {}
    if told.ranking:
        drawn["importance"] = importance_bars(told.ranking, told.scale)
    if told.shap is not None and len(told.shap.features):
        first = told.shap.features[int(np.abs(told.shap.values[:, :, 0]).mean(axis=0).argmax())]
        drawn["shap"] = swarm(told.shap)
        drawn["waterfall"] = waterfall(told.shap, telling(told.shap))
        drawn["dependence"] = contribution_points(told.shap, first)
    drawn |= {f"pdp_{place}": dependence_curves(each) for place, each in enumerate(told.pdp, 1)}
    if told.lime is not None:
        drawn["lime"] = lime_bars(told.lime)
    if told.slices is not None and told.slices.segments:
        drawn["slices"] = slice_points(told.slices)
    if told.fairness is not None:
        drawn["fairness"] = fairness_bars(told.fairness)
    return drawn
