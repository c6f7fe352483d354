"""Results as files: plain JSON for programs that read what a person sees, and texts."""

import json
from pathlib import Path
from typing import Any

from cluster.user_error import UserError


class WriteError(UserError):
    """A result that cannot be left where it was asked for."""


def write_json(path: Path, content: Any) -> None:
    """Writes JSON with infinite and undefined numbers as null, the file whole or not at all.

    Raises WriteError when the folder cannot be written.
    """
    write_text(path, json.dumps(_finite(content), indent=1, ensure_ascii=False, default=str) + "\n")


def write_text(path: Path, content: str) -> None:
    """Writes a text, as `write_bytes`."""
    write_bytes(path, content.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all. Raises WriteError when the folder cannot be written."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error.strerror}). Pass another --out folder.") from error


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if hasattr(content, "item") and getattr(content, "size", 1) == 1:
        content = content.item()
    if isinstance(content, float) and content not in (float("inf"), float("-inf")) and content == content:
        return content
    return None if isinstance(content, float) else content
