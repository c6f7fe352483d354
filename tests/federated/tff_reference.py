"""The far half of `test_federated_tff`: TFF's own federated averaging on the same clients. Runs in the Env "tff"."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster.wire import Arrays, Facts, unarchive
from federated.tff_rounds import dataset, family, federation, keras_mlp, model_fn, server


def fed_avg(
    arrays: Arrays, *, parcels: Sequence[Any], settings: Facts, names: list[str], rounds: int
) -> tuple[Arrays, Facts]:
    """The weights after these rounds of `build_weighted_fed_avg`, and what Keras itself answers with them."""
    import psutil
    import ray

    tff = federation()
    rows = {name: unarchive(ray.get(parcel)) for name, parcel in zip(names, parcels, strict=True)}
    features = next(iter(rows.values()))["X"].shape[1]
    process = tff.learning.algorithms.build_weighted_fed_avg(
        model_fn(settings, features),
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(settings["rate"]),
        server_optimizer_fn=server(settings),
    )
    state = process.initialize()
    for number in range(rounds):
        clients = [dataset(rows[name], settings, name, number) for name in sorted(names)]
        state = process.next(state, clients).state
    weights = [np.asarray(part) for part in process.get_model_weights(state).trainable]
    net = keras_mlp(settings, features)
    net.set_weights(weights)
    told = net.predict(arrays["X"], verbose=0)
    for pid in family()[1:]:
        psutil.Process(pid).kill()
    return {**{str(place): part for place, part in enumerate(weights)}, "told": told}, {}
