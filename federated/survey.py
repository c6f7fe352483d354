"""What a silo tells of its columns before anything is prepared: names of categories, moments, histograms."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from federated.job import AnyJob
from federated.message import Message
from federated.preparation import measured, numbers_of
from federated.privacy.guard import Guard
from federated.questions import NotReadyError, Told
from federated.statistics import Moments, categories_of, edges_of, histogram_of, moments_of
from federated.summed_statistics import power_sums_of, wide_edges
from framework.contenders.native import Native
from framework.data.schema import Schema

if TYPE_CHECKING:
    from framework.data.frame import Frame


class Survey:
    """One silo's rows, and how they are told of. What comes as an array is to be told in the sum of all silos alone.

    guard: covers with noise what is told, where its job says so. least: rows that a category or a cell must have.
    encoder: of an earlier survey of the same silo.
    """

    def __init__(
        self, job: AnyJob, train: "Frame", guard: Guard | None, least: int, encoder: Native | None = None
    ) -> None:
        self.job, self._train, self._least = job, train, least
        self._noisy = guard if guard is not None and guard.covers_statistics else None
        self.encoder = encoder

    def categories(self, asked: Message) -> Told:
        named = [name for name, kind in self.job.columns if kind == "category"]
        columns = {name: _texts(self._train.X[name]) for name in named}
        if self._noisy is not None:
            return "categories", {"counts": self._noisy.categories(columns, asked), "others": {}}, {}
        counts, others = categories_of(columns, self._least)
        if self.job.secure:  # names cannot be summed under masks; how many rows have them stays here
            return "categories", {"counts": {n: dict.fromkeys(held, 0) for n, held in counts.items()}, "others": {}}, {}
        return "categories", {"counts": counts, "others": others}, {}

    def cells(self, asked: Message) -> np.ndarray:
        """About where the values lie."""
        self.encoder = Native(Schema.from_json(asked.facts["schema"]))
        matrix = self._matrix()
        return histogram_of(matrix, wide_edges(matrix.shape[1]), self._least)

    def moments(self, asked: Message) -> Told | np.ndarray:
        self.encoder = Native(Schema.from_json(asked.facts["schema"]))
        matrix = self._matrix()
        if self._noisy is not None:
            return "moments", {}, {"moments": {"counts": self._counts(matrix, asked)}}
        if self.job.secure:
            return power_sums_of(matrix, asked.groups["place"]["place"], self._least)
        return "moments", {}, {"moments": moments_of(matrix, self._least).to_arrays()}

    def histograms(self, asked: Message) -> Told | np.ndarray:
        """Raises NotReadyError where no moments were asked for before."""
        matrix = self._matrix()
        if self._noisy is not None:
            return "histograms", {}, {"histograms": {"counts": self._counts(matrix, asked)}}
        moments = Moments.from_arrays(asked.groups["moments"])
        counts = histogram_of(matrix, edges_of(moments.mean, moments.deviation), self._least)
        return counts if self.job.secure else ("histograms", {}, {"histograms": {"counts": counts}})

    def _matrix(self) -> np.ndarray:
        return measured(self._encoded_by(), self._train.X, self._train.y, self.job.labels)

    def _counts(self, matrix: np.ndarray, asked: Message) -> np.ndarray:
        assert self._noisy is not None  # where this is asked
        return self._noisy.counts(matrix, asked, measured=numbers_of(self._encoded_by(), self.job.labels))

    def _encoded_by(self) -> Native:
        if self.encoder is None:
            raise NotReadyError
        return self.encoder


def _texts(column: pd.Series) -> np.ndarray:
    values = column.astype(object).to_numpy().copy()
    values[column.isna().to_numpy()] = None
    return values
