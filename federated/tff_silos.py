"""The silos' side in TensorFlow Federated's Env: rows, and TFF's client work on them."""

import os
from typing import Any

import numpy as np

from cluster.wire import Arrays, Facts, unarchive
from federated.layers import error_ahead, error_of, forward
from federated.message import Message
from federated.tff_keras import dataset, federation, keras_model, model_fn, plan_of
from federated.tff_processes import QUIET, family


class Host:
    """The actor that owns silos: their rows, and TFF's client work on them."""

    def __init__(self, settings: Facts, names: list[str], parcels: list[Any], least: int) -> None:
        """least: the fewest validation rows whose score a silo tells; 0: none tells any."""
        import ray

        os.environ.update(QUIET)
        self.settings, self.least = settings, least
        self.rows = {name: unarchive(ray.get(parcel)) for name, parcel in zip(names, parcels, strict=True)}

    def shape(self) -> tuple[int, ...]:
        """Of a row as the model takes it."""
        return tuple(next(iter(self.rows.values()))["X"].shape[1:])

    def start(self, shape: tuple[int, ...]) -> list[str]:
        """How the weights answer, see `layers.forward`."""
        tff = federation()
        weighing = tff.learning.ClientWeighting
        # Its optimizer is made anew for each round, as FedAvg has it.
        self.work = tff.learning.templates.build_model_delta_client_work(
            model_fn(self.settings, shape),
            tff.learning.optimizers.build_sgdm(self.settings["rate"]),
            weighing.UNIFORM if self.settings["aggregator"] == "private" else weighing.NUM_EXAMPLES,
        )
        self.state = self.work.initialize()
        self.plan = plan_of(keras_model(self.settings, shape))
        return self.plan

    def train(self, sent: bytes, number: int, last: bool) -> list[bytes]:
        """An update of each silo; of the last round only how the weights answer its validation rows."""
        tff = federation()
        arrays = Message.from_bytes(sent).groups["weights"]
        weights = [np.array(arrays[str(place)]) for place in range(len(arrays))]
        shapes = {name: array.shape for name, array in arrays.items()}
        told = []
        for name, rows in self.rows.items():
            facts = self._score(weights, rows)
            groups: dict[str, Arrays] = {}
            if not last:
                data = dataset(rows, self.settings, name, number)
                done = self.work.next(self.state, [tff.learning.models.ModelWeights(weights, [])], [data]).result[0]
                facts["rows"] = float(done.update_weight)
                groups["delta"] = {str(place): np.asarray(part) for place, part in enumerate(done.update)}
            message = Message("update", name, number, facts, groups)
            message.check_leaving(shapes)
            told.append(message.to_bytes())
        return told

    def processes(self) -> list[int]:
        return family()

    def _score(self, weights: list[np.ndarray], rows: Arrays) -> Facts:
        if not self.least or len(rows["valid y"]) < self.least:
            return {}
        outputs = forward(weights, rows["valid X"], self.plan)
        if rows["valid y"].ndim == 2:
            error = error_ahead(outputs, rows["valid y"], squared=self.settings["squared"])
        else:
            error = error_of(outputs, rows["valid y"])
        return {"valid_loss": error, "valid_rows": float(len(rows["valid y"]))}
