"""How well a party could tell the answers from the gradients that it is sent: label inference, measured."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelLeak:
    """AUC of telling two classes apart, 0.5: not at all, 1: all rows. norm: by the gradient's length alone, which takes
    no knowledge. direction: by its cosine with that of one row whose class is known."""

    norm: float
    direction: float


def label_leak(batches: list[tuple[np.ndarray, np.ndarray]]) -> LabelLeak:
    """The attacks of Li et al. 2021, "Label Leakage and Protection in Two-party Split Learning", sections 3.1 and 3.2,
    https://arxiv.org/abs/2102.08504, on each batch for itself: the net moves between them. The mean over batches.

    batches: gradients, shape (rows, embedding), and classes, 0 or 1, shape (rows,); those of one class are passed over.
    The known row is the first of class 1 in its batch, which is not counted. nan where no batch can be attacked.
    """
    from sklearn.metrics import roc_auc_score

    norms, directions = [], []
    for gradients, classes in batches:
        known = int(np.argmax(classes))
        others = np.flatnonzero(np.arange(len(classes)) != known)
        if len(np.unique(classes[others])) < 2:
            continue
        lengths = np.linalg.norm(gradients.astype(np.float64), axis=1)
        cosines = gradients @ gradients[known] / np.maximum(lengths * lengths[known], 1e-300)
        by_length = roc_auc_score(classes[others], lengths[others])
        norms.append(max(by_length, 1 - by_length))  # which class has the longer ones, is seen from their number
        directions.append(roc_auc_score(classes[others], cosines[others]))
    return LabelLeak(float(np.mean(norms)), float(np.mean(directions))) if norms else LabelLeak(np.nan, np.nan)
