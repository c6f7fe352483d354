"""A federation over silos that dial in: what they agree to learn from, the rounds, and the model that is left."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.user_error import UserError
from cluster.wire import Facts
from federated.channel import SigningChannel
from federated.deployment.columns import Columns, ask_for_columns
from federated.federated_average import FederatedAverage
from federated.job import Job
from federated.privacy.promise import kept_by
from federated.rounds import Coordinator, Outcome, Terms
from federated.secure_aggregation.rules import Rules
from federated.silo_model import SiloModel
from framework.data.column import Column
from framework.data.schema import Schema
from framework.metric import metric as metric_of
from framework.plain import write_json
from framework.predictor import Predictor
from framework.problem import Kind, Problem

COLUMNS, MODEL = "columns.json", "model"


class SiloColumnError(UserError):
    """A name for the column that tells silos apart which is taken."""


@dataclass(frozen=True)
class Federated:
    """predictor: as `recipes.predict` and `serve` take it. left_out: column → why nothing was learned of it. secure:
    no silo's own update was seen."""

    predictor: Predictor
    outcome: Outcome
    left_out: dict[str, str]
    secure: bool = False

    def save(self, folder: Path) -> Path:
        """Writes the model; where it is."""
        self.predictor.save(folder / MODEL)
        return folder / MODEL

    def __str__(self) -> str:
        return f"the model after {self.outcome.rounds} rounds of {len(self.outcome.rows)} silos"

    def to_json(self) -> Facts:
        """What a report holds: how far it came, who took part, what happened."""
        told = self.outcome
        return {
            "rounds": told.rounds,
            "secure": self.secure,
            "promises": list(getattr(self.predictor.model, "promises", ())),
            "rows": told.rows,
            "scores": told.scores,
            "personal": sorted(told.members),
            "happenings": [str(happening) for happening in told.happenings],
            "bytes": {"sent": told.sent, "received": told.received},
            "columns": {column.name: column.kind for column in told.preparation.schema.columns},
            "left_out": self.left_out,
        }


def federate(
    channel: SigningChannel,
    contender: FederatedAverage,
    target: str,
    *,
    terms: Terms,
    folder: Path,
    seed: int = 0,
    metric: str = "",
    silo: str = "silo",
    tell: Callable[[str], None] = print,
) -> Federated:
    """Trains the contender over the silos of a channel. Its coordinator has no rows: silos say what columns they hold.

    silo: the column by which the model knows a silo when it predicts. folder: for the checkpoint and what was agreed:
    asked again with the same one, it goes on.
    Raises FederationError naming the silos that are to blame, SiloColumnError where a feature is called `silo`;
    MetricError for a metric that is unknown or not of this kind of target; RulesError where too few silos are there for
    secure aggregation.
    """
    if contender.secure:
        Rules.of(len(channel.silos), channel.registry, weight=1.0, nonce="")
    columns = _agreed(channel, target, terms, folder)
    if silo in (target, *(name for name, _ in columns.features)):
        raise SiloColumnError(f"the silos hold a column {silo!r} already. Pass another name for the silos' own.")
    kind: Kind = "regression" if not columns.labels else "binary" if len(columns.labels) == 2 else "multiclass"
    problem = Problem(target, kind, target, metric, silo=silo)
    metric_of(problem.metric).check(kind)
    job = contender.job_of(target, problem.metric, columns.features, columns.labels, seed, silos=len(channel.silos))
    tell(f"{len(channel.silos)} silos learn {target!r} ({kind}) from {len(columns.features)} columns")
    if job.secure and job.strategy.personalises:
        tell("weights fitted to single silos stay with them (secure)")
    outcome = Coordinator(channel, job, terms, folder).run()
    schema = outcome.preparation.schema
    known = [replace(column, missing=True) for column in schema.columns]  # no silo says whether it has gaps
    names = Column(silo, "category", tuple(sorted(outcome.rows)), missing=True)
    model = _model_of(outcome, job, silo)
    facts = {"silos": outcome.rows, "rounds": outcome.rounds, "seed": seed}
    predictor = Predictor(target, problem, Schema((*known, names), columns.labels), model, facts)
    for promise in model.promises:
        tell(promise)
    return Federated(predictor, outcome, columns.left_out, job.secure)


def _agreed(channel: SigningChannel, target: str, terms: Terms, folder: Path) -> Columns:
    """What the silos agreed on before, where they did: a coordinator that goes on asks for the same."""
    path = folder / COLUMNS
    if path.exists():
        return Columns.from_json(json.loads(path.read_text(encoding="utf-8")))
    columns = ask_for_columns(channel, target, seconds=terms.round_seconds, quorum=terms.quorum)
    write_json(path, columns.to_json())
    return columns


def _model_of(outcome: Outcome, job: Job, silo: str) -> SiloModel:
    return SiloModel(
        outcome.preparation.encoder,
        outcome.preparation.quantiles,
        job.net,
        dict(job.shape),
        silo,
        outcome.weights,
        outcome.parts,
        outcome.members,
        outcome.rounds,
        kept_by(job, outcome.rows, outcome.rounds, None).to_facts() if job.privacy else None,
        outcome.tuned,
    )
