"""What hides a silo's part of each sum of a session: a mask in common with each other silo, which the sum takes away.

Bonawitz et al. 2017, https://eprint.iacr.org/2017/281, section 4.1, the masks in pairs alone. The second mask and the
shares of secrets that they have for silos which drop out are not needed: in a session of XGBoost every sum is of all
silos or the session is over, and of one that is over no mask is ever taken away by anybody. Keys are of the session and
gone with it; the next has fresh ones.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from federated.secure_aggregation.identity import framed
from federated.trees.wide import WORDS, Wide, add_mask

KEY = 32


class Veil:
    """me, keys: this silo's name, and other silos' → the secret that this one has in common with each, 32 bytes.

    Each sum has masks of its own, from all that the silos of the session were told until then: a tracker that tells
    silos different totals, so that they grow different trees and only one has rows in a node, gets sums under masks
    that do not cancel (against "model inconsistency", Pasquini, Francati, Ateniese 2022,
    https://arxiv.org/abs/2111.07380).
    """

    def __init__(self, me: str, keys: Mapping[str, bytes], session: bytes, ring: Wide) -> None:
        self._me, self._keys, self._ring = me, dict(keys), ring
        self._heard = session
        self.shown = False  # whether a part of a sum has left the silo

    def hidden(self, number: int, values: np.ndarray) -> bytes:
        """This silo's part of a sum under its masks. number: of the sum in the session; values: shape (n,).

        Raises WideError for values that do not go into the ring: nothing has left then.
        """
        vector = self._ring.encoded(values)
        about = framed(self._heard, str(number).encode(), values.dtype.str.encode())
        for silo, key in self._keys.items():
            once = hashlib.blake2b(about, key=key, digest_size=KEY).digest()
            add_mask(vector, once, sign=1 if self._me > silo else -1)
        self.shown = True
        return vector.tobytes()

    def opened(self, total: bytes, dtype: np.dtype[Any]) -> np.ndarray:
        """The sum of all silos' parts: their masks have gone."""
        return self._ring.decoded(np.frombuffer(total, dtype=WORDS).reshape(2, -1), dtype)

    def hear(self, told: bytes) -> None:
        """Takes in what the session came to, masked or not: masks from here on are good among those alone who were
        told the same."""
        self._heard = hashlib.sha256(framed(self._heard, told)).digest()
