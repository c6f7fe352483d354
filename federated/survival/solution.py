"""The coordinator of Cox models: sums of the silos, step by step, by those that stay to the end."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cluster.user_error import UserError
from cluster.wire import Arrays
from federated.exchange import Exchange
from federated.linear.sums import added
from federated.message import Message
from federated.preparation import Preparation
from federated.survival.design import CoxDesign
from federated.survival.job import CoxJob
from federated.survival.newton import Newton, untold
from federated.survival.partial import AtRisk


class CoxError(UserError):
    """A Cox model that cannot be asked for, or that the rows do not determine."""


@dataclass(frozen=True)
class Found:
    """beta: shape (width,); hessian: there, minus the log partial likelihood's curvature. start: its logarithm at 0.

    events: by silo; likelihoods: by silo, none where they share a baseline; pairs: the three counts of `concordance`,
    by silo, of those that answered this last question. hazard: of the common baseline's times.
    """

    beta: np.ndarray
    hessian: np.ndarray
    likelihood: float
    start: float
    steps: int
    events: dict[str, int]
    likelihoods: dict[str, float]
    pairs: dict[str, np.ndarray]
    hazard: np.ndarray


class CoxSolving:
    """rows: silo → its rows, of those that take part; quorum: of them must answer to the end. A silo that misses a
    question is not asked again, and what was found without it is found anew from there."""

    def __init__(
        self, exchange: Exchange, job: CoxJob, preparation: Preparation, rows: Mapping[str, int], quorum: int
    ) -> None:
        self.exchange, self.job, self.quorum = exchange, job, quorum
        self.silos = sorted(rows)
        self.design = CoxDesign.learn(preparation)
        self._first: dict[str, Arrays] = {}  # what each told at 0

    def found(self) -> Found:
        """Raises FederationError naming those who are missing when fewer than a quorum answer; CoxError where the
        rows do not determine a coefficient."""
        way, steps = Newton(np.zeros(self.design.width)), 0
        hazard, last = np.zeros(0), dict[str, Arrays]()
        while steps < self.job.rounds and not way.done:
            steps += 1
            before, looked = list(self.silos), way.beta
            curve, told = self._look(looked, steps)
            if self.silos != before:
                way = Newton(looked)
            if steps == 1:
                self._check_told(curve["hessian"])
            way.go(float(curve["loss"][0]), curve["gradient"], curve["hessian"])
            if way.at is looked:
                hazard, last = curve.get("hazard", hazard), told
        self._check_settled(way, steps)
        silos = list(self.silos)
        pairs = self._ask("rank", way.at, self.job.rounds)
        return Found(
            way.at,
            way.hessian,
            -way.loss,
            -self._loss([self._first[silo] for silo in silos], np.zeros(len(way.at))),
            steps,
            {silo: int(self._first[silo]["deaths" if self.job.times else "events"].sum()) for silo in silos},
            {silo: -float(groups["loss"][0]) for silo, groups in last.items() if not self.job.times},
            {silo: groups["pairs"] for silo, groups in pairs.items()},
            hazard,
        )

    def _look(self, beta: np.ndarray, round_: int) -> tuple[Arrays, dict[str, Arrays]]:
        """Loss, gradient and curvature of all silos together, all of the same ones; and what each told."""
        if not self.job.times:
            told = self._ask("curve", beta, round_)
            self._first = self._first or told
            return added(list(told.values())), told
        while True:
            told = self._ask("risk", beta, round_)
            self._first = self._first or told
            risk = AtRisk.from_arrays(added(list(told.values())))
            answers = self._ask("square", beta, round_, hazard=risk.hazard)
            if answers.keys() == told.keys():
                square = added(list(answers.values()))["square"]
                loss, gradient = np.array([risk.loss(beta)]), risk.gradient()
                curve = {"loss": loss, "gradient": gradient, "hessian": risk.curvature(square)}
                return {**curve, "hazard": risk.hazard}, told

    def _loss(self, told: list[Arrays], beta: np.ndarray) -> float:
        sums = added(told)
        return AtRisk.from_arrays(sums).loss(beta) if self.job.times else float(sums["loss"][0])

    def _check_told(self, hessian: np.ndarray) -> None:
        nothing = untold(hessian)
        if nothing.any():
            raise CoxError(
                f"the silos' rows tell nothing of {self._named(nothing)} by itself: it is the same for all who are "
                f"compared (within each silo, where each has its own baseline), or follows from the others. Leave out "
                f"one of them."
            )

    def _check_settled(self, way: Newton, steps: int) -> None:
        if way.growing.any():
            raise CoxError(
                f"the coefficient of {self._named(way.growing)} has no bound: after {steps} steps it still grows "
                f"(to {np.abs(way.at[way.growing]).max():.0f} standard units) and the likelihood no more. All or none "
                f"of the events are at one end of it. Leave it out, or join its rare categories."
            )
        if not way.settled:
            moving = np.abs(way.at - way.beta) == np.abs(way.at - way.beta).max()
            raise CoxError(
                f"Newton's method has not settled after {steps} steps; {self._named(moving)} moves most. Allow more "
                f"steps, or fewer columns."
            )

    def _named(self, which: np.ndarray) -> str:
        return ", ".join(repr(name) for name, one in zip(self.design.names, which, strict=True) if one)

    def _ask(self, kind: str, beta: np.ndarray, round_: int, hazard: np.ndarray | None = None) -> dict[str, Arrays]:
        """The silos' answers, in the order of their names: sums of floats depend on it."""
        groups = {"beta": {"0": beta}} | ({} if hazard is None else {"hazard": {"0": hazard}})
        told = self.exchange.ask(Message(kind, round=round_, groups=groups), self.silos, expected="summed")
        self.exchange.check_quorum(len(told), self.quorum, round_)
        self.silos = sorted(told)
        return {silo: told[silo].groups["0"] for silo in self.silos}
