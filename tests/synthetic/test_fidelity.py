"""Judged: real rows reach the ceiling, poor rows do not, and what was learned by heart fails the gate."""

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from framework.contender import Context
from framework.data.data_error import DataError
from synthetic.ar import AR
from synthetic.attacks.canaries import Canaries, Planted
from synthetic.constraints import Range
from synthetic.copula import Copula
from synthetic.fidelity import Fidelity, judge
from synthetic.fidelity_figures import figures, marginals
from synthetic.fidelity_repeats import together
from synthetic.likeness import alpha_beta, c2st, likeness
from synthetic.privacy import Attack
from synthetic.space import Space
from synthetic.tournament import TournamentError, contest
from tests.synthetic.tables import attrition, penguins

COLUMNS = ["Age", "Attrition", "Department", "JobRole", "MonthlyIncome", "OverTime", "TotalWorkingYears", "DailyRate",
           "YearsAtCompany", "EducationField", "DistanceFromHome", "HourlyRate"]  # fmt: skip


@cache
def parts() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Employees learned from, and others held out."""
    table = attrition()[COLUMNS].sample(frac=1, random_state=0).reset_index(drop=True)
    return table.iloc[:735], table.iloc[735:].reset_index(drop=True)


def test_real_rows_reach_the_ceiling_and_shuffled_columns_do_not() -> None:
    train, holdout = parts()
    half = holdout.iloc[:367]
    real = judge(train, holdout.iloc[367:].reset_index(drop=True), half, target="Attrition")
    assert real.passed, real.failed
    assert real.alike.quality > real.real.quality - 0.03
    assert abs(real.alike.c2st - 0.5) < 0.1
    random = np.random.default_rng(0)
    broken = pd.DataFrame({name: random.permutation(train[name]) for name in train})
    told = judge(train, holdout, broken, target="Attrition")
    assert told.alike.shape > 0.9
    assert told.alike.pair < real.alike.pair
    assert told.alike.c2st > 0.65
    assert told.useful is not None
    assert told.useful.ratio < 0.85 < told.useful.ceiling


def test_an_honest_synthesizer_passes_the_gate() -> None:
    train, holdout = parts()
    fitted = Copula().fit(train, [Range("Age", 18, 60)])
    told = judge(train, holdout, fitted.sample(len(train), seed=1), fitted=fitted, target="Attrition")
    assert told.passed, told.failed
    assert set(told.private.attacks) == {"nearest rows", "likelihood ratio"}
    assert "passed the gate" in str(told)


def test_a_net_that_learned_its_rows_by_heart_fails_the_gate() -> None:
    train, holdout = parts()
    learned = train.iloc[:200]
    by_heart = AR(width=192, dropout=0.0, epochs=250, patience=0, weight_decay=0.0, batch=64)
    fitted = by_heart.fit(learned, (), Context(seed=1))
    told = judge(learned, holdout, fitted.sample(600, seed=1), fitted=fitted, target="Attrition")
    assert not told.passed
    attack = told.private.attacks["likelihood ratio"]
    assert attack.auc > 0.8
    assert any("attack by likelihood ratio" in reason for reason in told.failed)


def test_rows_that_are_the_learned_ones_shaken_a_little_fail_the_gate() -> None:
    train, holdout = parts()
    shaken = train.assign(MonthlyIncome=train["MonthlyIncome"] + 1, DailyRate=train["DailyRate"] - 1)
    told = judge(train, holdout, shaken, target="Attrition")
    assert told.private.copies == 0.0
    assert any("attack by nearest rows" in reason for reason in told.failed)
    assert told.private.closer > 0.9
    copied = judge(train, holdout, train, target="Attrition")
    assert any("are copies of rows learned from" in reason for reason in copied.failed)


def test_a_lost_category_and_a_broken_constraint_fail_the_gate() -> None:
    train, holdout = parts()
    fitted = Copula().fit(train, [Range("Age", 18, 60)])
    rows = fitted.sample(len(train), {"Department": "Sales"}, seed=1)
    rows.loc[0, "Age"] = 99
    told = judge(train, holdout, rows, fitted=fitted, target="Attrition")
    assert any("Department=Research_Development" in reason for reason in told.failed)
    assert any("Range(column='Age', least=18, most=60) is broken by 1 rows" in reason for reason in told.failed)


def test_what_is_asked_of_too_few_rows_or_no_question_is_refused() -> None:
    train, holdout = parts()
    with pytest.raises(DataError, match="3 rows were held out"):
        judge(train, holdout.head(3), train)
    with pytest.raises(DataError, match=r"target 'Attritoin' is no column. Did you mean 'Attrition'"):
        judge(train, holdout, train, target="Attritoin")


def test_likeness_is_one_to_itself_and_symmetric_in_its_shapes() -> None:
    wine = load_wine(as_frame=True).frame
    space = Space.learn(wine)
    same = likeness(space, wine, wine)
    assert same.quality == pytest.approx(1.0)
    assert same.precision == pytest.approx(1.0, abs=0.03)
    half = wine.iloc[:89].reset_index(drop=True), wine.iloc[89:].reset_index(drop=True)
    assert likeness(space, *half).shapes == pytest.approx(likeness(space, *half[::-1]).shapes)


def test_a_cloud_in_one_spot_is_precise_and_covers_nothing() -> None:
    real = np.random.default_rng(0).normal(size=(400, 4))
    spot = real[:1] * 0.01 + np.random.default_rng(1).normal(size=(400, 4)) * 1e-3
    precision, recall = alpha_beta(real, spot)
    other = alpha_beta(real, np.random.default_rng(2).normal(size=(400, 4)))
    assert recall < 0.2 < 0.8 < other[1]
    assert precision < other[0]


def test_a_classifier_tells_nothing_of_like_rows_and_all_of_others() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 3))
    assert abs(c2st(rows, random.normal(size=(300, 3))) - 0.5) < 0.1
    assert c2st(rows, rows + 3) > 0.95


@pytest.mark.parametrize("strangers", [35, 100, 400])
def test_luck_alone_seldom_catches_more_than_chance(strangers: int) -> None:
    attack = Attack(0.5, 0.01, members=400, strangers=strangers)
    drawn = np.random.default_rng(0).random((2_000, 400 + strangers))
    caught = [(row[:400] > np.quantile(row[400:], 0.99, method="higher")).mean() for row in drawn]
    assert 0.0 < np.mean(np.array(caught) > attack.chance) < 0.05


@cache
def judgements() -> tuple[Fidelity, ...]:
    train, holdout = parts()
    fitted = Copula().fit(train)
    return tuple(judge(train, holdout, fitted.sample(735, seed=n), target="Attrition", seed=n) for n in range(3))


def test_several_judgements_are_means_with_an_interval_and_a_single_one_claims_none() -> None:
    single, several = judgements()[0], together(judgements())
    assert together(judgements()[:1]) is single
    assert {score.name: score.band for score in single.scores}["quality"] is None
    assert "…" not in str(single).splitlines()[1]
    values = [each.alike.quality for each in judgements()]
    quality = next(score for score in several.scores if score.name == "quality")
    assert quality.value == pytest.approx(np.mean(values))
    assert quality.band is not None
    half = 4.302_65 * np.std(values, ddof=1) / math.sqrt(3)  # Student's t of two degrees of freedom
    assert quality.band == pytest.approx((np.mean(values) - half, np.mean(values) + half), abs=1e-5)
    assert several.rank == pytest.approx(np.mean([each.rank for each in judgements()]))
    assert several.to_json()["judged"] == 3
    assert single.to_json()["judged"] == 1


def test_one_unlucky_judgement_of_three_is_a_remark_and_two_are_a_failure() -> None:
    fine = [replace(each, failed=()) for each in judgements()]
    poor = replace(fine[0], failed=("a category is lost.",))
    told = together([fine[0], fine[1], poor])
    assert told.passed
    assert "1 of 3 judgements failed: a category is lost." in told.remarks
    assert together([poor, fine[1], poor]).failed == ("a category is lost.",)


def test_the_winner_is_judged_on_further_splits() -> None:
    table = attrition()[COLUMNS].head(400)
    held = contest([Copula()], table, target="Attrition", seconds=600, seed=3, splits=3)
    assert held.winner.judged is not None
    assert len(held.winner.judged.repeats) == 3
    assert len({each.alike.quality for each in held.winner.judged.repeats}) == 3
    assert all(each.band is not None for each in held.winner.judged.scores)
    with pytest.raises(TournamentError, match="0 splits were asked for"):
        contest([Copula()], table, splits=0)


@pytest.mark.parametrize("table", [penguins(), attrition()], ids=["penguins", "attrition"])
def test_no_label_of_an_axis_lies_on_another(table: pd.DataFrame) -> None:
    figure = marginals(Space.learn(table), table, table)
    figure.savefig("/dev/null", format="png")  # lays it out
    boxes = [
        label.get_window_extent()
        for axes in figure.axes
        if axes.axison
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        for label in [tick.label1]
        if label.get_text() and axis.get_view_interval()[0] <= tick.get_loc() <= axis.get_view_interval()[1]
    ]
    assert len(boxes) > 40
    overlapping = [(a, b) for at, a in enumerate(boxes) for b in boxes[:at] if a.overlaps(b)]
    assert not overlapping
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= figure.bbox.x1


def test_the_page_shows_scores_and_figures_and_no_markup_of_the_table(tmp_path: Path) -> None:
    train, holdout = parts()
    named = {"Attrition": "<script>alert(1)</script>"}
    train, holdout = train.rename(columns=named), holdout.rename(columns=named)
    planted = Canaries((Planted(1, 30, 500, 0.0, 0.0, 0.5, None),))
    told = judge(train, holdout, holdout).with_canaries(planted)
    told.write(tmp_path, figures(train, holdout), title="<b>rows</b>", facts={"engine": "<i>ar</i>"})
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64") == 3
    assert "C2ST AUC" in page
    assert "attribute inference: risk" in page
    assert "30 made-up rows planted once" in page
    assert not any(mark in page for mark in ("<script>alert", "<b>rows", "<i>ar"))
