"""The arithmetic of federated learning, on numpy arrays: how updates become one step. No net, no Ray, no rows."""

from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np

from cluster.wire import Arrays
from federated.update import SiloError, Update


def weighted_mean(updates: Sequence[Update], group: str = "delta") -> Arrays:
    """Σ n_k x_k / Σ n_k: the silos' arrays averaged, each counted by its rows (McMahan et al. 2017, Algorithm 1).

    Returns float64 arrays under the same names.
    Raises SiloError naming the silo whose shapes differ, whose values are not finite, or that has no rows.
    """
    first = _sound(updates).groups[group]
    total = sum(update.rows for update in updates)
    return {
        name: _total((update.rows / total) * update.groups[group][name].astype(np.float64) for update in updates)
        for name in first
    }


def plain_mean(updates: Sequence[Update], group: str = "delta") -> Arrays:
    """Σ x_k / K, every silo counted alike."""
    first = _sound(updates).groups[group]
    return {name: _stacked(updates, group, name).mean(axis=0) for name in first}


def median(updates: Sequence[Update]) -> Arrays:
    """The median of each coordinate, every silo counted alike (Yin et al. 2018, Definition 1)."""
    first = _sound(updates).delta
    return {name: np.median(_stacked(updates, "delta", name), axis=0) for name in first}


def trimmed_mean(updates: Sequence[Update], share: float) -> Arrays:
    """The mean of each coordinate without its ⌊share · K⌋ largest and as many smallest (Yin et al. 2018, Definition 2).

    share: from 0 to below 0.5.
    """
    first = _sound(updates).delta
    cut = int(share * len(updates))
    kept = slice(cut, len(updates) - cut)
    return {name: np.sort(_stacked(updates, "delta", name), axis=0)[kept].mean(axis=0) for name in first}


def krum_scores(updates: Sequence[Update], faulty: int) -> np.ndarray:
    """Σ ‖x_i - x_j‖² over the K - faulty - 2 updates j nearest to i (Blanchard et al. 2017, section 4), shape (K,).

    Raises SiloError where K < 2 · faulty + 3: then the theorem says nothing.
    """
    _sound(updates)
    count = len(updates)
    if count < 2 * faulty + 3:
        raise SiloError(
            f"Krum with {faulty} faulty silo(s) needs {2 * faulty + 3} updates, and {count} came. Ask for fewer faulty "
            f"ones, or for a larger quorum."
        )
    flat = np.stack([flattened(update.delta) for update in updates])
    square = (flat**2).sum(axis=1)
    apart = np.maximum(square[:, None] + square[None] - 2 * flat @ flat.T, 0.0)
    np.fill_diagonal(apart, np.inf)
    return np.asarray(np.sort(apart, axis=1)[:, : count - faulty - 2].sum(axis=1))


def nova(updates: Sequence[Update]) -> Arrays:
    """τ_eff Σ p_k x_k / τ_k with τ_eff = Σ p_k τ_k and p_k = n_k / Σ n: each silo's mean step, so that none
    pulls harder for having made more of them (Wang et al. 2020, equation 6, for plain SGD, where ‖a_k‖₁ = τ_k)."""
    first = _sound(updates).delta
    total = sum(update.rows for update in updates)
    shares = [update.rows / total for update in updates]
    effective = sum(share * update.steps for share, update in zip(shares, updates, strict=True))
    return {
        name: effective
        * _total(
            share / update.steps * update.delta[name].astype(np.float64)
            for share, update in zip(shares, updates, strict=True)
        )
        for name in first
    }


def clipped(update: Update, most: float) -> Update:
    """The same with its delta scaled by min(1, most / ‖delta‖₂)."""
    length = norm(update.delta)
    scale = min(1.0, most / length) if length > 0 else 1.0
    delta = {name: scale * array.astype(np.float64) for name, array in update.delta.items()}
    return Update(update.silo, update.rows, update.steps, {**update.groups, "delta": delta}, update.cluster)


def norm(arrays: Arrays) -> float:
    """‖x‖₂ over all arrays together."""
    return float(np.sqrt(sum(float((array.astype(np.float64) ** 2).sum()) for array in arrays.values())))


def moved(weights: Arrays, step: Arrays, rate: float = 1.0) -> Arrays:
    """weights + rate · step, in the weights' own dtypes."""
    return {name: (array + rate * step[name]).astype(array.dtype) for name, array in weights.items()}


def flattened(arrays: Arrays) -> np.ndarray:
    """All of it as one float64 vector, by name."""
    return np.concatenate([arrays[name].astype(np.float64).ravel() for name in sorted(arrays)])


def zeros(like: Arrays) -> Arrays:
    return {name: np.zeros(array.shape) for name, array in like.items()}


def _total(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return np.asarray(reduce(np.add, arrays))


def _stacked(updates: Sequence[Update], group: str, name: str) -> np.ndarray:
    return np.stack([update.groups[group][name].astype(np.float64) for update in updates])


def _sound(updates: Sequence[Update]) -> Update:
    """The first, once all have been found to fit together."""
    if not updates:
        raise SiloError("no silo sent an update; there is nothing to average.")
    for update in updates:
        update.check(updates[0].delta)
    return updates[0]
