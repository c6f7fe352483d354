"""How the near half asks the far half of TensorFlow Federated, and what it says of what goes wrong there."""

from collections.abc import Mapping, Sequence

import numpy as np

from cluster.env import Env, EnvError
from cluster.user_error import UserError
from cluster.wire import Arrays, Facts, archive
from federated.channel import registry_of
from federated.federation_error import FederationError
from federated.secure_aggregation.identity import Identity
from framework.contender import Context

SUMMED = ("mean", "private")  # aggregators that need no more than the silos' sum


class TFFError(UserError):
    """Settings that TensorFlow Federated cannot train by."""


def check_summed(aggregator: str) -> None:
    """Raises TFFError for an aggregator that masks would leave nothing to look at."""
    if aggregator not in SUMMED:
        raise TFFError(
            f"aggregator={aggregator!r} needs each silo's own update, and secure aggregation tells their weighted sum "
            f"alone. Take one of {', '.join(SUMMED)}, or secure=False."
        )


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
    identities: Mapping[str, Identity] | None = None,
) -> tuple[list[np.ndarray], Facts]:
    """The weights after the best round, and what `tff_rounds.federate` tells.

    rows: silo → "X", "y", "valid X", "valid y"; each silo's are opened by its host alone. settings: as `tff_keras` has
    them. least: the fewest validation rows whose score a silo tells; 0: none tells any. identities: of silos whose
    updates are summed under masks; none where they are told as they are. Silos left out of a sum are remarked.
    Raises TFFError for a Keras model that cannot be trained or answered with, FederationError
    where too few silos stay in a sum, EnvError for all else that fails there.
    """
    import ray

    def hear(told: Facts) -> None:
        context.report(told["round"], valid_loss=told["score"])

    signing = identities or {}
    keys = {silo: {"key": np.frombuffer(each.key, dtype=np.uint8)} for silo, each in signing.items()}
    parcels: Sequence[object] = [ray.put(archive({**arrays, **keys.get(silo, {})})) for silo, arrays in rows.items()]
    alike = settings["aggregator"] == "private"
    counts = {silo: 1 if alike else settings["epochs"] * len(arrays["y"]) for silo, arrays in rows.items()}
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
            registry={silo: key.hex() for silo, key in registry_of(signing).items()},
            counts=counts,
        )
    except EnvError as error:
        if error.type == "KerasError":
            raise TFFError(f"keras={settings['keras']!r}: {error.message}") from None
        if error.type == "FederationError":
            raise FederationError(error.message) from None
        raise
    for note in facts["notes"]:
        context.remark(note)
    return [home[str(place)] for place in range(len(home))], facts
