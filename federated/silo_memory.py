"""What stays in a silo between rounds, in a file of its own: a successor after a crash goes on from it."""

from pathlib import Path

from cluster.wire import Arrays
from federated.bench import Bench
from federated.message import Message


class Memory:
    """Of before the last round and of after it, so that a round that is asked again begins as it did.

    path: None: it is lost with the process. round: the last that was trained.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._before: dict[str, Arrays] = {}
        self.round = 0

    def begin(self, bench: Bench, round_: int) -> None:
        """Undoes what a round has changed that is asked for again."""
        if round_ <= self.round:
            bench.kept = dict(self._before)
        self._before = dict(bench.kept)

    def keep(self, bench: Bench, round_: int, run: str) -> None:
        """Writes both sides of a round that was trained: whole, or as it was. run: the federation that it is of."""
        self.round = round_
        if self._path is None or not (self._before or bench.kept):
            return
        groups = {f"before|{name}": arrays for name, arrays in self._before.items()}
        groups |= {f"after|{name}": arrays for name, arrays in bench.kept.items()}
        Message("kept", round=round_, facts={"run": run}, groups=groups).write(self._path)

    def recall(self, bench: Bench, run: str) -> None:
        """Gives the bench what a predecessor has kept of this federation; nothing where there was none."""
        self.round, self._before = 0, {}
        if self._path is None or not self._path.exists():
            return
        kept = Message.from_bytes(self._path.read_bytes())
        if kept.facts["run"] != run:
            return
        self.round = kept.round
        sides: dict[str, dict[str, Arrays]] = {"before": {}, "after": {}}
        for name, arrays in kept.groups.items():
            side, _, rest = name.partition("|")
            sides[side][rest] = arrays
        self._before, bench.kept = sides["before"], sides["after"]
