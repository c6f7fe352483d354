"""What a silo gives away that is no step of a federation: rows made up from its own, checked and audited."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from cluster.wire import Arrays, Facts
from federated.audit import Audit
from federated.border import AUDIT, folder_name
from federated.message import Message

TABLE = "rows"  # the array that holds a table, as the bytes of an Arrow stream


class Handout:
    """One silo's way out. folder: below which each silo has one of its own, with its audit file; None: none is kept."""

    def __init__(self, silo: str, folder: Path | None = None) -> None:
        self._silo = silo
        self._audit: Audit | None = None
        if folder is not None:
            own = folder / folder_name(silo)
            own.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._audit = Audit(own / AUDIT)

    def __call__(self, kind: str, facts: Facts, groups: dict[str, Arrays] | None = None) -> bytes:
        """The message as bytes, after it was found on the list of what may leave, and written down.

        Raises BoundaryError for what is not on it.
        """
        told = Message(kind, self._silo, facts=facts, groups=groups or {})
        told.check_leaving()
        sent = told.to_bytes()
        if self._audit is not None:
            self._audit.record(told, sent)
        return sent


def packed(table: pd.DataFrame) -> dict[str, Arrays]:
    """A table as the groups of a message."""
    import pyarrow as pa

    sink = io.BytesIO()
    content = pa.Table.from_pandas(table, preserve_index=False)
    with pa.ipc.new_stream(sink, content.schema) as writer:
        writer.write_table(content)
    return {"table": {TABLE: np.frombuffer(sink.getvalue(), dtype=np.uint8)}}


def unpacked(message: Message) -> pd.DataFrame:
    """The table of a message."""
    import pyarrow as pa

    with pa.ipc.open_stream(message.groups["table"][TABLE].tobytes()) as reader:
        table: pd.DataFrame = reader.read_pandas()
    return table
