"""A fold's rows dealt into silos, by the column that its problem names: how a simulation begins."""

from collections.abc import Sequence

import numpy as np

from cluster.user_error import UserError
from federated.policy import USUAL, Policy
from federated.source import Held
from framework.data.frame import Fold


class DealError(UserError):
    """A fold whose rows cannot be dealt into silos, or silos that cannot be dealt out to hosts."""


def deal(fold: Fold, policy: Policy = USUAL) -> list[Held]:
    """One source for each silo, by name; every one under the same policy.

    Raises DealError where the problem names no silo column, a row has none, or there is only one silo.
    """
    silo = silo_column(fold)
    train, valid = names_in(fold, silo, valid=False), names_in(fold, silo, valid=True)
    names = sorted(set(train))
    if len(names) < 2:
        raise DealError(f"the silo column {silo!r} has {len(names)} value(s); a federation takes 2 or more.")
    return [
        Held(
            name, fold.train.take(np.flatnonzero(train == name)), fold.valid.take(np.flatnonzero(valid == name)), policy
        )
        for name in names
    ]


def check_hosts(hosts: int, *, least: int = 0) -> None:
    """Raises DealError for a number of actors that nobody can hold silos in. least: 0 where they may be in this
    process."""
    if hosts < least:
        here = "0 holds them in this process, " if not least else ""
        raise DealError(f"hosts={hosts} actors cannot hold silos: {here}1 or more hold them in actors of Ray.")


def able(sources: Sequence[Held]) -> list[str]:
    """The silos with rows enough to take part, each by its own policy."""
    return [source.name for source in sources if len(source.train) >= source.policy.minimum_rows]


def silo_column(fold: Fold) -> str:
    """The column that tells silos apart. Raises DealError where the problem names none."""
    if fold.problem.silo is None:
        raise DealError("the problem names no silo column: pass silo= to load(), or --silo.")
    if fold.shards is not None:
        raise DealError("the rows lie in files of all silos together; load each silo's own (federated.source.Filed).")
    return fold.problem.silo


def names_in(fold: Fold, silo: str, *, valid: bool) -> np.ndarray:
    """The silo of each row to learn from, or of each row to stop by. Raises DealError for a row without one."""
    values = (fold.valid if valid else fold.train).X[silo].astype(object)
    if missing := int(values.isna().sum()):
        raise DealError(f"{missing} row(s) have no {silo!r}, and belong to no silo. Drop them, or name one.")
    return values.to_numpy()
