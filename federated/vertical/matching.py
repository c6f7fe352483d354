"""Which ids two parties have in common, found out without telling the others: private set intersection."""

from collections.abc import Sequence
from random import SystemRandom
from typing import Any

import numpy as np

from cluster.user_error import UserError
from cluster.wire import Arrays


class MatchError(UserError):
    """Ids that cannot be matched; the sentence names no id."""


class Matcher:
    """One party's half of a matching with one other: ECDH on P-256 by OpenMined's library, which is Google's Private
    Join and Compute below (Huberman, Franklin, Hogg 1999; Meadows 1986): each id is hashed to a point of the curve and
    raised to a key of either party, so that H(x)^ab is the same for both, and H(x)^a says nothing to who knows no a.

    Both ask and both answer, each with fresh keys, so that either learns the common ids, how many the other has, and
    nothing else, as long as both keep to the protocol (semi-honest). Who asks first, learns first. A party that makes
    up ids learns which of these the other has: nothing here bounds what a liar may try.

    The library's newest release pins protobuf 6; the one used, of October 2024, has the same protocol.
    """

    def __init__(self, party: str, ids: Sequence[str]) -> None:
        """Raises MatchError where an id is there twice, or the library is not installed."""
        try:
            import private_set_intersection.python as psi
        except ImportError:
            raise MatchError("private set intersection needs openmined-psi: install the extra 'vertical'.") from None
        if len(set(ids)) < len(ids):
            raise MatchError(f"party {party!r} has {len(ids) - len(set(ids))} id(s) twice; each row needs its own.")
        self._psi: Any = psi
        self._party = party
        # In an order that nobody knows: places in a request that was answered would else tell of the rows between.
        self._ids = list(ids)
        SystemRandom().shuffle(self._ids)
        self._asking = psi.client.CreateWithNewKey(True)
        self._answering = psi.server.CreateWithNewKey(True)

    def request(self) -> np.ndarray:
        """This party's ids, hashed and under its key: bytes as uint8."""
        return _array(self._asking.CreateRequest(self._ids).SerializeToString())

    def answer(self, request: np.ndarray) -> Arrays:
        """The other's ids under both keys, and this party's own under its key alone, for the other to compare."""
        asked = self._psi.Request()
        self._read(asked, request)
        # Raw: exact. The library's smaller forms, Bloom filters and Golomb codes, take some other ids for common ones.
        theirs = self._answering.ProcessRequest(asked).SerializeToString()
        form = self._psi.DataStructure.RAW
        own = self._answering.CreateSetupMessage(0.0, len(asked.encrypted_elements), self._ids, form)
        return {"answer": _array(theirs), "own": _array(own.SerializeToString())}

    def common(self, answered: Arrays) -> list[str]:
        """The common ids, sorted: the same list with both. answered: the other's `answer` to `request`."""
        answer, own = self._psi.Response(), self._psi.ServerSetup()
        self._read(answer, answered["answer"])
        self._read(own, answered["own"])
        return sorted(self._ids[place] for place in self._asking.GetIntersection(own, answer))

    def _read(self, message: Any, array: np.ndarray) -> None:
        try:
            message.ParseFromString(array.tobytes())
        except Exception:  # protobuf's own class moves with its version
            raise MatchError(f"party {self._party!r} was sent bytes that are no part of a matching.") from None


def _array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype=np.uint8)
