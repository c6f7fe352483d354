"""A table's missing values drawn given the others, so that every constraint holds."""

import numpy as np
import pandas as pd

from synthetic.fitted import Fitted, SamplingError
from synthetic.synthesizer import Filling, seeded

MOST_TRIES = 200  # for each row


def filled(fitted: Fitted, core: Filling, frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """As `Fitted.impute`. Raises SamplingError for a row whose constraints do not come to hold."""
    table, layout = fitted.table, fitted.layout
    given, known = table.encode(frame), table.known(frame)
    made = frame[list(table.names)].reset_index(drop=True)
    left = np.arange(len(made))
    for attempt in range(MOST_TRIES):
        if not len(left):
            return made
        parts = _partly(fitted, given[left], known[left])
        places = core.fill(*parts, int(seeded(seed, attempt).integers(2**62)))
        drawn = table.decode(layout.expand(places)).set_index(left)
        for at, name in enumerate(table.names):
            empty = left[~known[left, at]]
            made.loc[empty, name] = drawn.loc[empty, name]
        for each in layout.sums:
            empty = left[~known[left, table.names.index(each.total)]]
            made.loc[empty, each.total] = each.of(made.loc[empty])
        rows = made.loc[left]
        fits = np.stack([each.holds(rows) for each in fitted.constraints] or [np.ones(len(left), dtype=bool)])
        left = left[~fits.all(axis=0)]
    raise SamplingError(
        f"no values were found for row {int(left[0]) + 1} with which the constraints hold, in {MOST_TRIES} tries. "
        f"Its known values may break them."
    )


def _partly(
    fitted: Fitted, places: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]:
    """Parts' places, which of them are known whole, and which tokens the others may take: none is missing."""
    reduced = np.nan_to_num(fitted.layout.reduce(places))
    whole = np.empty(reduced.shape, dtype=bool)
    allowed = {}
    for at, part in enumerate(fitted.layout.parts):
        there = known[:, part.at]
        whole[:, at] = there.all(axis=1)
        codecs = [fitted.table.codecs[place] for place in part.at]
        tokens = np.arange(part.card)[:, None] if part.combinations is None else part.combinations
        last = np.array([codec.card - 1 if codec.missing else -1 for codec in codecs])
        fits = np.repeat((tokens != last).all(axis=1)[None], len(places), axis=0)
        for column, place in enumerate(part.at):
            same = tokens[:, column][None] == places[:, place].astype(np.int64)[:, None]
            fits &= same | ~there[:, column][:, None]
        fits |= ~fits.any(axis=1, keepdims=True)
        allowed[at] = fits
    return reduced, whole, allowed
