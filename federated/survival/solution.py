"""The coordinator of Cox models: sums of the silos, step by step, by those that stay to the end."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cluster.user_error import UserError
from cluster.wire import Arrays
from federated.exchange import Exchange
from federated.linear.sums import added
from federated.message import Message
from federated.newton import Newton
from federated.preparation import Preparation
from federated.secure_aggregation.identity import Registry
from federated.survival.design import CoxDesign
from federated.survival.job import CoxJob
from federated.survival.masked_sums import MaskedSums
from federated.survival.newton import growing, settled, untold
from federated.survival.packing import REACH
from federated.survival.partial import AtRisk

ROUNDED = (1e-9, 1e-9)  # `close` and `slack` of Newton's method on sums that are rounded


class CoxError(UserError):
    """A Cox model that cannot be asked for, or that the rows do not determine."""


@dataclass(frozen=True)
class Found:
    """beta: shape (width,); hessian: there, minus the log partial likelihood's curvature. start: its logarithm at 0;
    nan where masked sums were begun with a silo that has left since, whose part their difference would tell.

    silos: that it is of. events, pairs: of those that answered the last question, all together: how many, and the three
    counts of `concordance`. ranked: silo → the same of its own; likelihoods: silo → its own, none where they share a
    baseline; both empty where sums are masked. hazard: of the common baseline's times.
    """

    beta: np.ndarray
    hessian: np.ndarray
    likelihood: float
    start: float
    steps: int
    silos: list[str]
    events: int
    pairs: np.ndarray
    ranked: dict[str, Arrays]
    likelihoods: dict[str, float]
    hazard: np.ndarray


class CoxSolving:
    """rows: silo → its rows, of those that take part; quorum: of them must answer to the end. A silo that misses a
    question is not asked again, and what was found without it is found anew from there. registry: of the silos of a
    secure job."""

    def __init__(
        self,
        exchange: Exchange,
        job: CoxJob,
        preparation: Preparation,
        rows: Mapping[str, int],
        quorum: int,
        registry: Registry | None = None,
    ) -> None:
        self.exchange, self.job, self.quorum, self.rows = exchange, job, quorum, rows
        self.silos = sorted(rows)
        self.design = CoxDesign.learn(preparation)
        self.masked: MaskedSums | None = None
        if job.secure:
            width, times = self.design.width, len(job.times)
            self.masked = MaskedSums(exchange, registry or {}, preparation.run, width=width, times=times)
        self._first: dict[str, Arrays] = {}  # what each told at 0
        self._begun: list[str] = []  # by these silos

    def found(self) -> Found:
        """Raises FederationError naming those who are missing when fewer than a quorum answer; CoxError where the
        rows do not determine a coefficient."""
        way, steps = self._way(np.zeros(self.design.width)), 0
        hazard, last = np.zeros(0), dict[str, Arrays]()
        while steps < self.job.rounds and not (way.done or growing(way).any()):
            steps += 1
            before, looked = list(self.silos), way.beta
            curve, told = self._look(looked, steps)
            if self.silos != before:
                way = self._way(looked)
            if steps == 1:
                self._check_told(curve["hessian"])
            way.go(float(curve["loss"][0]), curve["gradient"], curve["hessian"])
            if way.at is looked:
                hazard, last = curve.get("hazard", hazard), told
        self._check_settled(way, steps)
        silos = list(self.silos)
        start = self._start()
        ranked = self._ask("rank", way.at, self.job.rounds)
        total = added(list(ranked.values()))
        single = self.masked is None
        return Found(
            way.at,
            way.hessian,
            -way.loss,
            start,
            steps,
            silos,
            int(total["events"][0]),
            total["pairs"],
            ranked if single else {},
            {silo: -float(sums["loss"][0]) for silo, sums in last.items() if single and not self.job.times},
            hazard,
        )

    def _way(self, beta: np.ndarray) -> Newton:
        return Newton(beta) if self.masked is None else Newton(beta, *ROUNDED)

    def _look(self, beta: np.ndarray, round_: int) -> tuple[Arrays, dict[str, Arrays]]:
        """Loss, gradient and curvature of all silos together, all of the same ones; and what each told."""
        if not self.job.times:
            told = self._ask("curve", beta, round_)
            self._keep(told)
            return added(list(told.values())), told
        while True:
            told, silos = self._ask("risk", beta, round_), list(self.silos)
            self._keep(told)
            risk = AtRisk.from_arrays(added(list(told.values())))
            square = added(list(self._ask("square", beta, round_, hazard=risk.hazard).values()))["square"]
            if self.silos == silos:
                loss, gradient = np.array([risk.loss(beta)]), risk.gradient()
                curve = {"loss": loss, "gradient": gradient, "hessian": risk.curvature(square)}
                return {**curve, "hazard": risk.hazard}, told

    def _keep(self, told: dict[str, Arrays]) -> None:
        if not self._first:
            self._first, self._begun = told, list(self.silos)

    def _start(self) -> float:
        """The log likelihood at 0 of the silos that are left."""
        if self.masked is not None and self.silos != self._begun:
            return float("nan")
        sums = added([self._first[silo] for silo in (self.silos if self.masked is None else self._first)])
        at = np.zeros(self.design.width)
        return -(AtRisk.from_arrays(sums).loss(at) if self.job.times else float(sums["loss"][0]))

    def _check_told(self, hessian: np.ndarray) -> None:
        if not np.isfinite(hessian).all():
            raise CoxError(
                f"a silo's sums are beyond {REACH:g} for each of its rows, for which masked sums have no room: a value "
                f"lies far outside of its column. Tell the column in other units, or take out what is no value."
            )
        nothing = untold(hessian)
        if nothing.any():
            raise CoxError(
                f"the silos' rows tell nothing of {self._named(nothing)} by itself: it is the same for all who are "
                f"compared (within each silo, where each has its own baseline), or follows from the others. Leave out "
                f"one of them."
            )

    def _check_settled(self, way: Newton, steps: int) -> None:
        if (unbound := growing(way)).any():
            raise CoxError(
                f"the coefficient of {self._named(unbound)} has no bound: after {steps} steps it still grows "
                f"(to {np.abs(way.at[unbound]).max():.0f} standard units) and the likelihood no more. All or none "
                f"of the events are at one end of it. Leave it out, or join its rare categories."
            )
        if not settled(way):
            moving = np.abs(way.at - way.beta) == np.abs(way.at - way.beta).max()
            raise CoxError(
                f"Newton's method has not settled after {steps} steps; {self._named(moving)} moves most. Allow more "
                f"steps, or fewer columns."
            )

    def _named(self, which: np.ndarray) -> str:
        return ", ".join(repr(name) for name, one in zip(self.design.names, which, strict=True) if one)

    def _ask(self, kind: str, beta: np.ndarray, round_: int, hazard: np.ndarray | None = None) -> dict[str, Arrays]:
        """The silos' answers, in the order of their names: sums of floats depend on it. Of a secure job their total,
        under no silo's name."""
        groups = {"beta": {"0": beta}} | ({} if hazard is None else {"hazard": {"0": hazard}})
        question = Message(kind, round=round_, groups=groups)
        if self.masked is not None:
            total, silos = self.masked.ask(question, {silo: self.rows[silo] for silo in self.silos})
            self.exchange.check_quorum(len(silos), self.quorum, round_)
            self.silos = sorted(silos)
            return {"": total}
        told = self.exchange.ask(question, self.silos, expected="summed")
        self.exchange.check_quorum(len(told), self.quorum, round_)
        self.silos = sorted(told)
        return {silo: told[silo].groups["0"] for silo in self.silos}
