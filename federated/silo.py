"""One portfolio's rows and what guards them: it answers messages, and nothing leaves but what they may carry."""

import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from cluster.wire import Arrays, Facts
from federated.audit import Audit
from federated.bench import Bench
from federated.job import AnyJob, Job, is_secure
from federated.message import Message
from federated.net_weights import travelling
from federated.policy import PolicyError
from federated.preparation import Preparation, measured, numbers_of
from federated.privacy.guard import Guard
from federated.privacy.levels import RecordLevel
from federated.secure_aggregation.contribution import Contribution
from federated.secure_aggregation.figures import Figures
from federated.secure_aggregation.identity import Identity
from federated.secure_aggregation.member import Member, without_rules
from federated.secure_aggregation.participant import WithdrawnError
from federated.secure_aggregation.summable import likes_of, summed_of
from federated.source import Source, SourceError
from federated.statistics import Moments, categories_of, edges_of, histogram_of, moments_of
from federated.strategies import StrategyError
from federated.summed_statistics import power_sums_of, wide_edges
from framework.contenders.native import Native
from framework.data.schema import Schema
from framework.privacy.accountant import PrivacyError

if TYPE_CHECKING:
    import torch

    from framework.data.frame import Frame

log = logging.getLogger(__name__)

AUDIT, KEPT = "audit.jsonl", "kept.bin"
STATISTICS = frozenset({"moments", "histograms"})
SUMMING = frozenset({"share", "mask", "consent", "unmask"})  # what follows a question whose answers are summed
QUESTIONS = SUMMING | STATISTICS | {"join", "cells", "categories", "prepare", "train", "evaluate", "personal"}
Told = tuple[str, Facts, dict[str, Arrays]]  # kind, facts, groups


class UnknownQuestionError(RuntimeError):
    """A message that asks for what no silo does."""


class NotReadyError(RuntimeError):
    """A silo that is asked for a round before it has joined and been prepared: its process is a new one."""


