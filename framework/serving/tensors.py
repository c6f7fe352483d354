"""Tensors of the Open Inference Protocol, in JSON or in bytes, as values; and values as bytes.

Bytes are Triton's binary data extension: numbers in little endian, texts each behind its length in four bytes.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from framework.serving.request import MOST_ROWS, shown

DTYPES = {
    "BOOL": "?",
    **{
        f"{sign}{8 * size}": f"<{letter}{size}"
        for sign, letter in (("UINT", "u"), ("INT", "i"))
        for size in (1, 2, 4, 8)
    },
    **{f"FP{8 * size}": f"<f{size}" for size in (2, 4, 8)},
}  # datatype → numpy's; BYTES, the texts, have none


def values_of(tensor: Mapping[str, Any], blob: memoryview) -> tuple[list[Any], memoryview]:
    """A tensor's values and the bytes that are left for the others. Raises ValueError saying what is wrong."""
    datatype, shape, count = tensor.get("datatype"), tensor.get("shape"), 0
    if not isinstance(datatype, str) or (datatype != "BYTES" and datatype not in DTYPES):
        raise ValueError(f"has the datatype {shown(datatype)}; there are: BYTES, {', '.join(DTYPES)}")
    if isinstance(shape, list) and len(shape) in (1, 2) and shape[1:] in ([], [1]) and type(shape[0]) is int:
        count = shape[0]
    if not 1 <= count <= MOST_ROWS:
        raise ValueError(f"has the shape {shown(shape)}; [rows] and [rows, 1] are taken, up to {MOST_ROWS:,} rows")
    size = parameters_of(tensor).get("binary_data_size")
    if size is None:
        return _listed(tensor.get("data"), count), blob
    if type(size) is not int or not 0 <= size <= len(blob):
        raise ValueError(f"has the binary_data_size {shown(size)}; {len(blob):,} bytes are left in the body")
    if datatype == "BYTES":
        return _texts(blob[:size], count), blob[size:]
    return _numbers(blob[:size], DTYPES[datatype], count), blob[size:]


def _listed(data: Any, count: int) -> list[Any]:
    """JSON's values, flat or in lists of one."""
    if not isinstance(data, list):
        raise ValueError("has no data, neither as a list nor as bytes")
    values = [each[0] if isinstance(each, list) and len(each) == 1 else each for each in data]
    if len(values) != count:
        raise ValueError(f"has {len(values):,} values, and the shape says {count:,}")
    return values


def _numbers(data: memoryview, dtype: str, count: int) -> list[Any]:
    """NaN, a missing value, comes as None."""
    found, rest = divmod(len(data), np.dtype(dtype).itemsize)
    if rest:
        raise ValueError(f"has {len(data):,} bytes, no whole number of values")
    if found != count:
        raise ValueError(f"has {found:,} values, and the shape says {count:,}")
    if dtype == "?":
        return [bool(value) for value in np.frombuffer(data, np.uint8).tolist()]
    values = np.frombuffer(data, dtype).tolist()
    return [None if isinstance(value, float) and math.isnan(value) else value for value in values]


def _texts(data: memoryview, count: int) -> list[str]:
    """Each text behind its length in four bytes."""
    values: list[str] = []
    at = 0
    while at < len(data) and len(values) < count:
        if at + 4 > len(data):
            raise ValueError("ends within a length")
        (length,) = struct.unpack_from("<I", data, at)
        at += 4 + length
        if at > len(data):
            raise ValueError("ends within a text")
        try:
            values.append(bytes(data[at - length : at]).decode())
        except UnicodeDecodeError:
            raise ValueError(f"holds a text that is no UTF-8, in row {len(values) + 1}") from None
    if at < len(data) or len(values) < count:
        raise ValueError(f"has {len(values):,} texts{' and more' * (at < len(data))}, and the shape says {count:,}")
    return values


def bytes_of(values: Sequence[Any], datatype: str) -> bytes:
    if datatype == "BYTES":
        texts = [value.encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.asarray(values, dtype=DTYPES[datatype]).tobytes()


def parameters_of(holder: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside a tensor, or a request; nothing where it is no object."""
    found = holder.get("parameters")
    return found if isinstance(found, dict) else {}
