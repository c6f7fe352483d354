"""What each column added to each prediction: the table that every Shapley explainer fills."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Contributions:
    """base + the sum of a row's contributions = the row's prediction, in `space`.

    values: shape (rows, features, outputs); base: shape (outputs,); predicted: shape (rows, outputs).
    outputs: the classes, one output each; class 1 alone where there are two; ("prediction",) for values.
    space: what is added up: "log-odds", "probability" or "value".
    how: the algorithm. X: the rows explained, conformed.
    """

    features: tuple[str, ...]
    outputs: tuple[str, ...]
    space: str
    how: str
    values: np.ndarray = field(repr=False)
    base: np.ndarray
    predicted: np.ndarray = field(repr=False)
    X: pd.DataFrame = field(repr=False)

    def importance(self) -> np.ndarray:
        """The mean size of each feature's contributions over rows and outputs, shape (features,)."""
        return np.asarray(np.abs(self.values).mean(axis=(0, 2)))

    def table(self, output: str | None = None) -> pd.DataFrame:
        """rows × features of one output, the first by default, with its `base` and `prediction`."""
        place = 0 if output is None else self.outputs.index(output)
        table = pd.DataFrame(self.values[:, :, place], columns=list(self.features))
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
