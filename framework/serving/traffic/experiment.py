"""What an A/B test of two registered versions came to, as text, plain data and a figure."""

import base64
import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.statistics.sequential import Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Reading:
    """One look: after how many outcomes, and what it said."""

    rows: int
    look: Look


@dataclass(frozen=True)
class Experiment:
    """What an A/B test came to. Prints as text, shows with its figure in a notebook.

    champion, challenger: their versions. metric: the mean that was compared. readings: in order, at least one.
    winner: a version; None where the rows told no difference. needed: the outcomes of a test that is read once, to find
    with a power of 80 % the difference that was seen, or, where none was, the one worth finding (`effect`); None where
    that cannot be told. settled: what became of the alias, where that was asked for.
    """

    name: str
    champion: str
    challenger: str
    metric: str
    readings: tuple[Reading, ...]
    winner: str | None
    effect: float
    needed: int | None
    settled: str = ""

    @property
    def last(self) -> Reading:
        return self.readings[-1]

    def lines(self) -> list[str]:
        """A few lines for a person."""
        seen = self.last.look
        low, high = seen.interval.low, seen.interval.high
        difference = f"{self.metric} {seen.difference:+.4g} ({low:+.4g} … {high:+.4g}), p = {seen.p_value:.2g}"
        pair = f"versions {self.champion} and {self.challenger}"
        found = f"{self.name}: {self.last.rows:,} outcomes tell no difference between {pair}: {difference}"
        if self.winner is not None:
            other = self.champion if self.winner == self.challenger else self.challenger
            beaten = f"{self.name}: version {self.winner} beats version {other}"
            found = f"{beaten} after {self.last.rows:,} outcomes: {difference}"
        told = [found, f"  {seen.control.rows:,} met version {self.champion}, {seen.treated.rows:,} {self.challenger}"]
        if self.needed is not None:
            size = f"{abs(seen.difference) if self.winner else self.effect:.3g}"
            told.append(f"  a test that is read once needs {self.needed:,} to find a difference of {size} (power 80 %)")
        return [*told, *([f"  {self.settled}"] if self.settled else [])]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        from framework.picture import png

        picture = base64.b64encode(png(self.figure())).decode()
        return f'<pre>{html.escape(str(self))}</pre><img alt="" src="data:image/png;base64,{picture}" width="640">'

    def to_json(self) -> dict[str, Any]:
        """What `report.json` holds."""
        told = {key: getattr(self, key) for key in ("name", "champion", "challenger", "metric", "winner", "settled")}
        readings = [
            {
                "rows": each.rows,
                "difference": each.look.difference,
                "interval": [each.look.interval.low, each.look.interval.high],
                "p_value": each.look.p_value,
            }
            for each in self.readings
        ]
        rows = {self.champion: self.last.look.control.rows, self.challenger: self.last.look.treated.rows}
        ends = {"decided": self.winner is not None, "rows": self.last.rows, "rows_by_version": rows}
        return {**told, **ends, "effect": self.effect, "fixed_rows": self.needed, "readings": readings}

    def figure(self) -> "Figure":
        """The difference and its interval, after each look."""
        from framework.figures import BLUE, INK, canvas

        known = [each for each in self.readings if math.isfinite(each.look.interval.low)]
        rows = [each.rows for each in known]
        low, high = ([getattr(each.look.interval, end) for each in known] for end in ("low", "high"))
        title = f"{self.name}: version {self.challenger} less version {self.champion}"
        figure, axes = canvas(title, "outcomes", self.metric, (6.4, 3.6))
        axes.fill_between(rows, low, high, color=BLUE, alpha=0.2, label="holds at every look")
        axes.plot(rows, [each.look.difference for each in known], color=BLUE, marker=".", label="difference")
        axes.axhline(0, color=INK, lw=1)
        axes.legend(frameon=False)
        return figure
