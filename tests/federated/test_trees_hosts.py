"""Silos that grow trees in processes of Ray: one is really killed in a session, and none outlives the fit."""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from cluster.connect import Session
from federated import FederatedTrees
from federated.channel import OnRay
from federated.rounds import Terms
from federated.secure_aggregation.identity import found
from federated.trees.grown import Grown
from federated.trees.growth import Growth
from federated.trees.job import TreeJob
from federated.trees.reach import reached
from framework import Context
from tests.federated.portfolios import filed, fold_of, rents

JOB = FederatedTrees(rounds=9, learning_rate=0.3, depth=3).job(fold_of()[0], seed=0)
TERMS = Terms(quorum=3)
IDENTITIES = found(f"owner {place}" for place in range(3))


def pid(actor: Any) -> int:
    return int(ray.get(actor.__ray_call__.remote(lambda _: os.getpid())))


def ours() -> set[int]:
    """Processes of this machine that are a tracker's or a silo's."""
    names = ("TreeHost", "Tracker")
    found = psutil.process_iter(["cmdline", "status"])
    alive = (each for each in found if each.info["status"] != psutil.STATUS_ZOMBIE)
    return {each.pid for each in alive if any(name in " ".join(each.info["cmdline"] or ()) for name in names)}


@cache
def undisturbed(job: TreeJob) -> Grown:
    """The same in this process, where nothing happens to it."""
    with reached(filed(rents(silos=3)), None, hosts=0, cpus=1.0, identities=IDENTITIES) as (silos, tracker):
        return Growth(silos, tracker, job, TERMS, trees=3).run()


def left(before: set[int]) -> set[int]:
    """Those of our processes that do not end, though they are waited for."""
    found = []
    for each in ours() - before:
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(each))
    psutil.wait_procs(found, timeout=240)
    return ours() - before


@pytest.mark.parametrize("job", [JOB, replace(JOB, secure=True)], ids=["open", "masked"])
def test_a_silo_that_is_killed_in_a_session_costs_that_session_alone(ray_session: Session, job: TreeJob) -> None:
    before, whole = ours(), undisturbed(job)
    with reached(filed(rents(silos=3)), None, hosts=3, cpus=0.0, identities=IDENTITIES) as (silos, tracker):
        assert isinstance(silos, OnRay)
        growth = Growth(silos, tracker, job, TERMS, trees=3)
        process, asked = pid(silos.hosts["owner 1"]), silos.ask
        assert tracker.told() == ("", {}, {})
        assert len(ours() - before) == 4
        sessions = 0

        def ask(names: Sequence[str], request: bytes) -> dict[str, Any]:
            nonlocal sessions
            sessions += b'"grow"' in request[:80]
            if sessions != 2 or not alive:
                return asked(names, request)
            os.kill(process, signal.SIGSTOP)
            tickets = asked(names, request)
            os.kill(process, signal.SIGKILL)  # with the question in its hands, while the others wait for its sums
            alive.clear()
            return tickets

        alive = {process}
        object.__setattr__(silos, "ask", ask)
        grown = growth.run()
    assert not alive
    assert grown.sessions == whole.sessions + 1
    assert {each.what for each in grown.happenings if each.silo == "owner 1"} == {"lost", "returned"}
    assert grown.booster == whole.booster
    assert grown.scores == whole.scores
    assert not left(before)


def test_a_fit_leaves_no_process(ray_session: Session, tmp_path: Path) -> None:
    before = ours()
    fold, X = fold_of(silos=3)
    model = FederatedTrees(rounds=2, depth=2, hosts=2, cpus=0.0).fit(fold, Context(folder=tmp_path))
    assert len(model.predict(X)) == len(X)
    assert not left(before)
