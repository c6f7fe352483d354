"""How alike a generator's rows are to held-out ones, as quickly as a training can ask."""

import numpy as np

from synthetic.gan import GANCore

CODES = 64  # of a column, at most


def alike(core: GANCore, held: np.ndarray, seed: int) -> float:
    """Mean likeness of all columns and pairs of tokens, coarse for numbers, between drawn rows and these."""
    drawn = core.draw(4 * len(held), {}, seed)
    coarse = [_coarse(places, held) for places in (held, drawn)]
    told = []
    for a in range(held.shape[1]):
        for b in range(a, held.shape[1]):
            joined = [codes[:, a] * CODES + codes[:, b] for codes in coarse]
            counts = [np.bincount(each, minlength=CODES * CODES) / len(each) for each in joined]
            told.append(1 - np.abs(counts[0] - counts[1]).sum() / 2)
    return float(np.mean(told))


def _coarse(places: np.ndarray, like: np.ndarray) -> np.ndarray:
    """At most CODES codes a column, shape as given."""
    coded = np.empty(places.shape, dtype=np.int64)
    for at in range(places.shape[1]):
        edges = np.unique(np.quantile(np.floor(like[:, at]), np.linspace(0, 1, 9)[1:]))
        coded[:, at] = np.searchsorted(edges, np.floor(places[:, at]))
    return coded
