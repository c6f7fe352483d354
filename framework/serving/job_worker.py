"""The process of one job: does it, and writes down how far it is and how it ended."""

import _thread
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from cluster.user_error import UserError
from framework.serving.jobs import Job, Jobs
from framework.serving.request import reason

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.3  # between two looks whether the job is still wanted


class JobCancelledError(Exception):
    """The job ended before its time because it was cancelled. found: what it led to until then."""

    def __init__(self, found: dict[str, Any]) -> None:
        super().__init__("cancelled")
        self.found = found


class JobWorker:
    """A Ray actor for one job."""

    def do(self, id: str, roots: list[str], store: str, *, beside: int) -> None:
        """Does the job of this id below the first root, to its end, good or bad.

        store: the MLflow store. beside: how many jobs go on already.
        """
        signal.signal(signal.SIGINT, signal.default_int_handler)  # by which it is cancelled; Ray may have set another
        os.environ["MLFLOW_TRACKING_URI"] = store
        jobs = Jobs(roots[0])
        job = jobs.job(id)
        if job is None or job.ended is not None:
            return
        told = _Told(jobs, job)
        try:
            with _until_cancelled(jobs, id):
                found = _batch(told, roots) if job.kind == "batch" else _train(told, roots, beside)
            told.end("done", found=found)
        except JobCancelledError as cancelled:
            told.end("cancelled", found=cancelled.found)
        except KeyboardInterrupt:
            told.end("cancelled")
        except Exception as error:  # the border to a model, a contest and files
            if not isinstance(error, UserError):
                log.exception("job %s failed", id)
            told.end("failed", error=str(error) if isinstance(error, UserError) else reason(error))


class _Told:
    """The job as it was written down last."""

    def __init__(self, jobs: Jobs, job: Job) -> None:
        self.jobs, self.job = jobs, job

    def say(self, message: str, **found: Any) -> None:
        """How far it is, for whoever looks."""
        self.job = self.jobs.keep(self.job, message=message, found=self.job.found | found)

    def end(self, state: str, *, found: dict[str, Any] | None = None, error: str | None = None) -> None:
        all_found = self.job.found | (found or {})
        ended = {"state": state, "message": state, "error": error, "ended": time.time()}
        self.jobs.keep(self.job, found=all_found, **ended)


@contextlib.contextmanager
def _until_cancelled(jobs: Jobs, id: str) -> Iterator[None]:
    """Raises KeyboardInterrupt within, in the main thread, once the job is no longer wanted."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            if jobs.unwanted(id) is not None:
                _thread.interrupt_main()
                return

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()


def _batch(told: _Told, roots: list[str]) -> dict[str, Any]:
    """Scores a file."""
    from framework.registry import resolve
    from framework.scoring import score
    from framework.serving.roots import input_file, output_file

    task = told.job.task
    data, out = input_file(task["data"], roots), output_file(task["out"], roots)  # links may have moved
    told.say("scores the rows")
    scored = score(task["source"]["folder"] or resolve(task["source"]["uri"]), str(data), out)
    return {"rows": scored.rows, "warnings": list(scored.warnings)}


def _train(told: _Told, roots: list[str], beside: int) -> dict[str, Any]:
    """Holds a contest."""
    from framework.serving.training.contest_job import hold

    return hold(told.job, roots, say=told.say, beside=beside)
