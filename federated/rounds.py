"""The coordinator: what silos agree on first, then round after round, with a quorum, a deadline and a checkpoint."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from cluster.wire import Arrays
from federated.agreement import Agreement
from federated.channel import SigningChannel
from federated.checkpoint import Checkpoint, State
from federated.dealt import able
from federated.exchange import Exchange, FederationError, Happening
from federated.job import Job
from federated.message import Message
from federated.net_weights import fresh
from federated.preparation import Preparation
from federated.privacy.plan import rounds_within
from federated.secure_aggregation.contribution import Contribution
from federated.secure_aggregation.secure_sum import SecureSum
from federated.secure_aggregation.summable import likes_of, update_of
from federated.source import Held
from federated.strategies import Server
from federated.update import SiloError, Update

log = logging.getLogger(__name__)

CHECKPOINT = "coordinator.bin"
SUM = ""  # whose score it is where no silo's own is told
SPARE_SHARE = 0.1  # of the time, kept for what follows the last round


@dataclass(frozen=True)
class Terms:
    """quorum: how many silos must answer in a round for it to count. round_seconds: after which it ends with those
    that have answered. deadline: in seconds of time.time(), for all of it. patience: rounds without gain on the
    silos' validation rows before it stops; 0: all rounds are made. units: silos whose columns look to be in other
    units than everybody else's are refused.
    """

    quorum: int = 2
    round_seconds: float = 600.0
    deadline: float = float("inf")
    patience: int = 0
    units: bool = True

    @classmethod
    def among(
        cls,
        sources: Sequence[Held],
        share: float,
        *,
        round_seconds: float = 600.0,
        deadline: float = float("inf"),
        patience: int = 0,
    ) -> Self:
        """With a quorum that is a share of the silos with rows enough, and two at least."""
        return cls(max(2, round(share * len(able(sources)))), round_seconds, deadline, patience)


@dataclass(frozen=True)
class Outcome:
    """What a federation leaves. parts: by name the weights that differ from the common ones; members: silo → part.

    rounds: after which the common weights were best. rows: of each silo that joined. scores: the mean validation loss
    after each round, from 0. happenings: who was late, lost or refused, when. sent, received: bytes in all.
    """

    preparation: Preparation
    weights: Arrays = field(repr=False)
    parts: dict[str, Arrays] = field(repr=False)
    members: dict[str, str]
    rounds: int
    rows: dict[str, int]
    scores: list[float]
    happenings: list[Happening]
    sent: int
    received: int


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
        self._losses: dict[str, tuple[float, float]] = {}  # silo → its last validation loss, and the rows it is of
        self._server: Server | None = None
        self._best: Server | None = None
        self._best_round = self._done = 0
        self._scores: list[float] = []

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
        while self._done < planned and not self._stale() and not self._late(began, first):
            self._round()
            self._checkpoint()
        self._last_look()
        return self._outcome()

    def scores(self) -> list[float]:
        """The mean validation loss after each round, from 0, as far as it is."""
        return list(self._scores)

    def _round(self) -> None:
        number = self._done + 1
        server = self._held()
        asked = Message("train", round=number, groups=self._job.strategy.send(server))
        updates, refused = ([self._summed(asked, server)], 0) if self._job.secure else self._single(asked, server)
        self._look()
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
            self._heard(silo, answers[silo])
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
        if mean.valid_rows > 0:
            self._losses = {SUM: (mean.loss, mean.valid_rows)}
        return mean, silos

    def _held(self) -> Server:
        assert self._server is not None  # agreed or resumed
        return self._server

    def _fresh(self, seed: int) -> Arrays:
        assert self._preparation is not None  # agreed on before
        return fresh(self._job, self._preparation, self._job.seed * 1009 + seed)

    def _heard(self, silo: str, answer: Message) -> None:
        loss = answer.facts.get("valid_loss")
        if loss is not None and np.isfinite(loss):
            self._losses[silo] = (float(loss), float(answer.facts["valid_rows"]))

    def _look(self) -> None:
        """Scores the model as it was sent out: by every silo's last word on it, so that one that is late now does not
        move the score. A secure job is scored by the silos that are in its sum."""
        if not self._losses:
            return
        losses, rows = np.array(list(self._losses.values())).T
        self._scores.append(float(np.average(losses, weights=rows)))
        if self._best is None or self._scores[-1] < min(self._scores[:-1]):
            self._best, self._best_round = self._server, self._done

    def _last_look(self) -> None:
        if self._losses:
            asked = Message("evaluate", round=self._done, groups=self._job.strategy.send(self._held()))
            if self._job.secure:
                self._score_together(asked)
            else:
                for silo, answer in self._exchange.ask(asked, list(self._rows), expected="score").items():
                    self._heard(silo, answer)
                self._look()
        if self._best is None:
            self._best, self._best_round = self._server, self._done

    def _score_together(self, asked: Message) -> None:
        try:
            self._sum(asked, {})
        except FederationError as error:  # the model before it stands
            log.warning("federation: the last model is not scored. %s", error)
            return
        self._look()

    def _stale(self) -> bool:
        looked = self._done - 1  # the last round whose model has been scored
        return bool(self._terms.patience and self._scores) and looked - self._best_round >= self._terms.patience

    def _late(self, began: float, first: int) -> bool:
        """Whether there is no time for another round and what follows it."""
        if self._terms.deadline == float("inf"):
            return False
        pace = (time.time() - began) / max(1, self._done - first)
        left = self._terms.deadline - time.time()
        return self._done > first and left < 3 * pace + SPARE_SHARE * (self._terms.deadline - began)

    def _outcome(self) -> Outcome:
        assert self._best is not None
        assert self._preparation is not None
        parts: dict[str, Arrays] = {}
        members: dict[str, str] = {}
        if self._job.strategy.personalises and not self._job.secure:
            asked = Message("personal", round=self._done + 1, groups=self._job.strategy.send(self._best))
            for silo, answer in self._exchange.ask(asked, list(self._rows), expected="personal").items():
                if part := answer.facts["part"]:
                    finite = all(np.isfinite(array).all() for array in answer.groups["weights"].values())
                    if not finite:
                        self._exchange.note(
                            self._done, silo, "refused", f"silo {silo!r} sent weights of its own that are not finite."
                        )
                        continue
                    parts.setdefault(part, answer.groups["weights"])
                    members[silo] = part
        return Outcome(
            self._preparation,
            self._best.weights,
            parts,
            members,
            self._best_round,
            self._rows,
            self._scores,
            self._exchange.happenings,
            self._exchange.sent,
            self._exchange.received,
        )

    def _checkpoint(self) -> None:
        assert self._preparation is not None
        groups: dict[str, Arrays] = {}
        for name, server in (("server", self._server), ("best", self._best)):
            if server is not None:
                groups |= {f"{name}|": server.weights, **{f"{name}|{k}": v for k, v in server.kept.items()}}
        facts = {"losses": self._losses, "scores": self._scores, "best_round": self._best_round}
        self._kept.keep(State(self._done, self._preparation, self._rows, facts, groups))

    def _resume(self) -> bool:
        """Takes up a checkpoint. Raises FederationError for one of another job."""
        state = self._kept.taken_up()
        if state is None:
            return False
        servers: dict[str, Server] = {}
        for name in ("server", "best"):
            parts = {key[len(name) + 1 :]: part for key, part in state.groups.items() if key.startswith(f"{name}|")}
            if parts:
                servers[name] = Server(parts.pop(""), parts)
        self._server, self._best = servers["server"], servers.get("best")
        self._preparation, self._rows, self._done = state.preparation, state.rows, state.round
        self._scores, self._best_round = state.facts["scores"], state.facts["best_round"]
        self._losses = {silo: (loss, rows) for silo, (loss, rows) in state.facts["losses"].items()}
        log.info("federation: goes on after round %d", self._done)
        return True


class CoordinatorActor:
    """A coordinator in a process of its own. Started anew by Ray and asked again, it goes on from the checkpoint."""

    def __init__(self) -> None:
        self._coordinator: Coordinator | None = None

    def run(self, channel: SigningChannel, job: Job, terms: Terms, folder: Path) -> Outcome:
        """As `Coordinator.run`."""
        self._coordinator = Coordinator(channel, job, terms, folder)
        return self._coordinator.run()

    def progress(self) -> list[float]:
        """The scores until now; may be asked while `run` runs."""
        return self._coordinator.scores() if self._coordinator is not None else []
