"""The coordinator of linear models: sums of the silos, what they make of every setting, and which the silos choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cluster.wire import Arrays
from federated.exchange import Exchange
from federated.linear.design import Design
from federated.linear.encoding import wide
from federated.linear.job import LinearJob
from federated.linear.masked_sums import MaskedSums
from federated.linear.sums import added, definite, penalised, ridge
from federated.message import Message
from federated.newton import NEAR, Newton
from federated.preparation import Preparation
from federated.secure_aggregation.identity import Registry
from framework.contenders.target import Target

ROUNDED = 1e-7  # the longest part of Newton's last step, of sums that are rounded
REACH = 4.0  # standard deviations of log answers, beyond which none is told


@dataclass(frozen=True)
class Setting:
    """strength: the ridge's penalty, or C of the logistic regression. logged: learns log y. bends: has the knots."""

    strength: float
    logged: bool = False
    bends: bool = False


@dataclass(frozen=True)
class Solution:
    """beta: shape (width,), 0 where the setting has no column. target: xᵀβ → the answer, of a quantity."""

    setting: Setting
    beta: np.ndarray
    target: Target


class Solving:
    """rows: silo → its rows, of those that take part; quorum: of them must answer each time. registry: of the silos of
    a secure job."""

    def __init__(
        self,
        exchange: Exchange,
        job: LinearJob,
        preparation: Preparation,
        rows: Mapping[str, int],
        quorum: int,
        registry: Registry | None = None,
    ) -> None:
        self.exchange, self.job, self.preparation = exchange, job, preparation
        self.silos, self.quorum = list(rows), quorum
        self.masked = MaskedSums(exchange, registry or {}, rows, preparation, quorum=quorum) if job.secure else None
        if wide(preparation.encoder):
            self._encode()
        self.design = Design.learn(self.preparation)

    def best(self, settings: Sequence[Setting]) -> Solution:
        """Of the settings the one that answers the silos' rows to stop by best; the first where they have none.

        Raises FederationError naming those who are missing when fewer than a quorum answer.
        """
        found = self._logistic(settings) if self.job.labels else self._ridge(settings)
        if len(found) == 1:
            return found[0]
        told = self._ask(
            Message(
                "judge",
                round=self.job.rounds,
                facts={"targets": [each.target.to_json() for each in found]},
                groups={"beta": {str(place): each.beta for place, each in enumerate(found)}},
            ),
            "judged",
        )
        judged = [groups["losses"] for groups in told if "losses" in groups]
        return found[int(np.argmin(added(judged)["loss"]))] if judged else found[0]

    def _encode(self) -> None:
        """Agrees on the numbers of columns of many values, and prepares the silos with them."""
        question = Message("encode")
        if self.masked is not None:
            answers, answering = self.masked.answers(question, self.preparation)
        else:
            told = self._heard(question, "summed")
            answers, answering = added([each.groups["0"] for each in told.values()]), tuple(told)
        self.preparation = replace(self.preparation, answers=answers, answering=answering)
        self.exchange.preparation = self.preparation
        facts, groups = self.preparation.to_message()
        self.silos = list(self._heard(Message("prepare", facts=facts, groups=groups), "ready"))

    def _ridge(self, settings: Sequence[Setting]) -> list[Solution]:
        sums = added([groups["0"] for groups in self._ask(Message("sum", round=1), "summed")])
        weight = float(sums["weight"][0])
        mean = sums["cross"][0] / weight
        spread = np.sqrt(np.maximum(sums["square"] / weight - mean**2, 0.0))
        raw = self.preparation.target
        low, high = (raw.shift + raw.scale * edge for edge in (raw.low, raw.high))
        targets = [Target(False, 0.0, 1.0, low, high)]
        if np.isfinite(mean[1]):
            targets.append(Target(True, 0.0, 1.0, mean[1] - REACH * spread[1], mean[1] + REACH * spread[1]))
        grams = {each.bends: definite(sums["gram"][self._columns(each), self._columns(each)]) for each in settings}
        made = []
        for setting in settings:
            if setting.logged and len(targets) == 1:
                continue
            kept = self._columns(setting)
            answers = sums["cross"][kept, int(setting.logged)]
            beta = ridge(grams[setting.bends], answers[:, None], setting.strength)[:, 0]
            made.append(Solution(setting, self._whole(beta), targets[int(setting.logged)]))
        return made

    def _logistic(self, settings: Sequence[Setting]) -> list[Solution]:
        """Newton's method for all settings at once, until none moves."""
        close = NEAR if self.masked is None else ROUNDED
        ways = {str(n): Newton(np.zeros(self._columns(each).stop), close) for n, each in enumerate(settings)}
        for round_ in range(1, self.job.rounds + 1):
            moving = {name: self._whole(way.beta) for name, way in ways.items() if not way.done}
            if not moving:
                break
            told = self._ask(Message("curve", round=round_, groups={"beta": moving}), "summed")
            for name in moving:
                setting, way, curve = settings[int(name)], ways[name], added([groups[name] for groups in told])
                kept = self._columns(setting)
                curve |= {"hessian": curve["hessian"][kept, kept], "gradient": curve["gradient"][kept]}
                way.go(*penalised(curve, way.beta, setting.strength))
        return [Solution(settings[int(name)], self._whole(way.best), Target()) for name, way in ways.items()]

    def _whole(self, beta: np.ndarray) -> np.ndarray:
        """With 0 for the columns that it lacks."""
        return np.concatenate([beta, np.zeros(self.design.width - len(beta))])

    def _columns(self, setting: Setting) -> slice:
        return slice(0, self.design.width if setting.bends else self.design.straight)

    def _ask(self, question: Message, expected: str) -> list[dict[str, Arrays]]:
        """The silos' answers, in the order of their names: sums of floats depend on it. Of a secure job their total."""
        if self.masked is not None:
            return [self.masked.ask(question, self.design.width)]
        return [answer.groups for answer in self._heard(question, expected).values()]

    def _heard(self, question: Message, expected: str) -> dict[str, Message]:
        told = self.exchange.ask(question, self.silos, expected=expected)
        self.exchange.check_quorum(len(told), self.quorum, question.round)
        return dict(sorted(told.items()))
