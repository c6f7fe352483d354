"""Whether TensorFlow Federated leaves anything behind: federations started and ended, killed and interrupted.

`python -m benchmarks.tff_cycles --cycles 100` starts and ends so many; a cycle takes 20 to 30 processor seconds, nearly
all of it TensorFlow's import. Of every three one has a process killed in a round, and one is interrupted.
"""

import argparse
import contextlib
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import psutil

from cluster.connect import connect
from cluster.env import EnvError
from federated import FederatedTFF
from framework import Context, load
from framework.data.frame import Fold

WAYS = ("ended", "killed", "interrupted")
GRACE_SECONDS = 30.0  # for killed processes to be gone: a cluster reaps them in its own time
CONTENDER = FederatedTFF(width=8, layers=1, rounds=4, patience=0, epochs=1)
ENDLESS = replace(CONTENDER, rounds=10_000)  # that is over before its end


class InterruptedCycleError(Exception):
    """What ends a cycle from outside."""


def cycle(fold: Fold, way: str) -> None:
    """One federation, which ends in this way."""

    def interfere(step: int, metrics: object) -> None:
        if step != 1:
            return
        if way == "interrupted":
            raise InterruptedCycleError
        if way == "killed":
            with contextlib.suppress(psutil.Error):
                os.kill(psutil.Process(engines()[0]).ppid(), signal.SIGKILL)

    with TemporaryDirectory() as folder:
        context = Context(folder=Path(folder), sink=interfere)
        ended: dict[str, type[Exception]] = {"killed": EnvError, "interrupted": InterruptedCycleError}
        with contextlib.suppress(ended[way]) if way in ended else contextlib.nullcontext():
            (ENDLESS if way in ended else CONTENDER).fit(fold, context)
            if way in ended:
                raise RuntimeError(f"a cycle that was to be {way} was not")


def engines() -> list[int]:
    """The processes of TFF's engine that belong to this session of Ray."""
    from ray._private import worker

    session = worker._global_node.get_session_dir_path()
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"] == "worker_binary" and process.status() != psutil.STATUS_ZOMBIE:
                found += [process.pid] if any(session in value for value in process.environ().values()) else []
    return found


def left(seconds: float) -> list[int]:
    """The engines that are still there after so long."""
    until = time.monotonic() + seconds
    while (there := engines()) and time.monotonic() < until:
        time.sleep(0.2)
    return there


def fold_of() -> Fold:
    """Two silos of a few rows."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"silo": ["a", "b"] * 60, "x": rng.normal(size=120), "y": rng.normal(size=120)})
    return load(rows, target="y", silo="silo").fold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no cycle is begun")
    given = parser.parse_args()
    session, fold, began = connect(), fold_of(), time.monotonic()
    done, at_once, orphans = (dict.fromkeys(WAYS, 0) for _ in range(3))
    for number in range(given.cycles):
        if time.monotonic() - began > given.seconds:
            break
        way, start = WAYS[number % len(WAYS)], time.monotonic()
        cycle(fold, way)
        done[way] += 1
        at_once[way] += len(engines())
        orphans[way] += len(left(GRACE_SECONDS))
        print(f"{number + 1}: {way}, {time.monotonic() - start:.0f} s, {sum(orphans.values())} orphans", flush=True)
    session.close()
    print(f"\n| way | cycles | engines left the moment it returned | after {GRACE_SECONDS:.0f} s |\n|---|---|---|---|")
    for way in WAYS:
        print(f"| {way} | {done[way]} | {at_once[way]} | {orphans[way]} |")
    print(f"\n{sum(done.values())} cycles, {sum(orphans.values())} orphans, load {os.getloadavg()[0]:.0f}")


if __name__ == "__main__":
    main()
