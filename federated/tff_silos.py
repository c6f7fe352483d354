"""The silos' side in TensorFlow Federated's Env: rows, and TFF's client work on them."""

import os
from typing import Any

import numpy as np

from cluster.wire import Arrays, Facts, unarchive
from federated.layers import error_ahead, error_of, forward
from federated.message import Message
from federated.questions import Told
from federated.secure_aggregation.contribution import Contribution, limited
from federated.secure_aggregation.identity import Identity, Registry
from federated.secure_aggregation.member import Member
from federated.secure_aggregation.participant import WithdrawnError
from federated.tff_keras import dataset, federation, keras_model, model_fn, plan_of
from federated.tff_processes import QUIET, family


class Host:
    """The actor that owns silos: their rows, and TFF's client work on them.

    least: the fewest validation rows whose score a silo tells; 0: none tells any. registry: the public keys of silos
    that tell their part of a sum alone; each has its own key beside its rows.
    """

    def __init__(
        self, settings: Facts, names: list[str], parcels: list[Any], least: int, registry: Registry | None = None
    ) -> None:
        import ray

        os.environ.update(QUIET)
        self.settings, self.least = settings, least
        self.rows = {name: unarchive(ray.get(parcel)) for name, parcel in zip(names, parcels, strict=True)}
        self.members: dict[str, Member] = {}
        if registry:
            keys = {name: rows.pop("key").tobytes() for name, rows in self.rows.items()}
            self.members = {name: Member(Identity(name, key, registry)) for name, key in keys.items()}
        self.shapes: dict[str, tuple[int, ...]] = {}  # of the weights, as they were sent last

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
        arrays = Message.from_bytes(sent).groups["weights"]
        shapes = {name: array.shape for name, array in arrays.items()}
        told = []
        for name in self.rows:
            facts, groups = self._work(name, arrays, number, last=last)
            message = Message("update", name, number, facts, groups)
            message.check_leaving(shapes)
            told.append(message.to_bytes())
        return told

    def answer(self, questions: dict[str, bytes]) -> dict[str, bytes]:
        """Of silos that tell their part of a sum alone: silo → its answer to "train", whose weights it learns from, or
        to a step of the sum after it."""
        return {name: self._answer(name, Message.from_bytes(question)) for name, question in questions.items()}

    def processes(self) -> list[int]:
        return family()

    def _answer(self, name: str, asked: Message) -> bytes:
        member = self.members[name]
        steps = {"share": member.share, "mask": member.mask, "consent": member.consent, "unmask": member.unmask}
        try:
            kind, facts, groups = self._begin(name, asked) if asked.kind == "train" else steps[asked.kind](asked)
        except WithdrawnError as error:
            kind, facts, groups = "withdrawn", {"reason": str(error)}, {}
        told = Message(kind, name, asked.round, facts, groups)
        told.check_leaving(self.shapes, secure=True)
        return told.to_bytes()

    def _begin(self, name: str, asked: Message) -> Told:
        """The first word of a sum in which this silo's update and score are hidden."""
        arrays = asked.groups["weights"]
        self.shapes = {each: array.shape for each, array in arrays.items()}
        facts, groups = self._work(name, arrays, asked.round, last=asked.facts["last"])
        delta = groups.get("delta", {})
        if delta and self.settings["aggregator"] == "private":
            delta = limited(delta, self.settings["clip"])  # nobody else can
        contribution = Contribution.of(facts, delta, facts.get("rows", 0.0))
        return self.members[name].begin(asked, asked.facts["run"], contribution)

    def _work(self, name: str, arrays: Arrays, number: int, *, last: bool) -> tuple[Facts, dict[str, Arrays]]:
        """A silo's score and, before the last round, its rows and its update."""
        tff, rows = federation(), self.rows[name]
        weights = [np.array(arrays[str(place)]) for place in range(len(arrays))]
        facts = self._score(weights, rows)
        if last:
            return facts, {}
        data = dataset(rows, self.settings, name, number)
        done = self.work.next(self.state, [tff.learning.models.ModelWeights(weights, [])], [data]).result[0]
        delta = {str(place): np.asarray(part) for place, part in enumerate(done.update)}
        return {**facts, "rows": float(done.update_weight)}, {"delta": delta}

    def _score(self, weights: list[np.ndarray], rows: Arrays) -> Facts:
        if not self.least or len(rows["valid y"]) < self.least:
            return {}
        outputs = forward(weights, rows["valid X"], self.plan)
        if rows["valid y"].ndim == 2:
            error = error_ahead(outputs, rows["valid y"], squared=self.settings["squared"])
        else:
            error = error_of(outputs, rows["valid y"])
        return {"valid_loss": error, "valid_rows": float(len(rows["valid y"]))}
