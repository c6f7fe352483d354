"""What a tool is given and what it hands back: a folder of plain files, the same for all. Needs only pandas."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

JOB, TRAIN, TEST, ANSWER, TOLD = "job.json", "train.parquet", "test.parquet", "answer.npy", "told.json"


@dataclass(frozen=True)
class Job:
    """One question. kind: "binary", "multiclass" or "regression"; metric: "roc_auc", "log_loss" or "rmse".

    seconds: that the tool may learn for. classes: the labels as they stand in the target column, in the order of the
    answer's columns. columns: each feature's kind: "number", "category", "date" or "text".
    """

    target: str
    kind: str
    metric: str
    seconds: float
    seed: int
    cores: int
    classes: list[str]
    columns: dict[str, str]

    def write(self, folder: Path, train: pd.DataFrame, test: pd.DataFrame) -> None:
        """train: with the target; test: without."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / JOB).write_text(json.dumps(asdict(self)), encoding="utf-8")
        train.to_parquet(folder / TRAIN, index=False)
        test.to_parquet(folder / TEST, index=False)

    @classmethod
    def read(cls, folder: Path) -> tuple["Job", pd.DataFrame, pd.DataFrame]:
        """The job, the rows to learn from and those to answer; categories are of dtype `category`."""
        job = cls(**json.loads((folder / JOB).read_text(encoding="utf-8")))
        return job, pd.read_parquet(folder / TRAIN), pd.read_parquet(folder / TEST)

    def in_order(self, probabilities: pd.DataFrame) -> np.ndarray:
        """A table with a column for each label, as (rows, classes) in our order; a label never told is 0."""
        told = probabilities.set_axis(probabilities.columns.astype(str), axis=1)
        return np.asarray(told.reindex(columns=self.classes, fill_value=0.0), dtype=np.float64)

    def answer(self, folder: Path, predicted: np.ndarray, *, began: float, **facts: Any) -> None:
        """Hands in the predictions of the test rows: (rows,) values or (rows, classes) probabilities.

        began: the time.time() at which learning began. facts: what a reader may want to know; plain data.
        """
        np.save(folder / ANSWER, np.asarray(predicted, dtype=np.float64))
        (folder / TOLD).write_text(json.dumps({"seconds": time.time() - began, **facts}), encoding="utf-8")
