"""One try of a sweep: which settings, and what became of them."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from framework.search_space import Setting

Status = Literal["finished", "pruned", "failed"]


@dataclass(frozen=True)
class Trial:
    """What one set of settings came to.

    settings: those that were asked for; the rest are the contender's own. score: the problem's metric on the validation
    rows; nan where it did not get so far. steps: (rounds or epochs done, the best loss on the validation rows until
    then), smaller being better, as the engine itself reported them. found: the fields in which the contender, settled,
    differs from the one that was tuned. began: in seconds of time.time().
    """

    number: int
    settings: dict[str, Setting]
    status: Status
    score: float = math.nan
    seconds: float = 0.0
    steps: tuple[tuple[int, float], ...] = ()
    found: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    began: float = 0.0

    @property
    def finished(self) -> bool:
        return self.status == "finished"

    def to_json(self) -> dict[str, Any]:
        """Plain data; a score that is missing is null."""
        return {**asdict(self), "score": self.score if math.isfinite(self.score) else None}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError when it is not what `to_json` gave."""
        steps = tuple((int(step), float(loss)) for step, loss in told["steps"])
        score = math.nan if told["score"] is None else float(told["score"])
        found = {name: tuples(value) for name, value in told["found"].items()}
        return cls(**{**told, "steps": steps, "score": score, "found": found})

    def __str__(self) -> str:
        settings = ", ".join(f"{name} {plain(value)}" for name, value in self.settings.items()) or "its defaults"
        return f"trial {self.number} ({settings}): {self.status}"


def plain(value: Setting) -> str:
    """A setting as a person writes it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def written(fields: Mapping[str, Any]) -> str:
    """Field values as text, to travel in a Tune result; `read_fields` reads it."""
    return json.dumps(dict(fields), default=float)


def read_fields(text: str) -> dict[str, Any]:
    return {name: tuples(value) for name, value in json.loads(text).items()}


def tuples(value: Any) -> Any:
    """JSON knows no tuples, and a contender's fields no lists."""
    return tuple(tuples(each) for each in value) if isinstance(value, list) else value
