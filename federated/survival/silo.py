"""A silo that tells sums over those of its rows that are at risk, and of no fewer events than its policy says."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from cluster.wire import Arrays
from federated.message import Message
from federated.policy import PolicyError
from federated.preparation import Preparation
from federated.questions import NotReadyError, Told
from federated.secure_aggregation.figures import Bounded
from federated.secure_aggregation.identity import Identity
from federated.secure_aggregation.participant import WithdrawnError
from federated.source import Source, SourceError
from federated.summing_silo import SummingSilo
from federated.survival.design import CoxDesign, unmet
from federated.survival.job import CoxJob
from federated.survival.packing import pack, shapes_of
from federated.survival.partial import AtRisk, concordance, on_grid, seen_of, squares
from framework.data.frame import Frame, Truth


@dataclass(frozen=True)
class CoxRows:
    """frame: its y is 1 where it happened, else 0. duration: shape (rows,), not below 0. seen, event: as the sums have
    them, at the job's times or at the silo's own moments; moments: how many of these."""

    frame: Frame
    duration: np.ndarray
    seen: np.ndarray
    event: np.ndarray
    moments: int

    @classmethod
    def of(cls, frame: Frame, duration: np.ndarray, job: CoxJob, least: int) -> "CoxRows":
        event = frame.y.astype(np.float64)
        if job.times:
            seen, told = on_grid(duration, event, np.array(job.times), least)
            return cls(frame, duration, seen, told, len(job.times))
        moments = np.unique(duration[event > 0])
        return cls(frame, duration, seen_of(duration, moments), event, len(moments))


class CoxBench:
    """A silo's rows as the sums are of them. least: rows that a flag may be of."""

    def __init__(self, job: CoxJob, rows: CoxRows, preparation: Preparation, least: int) -> None:
        self.job, self.rows, self.design, self.least = job, rows, CoxDesign.learn(preparation), least

    @cached_property
    def x(self) -> np.ndarray:
        """The columns that sums are of, shape (rows, width)."""
        return unmet(self.design.matrix(self.rows.frame.X), self.design.parts, self.least)

    def at_risk(self, beta: np.ndarray) -> AtRisk:
        return AtRisk.of(self.x, self.rows.seen, self.rows.event, beta, self.rows.moments)

    def curve(self, beta: np.ndarray) -> Arrays:
        """Of a baseline of the silo's own: minus the log partial likelihood, and how it bends."""
        risk = self.at_risk(beta)
        hessian = risk.curvature(squares(self.x, self.rows.seen, beta, risk.hazard))
        return {"loss": np.array([risk.loss(beta)]), "gradient": risk.gradient(), "hessian": hessian}

    def squares(self, beta: np.ndarray, hazard: np.ndarray) -> Arrays:
        return {"square": squares(self.x, self.rows.seen, beta, hazard)}

    def rank(self, beta: np.ndarray) -> Arrays:
        """Pairs as `concordance` has them, of all rows, none where they are fewer than `least`; and the events."""
        told = concordance(self.rows.duration, self.rows.frame.y.astype(np.float64), self.x @ beta)
        pairs = told if told[2] >= self.least else np.zeros(3)
        return {"pairs": pairs, "events": np.array([self.rows.event.sum()])}


