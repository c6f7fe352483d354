"""One portfolio's rows and how a net learns from them: what it is asked and what it tells, behind its border."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cluster.wire import Arrays, Facts
from federated.bench import Bench
from federated.border import Border, Shapes
from federated.job import AnyJob, Job
from federated.message import Message
from federated.net_weights import shared_net, travelling
from federated.policy import PolicyError
from federated.preparation import Preparation
from federated.privacy.guard import Guard
from federated.privacy.levels import RecordLevel
from federated.questions import QUESTIONS, STATISTICS, NotReadyError, Told
from federated.secure_aggregation.contribution import Contribution
from federated.secure_aggregation.figures import Figures
from federated.secure_aggregation.identity import Identity
from federated.secure_aggregation.member import without_rules
from federated.secure_aggregation.summable import likes_of, summed_of
from federated.silo_memory import Memory
from federated.source import Source
from federated.survey import Survey

if TYPE_CHECKING:
    from framework.data.frame import Frame

KEPT = "kept.bin"


class Silo(Border):
    """Answers one message at a time. Asked for a round again it answers the same bytes: what the round changed in the
    silo is undone first, so that no round counts twice.

    folder: of the silo's own: its audit file, and what it keeps between rounds, for a successor after a crash.
    None: it writes nothing and a successor begins anew. identity: for secure jobs, which it refuses without one.
    """

    questions: ClassVar[frozenset[str]] = QUESTIONS

    def __init__(self, source: Source, folder: Path | None = None, identity: Identity | None = None) -> None:
        super().__init__(source, folder, identity)
        self._memory = Memory(folder / KEPT if folder is not None else None)
        self._at_hand: tuple[Job, Frame, Frame] | None = None  # the job, rows to learn from, rows to stop by
        self._survey: Survey | None = None
        self._summed: Shapes | None = None  # of the statistics that are being summed
        self._model: Shapes | None = None  # of what leaves as weights, once prepared
        self._bench: Bench | None = None
        self._guard: Guard | None = None  # of jobs with record-level privacy
        self._run = ""  # the federation that this is of

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
        self._at_hand = job, train, valid
        return "joined", {"rows": len(train)}, {}

    def _categories(self, asked: Message) -> Told:
        return self._surveyed().categories(asked)

    def _cells(self, asked: Message) -> Told:
        return self._as_told(asked, self._surveyed().cells(asked))

    def _moments(self, asked: Message) -> Told:
        return self._as_told(asked, self._surveyed().moments(asked))

    def _histograms(self, asked: Message) -> Told:
        return self._as_told(asked, self._surveyed().histograms(asked))

    def _surveyed(self) -> Survey:
        job, train = self._asked_for()
        if self._survey is None or self._survey.job is not job:
            before = self._survey.encoder if self._survey is not None else None
            self._survey = Survey(job, train, self._guard, self._least, before)
        return self._survey

    def _as_told(self, asked: Message, figures: Told | np.ndarray) -> Told:
        """An array as the first word of a sum over rows, before anything is prepared; the rest as it is."""
        if not isinstance(figures, np.ndarray):
            return figures
        self._summed = {"figures": figures.shape}
        return self._summing().begin(asked, str(asked.facts["run"]), Figures(figures.astype(np.float64).ravel()))

    def _prepare(self, asked: Message) -> Told:
        """Takes what all silos have agreed of the columns, and goes on with what a predecessor kept."""
        if self._at_hand is None:
            raise NotReadyError
        job, train, stopping = self._at_hand
        preparation, self._summed = Preparation.from_message(asked.facts, asked.groups), None
        net = shared_net(asked.to_bytes(), Message("job", facts=job.to_facts()).to_bytes())
        kept = self._bench.kept if self._bench is not None and self._run == preparation.run else None
        self._bench = Bench(self._source.name, job, preparation, net, train, stopping)
        self._model = {name: tuple(part.shape) for name, part in travelling(net)}
        if job.secure:
            like, alike = likes_of(job.strategy, {name: np.empty(shape) for name, shape in self._model.items()})
            hidden = (*like.items(), *((f"alike {name}", array) for name, array in alike.items()))
            self._model = {name: array.shape for name, array in hidden}
        if self._guard is not None:
            self._bench.private = self._guard.steps(net, job.net, preparation)
        self._run = preparation.run
        if kept is not None:
            self._bench.kept = kept
        else:
            self._memory.recall(self._bench, self._run)
        return "ready", {}, {}

    def _train(self, asked: Message) -> Told:
        """One round: how the common model answers this silo's validation rows, then training on it."""
        bench, strategy = self._at_work(asked)
        facts = self._score(strategy.common(bench, asked.groups))
        work = strategy.work(bench, asked.groups)
        self._memory.keep(bench, asked.round, self._run)
        rows = float(len(bench.train)) if bench.private else bench.train_weight
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

    def _personal(self, asked: Message) -> Told:
        bench, strategy = self._at_work(asked)
        part, weights = strategy.personal(bench, asked.groups)
        if not self._source.policy.personal and part == self._source.name:
            part, weights = "", {}
        epochs = bench.tuned if part == self._source.name else 0
        return "personal", {"part": part, "epochs": epochs}, {"weights": weights}

    def _at_work(self, asked: Message) -> tuple[Bench, Any]:
        bench = self._bench
        if bench is None:
            raise NotReadyError
        if asked.kind == "train":
            self._memory.begin(bench, asked.round)
        bench.round = asked.round
        if bench.private is not None:
            bench.private.begin(without_rules(asked).to_bytes())  # summed anew, a round is not paid for anew
        return bench, bench.job.strategy

    def _score(self, weights: Arrays) -> Facts:
        bench = self._bench
        assert bench is not None
        if bench.job.privacy is not None or len(bench.valid) < max(1, self._least):
            return {}
        return {"valid_loss": bench.valid_loss(weights), "valid_rows": bench.valid_weight}

    def _asked_for(self) -> "tuple[AnyJob, Frame]":
        if self._at_hand is None:
            raise NotReadyError
        return self._at_hand[:2]

    def _hides(self, kind: str) -> bool:
        """Whether no message of this kind may tell of this silo alone: its job is secure, and no noise covers it."""
        noisy = kind in STATISTICS and self._guard is not None and self._guard.covers_statistics
        return self._at_hand is not None and self._at_hand[0].secure and not noisy

    def _shapes(self) -> Shapes | None:
        return self._summed if self._summed is not None else self._model
