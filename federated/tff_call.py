"""How the near half asks the far half of TensorFlow Federated, and what it says of what goes wrong there."""

from collections.abc import Mapping, Sequence

import numpy as np

from cluster.env import Env, EnvError
from cluster.user_error import UserError
from cluster.wire import Arrays, Facts, archive
from framework.contender import Context


class TFFError(UserError):
    """Settings that TensorFlow Federated cannot train by."""


def trained(
    rows: Mapping[str, Arrays],
    settings: Facts,
    context: Context,
    *,
    hosts: int,
    cpus: float,
    rounds: int,
    patience: int,
    least: int,
) -> tuple[list[np.ndarray], Facts]:
    """The weights after the best round, and what `tff_rounds.federate` tells.

    rows: silo → "X", "y", "valid X", "valid y"; each silo's are opened by its host alone. settings: as `tff_keras` has
    them. least: the fewest validation rows whose score a silo tells; 0: none tells any.
    Raises TFFError for a Keras model that cannot be trained or answered with, EnvError for all else that fails there.
    """
    import ray

    def hear(told: Facts) -> None:
        context.report(told["round"], valid_loss=told["score"])

    parcels: Sequence[object] = [ray.put(archive(arrays)) for arrays in rows.values()]
    try:
        home, facts = Env("tff", deadline=context.deadline, hear=hear).call(
            "federated.tff_rounds:federate",
            {},
            parcels,
            settings=settings,
            names=list(rows),
            hosts=min(hosts, len(rows)),
            cpus=cpus,
            patience=patience,
            rounds=rounds,
            least=least,
            deadline=context.deadline,
        )
    except EnvError as error:
        if error.type == "KerasError":
            raise TFFError(f"keras={settings['keras']!r}: {error.message}") from None
        raise
    return [home[str(place)] for place in range(len(home))], facts
