"""A silo that tells sums over its rows, and of no fewer rows than its policy says."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cluster.wire import Arrays
from federated.linear.design import Design
from federated.linear.job import LinearJob
from federated.linear.packing import (
    Units,
    curves_length,
    moments_length,
    pack_curves,
    pack_moments,
)
from federated.linear.sums import Curve, Moments, hidden, log_loss, meetings
from federated.message import Message
from federated.preparation import Preparation
from federated.questions import NotReadyError, Told
from federated.secure_aggregation.figures import Figures
from federated.secure_aggregation.identity import Identity
from federated.source import Source
from federated.summing_silo import SummingSilo
from framework.contenders.target import Target

if TYPE_CHECKING:
    from framework.data.frame import Frame


class SumBench:
    """A silo's rows as the sums are of them. least: rows that a sum may be of."""

    def __init__(self, job: LinearJob, preparation: Preparation, train: "Frame", valid: "Frame", least: int) -> None:
        self.job, self.design = job, Design.learn(preparation)
        self.train, self.valid, self.least = train, valid, least
        self.units = Units.of(preparation.target) if job.secure else Units()

    @cached_property
    def x(self) -> np.ndarray:
        """The columns that sums are of, shape (rows, width)."""
        return hidden(self.design.matrix(self.train.X), self.design.parts, self.least)

    @cached_property
    def rare(self) -> np.ndarray:
        """Of which pairs of columns no sum is told, shape (width, width)."""
        return meetings(self.x, self.design.parts, self.least)

    @cached_property
    def weight(self) -> np.ndarray:
        return _weight(self.train)

    def moments(self) -> Arrays:
        """Of the answers and their logarithms, nan where one of them has none; and Σ w y² of both."""
        both = self.units.told(self.train.y)
        square = (both**2 * self.weight[:, None]).sum(axis=0)
        return {**Moments.of(self.x, both, self.weight, self.rare).to_arrays(), "square": square}

    def curve(self, beta: np.ndarray) -> Arrays:
        return Curve.of(self.x, self.train.y.astype(np.float64), self.weight, beta, self.rare).to_arrays()

    def losses(self, betas: list[np.ndarray], targets: list[dict[str, Any]]) -> Arrays:
        """Of each model the sum over the rows to stop by: of log losses, or of squared errors in the units of told
        answers."""
        weight, X, y = _weight(self.valid), self.design.matrix(self.valid.X), self.valid.y
        told = []
        for place, beta in enumerate(betas):
            if self.job.labels:
                error = log_loss(X @ beta, y.astype(np.float64))
            else:
                error = ((Target.from_json(targets[place]).back(X @ beta) - y) / self.units.scale) ** 2
            told.append(float((weight * error).sum()))
        return {"loss": np.array(told), "weight": np.array([weight.sum()])}


class LinearSilo(SummingSilo):
    """As `SummingSilo`. A category, gap or bend that has fewer rows here than `minimum_count` counts as none; where two
    of them meet in fewer, the sum of that pair is told as it would be by chance. Differences between sums are not
    looked at."""

    questions: ClassVar = SummingSilo.questions | {"sum", "curve", "judge"}

    def __init__(self, source: Source, folder: Path | None = None, identity: Identity | None = None) -> None:
        super().__init__(source, folder, identity)
        self._opened: tuple[LinearJob, Frame, Frame] | None = None
        self._sums: SumBench | None = None

    def _join(self, asked: Message) -> Told:
        job = LinearJob.from_facts(asked.facts["job"])
        train, valid = self._source.rows(job)
        self._source.policy.check(job, silo=self._source.name, rows=len(train))
        told = self._take_part(job, train)
        self._opened, self._sums = (job, train, valid), None
        return told

    def _prepare(self, asked: Message) -> Told:
        if self._opened is None:
            raise NotReadyError
        preparation = Preparation.from_message(asked.facts, asked.groups)
        self._sums = SumBench(self._opened[0], preparation, *self._opened[1:], self._least)
        self._run = preparation.run
        return "ready", {}, {}

    def _sum(self, asked: Message) -> Told:
        bench = self._at_sums(asked)
        if bench.job.secure:
            return self._hidden(asked, pack_moments(bench.moments()), moments_length(bench.design.width))
        return "summed", {}, {"0": bench.moments()}

    def _curve(self, asked: Message) -> Told:
        """Of each model that is sent the loss and how it bends."""
        bench = self._at_sums(asked)
        curves = {name: bench.curve(beta) for name, beta in asked.groups["beta"].items()}
        if bench.job.secure:
            length = curves_length(bench.design.width, len(curves))
            return self._hidden(asked, pack_curves(curves), length, losses=len(curves))
        return "summed", {}, curves

    def _judge(self, asked: Message) -> Told:
        """How the models that are sent answer the rows to stop by; nothing where these are too few."""
        if self._sums is None:
            raise NotReadyError
        betas = list(asked.groups["beta"].values())
        few = len(self._sums.valid) < max(1, self._least)
        told = {} if few else self._sums.losses(betas, asked.facts["targets"])
        if self._sums.job.secure:
            figures = np.zeros(len(betas) + 1) if few else np.concatenate([told["loss"], told["weight"]])
            return self._hidden(asked, figures, len(betas) + 1, losses=len(betas))
        return "judged", {}, {} if few else {"losses": told}

    def _hidden(self, asked: Message, figures: np.ndarray, length: int, *, losses: int = 0) -> Told:
        """losses: as `Figures` has them."""
        return self._masked(asked, Figures(figures, losses), length)

    def _at_sums(self, asked: Message) -> SumBench:
        if self._sums is None:
            raise NotReadyError
        self._check_joined_for(asked)
        return self._sums

    def _open_shapes(self) -> dict[str, tuple[int, ...]] | None:
        if self._sums is None:
            return None
        width = self._sums.design.width
        square, line = (width, width), (width,)
        sums = {"gram": square, "cross": (width, 2), "weight": (1,), "square": (2,)}
        if self._sums.job.labels:
            sums = {"loss": (1,), "gradient": line, "hessian": square}
        return sums


def _weight(frame: "Frame") -> np.ndarray:
    return np.ones(len(frame)) if frame.weight is None else np.asarray(frame.weight, dtype=np.float64)
