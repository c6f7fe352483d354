"""How a served model is doing: its traffic, its drift, its score since outcomes came, and the alerts."""

import math
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from framework.leaderboard import number
from framework.monitoring.alerts import Alert, Rules, Traffic, alerts
from framework.monitoring.drift import Drift, drift
from framework.monitoring.outcomes import outcomes, outcomes_of
from framework.monitoring.parts import AT, LogError
from framework.monitoring.performance import Performance, joined, performance
from framework.monitoring.prediction_log import SHARE, Logged, predictions
from framework.predictor import Predictor
from framework.serving.source import pinned, registered, version

ALERTED = 3  # the exit status of a command that is to fail on an alert
SHOWN = 8


@dataclass(frozen=True)
class Health:
    """What was seen of a served model in a time. Prints as text, shows as HTML in a notebook.

    uri: the model's, pinned to its version. begin, end: of the first and the last request.
    drift: None where the model keeps no training reference. performance: None without outcomes.
    baseline: the model's validation score, in the metric of `performance`; nan where that is another one.
    failing: whether an alert is to end a command with status 3.
    """

    name: str
    uri: str
    version: str | None
    begin: pd.Timestamp
    end: pd.Timestamp
    traffic: Traffic
    drift: Drift | None
    performance: Performance | None
    baseline: float
    alerts: tuple[Alert, ...]
    remarks: tuple[str, ...] = ()
    failing: bool = False

    @property
    def exit_status(self) -> int:
        return ALERTED if self.failing and self.alerts else 0

    def lines(self) -> list[str]:
        """A few lines for a person."""
        seen = self.traffic
        told = [
            f"{self.name} ({self.uri}), {self.begin:%Y-%m-%d %H:%M} … {self.end:%Y-%m-%d %H:%M} UTC",
            f"  {seen.requests:,} requests ({seen.refused:,} refused, {seen.failed:,} failed), {seen.rows:,} rows",
            f"  answered in {_milliseconds(seen.median)} (median), {_milliseconds(seen.p99)} (99th percentile)",
        ]
        if self.drift is not None:
            told.append(f"  {len(self.drift.drifted)} of {len(self.drift.columns)} columns drifted")
            for each in [*self.drift.columns, *self.drift.answers][:SHOWN] if self.drift.columns else []:
                mark = "drifted" if each.drifted else ""
                told.append(f"    {each.name:<24} psi {each.psi:6.3f}  p {each.p_value:8.2g}  {mark}".rstrip())
            if (joint := self.drift.joint) is not None:
                told.append(f"    {'all together':<24} mmd {joint.mmd:6.3f}  p {joint.p_value:8.2g}")
        if self.performance is not None:
            score, whole = self.performance.metric.title, self.performance.whole
            low, high = number(whole.interval.low), number(whole.interval.high)
            told.append(
                f"  {score} {number(whole.score)} ({low} … {high}) on {whole.rows:,} outcomes; "
                f"on validation {number(self.baseline)}"
            )
        told += [f"  alert: {each.sentence}" for each in self.alerts] or ["  no alert"]
        return [*told, *(f"  ({remark})" for remark in self.remarks)]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def to_json(self) -> dict[str, Any]:
        """What `report.json` holds."""
        scored = self.performance
        return {
            "name": self.name,
            "model": self.uri,
            "version": self.version,
            "begin": str(self.begin),
            "end": str(self.end),
            "traffic": {**asdict(self.traffic), "errors": self.traffic.errors},
            "drift": None if self.drift is None else self.drift.to_json(),
            "performance": scored
            and {
                "metric": scored.metric.name,
                "validation": self.baseline,
                "whole": scored.whole.to_json(),
                "windows": [window.to_json() for window in scored.windows],
            },
            "alerts": [asdict(each) for each in self.alerts],
            "remarks": list(self.remarks),
        }

    def write(self, folder: Path | str | None, *, config: dict[str, Any]) -> "Health":
        """Writes report.json and the self-contained report.html; does nothing without a folder. Returns itself."""
        if folder:
            from framework.monitoring.page import page
            from framework.plain import write_json, write_text

            write_json(Path(folder) / "report.json", {**self.to_json(), "config": config})
            write_text(Path(folder) / "report.html", page(self))
        return self

    def _repr_html_(self) -> str:
        from framework.monitoring.page import body

        return body(self)


