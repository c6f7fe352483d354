"""The prediction log: what a served model was asked and what it answered, in Parquet files, a folder for each model."""

import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pandas as pd

from framework.monitoring.outcomes import OutcomeLog
from framework.monitoring.parts import AT, LogError, Parts, Record, read_parts, writable
from framework.serving.observing import Observed

FEATURE, SHARE = "x.", "p."  # what columns of the model's rows, and of its classes' probabilities, begin with
PREDICTIONS = "predictions"
MAKE = "framework.monitoring.prediction_log:PredictionLog"


class PredictionLog:
    """An observer of a model server: every replica has its own, and all write into one folder.

    folder: where; on a cluster one that all nodes see. share: of the requests, chosen by a hash of their id, so that
    who is logged does not depend on the replica. without: columns of the rows that are never written.
    rows, seconds: of one file.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        share: float = 1.0,
        without: Sequence[str] = (),
        rows: int = 10_000,
        seconds: float = 30.0,
    ) -> None:
        if not 0 < share <= 1:
            raise LogError(f"share is {share:g}; it is the part of the requests that is logged, above 0, at most 1.")
        self.folder, self._share, self._without = Path(folder), share, frozenset(without)
        self._rows, self._seconds = rows, seconds
        self._parts: dict[str, Parts] = {}

    def observe(self, seen: Observed) -> None:
        request = seen.request or uuid.uuid4().hex  # without an id of its client: nobody can post an outcome to it
        if self._share < 1 and zlib.crc32(request.encode()) >= self._share * 2**32:
            return
        if seen.model not in self._parts:
            home = folder_of(self.folder, seen.model)
            self._parts[seen.model] = Parts(home, rows=self._rows, seconds=self._seconds)
        self._parts[seen.model].add(list(self._records(seen, request)))

    @cached_property
    def outcomes(self) -> OutcomeLog:
        """Where outcomes of this log are posted to."""
        return OutcomeLog(self.folder, seconds=min(10.0, self._seconds))

    def close(self) -> None:
        for parts in self._parts.values():
            parts.close()
        if "outcomes" in vars(self):
            self.outcomes.close()

    def _records(self, seen: Observed, request: str) -> Iterator[Record]:
        """A record for each row; one without a row for a request that was refused."""
        told: dict[str, Any] = {AT: seen.at, "request": request, "version": seen.version, "status": seen.status}
        told |= {"seconds": seen.seconds, "rows": len(seen.rows), "shadow": seen.shadow}
        if not seen.items:
            yield {**told, "row": 0}
            return
        for place, (row, item) in enumerate(zip(seen.rows, seen.items, strict=True)):
            features = {FEATURE + name: value for name, value in row.items() if name not in self._without}
            answered = {name: value for name, value in item.items() if name != "probabilities"}
            shares = {f"{SHARE}{label}": value for label, value in item.get("probabilities", {}).items()}
            yield {**told, "row": place, **answered, **shares, **features}


def logging_to(folder: Path | str, *, share: float = 1.0, without: Sequence[str] = ()) -> dict[str, Any]:
    """The observer of a model server that writes this log: `serve(model, observers=[logging_to(FOLDER)])`.

    Raises LogError at once for a folder that cannot be written or a share that is none.
    """
    home = Path(folder).resolve()
    PredictionLog(home, share=share, without=without)
    writable(home)
    return {"make": MAKE, "options": {"folder": str(home), "share": share, "without": list(without)}}


@dataclass(frozen=True)
class Logged:
    """What one model was asked in a time, in order of time.

    frame: a row for each row answered and for each request refused. Columns: `at`, `request`, `row` (its place in the
    request), `rows` (in the request), `version`, `status`, `seconds`, `prediction`, `p.<class>` or
    `prediction_low` and `prediction_high`, and `x.<column>` as the client sent it.
    """

    model: str
    frame: pd.DataFrame

    @cached_property
    def requests(self) -> pd.DataFrame:
        """A row for each request: `at`, `version`, `status`, `seconds`, `rows`."""
        first = self.frame[self.frame["row"] == 0] if len(self.frame) else self.frame
        return first.reindex(columns=[AT, "version", "status", "seconds", "rows"]).reset_index(drop=True)

    @cached_property
    def answered(self) -> pd.DataFrame:
        """The rows that were answered."""
        return self.frame[self.frame["status"] == 200].reset_index(drop=True) if len(self.frame) else self.frame

    def features(self) -> pd.DataFrame:
        """The answered rows as they were sent, without the columns that are never written."""
        columns = [name for name in self.answered.columns if name.startswith(FEATURE)]
        return self.answered[columns].rename(columns=lambda name: name.removeprefix(FEATURE))

    def probabilities(self) -> pd.DataFrame:
        """What each class was given, by its label; no column where the answer is no class."""
        columns = [name for name in self.answered.columns if name.startswith(SHARE)]
        return self.answered[columns].rename(columns=lambda name: name.removeprefix(SHARE))


def predictions(
    folder: Path | str,
    model: str,
    *,
    since: float | None = None,
    until: float | None = None,
    version: str | None = None,
    shadow: bool = False,
    most: int | None = None,
) -> Logged:
    """What a model was asked from `since` to before `until`, UNIX seconds, by all versions or by one.

    most: of more rows the latest, about so many.
    shadow: instead of what was answered, what versions were asked beside, whose answers nobody saw.
    Raises LogError where the folder is no log or holds none of this model, naming those it has.
    """
    home = folder_of(folder, model)
    if not home.is_dir():
        there = ", ".join(logged_models(folder)) or "none"
        raise LogError(f"the log {folder} has nothing of model {model!r}; it has: {there}.")
    frame = read_parts(home, since=since, until=until, most=most).to_pandas()
    if len(frame):
        mirrored = frame["shadow"].eq(True) if "shadow" in frame else pd.Series(False, index=frame.index)
        frame = frame[mirrored if shadow else ~mirrored].reset_index(drop=True)
    if version is not None and len(frame):
        frame = frame[frame["version"] == version].reset_index(drop=True)
    return Logged(model, frame)


def logged_models(folder: Path | str) -> list[str]:
    """The models that a log has something of."""
    return sorted(unquote(path.name) for path in (Path(folder) / PREDICTIONS).glob("*") if path.is_dir())


def folder_of(folder: Path | str, model: str) -> Path:
    """Where a model's predictions lie."""
    return Path(folder) / PREDICTIONS / quote(model, safe="").replace(".", "%2E")
