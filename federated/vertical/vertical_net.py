"""A net over columns that several parties hold, none of which shows them to another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import ClassVar

from cluster.resources import Resources
from federated.border import folder_name
from federated.dealt import check_hosts
from federated.policy import USUAL, Policy
from federated.vertical.holding import Holding, deal_columns
from federated.vertical.links import Links
from federated.vertical.owner import Owner
from federated.vertical.plan import NetPlan, PartyJob, Schedule
from federated.vertical.reach import reached
from federated.vertical.vertical_model import VerticalModel
from framework.contender import Context, Model
from framework.data.frame import Fold
from framework.problem import Kind

OWNER = "owner"


@dataclass(frozen=True)
class VerticalNet:
    """A split net: each party turns its columns into an embedding of each row, the target's owner learns the answer
    from all embeddings, and sends back the gradients by them.

    A simulation: the fold's columns are dealt to parties, which speak in messages that are checked and audited; it is
    no protection from who runs it. See federated/README.md for what embeddings and gradients tell.

    parties: party → its columns; the owner of the target has all others that are not `ignored`. Without parties it is
    the owner's net alone. A party has the rows in which one of its columns has a value, and the net learns from those
    that all have: found by private set intersection of the ids (the fold's groups, else the rows' numbers). psi=False:
    found beforehand, in the clear, for the time that matching takes.
    embedding … weight_decay: of the nets, see `NetPlan`. epochs, patience, batch: see `Schedule`.
    hosts: actors that own the parties; 0: the fit's own process does, which is the owner's in any case. round_seconds:
    that the owner waits for the parties' answers to a question; a party that is later ends the fit. One whose process
    is lost comes back with what it kept.
    policy: every party's. audit: a folder where each writes what left it; none by default.
    """

    parties: Mapping[str, Sequence[str]] = field(default_factory=dict)
    embedding: int = 8
    size: int = 16
    width: int = 64
    layers: int = 1
    dropout: float = 0.1
    rate: float = 0.002
    weight_decay: float = 0.01
    epochs: int = 200
    patience: int = 20
    batch: int = 64
    psi: bool = True
    ignored: tuple[str, ...] = ()
    hosts: int = 0
    round_seconds: float = 600.0
    policy: Policy = USUAL
    audit: str | None = None
    name: str = "vertical"
    cpus: float = 1.0  # of the owner, and of each host
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    imports: ClassVar[tuple[str, ...]] = ("torch", "federated.vertical.nets")
    pooled: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, workers=1 + min(self.hosts, len(self.parties)))

    @property
    def plan(self) -> NetPlan:
        return NetPlan(**{each.name: getattr(self, each.name) for each in fields(NetPlan)})

    def alone(self, name: str = "owner alone") -> "VerticalNet":
        """The same net on the owner's columns and nothing else: what taking part has to beat."""
        ignored = (*self.ignored, *(column for columns in self.parties.values() for column in columns))
        return replace(self, parties={}, ignored=ignored, audit=None, name=name)

    def joined(self, name: str = "pooled") -> "VerticalNet":
        """The same net on all columns in one place."""
        return replace(self, parties={}, audit=None, name=name)

    def check_columns(self, fold: Fold) -> None:
        """Raises the VerticalError that a fit would for columns that cannot be dealt, before anything is started."""
        deal_columns(fold, self.parties, owner=OWNER, ignored=self.ignored)

    def fit(self, fold: Fold, context: Context) -> VerticalModel:
        """Raises VerticalError for columns that cannot be dealt, or naming the party that takes no part."""
        import torch

        check_hosts(self.hosts)
        torch.set_num_threads(context.threads)
        owner, answers, parties = deal_columns(
            fold, self.parties, owner=OWNER, ignored=self.ignored, policy=self.policy, seed=context.seed
        )
        agreed = None if self.psi else _common([owner, *parties])
        jobs = {party.name: self._job(party) for party in parties}
        schedule = Schedule(self.epochs, self.patience if len(fold.valid) else 0, self.batch, context.seed)
        audit = Path(self.audit) if self.audit else None
        own = audit / folder_name(OWNER) if audit else None
        with reached(
            parties, agreed=agreed, audit=audit, folder=context.folder, hosts=self.hosts, cpus=self.cpus
        ) as channel:
            links = Links(OWNER, channel, own, seconds=self.round_seconds, deadline=context.deadline)
            trained = Owner(owner, answers, links, jobs, classes=len(fold.classes), agreed=agreed).train(
                self.plan, schedule, metric=fold.problem.metric, context=context
            )
        for happening in trained.happenings:
            context.remark(f"{self.name}: {happening}")
        if trained.learned < len(answers.learn):
            context.remark(
                f"{self.name}: it learns from {trained.learned} of {len(answers.learn)} rows, which all parties have"
            )
        for each, leak in trained.leaks.items():
            context.remark(
                f"{self.name}: from its gradients {each!r} could tell the classes of rows learned from with an AUC of "
                f"{leak.norm:.2f} (by length), {leak.direction:.2f} (by direction, knowing one row)"
            )
        schemas = {party.name: party.schema for party in (owner, *parties)}
        parts = (trained.top, trained.bottoms, trained.means, trained.epochs)
        model = VerticalModel(trained.rows, schemas, self.plan, *parts)
        model.check()
        return model

    def settled(self, model: Model) -> "VerticalNet":
        if not isinstance(model, VerticalModel):
            return self
        return replace(self, epochs=max(1, model.epochs), patience=0)

    def _job(self, party: Holding) -> PartyJob:
        return PartyJob(tuple((column.name, column.kind) for column in party.schema.columns), self.epochs, self.plan)


def _common(holdings: Sequence[Holding]) -> list[str]:
    """The ids that all have, found by looking at them."""
    return sorted(set(holdings[0].ids).intersection(*(holding.ids for holding in holdings[1:])))
