"""One contender's fit, as it runs on a Ray worker: what it is given, what comes home, and how it speaks meanwhile."""

import io
import math
import tarfile
import tempfile
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cluster.user_error import UserError
from framework.contender import Contender, Context, Model, OutOfTimeError
from framework.contest.prepare import prepare
from framework.contest.report import Report
from framework.data.frame import Fold
from framework.kept import Files, Kept
from framework.scratch import scratch
from framework.sweep.trial import Trial

CLOSE_SECONDS = 5.0  # how long a fit's last reports may take: their actor may just be starting, or be lost
FLUSH_SECONDS = 0.3  # how often a fit's reports travel to the driver
LATE_SECONDS = 0.5  # before its deadline a fit counts as ended by it, when it gives up with a sentence


@dataclass(frozen=True)
class Crash:
    """An exception as text: its class may not exist, or not unpickle, where the contest runs.

    late: it is the deadline's doing: the fit gave up for want of time.
    """

    type: str
    message: str
    traceback: str
    late: bool = False

    @property
    def status(self) -> str:
        """As in `leaderboard.Failure`."""
        return "out of time" if self.late else "out of memory" if self.type == "MemoryError" else "failed"

    def __str__(self) -> str:
        first = self.message.strip().splitlines()
        return ": ".join(part for part in (self.type, *first[:1]) if part)


@dataclass(frozen=True)
class Fit:
    """What a finished fit tells: its predictions on the validation rows, its seconds, itself as it would be refit, and
    what it had to remark. bytes: of the model's files; answering: seconds that the validation rows took; kept: the
    files that it leaves beside the model, by their names."""

    predicted: np.ndarray = field(repr=False)
    seconds: float
    settled: Contender
    remarks: tuple[str, ...] = ()
    bytes: int = 0
    answering: float = 0.0
    kept: Files = field(default_factory=dict, repr=False)


def attempt(
    fold: Fold,
    contender: Contender,
    *,
    pooled: bool,
    deadline: float,
    seconds: float,
    seed: int,
    checkpoints: str | None,
    reports: object,
    race: str = "",
    held: tuple[int, np.ndarray] | None = None,
) -> tuple[Fit | Crash, bytes]:
    """Fits a contender on a worker and packs its model; an exception comes home as a Crash, never as itself.

    pooled: learn from train and validation rows together. deadline: in seconds of time.time(), whenever the fit
    starts; seconds: how long it may take once it has begun, its engine imported. race: as `scratch` has it. held: one
    of the folds that the contest's rows are dealt into, by number, and the rows that it holds out.
    """
    sender = _Sender(Report(contender.name, pooled, 0, {}, time.time(), held=held[0] if held else 0), reports)
    end = math.inf
    try:
        prepare(contender)
        began, asked = time.time(), contender.resources
        end = min(deadline, began + seconds)
        sender.begin(began)
        given = fold.pooled() if pooled else fold if held is None else fold.holding(held[1])
        with scratch(race) as folder:
            context = Context(
                seed=seed,
                deadline=end,
                folder=folder,
                threads=max(1, int(asked.cpus)),
                gpus=asked.gpus,
                sink=sender.keep,
                teller=sender.remark,
                counter=sender.count,
                keeper=sender.store,
                checkpoints=checkpoints,
            )
            model = contender.fit(given, context)
        seconds = time.time() - began
        packed = pack(model)
        # What is scored is the model as it will be opened, not the one in this process's memory.
        opened, asked_at = unpack(packed), time.time()
        predicted = opened.predict((fold if pooled else given).valid.X)
        answering = time.time() - asked_at
        settled = contender.settled(model)
        told = Fit(predicted, seconds, settled, tuple(sender.remarks), len(packed), answering, sender.files.files)
        return told, packed
    except UserError as error:  # a sentence for a person, whatever its class is called
        late = isinstance(error, OutOfTimeError) or time.time() > end - LATE_SECONDS
        return Crash("", str(error), traceback.format_exc(), late), b""
    except Exception as error:  # the border between a contender and its contest
        return Crash(type(error).__name__, str(error), traceback.format_exc()), b""
    finally:
        sender.close()


def pack(model: Model) -> bytes:
    """The folder a model saves itself into, as one tar."""
    from framework.contenders.store import store_model

    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        store_model(model, Path(folder))
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.add(folder, arcname=".")
    return stream.getvalue()


def unpack(packed: bytes) -> Model:
    """The model that `pack` packed."""
    from framework.contenders.store import open_model

    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        return open_model(Path(folder))


class _Sender:
    """Sends reports in bunches: a boosting round must not cost a message."""

    def __init__(self, first: Report, reports: object) -> None:
        self.first = first
        self.reports = reports
        self.kept: list[Report] = []
        self.remarks: list[str] = []
        self.files = Kept()
        self.sent = time.time()
        self.last: Any = None

    def begin(self, began: float) -> None:
        """Tells that the fit has begun."""
        self.first = replace(self.first, time=began)
        self.send([self.first])

    def keep(self, step: int, metrics: dict[str, float]) -> None:
        now = time.time()
        self.kept.append(replace(self.first, step=step, metrics=metrics, time=now))
        if now - self.sent > FLUSH_SECONDS:
            self.flush()

    def count(self, trial: Trial) -> None:
        told = {"seconds": trial.seconds} | ({"score": trial.score} if trial.finished else {})
        self.kept.append(replace(self.first, step=trial.number, metrics=told, time=time.time(), trial=trial))
        self.flush()

    def remark(self, sentence: str) -> None:
        self.remarks.append(sentence)
        self.kept.append(replace(self.first, time=time.time(), remark=sentence))
        self.flush()

    def store(self, name: str, content: bytes) -> None:
        if wrong := self.files.add(name, content):
            self.remark(wrong)

    def flush(self) -> None:
        if self.kept:
            self.send(self.kept)
        self.kept, self.sent = [], time.time()

    def send(self, reports: list[Report]) -> None:
        self.last = self.reports.add.remote(reports)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Sends what is left and waits until it has arrived: a fit that has ended has been heard to the end."""
        import ray

        self.flush()
        if self.last is not None:
            ray.wait([self.last], timeout=CLOSE_SECONDS)
