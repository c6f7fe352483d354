"""Silos versus pooled: every method on the rows that each silo kept back, over paired seeds."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.user_error import UserError
from framework.contender import Contender, Context
from framework.data.load import load
from framework.data.split import Split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

LEAST_TOLD = 2  # rows of a silo below which no R² can be told


class ComparisonError(UserError):
    """What cannot be compared."""


@dataclass(frozen=True)
class SiloScore:
    """How a method answers the rows that a silo kept back. rows: how many; r2: None where they are too few or all
    alike; rmse: in the target's own units."""

    silo: str
    rows: int
    method: str
    seed: int
    r2: float | None
    rmse: float


@dataclass(frozen=True)
class MethodScore:
    """A method over all seeds: R² over all kept rows together, its spread between seeds (None for a single one), the
    mean and the worst silo's RMSE, and the share of the way from `local` to `pooled` that it goes in mean RMSE (None
    where there is no such way)."""

    method: str
    r2: float
    r2_spread: float | None
    mean_rmse: float
    worst_rmse: float
    gap: float | None


@dataclass(frozen=True)
class SiloComparison:
    """silos: a score for each silo, method and seed. pooled_r2: method → R² over all kept rows together, by seed.

    local, pooled: the methods between which the gap is told; between: method → its own two, where they are others.
    """

    target: str
    silos: list[SiloScore] = field(repr=False)
    pooled_r2: dict[str, list[float]]
    local: str
    pooled: str
    between: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def methods(self) -> list[MethodScore]:
        """In the order they were given."""
        found = {method: self._rmse(method) for method in self.pooled_r2}
        return [
            MethodScore(
                method,
                float(np.mean(r2)),
                float(np.std(r2, ddof=1)) if len(r2) > 1 else None,
                *found[method],
                self._gap(method, {name: rmse for name, (rmse, _) in found.items()}),
            )
            for method, r2 in self.pooled_r2.items()
        ]

    def __str__(self) -> str:
        head = f"{'method':24} {'R²':>15} {'mean RMSE':>12} {'worst silo':>12} {'gap closed':>11}"
        lines = [head, "-" * len(head)]
        for each in self.methods:
            gap = "" if each.gap is None else f"{each.gap:.0%}"
            r2 = f"{each.r2:.4f}" + ("" if each.r2_spread is None else f" ± {each.r2_spread:.4f}")
            lines.append(f"{each.method:24} {r2:>15} {each.mean_rmse:12.5g} {each.worst_rmse:12.5g} {gap:>11}")
        seeds, silos = len({score.seed for score in self.silos}), len({score.silo for score in self.silos})
        spread = "; ± between seeds" if seeds > 1 else ": no spread is known"
        lines.append(f"{self.target}: {silos} silos; RMSE of a silo's own kept rows; {seeds} seed(s){spread}")
        return "\n".join(lines)

    def figure(self) -> "Figure":
        """Each method's RMSE on each silo, the mean of the seeds, a point each; the bar is their mean."""
        from framework.figures import BLUE, INK, canvas

        names = list(self.pooled_r2)
        size = (7.4, 2.2 + 0.3 * len(names))
        figure, axes = canvas("Silos versus pooled", f"RMSE of {self.target} on each silo", "", size)
        for place, method in enumerate(names):
            rmse = list(self._by_silo(method).values())
            axes.scatter(rmse, np.full(len(rmse), place), s=18, color=BLUE, alpha=0.45, lw=0)
            axes.plot([np.mean(rmse)] * 2, [place - 0.3, place + 0.3], color=INK, lw=2)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        return figure

    def to_json(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "silos": [vars(score) for score in self.silos],
            "methods": [vars(score) for score in self.methods],
        }

    def write(self, out: str | None) -> None:
        """Writes silos.svg into the folder; nothing without one."""
        if out:
            part = Path(out) / ".silos.svg.part"
            self.figure().savefig(part, format="svg")
            part.replace(Path(out) / "silos.svg")

    def _gap(self, method: str, rmse: Mapping[str, float]) -> float | None:
        local, pooled = self.between.get(method, (self.local, self.pooled))
        if local not in rmse or pooled not in rmse or not rmse[local] > rmse[pooled]:
            return None
        return (rmse[local] - rmse[method]) / (rmse[local] - rmse[pooled])

    def _by_silo(self, method: str) -> dict[str, float]:
        """Silo → the mean RMSE of its seeds."""
        told: dict[str, list[float]] = {}
        for score in self.silos:
            if score.method == method:
                told.setdefault(score.silo, []).append(score.rmse)
        return {silo: float(np.mean(rmse)) for silo, rmse in told.items()}

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
) -> SiloComparison:
    """Fits every contender on the same splits, one for each seed, and scores it on each silo's own test rows.

    local, pooled, between: as in `SiloComparison`. Raises ComparisonError for classes, and for no seed.
    """
    if not seeds:
        raise ComparisonError("no seed was asked for; at least 1 is needed (--seeds).")
    scores: list[SiloScore] = []
    together: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for seed in seeds:
        split = load(source, target=target, silo=silo, seed=seed)
        if split.problem.kind != "regression":
            raise ComparisonError(f"{target!r} asks a {split.problem.kind} question; silos are compared on quantities.")
        for contender in contenders:
            with TemporaryDirectory(prefix="silos-") as folder:
                model = contender.fit(split.fold, Context(seed=seed, folder=Path(folder), teller=log.info))
            told = model.predict(split.test.X)
            together[contender.name].append(_r2(split.test.y, told) or 0.0)
            scores += _scores(split, silo, contender.name, told)
            log.info("seed %d: %s: R² %.4f", seed, contender.name, together[contender.name][-1])
    return SiloComparison(target, scores, together, local, pooled, between or {})


def _scores(split: Split, silo: str, method: str, told: np.ndarray) -> list[SiloScore]:
    names = split.test.X[silo].astype(str).to_numpy()
    made = []
    for name in sorted(set(names)):
        chosen = names == name
        y, error = split.test.y[chosen], split.test.y[chosen] - told[chosen]
        rmse = float(np.sqrt(np.mean(error**2)))
        made.append(SiloScore(name, int(chosen.sum()), method, split.seed, _r2(y, told[chosen]), rmse))
    return made


def _r2(y: np.ndarray, told: np.ndarray) -> float | None:
    spread = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((y - told) ** 2).sum()) / spread if len(y) >= LEAST_TOLD and spread > 0 else None
