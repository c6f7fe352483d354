"""The rows that silos are measured on: one law for all of them, and what each of them is asked."""

from dataclasses import replace

import numpy as np
import pandas as pd

from federated.federated_average import FederatedAverage
from federated.job import Job
from federated.strategies import FedAvg
from framework.data.frame import Fold

COLUMNS, WIDTH, LAYERS = 32, 64, 2
PLAIN = (("size", 1), ("numbers", "linear"), ("width", WIDTH), ("layers", LAYERS), ("dropout", 0.0))


def portfolios(silos: int, rows: int) -> pd.DataFrame:
    """COLUMNS numbers, a target and the silo; `rows` of each silo."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(silos * rows, COLUMNS))
    table = pd.DataFrame(X, columns=[f"x{place}" for place in range(COLUMNS)])
    table["y"] = X[:, :8].sum(axis=1) + np.sin(X[:, 8]) + rng.normal(0, 0.3, len(X))
    table["silo"] = np.repeat([f"silo {place:04d}" for place in range(silos)], rows)
    return table


def plain(fold: Fold, rounds: int) -> Job:
    """A net and a training that every framework has: an MLP on the numbers, SGD, the mean by rows, an epoch a round."""
    asked = FederatedAverage(
        strategy=FedAvg(),
        rounds=rounds,
        patience=0,
        epochs=1,
        rate=0.02,
        weight_decay=0.0,
        optimizer="sgd",
        clip=0.0,
        shape=PLAIN,
    ).job(fold, 0)
    return replace(asked, columns=tuple(column for column in asked.columns if column[0] != "silo"))
