"""What rows have cost until now, over all that was asked of them: one line for each noisy answer, sealed."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from framework.privacy.accountant import Spend, epsilon_of
from framework.sealed import FIRST, appended, read

DAY = 86_400.0
LEDGER = "ledger.jsonl"  # in the folder of whose rows they are


@dataclass(frozen=True)
class Charge:
    """time: in seconds of time.time(). job: of which federation or fit; purpose: "statistics" or "training"; question:
    what was asked, as a code that nobody else can make. spend: what the answer cost."""

    time: float
    job: str
    purpose: str
    question: str
    spend: Spend


class Ledger:
    """The charges on one table, such as a silo's, in the order they were made, on the disk before the answer leaves.

    path: of a file sealed as an audit is; None: it is forgotten with the process. Several processes may write the same
    one, in turn.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Raises AuditError where the file does not hold."""
        self.path = path
        self._charges: list[Charge] = []
        self._last, self._size = FIRST, 0
        self._catch_up()

    def charges(self, *, job: str | None = None, days: float | None = None) -> list[Charge]:
        """All, or those of a job, or of the last days."""
        since = time.time() - days * DAY if days is not None else 0.0
        return [each for each in self._charges if each.time >= since and job in (None, each.job)]

    def epsilon(self, delta: float, *, job: str | None = None, days: float | None = None) -> float:
        """What these cost together, at this δ."""
        return epsilon_of([each.spend for each in self.charges(job=job, days=days)], delta)

    def paid(self, question: str) -> bool:
        """Whether this very question was answered before: the same answer costs nothing more."""
        return any(each.question == question for each in self._charges)

    @contextmanager
    def writing(self) -> Iterator["Ledger"]:
        """Holds the file for one writer, with all that others have written until then."""
        if self.path is None:
            yield self
            return
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._catch_up()
            yield self

    def charge(self, charge: Charge) -> None:
        """Adds it; to be called inside `writing`."""
        if self.path is not None:
            self._last = appended(self.path, asdict(charge), len(self._charges) + 1, self._last)
            self._size = self.path.stat().st_size
        self._charges.append(charge)

    def _catch_up(self) -> None:
        if self.path is None or not self.path.exists() or self.path.stat().st_size == self._size:
            return
        lines, self._last = read(self.path)
        self._charges = [
            Charge(line["time"], line["job"], line["purpose"], line["question"], Spend(**line["spend"]))
            for line in lines
        ]
        self._size = self.path.stat().st_size
