"""What training together costs: a step of the same loop bare, on Ray Train, on two workers, and under Horovod.

python -m benchmarks.ddp --runs 3
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from framework.contenders.torch_ddp import TorchDDP, fit_net, learn
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
        self.crew, self.moments = crew, []

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


def measure(asked: TorchDDP, fold: Fold, how: str) -> float:
    """Median seconds of a step."""
    from framework.contender import Context

    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        context = Context(folder=Path(folder))
        resources = replace(asked.resources, apart=True)

        def launch(facts: dict[str, Any]) -> dict[str, Any]:
            told = launchers()[how](facts, resources, context)
            seconds.append(told["seconds"])
            return told

        fit_net(asked, fold, context, plan=asked.plan(0, len(fold.rows)), launch=launch)
    return seconds[0]


def launchers() -> dict[str, Callable[..., dict[str, Any]]]:
    import torch

    def bare(facts: dict[str, Any], resources: Any, context: Any) -> dict[str, Any]:
        torch.set_num_threads(1)
        return clocked(Alone(), facts)

    def ray_train(facts: dict[str, Any], resources: Any, context: Any) -> dict[str, Any]:
        from framework.training.on_ray import run

        return run(on_ray_train, facts, engine="torch", resources=resources, context=context)

    def horovod(facts: dict[str, Any], resources: Any, context: Any) -> dict[str, Any]:
        from framework.training.on_horovod import run

        return run(clocked, facts, resources=resources, context=context)

    return {"bare": bare, "ray": ray_train, "horovod": horovod}


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
    cases = {"bare": (one, "bare"), "Ray Train × 1": (one, "ray"), "Ray Train × 2": (replace(one, workers=2), "ray")}
    if find_spec("horovod") is not None:
        cases |= {"Horovod × 1": (one, "horovod"), "Horovod × 2": (replace(one, workers=2), "horovod")}
    from cluster.connect import connect

    session = connect(cpus=max(2, os.cpu_count() or 2))
    try:
        runs = [{name: measure(net, fold, how) for name, (net, how) in cases.items()} for _ in range(asked.runs)]
    finally:
        session.close()
    print(
        f"{asked.net}, batches of {asked.batch} × {asked.columns}, one thread a worker, medians of {asked.runs} runs\n"
    )
    print("| | ms a step | beside bare (min … max) | of its workers' speed (min … max) |")
    print("|---|---|---|---|")
    for name, (net, _) in cases.items():
        ratios = sorted(run[name] / run["bare"] for run in runs)
        shares = sorted(1 / (ratio * net.workers) for ratio in ratios)
        step = 1000 * statistics.median(run[name] for run in runs)
        beside = f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} … {ratios[-1]:.3f})"
        share = f"{statistics.median(shares):.3f} ({shares[0]:.3f} … {shares[-1]:.3f})"
        print(f"| {name} | {step:.1f} | {beside} | {share} |")


if __name__ == "__main__":
    main()
