"""Columns as an engine takes them, built from the schema: part of every model, so that it answers raw rows."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from framework.contenders.native import codes_of, date_parts
from framework.contenders.words import Words
from framework.data.column import Column
from framework.data.schema import Schema

IMPORTS = (  # of `dense`, and of what keeps it
    "sklearn.compose",
    "sklearn.impute",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "framework.contenders.skops_io",
)
MOST_COLUMNS = 40  # a category with more values than this is told by its mean answer, not by a column for each


def dense(schema: Schema, *, answer: str | None = None, knots: int = 0, rare: float = 5, seed: int = 0) -> Any:
    """Rows as a matrix without gaps, each column about as wide as the others: for linear, neighbours, svm, clusters.

    answer: "binary", "multiclass" or "continuous": what categories with many values are encoded by; None: nothing
    is known of the answer, and rare values share a column.
    knots: of a spline in each number, beside the number itself; 0: none.
    rare: a category's value with fewer rows than this (or share of them, below 1) has no column of its own.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler, TargetEncoder

    by_kind = group(schema)
    parts: list[tuple[str, Any, list[str] | str]] = []
    if numbers := names(by_kind["number"]):
        fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        plain = make_pipeline(Even(), StandardScaler())
        bent = make_pipeline(SplineTransformer(n_knots=knots, knots="quantile", include_bias=False), StandardScaler())
        parts.append(("numbers", make_pipeline(fill, make_union(plain, bent) if knots else plain), numbers))
    if flags := names(by_kind["boolean"]):
        fill = SimpleImputer(strategy="most_frequent", add_indicator=True, keep_empty_features=True)
        parts.append(("flags", make_pipeline(fill, StandardScaler()), flags))
    many = [c for c in by_kind["category"] if answer is not None and len(c.categories) > MOST_COLUMNS]
    if few := [c for c in by_kind["category"] if c not in many]:
        columns = OneHotEncoder(
            handle_unknown="ignore", min_frequency=rare, max_categories=MOST_COLUMNS, sparse_output=False
        )
        parts.append(("categories", make_pipeline(Codes([list(c.categories) for c in few]), columns), names(few)))
    if many:
        mean = TargetEncoder(target_type=answer, random_state=seed)
        codes = Codes([list(c.categories) for c in many])
        parts.append(("many", make_pipeline(codes, mean, StandardScaler()), names(many)))
    for place, column in enumerate(by_kind["text"]):
        parts.append((f"text{place}", make_pipeline(Words(seed=seed), StandardScaler()), [column.name]))
    if dates := names(by_kind["date"]):
        fill = SimpleImputer(strategy="median", keep_empty_features=True)
        parts.append(("dates", make_pipeline(DateParts(), fill, StandardScaler()), dates))
    return ColumnTransformer(parts, sparse_threshold=0.0, verbose_feature_names_out=False)


def group(schema: Schema) -> dict[str, list[Column]]:
    """The schema's columns by kind; every kind is there."""
    kinds = ("number", "boolean", "category", "text", "date")
    return {kind: [column for column in schema.columns if column.kind == kind] for kind in kinds}


def names(columns: Sequence[Column]) -> list[str]:
    return [column.name for column in columns]


class Codes(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Categories as their codes, float64, missing and unknown as -1; `categories`: the known ones of each column."""

    def __init__(self, categories: list[list[str]]) -> None:
        self.categories = categories

    def fit(self, X: pd.DataFrame, y: np.ndarray | None = None) -> Self:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        columns = [
            codes_of(X.iloc[:, place], pd.Index(known, dtype=object)) for place, known in enumerate(self.categories)
        ]
        return np.column_stack(columns).astype(np.float64)


class Even(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers with long tails made even: log(1 + x - least) where that halves the skewness, else as they are."""

    def fit(self, X: np.ndarray, y: np.ndarray | None = None) -> Self:
        from scipy.stats import skew

        X = np.asarray(X, dtype=np.float64)
        self.least_ = X.min(axis=0)
        self.logged_ = X.max(axis=0) - self.least_ > 1e-9 * np.abs(X).max(
            axis=0
        )  # skewness of next to nothing is noise
        spread = X[:, self.logged_]
        raw, logged = np.abs(skew(spread, axis=0)), np.abs(skew(np.log1p(spread - spread.min(axis=0)), axis=0))
        self.logged_[self.logged_] = (raw > 1.0) & (logged < raw / 2)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        even = np.array(X, dtype=np.float64)
        even[:, self.logged_] = np.log1p(np.maximum(even[:, self.logged_] - self.least_[self.logged_], 0.0))
        return even


class DateParts(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Dates as numbers: days since 1970, and where in the year, the week and the day, as sine and cosine."""

    def fit(self, X: pd.DataFrame, y: np.ndarray | None = None) -> Self:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        return np.column_stack([part for name in X.columns for part in date_parts(X[name])])
