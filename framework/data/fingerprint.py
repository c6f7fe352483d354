"""One short text that says: these rows, this schema, this split, this seed."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from framework.data.frame import Frame
from framework.data.schema import Schema

_THREADS = 4  # hashing lets other threads run


def fingerprint(frame: Frame, *, schema: Schema, how: str, seed: int) -> str:
    """The SHA-256 (hex) of the rows in their order, the features' names and kinds, the classes, the split and the seed.

    how: everything that decides which row goes where: the kind of split and its shares.
    The same values give the same fingerprint, whichever file or frame they came in.
    """
    truth = frame.truth
    extra = {"y": truth.y, "weight": truth.weight, "group": frame.group}
    pieces = {f"x{place}": frame.X.iloc[:, place] for place in range(frame.X.shape[1])}
    pieces |= {name: pd.Series(values) for name, values in extra.items() if values is not None}
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = list(pool.map(_digest, pieces.values()))
    told = {
        "columns": [(column.name, column.kind, column.categories) for column in schema.columns],
        "classes": [[type(label).__name__, str(label)] for label in schema.classes],
        "split": how,
        "seed": seed,
        "rows": len(frame),
        "digests": dict(zip(pieces, digests, strict=True)),
    }
    return hashlib.sha256(json.dumps(told, ensure_ascii=True).encode()).hexdigest()


def _digest(column: pd.Series) -> str:
    values: np.ndarray
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = column.cat.codes.to_numpy().astype(np.int32)
    elif column.dtype.kind == "M":
        values = column.to_numpy().astype("datetime64[ns]").view(np.int64)
    elif column.dtype.kind == "f":
        values = column.to_numpy(dtype=np.float64) + 0.0  # -0.0 becomes 0.0
        values[np.isnan(values)] = np.nan  # there are many bit patterns for NaN
    elif column.dtype.kind in "iu":
        values = column.to_numpy(dtype=np.int64)
    else:
        values = pd.util.hash_array(column.to_numpy(dtype=object), categorize=True)
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
