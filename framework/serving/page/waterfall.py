"""How a model came to its answer, column by column, as steps from its usual answer to this one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHOWN = 9  # columns; the others are one step
MARGIN = 0.04  # of the whole, on either side


@dataclass(frozen=True)
class Step:
    """What one column added. begin, end: where the bar starts and stops, from 0 to 1 of the drawing's width."""

    column: str
    value: str
    added: float
    begin: float
    end: float

    @property
    def left(self) -> float:
        return min(self.begin, self.end)

    @property
    def wide(self) -> float:
        """At least a hair, so that it is seen."""
        return max(0.004, abs(self.end - self.begin))


@dataclass(frozen=True)
class Waterfall:
    """output: what is explained, a class or the value. base + all that was added = told, in `space`.

    base_at: the base's place in the drawing. how: the algorithm.
    """

    output: str
    space: str
    how: str
    base: float
    told: float
    base_at: float
    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()

    @property
    def largest(self) -> float:
        """The size of the largest step."""
        return max((abs(step.added) for step in self.steps), default=0.0)


def waterfall(explanation: Mapping[str, Any], row: Mapping[str, Any], *, answer: str) -> Waterfall:
    """The steps of the first row that was explained, the largest first.

    explanation: as POST /explain tells it. answer: the class that is told; of two classes the second one's is drawn.
    """
    first = explanation["explanations"][0]
    output = answer if answer in first["contributions"] else next(iter(first["contributions"]))
    base = float(explanation["base"][output])
    ranked = sorted(first["contributions"][output].items(), key=lambda pair: -abs(pair[1]))
    most = SHOWN if len(ranked) > SHOWN + 1 else len(ranked)
    shown, rest = ranked[:most], ranked[most:]
    parts = [(name, _shown(row.get(name)), float(added)) for name, added in shown]
    if rest:
        parts.append((f"{len(rest)} more columns", "", sum(each for _, each in rest)))
    path = [base]
    for _, _, added in parts:
        path.append(path[-1] + added)
    low, high = min(path), max(path)
    room = (high - low) or 1.0

    def at(value: float) -> float:
        return MARGIN + (1 - 2 * MARGIN) * (value - low) / room

    steps = tuple(
        Step(name, value, added, at(begin), at(begin + added))
        for (name, value, added), begin in zip(parts, path, strict=False)
    )
    told = float(first["prediction"][output])
    warnings = tuple(explanation["warnings"])
    return Waterfall(output, explanation["space"], explanation["how"], base, told, at(base), steps, warnings)


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
