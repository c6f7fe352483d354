"""Models side by side on the same rows: each one's score, and which differences are more than chance."""

import html
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from cluster.user_error import UserError
from framework.data.frame import Truth
from framework.data.fresh import Fresh
from framework.data.space import Space
from framework.document import Document, Section, Table, Text
from framework.leaderboard import number
from framework.metric import Metric, metric
from framework.predictor import Predictor
from framework.statistics import Interval, compare, resample
from framework.statistics.paired import suits_delong

HEAD = ("", "model", "score", "95 % interval", "behind the best by", "p")


class ComparisonError(UserError):
    """Models that do not answer the same question, or rows on which they cannot be compared."""


@dataclass(frozen=True)
class Line:
    """One model's score. behind: how much worse than the best it is, and where that lies; 0 for the best itself.

    noise: the p-value of "it scores as the best does", corrected for how many were compared; nan for the best.
    """

    name: str
    score: float
    interval: Interval
    behind: float
    behind_interval: Interval
    noise: float


@dataclass(frozen=True)
class Comparison:
    """Models on the same rows, best first. Prints as text, shows as a table in a notebook."""

    metric: Metric
    rows: int
    source: str
    test: str
    lines: tuple[Line, ...]
    remarks: tuple[str, ...] = ()

    def told(self, name: str) -> str:
        """A model's score with its interval."""
        line = next(each for each in self.lines if each.name == name)
        return f"{number(line.score)} ({number(line.interval.low)} … {number(line.interval.high)})"

    @property
    def sentence(self) -> str:
        """All scores in one line."""
        scores = ", ".join(f"{line.name} {self.told(line.name)}" for line in self.lines)
        p_value = f"; p = {self.lines[1].noise:.2g}, {self.test}" if len(self.lines) == 2 else ""
        return f"{self.metric.title} on {self.rows:,} rows of {self.source}: {scores}{p_value}"

    def cells(self) -> list[tuple[str, ...]]:
        """The table's rows as texts."""
        found: list[tuple[str, ...]] = []
        for place, line in enumerate(self.lines, 1):
            low, high = number(line.behind_interval.low), number(line.behind_interval.high)
            behind = f"{number(line.behind)} ({low} … {high})" if place > 1 else ""
            between = f"{number(line.interval.low)} … {number(line.interval.high)}"
            p_value = f"{line.noise:.2g}" if math.isfinite(line.noise) else ""
            found.append((str(place), line.name, number(line.score), between, behind, p_value))
        return found

    def __str__(self) -> str:
        lines = [HEAD, *self.cells()]
        wide = [max(len(line[place]) for line in lines) for place in range(len(HEAD))]
        told = ["  ".join(cell.ljust(width) for cell, width in zip(line, wide, strict=True)).rstrip() for line in lines]
        return "\n".join([self._title(), "", *told, *self.remarks])

    def document(self) -> Document:
        """The table on a page of its own."""
        spans = tuple((line.interval.low, line.score, line.interval.high) for line in self.lines)
        finite = all(math.isfinite(value) for span in spans for value in span)
        table = Table(HEAD, tuple(self.cells()), (2, 3, 4, 5), spans if finite else ())
        how = f"Tests against the best: {self.test}, corrected by Holm. A small p: more than chance."
        return Document("Models compared", self._title(), (Section("Scores", (table, Text(how))),))

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{cell}</th>" for cell in HEAD)
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in self.cells())
        title = f"<h4>{html.escape(self._title())}</h4>"
        return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        told = {"metric": self.metric.name, "direction": self.metric.direction, "rows": self.rows}
        lines = [asdict(line) for line in self.lines]
        return {**told, "source": self.source, "test": self.test, "models": lines, "remarks": list(self.remarks)}

    def _title(self) -> str:
        better = "higher" if self.metric.direction == "max" else "lower"
        return f"{self.metric.title} ({better} is better) on {self.rows:,} rows of {self.source}"


def compare_models(
    models: Mapping[str, Predictor], fresh: Fresh, *, scored: str | None = None, seed: int = 0
) -> Comparison:
    """Scores models on the same rows, and tests each against the best of them.

    models: what each is called → the model. fresh: `answered` rows for their problem. scored: the metric; the first
    model's by default. DeLong's test where it holds, else the paired bootstrap.
    Raises ComparisonError for models of different questions, MetricError for a metric that does not fit, SchemaError
    for rows that lack a column of a model.
    """
    names = list(models)
    first = models[names[0]]
    for name in names[1:]:
        _check_same(names[0], first, name, models[name])
    measure = metric(scored or first.problem.metric)
    measure.check(first.problem.kind)
    frames, remarks = {}, list(fresh.remarks)
    for name, model in models.items():
        frames[name], warnings = model.schema.conform(fresh.raw, strict=False)
        remarks += [f"{name}: {warning}" for warning in warnings]
    truth = _truth(fresh.truth, first, frames[names[0]], measure)
    predicted = {name: np.asarray(model.model.predict(frames[name])) for name, model in models.items()}
    drawn = resample(measure, truth, [predicted[name] for name in names], seed=seed)
    full = {name: float(score) for name, score in zip(names, drawn.full, strict=True)}
    sign = -measure.sign
    order = sorted(names, key=lambda name: (math.isnan(full[name]), sign * full[name]))
    best = order[0]
    noise = compare(measure, truth, predicted, best, seed=seed)
    lines = []
    for name in order:
        apart = sign * (drawn.scores[:, names.index(name)] - drawn.scores[:, names.index(best)])
        known = apart[np.isfinite(apart)]
        ends = np.quantile(known, [0.025, 0.975]) if len(known) else (math.nan, math.nan)
        behind = sign * (full[name] - full[best]) if name != best else 0.0
        around = Interval(float(ends[0]), float(ends[1]))
        own = drawn.interval(names.index(name))
        lines.append(Line(name, full[name], own, behind, around, noise.get(name, math.nan)))
    test = "DeLong's test" if suits_delong(measure, truth) else "paired bootstrap"
    return Comparison(measure, len(fresh), fresh.source, test, tuple(lines), tuple(remarks))


def _check_same(one: str, first: Predictor, two: str, second: Predictor) -> None:
    """Raises ComparisonError naming the first thing in which two models' questions differ."""
    asked: list[tuple[str, object, object]] = [
        ("kind", first.problem.kind, second.problem.kind),
        ("target", first.problem.target, second.problem.target),
        ("classes", [*map(str, first.schema.classes)], [*map(str, second.schema.classes)]),
    ]
    for what, known, other in asked:
        if known != other:
            raise ComparisonError(
                f"{one} and {two} do not answer the same question: {what} is {known!r} of the one and {other!r} of "
                f"the other. Compare models of one question, and register another question under another name."
            )


def _truth(truth: Truth, model: Predictor, X: Any, measure: Metric) -> Truth:
    """With what some metrics need of the model: the features' number, a forecast's scale, a clustering's space."""
    truth = replace(truth, features=len(model.schema.columns))
    if measure.name == "mase":
        if model.band is None or model.band.horizon is None:
            raise ComparisonError(
                "MASE needs the series' usual errors, and this model was saved without them. Compare by metric='mae'."
            )
        truth = replace(truth, scale=model.band.horizon.sizes(X))
    if model.problem.kind == "clustering":
        truth = replace(truth, space=Space.learn(X, model.schema).place(X))
    return truth
