"""The coordinator's side of one sum: what it passes on, whom it leaves out and why, and the sum."""

from collections.abc import Mapping
from itertools import chain

import numpy as np

from cluster.user_error import UserError
from federated.secure_aggregation.advert import Advert, survivors_signed
from federated.secure_aggregation.identity import Registry, signed
from federated.secure_aggregation.keys import SEALED, SECRET, commitment, mask_key, pair_of, usable
from federated.secure_aggregation.masks import add_mask
from federated.secure_aggregation.participant import Opened
from federated.secure_aggregation.rules import Rules
from federated.secure_aggregation.shares import open_shares

Refused = dict[str, str]  # silo → why what it sent is not taken


class SumError(UserError):
    """A sum that cannot be opened."""


class Collector:
    """`take_adverts`, `take_sealed`, `take_masked`, `take_consents`, then `total`: each takes what silos sent in a
    step, and returns those that it refuses. Who sends nothing has dropped out.
    """

    def __init__(self, session: bytes, rules: Rules, registry: Registry, length: int) -> None:
        """length: of the vectors."""
        self._session, self._rules, self._registry = session, rules, registry
        self._sum = np.zeros(length, dtype=rules.fixed_point.dtype)
        self.adverts: dict[str, Advert] = {}
        self._sealed: dict[str, dict[str, bytes]] = {}  # sender → receiver → shares
        self.survivors: list[str] = []  # those whose vectors are in the sum
        self.consents: dict[str, bytes] = {}

    def take_adverts(self, told: Mapping[str, Advert]) -> Refused:
        refused: Refused = {}
        for silo, advert in sorted(told.items()):
            if not advert.holds(self._registry, silo, self._session):
                refused[silo] = f"silo {silo!r} sent keys that it has not signed for this sum."
            elif not (usable(advert.seal) and usable(advert.mask)):
                refused[silo] = f"silo {silo!r} sent keys that hide nothing."
            else:
                self.adverts[silo] = advert
        self._enough(len(self.adverts), "sent keys", refused)
        return refused

    def take_sealed(self, told: Mapping[str, Mapping[str, bytes]]) -> Refused:
        refused: Refused = {}
        for silo, boxes in told.items():
            if silo in boxes:
                refused[silo] = f"silo {silo!r} sent a share for itself."
            elif set(boxes) != set(self.adverts) - {silo}:
                refused[silo] = f"silo {silo!r} sent shares for other silos than those that take part."
            elif wrong := sorted(other for other, box in boxes.items() if len(box) != SEALED):
                refused[silo] = (
                    f"silo {silo!r} sent {wrong[0]!r} a share of {len(boxes[wrong[0]])} bytes, not {SEALED}."
                )
            else:
                self._sealed[silo] = dict(boxes)
        self._enough(len(self._sealed), "sent shares", refused)
        return refused

    def sealed_for(self, silo: str) -> dict[str, bytes]:
        """Sender → its shares for this silo."""
        return {sender: boxes[silo] for sender, boxes in self._sealed.items() if sender != silo}

    @property
    def sharing(self) -> list[str]:
        """The silos whose shares the others have."""
        return sorted(self._sealed)

    @property
    def _gone(self) -> list[str]:
        """Those with whom the survivors have masks in common, and who are not in the sum."""
        return sorted(set(self._sealed) - set(self.survivors))

    def take_masked(self, told: Mapping[str, np.ndarray]) -> Refused:
        refused: Refused = {}
        for silo, vector in sorted(told.items()):
            if vector.dtype != self._sum.dtype or vector.shape != self._sum.shape:
                refused[silo] = (
                    f"silo {silo!r} sent a masked vector of {vector.shape} {vector.dtype}; {self._sum.shape} "
                    f"{self._sum.dtype} was asked."
                )
                continue
            self._sum += vector
            self.survivors.append(silo)
        self._enough(len(self.survivors), "sent masked vectors", refused)
        return refused

    def take_consents(self, told: Mapping[str, bytes]) -> Refused:
        refused: Refused = {}
        about = survivors_signed(self._session, self.survivors)
        for silo, signature in told.items():
            if signed(self._registry, silo, signature, *about):
                self.consents[silo] = signature
            else:
                refused[silo] = f"silo {silo!r} has not signed the survivors that it was told."
        self._enough(len(self.consents), "agreed on who is left", refused)
        return refused

    def total(self, told: Mapping[str, Opened]) -> tuple[np.ndarray, Refused]:
        """The sum of the survivors' values, float64, and those whose shares were not used.

        Raises SumError when the shares open no masks.
        """
        sound: dict[str, Opened] = {}
        refused: Refused = {}
        for silo, opened in sorted(told.items()):
            whole = (set(opened.seeds), set(opened.keys)) == (set(self.survivors), set(self._gone))
            if whole and all(len(share) == SECRET for share in chain(opened.seeds.values(), opened.keys.values())):
                sound[silo] = opened
            else:
                refused[silo] = f"silo {silo!r} sent other shares than it was asked for."
        self._enough(len(sound), "sent shares to open the sum", refused)
        seeds, keys, liar = self._honest(sound)
        if liar:
            refused[liar] = f"silo {liar!r} sent shares that do not open the masks of the others."
        for seed in seeds.values():
            add_mask(self._sum, seed, sign=-1)
        for silo, private in keys.items():
            for other in self.survivors:  # each has the mask in its vector with the sign that it gave it
                key = mask_key(private, self.adverts[other].mask, self._session, (silo, other))
                add_mask(self._sum, key, sign=-1 if other > silo else 1)
        return self._rules.fixed_point.decode(self._sum), refused

    def _honest(self, told: Mapping[str, Opened]) -> tuple[dict[str, bytes], dict[str, bytes], str]:
        """Seeds and keys, and who of those that told them has to be left out for that; "" for nobody."""
        for liar in ("", *told):
            holders = [silo for silo in told if silo != liar][: self._rules.threshold]
            if len(holders) < self._rules.threshold:
                break
            if liar and liar not in list(told)[: self._rules.threshold]:
                continue  # its shares were not among those that failed
            seeds = self._open({silo: opened.seeds for silo, opened in told.items()}, holders, self.survivors)
            keys = self._open({silo: opened.keys for silo, opened in told.items()}, holders, self._gone)
            if self._right(seeds, keys):
                return seeds, keys, liar
        raise SumError(
            "the shares that silos sent do not open the masks they are of, and there are too few to tell who sent "
            f"wrong ones: one of {', '.join(map(repr, sorted(told)))}."
        )

    def _open(self, told: Mapping[str, Mapping[str, bytes]], holders: list[str], owners: list[str]) -> dict[str, bytes]:
        if not owners:
            return {}
        places = {silo: place for place, silo in enumerate(sorted(self.adverts), 1)}
        data = b"".join(told[holder][owner] for owner in owners for holder in holders)
        shares = np.frombuffer(data, dtype=np.uint8).reshape(len(owners), len(holders), SECRET)
        return dict(zip(owners, open_shares([places[silo] for silo in holders], shares), strict=True))

    def _right(self, seeds: Mapping[str, bytes], keys: Mapping[str, bytes]) -> bool:
        """Whether these are what their owners have advertised."""
        promised = all(commitment(seed, self._session, silo) == self.adverts[silo].seed for silo, seed in seeds.items())
        return promised and all(pair_of(key).public == self.adverts[silo].mask for silo, key in keys.items())

    def _enough(self, silos: int, what: str, refused: Refused) -> None:
        if silos < self._rules.threshold:
            told = "".join(f"; {why.rstrip('.')}" for why in refused.values())
            raise SumError(
                f"{silos} of {self._rules.silos} silos {what}, and {self._rules.threshold} are needed to open their "
                f"sum{told}"
            )
