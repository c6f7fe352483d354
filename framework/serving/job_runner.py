"""Has waiting jobs done, each in a process of its own, by a Ray actor that outlives the HTTP replicas.

An actor and no job of Ray's Jobs API: that one asks for Ray's dashboard, which a laptop does not start.
"""

import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from framework.serving.job_worker import JobWorker
from framework.serving.jobs import Job, Jobs, Kind

log = logging.getLogger(__name__)

NAME, NAMESPACE = "jobs", "contenders"
MOST_ATTEMPTS = 2  # of a job whose process died under it
LANES: dict[Kind, int] = {"batch": 1, "train": 5}  # jobs of a kind at once; two batches would take each other's CPUs
LOOK_SECONDS = 0.5  # between two looks at what waits
STOP_SECONDS = 20.0  # within which a cancelled job has to end by itself; then its process is killed


@dataclass(frozen=True)
class _Running:
    kind: Kind
    worker: Any
    ended: Any  # Ray's reference to its end
    began: float = field(default_factory=time.time)


class JobRunner:
    """One for each folder of jobs. What it starts dies with it, and is started again by the next one."""

    def work(self, roots: list[str], store: str) -> int:
        """Has all jobs done that wait below the first root, and those that a runner left behind when it died.

        store: the MLflow store that models are found and registered in. Returns how many processes it has started.
        """
        import ray

        jobs, running, started = Jobs(roots[0]), dict[str, _Running](), 0
        jobs.prune()
        while True:
            unfinished = jobs.unfinished()
            for job in unfinished:
                if job.id in running:
                    self._insist(jobs, job, running[job.id])
                elif jobs.unwanted(job.id) is not None:
                    jobs.keep(job, state="cancelled", ended=time.time(), message="cancelled")
                elif job.attempts >= MOST_ATTEMPTS:
                    error = f"the process that did it died, {job.attempts} times."
                    jobs.keep(job, state="failed", ended=time.time(), message="failed", error=error)
                elif sum(each.kind == job.kind for each in running.values()) < LANES[job.kind]:
                    running[job.id] = self._start(jobs, job, roots, store, beside=len(running))
                    started += 1
            if not running:
                return started
            ray.wait([each.ended for each in running.values()], timeout=LOOK_SECONDS)
            for id, each in list(running.items()):
                if ray.wait([each.ended], timeout=0)[0]:
                    del running[id]
                    self._end(each)

    def _start(self, jobs: Jobs, job: Job, roots: list[str], store: str, *, beside: int) -> _Running:
        import ray

        job = jobs.keep(job, state="running", attempts=job.attempts + 1, began=time.time(), message="starts")
        worker = ray.remote(JobWorker).options(num_cpus=0).remote()
        return _Running(job.kind, worker, worker.do.remote(job.id, roots, store, beside=beside))

    def _insist(self, jobs: Jobs, job: Job, running: _Running) -> None:
        """Kills the process of a job that was cancelled and goes on."""
        import ray

        since = jobs.unwanted(job.id)
        if since is not None and time.time() - max(since, running.began) > STOP_SECONDS:
            ray.kill(running.worker)

    def _end(self, running: _Running) -> None:
        """Frees the process; where it has died, the job is still there and is started again."""
        import ray

        try:
            ray.get(running.ended)
        except ray.exceptions.RayError as error:
            log.error("a job's process died: %s", error)
        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(running.worker)


def wake(roots: list[str], store: str) -> None:
    """Has the runner of these roots do what waits; starts it where there is none. Needs a Ray; returns at once."""
    import ray

    name = f"{NAME}:{roots[0]}"
    kept = {"name": name, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
    again = {"max_restarts": -1, "max_task_retries": -1}
    runner = ray.remote(JobRunner).options(num_cpus=0, **kept, **again).remote()
    runner.work.remote(roots, store)
