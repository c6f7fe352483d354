"""What was written of synthetic rows."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Manifest:
    """What was written: enough to make it anew, and to tell that it is whole.

    shards: for each its number, rows, rows dropped as copies, and the SHA-256 of its content.
    """

    path: str
    rows: int
    seed: int
    shard_rows: int
    copies_dropped: int
    conditions: Mapping[str, Any]
    shards: tuple[dict[str, Any], ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of all shards in order: equal where the rows are."""
        return hashlib.sha256("".join(shard["sha256"] for shard in self.shards).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "digest": self.digest}
