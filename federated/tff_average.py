"""The coordinator's side in TensorFlow Federated's Env: TFF's aggregators, server optimizers and finalizers."""

import os
from typing import Any

import numpy as np

from cluster.wire import Facts
from federated.message import Message
from federated.tff_keras import federation, model_fn
from federated.tff_processes import QUIET, family


class Average:
    """The actor that coordinates: TFF's aggregator and finalizer, their states, and the weights."""

    def __init__(self, settings: Facts, silos: int) -> None:
        os.environ.update(QUIET)
        self.settings, self.silos = settings, silos

    def start(self, shape: tuple[int, ...]) -> bytes:
        """The weights that Keras begins with."""
        tff = federation()
        model = model_fn(self.settings, shape)()
        kind = tff.learning.models.weights_type_from_model(model)
        counted = () if self.settings["aggregator"] == "private" else (tff.TensorType(np.float32),)
        self.aggregator = aggregator(self.settings, self.silos).create(kind.trainable, *counted)
        self.finalizer = tff.learning.templates.build_apply_optimizer_finalizer(server(self.settings), kind)
        self.weights = tff.learning.models.ModelWeights([v.numpy() for v in model.trainable_variables], [])
        self.aggregated, self.finalized = self.aggregator.initialize(), self.finalizer.initialize()
        return self._told()

    def combine(self, answers: list[bytes]) -> bytes:
        """The next weights from the silos' updates, in the order of their names."""
        updates = sorted((Message.from_bytes(data) for data in answers), key=lambda update: update.silo)
        deltas = [[np.array(u.groups["delta"][str(place)]) for place in range(len(u.groups["delta"]))] for u in updates]
        counted = () if self.settings["aggregator"] == "private" else ([u.facts["rows"] for u in updates],)
        step = self.aggregator.next(self.aggregated, deltas, *counted)
        done = self.finalizer.next(self.finalized, self.weights, step.result)
        self.aggregated, self.finalized, self.weights = step.state, done.state, done.result
        return self._told()

    def processes(self) -> list[int]:
        return family()

    def _told(self) -> bytes:
        arrays = {str(place): np.asarray(part) for place, part in enumerate(self.weights.trainable)}
        return Message("weights", groups={"weights": arrays}).to_bytes()


def aggregator(settings: Facts, silos: int) -> Any:
    """TFF's aggregation factory: weighted, but for "private", in which every silo counts alike."""
    tff = federation()
    if settings["aggregator"] == "private":
        return tff.aggregators.DifferentiallyPrivateFactory.gaussian_fixed(
            noise_multiplier=settings["noise"], clients_per_round=float(silos), clip=settings["clip"]
        )
    made = {
        "mean": tff.aggregators.MeanFactory,
        "robust": tff.learning.robust_aggregator,
        "compressed": tff.learning.compression_aggregator,
    }
    return made[settings["aggregator"]]()


def server(settings: Facts) -> Any:
    """The optimizer that applies a round's mean step."""
    optimizers = federation().learning.optimizers
    made = {"sgd": optimizers.build_sgdm, "adam": optimizers.build_adam, "yogi": optimizers.build_yogi}
    return made[settings["server"]](settings["server_rate"])
