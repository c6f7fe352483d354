"""The methods of one explanation, one after the other, each with its share of the seconds."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from framework.explainers.asked import Asked, Notes, check
from framework.explainers.contributions import Contributions
from framework.explainers.given import Given, check_methods
from framework.explainers.permutation import Importance
from framework.metric import Metric, metric

QUANTITIES = ("shap", "pdp", "lime", "counterfactual", "surrogate")  # methods that take a model's answer as an amount
BACKGROUND = 1_000  # rows whose values LIME's neighbours and counterfactuals take
MOST_SLICED = 20_000  # rows


def survey(rows: Given, asked: Asked, known: Sequence[str]) -> dict[str, Any]:
    """The fields of an Explanation. Raises ExplanationError before any work where something asked for cannot be."""
    wanted = ("permutation", "shap") if rows.answered else ("shap",)
    methods = list(dict.fromkeys(wanted if asked.methods is None else asked.methods))
    check_methods(methods, known)
    check(rows, asked, methods)
    began, predictor = time.monotonic(), rows.predictor
    notes = Notes(began + asked.seconds, len(methods) + (asked.fairness is not None), list(rows.remarks))
    if predictor.problem.kind == "clustering" and (no := [each for each in methods if each in QUANTITIES]):
        methods = [each for each in methods if each not in no]
        notes.left -= len(no)
        notes.remarks.append(
            f"{', '.join(no)}: left out, because a cluster's number is no quantity that columns could add to."
        )
    scored = _metric(rows, notes)
    found: dict[str, Any] = {}
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "permutation": lambda: _permutation(rows, asked, notes, scored),
        "shap": lambda: _shap(rows, asked, notes),
        "surrogate": lambda: _surrogate(rows, asked, notes),
        "slices": lambda: _slices(rows, asked, notes, scored),
        "pdp": lambda: _pdp(rows, asked, notes, found),
        "counterfactual": lambda: _counterfactual(rows, asked, notes),
        "lime": lambda: _lime(rows, asked, notes),
    }
    for name, step in steps.items():
        if name in methods:
            found |= step()
    if asked.fairness is not None:
        found |= _fairness(rows, asked, notes)
    taken = time.monotonic() - began
    facts = {"name": predictor.name, "metric": scored, "rows": len(rows.frame), "seconds": taken}
    return {**facts, "remarks": tuple(notes.remarks), **found}


def _metric(rows: Given, notes: Notes) -> Metric:
    """The problem's; of a forecast's raw rows, whose scale is not known, the mean absolute error."""
    problem, truth = rows.predictor.problem, rows.frame.truth
    if problem.kind == "forecast" and problem.metric == "mase" and truth.scale is None:
        notes.remarks.append("scored by MAE: MASE needs each series' past, which raw rows do not tell.")
        return metric("mae")
    return metric(problem.metric)


def _permutation(rows: Given, asked: Asked, notes: Notes, scored: Metric) -> dict[str, Any]:
    from framework.explainers.permutation import permutation

    found: tuple[Importance, ...] = ()
    with notes.method("permutation") as seconds:
        found = permutation(rows.predictor.model, rows.frame, scored, seconds=seconds, seed=asked.seed)
        if found and (late := rows.frame.X.shape[1] - len(found)):
            notes.remarks.append(f"permutation: {late} columns were not reached in {seconds:.0f} s.")
    return {"permutation": found}


def _shap(rows: Given, asked: Asked, notes: Notes) -> dict[str, Any]:
    from framework.explainers.shap import attribute

    found: Contributions | None = None
    with notes.method("shap") as seconds:
        found, more = attribute(
            rows.predictor.model, rows.predictor.schema, rows.frame, rows=asked.rows, seconds=seconds, seed=asked.seed
        )
        notes.remarks += more
    return {"shap": found}


def _lime(rows: Given, asked: Asked, notes: Notes) -> dict[str, Any]:
    from framework.explainers.lime import around, joined
    from framework.explainers.spread import spread

    with notes.method("lime") as seconds:
        import lime.lime_tabular  # noqa: F401  # its lack is told before any task begins

        X, pool, places = _drawn(rows, asked)
        schema = rows.predictor.schema
        work = partial(around, schema=schema, background=pool, seed=asked.seed)
        told = spread(work, rows.predictor.model, X, seconds=seconds)
        found = joined([(places[part], lines) for part, lines in told], schema)
        notes.short("lime", len(found.rows), len(X), seconds)
        return {"lime": found}
    return {}


def _counterfactual(rows: Given, asked: Asked, notes: Notes) -> dict[str, Any]:
    from framework.explainers.counterfactual import counterfactuals, numbered
    from framework.explainers.spread import spread

    with notes.method("counterfactual") as seconds:
        X, pool, places = _drawn(rows, asked)
        work = partial(counterfactuals, schema=rows.predictor.schema, pool=pool, fixed=asked.fixed)
        told = spread(work, rows.predictor.model, X, seconds=seconds)
        found, explained, without = numbered([(places[part], each) for part, each in told])
        notes.short("counterfactual", explained, len(X), seconds)
        if without:
            notes.remarks.append(
                f"counterfactual: {without} of {explained} rows have none within what was observed"
                f"{' and may be changed' if asked.fixed else ''}."
            )
        return {"counterfactuals": found}
    return {}


def _pdp(rows: Given, asked: Asked, notes: Notes, found: dict[str, Any]) -> dict[str, Any]:
    from framework.explainers.dependence import COLUMNS, dependences

    with notes.method("pdp") as seconds:
        model, schema = rows.predictor.model, rows.predictor.schema
        ranked = [each.feature for each in found.get("permutation", ())]
        if not ranked and (added := found.get("shap")) is not None:
            ranked = [added.features[place] for place in np.argsort(-added.importance(), kind="stable")]
        able = {each.name for each in schema.columns if each.kind != "text" and rows.frame.X[each.name].notna().any()}
        wanted = [name for name in ranked or schema.names if name in able][:COLUMNS]
        curves = dependences(model, schema, rows.frame.X, wanted, seconds=seconds, seed=asked.seed)
        notes.short("pdp", len(curves), len(wanted), seconds, "columns")
        return {"pdp": curves}
    return {}


def _surrogate(rows: Given, asked: Asked, notes: Notes) -> dict[str, Any]:
    from framework.explainers.surrogate import surrogate

    with notes.method("surrogate"):
        model, schema = rows.predictor.model, rows.predictor.schema
        return {"surrogate": surrogate(model, schema, rows.frame.X, seed=asked.seed)}
    return {}


def _slices(rows: Given, asked: Asked, notes: Notes, scored: Metric) -> dict[str, Any]:
    from framework.explainers.slice_search import MOST_COLUMNS
    from framework.explainers.slices import slices

    if rows.frame.truth.y is None:
        notes.left -= 1
        notes.remarks.append("slices: left out, because clusters have no answers that they could miss.")
        return {}
    with notes.method("slices") as seconds:
        frame, columns = rows.frame, rows.columns
        if len(frame) > MOST_SLICED:
            drawn = np.sort(np.random.default_rng(asked.seed).choice(len(frame), MOST_SLICED, replace=False))
            frame, columns = frame.take(drawn), columns.iloc[drawn].reset_index(drop=True)
            notes.remarks.append(f"slices: of {MOST_SLICED:,} rows drawn from {len(rows.frame):,}.")
        predicted = rows.predictor.model.predict(frame.X)
        found = slices(scored, frame.truth, predicted, columns, by=asked.by, seconds=seconds, seed=asked.seed)
        if (many := columns.shape[1]) > MOST_COLUMNS:
            notes.remarks.append(f"slices: two at a time were taken of the first {MOST_COLUMNS} of {many} columns.")
        if found.cut:
            notes.remarks.append(f"slices: {found.cut} columns' segments were not reached in {seconds:.0f} s.")
        return {"slices": found}
    return {}


def _fairness(rows: Given, asked: Asked, notes: Notes) -> dict[str, Any]:
    from framework.explainers.fairness import fairness

    assert asked.fairness is not None
    with notes.method("fairness"):
        frame, positive = rows.frame, str(rows.predictor.schema.classes[1])
        chosen = rows.predictor.model.predict(frame.X).argmax(axis=1) == 1
        found = fairness(frame.y == 1, chosen, rows.columns[asked.fairness], positive=positive, seed=asked.seed)
        if found.left_out:
            notes.remarks.append(f"fairness: too few rows to tell of {', '.join(found.left_out)}.")
        return {"fairness": found}
    return {}


def _drawn(rows: Given, asked: Asked) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """The rows to explain, the same that SHAP explains, observed rows beside them, and the places of the first."""
    drawn = np.random.default_rng(asked.seed).permutation(len(rows.frame))
    X: pd.DataFrame = rows.frame.X.iloc[drawn[: asked.rows]].reset_index(drop=True)
    pool: pd.DataFrame = rows.frame.X.iloc[drawn[-BACKGROUND:]].reset_index(drop=True)
    return X, pool, drawn[: asked.rows]
