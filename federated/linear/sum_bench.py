"""Where a silo's sums are made: its rows in the agreed columns."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.wire import Arrays
from federated.linear.design import Design
from federated.linear.encoding import Encoding, codes_of, wide
from federated.linear.job import LinearJob
from federated.linear.packing import Units
from federated.linear.sums import Curve, Moments, hidden, log_loss, meetings
from federated.preparation import Preparation
from federated.statistics import target_sums_of
from framework.contenders.target import Target

if TYPE_CHECKING:
    from framework.data.frame import Frame


class SumBench:
    """A silo's rows as the sums are of them. silo: its name. least: rows that a sum may be of."""

    def __init__(
        self, silo: str, job: LinearJob, preparation: Preparation, train: "Frame", valid: "Frame", least: int
    ) -> None:
        self.job, self.preparation, self.design = job, preparation, Design.learn(preparation)
        self.silo, self.train, self.valid, self.least = silo, train, valid, least
        self.units = Units.of(preparation.target) if job.secure else Units()

    @cached_property
    def x(self) -> np.ndarray:
        """The columns that sums are of, shape (rows, width)."""
        return hidden(self.design.matrix(self.train.X, self._crossed()), self.design.parts, self.least)

    @cached_property
    def rare(self) -> np.ndarray:
        """Of which pairs of columns no sum is told, shape (width, width)."""
        return meetings(self.x, self.design.parts, self.least)

    @cached_property
    def weight(self) -> np.ndarray:
        return _weight(self.train)

    @cached_property
    def answers(self) -> Arrays:
        """Of each column of many values Σ w and Σ w y of a value's rows, shape (2, values)."""
        cards = self.design.rows.cards
        return {
            name: target_sums_of(codes, self._y, self.weight, cards[place], self.least)
            for name, (place, codes) in self._codes.items()
        }

    def _crossed(self) -> np.ndarray | None:
        """The encoded columns of the rows to learn from; None where there are none."""
        if not self.preparation.answers:
            return None
        within = self.silo in self.preparation.answering
        encodings = {name: Encoding.learn(sums) for name, sums in self.preparation.answers.items()}
        told = [
            encodings[name].crossed(codes, self._y, self.weight, self.answers[name], within=within, seed=self.job.seed)
            for name, (_, codes) in self._codes.items()
        ]
        return np.column_stack(told)

    @cached_property
    def _codes(self) -> dict[str, tuple[int, np.ndarray]]:
        """Column of many values → its place, and each row's code."""
        rows = self.design.rows
        if not (places := wide(rows)):
            return {}
        matrix = rows.native.matrix(self.train.X[list(rows.native.schema.names)])
        return {name: (place, codes_of(matrix, place)) for name, place in places.items()}

    @property
    def _y(self) -> np.ndarray:
        """Answers as they are encoded by: in the units that they are told in."""
        return self.train.y.astype(np.float64) if self.job.labels else self.units.told(self.train.y)[:, 0]

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


def _weight(frame: "Frame") -> np.ndarray:
    return np.ones(len(frame)) if frame.weight is None else np.asarray(frame.weight, dtype=np.float64)
