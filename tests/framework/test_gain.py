"""What an ensemble is worth, told with its interval."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import roc_auc_score, root_mean_squared_error

from cluster.user_error import UserError
from framework.contender import Contender, Context
from framework.contenders.blend import Blend
from framework.contenders.linear import Linear
from framework.contenders.neighbours import Neighbours
from framework.contest.ranked_on import RankedOn
from framework.data.kfold import k_fold
from framework.data.load import load
from framework.data.split import Split
from framework.gain import gain
from framework.leaderboard import Entry, Leaderboard
from framework.statistics import Interval

SUGAR = load(load_diabetes(as_frame=True).frame, target="target", kind="regression")
TUMOURS = load(load_breast_cancer(as_frame=True).frame, target="target", kind="binary")
NONE = Interval(np.nan, np.nan)


def board_of(split: Split, entries: list[tuple[Contender, np.ndarray]], folds: int = 1) -> Leaderboard:
    rows = tuple(Entry(made.name, 0.0, NONE, 1.0, made, told) for made, told in entries)
    held = k_fold(split.fold, folds) if folds > 1 else []
    return Leaderboard(split, rows, ranked_on=RankedOn.of(split.fold, held))


@pytest.mark.parametrize("split", [SUGAR, TUMOURS], ids=["values", "classes"])
def test_the_error_that_an_ensemble_spares_lies_in_its_interval(split: Split) -> None:
    fold = split.fold
    members: list[Contender] = [Linear(strength=1.0, bends=False), Neighbours(3)]
    told = [member.fit(fold, Context()).predict(fold.valid.X) for member in members]
    both = np.mean(told, axis=0)
    found = gain(board_of(split, [(Blend(), both), (members[1], told[1]), (members[0], told[0])]))
    y = fold.valid.y
    if split is SUGAR:
        scores = root_mean_squared_error(y, both), root_mean_squared_error(y, told[1])
        expected = 1 - scores[0] / scores[1]
    else:
        scores = roc_auc_score(y, both[:, 1]), roc_auc_score(y, told[1][:, 1])
        expected = 1 - (1 - scores[0]) / (1 - scores[1])
    assert found.scores == pytest.approx(scores)
    assert found.reduction == pytest.approx(expected)
    assert found.interval.low < found.reduction < found.interval.high
    assert found.reduction > 0.05
    assert str(found).startswith(f"blend against neighbours: {found.metric}")


def test_on_folds_all_rows_count() -> None:
    every = SUGAR.fold.pooled().train
    told = [every.y + np.random.default_rng(seed).normal(0, 10 + seed, len(every)) for seed in range(2)]
    found = gain(board_of(SUGAR, [(Blend(), told[0]), (Linear(), told[1])], folds=4))
    assert found.scores[0] == pytest.approx(root_mean_squared_error(every.y, told[0]))


def test_without_an_ensemble_there_is_no_gain() -> None:
    told = SUGAR.fold.valid.y + 1.0
    with pytest.raises(UserError, match="no ensemble contender was ranked"):
        gain(board_of(SUGAR, [(Linear(), told), (replace(Linear(), name="again"), told)]))
    with pytest.raises(UserError, match="no single contender was ranked"):
        gain(board_of(SUGAR, [(Blend(), told)]))