def monitor(
    model: str | Path,
    log: str | Path,
    *,
    name: str | None = None,
    came: str | None = None,
    since: float | None = None,
    until: float | None = None,
    hours: float = 24.0,
    rules: Rules | None = None,
    failing: bool = False,
    seed: int = 0,
) -> Health:
    """How a served model is doing, by its prediction log.

    model: a registry URI or a model folder. log: the folder it is logged to. name: what it is asked by; the name it is
    registered under, or the model folder's own, by default. Of a registered model only its own version's answers count.
    came: a table of outcomes, as `outcomes.outcomes_of` takes it; else those that were posted to the log.
    since, until: UNIX seconds. hours: of a window of the score.
    Raises LogError where nothing is logged of it in that time, RegistryError or ModelFolderError for the model.
    """
    from framework.registry import resolve

    folder = resolve(model).resolve()
    predictor = Predictor.open(folder)
    uri = pinned(str(model), folder)
    asked, only = name or registered(uri) or predictor.name, version(uri)
    logged = predictions(log, asked, since=since, until=until, version=only)
    if not len(logged.frame):
        raise LogError(_nothing(log, asked, only, since, until))
    remarks: list[str] = []
    moved = _drift(predictor, logged, remarks)
    scored = _performance(predictor, logged, outcomes(log) if came is None else outcomes_of(came), hours, seed, remarks)
    known = scored is not None and scored.metric.name == predictor.problem.metric
    baseline = float(predictor.facts.get("validation_score", math.nan)) if known else math.nan
    seen = traffic(logged)
    broken = alerts(
        rules or Rules(),
        seen,
        moved,
        scored=scored.metric if scored else None,
        baseline=baseline,
        windows=scored.windows if scored else (),
    )
    begin, end = logged.frame[AT].min(), logged.frame[AT].max()
    return Health(asked, uri, only, begin, end, seen, moved, scored, baseline, broken, tuple(remarks), failing)


def traffic(logged: Logged) -> Traffic:
    """What the server did with the requests."""
    requests = logged.requests
    status, seconds = requests["status"], requests.loc[requests["status"] == 200, "seconds"]
    median, p99 = (float(seconds.quantile(level)) if len(seconds) else math.nan for level in (0.5, 0.99))
    refused = int(((status >= 400) & (status < 500)).sum())
    return Traffic(len(requests), len(logged.answered), refused, int((status >= 500).sum()), median, p99)


def hours_ago(hours: float | None) -> float | None:
    """The moment so many hours ago, UNIX seconds; None for none."""
    return None if hours is None else time.time() - 3_600 * hours


def _drift(predictor: Predictor, logged: Logged, remarks: list[str]) -> Drift | None:
    if predictor.reference is None:
        remarks.append("drift: not told, because the model keeps no training reference. Train it anew.")
        return None
    answers = logged.answered[[c for c in logged.answered.columns if c == "prediction" or c.startswith(SHARE)]]
    found = drift(predictor.reference, logged.features(), answers)
    remarks += found.remarks
    return found


def _performance(
    predictor: Predictor, logged: Logged, came: pd.DataFrame, hours: float, seed: int, remarks: list[str]
) -> Performance | None:
    known = joined(logged, came)
    if not len(known):
        if len(came):
            remarks.append(f"none of the {len(came):,} outcomes belongs to these answers.")
        return None
    found = performance(predictor, logged.answered, known, hours=hours, seed=seed)
    remarks += found.remarks
    return found


def _nothing(log: str | Path, name: str, only: str | None, since: float | None, until: float | None) -> str:
    whole = predictions(log, name, since=since, until=until).frame
    if not len(whole):
        return f"the log {log} has no request to {name!r} in this time. Pass another, or look whether it is served."
    there = Counter(whole["version"].fillna("none").tolist())
    told = ", ".join(f"version {each} ({rows:,} rows)" for each, rows in there.most_common())
    return f"the log {log} has no request to version {only} of {name!r} in this time; it has: {told}."


def _milliseconds(seconds: float) -> str:
    return "–" if math.isnan(seconds) else f"{1000 * seconds:.1f} ms"
