"""The checkpoints of one run, on a disk or an object store that every node reaches."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from framework.training.checkpoint import flaw

PREFIX = "checkpoint_"
SNAPSHOT = "checkpoint_manager_snapshot.json"  # what Ray Train believes to be there
KEPT = 3  # newest checkpoints
RUN = "run"  # the one run of a checkpoint folder: the same name is how Ray Train goes on with it


@dataclass(frozen=True)
class Shelf:
    """A folder or URI that holds `checkpoint_000001` …, the higher the newer."""

    uri: str

    @cached_property
    def _place(self) -> tuple[Any, str]:
        from pyarrow import fs

        system, path = fs.FileSystem.from_uri(self.uri)
        return system, path.rstrip("/")

    def names(self) -> list[str]:
        """Oldest first, whole or not."""
        from pyarrow import fs

        system, path = self._place
        found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        numbered = [f.base_name for f in found if f.type == fs.FileType.Directory and _order(f.base_name)]
        return sorted(numbered, key=_order)

    def next_name(self) -> str:
        """A name that no checkpoint had: one that is written anew must not be half the old one."""
        return f"{PREFIX}{max(map(_order, self.names()), default=0) + 1:06d}"

    def put(self, folder: Path) -> None:
        """Keeps a sealed local folder as the newest checkpoint. Raises OSError where nothing can be written."""
        from pyarrow import fs

        system, path = self._place
        place = f"{path}/{self.next_name()}"
        system.create_dir(place, recursive=True)
        fs.copy_files(str(folder), place, destination_filesystem=system)

    def drop(self, name: str) -> None:
        system, path = self._place
        system.delete_dir(f"{path}/{name}")

    @contextmanager
    def open(self, name: str) -> Iterator[Path]:
        """The checkpoint as a local folder, read-only; from an object store it is fetched and gone afterwards."""
        from pyarrow import fs

        system, path = self._place
        if isinstance(system, fs.LocalFileSystem):
            yield Path(path) / name
            return
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
            fs.copy_files(f"{path}/{name}", folder, source_filesystem=system)
            yield Path(folder)

    def newest(self) -> tuple[str | None, list[str]]:
        """The name of the newest whole checkpoint, and a sentence for each newer one that is not."""
        remarks: list[str] = []
        for name in reversed(self.names()):
            with self.open(name) as folder:
                wrong = flaw(folder)
            if wrong is None:
                return name, remarks
            remarks.append(f"checkpoint {name} is passed over: {wrong}")
        return None, remarks

    def probe(self) -> None:
        """Raises OSError where nothing can be written."""
        system, path = self._place
        system.create_dir(path)
        with system.open_output_stream(f"{path}/.probe") as stream:
            stream.write(b"here")
        system.delete_file(f"{path}/.probe")

    def mend(self) -> str | None:
        """Takes away what Ray Train remembers of these checkpoints where it would refuse to start on it: a snapshot
        that does not parse, is of another Ray, or names checkpoints that are gone. Returns a sentence if it did."""
        import ray

        system, path = self._place
        told = self._snapshot()
        if told is None:
            return None
        gone = set(_named(told)) - set(self.names())
        if told and not gone and told.get("ray_version") == ray.__version__:
            return None
        system.delete_file(f"{path}/{SNAPSHOT}")
        return f"Ray Train's list of the checkpoints in {self.uri} is not of use and was taken away; they are read anew"

    def tidy(self) -> list[str]:
        """Takes away what a failed attempt left: checkpoints older than the newest that Ray Train counts, and not
        counted by it. Returns their names."""
        listed = [name for name in self.names() if name in _named(self._snapshot() or {})]
        left = [name for name in self.names() if listed and name not in listed and _order(name) < _order(listed[-1])]
        for name in left:
            self.drop(name)
        return left

    def _snapshot(self) -> dict[str, Any] | None:
        """None where there is none; empty where it does not parse."""
        from pyarrow import fs

        system, path = self._place
        if system.get_file_info(f"{path}/{SNAPSHOT}").type == fs.FileType.NotFound:
            return None
        with system.open_input_stream(f"{path}/{SNAPSHOT}") as stream:
            try:
                told = json.loads(stream.read())
            except ValueError:
                return {}
        return told if isinstance(told, dict) else {}


def shelf_of(checkpoints: str) -> Shelf:
    """Where the run of a `context.checkpoints` keeps what it goes on from."""
    return Shelf(f"{absolute(checkpoints)}/{RUN}")


def absolute(place: str) -> str:
    """A folder by its whole path, or a URI as it is."""
    return place.rstrip("/") if "://" in place else str(Path(place).absolute())


def _named(snapshot: dict[str, Any]) -> list[str]:
    try:
        return [result["checkpoint_dir_name"] for result in snapshot.get("checkpoint_results", [])]
    except (KeyError, TypeError):
        return []


def _order(name: str) -> int:
    """The number in a checkpoint's name, from 1; 0 for a folder that is none."""
    digits = name.removeprefix(PREFIX)
    return int(digits) if name.startswith(PREFIX) and digits.isdigit() else 0
