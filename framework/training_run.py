"""A training that can be taken up again: its id, what it was started with, and where its checkpoints lie."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.user_error import UserError

CARD = "run.json"


class TrainingRunError(UserError):
    """A run that is not there, cannot be kept, or was started with something else."""


@dataclass(frozen=True)
class TrainingRun:
    """One training under a name that outlives its process.

    id: what `--resume` takes. home: the folder or URI of the run, reached by every node.
    """

    id: str
    home: str

    @property
    def checkpoints(self) -> str:
        """Where its contenders keep their checkpoints."""
        return f"{self.home}/checkpoints"


def begin(storage: str, facts: Mapping[str, Any]) -> TrainingRun:
    """A new run under `storage`, a folder or a URI such as s3://bucket/runs; facts: what decides its outcome.

    Raises TrainingRunError when nothing can be written there.
    """
    run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    system, root = _open(storage)
    home = f"{root}/{run_id}"
    try:
        system.create_dir(home, recursive=True)
        with system.open_output_stream(f"{home}/{CARD}") as stream:
            stream.write(json.dumps(dict(facts), indent=1, default=str).encode())
    except OSError as error:
        raise TrainingRunError(
            f"--storage {storage} cannot be written to ({_first(error)}). Pass a folder or URI that every node reaches."
        ) from error
    return TrainingRun(run_id, f"{_prefix(storage)}{home}")


def take_up(storage: str, run_id: str, facts: Mapping[str, Any]) -> TrainingRun:
    """The run that `begin` began, to go on from its newest sound checkpoint.

    Raises TrainingRunError when there is none of that id, or it was begun with other facts: its checkpoints answer
    another question.
    """
    system, root = _open(storage)
    home = f"{root}/{run_id}"
    try:
        with system.open_input_stream(f"{home}/{CARD}") as stream:
            begun: dict[str, Any] = json.loads(stream.read())
    except FileNotFoundError as error:
        raise TrainingRunError(
            f"there is no run {run_id!r} under --storage {storage}{_known(system, root)}. "
            f"Pass the id that the run printed when it began."
        ) from error
    except (OSError, ValueError) as error:
        raise TrainingRunError(f"run {run_id!r} cannot be read: {CARD} is damaged ({_first(error)}).") from error
    now = json.loads(json.dumps(dict(facts), default=str))
    for name in sorted(set(begun) | set(now)):
        if begun.get(name) != now.get(name):
            raise TrainingRunError(
                f"run {run_id!r} was begun with {name} {begun.get(name)!r}, and now it is {now.get(name)!r}: its "
                f"checkpoints answer another question. Resume with the same, or begin a new run."
            )
    return TrainingRun(run_id, f"{_prefix(storage)}{home}")


def _open(storage: str) -> tuple[Any, str]:
    """The file system of a folder or URI, and the path in it."""
    from pathlib import Path

    from pyarrow import fs

    try:
        if "://" in storage:
            system, path = fs.FileSystem.from_uri(storage)
        else:
            system, path = fs.LocalFileSystem(), str(Path(storage).resolve())
    except (OSError, ValueError) as error:
        raise TrainingRunError(
            f"--storage {storage} is no folder or URI that can be opened ({_first(error)})."
        ) from error
    return system, path.rstrip("/")


def _prefix(storage: str) -> str:
    scheme, mark, _ = storage.partition("://")
    return f"{scheme}{mark}" if mark else ""


def _known(system: Any, root: str) -> str:
    from pyarrow import fs

    try:
        found = system.get_file_info(fs.FileSelector(root))
    except OSError:
        return ", which cannot be read"
    names = sorted(info.base_name for info in found if info.type == fs.FileType.Directory)
    return f"; the newest there: {', '.join(names[-3:])}" if names else ", which holds none"


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
