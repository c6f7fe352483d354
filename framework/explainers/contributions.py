"""What each column added to each prediction: the table that every Shapley explainer fills."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from framework.data.schema import Schema

TOLERANCE = 1e-4  # of what is added up against what the model says, in the model's own spread


class NotAdditiveError(Exception):
    """Contributions that do not add up to the prediction: not to be shown."""


@dataclass(frozen=True)
class Contributions:
    """base + the sum of a row's contributions = the row's prediction, in `space`.

    values: shape (rows, features, outputs); base: shape (outputs,); predicted: shape (rows, outputs).
    outputs: the classes, one output each; class 1 alone where there are two; ("prediction",) for values.
    space: what is added up: "log-odds", "probability", "value" or "logarithm of the value".
    how: the algorithm. X: the rows explained, conformed. places: where each stands in the frame that it was drawn from;
    empty for rows that were not drawn.
    """

    features: tuple[str, ...]
    outputs: tuple[str, ...]
    space: str
    how: str
    values: np.ndarray = field(repr=False)
    base: np.ndarray
    predicted: np.ndarray = field(repr=False)
    X: pd.DataFrame = field(repr=False)
    places: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64), repr=False)

    @classmethod
    def join(cls, parts: "Sequence[Contributions]") -> "Contributions":
        """Parts of the same rows' explanation, one under the other."""
        return replace(
            parts[0],
            values=np.concatenate([part.values for part in parts]),
            predicted=np.concatenate([part.predicted for part in parts]),
            X=pd.concat([part.X for part in parts], ignore_index=True),
        )

    def importance(self) -> np.ndarray:
        """The mean size of each feature's contributions over rows and outputs, shape (features,)."""
        return np.asarray(np.abs(self.values).mean(axis=(0, 2)))

    def table(self, output: str | None = None) -> pd.DataFrame:
        """rows × features of one output, the first by default, with its `base` and `prediction`; the index is the rows'
        places."""
        place = 0 if output is None else self.outputs.index(output)
        index = pd.Index(self.places, name="row") if len(self.places) else None
        table = pd.DataFrame(self.values[:, :, place], index, columns=list(self.features))
        return table.assign(base=self.base[place], prediction=self.predicted[:, place])

    def direction(self, feature: str) -> str:
        """How the first output goes with a column of numbers: "rises", "falls", or "" where it is neither."""
        column = self.X[feature]
        if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == object:
            return ""
        ranks, effect = column.rank(), pd.Series(self.values[:, self.features.index(feature), 0]).rank()
        known = ranks.notna().to_numpy()
        if known.sum() < 3 or ranks[known].nunique() < 2 or effect[known].nunique() < 2:
            return ""
        tied = float(np.corrcoef(ranks[known], effect[known])[0, 1])
        return "rises" if tied > 0.3 else "falls" if tied < -0.3 else ""


Explainer = Callable[[pd.DataFrame], Contributions]  # rows conformed to the schema → what adds up to their predictions


def outputs_of(schema: Schema) -> tuple[str, ...]:
    """What is explained: every class, class 1 alone of two, or the value."""
    labels = tuple(str(label) for label in schema.classes)
    return labels[1:] if len(labels) == 2 else labels or ("prediction",)


def checked(found: Contributions) -> Contributions:
    """The same. Raises NotAdditiveError where base and contributions miss a prediction by more than 1e-4 of the
    largest one (or of 1, where all are smaller), or a number is not finite."""
    if not len(found.X):
        return found
    off = float(np.abs(found.base + found.values.sum(axis=1) - found.predicted).max())
    if not off <= TOLERANCE * max(1.0, float(np.abs(found.predicted).max())):
        raise NotAdditiveError(f"{found.how} is off by {off:.2g}")
    return found
