"""What left a silo, line by line, each line sealed with the hash of all before it."""

import hashlib
import time
from pathlib import Path

from federated.message import Message
from framework.sealed import FIRST, AuditError, Line, appended, read, settle

__all__ = ["FIRST", "Audit", "AuditError", "verify"]


class Audit:
    """Appends to a file of its own, one JSON line for each message that left the silo, refusals too.

    A line holds when, which message, in which round, how many bytes, their SHA-256 and the arrays' names and shapes,
    never a value; see `framework.sealed` for how lines are sealed.
    """

    def __init__(self, path: Path) -> None:
        """Goes on with the file where there is one. Raises AuditError when that one does not hold."""
        self.path = path
        self.lines, self.last = verify(path) if path.exists() else (0, FIRST)

    def record(self, message: Message, sent: bytes) -> None:
        """Writes the line of a message that is about to leave; on the disk before it does."""
        self.write(message, sent)
        self.settle()

    def write(self, message: Message, sent: bytes) -> None:
        """Writes the line of a message that is to leave after `settle`: until then it outlives this process, and not
        yet a loss of power."""
        arrays = {group: {name: list(a.shape) for name, a in held.items()} for group, held in message.groups.items()}
        line: Line = {
            "time": round(time.time(), 3),
            "silo": message.silo,
            "kind": message.kind,
            "round": message.round,
            "bytes": len(sent),
            "sha256": hashlib.sha256(sent).hexdigest(),
            "facts": sorted(message.facts),
            "arrays": arrays,
        }
        if message.kind in ("refusal", "withdrawn"):
            line["reason"] = message.facts["reason"]
        self.last = appended(self.path, line, self.lines + 1, self.last, settled=False)
        self.lines += 1

    def settle(self) -> None:
        """Returns once every line is on the disk."""
        settle(self.path)


def verify(path: Path) -> tuple[int, str]:
    """An audit file's number of lines and last hash. Raises AuditError naming the first line that is not sound."""
    lines, last = read(path)
    return len(lines), last
