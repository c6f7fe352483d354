"""The fits of an ensemble's members: one after the other in this process, or side by side on Ray."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cluster.tasks import cancel
from framework.contender import Contender, Context, Model
from framework.contenders.ensemble import lent, sentence
from framework.contenders.inner_folds import Part
from framework.contest.attempt import Crash, pack, unpack
from framework.data.frame import Fold
from framework.scratch import scratch

GRACE_SECONDS = 1.5  # past its time, before all that runs is killed
POLL_SECONDS = 0.2
LEAST_SECONDS = 0.2  # that must be left to begin a fit
LATE = "its folds were not done in time"


@dataclass(frozen=True)
class Fit:
    """One fit of one member. predicted: of the rows held out."""

    predicted: np.ndarray
    model: Model
    settled: Contender


@dataclass(frozen=True)
class Job:
    """A member to be fit on a part of the rows."""

    member: Contender
    place: int  # of its part
    part: Part


def fit_all(
    jobs: list[Job], fold: Fold, context: Context, *, workers: int, lost: dict[str, str]
) -> dict[tuple[str, int], Fit]:
    """Every job's fit, (member, place) → fit; the members that failed are added to `lost` with their reasons."""
    run = _one_by_one if workers <= 1 else _side_by_side
    fits: dict[tuple[str, int], Fit] = {}
    for job, outcome in run(jobs, fold, context, workers, lost):
        if isinstance(outcome, Fit):
            fits[job.member.name, job.place] = outcome
        else:
            lost.setdefault(job.member.name, outcome)
    return fits


def _one(job: Job, fold: Fold, context: Context) -> Fit:
    """Fits a member on a part's rows. It stops by those held out, as in a contest on folds."""
    inner = replace(fold, train=fold.train.take(job.part.learn), valid=fold.train.take(job.part.held), shards=None)
    model = job.member.fit(inner, context)
    predicted = model.predict(inner.valid.X) if len(job.part.held) else np.zeros(0)
    if not np.isfinite(predicted).all():
        raise ValueError("it predicts values that are not finite")
    return Fit(predicted, model, job.member.settled(model))


def _one_by_one(
    jobs: list[Job], fold: Fold, context: Context, workers: int, lost: dict[str, str]
) -> Iterator[tuple[Job, Fit | str]]:
    for place, job in enumerate(jobs):
        if job.member.name in lost:
            continue
        left = [other for other in jobs[place:] if other.member.name not in lost]
        if context.remaining() < LEAST_SECONDS:
            yield job, LATE
            continue
        try:
            yield job, _one(job, fold, lent(context, 1 / len(left)))
        except Exception as error:  # the border between an ensemble and its members
            yield job, sentence(error)


def _side_by_side(
    jobs: list[Job], fold: Fold, context: Context, workers: int, lost: dict[str, str]
) -> Iterator[tuple[Job, Fit | str]]:
    """As many at once as there are workers; none of them runs on when this ends."""
    import ray

    kept = ray.put(fold)
    remote = ray.remote(max_retries=0)(_far)
    waiting, running = list(jobs), dict[Any, Job]()
    try:
        while waiting or running:
            waiting = [job for job in waiting if job.member.name not in lost]
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                share = context.remaining() * min(1.0, workers / (len(waiting) + len(running) + 1))
                if share < LEAST_SECONDS:
                    yield job, LATE
                    continue
                options = {**job.member.resources.options(), "name": f"fold {job.place} of {job.member.name}"}
                told = (context.seed, context.deadline, share, context.gpus)
                running[remote.options(**options).remote(job, kept, *told)] = job
            if not running:
                continue
            ready, _ = ray.wait(list(running), num_returns=1, timeout=POLL_SECONDS)
            for ended in ready:
                yield running.pop(ended), _come_home(ended)
            if time.time() > context.deadline + GRACE_SECONDS:
                _end(list(running))
                yield from ((running.pop(late), LATE) for late in list(running))
    finally:
        _end(list(running))


def _end(running: list[Any]) -> None:
    """Kills what still runs."""
    for left in running:
        cancel(left)


def _far(
    job: Job, fold: Fold, seed: int, deadline: float, seconds: float, gpus: float
) -> tuple[np.ndarray, bytes, Contender] | Crash:
    """A job on a worker: its model comes home packed, an exception as text. Its seconds begin when it does."""
    deadline = min(deadline, time.time() + seconds)
    try:
        with scratch() as folder:
            threads = max(1, int(job.member.resources.cpus))
            fit = _one(job, fold, Context(seed=seed, deadline=deadline, folder=folder, threads=threads, gpus=gpus))
        return fit.predicted, pack(fit.model), fit.settled
    except Exception as error:  # the border between an ensemble and its members
        return Crash("", sentence(error), "")


def _come_home(ended: Any) -> Fit | str:
    import ray

    try:
        told: tuple[np.ndarray, bytes, Contender] | Crash = ray.get(ended)
    except ray.exceptions.RayError as error:
        return str(error).strip().splitlines()[0]
    if isinstance(told, Crash):
        return str(told)
    return Fit(told[0], unpack(told[1]), told[2])
