"""Who learns from the members' answers, by name: small and strongly regularised, for members say nearly the same."""

from dataclasses import replace
from typing import Literal, get_args

from framework.contender import Contender, Context, Model
from framework.contenders.ensemble import FOLDS, lent
from framework.contenders.inner_folds import deal
from framework.data.frame import Fold

Learner = Literal["nnls", "logistic", "ridge", "boosting", "net"]
LEARNERS: tuple[str, ...] = get_args(Learner)


def learner(name: str) -> Contender:
    """The contender behind a name; "nnls" is none, it only weighs (`framework.contenders.nnls`)."""
    from framework.contenders.linear import Linear
    from framework.contenders.neural import Neural
    from framework.contenders.xgboost import XGBoost

    if name == "boosting":
        return XGBoost(rounds=300, learning_rate=0.05, depth=3, min_child_weight=10.0, patience=20, name=name)
    if name == "net":
        return Neural(width=32, layers=1, members=4, batch=64, learning_rate=0.01, looks=60, patience=8, name=name)
    return Linear(bends=False, log_target=False, name=name)


def stopped(contender: Contender, fold: Fold, context: Context) -> Model:
    """A contender fit on all of `fold.train`, with what it found when it could stop by a fifth of these rows."""
    part = deal(fold, FOLDS, seed=context.seed)[-1]
    inner = replace(fold, train=fold.train.take(part.learn), valid=fold.train.take(part.held))
    return contender.settled(contender.fit(inner, lent(context, 0.5))).fit(fold, context)
