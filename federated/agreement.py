"""What silos agree on before the first round: who takes part, the categories, centres, spreads and quantiles."""

import secrets
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from federated.exchange import Exchange, FederationError
from federated.job import AnyJob
from federated.message import Message
from federated.preparation import Preparation, numbers_of, prepare, schema_of
from federated.privacy.levels import RecordLevel
from federated.privacy.noisy_statistics import cleaned, closer, first_edges, moments_from
from federated.privacy.plan import PASSES, planned
from federated.secure_aggregation.identity import Registry
from federated.statistics import Moments, disagreeing, edges_of, join_categories, join_moments
from federated.summed_agreement import SummedAgreement
from framework.contenders.native import Native
from framework.data.schema import Schema


class Agreement:
    """quorum: how many silos must agree. units: one that looks to be in other units is refused."""

    def __init__(self, exchange: Exchange, job: AnyJob, *, quorum: int, units: bool) -> None:
        self.exchange, self.job, self.quorum, self.units = exchange, job, quorum, units

    def reach(self, registry: Registry | None = None) -> tuple[Preparation, dict[str, int]]:
        """What nets need to know of the columns, and the rows of each silo that takes part.

        registry: of the silos of a secure job. Its moments and histograms are summed under masks, so that no silo's
        units can be looked at; names of categories are told as they are.
        Raises FederationError when too few silos join, or stay in a sum.
        """
        run = secrets.token_hex(8)
        asked = Message("join", facts={"job": self.job.to_facts()})
        joined = self.exchange.ask(asked, self.exchange.channel.silos, expected="joined")
        rows = {silo: int(answer.facts["rows"]) for silo, answer in sorted(joined.items())}
        self.exchange.check_quorum(len(rows), self.quorum, 0)
        while True:
            told = self._ask(Message("categories"), rows, expected="categories")
            schema = schema_of(self.job, join_categories([answer.facts["counts"] for answer in told.values()]))
            if self._noisy:
                agreed = self._measure_noisily(schema, rows)
                break
            if self.job.secure:
                summed = SummedAgreement(self.exchange, registry or {}, rows, run, quorum=self.quorum)
                agreed = prepare(schema, *summed.measure(schema))
                break
            moments, histograms = self._measure(schema, rows)
            others = self._other_units(schema, moments, histograms) if self.units else {}
            if not others:
                agreed = prepare(schema, moments, np.sum(list(histograms.values()), axis=0))
                break
            for silo, why in others.items():
                self.exchange.refused[silo] = why
                self.exchange.note(0, silo, "refused", why)
            rows = {silo: count for silo, count in rows.items() if silo not in others}
        preparation = replace(agreed, run=run)
        facts, groups = preparation.to_message()
        ready = self._ask(Message("prepare", facts=facts, groups=groups), rows, expected="ready")
        return preparation, {silo: count for silo, count in rows.items() if silo in ready}

    def _measure(self, schema: Schema, rows: dict[str, int]) -> tuple[Moments, dict[str, np.ndarray]]:
        asked = Message("moments", facts={"schema": schema.to_json()})
        told = self._ask(asked, rows, expected="moments")
        moments = join_moments([Moments.from_arrays(answer.groups["moments"]) for answer in told.values()])
        asked = Message("histograms", groups={"moments": moments.to_arrays()})
        told = self._ask(asked, rows, expected="histograms")
        return moments, {silo: answer.groups["histograms"]["counts"] for silo, answer in told.items()}

    @property
    def _noisy(self) -> bool:
        privacy = getattr(self.job, "privacy", None)
        return isinstance(privacy, RecordLevel) and privacy.statistics > 0

    def _measure_noisily(self, schema: Schema, rows: dict[str, int]) -> Preparation:
        """From noisy counts alone, each pass closer to where the values are. No silo's units are looked at.

        Raises FederationError where the noise is larger than all that there is of a quantity to predict.
        """
        asked = Message("moments", facts={"schema": schema.to_json()})
        told = self._ask(asked, rows, expected="moments")
        counts = np.sum([answer.groups["moments"]["counts"] for answer in told.values()], axis=0)
        columns = [column for column, width in Native(schema).widths for _ in range(width)]
        edges = first_edges(len(counts))
        drowned: set[int] = set()
        spread = self._spread(rows, numbers_of(Native(schema), schema.classes))
        for _ in range(PASSES - 1):
            edges, gone = closer(counts, edges, spread)
            drowned |= set(gone)
            asked = Message("histograms", groups={"cells": {"edges": edges}})
            told = self._ask(asked, rows, expected="histograms")
            counts = np.sum([answer.groups["histograms"]["counts"] for answer in told.values()], axis=0)
        counts = cleaned(counts, spread, sorted(drowned))
        if len(columns) in drowned:
            raise FederationError(
                f"nothing of {self.job.target!r} rises above the noise of the statistics: {sum(rows.values())} rows "
                f"are too few for so small a share of epsilon. Raise it (statistics=), or declare what silos agree of "
                f"their columns public with statistics=0."
            )
        if silent := [columns[place].name for place in sorted(drowned) if columns[place].kind != "category"]:
            why = f"nothing of {', '.join(map(repr, silent))} rises above the noise"
            self.exchange.note(0, "(all)", "discarded", why)
        return prepare(schema, moments_from(counts, edges), counts, edges)

    def _spread(self, rows: Mapping[str, int], columns: int) -> float:
        """The standard deviation of the noise on a count of all silos together."""
        noises = [planned(self.job, count).statistics for count in rows.values()]  # type: ignore[arg-type]
        return float(np.sqrt(columns * np.sum(np.square(noises))))

    def _other_units(self, schema: Schema, moments: Moments, histograms: Mapping[str, np.ndarray]) -> dict[str, str]:
        """Silo → the sentence that refuses it."""
        names = [column.name for column, width in Native(schema).widths for _ in range(width)] + [self.job.target]
        found = disagreeing(histograms, edges_of(moments.mean, moments.deviation))
        return {
            silo: f"the column {names[places[0]]!r} of silo {silo!r} is far from all others: is it in other units?"
            for silo, places in found.items()
        }

    def _ask(self, question: Message, rows: Mapping[str, int], *, expected: str) -> dict[str, Message]:
        answers = self.exchange.ask(question, list(rows), expected=expected)
        self.exchange.check_quorum(len(answers), self.quorum, 0)
        return dict(sorted(answers.items()))
