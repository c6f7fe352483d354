"""The far half of `federated.federated_tff`: runs in the Env "tff", whose TensorFlow, numpy and Keras are of 2023.

At its top it imports only what both interpreters have.
"""

import contextlib
import hashlib
import math
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster.far import Tell
from cluster.wire import Arrays, Facts, unarchive
from federated.layers import error_of, forward
from federated.message import Message

END_SECONDS = 20.0  # how long processes may take to end before they are killed
LOOK_SECONDS = 0.2
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def federate(
    arrays: Arrays,
    *,
    parcels: Sequence[Any],
    tell: Tell,
    settings: Facts,
    names: list[str],
    hosts: int,
    cpus: float,
    patience: int,
    rounds: int,
    least: int,
    deadline: float,
) -> tuple[Arrays, Facts]:
    """parcels: the rows of each silo of `names`. Returns the weights after the best round under "0", "1", …, and the
    facts "rounds" and "processes": the ids of all that TensorFlow ran in, none of which is left when it returns."""
    import ray

    hosting = [
        ray.remote(Host).options(num_cpus=cpus).remote(settings, names[k::hosts], [*parcels[k::hosts]], least)
        for k in range(hosts)
    ]
    averaging = ray.remote(Average).options(num_cpus=0).remote(settings)
    actors = [*hosting, averaging]
    processes: list[int] = []
    try:
        features = ray.get(hosting[0].features.remote())
        weights = ray.get([actor.start.remote(features) for actor in actors])[-1]
        processes = [pid for each in ray.get([actor.processes.remote() for actor in actors]) for pid in each]
        best, best_round, best_score, began = weights, 0, math.inf, time.time()
        for number in range(rounds + 1):
            last = number == rounds or _late(began, number, deadline)
            answers = [
                data for told in ray.get([h.train.remote(weights, number, last) for h in hosting]) for data in told
            ]
            score = _score(answers)
            if score is None or score < best_score:
                best, best_round, best_score = weights, number, math.inf if score is None else score
            if score is not None:
                tell(round=number, score=score)
            if last or (patience and number - best_round >= patience):
                break
            weights = ray.get(averaging.combine.remote(answers))
        return Message.from_bytes(best).groups["weights"], {"rounds": best_round, "processes": processes}
    finally:
        for actor in actors:
            ray.kill(actor)
        _end(processes)


class Host:
    """The actor that owns silos: their rows, and TFF's client work on them."""

    def __init__(self, settings: Facts, names: list[str], parcels: list[Any], least: int) -> None:
        import ray

        os.environ.update(QUIET)
        self.settings, self.least = settings, least
        self.rows = {name: unarchive(ray.get(parcel)) for name, parcel in zip(names, parcels, strict=True)}

    def features(self) -> int:
        return int(next(iter(self.rows.values()))["X"].shape[1])

    def start(self, features: int) -> None:
        tff = federation()
        # Its optimizer is made anew for each round, as FedAvg has it.
        self.work = tff.learning.templates.build_model_delta_client_work(
            model_fn(self.settings, features),
            tff.learning.optimizers.build_sgdm(self.settings["rate"]),
            tff.learning.ClientWeighting.NUM_EXAMPLES,
        )
        self.state = self.work.initialize()

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
        if len(rows["valid y"]) < max(1, self.least):
            return {}
        error = error_of(forward(weights, rows["valid X"]), rows["valid y"])
        return {"valid_loss": error, "valid_rows": float(len(rows["valid y"]))}


class Average:
    """The actor that coordinates: TFF's aggregator and finalizer, their states, and the weights."""

    def __init__(self, settings: Facts) -> None:
        os.environ.update(QUIET)
        self.settings = settings

    def start(self, features: int) -> bytes:
        """The weights that Keras begins with."""
        tff = federation()
        model = model_fn(self.settings, features)()
        kind = tff.learning.models.weights_type_from_model(model)
        self.aggregator = aggregator(self.settings["aggregator"]).create(kind.trainable, tff.TensorType(np.float32))
        self.finalizer = tff.learning.templates.build_apply_optimizer_finalizer(server(self.settings), kind)
        self.weights = tff.learning.models.ModelWeights([v.numpy() for v in model.trainable_variables], [])
        self.aggregated, self.finalized = self.aggregator.initialize(), self.finalizer.initialize()
        return self._told()

    def combine(self, answers: list[bytes]) -> bytes:
        """The next weights from the silos' updates, in the order of their names."""
        updates = sorted((Message.from_bytes(data) for data in answers), key=lambda update: update.silo)
        deltas = [[np.array(u.groups["delta"][str(place)]) for place in range(len(u.groups["delta"]))] for u in updates]
        step = self.aggregator.next(self.aggregated, deltas, [u.facts["rows"] for u in updates])
        done = self.finalizer.next(self.finalized, self.weights, step.result)
        self.aggregated, self.finalized, self.weights = step.state, done.state, done.result
        return self._told()

    def processes(self) -> list[int]:
        return family()

    def _told(self) -> bytes:
        arrays = {str(place): np.asarray(part) for place, part in enumerate(self.weights.trainable)}
        return Message("weights", groups={"weights": arrays}).to_bytes()


