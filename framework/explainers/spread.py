"""Rows explained one block after the other, or as Ray tasks beside each other where there are many and a Ray runs."""

import logging
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pandas as pd

from framework.contender import Model

log = logging.getLogger(__name__)

WORTH = 4.0  # seconds of work from which tasks pay, where twice as many are left: a worker takes two to start
LATE = 1.0  # seconds past the deadline that a task's answer is waited for
PIECES = 2  # tasks for each CPU

Found = TypeVar("Found")
Work = Callable[[Model, pd.DataFrame], Found]
Block = tuple[np.ndarray, Found]  # the rows' places, and what was found of them


def spread(work: Work[Found], model: Model, X: pd.DataFrame, *, seconds: float) -> list[Block[Found]]:
    """What `work` says of the rows, in their order, block by block; of as many as the seconds allow, of one at least.

    work: a function that travels to a task; of each row it says the same, whichever rows stand beside it.
    """
    return _spread(work, model, X, np.arange(len(X)), time.time() + seconds, apart=True)


def _spread(
    work: Work[Found], model: Model, X: pd.DataFrame, places: np.ndarray, end: float, *, apart: bool
) -> list[Block[Found]]:
    """places: of the rows, in X."""
    found: list[Block[Found]] = []
    done, at_once, a_row = 0, 1, 0.0
    while done < len(places):
        rest = len(places) - done
        pays = rest * a_row > WORTH and end - time.time() > 2 * WORTH
        if done > 1 and apart and pays and (cpus := _free_cpus()) > 1:
            try:
                return found + _apart(work, model, X, places[done:], end, cpus)
            except Exception as error:  # the border to Ray: a model that does not travel is explained here
                log.debug("not spread over Ray: %s", error)
                apart = False
        if done:
            at_once = min(2 * at_once, int((end - time.time()) / max(a_row, 1e-9)))
            if at_once < 1:
                break
        began = time.time()
        mine = places[done : done + at_once]
        found.append((mine, work(model, X.iloc[mine].reset_index(drop=True))))
        done, a_row = done + len(mine), (time.time() - began) / len(mine)
    return found


def _free_cpus() -> int:
    """CPUs that nobody has taken of the Ray that this process has joined; 0 without one."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return 0
    return int(ray.available_resources().get("CPU", 0))


def _apart(
    work: Work[Found], model: Model, X: pd.DataFrame, places: np.ndarray, end: float, cpus: int
) -> list[Block[Found]]:
    """The same by tasks. Those that are late are ended, and their rows left out."""
    import ray

    from cluster.tasks import cancel
    from framework.contest.attempt import pack

    packed, shared = ray.put(pack(model)), ray.put(X)
    task = ray.remote(num_cpus=1, max_retries=1)(_piece)
    pieces = [piece for piece in np.array_split(places, cpus * PIECES) if len(piece)]
    asked = [task.remote(work, packed, shared, piece, end) for piece in pieces]
    done, late = ray.wait(asked, num_returns=len(asked), timeout=max(0.0, end - time.time()) + LATE)
    for each in late:
        cancel(each)
    in_time = set(done)
    return [block for each in asked if each in in_time for block in ray.get(each)]


def _piece(work: Work[Found], packed: bytes, X: pd.DataFrame, places: np.ndarray, end: float) -> list[Block[Found]]:
    from threadpoolctl import threadpool_limits

    from framework.contest.attempt import unpack

    if time.time() > end:
        return []
    with threadpool_limits(1):
        return _spread(work, unpack(packed), X, places, end, apart=False)
