"""What of a contender may be searched: one vocabulary, stated beside its fields.

A contender that can be tuned has a `space`, and where good settings are known a `portfolio` (`Tunable`). A name is a
field, or a dotted path into one: "engine.gamma" is a parameter of the engine, "contender.depth" a field of what a
wrapper wraps.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from cluster.user_error import UserError

Setting = float | int | str | bool
Settings = Mapping[str, Setting]  # name → value
C = TypeVar("C")


class SearchSpaceError(UserError):
    """A search space that is empty, contradicts itself, or names what the contender has not."""


@dataclass(frozen=True)
class Real:
    """A number between `low` and `high`. log: as likely between 0.01 and 0.1 as between 0.1 and 1."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self)

    def holds(self, value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def spread(self, points: int) -> tuple[float, ...]:
        """So many values from end to end, evenly or, with `log`, by equal factors."""
        return tuple(float(f"{value:.6g}") for value in _between(self, points))


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`, both of them included."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self)

    def holds(self, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def spread(self, points: int) -> tuple[int, ...]:
        return tuple(dict.fromkeys(round(value) for value in _between(self, points)))


@dataclass(frozen=True)
class Choice:
    """One of these, in no order."""

    options: tuple[Setting, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise SearchSpaceError("a Choice of nothing: pass at least one option.")

    def holds(self, value: Any) -> bool:
        return any(type(value) is type(option) and value == option for option in self.options)

    def spread(self, points: int) -> tuple[Setting, ...]:
        """All of them, however many points were asked for."""
        return self.options


Dimension = Real | Whole | Choice
Space = Mapping[str, Dimension]


@runtime_checkable
class Tunable(Protocol):
    """A contender that says what of it may be searched.

    portfolio: settings that did well on many tables, each different from the others; they are tried first.
    """

    space: ClassVar[Space]
    portfolio: ClassVar[tuple[Settings, ...]]


def space_of(contender: Any) -> dict[str, Dimension]:
    """What of a contender may be searched; of a wrapper without a space of its own, the space of what it wraps."""
    if isinstance(contender, Tunable):
        return dict(contender.space)
    inner = getattr(contender, "contender", None)
    return {f"contender.{name}": dimension for name, dimension in space_of(inner).items()} if inner is not None else {}


def portfolio_of(contender: Any) -> tuple[dict[str, Setting], ...]:
    """Known-good settings, named as in `space_of`."""
    if isinstance(contender, Tunable):
        return tuple(dict(settings) for settings in contender.portfolio)
    inner = getattr(contender, "contender", None)
    known = portfolio_of(inner) if inner is not None else ()
    return tuple({f"contender.{name}": value for name, value in settings.items()} for settings in known)


def check_space(contender: Any, space: Space, *, who: str) -> None:
    """Raises SearchSpaceError when there is nothing to search, or a name that the contender has not."""
    if not space:
        raise SearchSpaceError(
            f"{who} has an empty search space: there is nothing to tune. Pass space={{field: Real(low, high), …}}."
        )
    for name, dimension in space.items():
        if not isinstance(dimension, Real | Whole | Choice):
            raise SearchSpaceError(
                f"{who}: the space of {name!r} is {dimension!r}; pass Real(low, high), Whole(low, high) or Choice((…))."
            )
        settled(contender, {name: dimension.spread(1)[0]})


def settled(contender: C, settings: Mapping[str, Any]) -> C:
    """The contender with these settings in its fields. Raises SearchSpaceError for a field that it has not."""
    for name, value in settings.items():
        contender = _with(contender, name, value, who=str(getattr(contender, "name", contender)))
    return contender


def setting_of(contender: Any, name: str) -> Any:
    """The value that a contender has for a setting; None where it chooses by itself, or has not got it."""
    value = contender
    for part in name.split("."):
        value = getattr(value, part, None) if is_dataclass(value) else dict(value or ()).get(part)
    return value


def changes(before: Any, after: Any, *, path: str = "") -> dict[str, Any]:
    """The fields in which two contenders of one class differ, dotted → the value after: plain data."""
    found: dict[str, Any] = {}
    for field in fields(before):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if is_dataclass(old) and type(old) is type(new):
            found |= changes(old, new, path=f"{path}{field.name}.")
        elif old != new:
            found[f"{path}{field.name}"] = new
    return found


def _with(value: Any, name: str, setting: Any, *, who: str) -> Any:
    head, _, rest = name.partition(".")
    if not is_dataclass(value):  # a mapping, or pairs
        return tuple((dict(value) | {name: setting}).items())
    known = [field.name for field in fields(value)]
    if head not in known:
        raise SearchSpaceError(f"{who} has no field {head!r} to be tuned; it has: {', '.join(known)}.")
    return replace(value, **{head: _with(getattr(value, head), rest, setting, who=who) if rest else setting})  # type: ignore[type-var]


def _check_bounds(dimension: "Real | Whole") -> None:
    low, high = dimension.low, dimension.high
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SearchSpaceError(f"{dimension} is empty: `low` must be below `high`, both finite.")
    if dimension.log and low <= 0:
        raise SearchSpaceError(f"{dimension} is searched by factors, so `low` must be above 0.")


def _between(dimension: "Real | Whole", points: int) -> list[float]:
    low, high = float(dimension.low), float(dimension.high)
    places = [place / (points - 1) for place in range(points)] if points > 1 else [0.5]
    if dimension.log:
        return [low * (high / low) ** place for place in places]
    return [low + (high - low) * place for place in places]
