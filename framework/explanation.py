"""Why a model answers as it does: which columns it needs, and what each adds to a prediction."""

import base64
import html
import io
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.user_error import UserError
from framework.data.frame import Frame
from framework.explainers.contributions import Contributions
from framework.explainers.permutation import Importance, permutation
from framework.explainers.shap import attribute
from framework.metric import Metric, metric
from framework.predictor import Predictor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

METHODS = ("permutation", "shap")
SHOWN = 8
WIDTH = 28  # letters of the longest bar


class ExplanationError(UserError):
    """A method that is unknown, or nothing to explain with."""


@dataclass(frozen=True)
class Explanation:
    """What a winner looks at. Prints as text, shows as figures in a notebook.

    permutation: how much worse the score is with a column shuffled; empty where it was not asked for.
    shap: what each column added to each prediction; None where it was not asked for or could not be had.
    remarks: a sentence for each thing that was left out or cut short, and why.
    """

    name: str
    metric: Metric
    rows: int
    seconds: float
    permutation: tuple[Importance, ...] = ()
    shap: Contributions | None = None
    remarks: tuple[str, ...] = ()

    @property
    def ranking(self) -> tuple[Importance, ...]:
        """The features, most important first: by permutation, else by the mean size of their contributions."""
        if self.permutation or self.shap is None:
            return self.permutation
        sizes = self.shap.importance()
        order = np.argsort(-sizes, kind="stable")
        return tuple(Importance(self.shap.features[place], float(sizes[place]), float("nan")) for place in order)

    @property
    def scale(self) -> str:
        """What the ranking's numbers are."""
        if self.permutation:
            return f"{self.metric.title} lost when the column is shuffled"
        return f"mean contribution ({self.shap.space})" if self.shap is not None else ""

    def lines(self) -> list[str]:
        """The first eight features with bars, and with which way a larger value pushes the answer."""
        shown = self.ranking[:SHOWN]
        wide = max((len(each.feature) for each in shown), default=0)
        most = max((each.drop for each in shown), default=0.0)
        told = [f"{self.name} looks at ({self.scale}):"] if shown else [f"{self.name}: nothing to explain it by"]
        for each in shown:
            bar = "█" * round(WIDTH * each.drop / most) if most > 0 and each.drop > 0 else ""
            spread = f" ± {each.spread:.2g}" if np.isfinite(each.spread) else ""
            told.append(f"  {each.feature:<{wide}}  {bar:<{WIDTH}} {each.drop:>9.3g}{spread}{self._push(each.feature)}")
        return [line.rstrip() for line in [*told, *(f"  ({remark})" for remark in self.remarks)]]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def figures(self) -> dict[str, "Figure"]:
        """File name → figure."""
        from framework.explainers.drawing import importance_bars, swarm

        drawn = {"importance": importance_bars(self.ranking, self.scale)} if self.ranking else {}
        return drawn | ({"shap": swarm(self.shap)} if self.shap is not None and len(self.shap.features) else {})

    def to_json(self) -> dict[str, Any]:
        """Plain data: the importances, and each explained row's contributions to the first output."""
        found: dict[str, Any] = {
            "name": self.name,
            "metric": self.metric.name,
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
            "remarks": list(self.remarks),
            "permutation": [
                {"feature": each.feature, "drop": each.drop, "std": _or_none(each.spread)} for each in self.permutation
            ],
        }
        if self.shap is not None:
            sizes = zip(self.shap.features, self.shap.importance().tolist(), strict=True)
            found["shap"] = {
                "how": self.shap.how,
                "space": self.shap.space,
                "output": self.shap.outputs[0],
                "mean_size": dict(sorted(sizes, key=lambda pair: -pair[1])),
                "base": float(self.shap.base[0]),
                "features": list(self.shap.features),
                "contributions": self.shap.values[:, :, 0].tolist(),
            }
        return found

    def _repr_html_(self) -> str:
        pictures = "".join(
            f'<img style="max-width:48%;vertical-align:top" alt="{name}" src="data:image/png;base64,{_png(figure)}">'
            for name, figure in self.figures().items()
        )
        remarks = "".join(f"<p><small>{html.escape(remark)}</small></p>" for remark in self.remarks)
        return f"<h4>{html.escape(self.name)}: what it looks at</h4>{pictures}{remarks}"

    def _push(self, feature: str) -> str:
        way = self.shap.direction(feature) if self.shap is not None and feature in self.shap.features else ""
        arrow = {"rises": "▲", "falls": "▼"}.get(way)
        if arrow is None or self.shap is None:
            return ""
        what = self.shap.outputs[0] if self.shap.space.endswith("value") else f"P({self.shap.outputs[0]})"
        return f"  {arrow} {what} {way} with it"


def explain(
    predictor: Predictor,
    frame: Frame,
    *,
    methods: Sequence[str] = METHODS,
    rows: int = 200,
    seconds: float = 20.0,
    seed: int = 0,
) -> Explanation:
    """What a predictor looks at, told from rows it has not learned from.

    frame: rows with answers, conformed to the predictor's schema. rows: how many SHAP explains, drawn from it.
    seconds: for all methods together; what does not fit is cut short and told in a remark.
    Raises ExplanationError for an unknown method or a frame without rows.
    """
    if unknown := [method for method in methods if method not in METHODS]:
        raise ExplanationError(f"method {unknown[0]!r} is unknown; there are: {', '.join(METHODS)}.")
    if len(frame) == 0:
        raise ExplanationError("there are no rows to explain the model by. Pass a frame that has some.")
    began, scored = time.monotonic(), metric(predictor.problem.metric)
    remarks: list[str] = []
    shuffled: tuple[Importance, ...] = ()
    added: Contributions | None = None
    if "permutation" in methods:
        share = seconds / 2 if "shap" in methods else seconds
        try:
            shuffled = permutation(predictor.model, frame, scored, seconds=share, seed=seed)
        except Exception as error:  # a border: a model that cannot be explained is still the winner
            remarks.append(f"permutation: left out ({type(error).__name__}: {error}).")
        if shuffled and (late := len(frame.X.columns) - len(shuffled)):
            remarks.append(f"permutation: {late} columns were not reached in {share:.0f} s.")
    if "shap" in methods and predictor.problem.kind == "clustering":
        remarks.append("shap: left out, because a cluster's number is no quantity that columns could add to.")
    elif "shap" in methods:
        left = max(1.0, seconds - (time.monotonic() - began))
        try:
            added, more = attribute(predictor.model, predictor.schema, frame, rows=rows, seconds=left, seed=seed)
            remarks += more
        except Exception as error:  # the same border
            log.debug("shap failed", exc_info=True)
            remarks.append(f"shap: left out ({type(error).__name__}: {error}).")
    taken = time.monotonic() - began
    return Explanation(predictor.name, scored, len(frame), taken, shuffled, added, tuple(remarks))


def _png(figure: "Figure") -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor="white")
    return base64.b64encode(stream.getvalue()).decode()


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
