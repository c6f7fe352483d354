"""What may cross into another interpreter and back: named arrays and plain facts, as bytes."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Facts = dict[str, Any]
Parcel = tuple[bytes, str]  # an .npz archive; a JSON object


class WireError(TypeError):
    """A value that only a pickle could carry: it would not open under another numpy."""


def pack(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Parcel:
    """Arrays of any shape and plain dtype (numbers, booleans, dates, spans, fixed-width text, bytes), and facts.

    facts: what JSON holds, not-a-number and infinity too; numpy's scalars become Python's, tuples become lists.
    Raises WireError naming the array whose values are Python objects, or the fact that JSON does not hold.
    """
    return archive(arrays), "{" + ", ".join(_fact(name, value) for name, value in facts.items()) + "}"


def unpack(parcel: Parcel) -> tuple[Arrays, Facts]:
    """What `pack` packed, under whichever numpy. Raises ValueError when the bytes are cut short or hold a pickle."""
    data, text = parcel
    return unarchive(data), json.loads(text)


def archive(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Named arrays as the bytes of an .npz archive: Ray keeps bytes in its object store without a pickle around them.

    Raises WireError naming the array whose values are Python objects.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as file:  # not np.savez: a layer may be called "file"
        for name, array in arrays.items():
            values = np.asanyarray(array)
            if values.dtype.hasobject or values.dtype.kind == "T":
                raise WireError(
                    f"array {name!r} has dtype {values.dtype}, which only a pickle could carry. Pass numbers, dates or "
                    f"fixed-width text (astype(str)), or give the values as a fact."
                )
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
    return stream.getvalue()


def unarchive(data: bytes) -> Arrays:
    """What `archive` packed. Raises ValueError when the bytes are cut short or hold a pickle."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f"these {len(data)} bytes are no whole .npz archive ({error})") from error


def _fact(name: str, value: Any) -> str:
    try:
        return f"{json.dumps(name)}: {json.dumps(value, default=_plain)}"
    except (TypeError, ValueError) as error:
        raise WireError(f"fact {name!r} does not go into JSON ({error}). Pass arrays among the arrays.") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__}")
