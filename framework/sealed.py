"""A file of JSON lines, each sealed with the hash of all before it: as audits and ledgers are."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from cluster.user_error import UserError

FIRST = "0" * 64  # what the first line follows
Line = dict[str, Any]


class AuditError(UserError):
    """A sealed file that has been changed, shortened in its middle, or cannot be read."""


def appended(path: Path, line: Line, number: int, previous: str, *, settled: bool = True) -> str:
    """Writes the line as the `number`-th, on the disk before it returns; the line's hash.

    `hash` seals the line and, by `previous`, all lines before it. Whoever holds the last hash can show that nothing
    was taken out. settled: without it the line is with the operating system, so that it outlives the process, and on
    the disk once `settle` has returned.
    """
    line = {"number": number, **line, "previous": previous}
    line["hash"] = _seal(line)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, (json.dumps(line) + "\n").encode())
        if settled:
            os.fsync(file)
    finally:
        os.close(file)
    return str(line["hash"])


def settle(path: Path) -> None:
    """Returns once all lines that were written are on the disk: they outlive a loss of power."""
    file = os.open(path, os.O_WRONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def read(path: Path) -> tuple[list[Line], str]:
    """The lines without their hashes, and the last hash. Raises AuditError naming the first line that is not sound."""
    previous = FIRST
    lines: list[Line] = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line: Line = json.loads(text)
            sealed = line.pop("hash")
            sound = line["previous"] == previous and line["number"] == number and sealed == _seal(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            sound, sealed, line = False, "", {}
        if not sound:
            raise AuditError(
                f"{path} does not hold in line {number}: it was changed, or lines before it were taken out. Keep the "
                f"file for whoever looks into it, and begin with a fresh folder."
            )
        previous = sealed
        lines.append(line)
    return lines, previous


def _seal(line: Line) -> str:
    return hashlib.sha256(json.dumps(line, sort_keys=True).encode()).hexdigest()
