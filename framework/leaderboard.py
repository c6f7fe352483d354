"""Who competed, how each did, and who won: immutable, in natural units, failures as rows with their reasons."""

import html
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.user_error import UserError
from framework.calibration import Checked
from framework.conformal import Coverage
from framework.contender import Contender
from framework.contest.ranked_on import RankedOn
from framework.data.frame import Truth
from framework.data.split import Split
from framework.kept import Files, write_kept
from framework.metric import Metric, metric
from framework.per_series import series_json
from framework.plain import write_json
from framework.predictor import Predictor
from framework.statistics import Gap, Interval

if TYPE_CHECKING:
    from framework.clusters import Clusters


class LeaderboardError(UserError):
    """A leaderboard without a winner."""


@dataclass(frozen=True)
class Entry:
    """A contender that finished. score and interval on the validation rows, in the metric's own units.

    noise: the p-value of "it scores as the best entry does", corrected for how many were compared (`compare`); nan for
    the best itself.
    remark: what a reader should know, such as the members of a blend. files: what its fit left beside the model.
    """

    name: str
    score: float
    interval: Interval
    seconds: float
    contender: Contender
    predicted: np.ndarray = field(repr=False, compare=False)  # on the validation rows
    noise: float = math.nan
    remark: str = ""
    files: Files = field(default_factory=dict, repr=False, compare=False)

    status = "done"

    @property
    def reason(self) -> str:
        return self.remark


@dataclass(frozen=True)
class Failure:
    """A contender that left no model.

    status: "failed", "killed", "out of memory", "out of time", "not started", or "not finished" (interrupted).
    """

    name: str
    status: str
    reason: str
    seconds: float
    contender: Contender
    traceback: str = field(default="", repr=False)


@dataclass(frozen=True)
class Winner:
    """The best entry, refit where time allowed, and its score on the test rows, which nothing else has seen."""

    name: str
    predictor: Predictor
    test_score: float
    test_interval: Interval
    predicted: np.ndarray = field(repr=False, compare=False)  # on the test rows
    refit: bool = False  # learned from train and validation rows together
    gap: Gap | None = None  # between its validation score and its test score
    calibration: Checked | None = None  # the map of its probabilities; None: they are as the model tells them
    coverage: Coverage | None = None  # what its intervals held of the test rows; None: it has none
    clusters: "Clusters | None" = None  # of a clustering: what sets them apart, and how steady they are

    def save(self, folder: Path | str) -> Path:
        """Writes the model folder that `recipes.predict` and `serve` take."""
        return self.predictor.save(folder)


