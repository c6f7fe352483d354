"""How far live rows and answers have moved from the training reference, column by column and all together."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from framework.data.arrays import plain
from framework.data.column import Column, SchemaError
from framework.monitoring.distances import binned, chi2, ks, psi, wasserstein
from framework.monitoring.embedding import Distance, embedded
from framework.monitoring.reference import Reference, Summary, measure
from framework.statistics.holm import holm

LEAST_ROWS = 50  # below which nothing is said of any column
SHOWN_BINS = 12
MODERATE, LARGE = 0.1, 0.25  # the usual readings of that index (Siddiqi 2006)


@dataclass(frozen=True)
class Bin:
    """before, now: the share of the rows."""

    label: str
    before: float
    now: float


@dataclass(frozen=True)
class Moved:
    """One column, live against its reference.

    psi: the population stability index over ten bins of the reference, a missing value and a category never seen among
    them. distance: between quantiles (1-Wasserstein), in the reference's standard deviations; nan of a category.
    test, statistic: "ks" or "chi2". p_value: of "it has not moved", corrected for all columns by Holm.
    missing, missing_before, unseen: shares of the rows.
    drifted: it moved by more than chance, and by enough to matter (psi ≥ 0.1).
    bins: where it lay and lies; of many categories those that moved most.
    """

    name: str
    kind: str
    psi: float
    distance: float
    test: str
    statistic: float
    p_value: float
    missing: float
    missing_before: float
    unseen: float = 0.0
    drifted: bool = False
    bins: tuple[Bin, ...] = ()


@dataclass(frozen=True)
class Drift:
    """What has moved, and how far.

    columns, answers: the furthest moved first. joint: all columns as points; None where one of them is not logged, or
    they are too many. remarks: what could not be told, and why.
    """

    rows: int
    columns: tuple[Moved, ...] = ()
    answers: tuple[Moved, ...] = ()
    joint: Distance | None = None
    remarks: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[str, ...]:
        """The columns that drifted."""
        return tuple(each.name for each in self.columns if each.drifted)

    @property
    def share(self) -> float:
        """Of the columns, how many drifted; 0 where none was looked at."""
        return len(self.drifted) / len(self.columns) if self.columns else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "drifted": list(self.drifted), "share": self.share}


def drift(
    reference: Reference,
    rows: pd.DataFrame,
    answers: pd.DataFrame | None = None,
    *,
    alpha: float = 0.01,
    least_psi: float = MODERATE,
) -> Drift:
    """How far rows have moved. rows: as clients sent them; columns the reference does not know are passed over.

    answers: of these rows, a column for each of `reference.answers`.
    alpha: the p-value, corrected, from which a move is no chance; it takes the rows for independent of each other.
    Of fewer than 50 rows nothing is said.
    """
    if len(rows) < LEAST_ROWS:
        return Drift(len(rows), remarks=(f"{len(rows)} rows are too few to tell a drift; it takes {LEAST_ROWS}.",))
    remarks: list[str] = []
    measured = _measured(reference.columns, rows, remarks)
    told = {} if answers is None else _measured(reference.answers, answers, remarks)
    whole = len(measured) == len(reference.columns)
    joint = None
    if reference.joint is not None and whole:
        joint = reference.joint.distance(embedded(reference.columns, measured))
    elif reference.joint is not None:
        remarks.append("all columns together: not told, because not all of them are logged.")
    columns = _judged(reference.columns, measured, alpha, least_psi)
    return Drift(
        len(rows), columns, _judged(reference.answers, told, alpha, least_psi), joint, tuple(dict.fromkeys(remarks))
    )


def _measured(
    known: Mapping[str, tuple[Column, Summary]], frame: pd.DataFrame, remarks: list[str]
) -> dict[str, np.ndarray]:
    """The columns that are there, as numbers or codes."""
    found = {}
    for name, (column, _) in known.items():
        if name not in frame.columns:
            remarks.append(f"column {name!r} is not logged.")
            continue
        try:
            found[name] = measure(column, plain(frame[name]))
        except SchemaError as error:
            remarks.append(f"column {name!r} cannot be compared: {error}")
    return found


def _judged(
    known: Mapping[str, tuple[Column, Summary]], measured: Mapping[str, np.ndarray], alpha: float, least_psi: float
) -> tuple[Moved, ...]:
    moved = [_moved(*known[name], values) for name, values in measured.items()]
    sure = holm({each.name: each.p_value for each in moved})
    judged = [
        replace(each, p_value=sure[each.name], drifted=sure[each.name] < alpha and each.psi >= least_psi)
        for each in moved
    ]
    return tuple(sorted(judged, key=lambda each: (not each.drifted, -each.psi)))


def _moved(column: Column, summary: Summary, values: np.ndarray) -> Moved:
    return (_category if column.kind == "category" else _number)(column, summary, values)


def _category(column: Column, summary: Summary, codes: np.ndarray) -> Moved:
    cells = len(column.categories) + 2  # then the categories never seen, then the missing ones
    then = np.array([*summary.counts, 0, summary.missing], dtype=np.float64)
    now = np.bincount(np.where(codes < 0, cells - 1, codes), minlength=cells).astype(np.float64)
    statistic, p_value = chi2(then, now)
    return Moved(
        name=column.name,
        kind=column.kind,
        psi=psi(then, now),
        distance=math.nan,
        test="chi2",
        statistic=statistic,
        p_value=p_value,
        missing=float(now[-1]) / len(codes),
        missing_before=summary.missing / summary.rows,
        unseen=float(now[-2]) / len(codes),
        bins=_bins([*column.categories, "never seen"], then, now),
    )


def _number(column: Column, summary: Summary, values: np.ndarray) -> Moved:
    present = values[~np.isnan(values)]
    gone, there = len(values) - len(present), summary.rows - summary.missing
    statistic, distance, tests = 0.0, math.nan, []
    if len(present) and summary.quantiles:
        statistic, p_value = ks(summary, present)
        tests.append(p_value)
        distance = wasserstein(summary, present)
    if gone or summary.missing:
        tests.append(chi2(np.array([there, summary.missing]), np.array([len(present), gone]))[1])
    bins_then, bins_now, edges = binned(summary, present)
    then, now = np.array([*bins_then, summary.missing]), np.array([*bins_now, gone])
    written = [_written(column, edge) for edge in edges.tolist()]
    labels = [*(f"≤ {text}" for text in written), f"> {written[-1]}" if written else "present"]
    return Moved(
        name=column.name,
        kind=column.kind,
        psi=psi(then, now),
        distance=distance,
        test="ks",
        statistic=statistic,
        p_value=min(1.0, len(tests) * min(tests, default=1.0)),
        missing=gone / len(values),
        missing_before=summary.missing / summary.rows,
        bins=_bins(labels, then, now),
    )


def _written(column: Column, edge: float) -> str:
    return str(np.datetime64(int(edge), "D")) if column.kind == "date" else f"{edge:.4g}"


def _bins(labels: list[str], then: np.ndarray, now: np.ndarray) -> tuple[Bin, ...]:
    """The bins in their order, the last of the counts being the missing ones; empty ones left out."""
    shares = zip([*labels, "missing"], (then / max(1, then.sum())).tolist(), (now / now.sum()).tolist(), strict=True)
    held = [Bin(*each) for each in shares if each[1] or each[2]]
    apart = sorted(held, key=lambda each: -abs(each.now - each.before))[:SHOWN_BINS]
    return tuple(each for each in held if each in apart)
