"""TensorFlow Federated 0.87, frozen since 2024, in an interpreter of its own (Env "tff").

The near half agrees on the columns and asks; the far half (`federated.tff_rounds`) runs TFF's client work in the silos
and its aggregators and finalizers in the coordinator. What comes home is a list of arrays, which numpy answers by.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from cluster.resources import Resources
from cluster.wire import Facts
from federated.agreement import Agreement
from federated.channel import Direct
from federated.dealt import able, check_hosts, deal
from federated.dense import Dense
from federated.dense_model import DenseModel
from federated.exchange import Exchange
from federated.federated_average import FederatedAverage
from federated.job import Job
from federated.policy import USUAL, Policy
from federated.privacy.levels import SiloLevel
from federated.privacy.promise import few_silos, kept_by
from federated.secure_aggregation.identity import Identity, found
from federated.source import Held
from federated.strategies.fedavg import FedAvg
from federated.strategies.silo_private import SiloPrivate
from federated.tff_call import TFFError, check_summed, trained
from framework.contender import Context, Model
from framework.data.frame import Fold
from framework.problem import Kind

Aggregator = Literal["mean", "robust", "private", "compressed"]
Optimizer = Literal["sgd", "adam", "yogi"]


@dataclass(frozen=True)
class FederatedTFF:
    """A Keras perceptron, or a Keras model of one's own, trained by `tff.learning`'s parts over the problem's silos.

    aggregator: TFF's mean; its robust_aggregator (zeroing and clipping that adapt); its compression_aggregator;
    "private": its Gaussian mean of clipped changes, every silo counted alike, for `privacy`, which hides each silo as
    a whole from whoever sees the model. No validation rows are looked at then, and all rounds are made. Its noise is
    TensorFlow's, drawn anew in each fit, in floats and not by a cryptographic generator.
    keras: "module:function", a function (features, outputs) → Keras model in a file that imports nothing at its top but
    TensorFlow and what comes with Python; it is a chain of dense layers that ends in values or logits, see
    `tff_keras.plan_of`. By default `layers` of `width`.
    server, server_rate: the optimizer that applies the mean step; silos train by SGD with `rate`. rounds, patience,
    epochs, batch: as in `FederatedAverage`. hosts: processes that own the silos, each with a TFF of its own: they take
    ten CPU seconds to start. Weights of rows are not known to it.
    secure: secure aggregation, of "mean" and "private": the coordinator learns the weighted mean of the silos' updates
    and scores, and the sums of what they agree on before, and no silo's own; three silos or more have to stay in each.
    """

    width: int = 128
    layers: int = 2
    keras: str = ""
    aggregator: Aggregator = "mean"
    privacy: SiloLevel | None = None
    server: Optimizer = "adam"
    server_rate: float = 0.01
    rounds: int = 60
    patience: int = 15
    epochs: int = 2
    batch: int = 32
    rate: float = 0.02
    hosts: int = 1
    policy: Policy = USUAL
    secure: bool = False
    name: str = "federated tff"
    cpus: float = 1.0  # of each host
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("torch", "federated.bench")
    pooled: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, workers=self.hosts, apart=True)

    def fit(self, fold: Fold, context: Context) -> DenseModel:
        """Raises TFFError for settings that contradict one another, DealError, PrivacyError and FederationError as
        `FederatedAverage`; EnvError when the deadline passes before the end."""
        from cluster.connect import connect

        check_hosts(self.hosts, least=1)
        self._check()
        connect()
        sources = deal(fold, self.policy)
        identities = found(able(sources)) if self.secure else {}
        preparation, rows = self._agree(fold, sources, identities, context)
        job = self._job(fold, context.seed, silos=len(rows), privacy=self.privacy)
        self._check_noise(job, len(rows))
        dense = Dense.learn(preparation)
        weights, facts = trained(
            {source.name: _arrays(dense, source) for source in sources if source.name in rows},
            self.settings(len(fold.classes), context.seed, job),
            context,
            hosts=self.hosts,
            cpus=self.cpus,
            rounds=job.rounds,
            patience=self.patience if len(fold.valid) and not self.privacy else 0,
            least=0 if self.privacy else max(1, self.policy.minimum_count),
            identities=identities,
        )
        told = self._promise(job, rows, facts["made"], context)
        return DenseModel(dense, weights, facts["rounds"], facts["plan"], told)

    def settings(self, classes: int, seed: int, job: Job) -> Facts:
        """What a Keras model, its training and the server's step are made from, over there."""
        names = ("width", "layers", "keras", "aggregator", "server", "server_rate", "epochs", "batch", "rate")
        settings: Facts = {name: getattr(self, name) for name in names}
        settings |= {"classes": classes, "outputs": classes or 1, "seed": seed}
        settings["source"] = _source(self.keras) if self.keras else ""
        if isinstance(job.strategy, SiloPrivate):
            settings |= {"noise": job.strategy.noise, "clip": job.strategy.clip}
        return settings

    def settled(self, model: Model) -> "FederatedTFF":
        return replace(self, rounds=max(1, model.rounds), patience=0) if isinstance(model, DenseModel) else self

    def _check(self) -> None:
        for name, known in (("aggregator", get_args(Aggregator)), ("server", get_args(Optimizer))):
            if getattr(self, name) not in known:
                raise TFFError(f"{name}={getattr(self, name)!r} is none that TFF has here: {', '.join(known)}.")
        if (self.aggregator == "private") != (self.privacy is not None):
            raise TFFError(
                f"aggregator={self.aggregator!r} with privacy={self.privacy}: pass both aggregator='private' and "
                f"privacy=SiloLevel(epsilon=…), or neither."
            )
        if self.secure:
            check_summed(self.aggregator)
        if self.privacy is not None and self.privacy.share < 1:
            raise TFFError(f"share={self.privacy.share:g}: every silo counts in each of TFF's rounds. Leave it at 1.")

    def _check_noise(self, job: Job, silos: int) -> None:
        """Raises TFFError where noise is all that would be left."""
        if isinstance(job.strategy, SiloPrivate) and job.strategy.noise > silos:
            raise TFFError(
                f"{silos} silos are too few for ε = {job.privacy.epsilon:g} over {job.rounds} rounds: the noise on "  # type: ignore[union-attr]
                f"each weight of the mean change is {job.strategy.noise / silos:.2g} times as large as all of a silo's "
                f"change may be. It takes {int(job.strategy.noise) + 1} silos, fewer rounds, or more ε; or "
                f"FederatedAverage(privacy=RecordLevel(…)), which hides rows and needs no more silos."
            )

    def _promise(self, job: Job, rows: Mapping[str, int], made: int, context: Context) -> Facts | None:
        """What the fit can say of its privacy, which is remarked too."""
        if self.privacy is None:
            return None
        promise = kept_by(job, rows, made, None)
        for told in (few_silos(job), str(promise)):
            if told:
                context.remark(f"{self.name}: {told}")
        return promise.to_facts()

    def _job(self, fold: Fold, seed: int, *, silos: int = 0, privacy: SiloLevel | None = None) -> Job:
        return FederatedAverage(strategy=FedAvg(), rounds=self.rounds, privacy=privacy).job(fold, seed, silos=silos)

    def _agree(
        self, fold: Fold, sources: list[Held], identities: Mapping[str, Identity], context: Context
    ) -> tuple[Any, dict[str, int]]:
        """What the silos agree on of the columns, and the rows of each that takes part."""
        job, channel = replace(self._job(fold, context.seed), secure=self.secure), Direct(sources, None, identities)
        exchange = Exchange(channel, float("inf"), float("inf"), job)
        preparation, rows = Agreement(exchange, job, quorum=1, units=True).reach(channel.registry)
        for happening in exchange.happenings:
            context.remark(f"{self.name}: {happening}")
        return preparation, rows


def _source(keras: str) -> str:
    """The text of the file that a user's model is in. Raises TFFError where there is none."""
    module, _, function = keras.partition(":")
    try:
        found = importlib.util.find_spec(module) if module and function else None
    except (ModuleNotFoundError, ValueError):
        found = None
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        raise TFFError(f"keras={keras!r} is no function of a file that Python finds. Pass 'module:function'.")
    return Path(found.origin).read_text(encoding="utf-8")


def _arrays(dense: Dense, source: Held) -> dict[str, np.ndarray]:
    """A silo's rows as they are opened over there: "X", "y", "valid X" and "valid y"."""
    arrays = {}
    for prefix, frame in (("", source.train), ("valid ", source.valid)):
        y = frame.y if dense.rows.classes else dense.rows.target.forward(frame.y)
        arrays[f"{prefix}X"] = dense.matrix(frame.X)
        arrays[f"{prefix}y"] = y.astype(np.int32 if dense.rows.classes else np.float32)
    return arrays
