"""What a command that makes synthetic rows was asked for, and what came of it."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from framework.data.data_error import DataError, nearest
from framework.plain import WriteError
from synthetic.condition_error import ConditionError
from synthetic.constraints import Constraint, ConstraintError, FixedCombinations, Inequality, Range
from synthetic.fidelity import Fidelity
from synthetic.fitted import Fitted
from synthetic.manifest import Manifest
from synthetic.registered import Registered


@dataclass(frozen=True)
class Made:
    """manifest: of the rows written; None: they failed the gate, and none were. registered: None: it was not asked."""

    engine: str
    judged: Fidelity
    manifest: Manifest | None
    contestants: tuple[str, ...] = ()
    registered: Registered | None = None

    @property
    def exit_status(self) -> int:
        """1 where the gate kept the rows back, or the registry did not take their synthesizer: a job should fail."""
        return 0 if self.manifest is not None and not (self.registered and self.registered.trouble) else 1

    def __str__(self) -> str:
        if self.manifest is None:
            return f"no rows of {self.engine} were written: {' '.join(self.judged.failed)} --keep-failed writes them."
        told = self.manifest
        beside = f"\n{self.registered}" if self.registered else ""
        return f"{told.path}: {told.rows:,} rows of {self.engine}, {told.copies_dropped:,} copies dropped{beside}"

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
            "model": self.registered.uri if self.registered else "",
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


def constraints_of(
    ordered: Sequence[str] = (), within: Sequence[str] = (), together: Sequence[str] = ()
) -> tuple[Constraint, ...]:
    """Constraints as a command line writes them: LOW<=HIGH or LOW<HIGH; COLUMN=LEAST..MOST; COLUMN,COLUMN.

    Raises ConstraintError for what is none of these. Whether the columns are there is seen with the table.
    """
    told: list[Constraint] = []
    for each in ordered:
        low, mark, high = each.partition("<")
        strict, high = not high.startswith("="), high.removeprefix("=")
        if not mark or not low.strip() or not high.strip():
            raise ConstraintError(f"--ordered {each!r} is no inequality. Write it as LOW<=HIGH or LOW<HIGH.")
        told.append(Inequality(low.strip(), high.strip(), strict))
    for each in within:
        name, _, bounds = each.partition("=")
        least, dots, most = (part.strip() for part in bounds.partition(".."))
        if not name.strip() or not dots or not (least or most):
            raise ConstraintError(f"--within {each!r} is no range. Write it as COLUMN=LEAST..MOST.")
        told.append(Range(name.strip(), _bound(least), _bound(most)))
    for each in together:
        names = tuple(name.strip() for name in each.split(","))
        if len(names) < 2 or not all(names):
            raise ConstraintError(f"--together {each!r} names no two columns. Write it as COLUMN,COLUMN.")
        told.append(FixedCombinations(names))
    return tuple(told)


def _bound(told: str) -> float | str | None:
    """A number where it is one, else the text of a date."""
    try:
        return float(told) if told else None
    except ValueError:
        return told


def check_folder(folder: str | None) -> None:
    """Raises WriteError where a synthesizer cannot be saved: the folder is there already and holds something."""
    if folder and Path(folder).exists() and (not Path(folder).is_dir() or any(Path(folder).iterdir())):
        raise WriteError(f"--save {folder} is there already. Pass a folder that is not.")


def keep(fitted: Fitted, folder: str | None) -> None:
    """Saves a synthesizer into a new folder, whole or not at all; nothing without one. Raises WriteError; SDVError for
    an engine whose models are pickles."""
    if not folder:
        return
    home = Path(folder)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{home.name}-", dir=home.parent) as beside:
            part = Path(beside) / home.name
            part.mkdir(mode=0o700)  # it tells of the rows that it learned from
            fitted.save(part)
            part.replace(home)
    except OSError as error:
        raise WriteError(f"{folder} cannot be written ({error.strerror or error}). Pass another --save.") from error


def without(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The table without these columns. Raises DataError for one that is not there."""
    for name in columns:
        if name not in frame.columns:
            raise DataError(f"--without {name!r} is no column. {nearest(name, frame.columns, what='columns')}")
    return frame.drop(columns=list(columns))