class CoxSilo(SummingSilo):
    """As `SummingSilo`, for sums over the rows at risk. A row with a gap is left out, and one with a category or a yes
    or no that fewer than `minimum_count` of the silo's rows have; where two of them meet in fewer, the rarer one counts
    as the first category there. Fewer events than `minimum_count`: it takes no part."""

    questions: ClassVar = SummingSilo.questions | {"risk", "curve", "square", "rank"}

    def __init__(self, source: Source, folder: Path | None = None, identity: Identity | None = None) -> None:
        super().__init__(source, folder, identity)
        self._opened: tuple[CoxJob, CoxRows] | None = None
        self._sums: CoxBench | None = None
        self._among: list[str] = []  # the silos that the first masked sum was of

    def _join(self, asked: Message) -> Told:
        """Rows to learn from and rows to stop by alike: nothing stops early here."""
        job, name, least = CoxJob.from_facts(asked.facts["job"]), self._source.name, max(1, self._least)
        train, valid = self._source.rows(job.opening)
        if train.weight is not None:
            raise SourceError(f"silo {name!r} has weighted rows, and a Cox model counts each row once.")
        X = pd.concat([train.X, valid.X], ignore_index=True)
        y, duration = np.concatenate([train.y, valid.y]), X.pop(job.duration).to_numpy(dtype=np.float64)
        kept = whole(X[np.isfinite(duration)], job, least).to_numpy()
        self._source.policy.check(job.opening, silo=name, rows=len(kept))
        if (duration[kept] < 0).any():
            raise SourceError(f"silo {name!r} has durations below 0 in {job.duration!r}: they begin before they began.")
        X = X.loc[kept].reset_index(drop=True)
        frame = Frame(X, Truth(y=y[kept], features=X.shape[1], classes=len(job.labels)))
        rows = CoxRows.of(frame, duration[kept], job, self._least)
        if rows.event.sum() < least:
            raise PolicyError(
                f"silo {name!r} has fewer than {least} events in {job.target!r}, and takes no part below that."
            )
        told = self._take_part(job, frame)
        self._opened, self._sums = (job, rows), None
        return told

    def _prepare(self, asked: Message) -> Told:
        if self._opened is None:
            raise NotReadyError
        preparation = Preparation.from_message(asked.facts, asked.groups)
        self._sums, self._run, self._among = CoxBench(*self._opened, preparation, self._least), preparation.run, []
        return "ready", {}, {}

    def _curve(self, asked: Message) -> Told:
        """Of a baseline of the silo's own; no moment leaves."""
        return self._told(asked, self._at_sums(asked, common=False).curve(asked.groups["beta"]["0"]))

    def _risk(self, asked: Message) -> Told:
        """Of a common baseline: who is at risk at each of its times."""
        return self._told(asked, self._at_sums(asked, common=True).at_risk(asked.groups["beta"]["0"]).to_arrays())

    def _square(self, asked: Message) -> Told:
        """The second half of it, by the hazard of all silos together."""
        bench, beta = self._at_sums(asked, common=True), asked.groups["beta"]["0"]
        return self._told(asked, bench.squares(beta, asked.groups["hazard"]["0"]))

    def _rank(self, asked: Message) -> Told:
        if self._sums is None:
            raise NotReadyError
        return self._told(asked, self._sums.rank(asked.groups["beta"]["0"]))

    def _told(self, asked: Message, sums: Arrays) -> Told:
        assert self._sums is not None  # what the sums are of
        if not self._sums.job.secure:
            return "summed", {}, {"0": sums}
        figures = Bounded(pack(sums))
        return self._masked(asked, figures, 1 + len(figures.values))

    def _consent(self, asked: Message) -> Told:
        """All sums of a common baseline are of the same silos: how many events each time has depends on no coefficient,
        and the difference of two sums would tell those of the silo that is gone."""
        if self._sums is None or not self._sums.job.times:
            return super()._consent(asked)
        survivors = sorted(map(str, asked.facts["survivors"]))
        if self._among and self._among != survivors:
            raise WithdrawnError(
                f"silo {self._source.name!r} withdraws: the sums of a common baseline were begun with "
                f"{', '.join(self._among)}, and are to go on with {', '.join(survivors)}."
            )
        told = super()._consent(asked)
        self._among = survivors
        return told

    def _at_sums(self, asked: Message, *, common: bool) -> CoxBench:
        """Raises PolicyError for other sums, or more of them, than the silo has joined for."""
        if self._sums is None:
            raise NotReadyError
        baseline = "a common baseline" if self._sums.job.times else "a baseline of its own"
        self._check_joined_for(asked, f"sums with {baseline}", other=common != bool(self._sums.job.times))
        return self._sums

    def _open_shapes(self) -> dict[str, tuple[int, ...]] | None:
        if self._sums is None:
            return None
        times = len(self._sums.job.times)
        kinds = ("risk", "square", "rank") if times else ("curve", "rank")
        shapes = (shapes_of(kind, self._sums.design.width, times) for kind in kinds)
        return {name: shape for each in shapes for name, shape in each.items()}


def whole(X: pd.DataFrame, job: CoxJob, least: int) -> pd.Index:
    """The rows without a gap whose every category, yes and no at least so many of these rows have."""
    X = X.dropna()
    flags = [name for name, kind in job.columns if kind != "number"]
    rows = 0
    while rows != len(X):
        rows = len(X)
        for name in flags:
            X = X[X.groupby(name, observed=True)[name].transform("size") >= least]
    return X.index
