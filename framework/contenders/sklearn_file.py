"""scikit-learn parts as plain data: skops files, opened only where every type in them is one we know."""

from importlib import import_module
from pathlib import Path
from typing import Any

TYPES_OF = ("sklearn.", "skrub.", "numpy.", "pandas.", "scipy.")  # classes of these; functions of none of them
PARTS_OF = ("framework.contenders.", "framework.features.")  # classes and functions
FUNCTIONS = frozenset({"scipy._lib.array_api_compat.numpy._aliases.asarray"})  # a spline of scipy carries it along


def save_sklearn(part: Any, path: Path) -> None:
    """Writes an estimator as a skops file: JSON and arrays, no code."""
    from framework.contenders import skops_io

    skops_io.dump(part, path)


def load_sklearn(path: Path) -> Any:
    """Reads what `save_sklearn` wrote.

    Raises ValueError naming the first type in the file that is not one of ours or of the libraries we build on.
    """
    from framework.contenders import skops_io

    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    try:
        found = skops_io.get_untrusted_types(file=path)
    except Exception as error:  # a damaged archive fails in as many ways as a zip file has parts
        raise ValueError(f"{path} does not open: {error}") from error
    for name in found:
        if not _known(name):
            raise ValueError(f"{path} holds {name!r}, which is not opened. Do not trust this file.")
    return skops_io.load(path, trusted=found)


def _known(name: str) -> bool:
    if name.startswith(PARTS_OF) or name in FUNCTIONS:
        return True
    if not name.startswith(TYPES_OF):
        return False
    module, _, attribute = name.rpartition(".")
    return isinstance(getattr(import_module(module), attribute, None), type)
