"""Scores the files of waiting jobs, one after the other, in a Ray actor that outlives the HTTP replicas."""

import logging
import time
from typing import Any

from cluster.user_error import UserError
from framework.serving.jobs import Job, Jobs
from framework.serving.request import reason
from framework.serving.roots import input_file, output_file

log = logging.getLogger(__name__)

NAME, NAMESPACE = "batch-jobs", "contenders"
MOST_ATTEMPTS = 2  # of a job whose process died under it


class BatchRunner:
    """One for each folder of jobs. One job at a time: two would take each other's CPUs and wait for ever."""

    def __init__(self) -> None:
        self._roots: list[str] = []

    def work(self, roots: list[str]) -> int:
        """Does all jobs that wait below the first root, and those that a runner left behind when it died; how many."""
        self._roots, self._jobs = roots, Jobs(roots[0])
        done = 0
        while unfinished := self._jobs.unfinished():
            self._do(unfinished[0])
            done += 1
        return done

    def _do(self, job: Job) -> None:
        if job.attempts >= MOST_ATTEMPTS:
            error = f"the process that did it died, {job.attempts} times."
            self._jobs.keep(job, state="failed", ended=time.time(), error=error)
            return
        job = self._jobs.keep(job, state="running", attempts=job.attempts + 1, began=time.time())
        try:
            found = self._score(job)
            self._jobs.keep(job, state="done", ended=time.time(), rows=found.rows, warnings=found.warnings)
        except Exception as error:  # the border to a model and to files: the next job is done all the same
            if not isinstance(error, UserError):
                log.exception("job %s failed", job.id)
            told = str(error) if isinstance(error, UserError) else reason(error)
            self._jobs.keep(job, state="failed", ended=time.time(), error=told)

    def _score(self, job: Job) -> Any:
        from framework.registry import resolve
        from framework.scoring import score

        data, out = input_file(job.data, self._roots), output_file(job.out, self._roots)  # links may have moved
        return score(job.source["folder"] or resolve(job.source["uri"]), str(data), out)


def wake(roots: list[str]) -> None:
    """Has the runner of these roots do what waits; starts it where there is none. Needs a Ray; returns at once."""
    import ray

    name = f"{NAME}:{roots[0]}"
    kept = {"name": name, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
    runner = ray.remote(BatchRunner).options(num_cpus=0, max_restarts=-1, **kept).remote()
    runner.work.remote(roots)
