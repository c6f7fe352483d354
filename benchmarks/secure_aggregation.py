"""What secure aggregation costs: processor seconds of a silo and of the coordinator, and bytes, beside the paper's.

`python -m benchmarks.secure_aggregation --silos 10 50` takes seconds of a processor; 200 silos take some five minutes,
since every silo's masks are really made.
"""

import argparse
import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from federated.message import Message
from federated.secure_aggregation.advert import Advert, as_array
from federated.secure_aggregation.collector import Collector
from federated.secure_aggregation.identity import found
from federated.secure_aggregation.participant import Opened, Participant
from federated.secure_aggregation.rules import Rules

SESSION = bytes(32)
DROPS = (0.0, 0.1, 0.3)  # of the silos, after they have sent shares: the dearest moment
PAPER = """
Bonawitz et al. 2017, their cost summary, for n silos and m values:

| | silo | server |
|---|---|---|
| computation | O(n² + mn) | O(mn²) |
| communication | O(n + m) | O(n² + mn) |
| storage | O(n + m) | O(n² + m) |

They tell of 1.73 times the bytes of sums in the clear, for 1,024 silos and 2^20 values of 16 bits.
"""


class Clock:
    """Processor seconds of this thread, by what they went to."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def of(self, what: str, *, silos: int = 1) -> Iterator[None]:
        """silos: that share the work; the mean is kept."""
        began = time.thread_time()
        yield
        self.seconds[what] = (time.thread_time() - began) / silos


def measured(silos: int, parameters: int) -> Iterator[str]:
    """A row of the table for each share of dropped silos."""
    names = [f"silo {place:03d}" for place in range(silos)]
    identities, clock = found(names), Clock()
    registry = identities[names[0]].registry
    rules = Rules.of(silos, registry, weight=1.0, nonce="benchmark")
    values = np.random.default_rng(0).normal(size=parameters)
    parts = {name: Participant(identities[name], SESSION, rules, values) for name in names}
    with clock.of("sharing", silos=silos):
        adverts = {name: part.advert() for name, part in parts.items()}
        boxes = {name: part.sealed(adverts) for name, part in parts.items()}
    inbox = {name: {sender: held[name] for sender, held in boxes.items() if sender != name} for name in names}
    with clock.of("masking", silos=silos):
        vectors = {name: part.masked(inbox[name]) for name, part in parts.items()}
    for drop in DROPS:
        left = names[: silos - int(drop * silos)]
        collector = Collector(SESSION, rules, registry, parameters)
        collector.take_adverts(adverts)
        collector.take_sealed(boxes)
        with clock.of("adding"):
            collector.take_masked({name: vectors[name] for name in left})
        again = {name: copy.copy(parts[name]) for name in left}  # each of them agrees once
        words = {name: part.consent(left) for name, part in again.items()}
        collector.take_consents(words)
        with clock.of("opening", silos=len(left)):
            opened = {name: part.opened(words) for name, part in again.items()}
        with clock.of("unmasking"):
            total, _ = collector.total(opened)
        assert np.abs(total - len(left) * values).max() < 1e-4
        told = clock.seconds
        one = left[0]
        size = sent(one, adverts[one], boxes[one], vectors[one], words[one], opened[one])
        yield (
            f"| {silos} | {drop:.0%} | {told['sharing']:.3f} | {told['masking']:.3f} | {told['opening']:.3f} | "
            f"{told['adding']:.2f} | {told['unmasking']:.2f} | {size / 1e6:.2f} | {size / (4 * parameters):.2f} |"
        )


def sent(silo: str, advert: Advert, boxes: dict[str, bytes], vector: np.ndarray, word: bytes, opened: Opened) -> int:
    """The bytes that a silo sends in all steps."""
    groups = {
        "advert": {"keys": advert.to_arrays()},
        "sealed": {"sealed": {name: as_array(box) for name, box in boxes.items()}},
        "masked": {"masked": {"vector": vector}},
        "consent": {"consent": {"signature": as_array(word)}},
        "unmasked": {
            "seeds": {name: as_array(share) for name, share in opened.seeds.items()},
            "keys": {name: as_array(share) for name, share in opened.keys.items()},
        },
    }
    return sum(len(Message(kind, silo, 1, groups=held).to_bytes()) for kind, held in groups.items())


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--silos", type=int, nargs="+", default=[10, 50, 200])
    asked.add_argument("--parameters", type=int, default=1_000_000)
    given = asked.parse_args()
    print(f"{given.parameters:,} parameters, processor seconds of one thread\n")
    print(
        "| silos | dropped | keys, shares | mask | opening | server: adding | unmasking | MB a silo sends | × float32 |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for silos in given.silos:
        for row in measured(silos, given.parameters):
            print(row, flush=True)
    print(PAPER)


if __name__ == "__main__":
    main()
