"""One contest in the tracker: a parent run, and a child run for each contender, written while it goes on."""

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from framework.contender import Contender
from framework.contest.report import Report
from framework.leaderboard import Entry, Failure, Leaderboard
from framework.metric import metric
from framework.provenance import provenance
from framework.tracking import PATIENCE_SECONDS

if TYPE_CHECKING:
    from framework.data.split import Split
    from framework.sweep.trial import Trial
    from framework.tracking import Tracker

FLUSH_SECONDS = 1.0  # how often a contender's steps are written
ENDED = {"failed": "FAILED", "out of memory": "FAILED"}  # a failure's status → its run's; any other is KILLED


class ContestRun:
    """An `Observer`: its methods hand over what happened and return at once.

    A context manager: whatever still runs when it is left ends as FINISHED, FAILED or, after Ctrl-C, KILLED.
    """

    def __init__(self, tracker: "Tracker", split: "Split", config: dict[str, Any], name: str) -> None:
        self.tracker = tracker
        self.split = split
        self._name, self._config = name, config
        self._contenders: dict[str, Contender] = {}
        self._steps: dict[str, list[Report]] = {}  # reports that are not handed over yet
        self._flushed: dict[str, float] = {}
        # What follows belongs to the writing thread.
        self._run_id: str | None = None
        self._children: dict[str, str] = {}  # contender → run id
        self._trials: dict[str, list[Trial]] = {}  # contender → what its sweep tried
        self._open: set[str] = set()  # runs that have not ended

    def __enter__(self) -> "ContestRun":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        self.end("KILLED" if interrupted else "FAILED" if kind else "FINISHED")
        self.tracker.drain()

    def run_id(self, seconds: float = PATIENCE_SECONDS) -> str | None:
        """The parent run's id, once all that happened is written; None when it could not be logged."""
        self.tracker.drain(seconds)
        return self._run_id

    def entered(self, contenders: list[Contender]) -> None:
        self._contenders = {contender.name: contender for contender in contenders}
        began = time.time()
        self.tracker.do(lambda: self._begin(began))

    def began(self, name: str) -> None:
        began = time.time()
        self.tracker.do(lambda: self._child(name, began))

    def reported(self, report: Report) -> None:
        if not report.metrics:
            return
        if (trial := report.trial) is not None:
            self.tracker.do(lambda: self._log_trial(report.contender, trial))
        self._steps.setdefault(report.contender, []).append(report)
        if report.time - self._flushed.get(report.contender, 0.0) > FLUSH_SECONDS:
            self._flush(report.contender)

    def ended(self, row: Entry | Failure) -> None:
        self._flush(row.name)
        self._contenders.setdefault(row.name, row.contender)
        ended = time.time()
        self.tracker.do(lambda: self._finish(row, ended))

    def closed(self, board: Leaderboard) -> None:
        for name in list(self._steps):
            self._flush(name)
        self.tracker.do(lambda: self._conclude(board))

    def add(self, files: Mapping[str, Any]) -> None:
        """Adds files to the parent run: a matplotlib figure under its name with .png, plain data with .json, text as
        it is named."""
        self.tracker.do(lambda: self._write(str(self._run_id), files))

    def end(self, status: str) -> None:
        """Ends every run that is still open; does nothing where none is."""
        self.tracker.do(lambda: self._end_all(status))

    def _begin(self, began: float) -> None:
        split, problem, facts = self.split, self.split.problem, provenance()
        tags = facts | {"contest": problem.name, "fingerprint": split.fingerprint, "seed": str(split.seed)}
        if "git_commit" in facts:
            tags["mlflow.source.git.commit"] = facts["git_commit"].split()[0]
        self._run_id = self.tracker.start(self._name, began=began, tags=tags)
        self._open.add(self._run_id)
        rows = {"train": len(split.fold.rows), "valid": len(split.fold.valid), "test": len(split.test)}
        params = {f"problem.{key}": value for key, value in asdict(problem).items()}
        params |= {f"config.{key}": value for key, value in self._config.items()}
        params |= {f"rows.{part}": count for part, count in rows.items()} | {"split": split.how, "seed": split.seed}
        self.tracker.facts(self._run_id, params=params)
        profile = {"rows": rows, "columns": {column.name: column.kind for column in split.schema.columns}}
        self.tracker.dataset(
            self._run_id, name=problem.name, fingerprint=split.fingerprint, source=split.source, profile=profile
        )
        self._write(self._run_id, {"config": self._config, "environment": facts, "quality": split.quality.to_json()})

    def _child(self, name: str, began: float) -> str:
        """The contender's run, begun where it has none."""
        if name not in self._children:
            tags = {"contest": self.split.problem.name, "contender": name}
            run_id = self.tracker.start(name, parent=self._run_id, began=began, tags=tags)
            self._children[name] = run_id
            self._open.add(run_id)
            if name in self._contenders:
                self.tracker.facts(run_id, params=fields_of(self._contenders[name]))
        return self._children[name]

    def _flush(self, name: str) -> None:
        reports = self._steps.pop(name, [])
        self._flushed[name] = time.time()
        if reports:
            self.tracker.do(lambda: self._log_steps(name, reports))

    def _log_steps(self, name: str, reports: list[Report]) -> None:
        run_id = self._child(name, reports[0].time)
        named = [(r, "refit/" if r.refit else "") for r in reports]
        self.tracker.steps(run_id, [(r.time, r.step, {p + k: v for k, v in r.metrics.items()}) for r, p in named])

    def _log_trial(self, name: str, trial: "Trial") -> None:
        """A trial as a child run of its contender's run."""
        tags = {"contest": self.split.problem.name, "contender": name, "trial": str(trial.number)}
        parent = self._child(name, trial.began)
        run_id = self.tracker.start(f"{name} trial {trial.number}", parent=parent, began=trial.began, tags=tags)
        metrics = {"seconds": trial.seconds}
        if trial.finished:
            metrics[f"validation/{self.split.problem.metric}"] = trial.score
        marks = {"status": trial.status, "reason": trial.reason}
        self.tracker.facts(run_id, params={**trial.settings}, tags=marks, metrics=metrics)
        self.tracker.steps(run_id, [(trial.began + trial.seconds, step, {"loss": loss}) for step, loss in trial.steps])
        self.tracker.stop(run_id, "FAILED" if trial.status == "failed" else "FINISHED", trial.began + trial.seconds)
        self._trials.setdefault(name, []).append(trial)

    def _finish(self, row: Entry | Failure, ended: float) -> None:
        run_id = self._child(row.name, ended - row.seconds)
        metrics = {"seconds": row.seconds}
        if isinstance(row, Entry):
            scored = f"validation/{self.split.problem.metric}"
            metrics |= {scored: row.score, f"{scored}_low": row.interval.low, f"{scored}_high": row.interval.high}
        self.tracker.facts(run_id, tags={"status": row.status, "reason": row.reason}, metrics=metrics)
        if isinstance(row, Failure) and row.traceback:
            self._write(run_id, {"traceback.txt": row.traceback})
        if tried := self._trials.get(row.name):
            from framework.sweep.chart import charts

            drawn = charts(tried, metric(self.split.problem.metric))
            trials = [trial.to_json() for trial in tried]
            self._write(run_id, {"trials": trials, **{f"figures/{name}": figure for name, figure in drawn.items()}})
        if isinstance(row, Entry) and row.files:
            self._write(run_id, row.files)
        self._end(run_id, "FINISHED" if isinstance(row, Entry) else ENDED.get(row.status, "KILLED"), ended)

    def _conclude(self, board: Leaderboard) -> None:
        from framework.figures import figures, standings
        from framework.per_series import figure, of_board

        run_id = str(self._run_id)
        metrics = {"seconds": board.seconds, "contenders": float(len(board.contenders))}
        tags: dict[str, Any] = {"interrupted": board.interrupted}
        files: dict[str, Any] = {"figures/leaderboard": standings(board)}
        won, scored = board.champion, self.split.problem.metric
        if won is not None:
            low, high = won.test_interval.low, won.test_interval.high
            metrics |= {f"validation/{scored}": board.entries[0].score, f"test/{scored}": won.test_score}
            metrics |= {f"test/{scored}_low": low, f"test/{scored}_high": high}
            tags["winner"] = won.name
            truth, classes = self.split.test.truth, self.split.schema.classes
            drawn = figures(self.split.problem, truth, won.predicted, classes=classes)
            files |= {f"figures/{name}": figure for name, figure in drawn.items()}
            files |= {"figures/profiles": won.clusters.profiles.figure()} if won.clusters else {}
            by_series = of_board(board)
            if len(by_series) > 1:
                files["figures/by_series"] = figure(board.metric, by_series)
        self.tracker.facts(run_id, tags=tags, metrics=metrics)
        tracked = replace(board, run_id=run_id)
        self._write(run_id, {"leaderboard": tracked.to_json(), "leaderboard.html": tracked._repr_html_(), **files})
        self._end_all("KILLED" if board.interrupted else "FINISHED")

    def _write(self, run_id: str, files: Mapping[str, Any]) -> None:
        """All files in one call: an artifact store at the other end of a line is asked once."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if hasattr(content, "savefig"):
                    content.savefig(path.with_name(path.name + ".png"), facecolor="white")
                elif isinstance(content, str):
                    path.write_text(content, encoding="utf-8")
                elif isinstance(content, bytes):
                    path.write_bytes(content)
                else:
                    text = json.dumps(content, indent=1, ensure_ascii=False, default=str)
                    path.with_name(path.name + ".json").write_text(text, encoding="utf-8")
            self.tracker.files(run_id, Path(folder))

    def _end_all(self, status: str) -> None:
        """Contenders that have not ended were stopped; the contest ends as it is told."""
        for run_id in self._open - {self._run_id}:
            self._end(run_id, "KILLED", time.time())
        if self._run_id in self._open:
            self._end(self._run_id, status, time.time())

    def _end(self, run_id: str, status: str, ended: float) -> None:
        self.tracker.stop(run_id, status, ended)
        self._open.discard(run_id)


def fields_of(value: Any) -> dict[str, Any]:
    """A contender's hyperparameters as name → value, those of a contender inside another one dotted."""
    if not is_dataclass(value) or isinstance(value, type):
        return {}
    found: dict[str, Any] = {}
    for key, inner in asdict(value).items():
        if isinstance(inner, dict):
            found |= {f"{key}.{deep}": each for deep, each in inner.items()}
        else:
            found[key] = inner
    return found
