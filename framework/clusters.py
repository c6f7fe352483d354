"""The clusters of a contest: which of those with like silhouettes come back from other draws of the rows, and what the
winner's are."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.tasks import cancel
from framework.contender import Contender, Context, Model
from framework.data.frame import Fold
from framework.profiles import Profiles, profiles
from framework.stability import Stability, stability
from framework.statistics.preference import TIED

if TYPE_CHECKING:
    from framework.contest.fits import Fits
    from framework.contest.ranking import Ranking
    from framework.data.split import Split
    from framework.leaderboard import Entry
    from framework.statistics import Prefer

SHARE = 1 / 3  # of the time that is left, for draws
MOST_SECONDS = 30.0
GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Clusters:
    """What a contest's winner makes of the rows.

    rows: train and validation rows, on which it is profiled; noise: those of them that belong to no cluster.
    steady: name → how steady its clusters are, of the winner and of those not told apart from the best; empty where
    there was no time.
    """

    name: str
    profiles: Profiles
    rows: int
    noise: int
    steady: Mapping[str, Stability] = field(default_factory=dict)

    def sentences(self, first: str) -> list[str]:
        """For a person, first why it won where `first`, the name of the best silhouette, is another."""
        own, best = self.steady.get(self.name), self.steady.get(first)
        lines = []
        if own and best and first != self.name:
            lines.append(
                f"Its silhouette is not told apart from that of {first}, and its clusters are steadier: adjusted Rand "
                f"{own.rand:.2f} against {best.rand:.2f}."
            )
        lines.append(f"Its clusters, when other rows are drawn: {own if own else 'not looked at, no time was left'}")
        if self.noise:
            lines.append(f"{self.noise:,} of {self.rows:,} rows belong to no cluster (noise)")
        return [*lines, *self.profiles.sentences()]

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "noise": self.noise,
            "stability": {name: told.to_json() for name, told in self.steady.items()},
            "profiles": self.profiles.to_json(),
        }

    def write(self, folder: Path) -> None:
        """Leaves `profiles.csv` and `profiles.json` there. Raises WriteError where that cannot be done."""
        self.profiles.write(folder)


def clusters_of(name: str, model: Model, split: "Split", steady: Mapping[str, Stability]) -> Clusters:
    """The winner's clusters, of all rows but the test's."""
    rows = split.fold.pooled().train
    told = profiles(model, rows, split.schema)
    sizes = told.table.drop_duplicates("cluster").set_index("cluster")["rows"]
    return Clusters(name, told, len(rows), int(sizes.get(-1, 0)), dict(steady))


def steadied(
    best: "Entry", ranking: "Ranking", fits: "Fits", prefer: "Prefer", *, until: float
) -> "tuple[Entry, dict[str, Stability]]":
    """Who wins a clustering: `best`, or of those not told apart from it the one whose clusters are steadier; and how
    steady all of these are. Any other contest is won by `best`.

    until: in seconds of time.time(); a third of the time is taken at most.
    """
    seconds = min(MOST_SECONDS, SHARE * (until - time.time()))
    if fits.split.problem.kind != "clustering" or seconds <= 0:
        return best, {}
    tied = [best] + [e for e in ranking.ranked() if prefer == "best" and ranking.noises.get(e.name, 0.0) >= TIED]
    named = {entry.name: entry for entry in tied}
    settled = {name: fits.of_fold(name).settled for name in named}
    steady = _drawn(settled, fits.split.fold, seconds=seconds, seed=ranking.seed)
    return named[preferred(list(named), steady)], steady


def preferred(tied: Sequence[str], steady: Mapping[str, Stability]) -> str:
    """Of those not told apart by their silhouettes, best first, the best of those as steady as the steadiest: whose
    adjusted Rand index may be as high, by both intervals. The first where that of no one, or not its own, is known."""
    known = {name: told for name in tied if (told := steady.get(name)) is not None and math.isfinite(told.rand)}
    if tied[0] not in known:
        return tied[0]
    least = max(known.values(), key=lambda told: told.rand).low
    return next(name for name in tied if name in known and known[name].high >= least)


def _drawn(contenders: Mapping[str, Contender], fold: Fold, *, seconds: float, seed: int) -> dict[str, Stability]:
    """The stability of each, side by side on the cluster's CPUs; of those that failed or were late, none."""
    import ray

    waves = math.ceil(len(contenders) / max(1.0, ray.cluster_resources().get("CPU", 1.0)))
    held, late = ray.put(fold), time.time() + seconds + GRACE_SECONDS
    draw = ray.remote(max_retries=0)(_steady)
    running = {name: draw.remote(each, held, seconds / waves, seed) for name, each in contenders.items()}
    ready, open_ = ray.wait(list(running.values()), num_returns=len(running), timeout=max(0.0, late - time.time()))
    for task in open_:
        cancel(task)
    found: dict[str, Stability] = {}
    for name, task in running.items():
        if task in ready:
            try:
                told: Stability = ray.get(task)
            except ray.exceptions.RayError:
                continue  # the winner is none the worse for a draw that could not be fit
            if np.isfinite(told.rand):
                found[name] = told
    return found


def _steady(contender: Contender, fold: Fold, seconds: float, seed: int) -> Stability:
    return stability(contender, fold, context=Context(seed=seed, deadline=time.time() + seconds))
