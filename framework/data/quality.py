"""What a careful reader would say about a table before trusting anything learned from it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from framework.data.frame import Frame
from framework.data.leak import leaks
from framework.data.schema import Schema
from framework.problem import Problem

SAMPLE = 50_000  # rows that the costlier looks take
NEARLY_CONSTANT = 0.99
IMBALANCED = 0.1
_FAR = 10.0  # interquartile ranges outside the quartiles
_NAMED = 5  # columns or classes named in a sentence


@dataclass(frozen=True)
class Finding:
    """One remark. about: "dropped", "left out", "missing", "constant", "duplicates", "leak", "balance", "outliers",
    "text", "future" or "reading"."""

    about: str
    sentence: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quality:
    """The quality report. missing: column → share of rows; classes: label (as text) → rows; left_out: column → why."""

    rows: int
    columns: int
    kinds: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def lines(self) -> list[str]:
        """A few lines for a person; the first one says how large the table is."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items())
        return [f"{self.rows:,} rows, {self.columns} features ({kinds})", *(found.sentence for found in self.findings)]

    def about(self, what: str) -> tuple[Finding, ...]:
        """The findings of one sort."""
        return tuple(found for found in self.findings if found.about == what)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def assess(
    frame: Frame,
    *,
    problem: Problem,
    schema: Schema,
    left_out: Mapping[str, str] | None = None,
    remarks: Sequence[tuple[str, str]] = (),
    seed: int = 0,
) -> Quality:
    """The quality report of all rows. What costs time is looked at on a sample of 50,000 rows.

    left_out: columns that are no features, with the reason. remarks: (about, sentence) of what happened before.
    """
    X, rows = frame.X, len(frame)
    sample = frame
    if rows > SAMPLE:
        sample = frame.take(np.sort(np.random.default_rng(seed).choice(rows, SAMPLE, replace=False)))
    missing = {str(name): share for name in X.columns if (share := float(X[name].isna().to_numpy().mean()))}
    counts: Any = np.bincount(frame.y, minlength=len(schema.classes)) if schema.classes else []
    classes = {str(label): int(count) for label, count in zip(schema.classes, counts, strict=True)}
    found = [Finding(about, sentence) for about, sentence in remarks]
    found += _left_out(left_out or {})
    found += _missing(missing)
    found += _leaking(leaks(sample.X, sample.truth, problem, seed))
    found += _balance(classes, problem)
    found += _duplicates(sample, rows)
    found += _nearly_constant(sample.X)
    found += _outliers(sample.X, schema)
    found += _texts(sample.X, schema)
    found += _future(problem, schema)
    kinds = dict(Counter(str(column.kind) for column in schema.columns).most_common())
    return Quality(rows, len(schema.columns), kinds, missing, classes, dict(left_out or {}), tuple(found))


def _left_out(left_out: Mapping[str, str]) -> list[Finding]:
    reasons: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        reasons.setdefault("is the same in every row" if reason.startswith("is ") else reason, []).append(name)
    return [Finding("left out", f"left out: {_names(n)} {reason}", tuple(n)) for reason, n in reasons.items()]


def _missing(missing: Mapping[str, float]) -> list[Finding]:
    worst = sorted(missing.items(), key=lambda pair: -pair[1])
    if not worst:
        return []
    shown = ", ".join(f"{name} {_percent(share)}" for name, share in worst[:_NAMED])
    more = f" and {len(worst) - _NAMED} more columns" if len(worst) > _NAMED else ""
    return [Finding("missing", f"missing values: {shown}{more}", tuple(name for name, _ in worst))]


def _leaking(found: Mapping[str, float]) -> list[Finding]:
    return [
        Finding("leak", f"suspicious: {name!r} alone predicts the target ({score:.4f}); is it known in time?", (name,))
        for name, score in found.items()
    ]


def _balance(classes: Mapping[str, int], problem: Problem) -> list[Finding]:
    if not classes:
        return []
    total = sum(classes.values())
    ordered = sorted(classes.items(), key=lambda pair: -pair[1])
    shown = ", ".join(f"{label} {_percent(count / total)}" for label, count in ordered[:_NAMED])
    more = f" and {len(ordered) - _NAMED} more classes" if len(ordered) > _NAMED else ""
    rare = " (imbalanced)" if ordered[-1][1] / total * len(ordered) / 2 < IMBALANCED else ""
    return [Finding("balance", f"{problem.target}: {shown}{more}{rare}")]


def _duplicates(sample: Frame, rows: int) -> list[Finding]:
    values = sample.X.copy(deep=False)
    hashes = pd.util.hash_pandas_object(values, index=False).to_numpy()
    if sample.truth.y is not None:
        hashes = hashes ^ pd.util.hash_array(sample.truth.y)
    twice = len(hashes) - len(np.unique(hashes))
    where = f" in a sample of {len(sample):,}" if len(sample) < rows else ""
    return [Finding("duplicates", f"{twice:,} duplicate rows{where}")] if twice else []


def _nearly_constant(X: pd.DataFrame) -> list[Finding]:
    found = []
    for name in X.columns:
        _, counts = np.unique(_codes(X[name]), return_counts=True)
        if counts.max() / len(X) >= NEARLY_CONSTANT:
            found.append(str(name))
    return [Finding("constant", f"nearly constant: {_names(found)}", tuple(found))] if found else []


def _codes(column: pd.Series) -> np.ndarray:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy()
    return pd.factorize(column)[0] if column.dtype == object else column.to_numpy()


def _outliers(X: pd.DataFrame, schema: Schema) -> list[Finding]:
    found = {}
    for column in schema.columns:
        if column.kind != "number":
            continue
        values = X[column.name].to_numpy()
        values = values[~np.isnan(values)]
        if not len(values):
            continue
        low, high = np.percentile(values, [25, 75])
        reach = _FAR * (high - low)
        far = int(((values < low - reach) | (values > high + reach)).sum())
        if far and reach:
            found[column.name] = far
    shown = ", ".join(f"{name} ({count:,})" for name, count in sorted(found.items(), key=lambda p: -p[1])[:_NAMED])
    more = f" and {len(found) - _NAMED} more columns" if len(found) > _NAMED else ""
    return [Finding("outliers", f"far outliers: {shown}{more}", tuple(found))] if found else []


def _texts(X: pd.DataFrame, schema: Schema) -> list[Finding]:
    found = {c.name: X[c.name].nunique() for c in schema.columns if c.kind == "text"}
    shown = ", ".join(f"{name} ({count:,} values)" for name, count in list(found.items())[:_NAMED])
    return [Finding("text", f"text of many values: {shown}", tuple(found))] if found else []


def _future(problem: Problem, schema: Schema) -> list[Finding]:
    if problem.kind != "forecast":
        return []
    known = {problem.time, problem.series, problem.silo}
    names = [column.name for column in schema.columns if column.name not in known]
    sentence = f"known ahead: {_names(names)}; every row to be told has to carry {'it' if len(names) == 1 else 'them'}"
    return [Finding("future", sentence, tuple(names))] if names else []


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "<0.1%"