class Silo:
    """Answers one message at a time. Asked for a round again it answers the same bytes: what the round changed in the
    silo is undone first, so that no round counts twice.

    folder: of the silo's own: its audit file, and what it keeps between rounds, for a successor after a crash.
    None: it writes nothing and a successor begins anew. identity: for secure jobs, which it refuses without one.
    """

    questions: ClassVar[frozenset[str]] = QUESTIONS

    def __init__(self, source: Source, folder: Path | None = None, identity: Identity | None = None) -> None:
        self._source = source
        self._member = Member(identity) if identity is not None else None
        self._folder = folder
        self._audit: Audit | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._audit = Audit(folder / AUDIT)
        self._job: Job | None = None
        self._rows: Frame | None = None  # to learn from
        self._stopping: Frame | None = None  # to stop by
        self._encoder: Native | None = None
        self._summed: dict[str, tuple[int, ...]] | None = None  # the shape of the statistics that are being summed
        self._bench: Bench | None = None
        self._guard: Guard | None = None  # of jobs with record-level privacy
        self._before: dict[str, Arrays] = {}
        self._begun = 0  # the last round that was trained
        self._run = ""  # the federation that this is of

    def answer(self, request: bytes) -> bytes:
        """The answer to a message, both as bytes. A refusal and a failure are answers too: no exception leaves, since
        its text could hold a value."""
        asked = Message.from_bytes(request)
        try:
            if asked.kind not in self.questions:
                raise UnknownQuestionError(asked.kind)
            kind, facts, groups = getattr(self, f"_{asked.kind}")(asked)
            told = Message(kind, self._source.name, asked.round, facts, groups)
            told.check_leaving(self._shapes(), secure=self._hides(kind))
        except WithdrawnError as error:
            log.warning("round %d: %s", asked.round, error)
            told = Message("withdrawn", self._source.name, asked.round, {"reason": str(error)})
        except (PolicyError, PrivacyError, SourceError, StrategyError) as error:
            told = Message("refusal", self._source.name, asked.round, {"reason": str(error)})
        except Exception as error:  # the silo's own border
            log.exception("silo %r failed at %r", self._source.name, asked.kind)
            told = Message("failure", self._source.name, asked.round, {"type": type(error).__name__})
        sent = told.to_bytes()
        if self._audit is not None:
            self._audit.record(told, sent)
        return sent

    def _join(self, asked: Message) -> Told:
        """Opens the rows for a job, where the silo's policy allows it."""
        job = Job.from_facts(asked.facts["job"])
        train, valid = self._source.rows(job)
        self._source.policy.check(job, silo=self._source.name, rows=len(train))
        if job.secure and self._member is None:
            raise PolicyError(f"silo {self._source.name!r} has no key to sign with, which secure aggregation needs.")
        self._guard = None
        if isinstance(job.privacy, RecordLevel):
            self._guard = Guard(job, self._source.name, self._source.policy, train, self._folder)
        self._job, self._rows, self._stopping = job, train, valid
        return "joined", {"rows": len(train)}, {}

    def _categories(self, asked: Message) -> Told:
        job, train = self._asked_for()
        named = [name for name, kind in job.columns if kind == "category"]
        columns = {name: _texts(train.X[name]) for name in named}
        if self._guard is not None and self._guard.covers_statistics:
            return "categories", {"counts": self._guard.categories(columns, asked), "others": {}}, {}
        counts, others = categories_of(columns, self._least)
        if is_secure(job):  # names cannot be summed under masks; how many rows have them stays here
            return "categories", {"counts": {n: dict.fromkeys(held, 0) for n, held in counts.items()}, "others": {}}, {}
        return "categories", {"counts": counts, "others": others}, {}

    def _cells(self, asked: Message) -> Told:
        """About where the values lie, in the sum of all silos."""
        job, train = self._asked_for()
        self._encoder = Native(Schema.from_json(asked.facts["schema"]))
        matrix = measured(self._encoder, train.X, train.y, job.labels)
        return self._add_statistics(asked, histogram_of(matrix, wide_edges(matrix.shape[1]), self._least))

    def _moments(self, asked: Message) -> Told:
        job, train = self._asked_for()
        self._encoder = Native(Schema.from_json(asked.facts["schema"]))
        matrix = measured(self._encoder, train.X, train.y, job.labels)
        if self._guard is not None and self._guard.covers_statistics:
            noisy = self._guard.counts(matrix, asked, measured=numbers_of(self._encoder, job.labels))
            return "moments", {}, {"moments": {"counts": noisy}}
        if is_secure(job):
            return self._add_statistics(asked, power_sums_of(matrix, asked.groups["place"]["place"], self._least))
        return "moments", {}, {"moments": moments_of(matrix, self._least).to_arrays()}

    def _histograms(self, asked: Message) -> Told:
        job, train = self._asked_for()
        if self._encoder is None:
            raise NotReadyError
        matrix = measured(self._encoder, train.X, train.y, job.labels)
        if self._guard is not None and self._guard.covers_statistics:
            noisy = self._guard.counts(matrix, asked, measured=numbers_of(self._encoder, job.labels))
            return "histograms", {}, {"histograms": {"counts": noisy}}
        moments = Moments.from_arrays(asked.groups["moments"])
        counts = histogram_of(matrix, edges_of(moments.mean, moments.deviation), self._least)
        if is_secure(job):
            return self._add_statistics(asked, counts)
        return "histograms", {}, {"histograms": {"counts": counts}}

    def _add_statistics(self, asked: Message, figures: np.ndarray) -> Told:
        """The first word of a sum over rows, before anything is prepared."""
        self._summed = {"figures": figures.shape}
        return self._summing().begin(asked, str(asked.facts["run"]), Figures(figures.astype(np.float64).ravel()))

    def _prepare(self, asked: Message) -> Told:
        """Takes what all silos have agreed of the columns, and goes on with what a predecessor kept."""
        job, train = self._job, self._rows
        if job is None or train is None:
            raise NotReadyError
        preparation, self._summed = Preparation.from_message(asked.facts, asked.groups), None
        net = _net(asked.to_bytes(), Message("job", facts=job.to_facts()).to_bytes())
        assert self._stopping is not None  # opened with the others
        kept = self._bench.kept if self._bench is not None and self._run == preparation.run else None
        self._bench = Bench(self._source.name, job, preparation, net, train, self._stopping)
        if self._guard is not None:
            self._bench.private = self._guard.steps(net, job.net, preparation)
        self._run = preparation.run
        if kept is not None:
            self._bench.kept = kept
        else:
            self._recall()
        return "ready", {}, {}

    def _train(self, asked: Message) -> Told:
        """One round: how the common model answers this silo's validation rows, then training on it."""
        bench, strategy = self._at_work(asked)
        facts = self._score(strategy.common(bench, asked.groups))
        work = strategy.work(bench, asked.groups)
        self._begun = asked.round
        self._keep()
        rows = float(len(bench.train) if bench.private else bench.train.weights.double().sum())
        if bench.job.secure:
            delta, alike = summed_of(strategy, work.groups, work.steps)
            return self._add(asked, Contribution.of(facts, delta, rows, alike))
        return "update", {"rows": rows, "steps": work.steps, **facts, **work.facts}, work.groups

    def _evaluate(self, asked: Message) -> Told:
        bench, strategy = self._at_work(asked)
        facts = self._score(strategy.common(bench, asked.groups))
        if bench.job.secure:
            return self._add(asked, Contribution.of(facts))
        return "score", facts, {}

    def _add(self, asked: Message, contribution: Contribution) -> Told:
        """The first word of a sum in which this silo's part is hidden."""
        return self._summing().begin(asked, self._run, contribution)

    def _share(self, asked: Message) -> Told:
        return self._summing().share(asked)

    def _mask(self, asked: Message) -> Told:
        return self._summing().mask(asked)

    def _consent(self, asked: Message) -> Told:
        return self._summing().consent(asked)

    def _unmask(self, asked: Message) -> Told:
        return self._summing().unmask(asked)

    def _summing(self) -> Member:
        if self._member is None:
            raise UnknownQuestionError("a step of secure aggregation, to a silo without a key")
        return self._member

    def _personal(self, asked: Message) -> Told:
        bench, strategy = self._at_work(asked)
        part, weights = strategy.personal(bench, asked.groups)
        if not self._source.policy.personal and part == self._source.name:
            part, weights = "", {}
        return "personal", {"part": part}, {"weights": weights}

    def _at_work(self, asked: Message) -> tuple[Bench, Any]:
        if self._bench is None or self._job is None:
            raise NotReadyError
        if asked.kind == "train":
            if asked.round <= self._begun:
                self._bench.kept = dict(self._before)
            self._before = dict(self._bench.kept)
        self._bench.round = asked.round
        if self._bench.private is not None:
            self._bench.private.begin(without_rules(asked).to_bytes())  # summed anew, a round is not paid for anew
        return self._bench, self._job.strategy

    def _score(self, weights: Arrays) -> Facts:
        bench = self._bench
        assert bench is not None
        if bench.job.privacy is not None or len(bench.valid) < max(1, self._least):
            return {}
        return {"valid_loss": bench.valid_loss(weights), "valid_rows": float(bench.valid.weights.double().sum())}

    def _asked_for(self) -> "tuple[AnyJob, Frame]":
        if self._job is None or self._rows is None:
            raise NotReadyError
        return self._job, self._rows

    @property
    def _least(self) -> int:
        return self._source.policy.minimum_count

    def _hides(self, kind: str) -> bool:
        """Whether no message of this kind may tell of this silo alone: its job is secure, and no noise covers it."""
        noisy = kind in STATISTICS and self._guard is not None and self._guard.covers_statistics
        return self._job is not None and self._job.secure and not noisy

    def _shapes(self) -> dict[str, tuple[int, ...]] | None:
        if self._summed is not None or self._bench is None:
            return self._summed
        shapes = {name: tuple(part.shape) for name, part in travelling(self._bench.net)}
        if not self._bench.job.secure:
            return shapes
        like, alike = likes_of(self._bench.job.strategy, {name: np.empty(shape) for name, shape in shapes.items()})
        return {name: array.shape for name, array in (*like.items(), *((f"alike {n}", a) for n, a in alike.items()))}

    def _keep(self) -> None:
        """Writes what stays in the silo between rounds, before and after this one: whole, or as it was."""
        assert self._bench is not None
        if self._folder is None or not (self._before or self._bench.kept):
            return
        groups = {f"before|{name}": arrays for name, arrays in self._before.items()}
        groups |= {f"after|{name}": arrays for name, arrays in self._bench.kept.items()}
        Message("kept", round=self._begun, facts={"run": self._run}, groups=groups).write(self._folder / KEPT)

    def _recall(self) -> None:
        assert self._bench is not None
        self._begun, self._before = 0, {}
        if self._folder is None or not (self._folder / KEPT).exists():
            return
        kept = Message.from_bytes((self._folder / KEPT).read_bytes())
        if kept.facts["run"] != self._run:
            return
        self._begun = kept.round
        sides: dict[str, dict[str, Arrays]] = {"before": {}, "after": {}}
        for name, arrays in kept.groups.items():
            side, _, rest = name.partition("|")
            sides[side][rest] = arrays
        self._before, self._bench.kept = sides["before"], sides["after"]


