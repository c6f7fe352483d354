"""Seconds a round of a federation: in one process, and in actors of Ray; the same net, rows and epochs, interleaved."""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from cluster.connect import connect
from federated.channel import Channel, Direct, end_hosts, start_hosts
from federated.dealt import deal
from federated.federated_average import FederatedAverage
from federated.job import Job
from federated.rounds import Coordinator, Terms
from federated.source import Held
from federated.strategies import FedAvg
from framework.data.load import load

SILOS, ROWS, COLUMNS, ROUNDS, PAIRS = 10, 500, 32, 10, 3


def portfolios(silos: int, rows: int) -> pd.DataFrame:
    """Rows of one law: COLUMNS numbers, a target and the silo."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(silos * rows, COLUMNS))
    table = pd.DataFrame(X, columns=[f"x{place}" for place in range(COLUMNS)])
    table["y"] = X[:, :8].sum(axis=1) + np.sin(X[:, 8]) + rng.normal(0, 0.3, len(X))
    table["silo"] = np.repeat([f"silo {place}" for place in range(silos)], rows)
    return table


def seconds(channel: Channel, job: Job) -> tuple[float, float]:
    """Until the first round is done, and of a round."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        coordinator = Coordinator(channel, job, Terms(quorum=2), Path(folder))
        coordinator.run()
        first = time.perf_counter() - began
        rounds = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            coordinator._round()
            rounds.append(time.perf_counter() - began)
    return first, statistics.median(rounds)


def main() -> None:
    connect()
    fold = load(portfolios(SILOS, ROWS), target="y", silo="silo").fold
    sources: list[Held] = deal(fold)
    shape = (("size", 4), ("width", 64), ("layers", 2), ("dropout", 0.0))
    job = FederatedAverage(strategy=FedAvg(), rounds=1, epochs=1, shape=shape).job(fold, 0)
    told: dict[str, list[tuple[float, float]]] = {"one process": [], "Ray, 2 hosts": []}
    for _ in range(PAIRS):
        told["one process"].append(seconds(Direct(sources), job))
        channel, actors = start_hosts(sources, hosts=2)
        told["Ray, 2 hosts"].append(seconds(channel, job))
        end_hosts(actors)
    print(f"{SILOS} silos of {ROWS} rows, 1 epoch a round, median of {PAIRS} pairs\n")
    print("| | start-up and first round, s | a round, s |\n|---|---|---|")
    for name, pairs in told.items():
        first, each = (statistics.median(side) for side in zip(*pairs, strict=True))
        print(f"| {name} | {first:.2f} | {each:.3f} |")


if __name__ == "__main__":
    main()
