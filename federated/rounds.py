"""The coordinator: what silos agree on first, then round after round, with a quorum, a deadline and a checkpoint."""

import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from cluster.wire import Arrays
from federated.agreement import Agreement
from federated.channel import SigningChannel
from federated.checkpoint import Checkpoint, State, grouped, servers_of
from federated.exchange import Exchange, FederationError
from federated.job import Job
from federated.judgement import Judgement
from federated.message import Message
from federated.net_weights import fresh
from federated.preparation import Preparation
from federated.privacy.plan import rounds_within
from federated.secure_aggregation.contribution import Contribution
from federated.secure_aggregation.secure_sum import SecureSum
from federated.secure_aggregation.summable import likes_of, update_of
from federated.strategies import Server
from federated.terms import Outcome, Terms
from federated.update import SiloError, Update

__all__ = ["Coordinator", "Outcome", "Terms"]
log = logging.getLogger(__name__)

CHECKPOINT = "coordinator.bin"
SPARE_SHARE = 0.1  # of the time, kept for what follows the last round


class Coordinator:
    """Holds what silos may share and nothing else: the common model, what a strategy keeps, who answered.

    folder: for its checkpoint; one of the same job that lies there is gone on with.
    """

    def __init__(self, channel: SigningChannel, job: Job, terms: Terms, folder: Path) -> None:
        self._job, self._terms = job, terms
        self._exchange = Exchange(channel, terms.round_seconds, terms.deadline, job)
        self._kept = Checkpoint(folder / CHECKPOINT, job, self._exchange)
        self._registry = channel.registry
        self._preparation: Preparation | None = None
        self._rows: dict[str, int] = {}
        self._server: Server | None = None
        self._judged = Judgement()
        self._done = 0

    def run(self) -> Outcome:
        """Agrees, trains and personalises.

        Raises FederationError naming those who are missing when fewer than a quorum answer; what has been done until
        then stands in the checkpoint.
        """
        if not self._resume():
            agreed = Agreement(self._exchange, self._job, quorum=self._terms.quorum, units=self._terms.units)
            self._preparation, self._rows = agreed.reach(self._registry)
            self._server = self._job.strategy.start(self._fresh)
            self._checkpoint()
        self._exchange.preparation = self._preparation
        began, first = time.time(), self._done
        planned = rounds_within(self._job, self._rows)
        while not (
            self._done >= planned or self._judged.stale(self._done, self._terms.patience) or self._late(began, first)
        ):
            self._round()
            self._checkpoint()
        self._last_look()
        return self._outcome()

    def scores(self) -> list[float]:
        """The mean validation loss after each round, from 0, as far as it is."""
        return list(self._judged.scores)

    def _round(self) -> None:
        number = self._done + 1
        server = self._held()
        asked = Message("train", round=number, groups=self._job.strategy.send(server))
        updates, refused = ([self._summed(asked, server)], 0) if self._job.secure else self._single(asked, server)
        self._judged.look(server, self._done)
        self._server = self._job.strategy.combine(replace(server, refused=refused), updates)
        self._done = number

    def _single(self, asked: Message, server: Server) -> tuple[list[Update], int]:
        """Each silo's own update, and how many were refused."""
        number, updates = asked.round, []
        answers = self._exchange.ask(asked, list(self._rows), expected="update")
        for silo in sorted(answers):
            told = answers[silo].facts
            try:
                update = Update(
                    silo, float(told["rows"]), int(told["steps"]), answers[silo].groups, told.get("cluster", 0)
                )
                update.check(server.weights)
            except SiloError as error:
                self._exchange.note(number, silo, "refused", str(error))
                continue
            self._judged.hear(silo, answers[silo])
            updates.append(update)
        self._exchange.check_quorum(len(updates), self._terms.quorum, number)
        return updates, len(answers) - len(updates)

    def _summed(self, asked: Message, server: Server) -> Update:
        """The mean of the silos' updates, of which none is seen: one update for all of them."""
        mean, silos = self._sum(asked, *likes_of(self._job.strategy, server.weights))
        self._exchange.check_quorum(len(silos), self._terms.quorum, asked.round)
        update = update_of(self._job.strategy, mean, len(silos))
        update.check(server.weights)
        return update

    def _sum(self, asked: Message, like: Arrays, alike: Arrays | None = None) -> tuple[Contribution, list[str]]:
        assert self._preparation is not None  # agreed on before
        summing = SecureSum(self._exchange, self._registry, self._rows, self._preparation.run)
        mean, silos = summing.ask(asked, like, alike)
        self._judged.hear_sum(mean)
        return mean, silos

    def _held(self) -> Server:
        assert self._server is not None  # agreed or resumed
        return self._server

    def _fresh(self, seed: int) -> Arrays:
        assert self._preparation is not None  # agreed on before
        return fresh(self._job, self._preparation, self._job.seed * 1009 + seed)

    def _last_look(self) -> None:
        server = self._held()
        if self._judged.losses:
            asked = Message("evaluate", round=self._done, groups=self._job.strategy.send(server))
            if self._job.secure:
                self._score_together(asked)
            else:
                for silo, answer in self._exchange.ask(asked, list(self._rows), expected="score").items():
                    self._judged.hear(silo, answer)
                self._judged.look(server, self._done)
        if self._judged.best is None:
            self._judged.best, self._judged.best_round = server, self._done

    def _score_together(self, asked: Message) -> None:
        try:
            self._sum(asked, {})
        except FederationError as error:  # the model before it stands
            log.warning("federation: the last model is not scored. %s", error)
            return
        self._judged.look(self._held(), self._done)

    def _late(self, began: float, first: int) -> bool:
        """Whether there is no time for another round and what follows it."""
        if self._terms.deadline == float("inf"):
            return False
        pace = (time.time() - began) / max(1, self._done - first)
        left = self._terms.deadline - time.time()
        return self._done > first and left < 3 * pace + SPARE_SHARE * (self._terms.deadline - began)

    def _outcome(self) -> Outcome:
        best = self._judged.best
        assert best is not None  # the last look has left one
        assert self._preparation is not None
        parts, members, tuned = self._personal(best)
        exchange, judged = self._exchange, self._judged
        told = exchange.happenings, exchange.sent, exchange.received
        return Outcome(
            self._preparation,
            best.weights,
            parts,
            members,
            tuned,
            judged.best_round,
            self._rows,
            judged.scores,
            *told,
        )

    def _personal(self, best: Server) -> tuple[dict[str, Arrays], dict[str, str], dict[str, int]]:
        """The parts of the model that are of single silos, silo → its part, and silo → the epochs it was tuned for;
        none where the strategy has none."""
        parts: dict[str, Arrays] = {}
        members: dict[str, str] = {}
        tuned: dict[str, int] = {}
        if not self._job.strategy.personalises or self._job.secure:
            return parts, members, tuned
        asked = Message("personal", round=self._done + 1, groups=self._job.strategy.send(best))
        for silo, answer in self._exchange.ask(asked, list(self._rows), expected="personal").items():
            if not (part := answer.facts["part"]):
                continue
            if not all(np.isfinite(array).all() for array in answer.groups["weights"].values()):
                why = f"silo {silo!r} sent weights of its own that are not finite."
                self._exchange.note(self._done, silo, "refused", why)
                continue
            parts.setdefault(part, answer.groups["weights"])
            members[silo] = part
            if epochs := int(answer.facts["epochs"]):
                tuned[silo] = epochs
        return parts, members, tuned

    def _checkpoint(self) -> None:
        assert self._preparation is not None
        groups = grouped({"server": self._server, "best": self._judged.best})
        self._kept.keep(State(self._done, self._preparation, self._rows, self._judged.to_facts(), groups))

    def _resume(self) -> bool:
        """Takes up a checkpoint. Raises FederationError for one of another job."""
        state = self._kept.taken_up()
        if state is None:
            return False
        servers = servers_of(state.groups)
        self._server = servers["server"]
        self._preparation, self._rows, self._done = state.preparation, state.rows, state.round
        self._judged = Judgement.from_facts(state.facts, servers.get("best"))
        log.info("federation: goes on after round %d", self._done)
        return True
