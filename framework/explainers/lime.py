"""LIME: a line around one row, of what the model says of rows like it (Ribeiro, Singh & Guestrin 2016).

The package lime draws and weighs the neighbours and fits the line. It is given every raw column as a few values, since
it knows neither gaps nor dates; a neighbour's value is one that was observed there. How far its answer depends on the
draw is measured: each row is explained with several seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from framework.contender import Model
from framework.data.schema import Schema
from framework.explainers.bins import Bins
from framework.explainers.contributions import outputs_of
from framework.explainers.sampling import answers_of

NEIGHBOURS = 1_000  # drawn around a row
SEEDS = 3  # explanations of each row, to see how far they agree
TOP = 5  # columns whose being the same is counted


@dataclass(frozen=True)
class Around:
    """One row's line. weights: shape (seeds, columns), what each column's value of this row adds to the output.

    output: the class explained (class 1 of two, the likeliest of more) or "prediction". fit: R² of the line on the
    neighbours, weighed by their nearness. rules: each column's value of this row, as the line knows it. place: where
    the row stands in the frame that it was drawn from.
    """

    output: str
    rules: tuple[str, ...]
    weights: np.ndarray = field(repr=False)
    predicted: float
    fit: float
    place: int = 0

    @property
    def mean(self) -> np.ndarray:
        """Over the seeds, shape (columns,)."""
        return np.asarray(self.weights.mean(axis=0))

    @property
    def agreement(self) -> float:
        """Spearman's rank correlation of the columns' weights, the mean over pairs of seeds; 1: the same order."""
        from scipy.stats import spearmanr

        if self.weights.shape[1] < 2:
            return 1.0
        told = [spearmanr(*np.abs(pair)).statistic for pair in combinations(self.weights, 2)]
        return float(np.nanmean(told)) if np.isfinite(told).any() else 1.0

    @property
    def overlap(self) -> float:
        """Jaccard's index of the five heaviest columns, the mean over pairs of seeds; 1: the same five."""
        tops = [set(np.argsort(-np.abs(each), kind="stable")[:TOP]) for each in self.weights]
        return float(np.mean([len(a & b) / len(a | b) for a, b in combinations(tops, 2)]))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "row": self.place,
            "output": self.output,
            "predicted": self.predicted,
            "fit": self.fit,
            "rank_agreement": self.agreement,
            "top_overlap": self.overlap,
            "weights": dict(zip(self.rules, self.mean.tolist(), strict=True)),
        }


@dataclass(frozen=True)
class Lime:
    """Lines around rows. X: the rows explained, conformed."""

    features: tuple[str, ...]
    rows: tuple[Around, ...]
    X: pd.DataFrame = field(repr=False)

    @property
    def agreement(self) -> float:
        """The mean over rows of their seeds' rank correlation."""
        return float(np.mean([row.agreement for row in self.rows]))

    @property
    def overlap(self) -> float:
        """The mean over rows of their seeds' overlap in the five heaviest columns."""
        return float(np.mean([row.overlap for row in self.rows]))

    def table(self) -> pd.DataFrame:
        """rows × features: the weights, with what they are weights for, the line's fit and its stability."""
        index = pd.Index([row.place for row in self.rows], name="row")
        table = pd.DataFrame([row.mean for row in self.rows], index, columns=list(self.features))
        facts = ("output", "predicted", "fit", "agreement", "overlap")
        return table.assign(**{fact: [getattr(row, fact) for row in self.rows] for fact in facts})

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "features": list(self.features),
            "rank_agreement": self.agreement,
            "top_overlap": self.overlap,
            "fit": float(np.mean([row.fit for row in self.rows])),
            "rows": [row.to_json() for row in self.rows],
        }

    def __str__(self) -> str:
        fit = float(np.mean([row.fit for row in self.rows]))
        return (
            f"LIME, {len(self.rows)} rows: its line holds R² {fit:.2f} of what is near; over {SEEDS} seeds its columns "
            f"rank alike by {self.agreement:.2f}, {self.overlap:.0%} of the top {TOP} stay"
        )


def around(
    model: Model, X: pd.DataFrame, *, schema: Schema, background: pd.DataFrame, seed: int
) -> list[tuple[pd.DataFrame, Around]]:
    """Each row and its line. Raises ImportError where the package lime is not installed.

    background: observed rows that neighbours' values are drawn from.
    """
    from lime.lime_tabular import LimeTabularExplainer

    outputs = outputs_of(schema)
    bins = [Bins.learn(background[name]) for name in schema.names]
    codes = np.column_stack([each.codes(background[each.column]) for each in bins])
    told: list[tuple[pd.DataFrame, Around]] = []
    for place in range(len(X)):
        row = X.iloc[[place]].reset_index(drop=True)
        mine = np.array([each.codes(row[each.column])[0] for each in bins])
        answer = answers_of(model, row)[0]
        output = int(answer.argmax())
        weights, fits = [], []
        for number in range(SEEDS):
            neighbours = _Neighbours(model, row, background, codes, output, np.random.default_rng([seed, number]))
            explainer = LimeTabularExplainer(
                np.vstack([codes, mine]), mode="regression", feature_names=list(schema.names),
                categorical_features=list(range(len(bins))), discretize_continuous=False,
                feature_selection="none", random_state=seed * SEEDS + number,
            )  # fmt: skip
            found = explainer.explain_instance(mine, neighbours, num_features=len(bins), num_samples=NEIGHBOURS)
            line = dict(found.as_map()[1])
            weights.append([line.get(column, 0.0) for column in range(len(bins))])
            fits.append(float(found.score))
        rules = tuple(each.names[code] for each, code in zip(bins, mine, strict=True))
        found_row = Around(outputs[output], rules, np.array(weights), float(answer[output]), float(np.mean(fits)))
        told.append((row, found_row))
    return told


@dataclass
class _Neighbours:
    """What LIME asks: codes of neighbours in, the model's answers out. The first is the row itself."""

    model: Model
    row: pd.DataFrame
    background: pd.DataFrame
    codes: np.ndarray
    output: int
    random: np.random.Generator

    def __call__(self, asked: np.ndarray) -> np.ndarray:
        both = pd.concat([self.background, self.row], ignore_index=True)
        own, mine = len(both) - 1, asked[0]
        columns = {}
        for place, name in enumerate(both.columns):
            taken = np.full(len(asked), own)
            for code in np.unique(asked[:, place]):
                there = np.flatnonzero(self.codes[:, place] == code)
                who = np.flatnonzero(asked[:, place] == code)
                if len(there) and (code != mine[place] or both[name].dtype.kind in "fM"):
                    taken[who] = self.random.choice(there, len(who))
            taken[0] = own
            columns[name] = both[name].take(taken).array
        return answers_of(self.model, pd.DataFrame(columns, copy=False))[:, self.output]


def joined(blocks: Sequence[tuple[np.ndarray, list[tuple[pd.DataFrame, Around]]]], schema: Schema) -> Lime:
    """What tasks found of rows at these places, one under the other."""
    found = [
        (row, replace(line, place=int(place)))
        for places, lines in blocks
        for place, (row, line) in zip(places, lines, strict=True)
    ]
    X = pd.concat([row for row, _ in found], ignore_index=True)
    return Lime(schema.names, tuple(line for _, line in found), X)
