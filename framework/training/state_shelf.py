"""Checkpoints that a crew writes itself, on the same shelves as Ray Train's: either goes on from the other's."""

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from framework.training.checkpoint import STATE, seal
from framework.training.crew import State
from framework.training.failure import TrainingError
from framework.training.shelf import KEPT, Shelf


@dataclass(frozen=True)
class StateShelf:
    """uri: a folder or an object store's prefix that every node reaches."""

    uri: str

    def write(self, packed: bytes) -> None:
        """Keeps a state that `torch.save` packed; raises TrainingError when it can't, with the earlier ones intact."""
        try:
            self._write(packed)
        except OSError as error:
            raise TrainingError(
                f"a checkpoint could not be written to {self.uri} ({error}). The earlier checkpoints are intact; make "
                f"the storage writable and start again with the same checkpoints."
            ) from error

    def _write(self, packed: bytes) -> None:
        shelf = Shelf(self.uri)
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
            (Path(folder) / STATE).write_bytes(packed)
            seal(Path(folder))
            shelf.put(Path(folder))
        for old in shelf.names()[:-KEPT]:
            shelf.drop(old)

    def newest(self, tell: Callable[[str], None]) -> bytes:
        """The newest whole checkpoint; b"" where there is none. `tell` hears which it is, and which are not whole.

        Raises TrainingError where the storage does not let them be read.
        """
        try:
            return self._newest(tell)
        except OSError as error:
            raise TrainingError(
                f"the checkpoints in {self.uri} cannot be read ({error}). Make the storage reachable from every node, "
                f"or name another folder for checkpoints."
            ) from error

    def _newest(self, tell: Callable[[str], None]) -> bytes:
        shelf = Shelf(self.uri)
        name, remarks = shelf.newest()
        for remark in [*remarks, *([f"goes on from {name}"] if name else [])]:
            tell(remark)
        if name is None:
            return b""
        with shelf.open(name) as folder:
            return (folder / STATE).read_bytes()


def pack_state(state: State) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def unpack_state(packed: bytes) -> State:
    """What `pack_state` packed, on the CPU; only tensors and plain data are opened, never code."""
    import torch

    state: State = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
    return state
