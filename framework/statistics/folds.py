"""The t-test for scores of the same folds: "Inference for the generalization error" (Nadeau & Bengio 2003).

The plain t-test takes folds for independent, though they train on nearly the same rows: it calls far too much real.
"""

import math
from collections.abc import Sequence

import numpy as np


def corrected_t(differences: Sequence[float] | np.ndarray, *, test_share: float) -> float:
    """The two-sided p-value of "two contenders score the same", from their differences in each fold.

    differences: shape (folds,), of k folds or of repeated ones. test_share: rows scored for each row learned from,
    1 / (k - 1) for k folds. t = d̄ / √((1/J + test_share) s²) over J folds, with J - 1 degrees of freedom.
    1 where all differences are 0; nan for fewer than two folds.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        return math.nan
    variance = (1 / len(values) + test_share) * values.var(ddof=1)
    if variance <= 0:
        return 1.0 if values[0] == 0 else 0.0
    from scipy.special import stdtr

    return float(2 * stdtr(len(values) - 1, -abs(values.mean()) / math.sqrt(variance)))
