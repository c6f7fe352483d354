"""A silo that grows trees: it meets the others at the tracker, or grows its own; its rows stay where they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from federated.border import Shapes
from federated.message import Message
from federated.policy import PolicyError
from federated.preparation import Preparation
from federated.questions import STATISTICS, SUMMING, NotReadyError, Told
from federated.secure_aggregation.identity import Identity
from federated.silo import Silo
from federated.source import Source
from federated.trees.circle import Circle
from federated.trees.credential import Credential
from federated.trees.crossing import is_sum
from federated.trees.job import TreeJob, Way
from federated.trees.relay import Relay, relayed
from federated.trees.tracker import Gate
from federated.trees.veil import Veil
from federated.trees.wide import Wide, WideError

if TYPE_CHECKING:
    from federated.job import AnyJob
    from federated.trees.bench import TreeBench
    from framework.data.frame import Frame

LOST = "RPC failed"  # what XGBoost says where the tracker ends a session, or is gone
SCREEN_SECONDS = 30.0  # until a tracker has shown its certificate


class TreeSilo(Silo):
    """As `Silo`. What it tells the tracker while trees grow goes by XGBoost's own connection, past `message` and the
    audit: sums of gradients over its rows, by node and bin, under masks where the job is secure. Its audit has a line
    for each session, which says whether it was masked."""

    questions: ClassVar = SUMMING | STATISTICS | {"join", "cells", "categories", "prepare", "enrol", "grow", "bag"}

    def __init__(self, source: Source, folder: Path | None = None, identity: Identity | None = None) -> None:
        super().__init__(source, folder, identity)
        self._identity = identity
        self._circle: Circle | None = None  # of the federation that it was prepared for last, where it is secure
        self._opened: tuple[TreeJob, Frame, Frame] | None = None
        self._trees: TreeBench | None = None
        self._credential: Credential | None = None

    def _join(self, asked: Message) -> Told:
        job = TreeJob.from_facts(asked.facts["job"])
        train, valid = self._source.rows(job)
        policy = self._source.policy
        policy.check(job, silo=self._source.name, rows=len(train))
        if job.plan.min_child_weight < policy.minimum_count:
            raise PolicyError(
                f"silo {self._source.name!r} grows no leaf of fewer than {policy.minimum_count} rows, and "
                f"min_child_weight={job.plan.min_child_weight:g} is asked. Ask for {policy.minimum_count} or more."
            )
        if job.secure and self._identity is None:
            raise PolicyError(f"silo {self._source.name!r} has no key to sign with, which secure aggregation needs.")
        if job.way == "Bagging" and not policy.personal:
            raise PolicyError(f"silo {self._source.name!r} lets no model leave that is of its rows alone.")
        self._opened, self._trees = (job, train, valid), None
        return "joined", {"rows": len(train)}, {}

    def _prepare(self, asked: Message) -> Told:
        """Takes the bins and categories that all silos have agreed on."""
        from federated.trees.bench import TreeBench

        if self._opened is None:
            raise NotReadyError
        preparation, self._summed = Preparation.from_message(asked.facts, asked.groups), None
        if self._identity is not None and (self._circle is None or self._circle.run != preparation.run):
            self._circle = Circle(self._identity, preparation.run)
        self._trees = TreeBench(self._opened[0], preparation, *self._opened[1:], self._least)
        return "ready", {}, {}

    def _enrol(self, asked: Message) -> Told:
        """The certificate by which the tracker shall know it, whether it has rows enough to stop by, and where sums are
        to be masked its keys."""
        trees = self._at_trees("Histograms")
        self._credential = self._credential or Credential.made()
        shown, watches = self._credential.certificate, trees.watches
        keys = {"keys": self._in_circle().enrol(asked.round, shown, watches=watches)} if trees.job.secure else {}
        return "enrolled", {"certificate": shown, "watches": watches}, keys

    def _grow(self, asked: Message) -> Told:
        """Trees, with all silos of the session; "broken" where one of them or the tracker is lost."""
        import xgboost

        trees, told = self._at_trees("Histograms"), asked.facts
        if told["first"] + told["trees"] > trees.job.rounds:
            raise PolicyError(
                f"silo {self._source.name!r} joined for {trees.job.rounds} rounds, and is asked for more."
            )
        place = told["ranks"].get(self._source.name)
        if self._credential is None or place is None or told["certificates"][place] != self._credential.certificate:
            return "broken", {}, {}
        if not reachable(told["address"], told["trusted"], self._credential):
            return "broken", {}, {}
        from federated.trees.bench import digest

        booster = asked.groups["booster"]["ubj"].tobytes() if "booster" in asked.groups else b""
        with self._met(asked, digest(booster)) as (gate, relay), TemporaryDirectory(prefix="silo-") as folder:
            meeting: dict[str, Any] = {
                "dmlc_communicator": "federated",
                "federated_server_address": gate.address,
                "federated_world_size": len(told["ranks"]),
                "federated_rank": place,
                **self._credential.write(Path(folder), gate.certificate),
            }
            try:
                raw, scores = trees.grow(booster, told["first"], told["trees"], meeting, watched=told["watched"])
            except xgboost.core.XGBoostError as error:
                if relay is not None and relay.refused:
                    raise PolicyError(f"silo {self._source.name!r} breaks off: {relay.refused.rstrip('.')}.") from None
                if LOST not in str(error):
                    raise
                return "broken", {}, {}
        facts: dict[str, Any] = {"sha256": digest(raw), "scores": scores}
        if relay is not None:
            facts["masked"] = True
            self._in_circle().ended(told["first"] + told["trees"], facts["sha256"])
        return "grown", facts, {} if place else {"booster": {"ubj": np.frombuffer(raw, dtype=np.uint8)}}

    @contextmanager
    def _met(self, asked: Message, booster: str) -> Iterator[tuple[Gate, Relay | None]]:
        """Where XGBoost is to turn to: the tracker itself or, where sums are to be masked, a relay that does it.

        booster: SHA-256 of the one to go on from. Raises WithdrawnError where the silo would not be hidden.
        """
        trees, gate = self._at_trees("Histograms"), Gate(asked.facts["address"], asked.facts["trusted"])
        if not trees.job.secure:
            yield gate, None
            return
        circle, plan, target = self._in_circle(), trees.job.plan, trees.preparation.target
        session, keys = circle.meet(asked, booster)
        classes, usual = len(trees.job.labels), max(abs(target.shift), target.scale**2)
        try:
            ring = Wide.sized(len(keys) + 1, 1.0 if classes else usual)
        except WideError as error:
            raise PolicyError(f"silo {self._source.name!r} takes no part: {error}") from None
        shape = {"width": trees.width, "leaves": 2**plan.depth, "outputs": max(1, classes)}
        veil = Veil(circle.me, keys, session, ring)
        assert self._credential is not None  # it has enrolled
        with relayed(gate, self._credential, veil, lambda call: is_sum(call, **shape)) as (relay, near):
            try:
                yield near, relay
            finally:
                if veil.shown:
                    circle.begun(asked)

    def _bag(self, asked: Message) -> Told:
        """Trees of its own rows."""
        trees = self._at_trees("Bagging")
        with TemporaryDirectory(prefix="silo-") as folder:
            raw, rounds = trees.alone(Path(folder))
        ubj = np.frombuffer(raw, dtype=np.uint8)
        return "bagged", {"rows": len(trees.train), "rounds": rounds}, {"booster": {"ubj": ubj}}

    def _at_trees(self, way: Way) -> "TreeBench":
        """Raises PolicyError for another way than the silo has joined for: its policy was asked about that one."""
        if self._trees is None:
            raise NotReadyError
        if self._trees.job.way != way:
            raise PolicyError(f"silo {self._source.name!r} joined for {self._trees.job.way}, and is asked for {way}.")
        return self._trees

    def _in_circle(self) -> Circle:
        if self._circle is None:
            raise NotReadyError
        return self._circle

    def _hides(self, kind: str) -> bool:
        return self._opened is not None and self._opened[0].secure

    def _shapes(self) -> Shapes | None:
        return self._summed

    def _asked_for(self) -> "tuple[AnyJob, Frame]":
        if self._opened is None:
            raise NotReadyError
        return self._opened[0], self._opened[1]


def reachable(address: str, trusted: str, credential: Credential, seconds: float = SCREEN_SECONDS) -> bool:
    """Whether a tracker that shows this certificate listens there, and takes ours. XGBoost's own client would wait for
    it without end."""
    import grpc

    pem = (trusted.encode(), credential.key.encode(), credential.certificate.encode())
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(*pem)) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=seconds)
        except grpc.FutureTimeoutError:
            return False
    return True
