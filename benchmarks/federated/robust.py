"""What 3 lying silos of 19 cost each strategy, in R² on rows that nobody learned from.

python -m benchmarks.federated robust --rows 100 --rounds 20 --seeds 0 1 2

Silos by chance share one law; "different" ones have slopes, a level and a place of their own: `apart` standard
deviations of what all have in common. Liars send their update ten times too large, turned round and ten times too
large, or not finite.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from federated.channel import Direct, Ticket
from federated.dealt import deal
from federated.federated_average import FederatedAverage
from federated.message import Message
from federated.net_weights import load as put
from federated.policy import Policy
from federated.rounds import Coordinator, Terms
from federated.source import Held
from federated.strategies import FedAvg, Krum, Median, NormClipped, Strategy, TrimmedMean
from framework.data.frame import Fold
from framework.data.load import load
from framework.data.split import Split

SILOS, LIARS, COLUMNS = 19, 3, 8
LIES = {"no liars": 1.0, "10 × too large": 10.0, "turned round, × 10": -10.0, "not finite": float("nan")}
STRATEGIES: dict[str, Strategy] = {
    "mean (FedAvg)": FedAvg(),
    "median": Median(),
    "trimmed mean": TrimmedMean(share=0.2),
    "Krum": Krum(faulty=LIARS, keep=1),
    "Multi-Krum": Krum(faulty=LIARS),
    "norm clipping": NormClipped(),
}


class Lying(Direct):
    """Silos of which some send another update than the one they made."""

    def __init__(self, sources: Sequence[Held], liars: int, times: float) -> None:
        super().__init__(sources)
        self._liars, self._times = set(self.silos[:liars]), times

    def take(self, ticket: Ticket) -> bytes:
        told = Message.from_bytes(ticket)
        if told.kind != "update" or told.silo not in self._liars:
            return bytes(ticket)
        delta = {name: (self._times * part).astype(part.dtype) for name, part in told.groups["delta"].items()}
        return Message(told.kind, told.silo, told.round, told.facts, {**told.groups, "delta": delta}).to_bytes()


def different(apart: float, rows: int, seed: int) -> pd.DataFrame:
    """SILOS silos of so many rows, `apart` from one another; 0: by chance alone."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=COLUMNS)
    frames = []
    for silo in range(SILOS):
        X = rng.normal(size=(rows, COLUMNS)) + apart * rng.normal(size=COLUMNS)
        own = slopes + apart * rng.normal(size=COLUMNS)
        y = X @ own + np.sin(2 * X[:, 0]) + apart * rng.normal() + rng.normal(0, 0.3, rows)
        frames.append(
            pd.DataFrame(X, columns=[f"x{place}" for place in range(COLUMNS)]).assign(y=y, silo=f"s{silo:02d}")
        )
    return pd.concat(frames, ignore_index=True)


def r2(split: Split, strategy: Strategy, times: float, rounds: int, seed: int) -> float:
    """Of the common model on the split's test rows. times: by which liars multiply; 1: they do not lie."""
    fold: Fold = split.fold
    asked = FederatedAverage(
        strategy=strategy, rounds=rounds, patience=0, shape=(("size", 8), ("width", 64), ("layers", 2))
    )
    job = asked.job(fold, seed)
    with TemporaryDirectory() as folder:
        channel = Lying(deal(fold, Policy()), LIARS if times != 1.0 else 0, times)
        outcome = Coordinator(channel, job, Terms(quorum=10), Path(folder)).run()
    net = outcome.preparation.net(job)
    put(net, outcome.weights)
    X = split.test.X[[name for name, _ in job.columns]]
    told = outcome.preparation.encoder.predict(net.eval(), X)
    truth = split.test.y
    return 1 - float(((truth - told) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100, help="of each silo")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--apart", type=float, nargs="+", default=[0.0, 0.3])
    asked = parser.parse_args(words)
    print(f"{LIARS} of {SILOS} silos lie; {asked.rows} rows each, {asked.rounds} rounds, seeds {asked.seeds}; R²,")
    print("mean over the seeds ± its standard error (and by how much it is above that of the mean without liars)")
    print(f"\n| silos | strategy | {' | '.join(LIES)} |\n|---|---|{'---|' * len(LIES)}")
    for apart in asked.apart:
        splits = {seed: load(different(apart, asked.rows, seed), target="y", silo="silo") for seed in asked.seeds}
        honest = np.empty(0)  # what the mean reaches without liars, by seed
        for name, strategy in STRATEGIES.items():
            cells = []
            for times in LIES.values():
                told = np.array([r2(split, strategy, times, asked.rounds, seed) for seed, split in splits.items()])
                honest = honest if len(honest) else told
                cells.append(f"{mean_of(told)} ({mean_of(told - honest, '+.3f')})")
            print(f"| {f'{apart:g} apart' if apart else 'by chance'} | {name} | {' | '.join(cells)} |", flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f}")


def mean_of(scores: np.ndarray, form: str = ".3f") -> str:
    """The mean over seeds, and its standard error where there is more than one."""
    told = f"{scores.mean():{form}}"
    return told if len(scores) == 1 else f"{told} ± {scores.std(ddof=1) / np.sqrt(len(scores)):.3f}"
