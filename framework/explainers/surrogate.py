"""One shallow tree in the model's place: what can be read of it whole, and how much of the model that tells."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.contender import Model
from framework.data.schema import Schema
from framework.explainers.contributions import outputs_of
from framework.explainers.sampling import answers_of

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeRegressor

DEPTH = 3
HELD = 0.3  # of the rows: what fidelity is told from
MOST_LEVELS = 12  # of a category that may be split off: the commonest
MOST_ROWS = 20_000
LEAST_ROWS = 20


@dataclass(frozen=True)
class Surrogate:
    """A tree of depth 3 that learned what the model says, not what is true.

    fidelity: R² of the model's answers on rows that the tree has not learned from; 1: it says the same.
    agreement: the share of these rows where the likeliest class is the same; None for values.
    rules: a sentence for each leaf: its conditions, its answer and its share of the rows.
    """

    fidelity: float
    agreement: float | None
    rows: int
    rules: tuple[str, ...]
    tree: "DecisionTreeRegressor" = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        told = {"fidelity_r2": self.fidelity, "agreement": self.agreement, "rows": self.rows}
        return {**told, "rules": list(self.rules)}

    def __str__(self) -> str:
        same = f", the same class in {self.agreement:.0%}" if self.agreement is not None else ""
        held = f"R² {self.fidelity:.2f} of its answers{same} ({self.rows} rows held out)"
        head = f"a tree of depth {DEPTH} in its place: {held}:"
        return "\n".join([head, *(f"  {rule}" for rule in self.rules)])


def surrogate(model: Model, schema: Schema, X: pd.DataFrame, *, seed: int) -> Surrogate:
    """The tree of these rows. Raises ValueError for fewer than 20 rows, or columns that are all text."""
    from sklearn.tree import DecisionTreeRegressor

    if len(X) < LEAST_ROWS:
        raise ValueError(f"{len(X)} rows are too few to learn a tree and to hold it against; it takes {LEAST_ROWS}")
    drawn = np.random.default_rng(seed).permutation(len(X))[:MOST_ROWS]
    rows = X.iloc[drawn].reset_index(drop=True)
    told = answers_of(model, rows)
    matrix, names = _matrix(rows, schema)
    held = int(HELD * len(rows))
    least = max(5, len(rows) // 100)
    tree = DecisionTreeRegressor(max_depth=DEPTH, min_samples_leaf=least, random_state=seed)
    tree.fit(matrix[held:], told[held:])
    guessed = tree.predict(matrix[:held]).reshape(held, -1)
    missed = ((told[:held] - guessed) ** 2).sum()
    spread = ((told[:held] - told[:held].mean(axis=0)) ** 2).sum()
    same = None
    if schema.classes:
        same = float((_likeliest(told[:held]) == _likeliest(guessed)).mean())
    rules = tuple(_rules(tree, names, schema))
    return Surrogate(float(1 - missed / spread) if spread > 0 else 1.0, same, held, rules, tree)


def _likeliest(answers: np.ndarray) -> np.ndarray:
    return np.asarray(answers.argmax(axis=1) if answers.shape[1] > 1 else answers[:, 0] > 0.5)


@dataclass(frozen=True)
class _Name:
    """A column of the tree's matrix: of a category one label, else the column itself."""

    column: str
    label: str | None = None
    kind: str = "number"

    def said(self, bound: float, *, left: bool) -> str:
        if self.label is not None:
            return f"{self.column} {'is not' if left else 'is'} {self.label}"
        if self.kind == "boolean":
            return f"{self.column} is {'no' if left else 'yes'}"
        shown = f"{pd.Timestamp(0) + pd.Timedelta(days=bound):%Y-%m-%d}" if self.kind == "date" else f"{bound:.4g}"
        return f"{self.column} {'≤' if left else '>'} {shown}"


def _matrix(X: pd.DataFrame, schema: Schema) -> tuple[np.ndarray, list[_Name]]:
    """Numbers as they are, dates as days, one column for each of a category's commonest labels; gaps stay gaps."""
    parts: list[np.ndarray] = []
    names: list[_Name] = []
    for column in schema.columns:
        values = X[column.name]
        if column.kind == "category":
            counts = values.value_counts()
            for label in counts[counts > 0].index[:MOST_LEVELS]:
                parts.append(np.asarray(values == label, dtype=np.float64))
                names.append(_Name(column.name, str(label)))
        elif column.kind == "date":
            days = (pd.DatetimeIndex(values) - pd.Timestamp(0)) / pd.Timedelta(days=1)
            parts.append(np.asarray(days, dtype=np.float64))
            names.append(_Name(column.name, kind="date"))
        elif column.kind != "text":
            parts.append(values.to_numpy(dtype=np.float64))
            names.append(_Name(column.name, kind=column.kind))
    if not parts:
        raise ValueError("all of its columns are texts, which a tree cannot split")
    return np.column_stack(parts), names


def _rules(tree: "DecisionTreeRegressor", names: list[_Name], schema: Schema) -> Iterator[str]:
    """Of each leaf, from the left."""
    grown, outputs = tree.tree_, outputs_of(schema)

    def walk(node: int, path: dict[tuple[_Name, bool], str]) -> Iterator[str]:
        left, right = int(grown.children_left[node]), int(grown.children_right[node])
        if left < 0:
            told = grown.value[node].reshape(-1)
            best = int(told.argmax())
            answer = f"P({outputs[best]}) {told[best]:.2f}" if schema.classes else f"{told[0]:.4g}"
            share = grown.weighted_n_node_samples[node] / grown.weighted_n_node_samples[0]
            yield f"{' and '.join(path.values()) or 'always'}: {answer} ({share:.0%} of the rows)"
            return
        name, bound = names[int(grown.feature[node])], float(grown.threshold[node])
        # A second bound on the same side is the tighter one, and takes the first one's place.
        yield from walk(left, path | {(name, True): name.said(bound, left=True)})
        yield from walk(right, path | {(name, False): name.said(bound, left=False)})

    yield from walk(0, {})
