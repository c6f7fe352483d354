"""Fits under way on a Ray cluster: started, heard, ended in time, whatever they do."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from cluster.tasks import cancel
from framework.contender import Contender
from framework.contest.attempt import Crash, Fit, attempt
from framework.contest.report import Report, Reports
from framework.data.frame import Fold
from framework.scratch import sweep

POLL_SECONDS = 0.1
HEAR_SECONDS = 2.0  # how long a look at the fits' reports may take
ENDED_SECONDS = 10.0  # and one after which a fit's reports would be heard no more
GRACE_SECONDS = 1.5  # how long past the time of all a fit may still hand in its model before its process is killed
SLACK_SECONDS = 4.0  # the same past its own time: a killed process costs more, for another has to start and import
SWEEP_SECONDS = 2.0  # for killed processes to be gone, whose folders are removed then
DIED = "its worker process died (killed, or crashed in native code)"


@dataclass(frozen=True)
class Done:
    """A fit that left a model; `packed` refers to its archive in the object store."""

    contender: Contender
    fit: Fit
    packed: Any
    refit: bool
    held: int = 0  # the fold held out


@dataclass(frozen=True)
class Lost:
    """A fit that left none. status as in `leaderboard.Failure`."""

    contender: Contender
    status: str
    reason: str
    seconds: float
    refit: bool
    traceback: str = field(default="", repr=False)


@dataclass
class _Runner:
    contender: Contender
    packed: Any
    seconds: float
    refit: bool
    until: float
    held: int = 0
    began: float | None = None

    @property
    def lasted(self) -> float:
        return 0.0 if self.began is None else time.time() - self.began

    @property
    def limit(self) -> float:
        """When it is killed. One that still waits for a CPU of a busy cluster has not used its own time yet."""
        end = self.until + GRACE_SECONDS
        return end if self.began is None else min(end, self.began + self.seconds + SLACK_SECONDS)


class Race:
    """The fits of one contest. A context manager: whatever happens, nothing of it runs on after."""

    def __init__(
        self,
        fold: Fold,
        *,
        seed: int,
        cpus: float,
        hear: Callable[[Contender, Report], None],
        checkpoints: str | None = None,
        held: Sequence[np.ndarray] = (),
    ) -> None:
        """hear: told of every report of a first fit (not of a refit, nor of any fold but the first), in order.

        held: the rows that each fold holds out, where a contender is fit once for each (`framework.data.kfold`).
        """
        import ray

        self.seed, self.cpus, self.hear, self.checkpoints = seed, cpus, hear, checkpoints
        self.held = list(held)
        self.name = secrets.token_hex(3)
        self.running: dict[Any, _Runner] = {}
        # No retries: a second attempt would spend another contender's time, and a crash is a row.
        self.attempt = ray.remote(num_returns=2, max_retries=0)(attempt)
        # Beside us: what conducts the workers, and what hears them, must not stand on a node that comes and goes.
        self.here = {"label_selector": {"ray.io/node-id": ray.get_runtime_context().get_node_id()}}
        self.asked: Any = None  # for reports that have not come yet
        self.reports = ray.remote(Reports).options(num_cpus=0, **self.here).remote()
        self.fold = ray.put(fold)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        import ray

        self.stop("the contest ended")
        ray.kill(self.reports)
        sweep(self.name, seconds=SWEEP_SECONDS)

    def has_room(self, contender: Contender) -> bool:
        """Whether the cluster's CPUs hold one more; an empty track holds any."""
        used = sum(_cpus(runner.contender) for runner in self.running.values())
        return not self.running or used + _cpus(contender) <= self.cpus

    def start(self, contender: Contender, *, seconds: float, until: float, refit: bool = False, held: int = 0) -> None:
        """Starts a fit that may take this long once it runs, and never beyond `until` (a moment of time.time()).

        refit: on train and validation rows together. held: the fold whose rows are held out, where there are folds.
        """
        options = {**contender.resources.options(), "name": f"fit {contender.name}"}
        if contender.resources.apart:
            options |= self.here
        folder = f"{contender.name}-refit" if refit else f"{contender.name}-{held}" if held else contender.name
        told, packed = self.attempt.options(**options).remote(
            self.fold,
            contender,
            pooled=refit,
            deadline=until,
            seconds=seconds,
            seed=self.seed,
            checkpoints=None if self.checkpoints is None else f"{self.checkpoints.rstrip('/')}/{folder}",
            reports=self.reports,
            race=self.name,
            held=(held, self.held[held]) if self.held and not refit else None,
        )
        self.running[told] = _Runner(contender, packed, seconds, refit, until, held)

    def poll(self) -> list[Done | Lost]:
        """Waits a moment; hears reports; returns what has ended since, killing what is past its time."""
        import ray

        if not self.running:
            return []
        ready, _ = ray.wait(list(self.running), num_returns=len(self.running), timeout=POLL_SECONDS)
        self._listen(ENDED_SECONDS if ready else HEAR_SECONDS)
        ended = [_outcome(told, self.running.pop(told)) for told in ready]
        for told, runner in list(self.running.items()):
            if time.time() > runner.limit:
                cancel(told)
                self.running.pop(told)
                waited = runner.began is None
                reason = "it got no CPU of the cluster" if waited else f"not done after its {runner.seconds:.0f} s"
                ended.append(Lost(runner.contender, "out of time", reason, runner.lasted, runner.refit))
        return ended

    def stop(self, why: str) -> list[Lost]:
        """Ends all that runs."""
        for told in self.running:
            cancel(told)
        lost = [Lost(r.contender, "not finished", why, r.lasted, r.refit) for r in self.running.values()]
        self.running.clear()
        return lost

    def _drained(self, seconds: float) -> list[Report]:
        """The reports that have come. A busy or lost actor costs the live view, not the contest; a late answer is
        waited for again, for its reports are nowhere else."""
        import ray

        if self.asked is None:
            self.asked = self.reports.drain.remote()
        try:
            reports: list[Report] = ray.get(self.asked, timeout=seconds)
        except ray.exceptions.GetTimeoutError:
            return []
        except ray.exceptions.RayActorError:
            reports = []
        self.asked = None
        return reports

    def _listen(self, seconds: float) -> None:
        late = self.asked is not None  # what was asked earlier may have come before a fit's last words
        reports = self._drained(seconds) + (self._drained(seconds) if late else [])
        runners = {(runner.contender.name, runner.refit, runner.held): runner for runner in self.running.values()}
        for report in reports:
            runner = runners.get((report.contender, report.refit, report.held))
            if runner is None:
                continue
            if not report.metrics and not report.remark:
                runner.began = report.time
            if not report.refit and not report.held:
                self.hear(runner.contender, report)


def _outcome(told: Any, runner: _Runner) -> Done | Lost:
    """What became of a task that ended, well or not."""
    import ray

    def lost(status: str, reason: str, traceback: str = "") -> Lost:
        return Lost(runner.contender, status, reason, runner.lasted, runner.refit, traceback)

    try:
        fit: Fit | Crash = ray.get(told)
    except ray.exceptions.OutOfMemoryError:
        return lost("out of memory", "Ray ended it: the node ran out of memory")
    except ray.exceptions.TaskCancelledError:
        return lost("out of time", "cancelled")
    except ray.exceptions.WorkerCrashedError:
        return lost("killed", DIED)
    except ray.exceptions.RayError as error:
        return lost("killed", str(error).strip().splitlines()[0])
    if isinstance(fit, Crash):
        return lost(fit.status, str(fit), fit.traceback)
    return Done(runner.contender, fit, runner.packed, runner.refit, runner.held)


def _cpus(contender: Contender) -> float:
    return contender.resources.cpus * contender.resources.workers
