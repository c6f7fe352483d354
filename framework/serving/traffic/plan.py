"""How a name's requests are to be shared out: its arms, its shadow, its canary. Plain values, checked."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from framework.serving.request import RequestError

MOST_ARMS = 10
STEPS = (1.0, 5.0, 25.0, 50.0, 100.0)
LIMITS = (
    ("seconds", 0.0, 1e7),
    ("errors", 0.0, 1.0),
    ("latency", 1.0, 1e3),
    ("drift", 1e-3, 1e3),
    ("alpha", 1e-6, 0.5),
)  # of a canary's fields


class TrafficError(RequestError):
    """Traffic that cannot be shared out as asked."""

    def __init__(self, sentence: str, *, status: int = 422) -> None:
        super().__init__(sentence, status=status)


@dataclass(frozen=True)
class Source:
    """A registered version. uri: pinned to it. folder: where its files are on this machine; None: it is fetched."""

    uri: str
    version: str
    folder: str | None = None


@dataclass(frozen=True)
class Arm(Source):
    """A version and its weight, relative to the arms' sum; 0: it gets none."""

    weight: float = 100.0


@dataclass(frozen=True)
class Shadow(Source):
    """A version that is asked for a share of the requests, 0 … 1, and whose answers are only logged."""

    share: float = 1.0


@dataclass(frozen=True)
class Canary:
    """A version let in by steps, and taken back where it does worse.

    steps: percent of the requests, growing. requests, seconds: that a step takes at least, of the new version.
    errors: how much larger a share of errors than the champion's it may have. latency: how many times slower it may
    answer (geometric means). drift: how far its mean answer may lie from the champion's, in that one's standard
    deviations.
    alpha: the chance, at most, that a version within these bounds is taken back, however often it is looked at.
    """

    steps: tuple[float, ...] = STEPS
    requests: int = 200
    seconds: float = 60.0
    errors: float = 0.01
    latency: float = 1.5
    drift: float = 0.5
    alpha: float = 0.05

    def __post_init__(self) -> None:
        rising = list(self.steps) == sorted(set(self.steps))
        if not self.steps or not rising or not self.steps[0] > 0 or self.steps[-1] != 100:
            raise TrafficError(f"steps are {list(self.steps)}; they grow, from above 0 to 100 percent.")
        if len(self.steps) > 20:
            raise TrafficError(f"{len(self.steps)} steps; at most 20 are taken.")
        if not 1 <= self.requests <= 10**9:
            raise TrafficError(f"requests of a step are {self.requests}; it takes 1 or more.")
        for name, low, high in LIMITS:
            if not low <= getattr(self, name) <= high:
                raise TrafficError(f"{name} of the canary is {getattr(self, name):g}; it lies in {low:g} … {high:g}.")


@dataclass(frozen=True)
class Question:
    """What all arms of a name answer: they can only be compared where it is one.

    classes: each as answers name it, and as outcomes do: 1.0 is "1.0" and "1".
    """

    kind: str
    metric: str
    target: str | None
    classes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Plan:
    """How one name's requests are shared out.

    base: URI of the model that the name was served with; a plan ends with it. arms: the champion first.
    key: a column of the rows by which the same key always meets the same arm; the header X-Routing-Key goes before it.
    canary: lets the second arm in. promote_automatically: whether a test that has decided may move the alias.
    effect: the difference of the metric that is worth finding, in its units; None: chosen from the first outcomes.
    """

    base: str
    question: Question
    arms: tuple[Arm, ...]
    key: str | None = None
    shadow: Shadow | None = None
    canary: Canary | None = None
    promote_automatically: bool = False
    effect: float | None = None
    alpha: float = 0.05

    def __post_init__(self) -> None:
        versions = [each.version for each in (*self.arms, *([self.shadow] if self.shadow else []))]
        if twice := next((each for each in versions if versions.count(each) > 1), None):
            raise TrafficError(f"version {twice} is named twice. Each arm, and the shadow, is a version of its own.")
        if not 1 <= len(self.arms) <= MOST_ARMS:
            raise TrafficError(f"{len(self.arms)} arms; a name takes 1 to {MOST_ARMS}.")
        if not all(math.isfinite(arm.weight) and 0 <= arm.weight <= 1e6 for arm in self.arms):
            raise TrafficError("a weight is negative, or no number. Give each arm one of 0 or more.")
        whole = math.fsum(arm.weight for arm in self.arms)
        if small := [arm for arm in self.arms if 0 < arm.weight < whole / 10_000]:
            raise TrafficError(f"version {small[0].version} would get less than 0.01 % of the requests. Give it more.")
        if not whole:
            raise TrafficError("no arm has a weight above 0: nobody would answer.")
        if self.shadow and not 0 < self.shadow.share <= 1:
            raise TrafficError(f"the shadow's share is {self.shadow.share:g}; it lies above 0, up to 1.")
        if self.canary and len(self.arms) != 2:
            raise TrafficError(f"a canary takes two arms, the champion and a new version, not {len(self.arms)}.")
        if self.effect is not None and not 0 < self.effect < math.inf:
            raise TrafficError(f"effect is {self.effect:g}; it is the size of a difference worth finding, above 0.")
        if not 0 < self.alpha < 1:
            raise TrafficError(f"alpha is {self.alpha:g}; it is the share of false alarms, between 0 and 1.")

    @property
    def weights(self) -> dict[str, float]:
        """Of the arms that get requests, by version."""
        return {arm.version: arm.weight for arm in self.arms if arm.weight > 0}

    def weighed(self, *weights: float) -> "Plan":
        """The same arms with these weights."""
        arms = tuple(replace(arm, weight=weight) for arm, weight in zip(self.arms, weights, strict=True))
        return replace(self, arms=arms)

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back equal."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Plan":
        question, canary, shadow = data["question"], data["canary"], data["shadow"]
        parts: dict[str, Any] = {
            "question": Question(**{**question, "classes": tuple((str(a), str(b)) for a, b in question["classes"])}),
            "arms": tuple(Arm(**arm) for arm in data["arms"]),
            "shadow": Shadow(**shadow) if shadow else None,
            "canary": Canary(**{**canary, "steps": tuple(canary["steps"])}) if canary else None,
        }
        return cls(**{**data, **parts})
