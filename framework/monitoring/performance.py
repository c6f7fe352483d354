"""How good a served model's answers were, once it is known what came true: its metric by window, with intervals."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from framework.data.frame import Truth
from framework.data.values import number_of, text_of
from framework.metric import Metric, metric
from framework.monitoring.outcomes import KEY
from framework.monitoring.parts import AT, LogError
from framework.monitoring.prediction_log import SHARE, Logged
from framework.predictor import Predictor
from framework.statistics.bootstrap import Interval, interval

LEAST_ROWS = 30  # of a window, below which no score is told
UNKNOWN = Interval(math.nan, math.nan)
MOST_WINDOWS = 1_000
FORECASTS = "mae"  # their own metric asks for each series' history, which no request carries


@dataclass(frozen=True)
class Window:
    """Answers of one span of time, and their score in the metric's own units; nan of too few rows.

    rows: whose outcome is known, of so many answered.
    """

    begin: pd.Timestamp
    end: pd.Timestamp
    answered: int
    rows: int
    score: float = math.nan
    interval: Interval = UNKNOWN

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        told = {"begin": str(self.begin), "end": str(self.end), "answered": self.answered, "rows": self.rows}
        return {**told, "score": self.score, "interval": [self.interval.low, self.interval.high]}


@dataclass(frozen=True)
class Performance:
    """windows: in order of time. whole: all of them as one. remarks: a sentence for each thing left out."""

    metric: Metric
    windows: tuple[Window, ...]
    whole: Window
    remarks: tuple[str, ...] = ()


def performance(
    predictor: Predictor, answered: pd.DataFrame, known: pd.DataFrame, *, hours: float = 24.0, seed: int = 0
) -> Performance:
    """The score of the answers whose outcomes have come, in windows of so many hours.

    answered: `Logged.answered`. known: those of them with their `outcome`, as `joined` gives them.
    Raises LogError for a clustering, which has no outcome, or answers logged without what the metric needs.
    """
    if predictor.problem.kind == "clustering":
        raise LogError("a clustering's answers come true by no outcome. Leave the outcomes out.")
    scored = metric(FORECASTS if predictor.problem.kind == "forecast" else predictor.problem.metric)
    truth, strange = _truth(predictor, known["outcome"])
    remarks = []
    if strange:
        remarks.append(f"outcome {strange[0]!r} is no {_wanted(predictor)}; {len(strange):,} such are left out.")
    kept = known.assign(_truth=truth).dropna(subset=["_truth"])
    spans = _spans(answered[AT], hours)
    windows = tuple(_window(predictor, scored, *span, answered, kept, seed) for span in spans)
    whole = _window(predictor, scored, spans[0][0], spans[-1][1], answered, kept, seed)
    if not math.isfinite(whole.score):
        remarks.append(f"{whole.rows} outcomes tell no {scored.title} yet; it takes {LEAST_ROWS}, of all answers.")
    return Performance(scored, windows, whole, tuple(remarks))


def joined(logged: Logged, came: pd.DataFrame) -> pd.DataFrame:
    """The answered rows whose outcome is known, with it: Logged.answered's columns and `outcome`, in order of time.

    Of rows that were asked for twice under one id the last answer counts.
    """
    if not len(logged.answered):
        return logged.answered.assign(outcome=[])
    return logged.answered.drop_duplicates(KEY, keep="last").merge(
        came[[*KEY, "outcome"]], on=KEY, how="inner", validate="one_to_one"
    )


def _window(
    predictor: Predictor,
    scored: Metric,
    begin: pd.Timestamp,
    end: pd.Timestamp,
    answered: pd.DataFrame,
    kept: pd.DataFrame,
    seed: int,
) -> Window:
    count = int(((answered[AT] >= begin) & (answered[AT] < end)).sum())
    rows = kept[(kept[AT] >= begin) & (kept[AT] < end)]
    if len(rows) < LEAST_ROWS:
        return Window(begin, end, count, len(rows))
    classes = predictor.schema.classes if predictor.problem.classified else ()
    y = rows["_truth"].to_numpy(dtype=np.int64 if classes else np.float64)
    truth = Truth(y=y, features=len(predictor.schema.columns), classes=len(classes))
    predicted = _predicted(predictor, rows)
    band = interval(scored, truth, predicted, seed=seed)
    return Window(begin, end, count, len(rows), scored.score(truth, predicted), band)


def _predicted(predictor: Predictor, rows: pd.DataFrame) -> np.ndarray:
    """The logged answers as `Model.predict` gave them."""
    names = ["prediction"]
    if predictor.problem.classified:
        names = [f"{SHARE}{label}" for label in predictor.schema.classes]
    if missing := [name for name in names if name not in rows.columns]:
        raise LogError(
            f"the log has no {missing[0]!r}: its answers are another model's. Pass the version that answered."
        )
    values = rows[names].to_numpy(dtype=np.float64)
    return values if predictor.problem.classified else values[:, 0]


def _truth(predictor: Predictor, outcomes: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Outcomes as codes or values, shape (rows,), NaN where one is none; and those that are none."""
    codes = {text_of(label): float(code) for code, label in enumerate(predictor.schema.classes)}

    def value(text: str) -> float:
        if predictor.problem.classified:
            return codes.get(text, math.nan)
        try:
            return number_of(text)
        except ValueError:
            return math.nan

    found = np.array([value(text) for text in outcomes], dtype=np.float64)
    return found, [text for text, there in zip(outcomes, found, strict=True) if math.isnan(there)]


def _wanted(predictor: Predictor) -> str:
    classes = ", ".join(map(str, predictor.schema.classes[:5]))
    return f"class of {predictor.problem.target!r} ({classes})" if predictor.problem.classified else "number"


def _spans(moments: pd.Series, hours: float) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Spans of so many hours from the first answer on, as far as the last one."""
    if not hours > 0:
        raise LogError(f"a window of {hours:g} hours holds nothing. Pass more than 0.")
    step = pd.Timedelta(hours=hours)
    begin, last = moments.min(), moments.max()
    count = int((last - begin) / step) + 1
    if count > MOST_WINDOWS:
        raise LogError(
            f"windows of {hours:g} hours would be {count:,}; at most {MOST_WINDOWS:,} are told. Pass more hours."
        )
    return [(begin + place * step, begin + (place + 1) * step) for place in range(count)]
