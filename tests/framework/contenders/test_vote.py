"""Votes: the mean, or the majority, ties going to the likelier class."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from cluster.user_error import UserError
from framework.contender import Context
from framework.contenders.ensemble import Ensemble
from framework.contenders.linear import Linear
from framework.contenders.neighbours import Neighbours
from framework.contenders.store import open_model, store_model
from framework.contenders.vote import Vote, VoteModel, count
from framework.contenders.xgboost import XGBoost
from framework.data.load import load

WINE = load(load_wine(as_frame=True).frame, target="target", kind="multiclass")
MEMBERS = (Linear(strength=1.0, bends=False), Neighbours(5), XGBoost(rounds=10))


def test_a_majority_is_what_scikit_learn_calls_one() -> None:
    X, y = load_wine(return_X_y=True)
    learned = [("l", LogisticRegression(max_iter=500)), ("n", GaussianNB()), ("t", DecisionTreeClassifier(max_depth=2))]
    voting = VotingClassifier(learned, voting="hard").fit(X[::2, [2, 4]], y[::2])
    answers = {name: one.predict_proba(X[:, [2, 4]]) for name, one in zip("lnt", voting.estimators_, strict=True)}
    told = count(answers)
    assert np.allclose(told.sum(axis=1), 1.0)
    together = np.mean(list(answers.values()), axis=0)
    votes = np.round(3 * told)
    clear = votes.max(axis=1) > 1
    assert 0 < np.count_nonzero(~clear) < len(X) / 2
    assert np.array_equal(told.argmax(axis=1)[clear], voting.predict(X[:, [2, 4]])[clear])
    assert np.array_equal(told.argmax(axis=1)[~clear], together.argmax(axis=1)[~clear])
    assert np.allclose(told, votes / 3, atol=1e-5)


def test_a_soft_vote_is_the_mean() -> None:
    model = Vote(MEMBERS).fit(WINE.fold, Context())
    each = [member.fit(WINE.fold, Context()).predict(WINE.test.X) for member in MEMBERS]
    assert np.allclose(model.predict(WINE.test.X), np.mean(each, axis=0))


def test_a_hard_vote_of_models_comes_back_from_disk(tmp_path: Path) -> None:
    model = Vote(MEMBERS, how="hard").fit(WINE.fold, Context())
    assert isinstance(model, VoteModel)
    store_model(model, tmp_path)
    told = open_model(tmp_path).predict(WINE.test.X)
    assert np.array_equal(told, model.predict(WINE.test.X))
    assert set(np.round(3 * told).astype(int).ravel()) <= {0, 1, 2, 3}


def test_in_a_contest_the_answers_that_are_there_are_counted() -> None:
    fold = WINE.fold
    models = {member.name: member.fit(fold, Context()) for member in MEMBERS}
    answers = {name: model.predict(fold.valid.X) for name, model in models.items()}
    assert isinstance(Vote(), Ensemble)
    for how in ("soft", "hard"):
        combined = Vote(how=how).combine(answers, fold.valid, fold, Context())
        assert combined.members == tuple(models)
        assert combined.remark == f"{how} vote of 3"
        assert np.allclose(combined.make(models).predict(fold.valid.X), combined.predicted)


def test_a_vote_that_cannot_be_held_says_why() -> None:
    sugar = load(load_diabetes(as_frame=True).frame, target="target", kind="regression").fold
    with pytest.raises(UserError, match="how='hard' counts votes for classes; kind='regression'"):
        Vote(MEMBERS, how="hard").fit(sugar, Context())
    with pytest.raises(UserError, match="one member, linear: an ensemble of one"):
        Vote(MEMBERS[:1]).fit(sugar, Context())
    with pytest.raises(UserError, match="two members of vote are called 'linear'"):
        Vote((MEMBERS[0], *MEMBERS)).fit(sugar, Context())
    with pytest.raises(UserError, match="only linear has any"):
        Vote().combine({"linear": np.zeros(3)}, sugar.valid, sugar, Context())


def test_a_member_that_fails_does_not_vote() -> None:
    heard: list[str] = []
    broken = Linear(strength=-1.0, bends=False, name="broken")
    vote = Vote((*MEMBERS, broken))
    model = vote.fit(WINE.fold, Context(teller=heard.append))
    assert heard[0].startswith("without broken: ")
    assert [member.name for member in vote.settled(model).members] == [member.name for member in MEMBERS]
