"""The trials of a contest as they are told: for a recipe that shows them, or a notebook."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.contender import Contender
from framework.contest.report import Report
from framework.leaderboard import Entry, Failure, Leaderboard, number
from framework.metric import Metric
from framework.plain import write_json
from framework.sweep.chart import charts, importance
from framework.sweep.trial import Trial, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOLD = 8  # trials in the table


class Heard:
    """An `Observer` that keeps every trial it hears of, and prints as a table of the best ones."""

    def __init__(self, scored: Metric, *, earlier: tuple[Trial, ...] = ()) -> None:
        """earlier: trials that ended before, in the sweep that is gone on with."""
        self.scored = scored
        self.trials = list(earlier)

    def entered(self, contenders: list[Contender]) -> None: ...

    def began(self, name: str) -> None: ...

    def reported(self, report: Report) -> None:
        if report.trial is not None:
            self.trials.append(report.trial)

    def ended(self, row: Entry | Failure) -> None: ...

    def closed(self, board: Leaderboard) -> None: ...

    @property
    def ranked(self) -> list[Trial]:
        """Those that finished, best first."""
        finished = [trial for trial in self.trials if trial.finished]
        return sorted(finished, key=lambda trial: -self.scored.sign * trial.score)

    @property
    def importance(self) -> dict[str, float]:
        return importance(self.trials)

    def figures(self) -> dict[str, "Figure"]:
        return {f"figures/{name}": figure for name, figure in charts(self.trials, self.scored).items()}

    def to_json(self) -> dict[str, Any]:
        best = [trial.number for trial in self.ranked[:1]]
        return {"trials": [trial.to_json() for trial in self.trials], "best": best, "importance": self.importance}

    def write(self, out: str | None) -> "Heard":
        """Into a folder: trials.json, and the figures as PNG; nowhere for None."""
        if out:
            write_json(Path(out) / "trials.json", self.to_json())
            for name, figure in self.figures().items():
                figure.savefig((Path(out) / Path(name).name).with_suffix(".png"), facecolor="white")
        return self

    def __str__(self) -> str:
        ended = {status: sum(t.status == status for t in self.trials) for status in ("finished", "pruned", "failed")}
        counts = ", ".join(f"{count} {status}" for status, count in ended.items() if count)
        lines = [f"{len(self.trials)} trials{f': {counts}' if counts else ''}"]
        for place, trial in enumerate(self.ranked[:TOLD], 1):
            settings = ", ".join(f"{name} {plain(value)}" for name, value in trial.settings.items()) or "its defaults"
            lines.append(f"{place:3}. {self.scored.title} {number(trial.score)}  trial {trial.number}: {settings}")
        if weights := self.importance:
            lines.append("what mattered: " + ", ".join(f"{name} {share:.0%}" for name, share in weights.items()))
        return "\n".join(lines)
