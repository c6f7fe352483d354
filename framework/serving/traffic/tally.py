"""What an arm did: requests, errors, latencies and answers, counted by each replica and added up."""

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from framework.statistics import sequential

A_DECADE = 20  # latency bins: each 12 % wider than the one before
EDGES = [10 ** (place / A_DECADE - 4) for place in range(6 * A_DECADE + 1)]  # seconds, 0.1 ms … 100 s
MOST_LABELS = 20  # classes whose mean probability is followed
MOST_ROWS = 100  # of a request, whose answers are followed


@dataclass
class Moments:
    """How many values, their mean, and the sum of their squared distances from it (Welford 1962)."""

    rows: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.rows += 1
        apart = value - self.mean
        self.mean += apart / self.rows
        self.squares += apart * (value - self.mean)

    def arm(self) -> sequential.Arm:
        """As the sequential tests take them."""
        return sequential.Arm(self.rows, self.mean, self.squares)

    def __add__(self, other: "Moments") -> "Moments":
        both = self.arm() + other.arm()
        return Moments(both.rows, both.mean, both.squares)

    @property
    def deviation(self) -> float:
        return math.sqrt(self.squares / (self.rows - 1)) if self.rows > 1 else 0.0


@dataclass
class Tally:
    """requests: that met this arm. errors: of them, those it refused (422) or failed on (500 and above).

    latencies: answered requests by bin of seconds, shape (122,). seconds: of log seconds. answers: by class its
    probability, or "prediction", the mean over a request's rows, which is one value of these moments.
    """

    requests: int = 0
    errors: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))
    seconds: Moments = field(default_factory=Moments)
    answers: dict[str, Moments] = field(default_factory=dict)

    def count(self, status: int, seconds: float, items: Sequence[Mapping[str, Any]] = ()) -> None:
        """A request. items: the answer's predictions; none where they are not to be followed."""
        self.requests += 1
        if failed(status):
            self.errors += 1
        if status != 200:
            return
        self.latencies[bisect.bisect_left(EDGES, seconds)] += 1
        self.seconds.add(math.log(max(seconds, EDGES[0])))
        for label, value in followed(items).items():
            self.answers.setdefault(label, Moments()).add(value)

    def __add__(self, other: "Tally") -> "Tally":
        answers = dict(self.answers)
        for label, moments in other.answers.items():
            answers[label] = answers[label] + moments if label in answers else moments
        latencies = [one + more for one, more in zip(self.latencies, other.latencies, strict=True)]
        seconds = self.seconds + other.seconds
        return Tally(self.requests + other.requests, self.errors + other.errors, latencies, seconds, answers)

    def quantile(self, level: float) -> float | None:
        """Seconds within which this part of the answers came, to 12 %; None before there are any."""
        wanted = level * sum(self.latencies)
        if not wanted:
            return None
        reached = itertools.accumulate(self.latencies)
        return EDGES[min(next(place for place, count in enumerate(reached) if count >= wanted), len(EDGES) - 1)]

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back equal."""
        answers = {label: _plain(moments) for label, moments in self.answers.items()}
        told = {"requests": self.requests, "errors": self.errors, "latencies": list(self.latencies)}
        return {**told, "seconds": _plain(self.seconds), "answers": answers}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Tally":
        answers = {label: Moments(*moments) for label, moments in data["answers"].items()}
        seconds, latencies = Moments(*data["seconds"]), list(data["latencies"])
        return cls(data["requests"], data["errors"], latencies, seconds, answers)


def failed(status: int) -> bool:
    """Whether a status counts as an error of the version that was asked: an answer it failed on, or rows it refused."""
    return status >= 500 or status == 422


def followed(items: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The values of an answer whose mean is followed: of two classes the second one's probability, of more each."""
    if not items:
        return {}
    first = items[:MOST_ROWS]
    shares = first[0].get("probabilities")
    if shares is not None:
        labels = list(shares)[:MOST_LABELS] if len(shares) > 2 else list(shares)[-1:]
        return {label: math.fsum(item["probabilities"][label] for item in first) / len(first) for label in labels}
    return {"prediction": math.fsum(item["prediction"] for item in first) / len(first)}


def _plain(moments: Moments) -> list[float]:
    return [moments.rows, moments.mean, moments.squares]
