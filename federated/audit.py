"""What left a silo, line by line, each line sealed with the hash of all before it."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from cluster.user_error import UserError
from federated.message import Message

FIRST = "0" * 64  # what the first line follows


class AuditError(UserError):
    """An audit file that has been changed, shortened in its middle, or cannot be read."""


class Audit:
    """Appends to a file of its own, one JSON line for each message that left the silo, refusals too.

    A line holds when, which message, in which round, how many bytes, their SHA-256 and the arrays' names and shapes,
    never a value; `hash` seals the line and, by `previous`, all lines before it. Whoever holds the last hash can show
    that nothing was taken out.
    """

    def __init__(self, path: Path) -> None:
        """Goes on with the file where there is one. Raises AuditError when that one does not hold."""
        self.path = path
        self.lines, self.last = verify(path) if path.exists() else (0, FIRST)

    def record(self, message: Message, sent: bytes) -> None:
        """Writes the line of a message that is about to leave; on the disk before it does."""
        arrays = {group: {name: list(a.shape) for name, a in held.items()} for group, held in message.groups.items()}
        line: dict[str, Any] = {
            "number": self.lines + 1,
            "time": round(time.time(), 3),
            "silo": message.silo,
            "kind": message.kind,
            "round": message.round,
            "bytes": len(sent),
            "sha256": hashlib.sha256(sent).hexdigest(),
            "facts": sorted(message.facts),
            "arrays": arrays,
            "previous": self.last,
        }
        if message.kind == "refusal":
            line["reason"] = message.facts["reason"]
        line["hash"] = _seal(line)
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, (json.dumps(line) + "\n").encode())
            os.fsync(file)
        finally:
            os.close(file)
        self.lines, self.last = self.lines + 1, line["hash"]


def verify(path: Path) -> tuple[int, str]:
    """An audit file's number of lines and last hash. Raises AuditError naming the first line that is not sound."""
    previous, number = FIRST, 0
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line: dict[str, Any] = json.loads(text)
            sealed = line.pop("hash")
            sound = line["previous"] == previous and line["number"] == number and sealed == _seal(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            sound, sealed = False, ""
        if not sound:
            raise AuditError(
                f"{path} does not hold in line {number}: it was changed, or lines before it were taken out. Keep the "
                f"file for whoever looks into it, and start the silo with a fresh folder."
            )
        previous = sealed
    return number, previous


def _seal(line: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(line, sort_keys=True).encode()).hexdigest()
