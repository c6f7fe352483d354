"""Keras models for TensorFlow Federated: part of the far half, in the Env "tff".

At its top it imports only what both interpreters have.
"""

import hashlib
from typing import Any

import numpy as np

from cluster.wire import Arrays, Facts
from federated.layers import ACTIVATIONS, LSTM

PASSED = ("InputLayer", "Dropout")  # layers that change nothing when a model answers


class KerasError(Exception):
    """A user's model that cannot be trained by silos, or not be answered with at home."""


def federation() -> Any:
    """The module, its banners quiet. Only this interpreter has it; to be called from a process's main thread."""
    import tensorflow_federated

    return tensorflow_federated


def keras_model(settings: Facts, shape: tuple[int, ...]) -> Any:
    """A fresh model for rows of this shape: the user's own, an LSTM for windows, or a perceptron. Its outputs are a
    standardised value, a logit for each class, or steps ahead.

    Raises KerasError for a user's that is none, or has other outputs.
    """
    features, outputs = shape[0], settings["outputs"]
    if not settings["keras"]:
        return perceptron(settings, features) if len(shape) == 1 else recurrent(settings, shape)
    import tensorflow as tf

    tf.keras.utils.set_random_seed(settings["seed"])  # every process begins with the same weights
    namespace: dict[str, Any] = {"__name__": settings["keras"]}
    exec(compile(settings["source"], settings["keras"], "exec"), namespace)
    function = settings["keras"].rpartition(":")[2]
    if not callable(namespace.get(function)):
        raise KerasError(f"{settings['keras']!r} is no function. Name one that takes features and outputs.")
    made = namespace[function](features, outputs)
    if not isinstance(made, tf.keras.Model):
        raise KerasError(f"{settings['keras']!r} returned {type(made).__name__!r}, which is no Keras model.")
    if not made.built:
        made.build((None, features))
    if tuple(made.output_shape) != (None, outputs):
        raise KerasError(
            f"{settings['keras']!r} answers with shape {tuple(made.output_shape)}, and (None, {outputs}) is needed: a "
            f"value of a quantity, or a logit for each class."
        )
    return made


def perceptron(settings: Facts, features: int) -> Any:
    """Dense layers with ReLU between them, drawn by the seed."""
    import tensorflow as tf

    def layer(place: int, units: int, activation: str | None) -> Any:
        drawn = tf.keras.initializers.GlorotUniform(seed=1009 * settings["seed"] + place)
        return tf.keras.layers.Dense(units, activation, kernel_initializer=drawn)

    rows = tf.keras.layers.Input((features,))
    hidden = rows
    for place in range(settings["layers"]):
        hidden = layer(place, settings["width"], "relu")(hidden)
    return tf.keras.Model(rows, layer(settings["layers"], settings["outputs"], None)(hidden))


def recurrent(settings: Facts, shape: tuple[int, ...]) -> Any:
    """An LSTM and all steps ahead from its last state; its first answer is 0, the seasonal naive forecast."""
    import tensorflow as tf

    keras = tf.keras
    drawn = [keras.initializers.Orthogonal(seed=1009 * settings["seed"] + place) for place in range(2)]
    cells = keras.layers.LSTM(settings["width"], kernel_initializer=drawn[0], recurrent_initializer=drawn[1])
    head = keras.layers.Dense(settings["outputs"], kernel_initializer="zeros")
    return keras.Sequential([keras.layers.Input(shape), cells, head])


def plan_of(model: Any) -> list[str]:
    """How its arrays answer: the activation behind each dense layer, in turn, as `layers.forward` takes it.

    Raises KerasError naming a layer that is not answered with at home.
    """
    plan: list[str] = []
    for layer in model.layers:
        kind, config = type(layer).__name__, layer.get_config()
        activation = "relu" if kind == "ReLU" else str(config.get("activation", ""))
        if len(layer.inbound_nodes) > 1 or len(layer.outbound_nodes) > 1:
            raise KerasError(f"the layer {layer.name!r} is used several times; a model here is one chain of layers.")
        if kind in PASSED:
            continue
        if kind == "Dense" and activation in ACTIVATIONS and config["use_bias"] and config["trainable"]:
            plan.append(activation)
        elif kind == "LSTM" and not plan and _usual(config):
            plan.append(LSTM)
        elif activation in ACTIVATIONS and plan[-1:] == ["linear"] and _plain(kind, config):
            plan[-1] = activation
        else:
            raise KerasError(
                f"the layer {layer.name!r} ({kind}{', ' + activation if activation else ''}) is not answered with "
                f"outside of Keras. Take Dense (with its bias), Activation, ReLU and Dropout, with activations "
                f"{', '.join(sorted(ACTIVATIONS))}."
            )
    if plan[-1:] != ["linear"]:
        raise KerasError(f"the model ends in {', '.join(plan[-1:]) or 'no layer'}. End it in Dense without activation.")
    return plan


def _plain(kind: str, config: Facts) -> bool:
    """Whether the layer is an activation and nothing else."""
    bent = any(config.get(name) for name in ("max_value", "negative_slope", "threshold"))
    return kind == "Activation" or (kind == "ReLU" and not bent)


def _usual(config: Facts) -> bool:
    """Whether an LSTM is the one of its equations, and tells its last state alone."""
    usual = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, "return_sequences": False}
    return all(config[name] == value for name, value in {**usual, "go_backwards": False, "stateful": False}.items())


def model_fn(settings: Facts, shape: tuple[int, ...]) -> Any:
    """What TFF makes its models by."""
    import tensorflow as tf

    kind, answered = (tf.int32, [None]) if settings["classes"] else (tf.float32, [None])
    if len(shape) > 1:
        answered = [None, settings["outputs"] + 1]
    spec = (tf.TensorSpec([None, *shape], tf.float32), tf.TensorSpec(answered, kind))

    def made() -> Any:
        losses = tf.keras.losses
        loss = (
            losses.SparseCategoricalCrossentropy(from_logits=True) if settings["classes"] else losses.MeanSquaredError()
        )
        if len(shape) > 1:
            loss = _missed(squared=settings["squared"])
        model = keras_model(settings, shape)
        return federation().learning.models.from_keras_model(model, loss=loss, input_spec=spec)

    return made


def _missed(*, squared: bool) -> Any:
    """`layers.error_ahead` as a loss of Keras."""
    import tensorflow as tf

    class Missed(tf.keras.losses.Loss):  # type: ignore[misc]
        def call(self, told: Any, outputs: Any) -> Any:
            steps, weight = told[:, :-1], told[:, -1]
            there = tf.math.is_finite(steps)
            apart = tf.where(there, steps, 0.0) - tf.where(there, outputs, 0.0)
            each = tf.reduce_sum(apart**2 if squared else tf.abs(apart), axis=1)
            return weight * each / tf.maximum(tf.reduce_sum(tf.cast(there, tf.float32), axis=1), 1.0)

    return Missed()


def dataset(rows: Arrays, settings: Facts, name: str, number: int) -> Any:
    """A silo's rows in batches, `epochs` times over, in an order of their own for each round."""
    import tensorflow as tf

    digest = hashlib.sha256(f"{settings['seed']}|{name}|{number}".encode()).digest()
    drawn = np.random.default_rng(int.from_bytes(digest[:6], "big"))
    order = np.concatenate([drawn.permutation(len(rows["y"])) for _ in range(settings["epochs"])])
    return tf.data.Dataset.from_tensor_slices((rows["X"][order], rows["y"][order])).batch(settings["batch"])
