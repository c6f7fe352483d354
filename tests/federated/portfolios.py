"""Small silos for the tests of `federated`: rows with one law and a level of their own in each silo."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from federated.bench import Bench
from federated.channel import Direct
from federated.federated_average import FederatedAverage
from federated.job import Job
from federated.message import Message
from federated.net_weights import fresh
from federated.preparation import Preparation
from federated.rounds import Coordinator, Outcome, Terms
from federated.silo import Silo
from federated.source import Filed
from federated.strategies.fedavg import FedAvg
from framework.data.frame import Fold
from framework.data.load import load

SHAPE = (("size", 4), ("width", 16), ("layers", 1), ("dropout", 0.1))
QUICK = {"shape": SHAPE, "rounds": 4, "patience": 0, "epochs": 1, "hosts": 0}


def rents(rows: int = 60, silos: int = 5, seed: int = 0, level: float = 40.0) -> pd.DataFrame:
    """Flats of several owners: size, age (with gaps), kind, heated, rent and dear (yes or no)."""
    rng = np.random.default_rng(seed)
    frames = []
    for place in range(silos):
        size = rng.normal(70 + level / 8 * place, 20, rows)
        age = rng.integers(0, 80, rows).astype(float)
        age[rng.random(rows) < 0.1] = np.nan
        kind = rng.choice(["flat", "house", "loft"], rows, p=[0.6, 0.3, 0.1])
        rent = 8 * size - 2 * np.nan_to_num(age, nan=40.0) + 150 * (kind == "loft") + level * place
        rent = rent + rng.normal(0, 30, rows)
        frames.append(
            pd.DataFrame(
                {
                    "owner": f"owner {place}",
                    "size": size,
                    "age": age,
                    "kind": kind,
                    "heated": rng.random(rows) < 0.8,
                    "rent": rent,
                }
            )
        )
    table = pd.concat(frames, ignore_index=True)
    table["dear"] = np.where(table.rent > table.rent.median(), "yes", "no")
    return table


def fold_of(target: str = "rent", **given: float) -> tuple[Fold, pd.DataFrame]:
    """A fold with a silo column, and rows that nobody has learned from."""
    table = rents(**given).drop(columns="dear" if target == "rent" else "rent")
    split = load(table, target=target, silo="owner")
    return split.fold, split.test.X


def job_of(strategy: object, *, seed: int = 0, **settings: object) -> Job:
    """A job on the rents, by a net of a few hundred weights."""
    contender = FederatedAverage(**{**QUICK, "strategy": strategy, **settings})  # type: ignore[arg-type]
    return contender.job(fold_of()[0], seed)


def filed(table: pd.DataFrame | None = None, **given: object) -> list[Filed]:
    """A source for each owner, with the rows as the owner has them."""
    table = rents() if table is None else table
    return [
        Filed(str(owner), rows.drop(columns="dear").reset_index(drop=True), **given)  # type: ignore[arg-type]
        for owner, rows in table.groupby("owner")
    ]


def held_federation(job: Job, folder: Path, terms: Terms | None = None, sources: list[Filed] | None = None) -> Outcome:
    """A federation in this process."""
    return Coordinator(Direct(sources or filed()), job, terms or Terms(), folder).run()


@cache
def agreed() -> Preparation:
    """What the owners agree on; it is the same for every strategy and net."""
    job = job_of(FedAvg(), rounds=1)
    with TemporaryDirectory() as folder:
        return held_federation(job, Path(folder)).preparation


def bench_of(job: Job) -> tuple[Bench, dict[str, np.ndarray]]:
    """The bench of one silo that has been prepared, and the weights that its net begins with."""
    preparation = agreed()
    silo = Silo(filed()[0])
    facts, groups = preparation.to_message()
    silo.answer(Message("join", facts={"job": job.to_facts()}).to_bytes())
    silo.answer(Message("prepare", facts=facts, groups=groups).to_bytes())
    assert silo._bench is not None
    silo._bench.round = 1
    return silo._bench, fresh(job, preparation, 0)
