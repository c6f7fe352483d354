"""A Cox model over silos that dial in: the columns that most of them hold, and the sums of them all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.wire import Facts
from federated.channel import SigningChannel
from federated.deployment.columns import ask_for_columns
from federated.rounds import Terms
from federated.secure_aggregation.rules import Rules
from federated.survival.fitting import KINDS, cox_over, job_of
from federated.survival.model import CoxModel

MODEL = "cox.json"


@dataclass(frozen=True)
class FederatedCox:
    """left_out: column → why it is none of the model's."""

    model: CoxModel
    left_out: dict[str, str]
    secure: bool

    def save(self, folder: Path) -> Path:
        """Writes the model; where it is."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save(folder / MODEL)
        return folder / MODEL

    def __str__(self) -> str:
        return f"the Cox model of {len(self.model.silos)} silos\n{self.model}"

    def to_json(self) -> Facts:
        """What a report holds: the effects, who took part and why others did not."""
        told = self.model.to_json()
        shown = ("effects", "events", "concordance", "steps", "silos", "baseline")
        left = {"silos_left_out": told["left_out"], "left_out": self.left_out, "happenings": told["remarks"]}
        columns = {column.name: column.kind for column in self.model.schema.columns}
        return {**{name: told[name] for name in shown}, **left, "columns": columns, "secure": self.secure}


def federate_cox(
    channel: SigningChannel,
    event: str,
    duration: str,
    *,
    outcomes: tuple[str, str],
    terms: Terms,
    times: Sequence[float] = (),
    steps: int = 25,
    secure: bool = False,
    tell: Callable[[str], None] = print,
) -> FederatedCox:
    """What makes `event` happen, and how much sooner, by the columns that most silos hold. In the words of `cox`.

    Raises FederationError naming the silos that are to blame, CoxError for what cannot be asked or is not determined,
    RulesError where too few silos are there for secure aggregation.
    """
    if secure:
        Rules.of(len(channel.silos), channel.registry, weight=1.0, nonce="")
    found = ask_for_columns(channel, event, seconds=terms.round_seconds, quorum=terms.quorum)
    held = {name: kind for name, kind in found.features if name != duration}
    columns = {name: kind for name, kind in held.items() if kind in KINDS}
    others = {name: f"a {kind}, which no Cox model takes" for name, kind in held.items() if name not in columns}
    job = job_of(
        duration=duration,
        event=event,
        columns=columns,
        outcomes=outcomes,
        baseline="common" if times else "silo",
        times=times,
        steps=steps,
        secure=secure,
    )
    tell(f"{len(channel.silos)} silos learn when {event!r} happens from {len(columns)} columns")
    quorum = terms.quorum / len(channel.silos)
    model = cox_over(channel, job, quorum=quorum, round_seconds=terms.round_seconds)
    return FederatedCox(model, {**found.left_out, **others}, secure)