@dataclass(frozen=True)
class Leaderboard:
    """The contest's result. Prints as text, shows as HTML in a notebook."""

    split: Split
    entries: tuple[Entry, ...]  # best first
    failures: tuple[Failure, ...] = ()
    champion: Winner | None = None
    seconds: float = 0.0
    interrupted: bool = False
    run_id: str | None = None
    ranked_on: RankedOn | None = field(default=None, repr=False, compare=False)  # None: the validation rows

    @property
    def metric(self) -> Metric:
        return metric(self.split.problem.metric)

    @property
    def folds(self) -> int:
        """From 2: entries were ranked on all rows that were held out of one of so many folds."""
        return self.ranked_on.folds if self.ranked_on else 1

    @property
    def truth(self) -> Truth:
        """Of the rows ranked on."""
        return (self.ranked_on or RankedOn.of(self.split.fold, [])).truth

    @property
    def rows(self) -> list[Entry | Failure]:
        """All that competed: the entries, best first, then the failures."""
        return [*self.entries, *self.failures]

    @property
    def contenders(self) -> list[Contender]:
        """What competed, to race again: `compete([*board.contenders, another], board.split)`."""
        return [row.contender for row in self.rows]

    @property
    def winner(self) -> Winner:
        """Raises LeaderboardError when no contender finished, with the first reason."""
        if self.champion is None:
            first = self.failures[0] if self.failures else None
            reason = f"{first.name}: {first.reason}" if first else "none entered"
            hint = " Give more minutes." if first and first.status in ("out of time", "not started") else ""
            raise LeaderboardError(f"no contender finished, so there is no winner ({reason}).{hint}")
        return self.champion

    def to_json(self) -> dict[str, Any]:
        """What `leaderboard.json` holds."""
        rows = [
            {
                "name": row.name,
                "validation_score": row.score if isinstance(row, Entry) else None,
                "interval": [row.interval.low, row.interval.high] if isinstance(row, Entry) else None,
                "noise": row.noise if isinstance(row, Entry) else None,
                "seconds": round(row.seconds, 3),
                "status": row.status,
                "reason": row.reason,
            }
            for row in self.rows
        ]
        won = self.champion
        winner = won and {
            "name": won.name,
            "test_score": won.test_score,
            "interval": [won.test_interval.low, won.test_interval.high],
            "refit": won.refit,
            "optimism": won.gap and [won.gap.optimism, won.gap.interval.low, won.gap.interval.high],
            "calibration": won.calibration and won.calibration.to_json(),
            "intervals": won.coverage and won.coverage.to_json(),
            "clusters": won.clusters and won.clusters.to_json(),
        }
        problem, split = self.split.problem, self.split
        return {
            "problem": {"name": problem.name, "kind": problem.kind, "target": problem.target},
            "metric": {"name": self.metric.name, "direction": self.metric.direction},
            "entries": rows,
            "winner": winner,
            **({"series": told} if (told := series_json(self)) else {}),
            "fingerprint": split.fingerprint,
            "split": {"how": split.how, "seed": split.seed, "folds": self.folds, **_sizes(split)},
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "run_id": self.run_id,
        }

    def write(self, folder: Path | str | None, *, config: dict[str, Any]) -> "Leaderboard":
        """Writes `leaderboard.json`, with the configuration that led to it, the winner's `model` folder, its clusters'
        profiles, and what fits left beside their models, in a folder of each contender's name.

        Does nothing without a folder. Returns itself.
        """
        if folder:
            write_json(Path(folder) / "leaderboard.json", {**self.to_json(), "config": config})
            if self.champion is not None:
                self.champion.save(Path(folder) / "model")
                if self.champion.clusters is not None:
                    self.champion.clusters.write(Path(folder))
            for entry in self.entries:
                write_kept(entry.files, Path(folder) / entry.name)
        return self

    def __str__(self) -> str:
        problem = self.split.problem
        better = "higher" if self.metric.direction == "max" else "lower"
        asked = f"{problem.name}: {problem.kind}, {self.metric.title} ({better} is better)"
        head = f"{asked} on {self._ranked_on()}"
        lines = [head, "", _line("", "contender", "validation", "95 % interval", "seconds", "")]
        for place, entry in enumerate(self.entries, 1):
            band = f"{number(entry.interval.low)} … {number(entry.interval.high)}"
            lines.append(_line(str(place), entry.name, number(entry.score), band, f"{entry.seconds:.1f}", _note(entry)))
        for failure in self._told():
            lines.append(_line("–", failure.name, failure.status, "", f"{failure.seconds:.1f}", failure.reason))
        if self.champion is not None:
            lines += ["", *self._verdicts(self.champion)]
        if self.interrupted:
            lines.append("Interrupted: this is the leaderboard so far.")
        return "\n".join(line.rstrip() for line in lines)

    def _verdicts(self, won: Winner) -> list[str]:
        """Who won, and all that is said of the winner."""
        grouped = won.clusters.sentences(self.entries[0].name) if won.clusters else []
        return [_verdict(won, self.metric), *_flattery(won), *_honesty(won), *grouped]

    def _told(self) -> list[Failure]:
        """The failures; those that were never started for one reason in one row."""
        rest = [failure for failure in self.failures if failure.status != "not started"]
        late: dict[str, list[Failure]] = {}
        for failure in self.failures:
            if failure.status == "not started":
                late.setdefault(failure.reason, []).append(failure)
        for reason, group in late.items():
            others = f"; nor for {', '.join(failure.name for failure in group[1:])}" if len(group) > 1 else ""
            rest.append(replace(group[0], reason=reason + others))
        return rest

    def _ranked_on(self) -> str:
        rows = f"{len(self.truth):,}"
        return (
            f"{rows} rows, each held out of one of {self.folds} folds" if self.folds > 1 else f"{rows} validation rows"
        )

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{place}</td><td>{html.escape(e.name)}</td><td align=right><b>{number(e.score)}</b></td>"
            f"<td align=right>{number(e.interval.low)} … {number(e.interval.high)}</td>"
            f"<td align=right>{e.seconds:.1f}</td><td>{html.escape(_note(e))}</td></tr>"
            for place, e in enumerate(self.entries, 1)
        )
        cells += "".join(
            f"<tr style='opacity:.6'><td>–</td><td>{html.escape(f.name)}</td><td align=right>{f.status}</td><td></td>"
            f"<td align=right>{f.seconds:.1f}</td><td>{html.escape(f.reason)}</td></tr>"
            for f in self._told()
        )
        told = self._verdicts(self.champion) if self.champion else []
        verdict = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in told)
        return (
            f"<h4>{html.escape(self.split.problem.name)}: {html.escape(self.metric.title)}</h4>"
            "<table><thead><tr><th></th><th>contender</th><th>validation</th><th>95 % interval</th><th>seconds</th>"
            f"<th></th></tr></thead><tbody>{cells}</tbody></table>{verdict}"
        )


def _sizes(split: Split) -> dict[str, int]:
    return {"train": len(split.fold.rows), "valid": len(split.fold.valid), "test": len(split.test)}


def _line(place: str, name: str, score: str, band: str, seconds: str, note: str) -> str:
    return f"{place:>3}  {name:<18} {score:>12}  {band:>21}  {seconds:>8}  {note}"


def number(value: float) -> str:
    """Four digits that matter: 0.8412, 12.31, 27840."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 1000 else f"{value:.0f}"


def _note(entry: Entry) -> str:
    tie = "not told apart from the best" if entry.noise >= 0.05 else ""
    return "; ".join(part for part in (tie, entry.remark) if part)


def _flattery(winner: Winner) -> list[str]:
    """How much better its validation score was than its test score, where that is more than chance."""
    if winner.gap is None or not winner.gap.real:
        return []
    told = f"{number(winner.gap.optimism)} ({number(winner.gap.interval.low)} … {number(winner.gap.interval.high)})"
    return [f"Its validation score flattered it by {told}: the best of many is partly the luckiest."]


def _honesty(winner: Winner) -> list[str]:
    """What was done to its answers so that they mean what they say, and what that was worth."""
    told = [f"Its probabilities are {winner.calibration}."] if winner.calibration else []
    return told + ([f"Its {winner.coverage}."] if winner.coverage else [])


def _verdict(winner: Winner, scored: Metric) -> str:
    low, high = number(winner.test_interval.low), number(winner.test_interval.high)
    again = ", refit on all rows but the test's" if winner.refit else ""
    return f"winner: {winner.name}{again}; {scored.title} on the test rows {number(winner.test_score)} ({low} … {high})"
