"""Keras models as a user writes them, for `test_federated_tff`; opened in the Env "tff" alone."""

from typing import Any


def funnel(features: int, outputs: int) -> Any:
    import tensorflow as tf

    layers = tf.keras.layers
    return tf.keras.Sequential(
        [layers.Input((features,)), layers.Dense(12, "tanh"), layers.Dropout(0.1), layers.Dense(outputs)]
    )


def normed(features: int, outputs: int) -> Any:
    import tensorflow as tf

    layers = tf.keras.layers
    rows = layers.Input((features,))
    return tf.keras.Model(rows, layers.Dense(outputs)(layers.BatchNormalization()(layers.Dense(8)(rows))))
