"""Columns that only tell the rows apart."""

import re

import numpy as np

from framework.data.values import number_of, text_of

LEAST_IDS = 20  # in fewer rows than this, distinct values are no sign of an id
_ID_WORDS = frozenset(
    ("id", "ids", "uuid", "guid", "pid", "uid", "index", "idx", "rownames", "rowid", "key", "unnamed")
)
_COUNTER_WORDS = frozenset(("order", "row", "rownumber", "obs", "observation", "case", "record", "no", "nr", "number"))
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def numbers_rows(name: str, values: np.ndarray, there: np.ndarray) -> bool:
    """Distinct whole numbers under an id's name, or 0, 1, 2 … under a counter's."""
    words = {word.lower() for word in _WORDS.findall(name)}
    named, counting = bool(words & _ID_WORDS), bool(words & _COUNTER_WORDS)
    if len(values) < LEAST_IDS or not there.all() or not (named or counting):
        return False
    numbers = np.array([number_of(v) for v in values]) if values.dtype.kind == "O" else values
    if counting and not named:
        return bool(numbers[0] in (0, 1) and (np.diff(numbers) == 1).all())
    return len(np.unique(numbers)) == len(numbers)


def names_rows(values: np.ndarray, there: np.ndarray) -> bool:
    """Distinct in every row, and all of one shape: UUIDs, 7590-VHVEG, user_17."""
    texts = [str(text_of(value)) for value in values[there]]
    if len(texts) < LEAST_IDS or len(set(texts)) < len(texts) or any(" " in text for text in texts):
        return False
    fixed = {re.sub(r"[^\W_]", "x", text) for text in texts}
    counted = {re.sub(r"\d+", "9", text) for text in texts}
    return len(fixed) == 1 or len(counted) == 1
