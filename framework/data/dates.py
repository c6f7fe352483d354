"""How a column of texts writes its dates."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from framework.data.values import ISO

DATED = 0.95  # the share of a column's texts that must be dates for the column to be one
_SAMPLE = 50
_DATELIKE = re.compile(r"(?=.*\d)\w{1,9}[-/. ,]+\w{1,9}.*", re.DOTALL)
_WRITTEN = (
    ISO,
    *(
        day + clock
        for day in (
            "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y",
            "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%Y.%m.%d",
        )
        for clock in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
    ),
    "%b %Y", "%B %Y", "%m/%Y", "%a, %d %b %Y %H:%M:%S %z", "%a %b %d %H:%M:%S %Y",
)  # fmt: skip


def written_dates(texts: Sequence[str], counts: np.ndarray) -> str | None:
    """How these distinct texts, so many rows of each, write dates; None where too few rows are dates."""
    step = max(1, len(texts) // _SAMPLE)
    sample, weight = texts[::step], counts[::step]
    alike = np.array([len(text) <= 40 and _DATELIKE.fullmatch(text) is not None for text in sample], dtype=bool)
    if weight[alike].sum() < 0.8 * weight.sum() or not sample:
        return None
    tried = [written for written in _WRITTEN if weight[dated(sample, written)].sum() >= 0.8 * weight.sum()]
    found = [(counts[dated(texts, written)].sum() / counts.sum(), -place) for place, written in enumerate(tried)]
    share, place = max(found, default=(0.0, 0))
    return tried[-place] if share >= DATED else None


def dated(texts: Sequence[str], written: str) -> np.ndarray:
    """Which of the texts are dates written so, shape (texts,), bool."""
    parsed = pd.to_datetime(pd.Series(texts, dtype=object), format=written, errors="coerce", utc=True)
    return parsed.notna().to_numpy()
