"""What each column added to each answer of a served model, for a few rows, in a few seconds."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.serving.request import RequestError, Row, parse_json, rows_of, shown, table
from framework.serving.served import Served
from framework.serving.typical import typical_rows

if TYPE_CHECKING:
    from framework.explainers.contributions import Contributions

MOST_ROWS = 100
MOST_BACKGROUND = 50  # rows that stand for "the column is not known"
COMPOSED = 20  # such rows where none are sent
MOST_SECONDS = 30.0
SECONDS = 10.0
OPTIONS = frozenset({"rows", "background", "seconds"})
WAY_OUT = "Send a row, a list of rows, or an object of rows, background and seconds."


@dataclass(frozen=True)
class Explained:
    """What is to be explained. background: rows against which models without an exact explainer are explained."""

    rows: list[Row]
    background: list[Row]
    seconds: float


def parse_explained(body: bytes) -> Explained:
    """Rows as a prediction takes them, at most 100; or `{"rows": [...], "background": [...], "seconds": 5}`.

    Raises RequestError for anything else.
    """
    content = parse_json(body, way_out=WAY_OUT)
    if not (isinstance(content, dict) and isinstance(content.get("rows"), list) and content.keys() <= OPTIONS):
        return Explained(rows_of(content, most=MOST_ROWS), [], SECONDS)
    background, seconds = content.get("background", []), content.get("seconds", SECONDS)
    if not isinstance(background, list):
        raise RequestError(f"background is no list of rows. {WAY_OUT}")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= MOST_SECONDS:
        raise RequestError(f"seconds is {shown(seconds)}; it is a number above 0, {MOST_SECONDS:g} at most.")
    typical = rows_of(background, most=MOST_BACKGROUND) if background else []
    return Explained(rows_of(content["rows"], most=MOST_ROWS), typical, float(seconds))


def explanation(served: Served, asked: Explained) -> dict[str, Any]:
    """The contributions of every row: base + their sum = the prediction, in `space`.

    Exact where the model has an exact explainer, else sampled against the background, as many rows as the seconds
    allow, one at the least. The background is what was sent, or composed of what the model folder keeps of its training
    columns. Raises RequestError for clusters, and where a background is needed and there is none; SchemaError for rows
    that do not fit.
    """
    predictor = served.predictor
    if predictor.problem.kind == "clustering":
        raise RequestError("a cluster's number is no quantity that columns could add to.", status=422)
    X, warnings = predictor.schema.conform(table(asked.rows), strict=True)
    background, more = _background(served, asked)
    found, remarks = _contributions(served, X, background, asked.seconds)
    off = np.abs(found.base + found.values.sum(axis=1) - found.predicted).max()
    return {
        "model": served.name,
        "version": served.version,
        "how": found.how,
        "space": found.space,
        "base": dict(zip(found.outputs, found.base.tolist(), strict=True)),
        "off": float(off),
        "explanations": [
            {
                "prediction": dict(zip(found.outputs, predicted.tolist(), strict=True)),
                "contributions": {
                    output: dict(zip(found.features, values[:, place].tolist(), strict=True))
                    for place, output in enumerate(found.outputs)
                },
            }
            for predicted, values in zip(found.predicted, found.values, strict=True)
        ],
        "warnings": [*warnings, *more, *remarks],
    }


def _background(served: Served, asked: Explained) -> tuple[pd.DataFrame | None, list[str]]:
    """The rows that were sent, or some that are composed of the training rows' summary, where the model has one."""
    predictor = served.predictor
    if asked.background:
        return predictor.schema.conform(table(asked.background), strict=True)
    if predictor.reference is None:
        return None, []
    return typical_rows(predictor.schema, predictor.reference, rows=COMPOSED), []


def _contributions(
    served: Served, X: pd.DataFrame, background: pd.DataFrame | None, seconds: float
) -> tuple["Contributions", list[str]]:
    from framework.explainers.contributions import Contributions, NotAdditiveError
    from framework.explainers.exact import explainer_of
    from framework.explainers.sampling import sampled

    model, schema = served.predictor.model, served.predictor.schema
    exact, remarks = explainer_of(model, schema, background), []
    if exact is not None:
        try:
            return exact(X), []
        except NotAdditiveError as error:
            remarks.append(f"sampled, because {error}")
    if background is None:
        raise RequestError(
            f"model {served.name} is explained against rows that are typical: send up to {MOST_BACKGROUND} of them as "
            "`background`.",
            status=422,
        )
    end, told = time.monotonic() + seconds, list[Contributions]()
    for row in range(len(X)):
        told.append(sampled(model, schema, X.iloc[row : row + 1].reset_index(drop=True), background, seed=0))
        if time.monotonic() > end:
            break
    if len(told) < len(X):
        remarks.append(f"{len(told)} of {len(X)} rows are explained in the {seconds:g} s there were")
    return Contributions.join(told), remarks
