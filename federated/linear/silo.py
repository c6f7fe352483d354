"""A silo that tells sums over its rows, and of no fewer rows than its policy says."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from federated.linear.job import LinearJob
from federated.linear.packing import curves_length, moments_length, pack_curves, pack_moments
from federated.linear.sum_bench import SumBench
from federated.message import Message
from federated.preparation import Preparation
from federated.questions import NotReadyError, Told
from federated.secure_aggregation.figures import Figures
from federated.secure_aggregation.identity import Identity
from federated.source import Source
from federated.summing_silo import SummingSilo

if TYPE_CHECKING:
    from framework.data.frame import Frame


class LinearSilo(SummingSilo):
    """As `SummingSilo`. A category, gap or bend that has fewer rows here than `minimum_count` counts as none; where two
    of them meet in fewer, the sum of that pair is told as it would be by chance. Differences between sums are not
    looked at."""

    questions: ClassVar = SummingSilo.questions | {"encode", "sum", "curve", "judge"}

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
        self._sums = SumBench(self._source.name, self._opened[0], preparation, *self._opened[1:], self._least)
        self._run = preparation.run
        return "ready", {}, {}

    def _encode(self, asked: Message) -> Told:
        """What the values of columns of many values mean for the answer."""
        bench = self._at_sums(asked)
        if bench.job.secure:
            told = np.concatenate([sums.ravel() for sums in bench.answers.values()])
            return self._hidden(asked, told, len(told))
        return "summed", {}, {"0": bench.answers}

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
        answers = {name: sums.shape for name, sums in self._sums.answers.items()}
        if self._sums.job.labels:
            return answers | {"loss": (1,), "gradient": line, "hessian": square}
        return answers | {"gram": square, "cross": (width, 2), "weight": (1,), "square": (2,)}
