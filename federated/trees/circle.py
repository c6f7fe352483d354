"""Who a silo grows trees with under masks: keys of one session, signed, and with whom which tree was grown before."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from cluster.wire import Arrays
from federated.message import Message
from federated.secure_aggregation.advert import as_array
from federated.secure_aggregation.identity import Identity, signed
from federated.secure_aggregation.keys import Pair, fresh, mask_key, usable
from federated.secure_aggregation.participant import WithdrawnError
from federated.secure_aggregation.rules import FEWEST, Rules, RulesError, session_of

NOTHING = hashlib.sha256(b"").hexdigest()  # of no booster
KEYS, SIGNATURES = "keys", "signatures"  # groups of the question: by silo


@dataclass(frozen=True)
class Advert:
    """What a silo says before a session: a public key that is good for this one alone, the certificate it will show
    the tracker, and whether it has rows to stop by."""

    key: bytes
    certificate: str
    watches: bool

    def said(self, silo: str, run: str, first: int) -> tuple[bytes, ...]:
        """What the silo signs. first: trees that there are."""
        words = (b"trees", run.encode(), str(first).encode(), silo.encode())
        return (*words, self.key, self.certificate.encode(), b"watches" if self.watches else b"")


@dataclass
class Circle:
    """Of one silo and one federation. run: the federation.

    A tree is grown again with the same silos or not at all: the sums of two sets of silos that differ by one would tell
    that one's. And it is grown from the booster that the silo knows, if it has helped to grow that. A silo's process
    that is new knows neither.
    """

    identity: Identity
    run: str
    _pair: Pair | None = field(default=None, repr=False)
    _said: Advert | None = field(default=None, repr=False)
    _grown: dict[int, list[str]] = field(default_factory=dict)  # tree → the silos that it was begun with
    _boosters: dict[int, str] = field(default_factory=lambda: {0: NOTHING})  # trees → SHA-256 of their booster

    @property
    def me(self) -> str:
        return self.identity.silo

    def enrol(self, first: int, certificate: str, *, watches: bool) -> Arrays:
        """A fresh key, signed. The key before is forgotten."""
        self._pair = fresh()
        self._said = Advert(self._pair.public, certificate, watches)
        signature = self.identity.sign(*self._said.said(self.me, self.run, first))
        return {"key": as_array(self._pair.public), "signature": as_array(signature)}

    def meet(self, asked: Message, booster: str) -> tuple[bytes, dict[str, bytes]]:
        """The session, and the secret that this silo has in common with each other one in it, from the question that
        all silos of the session are asked. booster: SHA-256 of the one to go on from.

        Raises WithdrawnError where the silo would not be hidden.
        """
        pair, said, (self._pair, self._said) = self._pair, self._said, (None, None)  # a key is used once
        silos = self._checked(asked, said)
        first, trees = int(asked.facts["first"]), int(asked.facts["trees"])
        for tree in range(first, first + trees):
            if self._grown.get(tree, silos) != silos:
                raise self._withdrawn(
                    f"tree {tree} has been begun before, with other silos than now, and both sums together would tell "
                    f"single parts. It is begun again once they are back"
                )
        if self._boosters.get(first, booster) != booster:
            raise self._withdrawn(f"the booster of {first} trees is not the one that it helped to grow")
        session = session_of(asked.to_bytes(), self.run)
        assert pair is not None  # else nothing was said
        public = {silo: key.tobytes() for silo, key in asked.groups[KEYS].items() if silo != self.me}
        return session, {silo: mask_key(pair.private, key, session, (self.me, silo)) for silo, key in public.items()}

    def begun(self, asked: Message) -> None:
        """A part of a sum of this session has left the silo."""
        first, silos = int(asked.facts["first"]), sorted(asked.facts["ranks"])
        self._grown |= dict.fromkeys(range(first, first + int(asked.facts["trees"])), silos)

    def ended(self, trees: int, booster: str) -> None:
        """This is the booster of so many trees."""
        self._boosters[trees] = booster

    def _checked(self, asked: Message, said: Advert | None) -> list[str]:
        """The silos of the session, in order."""
        told, first = asked.facts, int(asked.facts["first"])
        adverts = adverts_of(asked)
        if said is None or adverts.get(self.me) != said:
            raise self._withdrawn("its own keys, as it said them last, are not among those of the session")
        try:
            Rules.of(len(adverts), self.identity.registry, weight=1.0, nonce="").check(self.identity)
        except RulesError as error:
            raise self._withdrawn(str(error).rstrip(".")) from None
        signatures = asked.groups[SIGNATURES]
        for silo, advert in adverts.items():
            about = advert.said(silo, self.run, first)
            if not signed(self.identity.registry, silo, signatures.get(silo, np.empty(0, np.uint8)).tobytes(), *about):
                raise self._withdrawn(f"the keys of silo {silo!r} are not signed by it for this session")
            if not usable(advert.key):
                raise self._withdrawn(f"the keys of silo {silo!r} hide nothing")
        if len({advert.key for advert in adverts.values()}) < len(adverts):
            raise self._withdrawn("two of the keys of the session are the same")
        watching = sum(advert.watches for advert in adverts.values())
        if told["watched"] and watching < FEWEST:
            raise self._withdrawn(f"{watching} silo(s) have rows to stop by, and their error would be told by {FEWEST}")
        return sorted(adverts)

    def _withdrawn(self, why: str) -> WithdrawnError:
        return WithdrawnError(f"silo {self.me!r} withdraws: {why}.")


def adverts_of(asked: Message) -> dict[str, Advert]:
    """Silo → what it has said, as the question of a session hands it on; no one where it does not fit together."""
    told, keys = asked.facts, asked.groups.get(KEYS, {})
    if set(keys) != set(told["ranks"]) or len(told["certificates"]) != len(keys):
        return {}
    shown = {silo: told["certificates"][rank] for silo, rank in told["ranks"].items()}
    return {silo: Advert(key.tobytes(), shown[silo], silo in told["watching"]) for silo, key in sorted(keys.items())}
