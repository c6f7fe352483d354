"""A checkpoint: a folder whose every file is named, with its SHA-256, in a manifest written last."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
STATE = "state.pt"


def seal(folder: Path) -> None:
    """Writes the manifest of a folder's files: from then on `flaw` can tell whether it is whole."""
    files = {path.relative_to(folder).as_posix(): _sum(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    partial = folder / f"{MANIFEST}.partial"
    partial.write_text(json.dumps({"files": files}), encoding="utf-8")
    partial.replace(folder / MANIFEST)


def flaw(folder: Path) -> str | None:
    """What is wrong with a checkpoint folder, in a few words; None where every file is as it was written."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        return "it has no manifest: it was never finished"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its manifest does not parse ({error})"
    for name, expected in files.items():
        try:
            found = _sum(folder / name)
        except OSError as error:
            return f"its file {name} does not open ({error.strerror})"
        if found != expected:
            return f"its file {name} is not what was written (SHA-256 {found[:12]}, not {expected[:12]})"
    return None


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Tensors and plain data into a folder."""
    import torch

    torch.save(state, folder / STATE)
    with (folder / STATE).open("rb") as file:
        os.fsync(file.fileno())


def read_state(folder: Path) -> dict[str, Any]:
    """What `write_state` wrote, on the CPU. Only tensors and plain data are opened, never code."""
    import torch

    state: dict[str, Any] = torch.load(folder / STATE, map_location="cpu", weights_only=True)
    return state


def pack(folder: Path) -> bytes:
    """A checkpoint folder as one tar."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(folder, arcname=".")
    return stream.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    """Writes what `pack` packed into an existing folder."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
