"""What came true, posted back later by the id of the request that asked."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from framework.data.values import text_of
from framework.monitoring.parts import AT, LogError, Parts, read_parts

OUTCOMES = "outcomes"
KEY = ["request", "row"]
MOST_ID = 128  # letters of a request's id, as the model server keeps them


@dataclass(frozen=True)
class Outcome:
    """request: the id that a prediction was asked under. outcome: the target's true value. row: its place in the
    request, from 0."""

    request: str
    outcome: str | float | int | bool
    row: int = 0


class OutcomeLog:
    """Takes outcomes into the folder of a prediction log; as many processes as like may have one."""

    def __init__(self, folder: Path | str, *, rows: int = 10_000, seconds: float = 10.0) -> None:
        self._parts = Parts(Path(folder) / OUTCOMES, rows=rows, seconds=seconds)

    def post(self, posted: Sequence[Outcome | Mapping[str, Any]], *, at: float | None = None) -> int:
        """Takes outcomes, as values or as objects of a request; how many. at: when they came, now by default.

        A later one for the same row replaces an earlier. Raises LogError naming the first that is none; then none of
        them is taken.
        """
        moment = time.time() if at is None else at
        told = [each if isinstance(each, Outcome) else parse(each, place) for place, each in enumerate(posted, 1)]
        self._parts.add([{AT: moment, "request": o.request, "row": o.row, "outcome": text_of(o.outcome)} for o in told])
        return len(told)

    def close(self) -> None:
        self._parts.close()


def parse(posted: Mapping[str, Any], place: int = 1) -> Outcome:
    """An outcome from plain data. Raises LogError with what is wrong in the one at this place, counted from 1."""
    if not isinstance(posted, Mapping):
        raise LogError(f"outcome {place} is no object. Send {{'request': ID, 'outcome': VALUE}}.")
    if unknown := set(posted) - {"request", "row", "outcome"}:
        raise LogError(f"outcome {place} has {sorted(map(str, unknown))[0]!r}; it takes request, row and outcome.")
    request, row, outcome = posted.get("request"), posted.get("row", 0), posted.get("outcome")
    if not isinstance(request, str) or not 0 < len(request) <= MOST_ID:
        raise LogError(f"outcome {place} has request {request!r:.80}; it is the id of a prediction's request, a text.")
    if isinstance(row, bool) or not isinstance(row, int) or row < 0:
        raise LogError(f"outcome {place} has row {row!r:.80}; it is the row's place in its request, from 0.")
    if not isinstance(outcome, str | int | float | bool) or text_of(outcome) is None:
        raise LogError(f"outcome {place} is {outcome!r:.80}; it is a number, a text, true or false.")
    return Outcome(request, outcome, row)


def outcomes(folder: Path | str) -> pd.DataFrame:
    """All outcomes of a log, the last of each row: `request`, `row`, `outcome` (a text), `at` (when it came)."""
    frame = read_parts(Path(folder) / OUTCOMES).to_pandas()
    return _settled(frame.reindex(columns=[*KEY, "outcome", AT]))


def outcomes_of(source: str) -> pd.DataFrame:
    """The same from a table: columns `request` and `outcome`, and `row` where requests had several.

    source: what `data.source.read` takes. Raises LogError where a column is missing.
    """
    from framework.data.source import read

    table = read(source)
    if missing := {"request", "outcome"} - set(table.columns):
        raise LogError(
            f"{source} has no column {sorted(missing)[0]!r}; a table of outcomes has request and outcome, and row."
        )
    rows = pd.to_numeric(table["row"], errors="coerce") if "row" in table else 0
    told: list[Any] = [text_of(value) for value in table["outcome"]]
    frame = pd.DataFrame({"request": table["request"].astype(str), "row": rows, "outcome": told})
    return _settled(frame.reindex(columns=[*KEY, "outcome", AT]))


def _settled(frame: pd.DataFrame) -> pd.DataFrame:
    known = frame.dropna(subset=[*KEY, "outcome"])
    kept = known.assign(row=known["row"].astype("int64"), request=known["request"].astype(object))
    return kept.drop_duplicates(KEY, keep="last").reset_index(drop=True)
