"""TFF's local runtime on the rows of a folder: `python -m benchmarks.peers.tff_local.run FOLDER`, in the Env "tff".

As its users write it: `build_weighted_fed_avg` of a Keras model, and a tf.data set for each client and round. It scores
no validation rows.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from benchmarks.peers.federation import Arrays, Asked, Watch, family, hand_in

NAMES = ("slope", "offset")


class Line(tf.keras.layers.Layer):
    """x · slope + offset, column by column."""

    def build(self, shape: Any) -> None:
        self.slope, self.offset = (self.add_weight(name, shape=(int(shape[-1]),)) for name in NAMES)

    def call(self, rows: Any) -> Any:
        return rows * self.slope + self.offset


def keras_net(asked: Asked, columns: int) -> Any:
    rows = tf.keras.layers.Input((columns,))
    hidden = Line()(rows)
    for _ in range(asked.layers):
        hidden = tf.keras.layers.Dense(asked.width, "relu")(hidden)
    return tf.keras.Model(rows, tf.keras.layers.Dense(1)(hidden))


def as_keras(first: Arrays) -> list[np.ndarray]:
    """Torch keeps a layer's weight the other way round."""
    return [array.T if array.ndim == 2 else array for array in first.values()]


def main(folder: Path) -> None:
    watch = Watch()
    asked, rows, first = Asked.read(folder)
    columns = len(first["slope"])
    spec = (tf.TensorSpec([None, columns], tf.float32), tf.TensorSpec([None, 1], tf.float32))

    def made() -> Any:
        loss = tf.keras.losses.MeanSquaredError()
        return tff.learning.models.from_keras_model(keras_net(asked, columns), loss=loss, input_spec=spec)

    process = tff.learning.algorithms.build_weighted_fed_avg(
        made,
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(asked.rate),
        server_optimizer_fn=tff.learning.optimizers.build_sgdm(1.0),
    )
    state = process.initialize()
    state = process.set_model_weights(state, tff.learning.models.ModelWeights(as_keras(first), []))
    watch.mark()
    for number in range(1, asked.rounds + 1):
        clients = []
        for silo in asked.silos:
            order = asked.order(silo, number, len(rows[f"y|{silo}"]))
            parts = (rows[f"X|{silo}"][order], rows[f"y|{silo}"][order][:, None])
            clients.append(tf.data.Dataset.from_tensor_slices(parts).batch(asked.batch))
        state = process.next(state, clients).state
        watch.mark()
    last = [np.asarray(part) for part in process.get_model_weights(state).trainable]
    hand_in(folder, watch, {name: part.T if part.ndim == 2 else part for name, part in zip(first, last, strict=True)})


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    finally:
        for process in set(family(os.getpid())) - {os.getpid()}:  # TFF's worker outlives a process that ends
            os.kill(process, signal.SIGKILL)
