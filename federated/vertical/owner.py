"""The target's owner: it matches ids with each party, trains the net with them, and alone knows the answers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cluster.wire import Arrays
from federated.vertical.half import Half
from federated.vertical.head import Head
from federated.vertical.holding import Answers, Holding
from federated.vertical.leak import LabelLeak, label_leak
from federated.vertical.links import Links
from federated.vertical.party import rows_of
from federated.vertical.plan import NetPlan, PartyJob, Schedule, VerticalError
from federated.vertical.training import SPARE_SHARE, Training
from framework.contender import Context
from framework.contenders.native import Native
from framework.contenders.net_rows import NetRows
from framework.contenders.target import Target


@dataclass(frozen=True)
class Trained:
    """bottoms: party → its net, the owner's own first; means: party → its mean embedding of the rows learned from.

    rows: what the outputs mean. learned: the rows learned from; common: all that every party has. epochs: after which
    it was best. scores: the loss on the rows to stop by after each epoch, nan without any. leaks: party → what its
    gradients of the first epoch told of the rows' classes; for two classes alone. happenings: who was lost, when.
    """

    rows: NetRows
    top: Arrays = field(repr=False)
    bottoms: dict[str, Arrays] = field(repr=False)
    means: dict[str, np.ndarray] = field(repr=False)
    learned: int
    common: int
    epochs: int
    scores: list[float] = field(repr=False)
    leaks: dict[str, LabelLeak]
    happenings: list[str]


class Owner:
    """jobs: what is asked of each party. classes: how many the target has, 0 for a quantity. agreed: as `Party` has
    it."""

    def __init__(
        self,
        holding: Holding,
        answers: Answers,
        links: Links,
        jobs: Mapping[str, PartyJob],
        *,
        classes: int = 0,
        agreed: Sequence[str] | None = None,
    ) -> None:
        self._holding, self._answers, self._links, self._jobs = holding, answers, links, dict(jobs)
        self._classes, self._agreed = classes, agreed
        self._places: dict[str, np.ndarray] = {}  # party → where the common rows stand in the list agreed with it

    def train(self, net: NetPlan, schedule: Schedule, *, metric: str, context: Context) -> Trained:
        """Raises VerticalError naming the party that refuses, fails, is late or lost, OutOfTimeError before the first
        epoch's end."""
        spare = SPARE_SHARE * context.remaining() if math.isfinite(context.deadline) else 0.0
        rows = self._match()
        learn, stop = (np.flatnonzero(np.isin(rows, part)) for part in (self._answers.learn, self._answers.stop))
        if not len(learn):
            raise VerticalError("no row to learn from is known to all parties. Do their ids mean the same?")
        for party, job in self._jobs.items():
            places = {"places": {"learn": self._places[party][learn]}}
            self._links.ask(party, "prepare", "prepared", facts={"job": job.to_facts()}, groups=places)
        y, weight = self._answers.y[rows], np.ones(len(rows))
        if self._answers.weight is not None:
            weight = self._answers.weight[rows]
        target = Target() if self._classes else Target.learn(y[learn], weight[learn])
        encoder = NetRows(Native(self._holding.schema), target, self._classes)
        own = Half(self._holding, rows, learn, net)
        head = Head(self._holding, encoder, y, weight, 1 + len(self._jobs), net, metric)
        training = Training(self._links, own, head, self._places, learn, stop, embedding=net.embedding)
        training.run(schedule, context, spare)
        sent = training.gradients if self._classes == 2 else {}
        return Trained(
            encoder,
            head.weights(),
            {self._holding.name: own.weights(), **training.bottoms},
            dict(zip([self._holding.name, *self._jobs], training.means, strict=True)),
            len(learn),
            len(rows),
            training.mark.epoch,
            training.scores,
            {party: label_leak([(told, y[batch]) for told, batch in each]) for party, each in sent.items()},
            training.happenings,
        )

    def _match(self) -> np.ndarray:
        """The owner's rows that all parties have too, in the order of their ids."""
        agreed = None if self._agreed is None else sorted(self._agreed)
        found = {party: self._links.match(party, self._holding) if agreed is None else agreed for party in self._jobs}
        common = set(self._holding.ids if agreed is None else agreed).intersection(*found.values())
        for party, ids in found.items():
            self._places[party] = np.array([place for place, each in enumerate(ids) if each in common], dtype=np.int64)
        return rows_of(self._holding, list(common))
