"""A silo that grows trees: it meets the others at the tracker, or grows its own; its rows stay where they are."""

from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from federated.channel import Ticket
from federated.message import Message
from federated.policy import PolicyError
from federated.preparation import Preparation
from federated.silo import NotReadyError, Silo, Told, folder_name
from federated.source import Source
from federated.trees.credential import Credential
from federated.trees.job import TreeJob, Way

if TYPE_CHECKING:
    from federated.job import AnyJob
    from federated.trees.bench import TreeBench
    from framework.data.frame import Frame

LOST = "RPC failed"  # what XGBoost says where the tracker ends a session, or is gone
SCREEN_SECONDS = 30.0  # until a tracker has shown its certificate


class TreeSilo(Silo):
    """As `Silo`. What it tells the tracker while trees grow goes by XGBoost's own connection, past `message` and the
    audit: sums of gradients over its rows, by node and bin. Its audit has a line for each session."""

    questions: ClassVar = frozenset({"join", "categories", "moments", "histograms", "prepare", "enrol", "grow", "bag"})

    def __init__(self, source: Source, folder: Path | None = None) -> None:
        super().__init__(source, folder)
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
        if job.way == "Bagging" and not policy.personal:
            raise PolicyError(f"silo {self._source.name!r} lets no model leave that is of its rows alone.")
        self._opened, self._trees = (job, train, valid), None
        return "joined", {"rows": len(train)}, {}

    def _prepare(self, asked: Message) -> Told:
        """Takes the bins and categories that all silos have agreed on."""
        from federated.trees.bench import TreeBench

        if self._opened is None:
            raise NotReadyError
        preparation = Preparation.from_message(asked.facts, asked.groups)
        self._trees = TreeBench(self._opened[0], preparation, *self._opened[1:], self._least)
        return "ready", {}, {}

    def _enrol(self, asked: Message) -> Told:
        """The certificate by which the tracker shall know it, and whether it has rows enough to stop by."""
        watches = self._at_trees("Histograms").watches
        self._credential = self._credential or Credential.made()
        return "enrolled", {"certificate": self._credential.certificate, "watches": watches}, {}

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
        booster = asked.groups["booster"]["ubj"].tobytes() if "booster" in asked.groups else b""
        with TemporaryDirectory(prefix="silo-") as folder:
            meeting: dict[str, Any] = {
                "dmlc_communicator": "federated",
                "federated_server_address": told["address"],
                "federated_world_size": len(told["ranks"]),
                "federated_rank": place,
                **self._credential.write(Path(folder), told["trusted"]),
            }
            try:
                raw, scores = trees.grow(booster, told["first"], told["trees"], meeting, watched=told["watched"])
            except xgboost.core.XGBoostError as error:
                if LOST not in str(error):
                    raise
                return "broken", {}, {}
        from federated.trees.bench import digest

        facts = {"sha256": digest(raw), "scores": scores}
        return "grown", facts, {} if place else {"booster": {"ubj": np.frombuffer(raw, dtype=np.uint8)}}

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


class TreeHost:
    """The actor that owns silos. While trees grow each of them has a thread: all wait for one another.

    folder: below which each silo has one of its own; None: they write nothing.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._silos: dict[str, TreeSilo] = {}
        self._lock = Lock()

    def answer(self, silo: str, source: list[Ticket], request: bytes) -> bytes:
        """source: a reference to where its rows come from, in a list; opened at the first question."""
        import ray

        with self._lock:
            if silo not in self._silos:
                folder = Path(self._folder) / folder_name(silo) if self._folder else None
                self._silos[silo] = TreeSilo(ray.get(source[0]), folder)
        return self._silos[silo].answer(request)

    def where(self) -> tuple[str, str]:
        """Its node, and that node's address."""
        import ray

        return ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()
