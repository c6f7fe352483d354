"""The coordinator of trees: what silos agree on first, then session after session of trees, each kept before the next.

A session is some trees that all silos grow together. Where one silo is lost all break off, and the session is begun
again from the last booster: by those who are there, or have come back.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from federated.agreement import Agreement
from federated.channel import SigningChannel
from federated.checkpoint import Checkpoint, State
from federated.exchange import Exchange, FederationError
from federated.message import Message
from federated.preparation import Preparation
from federated.rounds import Terms
from federated.secure_aggregation.rules import FEWEST, Rules, RulesError
from federated.trees.circle import KEYS, SIGNATURES
from federated.trees.grown import Grown
from federated.trees.job import TreeJob
from federated.trees.reach import Guarded, Meeting
from framework.contender import OutOfTimeError

log = logging.getLogger(__name__)

CHECKPOINT = "trees.bin"
TRIES = 8  # of a session, before the federation is given up
PROBE = 5  # trees of the first session under a deadline: then a tree's time is known
SPARE_SHARE = 0.1  # of the time, kept for what follows the last session
TOO_SHORT = "the silos did not grow a tree together in the time there was. Give more minutes, or ask for less depth."


class Growth:
    """folder: for its checkpoint; one of the same job that lies there is gone on with. trees: of a session."""

    def __init__(
        self,
        channel: SigningChannel,
        tracker: Meeting,
        job: TreeJob,
        terms: Terms,
        *,
        trees: int,
        folder: Path | None = None,
    ) -> None:
        self._job, self._terms, self._tracker, self._trees = job, terms, tracker, trees
        self._exchange = Exchange(Guarded(channel, tracker.stop), terms.round_seconds, terms.deadline, job)
        self._registry = channel.registry
        self._kept = Checkpoint(folder / CHECKPOINT if folder is not None else None, job, self._exchange)
        self._preparation: Preparation | None = None
        self._rows: dict[str, int] = {}
        self._booster = b""
        self._done = self._sessions = 0
        self._scores: list[float] = []
        self._received: dict[str, int] = {}
        self._pace = 0.0  # seconds a tree, of the last session

    def run(self, report: Callable[[int, float], None] | None = None) -> Grown:
        """Agrees and grows. report: told the number and score of each tree, as they come.

        Raises FederationError naming who is missing when fewer than a quorum takes part, or sessions break again and
        again; OutOfTimeError when not one session fits in the time.
        """
        if not self._resume():
            self._agree()
        self._exchange.preparation = self._preparation
        spare = SPARE_SHARE * max(0.0, self._terms.deadline - time.time()) if self._bounded else 0.0
        while self._done < self._job.rounds and not self._stale():
            trees = self._affordable(spare)
            if not trees:
                break
            first = self._done
            try:
                self._session(trees)
            except FederationError:
                if time.time() < self._terms.deadline - spare:
                    raise
                break
            self._keep()
            for number in range(first, self._done):
                if report is not None and np.isfinite(self._scores[number]):
                    report(number, self._scores[number])
        if not self._done:
            raise OutOfTimeError(TOO_SHORT)
        assert self._preparation is not None
        best = self._best if np.isfinite(self._scores).any() else self._done
        found = self._preparation, self._booster, best, self._scores, self._rows
        return Grown(*found, self._received, self._sessions, self._exchange.happenings)

    def _agree(self) -> None:
        agreed = Agreement(self._exchange, self._job, quorum=self._terms.quorum, units=self._terms.units)
        try:
            self._preparation, self._rows = agreed.reach(self._registry)
        except FederationError:
            if time.time() < self._terms.deadline:
                raise
            raise OutOfTimeError(TOO_SHORT) from None

    def _session(self, trees: int) -> None:
        """Grows some trees with all silos there are, however often it takes."""
        for _ in range(TRIES):
            silos = [silo for silo in self._rows if silo not in self._exchange.refused]
            enrolled = self._exchange.ask(Message("enrol", round=self._done), silos, expected="enrolled")
            self._exchange.check_quorum(len(enrolled), self._terms.quorum, self._done)
            self._check_hidden(len(enrolled))
            if self._attempt(dict(sorted(enrolled.items())), trees):
                return
        raise FederationError(
            f"{TRIES} sessions of {trees} tree(s) broke one after the other after {self._done} tree(s); the last: "
            f"{self._tracker.told()[0] or 'a silo did not reach the tracker'} ({self._exchange.reasons(self._done)}). "
            f"See the silos' logs."
        )

    def _check_hidden(self, silos: int) -> None:
        """Raises FederationError where sums of so many silos would not hide their parts."""
        if not self._job.secure:
            return
        try:
            Rules.of(silos, self._registry, weight=1.0, nonce="")
        except RulesError as error:
            why = self._exchange.reasons(self._done)
            raise FederationError(f"trees after the first {self._done}: {error} ({why}).") from None

    def _attempt(self, enrolled: Mapping[str, Message], trees: int) -> bool:
        """Whether all of these silos ended with one and the same booster; then it is the common one. enrolled: what
        each of them has said before."""
        certificates = {silo: str(answer.facts["certificate"]) for silo, answer in enrolled.items()}
        watching = [silo for silo, answer in enrolled.items() if answer.facts["watches"]]
        watched = len(watching) >= (FEWEST if self._job.secure else 1)
        gate = self._tracker.open(certificates)
        facts = {
            "address": gate.address,
            "trusted": gate.certificate,
            "ranks": {silo: rank for rank, silo in enumerate(certificates)},
            "certificates": list(certificates.values()),
            "first": self._done,
            "trees": trees,
            "watched": watched,
        }
        groups = {"booster": {"ubj": np.frombuffer(self._booster, dtype=np.uint8)}} if self._booster else {}
        if self._job.secure:
            facts["watching"] = watching
            for group, part in ((KEYS, "key"), (SIGNATURES, "signature")):
                groups[group] = {silo: answer.groups["keys"][part] for silo, answer in enrolled.items()}
        began = time.time()
        asked = Message("grow", round=self._done, facts=facts, groups=groups)
        grown = self._exchange.ask(asked, list(certificates), expected="grown")
        why, received, _ = self._tracker.told()
        self._sessions += 1
        for silo, count in received.items():
            self._received[silo] = self._received.get(silo, 0) + count
        first = grown.get(next(iter(certificates)))
        if first is None or len(grown) < len(certificates):
            log.info("federated trees: a session broke after %d trees: %s", self._done, why)
            return False
        if len({str(answer.facts["sha256"]) for answer in grown.values()}) > 1:
            raise FederationError(
                "the silos ended with different trees after the same session. Are all of one version of XGBoost?"
            )
        self._booster = first.groups["booster"]["ubj"].tobytes()
        self._scores += first.facts["scores"] if watched else [float("nan")] * trees
        self._done += trees
        self._pace = (time.time() - began) / trees
        return True

    def _affordable(self, spare: float) -> int:
        """Trees of the next session: no more than there is time for."""
        trees = min(self._trees, self._job.rounds - self._done)
        if not self._bounded:
            return trees
        left = self._terms.deadline - time.time() - spare
        if not self._pace:
            return min(trees, PROBE) if left > 0 else 0
        return max(0, min(trees, int(left / (1.5 * self._pace))))

    @property
    def _bounded(self) -> bool:
        return self._terms.deadline != float("inf")

    def _stale(self) -> bool:
        if not self._terms.patience or not np.isfinite(self._scores).any():
            return False
        return self._done - self._best >= self._terms.patience

    @property
    def _best(self) -> int:
        """After how many trees the score was best."""
        return int(np.nanargmin(self._scores)) + 1

    def _keep(self) -> None:
        assert self._preparation is not None
        groups = {"booster": {"ubj": np.frombuffer(self._booster, dtype=np.uint8)}}
        facts = {"scores": self._scores, "received": self._received, "sessions": self._sessions}
        self._kept.keep(State(self._done, self._preparation, self._rows, facts, groups))

    def _resume(self) -> bool:
        """Takes up a checkpoint. Raises FederationError for one of another job."""
        state = self._kept.taken_up()
        if state is None:
            return False
        self._preparation, self._rows, self._done = state.preparation, state.rows, state.round
        self._booster = state.groups["booster"]["ubj"].tobytes()
        self._scores, self._received = state.facts["scores"], state.facts["received"]
        self._sessions = state.facts["sessions"]
        log.info("federated trees: goes on after %d trees", self._done)
        return True
