"""What a federated framework is given and what it hands back: a folder of plain files, the same for all. Needs numpy.

The net takes standardised numbers: column by column x · slope + offset, then `layers` times a linear layer of `width`
with ReLU, then a linear head; its loss is the squared error, its optimizer plain SGD.
"""

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ASKED, ROWS, FIRST, LAST, TOLD = "asked.json", "rows.npz", "first.npz", "last.npz", "told.json"
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Asked:
    """silos: their names, in order. rounds, epochs, batch, rate, seed: of the training."""

    silos: list[str]
    rounds: int
    epochs: int
    batch: int
    rate: float
    seed: int
    width: int
    layers: int

    def write(self, folder: Path, rows: Arrays, first: Arrays) -> None:
        """rows: "X|name" and "y|name" to learn from, "valid X|name" and "valid y|name", float32, as the net takes
        them; first: the weights that all begin with, by the names that torch gives them."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ASKED).write_text(json.dumps(asdict(self)), encoding="utf-8")
        np.savez(folder / ROWS, **rows)
        np.savez(folder / FIRST, **first)

    @classmethod
    def read(cls, folder: Path) -> tuple["Asked", Arrays, Arrays]:
        asked = cls(**json.loads((folder / ASKED).read_text(encoding="utf-8")))
        return asked, dict(np.load(folder / ROWS)), dict(np.load(folder / FIRST))

    def order(self, silo: str, number: int, rows: int) -> np.ndarray:
        """In which a silo's rows are learned from in a round, from 1: epoch after epoch."""
        told = f"{self.seed}|{silo}|{number}|common|0"
        drawn = np.random.default_rng(int.from_bytes(hashlib.sha256(told.encode()).digest()[:6], "big"))
        return np.concatenate([drawn.permutation(rows) for _ in range(self.epochs)])


class Watch:
    """Notes when a federation was ready and when each round was done. root: the process whose descendants work. What
    it takes to read all processes' counters is in none of its figures."""

    def __init__(self, root: int | None = None) -> None:
        self.root = root or os.getpid()
        self.began = time.perf_counter()
        self.marks: list[float] = []
        self.spent: list[float] = []
        self.reading = self.worked = 0.0  # seconds, and CPU-seconds, of its own

    def mark(self) -> None:
        """At the end of the preparation, then of each round."""
        began, working = time.perf_counter(), time.thread_time()
        self.marks.append(began - self.reading)
        self.spent.append(cpu_seconds(self.root) - self.worked)
        self.reading += time.perf_counter() - began
        self.worked += time.thread_time() - working

    def told(self) -> dict[str, object]:
        """ready, first: seconds until all was ready, and of the first round; rounds: of each that followed; cpu: in
        seconds, of one of these, over all processes."""
        each = np.diff(self.marks)
        cpu = (self.spent[-1] - self.spent[1]) / max(1, len(each) - 1)
        told = {"ready": self.marks[0] - self.began, "first": float(each[0]), "cpu": cpu}
        return {**told, "rounds": [float(seconds) for seconds in each[1:]]}


def hand_in(folder: Path, watch: Watch, last: Arrays) -> None:
    """last: the weights after the last round, named as those that all began with."""
    np.savez(folder / LAST, **last)
    (folder / TOLD).write_text(json.dumps(watch.told()), encoding="utf-8")


def cpu_seconds(root: int) -> float:
    """Of a process and of all its descendants that live, as the kernel counts them (hundredths of a second)."""
    return sum(family(root).values()) / os.sysconf("SC_CLK_TCK")


def family(root: int) -> dict[int, int]:
    """A process and all its descendants that live, by id: the clock ticks that each has worked."""
    parents, spent = {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        parents[int(name)], spent[int(name)] = int(words[1]), int(words[11]) + int(words[12])

    def below(process: int) -> bool:
        while process and process != root:
            process = parents.get(process, 0)
        return process == root

    return {process: ticks for process, ticks in spent.items() if below(process)}
