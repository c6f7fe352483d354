"""What nets need to know of the columns before their first step, agreed by the silos and never read off pooled rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from cluster.wire import Arrays, Facts
from federated.job import AnyJob, Job
from federated.statistics import Counts, Moments, edges_of, quantiles_of
from framework.contenders.native import Native
from framework.contenders.net_rows import NetRows
from framework.contenders.target import ROOM, Target
from framework.data.column import Column
from framework.data.schema import Schema

SHARES = np.linspace(0.0, 1.0, 257)


@dataclass(frozen=True)
class Preparation:
    """schema: the job's columns with the categories that were agreed. target: how a quantity is standardised.

    run: names the federation: what a silo has kept of another one is not taken up.
    quantiles: of the columns as a net takes them, shape (len(SHARES), columns), float32: a table that stands in for a
    sample of rows wherever a net learns centres, spreads and bins. Categories are 0 in it.
    answers: of columns that are told by target encoding, Σ w and Σ w y of each category, shape (2, categories);
    answering: the silos of whose rows these are.
    """

    schema: Schema
    target: Target
    quantiles: np.ndarray
    run: str = ""
    answers: Arrays = field(default_factory=dict)
    answering: tuple[str, ...] = ()

    @property
    def encoder(self) -> NetRows:
        """Rows → inputs and answers of a net."""
        return NetRows(Native(self.schema), self.target, len(self.schema.classes))

    def net(self, job: Job) -> Any:
        """A fresh net of the job, its buffers filled. Its weights are torch's to draw."""
        from framework.nets import build

        encoder = self.encoder
        net = build(job.net, cards=encoder.cards, outputs=encoder.outputs, **job.shape)
        net.learn(self.quantiles)
        return net

    def to_message(self) -> tuple[Facts, dict[str, Arrays]]:
        facts: Facts = {"schema": self.schema.to_json(), "target": self.target.to_json(), "run": self.run}
        groups: dict[str, Arrays] = {"preparation": {"quantiles": self.quantiles}}
        if self.answers:
            facts["answering"] = list(self.answering)
            groups["answers"] = self.answers
        return facts, groups

    @classmethod
    def from_message(cls, facts: Facts, groups: dict[str, Arrays]) -> Self:
        target = Target.from_json(facts["target"])
        quantiles = groups["preparation"]["quantiles"].copy()
        answering = tuple(facts.get("answering", ()))
        schema = Schema.from_json(facts["schema"])
        return cls(schema, target, quantiles, facts["run"], groups.get("answers", {}), answering)


def schema_of(job: AnyJob, counts: Counts) -> Schema:
    """The job's columns with the categories that some silo has named.

    A category that no silo has often enough is unknown to the model: rows with it count as missing there.
    """
    columns = tuple(
        Column(name, kind, categories=tuple(sorted(counts.get(name, {}))) if kind == "category" else ())
        for name, kind in job.columns
    )
    return Schema(columns, job.labels)


def prepare(schema: Schema, moments: Moments, histogram: np.ndarray, edges: np.ndarray | None = None) -> Preparation:
    """moments, histogram: of the encoded columns, and after them, for a quantity, of the answers. edges: of the
    histogram's cells; None: as the moments have them."""
    encoder = Native(schema)
    edges = edges_of(moments.mean, moments.deviation) if edges is None else edges
    shares = quantiles_of(histogram, edges, SHARES)
    coded = np.array(encoder.categorical, dtype=bool)
    table = np.where(coded[:, None], 0.0, shares[: encoder.width]).T
    target = Target()
    if not schema.classes:
        answers = shares[-1]
        shift, scale = float(moments.mean[-1]), float(moments.deviation[-1]) or 1.0
        low, high = (float(answers[0]) - shift) / scale, (float(answers[-1]) - shift) / scale
        room = (high - low) * ROOM
        target = Target(False, shift, scale, low - room, high + room)
    return Preparation(schema, target, np.ascontiguousarray(table, dtype=np.float32))


def measured(encoder: Native, rows: Any, y: np.ndarray, labels: Mapping[str, int] | tuple[str, ...]) -> np.ndarray:
    """What moments and histograms are of: the encoded columns, codes as gaps, and for a quantity the answers."""
    matrix = np.array(encoder.matrix(rows), dtype=np.float64)
    matrix[:, np.array(encoder.categorical, dtype=bool)] = np.nan
    return matrix if labels else np.column_stack([matrix, y])


def numbers_of(encoder: Native, labels: tuple[str, ...]) -> int:
    """How many columns of `measured` may hold values: the numbers', and the answers' of a quantity."""
    return encoder.categorical.count(False) + (not labels)
