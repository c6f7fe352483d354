"""Which arm a key meets: 10,000 buckets, dealt to the arms by their weights; a key's bucket is its hash."""

import bisect
import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence

BUCKETS = 10_000
STRIDE = 6_181  # next to BUCKETS / golden ratio, and prime to BUCKETS: turns that follow each other lie far apart

Runs = Sequence[tuple[str, int]]  # arms with the number of buckets that follow each other, in order of the buckets


def bucket_of(key: str, salt: str) -> int:
    """The bucket of a key, the same in every process. salt: the served name, so that two tests draw apart."""
    told = f"{len(salt)}:{salt}{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "big") % BUCKETS


class Turns:
    """Buckets dealt in turn, for requests without a key: any run of them meets the arms by their weights, almost
    exactly. start: the first turn; one a process, drawn at random."""

    def __init__(self, start: int = 0) -> None:
        self._turns = itertools.count(start)

    def bucket(self) -> int:
        return next(self._turns) * STRIDE % BUCKETS


class Deal:
    """Buckets to arms. runs: all 10,000 of them."""

    def __init__(self, runs: Runs) -> None:
        self.runs = tuple((str(arm), int(count)) for arm, count in runs)
        self._ends = list(itertools.accumulate(count for _, count in self.runs))

    def arm(self, bucket: int) -> str:
        return self.runs[bisect.bisect_right(self._ends, bucket)][0]

    def share(self, arm: str) -> float:
        """The part of the buckets that an arm has, 0 … 1."""
        return sum(count for each, count in self.runs if each == arm) / BUCKETS


def deal(weights: Mapping[str, float], before: Runs = ()) -> Deal:
    """The arms' buckets by weight, to the nearest bucket.

    weights: above 0, relative to their sum. before: the deal so far; no more buckets change hands than have to, so that
    where one arm grows, keys move to it and none between the others.
    Two arms lie side by side, the first one's buckets from 0 up: there the deal does not depend on the one before.
    """
    seats = _seats(weights)
    first = next(iter(weights))
    held: dict[str, list[int]] = {arm: [] for arm in weights}
    free: list[int] = []
    place = 0
    for arm, count in before:
        held.get(arm, free).extend(range(place, place + count))
        place += count
    free += range(place, BUCKETS)
    for arm, own in held.items():
        over = len(own) - seats[arm]
        if over > 0:
            free += own[-over:] if arm == first else own[:over]
            held[arm] = own[:-over] if arm == first else own[over:]
    pool = iter(sorted(free))
    table = [""] * BUCKETS
    for arm, own in held.items():
        for bucket in (*own, *itertools.islice(pool, seats[arm] - len(own))):
            table[bucket] = arm
    return Deal([(arm, len(list(run))) for arm, run in itertools.groupby(table)])


def _seats(weights: Mapping[str, float]) -> dict[str, int]:
    """How many buckets each arm gets: its share rounded down, what is left to the largest remainders (Hamilton)."""
    whole = math.fsum(weights.values())
    exact = {arm: BUCKETS * weight / whole for arm, weight in weights.items()}
    seats = {arm: int(value) for arm, value in exact.items()}
    by_rest = sorted(exact, key=lambda arm: seats[arm] - exact[arm])
    for arm in by_rest[: BUCKETS - sum(seats.values())]:
        seats[arm] += 1
    return seats
