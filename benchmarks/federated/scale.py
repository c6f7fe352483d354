"""What many silos cost: the memory and seconds of 100 and of 1,000, and how soon 20 are ready.

python -m benchmarks.federated scale many --silos 100 --hosts 2
python -m benchmarks.federated scale ready --silos 20

many: one number of silos a run, since memory that a process has had is not given back. peak: the largest sum of what
this process and all that it started hold, shared pages counted once, looked at twice a second.
ready: torch silos in 2 hosts until the first round may begin; TFF silos packed in 1 until their first score.
"""

import argparse
import os
import threading
import time
from pathlib import Path

from benchmarks.federated.ours import measured
from benchmarks.federated.portfolios import plain, portfolios
from benchmarks.peers.federation import family
from cluster.connect import connect
from federated.dealt import deal
from federated.federated_tff import FederatedTFF
from framework.contender import Context
from framework.data.load import load

EVERY = 0.5  # seconds between two looks at the memory


class Peak:
    """The largest memory, in MB, of this process and of all its descendants, as proportional set sizes."""

    def __init__(self) -> None:
        self.megabytes, self._over = 0.0, threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Peak":
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            self.megabytes = max(self.megabytes, sum(map(held, family(os.getpid()))) / 1024)


def held(process: int) -> int:
    """Kilobytes of a process: its own pages, and its share of those it has in common with others."""
    try:
        rolled = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return 0  # it has ended
    return next((int(line.split()[1]) for line in rolled.splitlines() if line.startswith("Pss:")), 0)


def many(silos: int, rows: int, rounds: int, hosts: int) -> None:
    """Prints one row of the table."""
    fold = load(portfolios(silos, rows), target="y", silo="silo").fold
    began = time.perf_counter()
    with Peak() as peak:
        told, _ = measured(deal(fold), plain(fold, rounds), hosts)
    each = sorted(told["rounds"])[len(told["rounds"]) // 2]
    cells = [f"{told['ready']:.1f}", f"{each:.2f}", f"{told['cpu']:.2f}", f"{peak.megabytes:.0f}"]
    print(f"| {silos} | {rows} | {hosts} | {' | '.join(cells)} | {time.perf_counter() - began:.0f} |")


def ready(silos: int, rows: int) -> None:
    fold = load(portfolios(silos, rows), target="y", silo="silo").fold
    told, _ = measured(deal(fold), plain(fold, 2), 2)
    print(
        f"torch: {silos} silos in 2 hosts ready in {told['ready']:.1f} s, first round {told['first']:.1f} s", flush=True
    )
    began, heard = time.perf_counter(), []

    class Told(Context):
        def report(self, step: int, **metrics: float) -> None:
            heard.append(time.perf_counter() - began)

    FederatedTFF(rounds=1, patience=0, hosts=1).fit(fold, Told())
    print(f"tff: {silos} silos packed in 1 host told their first score after {heard[0]:.1f} s")


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("many", "ready"))
    parser.add_argument("--silos", type=int, default=100)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--hosts", type=int, default=2)
    asked = parser.parse_args(words)
    print(f"{connect()}; load {os.getloadavg()[0]:.1f}")
    if asked.what == "ready":
        ready(asked.silos, asked.rows)
    else:
        heads = ("silos", "rows", "hosts", "ready, s", "a round, s", "CPU-s a round", "peak, MB", "in all, s")
        print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        many(asked.silos, asked.rows, asked.rounds, asked.hosts)