def federation() -> Any:
    """The module, its banners quiet. Only this interpreter has it; to be called from a process's main thread."""
    import tensorflow_federated

    return tensorflow_federated


def keras_mlp(settings: Facts, features: int) -> Any:
    """A perceptron as Keras has it: its outputs are a standardised value, or logits."""
    import tensorflow as tf

    def layer(place: int, units: int, activation: str | None) -> Any:
        drawn = tf.keras.initializers.GlorotUniform(seed=1009 * settings["seed"] + place)
        return tf.keras.layers.Dense(units, activation, kernel_initializer=drawn)

    rows = tf.keras.layers.Input((features,))
    hidden = rows
    for place in range(settings["layers"]):
        hidden = layer(place, settings["width"], "relu")(hidden)
    return tf.keras.Model(rows, layer(settings["layers"], settings["classes"] or 1, None)(hidden))


def model_fn(settings: Facts, features: int) -> Any:
    """What TFF makes its models by."""
    import tensorflow as tf

    answers = tf.int32 if settings["classes"] else tf.float32
    spec = (tf.TensorSpec([None, features], tf.float32), tf.TensorSpec([None], answers))

    def made() -> Any:
        losses = tf.keras.losses
        loss = (
            losses.SparseCategoricalCrossentropy(from_logits=True) if settings["classes"] else losses.MeanSquaredError()
        )
        return federation().learning.models.from_keras_model(keras_mlp(settings, features), loss=loss, input_spec=spec)

    return made


def dataset(rows: Arrays, settings: Facts, name: str, number: int) -> Any:
    """A silo's rows in batches, `epochs` times over, in an order of their own for each round."""
    import tensorflow as tf

    digest = hashlib.sha256(f"{settings['seed']}|{name}|{number}".encode()).digest()
    drawn = np.random.default_rng(int.from_bytes(digest[:6], "big"))
    order = np.concatenate([drawn.permutation(len(rows["y"])) for _ in range(settings["epochs"])])
    return tf.data.Dataset.from_tensor_slices((rows["X"][order], rows["y"][order])).batch(settings["batch"])


def aggregator(name: str) -> Any:
    """TFF's weighted aggregation factory of this name."""
    tff = federation()
    made = {
        "mean": tff.aggregators.MeanFactory,
        "robust": tff.learning.robust_aggregator,
        "compression": tff.learning.compression_aggregator,
    }
    return made[name]()


def server(settings: Facts) -> Any:
    """The optimizer that applies a round's mean step."""
    optimizers = federation().learning.optimizers
    made = {"sgd": optimizers.build_sgdm, "adam": optimizers.build_adam, "yogi": optimizers.build_yogi}
    return made[settings["server"]](settings["server_rate"])


def family() -> list[int]:
    """The ids of this process and of all that it has started, TFF's worker_binary among them."""
    import psutil

    return [os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))]


def _score(answers: list[bytes]) -> float | None:
    """The mean of the silos' validation losses, each counted by its rows; None where nobody told one."""
    facts = [Message.from_bytes(data).facts for data in answers]
    told = [(fact["valid_loss"], fact["valid_rows"]) for fact in facts if "valid_loss" in fact]
    return float(np.average([loss for loss, _ in told], weights=[rows for _, rows in told])) if told else None


def _late(began: float, done: int, deadline: float) -> bool:
    if not done or deadline == math.inf:
        return False
    return deadline - time.time() < 3 * (time.time() - began) / done + 0.1 * (deadline - began)


def _end(processes: list[int]) -> None:
    """Waits until these have ended, and kills those that do not: worker_binary outlives a parent that was killed."""
    import psutil

    until = time.monotonic() + END_SECONDS
    while left := [pid for pid in processes if _runs(pid)]:
        if time.monotonic() > until:
            for pid in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    psutil.Process(pid).kill()
            return
        time.sleep(LOOK_SECONDS)


def _runs(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
