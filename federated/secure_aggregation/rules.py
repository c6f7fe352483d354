"""What a sum is to be: said by the coordinator with its question, checked by every silo, signed with every key."""

import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Self

from cluster.user_error import UserError
from cluster.wire import Facts
from federated.secure_aggregation.fixed_point import TOLERANCE, FixedPoint
from federated.secure_aggregation.identity import Identity, Registry, framed

FEWEST = 3  # a sum of two tells each of them the other's part
REACH = 256.0  # of a value of an update, counted by its share of the rows


class RulesError(UserError):
    """A sum that would not hide what it is of."""


@dataclass(frozen=True)
class Rules:
    """silos: that are asked; threshold: how many of them must stay to the end. weight: of the silo with most rows, by
    which all others' are divided. nonce: of this sum alone. reach: of a value, so divided; tolerance: of the sum.
    """

    silos: int
    threshold: int
    weight: float
    nonce: str
    reach: float = REACH
    tolerance: float = TOLERANCE

    @classmethod
    def of(
        cls,
        silos: int,
        registry: Registry,
        *,
        weight: float,
        nonce: str,
        reach: float = REACH,
        tolerance: float = TOLERANCE,
    ) -> Self:
        """Raises RulesError where too few silos are left of those that know one another."""
        rules = cls(silos, threshold_of(silos, len(registry)), weight, nonce, reach, tolerance)
        if silos < rules.threshold:
            raise RulesError(
                f"secure aggregation needs at least {FEWEST} silos and more than half of those that know one another, "
                f"and {silos} of {len(registry)} take part. Wait for more, or let a smaller circle of silos begin anew."
            )
        return rules

    @cached_property
    def fixed_point(self) -> FixedPoint:
        """Raises FixedPointError where no ring will do."""
        return FixedPoint.sized(self.silos, self.reach, self.tolerance)

    def check(self, identity: Identity) -> None:
        """Raises RulesError where a silo would not be hidden among enough others."""
        registered = len(identity.registry)
        least = threshold_of(self.silos, registered)
        if self.threshold < least or self.silos > registered:
            raise RulesError(
                f"a sum of {self.silos} of {registered} silos was to be opened by {self.threshold} of them; silo "
                f"{identity.silo!r} takes part where {least} are needed."
            )

    def to_facts(self) -> Facts:
        return asdict(self)

    @classmethod
    def from_facts(cls, facts: Facts) -> Self:
        return cls(**facts)


def threshold_of(silos: int, registered: int) -> int:
    """⌈2n/3⌉ of the silos that are asked: then no coordinator gets both kinds of share of one silo while fewer than a
    third are in league with it. And more than half of those that know one another, so that none is asked in a corner.
    """
    return max(FEWEST, -(-2 * silos // 3), registered // 2 + 1)


def session_of(question: bytes, run: str) -> bytes:
    """What keys and signatures are of: the whole question, so that silos sent different models do not come together."""
    return hashlib.sha256(framed(b"sum", run.encode(), question)).digest()
