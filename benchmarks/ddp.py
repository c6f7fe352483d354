"""What training together costs: a step of the same loop bare, on Ray Train, on two workers, and under Horovod.

python -m benchmarks.ddp --runs 3 --shape width=96 blocks=2

"Two bare processes" take half a batch each at the same time and never speak: no crew of two on this machine can have
more of its workers' speed, as they share its memory and caches.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from framework.contenders.crew_fit import fit_net, learn
from framework.contenders.torch_ddp import TorchDDP
from framework.data.frame import Fold
from framework.training.crew import Alone, Crew

WARM = 10  # steps before the clock starts


def fold_of(*, rows: int, columns: int) -> Fold:
    """A regression with as many columns."""
    from framework.data.load import load

    random = np.random.default_rng(0)
    X = random.standard_normal((rows, columns))
    y = X[:, 0] * X[:, 1] + np.sin(X[:, 2]) + 0.1 * random.standard_normal(rows)
    table = pd.DataFrame(X, columns=[f"x{place}" for place in range(columns)]).assign(y=y)
    return load(table, target="y", kind="regression").fold


class Clocked:
    """Another crew, with the moment of each step's gradients written down."""

    def __init__(self, crew: Any) -> None:
        self.crew = crew
        self.moments: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.crew, name)

    def average(self, optimizer: Any) -> None:
        self.crew.average(optimizer)
        self.moments.append(time.perf_counter())


def clocked(crew: Crew, facts: dict[str, Any]) -> dict[str, Any]:
    """`learn`, with the mean seconds of a step after the first ones beside it."""
    watched = Clocked(crew)
    told = learn(watched, facts)
    steps = np.diff(watched.moments[WARM:])
    return {**told, "seconds": float(np.median(steps)), "steps": len(steps)}


def on_ray_train(facts: dict[str, Any]) -> dict[str, Any]:
    from framework.training.ray_crew import RayCrew

    return clocked(RayCrew(), facts)


def apart(facts: dict[str, Any]) -> dict[str, Any]:
    """`clocked` in two processes at once, each by itself; the slower's seconds."""
    import ray

    told = {**facts, "held": ray.get(facts["held"])}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn, initializer=meet, initargs=(spawn.Barrier(2),)) as pool:
        ends = list(pool.map(bare, [told, told]))
    return max(ends, key=lambda end: float(end["seconds"]))


def meet(barrier: Any) -> None:
    """Loads what a step needs, and waits until the other process has, too."""
    import_module("framework.nets.ft_transformer")
    barrier.wait(timeout=120)


def bare(facts: dict[str, Any]) -> dict[str, Any]:
    import ray
    import torch

    held = facts["held"] if isinstance(facts["held"], dict) else ray.get(facts["held"])
    torch.set_num_threads(1)
    return clocked(Alone(), {**facts, "held": held})


def measure(asked: TorchDDP, fold: Fold, how: str) -> float:
    """Median seconds of a step."""
    from framework.contender import Context

    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        context = Context(folder=Path(folder))
        resources = replace(asked.resources, apart=True)

        def launch(facts: dict[str, Any], context: Context) -> dict[str, Any]:
            told = launchers()[how](facts, resources, context)
            seconds.append(told["seconds"])
            return told

        fit_net(asked, fold, context, launch=launch)
    return seconds[0]


def launchers() -> dict[str, Callable[..., dict[str, Any]]]:
    def ray_train(facts: dict[str, Any], resources: Any, context: Any) -> dict[str, Any]:
        from framework.training.on_ray import run

        told: dict[str, Any] = run(on_ray_train, facts, engine="torch", resources=resources, context=context)
        return told

    def horovod(facts: dict[str, Any], resources: Any, context: Any) -> dict[str, Any]:
        from framework.training.on_horovod import run

        told: dict[str, Any] = run(clocked, facts, resources=resources, context=context)
        return told

    here: dict[str, Callable[..., dict[str, Any]]] = {
        "bare": lambda facts, *_: bare(facts),
        "apart": lambda facts, *_: apart(facts),
    }
    return {**here, "ray": ray_train, "horovod": horovod}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--batch", type=int, default=512, help="rows of a step, of all workers together")
    parser.add_argument("--net", default="ft_transformer", choices=["ft_transformer", "tabm", "mlp"])
    parser.add_argument("--looks", type=int, default=2)
    parser.add_argument("--shape", nargs="*", default=[], help="such as width=64 blocks=2")
    asked = parser.parse_args()
    shape = tuple((name, int(value)) for name, value in (pair.split("=") for pair in asked.shape))
    one = TorchDDP(net=asked.net, shape=shape, batch=asked.batch, looks=asked.looks, patience=0, checkpoint_steps=0)
    fold = fold_of(rows=asked.rows, columns=asked.columns)
    two, halved = replace(one, workers=2), replace(one, batch=asked.batch // 2)
    half = fold_of(rows=asked.rows // 2, columns=asked.columns)
    cases = {  # name → what is asked, of which rows, how it is run, by how many processes
        "bare": (one, fold, "bare", 1),
        "two bare processes, no communication": (halved, half, "apart", 2),
        "Ray Train × 1": (one, fold, "ray", 1),
        "Ray Train × 2": (two, fold, "ray", 2),
    }
    if find_spec("horovod") is not None:
        cases |= {"Horovod × 1": (one, fold, "horovod", 1), "Horovod × 2": (two, fold, "horovod", 2)}
    from cluster.connect import connect

    session = connect(cpus=max(2, os.cpu_count() or 2))
    try:
        runs = [{name: measure(*case[:3]) for name, case in cases.items()} for _ in range(asked.runs)]
    finally:
        session.close()
    print(
        f"{asked.net}, batches of {asked.batch} × {asked.columns}, one thread a worker, medians of {asked.runs} runs\n"
    )
    print("| | ms a step | beside bare (min … max) | of its workers' speed (min … max) |")
    print("|---|---|---|---|")
    for name, (*_, processes) in cases.items():
        ratios = sorted(run[name] / run["bare"] for run in runs)
        shares = sorted(1 / (ratio * processes) for ratio in ratios)
        step = 1000 * statistics.median(run[name] for run in runs)
        beside = f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} … {ratios[-1]:.3f})"
        share = f"{statistics.median(shares):.3f} ({shares[0]:.3f} … {shares[-1]:.3f})"
        print(f"| {name} | {step:.1f} | {beside} | {share} |")


if __name__ == "__main__":
    main()
