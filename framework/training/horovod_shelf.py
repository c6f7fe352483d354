"""A Horovod run's checkpoints: on the same shelves as Ray Train's, so that either goes on from the other's."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from framework.training.checkpoint import STATE, seal
from framework.training.failure import TrainingError
from framework.training.shelf import KEPT, Shelf


@dataclass(frozen=True)
class HorovodShelf:
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
        """The newest whole checkpoint; b"" where there is none. `tell` hears which it is, and which are not whole."""
        shelf = Shelf(self.uri)
        name, remarks = shelf.newest()
        for remark in [*remarks, *([f"goes on from {name}"] if name else [])]:
            tell(remark)
        if name is None:
            return b""
        with shelf.open(name) as folder:
            return (folder / STATE).read_bytes()
