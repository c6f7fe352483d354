"""What silos agree on before the first round: who takes part, the categories, centres, spreads and quantiles."""

import secrets
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from federated.exchange import Exchange
from federated.job import Job
from federated.message import Message
from federated.preparation import Preparation, prepare, schema_of
from federated.statistics import Moments, disagreeing, edges_of, join_categories, join_moments
from framework.contenders.native import Native
from framework.data.schema import Schema


class Agreement:
    """quorum: how many silos must agree. units: one that looks to be in other units is refused."""

    def __init__(self, exchange: Exchange, job: Job, *, quorum: int, units: bool) -> None:
        self.exchange, self.job, self.quorum, self.units = exchange, job, quorum, units

    def reach(self) -> tuple[Preparation, dict[str, int]]:
        """What nets need to know of the columns, and the rows of each silo that takes part.

        Raises FederationError when too few silos join.
        """
        asked = Message("join", facts={"job": self.job.to_facts()})
        joined = self.exchange.ask(asked, self.exchange.channel.silos, expected="joined")
        rows = {silo: int(answer.facts["rows"]) for silo, answer in sorted(joined.items())}
        self.exchange.check_quorum(len(rows), self.quorum, 0)
        while True:
            told = self._ask(Message("categories"), rows, expected="categories")
            schema = schema_of(self.job, join_categories([answer.facts["counts"] for answer in told.values()]))
            moments, histograms = self._measure(schema, rows)
            others = self._other_units(schema, moments, histograms) if self.units else {}
            if not others:
                break
            for silo, why in others.items():
                self.exchange.refused[silo] = why
                self.exchange.note(0, silo, "refused", why)
            rows = {silo: count for silo, count in rows.items() if silo not in others}
        agreed = prepare(schema, moments, np.sum(list(histograms.values()), axis=0))
        preparation = replace(agreed, run=secrets.token_hex(8))
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
