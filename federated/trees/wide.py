"""Numbers as integers modulo 2^128: masks of the same ring hide them wholly, and sums of them are exact in any order.

numpy has no such integers: a vector of n of them is an array of uint64, shape (2, n), low words first.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from cluster.user_error import UserError

BITS, WORD = 128, 64
WORDS = np.dtype("<u8")
FULL = np.uint64(2**WORD - 1)
BLOCK = 1 << 13  # integers whose mask is made at once: they stay in the processor's cache
START = bytes(16)  # counter and nonce; a key is stretched once
ROOM = 32  # bits that a silo's sum may have more than what one usual row adds to it
SPARE = 8  # bits that no sum fills: where they are not empty masks are left
LEAST = 20  # bits behind the point
LEFT = "masks are left in the sum of the silos' parts: they were told different things, or a part was changed"


class WideError(UserError):
    """Numbers that do not go into the ring."""


def add(total: np.ndarray, part: np.ndarray, *, sign: int = 1) -> None:
    """total ← total ± part, in place."""
    low, high = total
    if sign > 0:
        np.add(low, part[0], out=low)
        np.add(high, part[1], out=high)
        np.add(high, low < part[0], out=high, casting="unsafe")
        return
    borrowed = low < part[0]
    np.subtract(low, part[0], out=low)
    np.subtract(high, part[1], out=high)
    np.subtract(high, borrowed, out=high, casting="unsafe")


def add_mask(vector: np.ndarray, key: bytes, *, sign: int) -> None:
    """vector ← vector ± ChaCha20(key), in place. key: 32 bytes, for one vector alone."""
    stream = Cipher(ChaCha20(key, START), mode=None).encryptor()
    zeros = bytes(2 * BLOCK * WORDS.itemsize)
    for begin in range(0, vector.shape[1], BLOCK):
        part = vector[:, begin : begin + BLOCK]
        add(part, np.frombuffer(stream.update(zeros[: part.nbytes]), dtype=WORDS).reshape(part.shape), sign=sign)


@dataclass(frozen=True)
class Wide:
    """Floats are counted in steps of 2^-places, and held to 2^reach, which leaves room for the sum of all silos; whole
    numbers are counted in ones."""

    silos: int
    places: int
    reach: int

    @classmethod
    def sized(cls, silos: int, usual: float) -> Self:
        """usual: about what one row adds to the largest of the sums. Raises WideError where 128 bits are too few."""
        reach = ROOM + _bits(max(1.0, usual))
        places = BITS - 1 - SPARE - reach - _bits(silos)
        if places < LEAST:
            raise WideError(
                f"128 bits hold no sums of {silos} silos whose rows add some {usual:.1e} each. Divide the answers by a "
                f"power of ten, or ask with secure=False."
            )
        return cls(silos, places, reach)

    def encoded(self, values: np.ndarray) -> np.ndarray:
        """Shape (n,) → (2, n). Raises WideError for a value that is not finite or has no room; it names none."""
        if values.dtype.kind != "f":
            return np.stack([values.astype(WORDS), np.where(values < 0, FULL, np.uint64(0))])  # modulo 2^128
        if not np.isfinite(values).all():
            raise WideError("its part holds sums that are not finite")
        size = np.abs(values.astype(np.float64))
        if len(size) and size.max() > 2.0**self.reach:
            raise WideError(f"its part holds sums beyond 2^{self.reach}, for which there is no room")
        steps = size * 2.0**self.places  # powers of two change no digit
        high = np.floor(steps * 2.0**-WORD)
        low = np.rint(steps - high * 2.0**WORD)  # the difference is exact: both are of the same 53 bits
        return _negated(np.stack([low, high]).astype(WORDS), values < 0)

    def decoded(self, total: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
        """Shape (2, n) → (n,), rounded once. Raises WideError for what is no sum of silos' parts: masks are left in it,
        since silos were told different things, or somebody changed a part."""
        below = total[1] >> np.uint64(WORD - 1) == 1
        if dtype.kind != "f":
            told: np.ndarray = total[0].astype(dtype)
            if (self.encoded(told) != total).any():
                raise WideError(LEFT)
            return told
        low, high = _negated(total, below).astype(np.float64)
        size = (high * 2.0**WORD + low) * 2.0**-self.places
        if len(size) and size.max() > self.silos * 2.0**self.reach:
            raise WideError(LEFT)
        return np.asarray(np.where(below, -size, size), dtype=dtype)


def _negated(vector: np.ndarray, where: np.ndarray) -> np.ndarray:
    """-x modulo 2^128 where it is asked, x elsewhere."""
    low, high = ~vector[0] + np.uint64(1), ~vector[1]
    high = high + (low == 0).astype(WORDS)
    return np.where(where, np.stack([low, high]), vector)


def _bits(number: float) -> int:
    """The least b with 2^b ≥ number ≥ 1."""
    return int(np.ceil(np.log2(number)))
