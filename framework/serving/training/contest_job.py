"""A contest held by a job: told of while it runs, its winner registered where that was asked for."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from framework.contender import Contender
from framework.contest.report import Report
from framework.leaderboard import Entry, Failure, Leaderboard, number
from framework.metric import Metric, metric
from framework.serving.jobs import Job
from framework.serving.training.training import Training, confined

SAY_SECONDS = 0.5  # between two times that a job's file is written for steps alone
Say = Callable[..., None]


class Progress:
    """An `Observer` that writes a contest's state into its job.

    say: takes a sentence and what was found so far: the leaderboard's rows, the best first, how many contenders entered
    and how many are done.
    """

    def __init__(self, scored: Metric, say: Say) -> None:
        self._metric, self._say = scored, say
        self._entered = 0
        self._rows: dict[str, dict[str, Any]] = {}  # contender → its row
        self._running: dict[str, str] = {}  # contender → how far it is

    def entered(self, contenders: list[Contender]) -> None:
        self._entered = len(contenders)
        self._tell()

    def began(self, name: str) -> None:
        self._running[name] = name
        self._tell()

    def reported(self, report: Report) -> None:
        if report.contender in self._running and report.step:
            self._running[report.contender] = f"{report.contender} (step {report.step})"

    def ended(self, row: Entry | Failure) -> None:
        self._running.pop(row.name, None)
        self._rows[row.name] = row_of(row)
        self._tell()

    def closed(self, board: Leaderboard) -> None:
        self._running = {}
        self._rows = {row["contender"]: row for row in rows_of(board)}
        self._tell()

    def _tell(self) -> None:
        rows = ranked(self._rows.values(), self._metric)
        scored = [row for row in rows if row["score"] is not None]
        best = f"; best so far {scored[0]['contender']} ({number(scored[0]['score'])})" if scored else ""
        fitting = f"; fits {', '.join(self._running.values())}" if self._running else ""
        self._say(
            f"{len(rows)} of {self._entered} contenders done{best}{fitting}",
            leaderboard=rows,
            contenders=self._entered,
            contenders_done=len(rows),
            metric=self._metric.name,
        )


def hold(job: Job, roots: Sequence[str], *, say: Say, beside: int) -> dict[str, Any]:
    """Holds a job's contest; what it led to. beside: how many jobs share the cluster's CPUs with it.

    Raises JobCancelledError, with the leaderboard so far, when it was interrupted; LeaderboardError where nobody has
    finished; what `load`, `compete` and `register` raise.
    """
    from cluster.connect import connect
    from framework.contest.configured import contest_of
    from framework.registry import register
    from framework.serving.job_worker import JobCancelledError

    training = Training(**{key: job.task[key] for key in Training.__dataclass_fields__})
    config = training.to_json() | {"data": confined(training.data, roots)}
    say("reads the rows")
    workers = max(1, int(connect().cpus) // (1 + beside))
    board = contest_of(
        config,
        deadline=(job.began or time.time()) + 60 * training.minutes,
        observers=lambda split: [Progress(metric(split.problem.metric), say)],
        workers=workers,
        folds=None,
    )
    found = found_of(board)
    if board.interrupted:
        raise JobCancelledError(found)
    say(f"{board.winner.name} has won", **found)
    if training.name is None:
        return found
    version = register(board, training.name, alias=alias_of(training.name), tags={"job": job.id})
    return found | {"uri": version.uri, "version": str(version.version), "alias": version.alias}


def alias_of(name: str) -> str:
    """What the winner becomes: the champion of a new name; of one with a champion, its challenger, until promoted."""
    from framework.registry import RegistryError, versions

    try:
        return "challenger" if versions(name) else "champion"
    except RegistryError:
        return "champion"


def found_of(board: Leaderboard) -> dict[str, Any]:
    """The leaderboard's rows, the winner with its score on the test rows, and the tracked run; plain data."""
    found: dict[str, Any] = {"leaderboard": rows_of(board), "metric": board.metric.name, "run_id": board.run_id}
    if board.champion is not None:
        won = board.champion
        interval = [_finite(won.test_interval.low), _finite(won.test_interval.high)]
        found["winner"] = {"contender": won.name, "test_score": _finite(won.test_score), "interval": interval}
    return found


def rows_of(board: Leaderboard) -> list[dict[str, Any]]:
    """All its rows, in its order."""
    return [*map(row_of, board.entries), *map(row_of, board.failures)]


def row_of(row: Entry | Failure) -> dict[str, Any]:
    """A contender's row; of one that left no model, score and interval are None."""
    told: dict[str, Any] = {"contender": row.name, "score": None, "interval": None}
    if isinstance(row, Entry):
        told |= {"score": _finite(row.score), "interval": [_finite(row.interval.low), _finite(row.interval.high)]}
    return told | {"seconds": round(row.seconds, 2), "status": row.status, "reason": row.reason}


def ranked(rows: Any, scored: Metric) -> list[dict[str, Any]]:
    """The best first; those without a score last."""
    sign = -1.0 if scored.direction == "max" else 1.0
    return sorted(rows, key=lambda row: math.inf if row["score"] is None else sign * row["score"])


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
