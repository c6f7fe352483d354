"""One party's columns and what guards them: it answers messages, and nothing leaves but what they may carry."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cluster.wire import Arrays
from federated.audit import Audit
from federated.border import AUDIT
from federated.message import BoundaryError, Message
from federated.policy import PolicyError
from federated.questions import NotReadyError, Told, UnknownQuestionError
from federated.silo import KEPT
from federated.source import SourceError
from federated.vertical.half import LOOKING, Half
from federated.vertical.holding import Holding
from federated.vertical.matching import Matcher, MatchError
from federated.vertical.plan import PartyJob

log = logging.getLogger(__name__)

Link = Callable[[bytes], bytes]  # how a party is reached: a question's bytes → its answer's


class Party:
    """Answers the target's owner, one message after the other.

    folder: of the party's own, for its audit file; None: it writes none. agreed: ids that all parties have agreed on
    before by other means; None: they are matched. kept: a folder of the party's own and of this training alone, where
    it writes what it is told to keep, for a successor after its process was lost; None: it writes nothing.
    """

    def __init__(
        self,
        holding: Holding,
        folder: Path | None = None,
        agreed: Sequence[str] | None = None,
        *,
        kept: Path | None = None,
    ) -> None:
        self._holding = holding
        self._audit = audit_in(folder)
        self._matcher: Matcher | None = None
        self._rows: np.ndarray | None = None  # of the holding, those with common ids, in the ids' order
        self._places: Arrays = {}  # once it is at work: these rows, and the places in them to learn from
        self._half: Half | None = None
        self._job: PartyJob | None = None
        self._kept = kept / KEPT if kept is not None else None
        self._questions: dict[str, Callable[[Message], Told]] = {
            "meet": self._meet,
            "match": self._match,
            "prepare": self._prepare,
            "embed": self._embed,
            "descend": self._descend,
            "keep": self._keep,
            "restore": self._restore,
            "disclose": self._disclose,
        }
        if agreed is not None:
            self._rows = rows_of(holding, agreed)

    def answer(self, request: bytes) -> bytes:
        """The answer to a message, both as bytes. A refusal and a failure are answers too: no exception leaves, since
        its text could hold a value."""
        return self.answers([request])[0]

    def answers(self, requests: Sequence[bytes]) -> list[bytes]:
        """The answers to messages, one after the other; the lines of all of them are on the disk before any leaves."""
        sent = [self._recorded(request) for request in requests]
        if self._audit is not None:
            self._audit.settle()
        return sent

    def _recorded(self, request: bytes) -> bytes:
        asked, name = Message.from_bytes(request), self._holding.name
        try:
            if asked.kind not in self._questions:
                raise UnknownQuestionError(asked.kind)
            kind, facts, groups = self._questions[asked.kind](asked)
            told = Message(kind, name, asked.round, facts, groups)
            told.check_leaving()
        except (PolicyError, SourceError, MatchError) as error:
            told = Message("refusal", name, asked.round, {"reason": str(error)})
        except Exception as error:  # the party's own border
            log.exception("party %r failed at %r", name, asked.kind)
            told = Message("failure", name, asked.round, {"type": type(error).__name__})
        sent = told.to_bytes()
        if self._audit is not None:
            self._audit.write(told, sent)
        return sent

    def _meet(self, asked: Message) -> Told:
        """The first half of a matching: this party's answer, and its own request. Once: every further list of ids
        would tell the owner more."""
        if self._rows is not None or self._matcher is not None:
            raise PolicyError(f"party {self._holding.name!r} has matched its ids already, and does so once.")
        if len(self._holding.ids) < self._holding.policy.minimum_rows:
            raise PolicyError(self._too_few)
        self._matcher = Matcher(self._holding.name, self._holding.ids)
        answered = self._matcher.answer(asked.groups["psi"]["request"])
        return "met", {}, {"psi": {**answered, "request": self._matcher.request()}}

    def _match(self, asked: Message) -> Told:
        if self._matcher is None:
            raise NotReadyError
        common = self._matcher.common(asked.groups["psi"])
        self._matcher = None  # keys are for one matching
        self._rows = rows_of(self._holding, common)
        return "matched", {"common": len(common)}, {}

    def _prepare(self, asked: Message) -> Told:
        """Takes its part of the net, where its policy allows that."""
        if self._rows is None:
            raise NotReadyError
        job, learn = PartyJob.from_facts(asked.facts["job"]), asked.groups["places"]["learn"]
        name = self._holding.name
        known = {(column.name, column.kind) for column in self._holding.schema.columns}
        if strange := [f"{kind} {column!r}" for column, kind in job.columns if (column, kind) not in known]:
            raise SourceError(f"party {name!r} has no {', '.join(strange)}.")
        if len(np.unique(learn)) < len(learn):
            raise SourceError(f"party {name!r} is asked for rows twice.")
        self._holding.policy.check(job, silo=name, rows=len(learn))
        self._begin(job, self._rows, learn)
        return "prepared", {}, {}

    def _begin(self, job: PartyJob, rows: np.ndarray, learn: np.ndarray) -> Half:
        asked_for = self._holding.only([column for column, _ in job.columns])
        self._job, self._rows, self._places = job, rows, {"rows": rows, "learn": learn}
        self._half = Half(asked_for, rows, learn, job.net)
        return self._half

    def _embed(self, asked: Message) -> Told:
        half, job = self._at_work()
        places = asked.groups["places"]["rows"]
        told = half.embed(places, asked.round if asked.facts["learning"] else LOOKING)
        if told.shape != (len(places), job.net.embedding):
            raise BoundaryError(f"embeddings of shape {told.shape} may not leave party {self._holding.name!r}")
        return "embedding", {}, {"embedding": {"rows": told}}

    def _descend(self, asked: Message) -> Told:
        self._at_work()[0].descend(asked.groups["gradient"]["rows"], asked.round)
        return "ready", {}, {}

    def _keep(self, asked: Message) -> Told:
        half, job = self._at_work()
        half.kept.keep(asked.round)
        if self._kept is not None:
            held = {"places": self._places, **half.kept.to_groups()}
            Message("kept", self._holding.name, asked.round, {"job": job.to_facts()}, held).write(self._kept)
        return "ready", {}, {}

    def _restore(self, asked: Message) -> Told:
        """Back to what it kept after the epoch that is asked for, or a predecessor in a process that was lost."""
        half = self._half or self._succeed()
        half.kept.restore(asked.round)
        return "ready", {}, {}

    def _succeed(self) -> Half:
        if self._kept is None or not self._kept.exists():
            raise NotReadyError
        held = Message.from_bytes(self._kept.read_bytes())
        groups = dict(held.groups)
        places = groups.pop("places")
        half = self._begin(PartyJob.from_facts(held.facts["job"]), places["rows"], places["learn"])
        half.kept.take(groups)
        return half

    def _disclose(self, asked: Message) -> Told:
        """Its part of the net, for a model that answers without it."""
        half, _ = self._at_work()
        if not self._holding.policy.personal:
            raise PolicyError(f"party {self._holding.name!r} lets no net leave that is of its columns alone.")
        return "bottom", {}, {"weights": half.weights()}

    def _at_work(self) -> tuple[Half, PartyJob]:
        if self._half is None or self._job is None:
            raise NotReadyError
        return self._half, self._job

    @property
    def _too_few(self) -> str:
        least = self._holding.policy.minimum_rows
        return f"party {self._holding.name!r} has fewer than {least} rows, and takes no part below that."


def rows_of(holding: Holding, ids: Sequence[str]) -> np.ndarray:
    """Where the rows with these ids stand in a holding, in the ids' sorted order."""
    places = {each: place for place, each in enumerate(holding.ids)}
    return np.array([places[each] for each in sorted(ids)], dtype=np.int64)


def audit_in(folder: Path | None) -> Audit | None:
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Audit(folder / AUDIT)
