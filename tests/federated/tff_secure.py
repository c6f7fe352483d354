"""The far half of `test_federated_tff_secure`: what a coordinator of TFF's silos hears. Runs in the Env "tff"."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from cluster.wire import Arrays, Facts
from federated.message import Message
from federated.secure_aggregation import collector, participant
from federated.secure_aggregation.fixed_point import FixedPoint
from federated.tff_average import Average
from federated.tff_masks import MaskedRounds
from federated.tff_silos import Host


class Heard:
    """Silos of this process, and every byte they say. gone: silo → the kind of answer that it fails to give."""

    def __init__(self, host: Host, gone: dict[str, str] | None = None) -> None:
        self.host, self.gone, self.received = host, gone or {}, list[bytes]()

    def __call__(self, questions: dict[str, bytes]) -> dict[str, bytes]:
        told = self.host.answer(questions)
        told = {name: data for name, data in told.items() if self.gone.get(name) != Message.from_bytes(data).kind}
        self.received += told.values()
        return told


def heard(
    arrays: Arrays,
    *,
    parcels: Sequence[Any],
    names: list[str],
    settings: list[Facts],
    forecasts: list[bool],
    registry: dict[str, str],
    counts: dict[str, int],
    rounds: int,
) -> tuple[Arrays, Facts]:
    """arrays: rows that are planted in the first silo. parcels: each silo's rows, and after them each silo's windows,
    which cases that are `forecasts` learn from. Returns, for each of these settings, how far the weights of
    masked rounds are from those of open ones, how long the longest part of an update was, and what was heard."""
    known = {silo: bytes.fromhex(key) for silo, key in registry.items()}
    told: Facts = {"cases": [], "gone": {}}
    for place, (case, forecast) in enumerate(zip(settings, forecasts, strict=True)):
        held = parcels[len(names) :] if forecast else parcels[: len(names)]
        host = Host(case, names, [*held], 1, known)
        shape = host.shape()
        host.start(shape)
        averages = [Average(case, len(names)) for _ in range(2)]
        openly, hidden = (each.start(shape) for each in averages)
        alike = case["aggregator"] == "private"
        counted = dict.fromkeys(names, 1) if alike else counts
        call = Heard(host)
        asked = MaskedRounds(call, known, counted, alike=alike)
        longest, scores, single = 0.0, [], list[bytes]()
        with _encoded() as parts:
            for number in range(rounds):
                updates = host.train(openly, number, False)
                deltas = [Message.from_bytes(update).groups["delta"] for update in updates]
                single += [array.tobytes() for delta in deltas for array in delta.values()]
                longest = max(longest, *(float(np.abs(array).max()) for delta in deltas for array in delta.values()))
                openly = averages[0].combine(updates)
                score, answers = asked.round(hidden, number, last=False)
                hidden = averages[1].combine(answers)
                scores.append(score)
            last, nothing = asked.round(hidden, rounds, last=True)
        received = b"".join(call.received)
        canaries = [value for array in arrays.values() for value in array.astype(np.float32).ravel() if abs(value) > 1]
        told["cases"].append(
            {
                "apart": _apart(openly, hidden),
                "longest": longest,
                "scores": [*scores, last],
                "expected": _score(host, hidden, rounds),
                "nothing": nothing,
                "kinds": sorted({Message.from_bytes(data).kind for data in call.received}),
                "canaries": len(canaries),
                "rows": sum(value.tobytes() in received for value in canaries),
                "updates": sum(update in received for update in single),
                "parts": len(parts),
                "masked": sum(part in received for part in parts),
                "unmasked": _unmasked(host, known, counted, hidden, alike=alike),
            }
        )
        if not alike:
            told["gone"][str(place)] = _gone(host, known, counted, openly)
    return {}, told


@contextmanager
def _encoded() -> Iterator[list[bytes]]:
    """What each silo adds to each sum, in fixed point, before its masks."""
    parts: list[bytes] = []
    encode = FixedPoint.encode

    def encoded(self: FixedPoint, values: np.ndarray) -> np.ndarray:
        vector = encode(self, values)
        if len(vector) > 8:
            parts.append(vector.tobytes())
            parts.append(vector[:8].tobytes())
        return vector

    FixedPoint.encode = encoded  # type: ignore[method-assign]
    try:
        yield parts
    finally:
        FixedPoint.encode = encode  # type: ignore[method-assign]


def _unmasked(host: Host, known: dict[str, bytes], counts: dict[str, int], weights: bytes, *, alike: bool) -> int:
    """How many of these are heard where no masks are added: that the test would see what they hide."""
    add, call = participant.add_mask, Heard(host)

    def nothing(vector: np.ndarray, key: bytes, *, sign: int = 1) -> None:
        """Adds no mask."""

    participant.add_mask = collector.add_mask = nothing
    try:
        with _encoded() as parts:
            MaskedRounds(call, known, counts, alike=alike).round(weights, 0, last=False)
    finally:
        participant.add_mask = collector.add_mask = add
    received = b"".join(call.received)
    return sum(part in received for part in parts)


def _gone(host: Host, known: dict[str, bytes], counts: dict[str, int], weights: bytes) -> list[Facts]:
    """What is left of a sum where silos drop out."""
    found: list[Facts] = []
    silos = sorted(counts)
    for gone in (
        {silos[0]: "masked"},
        {silos[0]: "advert"},
        {silos[0]: "unmasked"},
        dict.fromkeys(silos[:2], "masked"),
    ):
        asked = MaskedRounds(Heard(host, gone), known, counts, alike=False)
        try:
            _, answers = asked.round(weights, 0, last=False)
            found.append({"rows": Message.from_bytes(answers[0]).facts["rows"], "notes": asked.notes})
        except Exception as error:
            found.append({"error": f"{type(error).__name__}: {error}", "notes": asked.notes})
    return found


def _apart(one: bytes, other: bytes) -> float:
    first, second = (Message.from_bytes(each).groups["weights"] for each in (one, other))
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)


def _score(host: Host, weights: bytes, number: int) -> float:
    told = [Message.from_bytes(data).facts for data in host.train(weights, number, True)]
    return float(np.average([each["valid_loss"] for each in told], weights=[each["valid_rows"] for each in told]))
