"""A text column as a few numbers."""

from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

TEXT_PARTS = 8  # numbers that stand for a text column


class Words(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """One text column as a few numbers (skrub's StringEncoder); zeros where training had next to no text."""

    def __init__(self, parts: int = TEXT_PARTS, seed: int = 0) -> None:
        self.parts = parts
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: np.ndarray | None = None) -> Self:
        from skrub import StringEncoder

        encoder = StringEncoder(n_components=self.parts, random_state=self.seed)
        texts = self._texts(X)
        try:
            width = encoder.fit_transform(texts).shape[1]
        except ValueError:  # an empty vocabulary
            width = 0
        self.encoder_ = encoder if width else None
        self.width_ = max(1, int(width))
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        if self.encoder_ is None or not len(X):
            return np.zeros((len(X), self.width_))
        return np.asarray(self.encoder_.transform(self._texts(X)), dtype=np.float64)

    def _texts(self, X: pd.DataFrame) -> pd.Series:
        column = X.iloc[:, 0]
        return column.astype(object).where(column.notna(), "").astype(str).rename("text")
