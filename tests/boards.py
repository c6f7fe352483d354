"""Leaderboards without a contest: two contenders fit in this process, their scores real ones."""

import math
from typing import Any

from sklearn.datasets import load_breast_cancer

from framework.contender import Contender, Context
from framework.contenders import Constant, LightGBM
from framework.data.load import load
from framework.leaderboard import Entry, Failure, Leaderboard, Winner
from framework.metric import metric
from framework.predictor import Predictor
from framework.statistics import interval


def tumours() -> Any:
    """569 rows in the order of their file, `target` 0 or 1."""
    return load_breast_cancer(as_frame=True).frame


def board(source: Any, contender: Contender | None = None, **asked: Any) -> Leaderboard:
    """A board whose winner is `contender`, followed by a constant and a crash. asked: of `load`."""
    split = load(source, **asked)
    scored, fold, test = metric(split.problem.metric), split.fold, split.test
    entries = []
    for each in (contender or LightGBM(rounds=20), Constant()):
        model = each.fit(fold, Context(seed=split.seed))
        predicted = model.predict(fold.valid.X)
        band = interval(scored, fold.valid.truth, predicted, seed=0, repeats=40)
        score = scored.score(fold.valid.truth, predicted)
        entries.append(Entry(each.name, score, band, 0.5, each, predicted, noise=0.3 if entries else math.nan))
        if len(entries) == 1:
            winner = model
    predicted = winner.predict(test.X)
    facts = {"contender": entries[0].name, "fingerprint": split.fingerprint, "seed": split.seed}
    predictor = Predictor(split.problem.name, split.problem, split.schema, winner, facts)
    band = interval(scored, test.truth, predicted, seed=0, repeats=40)
    won = Winner(entries[0].name, predictor, scored.score(test.truth, predicted), band, predicted)
    crash = Failure("<b>linear", "failed", "ValueError: <no>", 0.1, Constant(), "Traceback …")
    return Leaderboard(split, tuple(entries), (crash,), won, 3.0)
