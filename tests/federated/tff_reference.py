"""The far half of `test_federated_tff`: TFF's own processes on the same clients. Runs in the Env "tff"."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster.wire import Arrays, Facts, unarchive
from federated.layers import forward
from federated.message import Message
from federated.tff_average import Average, aggregator, server
from federated.tff_keras import KerasError, dataset, federation, keras_model, model_fn, plan_of
from federated.tff_processes import family
from federated.tff_silos import Host

WIDER = """
def nothing(features, outputs):
    import tensorflow as tf
    return tf.keras.Sequential([tf.keras.layers.Input((features,)), tf.keras.layers.Dense(outputs + 1)])
"""


def reference(
    arrays: Arrays,
    *,
    parcels: Sequence[Any],
    names: list[str],
    settings: Facts,
    cases: list[Facts],
    rounds: int,
) -> tuple[Arrays, Facts]:
    """parcels: the rows of each silo of `names`, of which the weights after these rounds of `build_weighted_fed_avg`
    come home, and what Keras itself answers with them; then rows made up for the cases, see `_apart`."""
    import ray

    opened = [unarchive(ray.get(parcel)) for parcel in parcels]
    rows = dict(zip(names, opened, strict=False))
    weights = own_process(rows, settings, rounds)
    net = keras_model(settings, opened[0]["X"].shape[1:])
    net.set_weights(weights)
    home = {**{str(place): part for place, part in enumerate(weights)}, "told": net.predict(arrays["X"], verbose=0)}
    made = {f"silo {place}": part for place, part in enumerate(opened[len(names) :])}
    told: Facts = {"apart": {}, "moved": {}}
    for case in cases:
        told["apart"][case["case"]], told["moved"][case["case"]] = _apart(made, case, rounds)
    told["answers apart"] = _answers_apart()
    told["refused"] = _refused(settings)
    _end_workers()
    return home, told


def _apart(made: dict[str, Arrays], settings: Facts, rounds: int) -> tuple[float, float]:
    """The largest difference between our weights and those of TFF's own process, and how far the weights moved.

    made: a silo's arrays, of which the case names those that are its rows and answers.
    """
    rows = {}
    for name, part in made.items():
        X, y = part[settings["X"]], part[settings["y"]]
        rows[name] = {"X": X, "y": y, "valid X": X[:0], "valid y": y[:0]}
    begun, ours = our_parts(rows, settings, rounds)
    theirs = own_process(rows, settings, rounds)
    apart = max(np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)).item()
    return apart, max(np.abs(a - b).max() for a, b in zip(ours, begun, strict=True)).item()


def own_process(rows: dict[str, Arrays], settings: Facts, rounds: int) -> list[np.ndarray]:
    """The weights after these rounds of TFF's own learning process."""
    tff = federation()
    shape = next(iter(rows.values()))["X"].shape[1:]
    algorithms = tff.learning.algorithms
    build = (
        algorithms.build_unweighted_fed_avg
        if settings["aggregator"] == "private"
        else algorithms.build_weighted_fed_avg
    )
    process = build(
        model_fn(settings, shape),
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(settings["rate"]),
        server_optimizer_fn=server(settings),
        model_aggregator=aggregator(settings, len(rows)),
    )
    state = process.initialize()
    for number in range(rounds):
        clients = [dataset(rows[name], settings, name, number) for name in sorted(rows)]
        state = process.next(state, clients).state
    return [np.asarray(part) for part in process.get_model_weights(state).trainable]


def our_parts(rows: dict[str, Arrays], settings: Facts, rounds: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The first weights and the last, by our two actors, in this process."""
    host, average = Host(settings, [], [], 0), Average(settings, len(rows))
    host.rows = rows
    host.start(host.shape())
    begun = weights = average.start(host.shape())
    for number in range(rounds):
        weights = average.combine(host.train(weights, number, False))
    return _arrays(begun), _arrays(weights)


def _arrays(sent: bytes) -> list[np.ndarray]:
    held = Message.from_bytes(sent).groups["weights"]
    return [held[str(place)] for place in range(len(held))]


def _answers_apart() -> dict[str, float]:
    """How far our answers are from Keras's own: by a model with every activation, and by an LSTM. Plan → largest."""
    import tensorflow as tf

    layers, rng = tf.keras.layers, np.random.default_rng(0)
    inside = [layers.Dense(5, name) for name in ("relu", "tanh", "sigmoid", "softplus", "swish", "elu", "selu")]
    outside = [layers.Dense(4), layers.ReLU(), layers.Dropout(0.3), layers.Dense(4), layers.Activation("tanh")]
    chain = tf.keras.Sequential([layers.Input((3,)), *inside, *outside, layers.Dense(2)])
    cells = tf.keras.Sequential([layers.Input((7, 3)), layers.LSTM(5), layers.Dense(2)])
    told = {}
    for net, shape in ((chain, (50, 3)), (cells, (50, 7, 3))):
        X = rng.normal(0, 3, shape).astype(np.float32)
        plan = plan_of(net)
        told[" ".join(plan)] = np.abs(forward(net.get_weights(), X, plan) - net.predict(X, verbose=0)).max().item()
    return told


def _refused(settings: Facts) -> list[str]:
    """What is said of models that silos cannot train, or that are not answered with at home."""
    import tensorflow as tf

    layers = tf.keras.layers
    wrong = [
        [layers.Dense(1, "softmax")],
        [layers.Dense(4, "relu")],
        [layers.Dense(4), layers.ReLU(max_value=6.0), layers.Dense(1)],
        [layers.Dense(4, use_bias=False), layers.Dense(1)],
        [layers.Reshape((4, 1)), layers.LSTM(2, go_backwards=True), layers.Dense(1)],
    ]
    told = []
    for chain in wrong:
        try:
            plan_of(tf.keras.Sequential([layers.Input((4,)), *chain]))
        except KerasError as error:
            told.append(str(error))
    for source in ("nothing = 1", "def nothing(features, outputs): return 1", WIDER):
        try:
            keras_model({**settings, "keras": "models:nothing", "source": source}, (4,))
        except KerasError as error:
            told.append(str(error))
    return told


def _end_workers() -> None:
    import psutil

    for pid in family()[1:]:
        psutil.Process(pid).kill()