@lru_cache(maxsize=1)
def _net(preparation: bytes, job: bytes) -> "torch.nn.Module":
    """One net for all silos of a process: each loads its weights before it uses it."""
    asked = Message.from_bytes(preparation)
    return Preparation.from_message(asked.facts, asked.groups).net(Job.from_facts(Message.from_bytes(job).facts))


class SiloHost:
    """The actor that owns silos: one where they are to stand apart, several in a simulation.

    folder: below which each silo has one of its own; None: they write nothing. threads: of torch. kind: of silos.
    """

    def __init__(self, folder: str | None = None, threads: int = 1, kind: type[Silo] = Silo) -> None:
        import torch

        torch.set_num_threads(threads)
        self._folder, self._kind = folder, kind
        self._silos: dict[str, Silo] = {}

    def answer(self, silo: str, source: list[Any], request: bytes) -> bytes:
        """source: references to where its rows come from and, for secure jobs, to its identity, in a list; opened at
        the first question."""
        import ray

        if silo not in self._silos:
            folder = Path(self._folder) / folder_name(silo) if self._folder else None
            self._silos[silo] = self._kind(ray.get(source[0]), folder, *map(ray.get, source[1:]))
        return self._silos[silo].answer(request)


def _texts(column: pd.Series) -> np.ndarray:
    values = column.astype(object).to_numpy().copy()
    values[column.isna().to_numpy()] = None
    return values


def folder_name(silo: str) -> str:
    """A silo's name as a folder's: what a path cannot hold is written as its code."""
    plain = "".join(c if c.isalnum() or c in "-_" else f"%{ord(c):02x}" for c in silo)
    return plain or "%"
