"""What a command that makes synthetic rows was asked for, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from framework.data.data_error import DataError, nearest
from synthetic.condition_error import ConditionError
from synthetic.fidelity import Fidelity
from synthetic.sharded import Manifest


@dataclass(frozen=True)
class Made:
    """manifest: of the rows written; None: they failed the gate, and none were."""

    engine: str
    judged: Fidelity
    manifest: Manifest | None
    contestants: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """1 where the gate kept the rows back: a job should fail then."""
        return 0 if self.manifest is not None else 1

    def __str__(self) -> str:
        if self.manifest is None:
            return f"no rows of {self.engine} were written: {' '.join(self.judged.failed)} --keep-failed writes them."
        told = self.manifest
        return f"{told.path}: {told.rows:,} rows of {self.engine}, {told.copies_dropped:,} copies dropped"

    def _repr_html_(self) -> str:
        import html

        scores = "".join(f"<li>{html.escape(str(score))}</li>" for score in self.judged.scores)
        contestants = "".join(f"<li>{html.escape(each)}</li>" for each in self.contestants)
        return f"<p>winner: {html.escape(str(self))}</p><ol>{contestants}</ol><ul>{scores}</ul>"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "engine": self.engine,
            "fidelity": self.judged.to_json(),
            "manifest": None if self.manifest is None else self.manifest.to_json(),
            "contestants": list(self.contestants),
        }


def asked_for(where: Sequence[str]) -> dict[str, str]:
    """Conditions written as COLUMN=VALUE. Raises ConditionError for one that is not, or a column named twice."""
    told: dict[str, str] = {}
    for each in where:
        name, mark, value = each.partition("=")
        if not mark or not name.strip():
            raise ConditionError(f"--where {each!r} is no condition. Write it as COLUMN=VALUE.")
        if name.strip() in told:
            raise ConditionError(f"--where names column {name.strip()!r} twice. Name it once.")
        told[name.strip()] = value.strip()
    return told


def without(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The table without these columns. Raises DataError for one that is not there."""
    for name in columns:
        if name not in frame.columns:
            raise DataError(f"--without {name!r} is no column. {nearest(name, frame.columns, what='columns')}")
    return frame.drop(columns=list(columns))
