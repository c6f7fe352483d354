"""A silo's side of one sum: keys, shares, a masked vector, its word on who is left, shares again; then no more.

Whatever is not as it should be ends the silo's part in the sum, and says who did what.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from cryptography.exceptions import InvalidTag

from cluster.user_error import UserError
from federated.secure_aggregation.advert import Advert, survivors_signed
from federated.secure_aggregation.fixed_point import FixedPointError
from federated.secure_aggregation.identity import Identity, signed
from federated.secure_aggregation.keys import SEALED, SECRET, commitment, fresh, mask_key, seal, unseal, usable
from federated.secure_aggregation.masks import add_mask
from federated.secure_aggregation.rules import Rules, RulesError
from federated.secure_aggregation.shares import split


class WithdrawnError(UserError):
    """Why a silo takes no further part in a sum; the sentence leaves it, and names no value."""


class Opened(NamedTuple):
    """silo → a share of its own mask's seed, of those that are in the sum; of its key, of those that are not."""

    seeds: dict[str, bytes]
    keys: dict[str, bytes]


class Participant:
    """Each method once, in this order: `advert`, `sealed`, `masked`, `consent`, `opened`; all raise WithdrawnError."""

    def __init__(self, identity: Identity, session: bytes, rules: Rules, values: np.ndarray) -> None:
        """values: what is to be summed, shape (length,). Raises WithdrawnError where they do not go into the sum."""
        self._me, self._identity, self._session, self._rules = identity.silo, identity, session, rules
        try:
            rules.check(identity)
            self._vector = rules.fixed_point.encode(values)
        except (RulesError, FixedPointError) as error:
            raise WithdrawnError(f"silo {self._me!r} takes no part in this sum: {error}") from None
        self._seal, self._mask, self._seed = fresh(), fresh(), secrets.token_bytes(SECRET)
        self._adverts: dict[str, Advert] = {}
        self._kept: dict[str, bytes] = {}  # silo → the share of its key and of its seed that this silo holds
        self._survivors: list[str] = []
        self._next = "advert"

    def advert(self) -> Advert:
        self._turn("advert", "sealed")
        promise = commitment(self._seed, self._session, self._me)
        return Advert.of(self._identity, self._session, seal=self._seal.public, mask=self._mask.public, seed=promise)

    def sealed(self, adverts: Mapping[str, Advert]) -> dict[str, bytes]:
        """Silo → its shares of this one's key and seed, sealed. adverts: of all that have sent one, this one's too."""
        self._turn("sealed", "masked")
        if len(adverts) < self._rules.threshold or len(adverts) > self._rules.silos:
            raise self._end(f"{len(adverts)} silos are said to have sent keys, and the sum is of {self._rules.silos}")
        for silo, advert in adverts.items():
            if not advert.holds(self._identity.registry, silo, self._session):
                raise self._end(f"the keys of silo {silo!r} are not signed by it for this sum")
            if not (usable(advert.seal) and usable(advert.mask)):
                raise self._end(f"the keys of silo {silo!r} hide nothing")
        own = adverts.get(self._me)
        if own is None or own.mask != self._mask.public or own.seal != self._seal.public:
            raise self._end("its own keys are not among those that were passed on")
        public = [key for advert in adverts.values() for key in (advert.seal, advert.mask)]
        if len(set(public)) < len(public):
            raise self._end("two of the keys that were passed on are the same")
        self._adverts, silos = dict(adverts), sorted(adverts)
        keys, seeds = (split(secret, self._rules.threshold, len(silos)) for secret in (self._mask.private, self._seed))
        shares = {silo: key + seed for silo, key, seed in zip(silos, keys, seeds, strict=True)}
        self._kept[self._me] = shares.pop(self._me)
        return {
            silo: seal(share, self._seal.private, adverts[silo].seal, self._session, self._me, silo)
            for silo, share in shares.items()
        }

    def masked(self, sealed: Mapping[str, bytes]) -> np.ndarray:
        """The values in fixed point, under its own mask and one in common with each silo that has sent it shares."""
        self._turn("masked", "consent")
        if self._me in sealed:
            raise self._end("it was sent shares that it is said to have sealed for itself")
        if strange := set(sealed) - set(self._adverts):
            raise self._end(f"it was sent shares of {', '.join(map(repr, sorted(strange)))}, whose keys it has not")
        if len(sealed) + 1 < self._rules.threshold:
            raise self._end(f"{len(sealed) + 1} silos are left, and {self._rules.threshold} are needed")
        for silo, box in sealed.items():
            self._kept[silo] = self._unsealed(silo, box)
        add_mask(self._vector, self._seed)
        for silo in sealed:
            key = mask_key(self._mask.private, self._adverts[silo].mask, self._session, (self._me, silo))
            add_mask(self._vector, key, sign=1 if self._me > silo else -1)
        vector, self._vector = self._vector, self._vector[:0]
        return vector

    def consent(self, survivors: Sequence[str]) -> bytes:
        """Its signature on whose parts the sum has. It gives one, ever."""
        if self._survivors and sorted(survivors) != self._survivors:
            raise self._end("it was asked for a second word on who is left: that would tell one silo's part")
        self._turn("consent", "opened")
        if self._me not in survivors or len(set(survivors)) < len(survivors) or set(survivors) - set(self._kept):
            raise self._end("the silos that are said to be left are not those that sent it shares")
        if len(survivors) < self._rules.threshold:
            raise self._end(f"{len(survivors)} silos are left, and {self._rules.threshold} are needed")
        self._survivors = sorted(survivors)
        return self._identity.sign(*survivors_signed(self._session, self._survivors))

    def opened(self, consents: Mapping[str, bytes]) -> Opened:
        """Its shares of the seeds of those that are left, and of the keys of those that are not: never both of one.

        consents: silo → its signature; as many as the threshold must have signed what this one did.
        """
        self._turn("opened", "")
        told = survivors_signed(self._session, self._survivors)
        for silo, signature in consents.items():
            if silo not in self._survivors or not signed(self._identity.registry, silo, signature, *told):
                raise self._end(f"silo {silo!r} has not signed the same survivors: somebody tells silos different ones")
        if len(consents) < self._rules.threshold:
            raise self._end(f"{len(consents)} silos agree on who is left, and {self._rules.threshold} are needed")
        left = set(self._survivors)
        return Opened(
            seeds={silo: share[SECRET:] for silo, share in self._kept.items() if silo in left},
            keys={silo: share[:SECRET] for silo, share in self._kept.items() if silo not in left},
        )

    def _unsealed(self, silo: str, box: bytes) -> bytes:
        try:
            if len(box) != SEALED:
                raise ValueError
            return unseal(box, self._seal.private, self._adverts[silo].seal, self._session, silo, self._me)
        except (InvalidTag, ValueError):
            raise self._end(
                f"the shares of silo {silo!r} do not open: it sealed them wrong, or they were changed"
            ) from None

    def _turn(self, step: str, following: str) -> None:
        if self._next != step:
            raise self._end(f"it was asked out of turn: for {step!r}, when {self._next or 'nothing'!r} was next")
        self._next = following

    def _end(self, why: str) -> WithdrawnError:
        """The error to raise; nothing more will be told of this sum."""
        self._next, self._kept = "", {}
        return WithdrawnError(f"silo {self._me!r} withdraws: {why}.")
