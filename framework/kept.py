"""The files that a fit leaves beside its model: for whoever reads the leaderboard, and small enough to travel."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from framework.plain import WriteError

Files = Mapping[str, bytes]  # by their names

MOST_BYTES = 4 * 2**20  # of all files of one fit together


class Kept:
    """The files of one fit so far."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def add(self, name: str, content: bytes) -> str:
        """Keeps a file, in place of an earlier one of the same name. Returns why it is not kept; empty where it is."""
        if not name or PurePosixPath(name).name != name or name == "..":
            return f"{name} is not kept: a file's name is wanted, without a folder"
        size = len(content) + sum(len(other) for known, other in self.files.items() if known != name)
        if size > MOST_BYTES:
            megabytes = f"{len(content) / 2**20:.1f} MB"
            return f"{name} is not kept: with its {megabytes} the fit's files exceed {MOST_BYTES / 2**20:g} MB together"
        self.files[name] = content
        return ""


def write_kept(files: Files, folder: Path) -> None:
    """Writes a fit's files into a folder of their own. Raises WriteError where that cannot be done."""
    try:
        for name, content in files.items():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    except OSError as error:
        raise WriteError(f"{folder} cannot be written ({error.strerror}). Pass another --out folder.") from error
