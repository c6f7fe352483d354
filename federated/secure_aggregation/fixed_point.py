"""Numbers as integers of a ring, so that masks hide them wholly and sums of them are exact."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from cluster.user_error import UserError

TOLERANCE = 1e-4  # of a sum: all roundings together


class FixedPointError(UserError):
    """Numbers that do not go into the ring."""


@dataclass(frozen=True)
class FixedPoint:
    """Integers modulo 2^bits that count steps of 2^-places. reach: no silo's value is larger; silos: that add them."""

    bits: int
    places: int
    reach: float
    silos: int

    @classmethod
    def sized(cls, silos: int, reach: float, tolerance: float = TOLERANCE) -> Self:
        """The smallest ring that holds `silos` times `reach`, either sign, and is exact to `tolerance` in their sum.

        Raises FixedPointError where none does.
        """
        for bits in (32, 64):
            room = 2.0 ** (bits - 1) / (silos * reach)
            places = int(np.floor(np.log2(room))) - 1  # one bit for roundings
            if silos * 0.5 <= tolerance * 2.0**places:
                return cls(bits, places, reach, silos)
        raise FixedPointError(
            f"no ring of 64 bits holds the sum of {silos} silos with values up to {reach:g} to {tolerance:g}. Let the "
            f"silos clip their updates lower, or ask for less."
        )

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        return np.dtype(f"<u{self.bits // 8}")

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Shape as it was. Raises FixedPointError for a value that is not finite or beyond reach; it names none."""
        if not np.isfinite(values).all():
            raise FixedPointError("its part holds values that are not finite")
        if len(values) and np.abs(values).max() > self.reach:
            raise FixedPointError(f"its part holds values beyond {self.reach:g}, for which the sum has no room")
        whole = np.rint(np.asarray(values, dtype=np.float64) * 2.0**self.places).astype(np.int64)
        return whole.astype(self.dtype)  # modulo 2^bits

    def decode(self, total: np.ndarray) -> np.ndarray:
        """float64; the ring's upper half is negative."""
        return total.view(f"<i{self.bits // 8}").astype(np.float64) / 2.0**self.places
