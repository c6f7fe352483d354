"""Predictions of folds, put together in the order of the rows."""

import numpy as np
from sklearn.datasets import load_wine

from framework.contest.ranked_on import RankedOn
from framework.data.kfold import k_fold
from framework.data.load import load

FOLD = load(load_wine(as_frame=True).frame, target="target", kind="multiclass").fold


def test_without_folds_it_is_the_validation_rows() -> None:
    ranked = RankedOn.of(FOLD, [])
    assert ranked.folds == 1
    assert ranked.truth is FOLD.valid.truth
    predicted = np.arange(len(FOLD.valid), dtype=float)
    assert np.array_equal(ranked.joined({0: predicted}), predicted)


def test_each_folds_answers_stand_at_its_rows() -> None:
    held = k_fold(FOLD, 4, seed=2)
    ranked = RankedOn.of(FOLD, held)
    y = FOLD.pooled().train.y
    assert np.array_equal(ranked.joined({fold: y[rows] for fold, rows in enumerate(held)}), ranked.truth.y)
    wide = ranked.joined({fold: np.eye(3)[y[rows]] for fold, rows in enumerate(held)})
    assert np.array_equal(wide.argmax(axis=1), ranked.truth.y)


def test_the_first_fold_alone() -> None:
    held = k_fold(FOLD, 4, seed=2)
    first = RankedOn.of(FOLD, held).first()
    assert first.folds == 1
    assert np.array_equal(first.truth.y, FOLD.pooled().train.y[held[0]])
