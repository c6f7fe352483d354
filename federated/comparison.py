"""Silos versus pooled: every method on the rows that each silo kept back, over paired seeds."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.user_error import UserError
from federated.silo_scores import SiloScore, r2_of, scores_of, values_of
from framework.contender import Contender, Context
from framework.contenders.lagged import Lagged
from framework.data.load import load
from framework.metric import metric
from framework.problem import Kind, Problem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)


class ComparisonError(UserError):
    """What cannot be compared."""


@dataclass(frozen=True)
class MethodScore:
    """A method over all seeds: R² over all kept rows together, its spread between seeds (None for a single one), its
    score by the problem's metric over them, the mean and the worst silo's RMSE, and the share of the way from `local`
    to `pooled` that it goes in mean RMSE (None where there is no such way)."""

    method: str
    r2: float
    r2_spread: float | None
    score: float
    mean_rmse: float
    worst_rmse: float
    gap: float | None


@dataclass(frozen=True)
class SiloComparison:
    """silos: a score for each silo, method and seed. pooled_r2: method → R² over all kept rows together, by seed;
    scores: method → the score by `metric` over them.

    local, pooled: the methods between which the gap is told; between: method → its own two, where they are others.
    """

    target: str
    metric: str
    silos: list[SiloScore] = field(repr=False)
    pooled_r2: dict[str, list[float]]
    scores: dict[str, list[float]]
    local: str
    pooled: str
    between: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def forecasts(self) -> bool:
        return any(score.mase is not None for score in self.silos)

    @property
    def methods(self) -> list[MethodScore]:
        """In the order they were given."""
        found = {method: self._rmse(method) for method in self.pooled_r2}
        return [
            MethodScore(
                method,
                float(np.mean(r2)),
                float(np.std(r2, ddof=1)) if len(r2) > 1 else None,
                float(np.mean(self.scores[method])),
                *found[method],
                self._gap(method, {name: rmse for name, (rmse, _) in found.items()}),
            )
            for method, r2 in self.pooled_r2.items()
        ]

    def __str__(self) -> str:
        from federated.silo_table import table

        return table(self)

    def figure(self) -> "Figure":
        """As `silo_figure.drawn` has it. Forecasts are drawn by MASE: beside a large series' RMSE none is seen of small
        ones'."""
        from federated.silo_figure import drawn

        measured, error = f"RMSE of {self.target} on each silo's own kept rows", "rmse"
        if self.forecasts:
            error = "mase"
            measured = (
                f"MASE of {self.target} on each silo's own kept steps (1: as good as its seasonal naive forecast)"
            )
        return drawn(measured, {method: self._by_silo(method, error) for method in self.pooled_r2})

    def to_json(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "metric": self.metric,
            "silos": [score.to_json() for score in self.silos],
            "methods": [vars(score) for score in self.methods],
        }

    def write(self, out: str | None) -> None:
        """Writes silos.svg into the folder; nothing without one."""
        if out:
            part = Path(out) / ".silos.svg.part"
            self.figure().savefig(part, format="svg", bbox_inches="tight", pad_inches=0.15)
            part.replace(Path(out) / "silos.svg")

    def _gap(self, method: str, rmse: Mapping[str, float]) -> float | None:
        local, pooled = self.between.get(method, (self.local, self.pooled))
        if local not in rmse or pooled not in rmse or not rmse[local] > rmse[pooled]:
            return None
        return (rmse[local] - rmse[method]) / (rmse[local] - rmse[pooled])

    def _by_silo(self, method: str, error: str = "rmse") -> dict[str, float]:
        """Silo → the mean error of its seeds, of those that have one."""
        told: dict[str, list[float]] = {}
        for score in self.silos:
            value = getattr(score, error)
            if score.method == method and value is not None:
                told.setdefault(score.silo, []).append(value)
        return {silo: float(np.mean(errors)) for silo, errors in told.items()}

    def _rmse(self, method: str) -> tuple[float, float]:
        rmse = list(self._by_silo(method).values())
        return float(np.mean(rmse)), float(np.max(rmse))


def compare_on_silos(
    contenders: Sequence[Contender],
    source: Any,
    *,
    target: str,
    silo: str,
    seeds: Sequence[int],
    local: str,
    pooled: str,
    between: Mapping[str, tuple[str, str]] | None = None,
    kind: Kind | None = None,
    time: str | None = None,
    horizon: int = 12,
    pairs: int = 40_000,
) -> SiloComparison:
    """Fits every contender on the same splits, one for each seed, and scores it on each silo's own test rows.

    local, pooled, between: as in `SiloComparison`. kind: of the question; read off the target by default. time: the
    column that orders rows; with kind="forecast" each silo is a series, of which the last `horizon` steps are kept
    back, and contenders that tell no forecasts are made to by `Lagged`, from at most `pairs` rows.
    Raises ComparisonError for clusters, and for no seed.
    """
    if not seeds:
        raise ComparisonError("no seed was asked for; at least 1 is needed (--seeds).")
    if kind == "clustering":
        raise ComparisonError(f"kind='clustering' has no answers, and silos are compared on answers to {target!r}.")
    asked: dict[str, Any] = {"target": target, "silo": silo, "kind": kind, "time": time}
    if kind == "forecast":
        asked |= {"series": silo, "horizon": horizon}
    scores: list[SiloScore] = []
    together: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    told_by: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for seed in seeds:
        split = load(source, **asked, seed=seed)
        judged = metric(split.problem.metric)
        for contender in contenders:
            with TemporaryDirectory(prefix="silos-") as folder:
                context = Context(seed=seed, folder=Path(folder), teller=log.info)
                model = _able(contender, split.problem, pairs).fit(split.fold, context)
            told = model.predict(split.test.X)
            told_by[contender.name].append(judged.score(split.test.truth, told))
            together[contender.name].append(r2_of(*values_of(split, told)) or 0.0)
            scores += scores_of(split, silo, contender.name, told)
            log.info("seed %d: %s: R² %.4f", seed, contender.name, together[contender.name][-1])
    return SiloComparison(target, judged.name, scores, together, told_by, local, pooled, between or {})


def _able(contender: Contender, problem: Problem, pairs: int) -> Contender:
    """The contender, or what makes forecasts of its values."""
    forecast = problem.kind == "forecast" and "forecast" not in contender.kinds
    return Lagged(contender, rows=pairs, name=contender.name) if forecast else contender
