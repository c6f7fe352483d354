"""What privacy costs and what it buys: score and leak of a federation at several ε, between a floor and no noise."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.user_error import UserError
from federated.membership import Leak, leaks
from framework.contender import Contender, Context
from framework.data.load import load
from framework.data.split import Split
from framework.leaderboard import number
from framework.metric import metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

FIGURE = "private_federation.svg"


class CurveError(UserError):
    """What no curve can be drawn of."""


@dataclass(frozen=True)
class Point:
    """A method over all seeds. asked: the ε it was given, spent: the largest that any fit cost; None: it promises
    nothing. scores: on the test rows, by seed. leaks: what attacks on it found, the first seed's; none were made
    without models to attack."""

    method: str
    asked: float | None
    spent: float | None
    scores: tuple[float, ...]
    leaks: tuple[Leak, ...]

    @property
    def score(self) -> float:
        return float(np.mean(self.scores))

    @property
    def spread(self) -> float:
        """The standard deviation between seeds, 0 for one."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else 0.0

    def to_json(self) -> dict[str, Any]:
        told = {"method": self.method, "epsilon": self.asked, "spent": self.spent, "scores": list(self.scores)}
        return {**told, "score": self.score, "attacks": [leak.to_json() for leak in self.leaks]}


@dataclass(frozen=True)
class PrivateCurve:
    """points: in the order they were asked for. delta: of every ε."""

    target: str
    metric: str
    delta: float
    points: tuple[Point, ...] = field(repr=False)

    def __str__(self) -> str:
        title = metric(self.metric).title
        head = f"{'method':24} {'ε asked':>8} {'ε spent':>8} {title:>20} {'attack AUC':>24} {'TPR at 1 %':>12}"
        lines = [head, "-" * len(head)]
        for point in self.points:
            asked = "" if point.asked is None else f"{point.asked:g}"
            spent = "" if point.spent is None else f"{point.spent:.3g}"
            score = f"{number(point.score)} ± {number(point.spread)}"
            auc = tpr = ""
            if point.leaks:
                leak = max(point.leaks, key=lambda each: each.auc)
                auc = f"{leak.auc:.3f} ({leak.auc_interval[0]:.3f} … {leak.auc_interval[1]:.3f})"
                tpr = f"{leak.tpr:.1%}"
            lines.append(f"{point.method:24} {asked:>8} {spent:>8} {score:>20} {auc:>24} {tpr:>12}")
        lines.append(
            f"{self.target}: {title} on test rows, mean and deviation of {len(self.points[0].scores)} seed(s); "
            f"δ = {self.delta:g}; the stronger of two membership attacks, 95 % interval, chance is 0.5 and 1 %"
        )
        return "\n".join(lines)

    def figure(self) -> "Figure":
        """Score against ε; the methods that promise nothing are lines across."""
        from framework.figures import BLUE, CYCLE, canvas

        title = metric(self.metric).title
        figure, axes = canvas("What privacy costs", f"ε (δ = {self.delta:g})", f"{title} of {self.target}", (7.0, 4.2))
        private = sorted(((p.asked, p) for p in self.points if p.asked is not None), key=lambda each: each[0])
        others = [point for point in self.points if point.asked is None]
        axes.errorbar(
            [epsilon for epsilon, _ in private],
            [point.score for _, point in private],
            yerr=[point.spread for _, point in private],
            color=BLUE,
            marker="o",
            capsize=3,
            label="private federation",
        )
        for point, color in zip(others, CYCLE[1:], strict=False):
            axes.axhline(point.score, color=color, lw=1.4, ls="--", label=point.method)
        axes.set_xscale("log", base=2)
        axes.set_xticks([epsilon for epsilon, _ in private], [f"{epsilon:g}" for epsilon, _ in private])
        axes.legend(frameon=False, fontsize=9)
        return figure

    def to_json(self) -> dict[str, Any]:
        points = [point.to_json() for point in self.points]
        return {"target": self.target, "metric": self.metric, "delta": self.delta, "methods": points}

    def write(self, out: str | None) -> None:
        """Writes private_federation.svg into the folder; nothing without one."""
        if out:
            part = Path(out) / f".{FIGURE}.part"
            self.figure().savefig(part, format="svg")
            part.replace(Path(out) / FIGURE)


def private_curve(
    contenders: Sequence[Contender],
    source: Any,
    *,
    target: str,
    silo: str,
    seeds: Sequence[int],
    attacked: Sequence[str] = (),
    models: int = 0,
) -> PrivateCurve:
    """Fits every contender on the same splits, one for each seed, scores it on the test rows, and attacks those that
    are named, with so many models each; 0: none is.

    Raises CurveError for no seed, or where no contender promises an ε.
    """
    asked = {each.name: promised for each in contenders if (promised := getattr(each, "privacy", None)) is not None}
    if not seeds or not asked:
        raise CurveError("a curve takes at least one seed (--seeds) and one ε (--epsilon).")
    scores: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    spent: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    splits = [load(source, target=target, silo=silo, seed=seed) for seed in seeds]
    scored = metric(splits[0].problem.metric)
    for split in splits:
        for contender in contenders:
            with TemporaryDirectory(prefix="private-") as folder:
                model = contender.fit(split.fold, Context(seed=split.seed, folder=Path(folder), teller=log.info))
            scores[contender.name].append(scored.score(split.test.truth, model.predict(split.test.X)))
            if promise := getattr(model, "privacy", None):
                spent[contender.name].append(float(promise["epsilon"]))
            log.info("seed %d: %s: %s %.4g", split.seed, contender.name, scored.name, scores[contender.name][-1])
    points = [
        Point(
            contender.name,
            asked[contender.name].epsilon if contender.name in asked else None,
            max(spent[contender.name], default=None),
            tuple(scores[contender.name]),
            _attacks(contender, splits[0], models) if models and contender.name in attacked else (),
        )
        for contender in contenders
    ]
    delta = max(promise.delta for promise in asked.values())
    return PrivateCurve(target, scored.name, delta, tuple(points))


def _attacks(contender: Contender, split: Split, models: int) -> tuple[Leak, ...]:
    return tuple(leaks(contender, split.fold, models=models, seed=split.seed))
