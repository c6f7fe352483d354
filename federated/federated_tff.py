"""TensorFlow Federated 0.87, frozen since 2024, in an interpreter of its own (Env "tff").

The near half agrees on the columns and asks; the far half (`federated.tff_rounds`) runs TFF's client work in the silos
and its aggregators and finalizers in the coordinator. What comes home is a list of arrays, which numpy answers by.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from cluster.env import Env
from cluster.resources import Resources
from cluster.wire import Facts, archive
from federated.agreement import Agreement
from federated.channel import Direct
from federated.dealt import deal
from federated.dense import Dense
from federated.dense_model import DenseModel
from federated.exchange import Exchange
from federated.federated_average import FederatedAverage
from federated.policy import USUAL, Policy
from federated.source import Held
from federated.strategies.fedavg import FedAvg
from framework.contender import Context, Model
from framework.data.frame import Fold
from framework.problem import Kind

Aggregator = Literal["mean", "robust", "compression"]
Optimizer = Literal["sgd", "adam", "yogi"]


@dataclass(frozen=True)
class FederatedTFF:
    """A Keras perceptron, trained by `tff.learning`'s parts over the silos of the problem's silo column.

    aggregator: TFF's mean, its robust_aggregator (zeroing and clipping that adapt) or its compression_aggregator.
    server, server_rate: the optimizer that applies the mean step; silos train by SGD with `rate`. rounds, patience,
    epochs, batch: as in `FederatedAverage`. hosts: processes that own the silos, each with a TFF of its own: they take
    ten CPU seconds to start. Weights of rows are not known to it.
    """

    width: int = 128
    layers: int = 2
    aggregator: Aggregator = "mean"
    server: Optimizer = "adam"
    server_rate: float = 0.01
    rounds: int = 60
    patience: int = 15
    epochs: int = 2
    batch: int = 32
    rate: float = 0.02
    hosts: int = 1
    policy: Policy = USUAL
    name: str = "federated tff"
    cpus: float = 1.0  # of each host
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("torch", "federated.bench")
    pooled: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, workers=self.hosts, apart=True)

    def fit(self, fold: Fold, context: Context) -> DenseModel:
        """Raises DealError, FederationError as `FederatedAverage`; EnvError when the deadline passes before the end."""
        import ray

        from cluster.connect import connect

        connect()
        sources = deal(fold, self.policy)
        preparation, takers = self._agree(fold, sources, context)
        dense = Dense.learn(preparation)
        parcels = [ray.put(archive(_arrays(dense, source))) for source in sources if source.name in takers]
        patience = self.patience if len(fold.valid) else 0

        def hear(told: Facts) -> None:
            context.report(told["round"], valid_loss=told["score"])

        home, facts = Env("tff", deadline=context.deadline, hear=hear).call(
            "federated.tff_rounds:federate",
            {},
            parcels,
            **self.facts(len(fold.classes), context.seed),
            names=takers,
            hosts=min(self.hosts, len(takers)),
            cpus=self.cpus,
            patience=patience,
            rounds=self.rounds,
            least=self.policy.minimum_count,
            deadline=context.deadline,
        )
        return DenseModel(dense, [home[str(place)] for place in range(len(home))], facts["rounds"])

    def facts(self, classes: int, seed: int) -> Facts:
        """What a Keras model, its training and the server's step are made from, over there."""
        names = ("width", "layers", "aggregator", "server", "server_rate", "epochs", "batch", "rate")
        return {"settings": {**{name: getattr(self, name) for name in names}, "classes": classes, "seed": seed}}

    def settled(self, model: Model) -> "FederatedTFF":
        return replace(self, rounds=max(1, model.rounds), patience=0) if isinstance(model, DenseModel) else self

    def _agree(self, fold: Fold, sources: list[Held], context: Context) -> tuple[Any, list[str]]:
        """What the silos agree on of the columns, and who takes part."""
        job = FederatedAverage(strategy=FedAvg(), rounds=self.rounds).job(fold, context.seed)
        exchange = Exchange(Direct(sources), float("inf"), float("inf"), job)
        preparation, rows = Agreement(exchange, job, quorum=1, units=True).reach()
        for happening in exchange.happenings:
            context.remark(f"{self.name}: {happening}")
        return preparation, list(rows)


def _arrays(dense: Dense, source: Held) -> dict[str, np.ndarray]:
    """A silo's rows as they are opened over there: "X", "y", "valid X" and "valid y"."""
    arrays = {}
    for prefix, frame in (("", source.train), ("valid ", source.valid)):
        y = frame.y if dense.rows.classes else dense.rows.target.forward(frame.y)
        arrays[f"{prefix}X"] = dense.matrix(frame.X)
        arrays[f"{prefix}y"] = y.astype(np.int32 if dense.rows.classes else np.float32)
    return arrays
