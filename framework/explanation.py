"""Why a model answers as it does: which columns it needs, what each adds to a prediction, and where it fails."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.data.frame import Frame
from framework.explainers.contributions import Contributions
from framework.explainers.counterfactual import Counterfactual
from framework.explainers.dependence import Dependence
from framework.explainers.fairness import Fairness
from framework.explainers.given import Explained, ExplanationError
from framework.explainers.lime import Lime
from framework.explainers.permutation import Importance
from framework.explainers.slices import Slices
from framework.explainers.surrogate import Surrogate
from framework.metric import Metric
from framework.plain import write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["METHODS", "Explanation", "ExplanationError", "explain"]

METHODS = ("permutation", "shap", "pdp", "lime", "counterfactual", "surrogate", "slices")
SHOWN = 8
TOLD = 5  # counterfactuals in the text
WIDTH = 28  # letters of the longest bar


@dataclass(frozen=True)
class Explanation:
    """What a winner looks at. Prints as text, shows as figures in a notebook. What was not asked for is empty or None.

    permutation: how much worse the score is with a column shuffled. shap: what each column added to each prediction.
    remarks: a sentence for each thing that was left out or cut short, and why.
    lime: a line around each row, and how steady it is. pdp: how the answer goes with single columns.
    counterfactuals: what would have to be otherwise. surrogate: a tree in its place. slices: where it is good and where
    not. fairness: gaps between the groups of a column.
    """

    name: str
    metric: Metric
    rows: int
    seconds: float
    permutation: tuple[Importance, ...] = ()
    shap: Contributions | None = None
    remarks: tuple[str, ...] = ()
    lime: Lime | None = None
    pdp: tuple[Dependence, ...] = ()
    counterfactuals: tuple[Counterfactual, ...] = ()
    surrogate: Surrogate | None = None
    slices: Slices | None = None
    fairness: Fairness | None = None

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
        """The first eight features with bars, and with which way a larger value pushes the answer; then all else."""
        shown, others = self.ranking[:SHOWN], self._others()
        wide = max((len(each.feature) for each in shown), default=0)
        most = max((each.drop for each in shown), default=0.0)
        told = [f"{self.name} looks at ({self.scale}):"] if shown else []
        for each in shown:
            bar = "█" * round(WIDTH * each.drop / most) if most > 0 and each.drop > 0 else ""
            spread = f" ± {each.spread:.2g}" if np.isfinite(each.spread) else ""
            told.append(f"  {each.feature:<{wide}}  {bar:<{WIDTH}} {each.drop:>9.3g}{spread}{self._push(each.feature)}")
        told += [line for other in others for line in str(other).splitlines()]
        told = told or [f"{self.name}: nothing to explain it by"]
        return [line.rstrip() for line in [*told, *(f"  ({remark})" for remark in self.remarks)]]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def figures(self) -> dict[str, "Figure"]:
        """File name → figure."""
        from framework.explainers.pictures import pictures

        return pictures(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data: the importances, each explained row's contributions to the first output, and the rest."""
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
        for name in ("lime", "surrogate", "slices", "fairness"):
            if (part := getattr(self, name)) is not None:
                found[name] = part.to_json()
        for name in ("pdp", "counterfactuals"):
            if parts := getattr(self, name):
                found[name] = [part.to_json() for part in parts]
        return found

    def write(self, folder: Path | str, **facts: Any) -> "Explanation":
        """Writes explanation.json, with `facts` beside it, report.html, which needs no other file, and each figure as
        PNG; every file whole or not at all. Returns itself. Raises WriteError."""
        from framework.explainers.page import write_page, write_pictures

        home = Path(folder)
        write_json(home / "explanation.json", {**self.to_json(), **facts})
        drawn = self.figures()
        write_page(self, drawn, home / "report.html")
        write_pictures(drawn, home)
        return self

    def _repr_html_(self) -> str:
        from framework.explainers.page import body

        return f"<h4>{html.escape(self.name)}: what it looks at</h4>{body(self, self.figures())}"

    def _others(self) -> list[object]:
        """What is told below the bars."""
        parts = [self.lime, self.surrogate, self.slices, self.fairness, *self.counterfactuals[:TOLD]]
        return [part for part in parts if part is not None]

    def _push(self, feature: str) -> str:
        way = self.shap.direction(feature) if self.shap is not None and feature in self.shap.features else ""
        arrow = {"rises": "▲", "falls": "▼"}.get(way)
        if arrow is None or self.shap is None:
            return ""
        what = self.shap.outputs[0] if self.shap.space.endswith("value") else f"P({self.shap.outputs[0]})"
        return f"  {arrow} {what} {way} with it"


def explain(
    winner: Explained,
    frame: Frame | pd.DataFrame | Path | str,
    *,
    methods: Sequence[str] | None = None,
    rows: int = 200,
    seconds: float = 20.0,
    by: Sequence[str] = (),
    fairness: str | None = None,
    fixed: Sequence[str] = (),
    store: str | None = None,
    seed: int = 0,
) -> Explanation:
    """What a model looks at, told from rows that it has not learned from.

    winner: a Winner, a Predictor, a model folder, or "models:/NAME@alias". frame: rows with answers: a split's, raw
    ones, or a source as `load` takes it. methods: of METHODS; by default "shap", and "permutation" where the rows have
    answers. rows: how many SHAP, LIME and counterfactuals explain, drawn from them.
    seconds: for all methods together; what does not fit is cut short and told in a remark. Many rows are explained by
    Ray tasks where a Ray session runs; they say the same.
    by: the columns of "slices"; by default all of few values. fairness: the column whose groups are compared, of a
    question with two classes. fixed: columns that no counterfactual may change. store: the registry's address.
    Raises ExplanationError for an unknown method or column, no rows, or rows without the answers that a method needs.
    """
    from framework.explainers.asked import Asked
    from framework.explainers.given import given
    from framework.explainers.survey import survey

    methods = [methods] if isinstance(methods, str) else methods
    asked = Asked(methods, rows, seconds, tuple(by), fairness, tuple(fixed), seed)
    return Explanation(**survey(given(winner, frame, store=store), asked, METHODS))


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
