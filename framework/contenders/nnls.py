"""Weights that are never negative, by least squares: "Stacked regressions" (Breiman 1996)."""

from collections.abc import Mapping

import numpy as np

from framework.data.frame import Truth

SLIGHT = 1e-3  # a weight below counts as none: its member need not be asked


def weigh(answers: Mapping[str, np.ndarray], truth: Truth) -> dict[str, float]:
    """The weights w ≥ 0 of sum 1 that minimise Σ_rows v (y - Σ_members w answer)²; the heaviest first.

    v: the rows' weights. Of probabilities the squares are summed over the classes, y being 1 for the true one.
    """
    from scipy.optimize import nnls

    names = list(answers)
    y, first = np.asarray(truth.y), answers[names[0]]
    wanted = np.eye(first.shape[1])[y] if first.ndim == 2 else y.astype(np.float64)
    root = np.ones(len(y)) if truth.weight is None else np.sqrt(truth.weight)
    root = root[:, None] if first.ndim == 2 else root
    errors = np.column_stack([((wanted - answers[name]) * root).ravel() for name in names])
    # As Σ w = 1, the sum is w'Gw of the errors' products G. Without that bound w'Gw + (Σ w - 1)² is least along the
    # same w: its normal equations (G + 11') w = 1 are those of a matrix as small as the members are few.
    products = errors.T @ errors
    products /= max(float(products.diagonal().mean()), np.finfo(np.float64).tiny)
    ones = np.ones(len(names))
    factor = np.linalg.cholesky(products + np.outer(ones, ones) + 1e-9 * np.eye(len(names)))
    found = nnls(factor.T, np.linalg.solve(factor, ones))[0]
    shares = found / found.sum()
    kept = {name: float(share) for name, share in zip(names, shares, strict=True) if share > SLIGHT}
    total = sum(kept.values())
    return dict(sorted(((name, share / total) for name, share in kept.items()), key=lambda item: -item[1]))
