"""The state of one name's traffic: its plan, how far it is, and what every replica has counted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

from framework.serving.traffic.agreement import Agreement
from framework.serving.traffic.buckets import Runs, deal
from framework.serving.traffic.plan import Plan
from framework.serving.traffic.tally import Tally

RUNNING, PASSED, BACK, PROMOTED, WITHDRAWN = "running", "passed", "rolled back", "promoted", "withdrawn"


@dataclass
class Shadowed:
    """What a shadow did in one replica. dropped: requests that it was not asked, because too many waited."""

    tally: Tally = field(default_factory=Tally)
    agreement: Agreement = field(default_factory=Agreement)
    dropped: int = 0

    def __add__(self, other: "Shadowed") -> "Shadowed":
        return Shadowed(self.tally + other.tally, self.agreement + other.agreement, self.dropped + other.dropped)

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back equal."""
        return {"tally": self.tally.to_json(), "agreement": dict(vars(self.agreement)), "dropped": self.dropped}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Shadowed":
        return cls(Tally.from_json(data["tally"]), Agreement(**data["agreement"]), data["dropped"])


@dataclass
class Conducted:
    """epoch: grows with every change of the weights; `first` is the plan's own. began: of the epoch, since: of the
    plan, UNIX seconds. runs: the deal in force. step: of the canary, its place in `plan.canary.steps`.
    state: "running", or how it ended, and why. test: the last look at the outcomes, plain data.
    counted: by replica and epoch, by version the tally as plain data, all of it since that epoch began.
    shadowed: by replica, what the shadow did since the plan began.
    """

    plan: Plan
    epoch: int
    first: int
    began: float
    since: float
    runs: Runs
    step: int = 0
    state: str = RUNNING
    why: str = ""
    test: dict[str, Any] | None = None
    counted: dict[str, dict[int, dict[str, dict[str, Any]]]] = field(default_factory=dict)
    shadowed: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def begun(cls, plan: Plan, *, epoch: int, now: float, before: Runs = ()) -> "Conducted":
        """A new plan; a canary begins at its first step. before: the deal of the plan that it follows."""
        if plan.canary is not None:
            plan = plan.weighed(*_parts(plan.canary.steps[0]))
        return cls(plan, epoch, epoch, now, now, deal(plan.weights, before).runs)

    def weigh(self, *weights: float, epoch: int, now: float) -> None:
        """Other weights of the same arms: a new epoch."""
        self.plan = self.plan.weighed(*weights)
        self.epoch, self.began, self.runs = epoch, now, deal(self.plan.weights, self.runs).runs

    def advance(self, *, epoch: int, now: float) -> None:
        """The canary's next step; after the last one it has passed."""
        assert self.plan.canary is not None
        if self.step + 1 == len(self.plan.canary.steps):
            self.state = PASSED
            return
        self.step += 1
        self.weigh(*_parts(self.plan.canary.steps[self.step]), epoch=epoch, now=now)

    def end(self, state: str, why: str, *, epoch: int, now: float, winner: int = 0) -> None:
        """All requests to one arm, the champion or the winner; the others stay in view, without any."""
        self.state, self.why = state, why
        weights = [100.0 if place == winner else 0.0 for place in range(len(self.plan.arms))]
        self.weigh(*weights, epoch=epoch, now=now)

    def tally(self, version: str, *, since: int | None = None) -> Tally:
        """What a version did in all replicas, from this epoch on; since the plan began by default."""
        return reduce(add, self._tallies(version, self.first if since is None else since), Tally())

    def shadow(self) -> Shadowed:
        return reduce(add, map(Shadowed.from_json, self.shadowed.values()), Shadowed())

    def order(self) -> dict[str, Any]:
        """What a replica has to do."""
        return {"plan": self.plan.to_json(), "epoch": self.epoch, "first": self.first, "runs": list(self.runs)}

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back equal."""
        counted = {
            replica: {str(epoch): of for epoch, of in epochs.items()} for replica, epochs in self.counted.items()
        }
        return {**vars(self), "plan": self.plan.to_json(), "runs": list(self.runs), "counted": counted}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Conducted":
        counted = {
            replica: {int(epoch): of for epoch, of in epochs.items()} for replica, epochs in data["counted"].items()
        }
        runs = [(arm, count) for arm, count in data["runs"]]
        return cls(**{**data, "plan": Plan.from_json(data["plan"]), "runs": runs, "counted": counted})

    def _tallies(self, version: str, since: int) -> Iterator[Tally]:
        for epochs in self.counted.values():
            for epoch, versions in epochs.items():
                if epoch >= since and version in versions:
                    yield Tally.from_json(versions[version])


def _parts(percent: float) -> tuple[float, float]:
    return 100.0 - percent, percent
