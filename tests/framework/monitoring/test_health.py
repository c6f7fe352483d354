"""A served model looked at through its log: steady, drifted, worse, failing."""

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from framework.metric import metric
from framework.monitoring.alerts import Rules, Traffic, alerts
from framework.monitoring.health import monitor
from framework.monitoring.outcomes import OutcomeLog
from framework.monitoring.page import page
from framework.monitoring.parts import LogError
from framework.monitoring.performance import Window
from framework.predictor import Predictor
from framework.statistics.bootstrap import Interval
from framework.statistics.bootstrap import interval as bootstrap
from tests.framework.monitoring.conftest import BEGAN, EVERY


@pytest.fixture
def live(staff) -> pd.DataFrame:
    return staff.iloc[900:].reset_index(drop=True)


def post(log, rows: pd.DataFrame, outcomes) -> None:
    posting = OutcomeLog(log)
    posting.post(
        [{"request": f"r{place}", "outcome": str(value)} for place, value in zip(rows.index, outcomes, strict=True)]
    )
    posting.close()


def test_a_steady_model_is_well(model, ask, live, tmp_path):
    ask(tmp_path, live)
    post(tmp_path, live, live["Attrition"])
    seen = monitor(model, tmp_path, hours=24)
    assert seen.alerts == ()
    assert seen.exit_status == 0
    assert seen.traffic.requests == seen.traffic.rows == len(live)
    assert seen.traffic.median == pytest.approx(0.01)
    assert seen.drift.drifted == ()
    assert len(seen.performance.windows) == math.ceil(len(live) * EVERY / 86_400)
    assert sum(window.rows for window in seen.performance.windows) == len(live)
    assert "no alert" in str(seen)


def test_the_score_is_that_of_the_model_on_these_rows(model, ask, live, tmp_path):
    ask(tmp_path, live)
    known = live.iloc[:300]
    post(tmp_path, known, known["Attrition"])
    whole = monitor(model, tmp_path).performance.whole
    predictor = Predictor.open(model)
    answers, _ = predictor.predict(known.drop(columns="Attrition"))
    from framework.data.frame import Truth

    classes = predictor.schema.classes
    truth = Truth(y=np.array([classes.index(label) for label in known["Attrition"].astype(str)]), classes=2)
    P = answers[[f"proba_{label}" for label in classes]].to_numpy()
    assert whole.rows == 300
    assert whole.answered == len(live)
    assert whole.score == pytest.approx(metric("roc_auc").score(truth, P))
    assert whole.interval == bootstrap(metric("roc_auc"), truth, P, seed=0)


def test_what_drifts_fails_and_gets_worse_is_told(model, ask, live, tmp_path):
    odd = live.assign(
        Age=live["Age"] + 15, DistanceFromHome=live["DistanceFromHome"] * 3, MonthlyIncome=live["MonthlyIncome"] * 2
    )
    ask(tmp_path, odd, failed=30, seconds=2.0)
    turned = np.where(live["Attrition"].astype(str) == "Yes", "No", "Yes")
    post(tmp_path, live, turned)
    seen = monitor(model, tmp_path, rules=Rules(drifted=0.05), failing=True)
    assert [each.rule for each in seen.alerts if each.rule != "answers"] == [
        "drifted",
        "joint",
        "errors",
        "seconds",
        "loss",
    ]
    assert {"Age", "DistanceFromHome", "MonthlyIncome"} <= set(seen.drift.drifted)
    assert "30 of 570 requests failed" in str(seen)
    assert seen.exit_status == 3
    assert monitor(model, tmp_path, rules=Rules(drifted=0.05)).exit_status == 0
    nothing = Rules(drifted=None, joint=None, answers=False, errors=None, seconds=None, loss=None)
    assert monitor(model, tmp_path, rules=nothing, failing=True).exit_status == 0


def test_a_dependence_that_is_gone_is_told_though_no_column_has_moved(model, ask, live, tmp_path):
    """Every column is shuffled by itself: each is as it was, and together they are people who cannot be."""
    random = np.random.default_rng(0)
    apart = pd.DataFrame({name: random.permutation(live[name].to_numpy()) for name in live.columns})
    ask(tmp_path, apart)
    seen = monitor(model, tmp_path, hours=24, failing=True)
    assert seen.drift.drifted == ()
    (alert,) = [each for each in seen.alerts if each.rule != "answers"]
    assert (alert.rule, alert.value) == ("joint", seen.drift.joint.mmd)
    assert alert.value > alert.limit == Rules().joint
    assert "all columns together drifted: MMD" in str(seen)
    assert seen.exit_status == 3
    assert "joint" not in {each.rule for each in monitor(model, tmp_path, rules=Rules(joint=1.0)).alerts}
    assert "joint" not in {each.rule for each in monitor(model, tmp_path, rules=Rules(joint=None)).alerts}


def test_only_the_time_asked_for_is_looked_at(model, ask, live, tmp_path):
    ask(tmp_path, live)
    seen = monitor(model, tmp_path, since=BEGAN + 100 * EVERY, until=BEGAN + 200 * EVERY)
    assert seen.traffic.requests == 100
    assert seen.begin == pd.Timestamp(BEGAN + 100 * EVERY, unit="s", tz="UTC")
    with pytest.raises(LogError, match="no request to 'leavers' in this time"):
        monitor(model, tmp_path, until=BEGAN)


def test_outcomes_that_do_not_fit_are_told(model, ask, live, tmp_path):
    ask(tmp_path, live)
    pd.DataFrame({"request": ["r0", "r1", "elsewhere"], "outcome": ["Yes", "Perhaps", "No"]}).to_csv(
        tmp_path / "came.csv", index=False
    )
    seen = monitor(model, tmp_path, came=str(tmp_path / "came.csv"))
    assert "'Perhaps' is no class of 'Attrition' (No, Yes); 1 such are left out" in str(seen)
    assert math.isnan(seen.performance.whole.score)
    assert not seen.alerts
    with pytest.raises(LogError, match="at most 1,000"):
        monitor(model, tmp_path, came=str(tmp_path / "came.csv"), hours=0.001)


def test_a_model_without_a_reference_has_no_drift_and_says_why(model, ask, live, tmp_path):
    from dataclasses import replace

    bare = replace(Predictor.open(model), reference=None).save(tmp_path / "model")
    ask(tmp_path / "log", live)
    seen = monitor(bare, tmp_path / "log")
    assert seen.drift is None
    assert "keeps no training reference" in str(seen)
    page(seen)


class Collected(HTMLParser):
    """The tags and addresses of a page; fails where a tag is not closed in its order."""

    VOID = frozenset({"meta", "rect", "line", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "action")]
        if tag not in self.VOID or tag == "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID - {"rect"}:
            assert self.open.pop() == tag


def test_the_page_stands_alone_and_escapes_what_clients_sent(model, ask, live, tmp_path):
    evil = "<script>alert(1)</script>"
    ask(tmp_path / "log", live.assign(Department=evil))
    post(tmp_path / "log", live, live["Attrition"])
    seen = monitor(model, tmp_path / "log").write(tmp_path / "out", config={"seed": 0})
    written = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in written
    parsed = Collected()
    parsed.feed(written)
    assert parsed.addresses == []
    assert not re.search(r"https?://|@import|url\(", written)
    assert {"table", "svg", "rect", "circle", "title"} <= set(parsed.tags)
    assert "prefers-color-scheme:dark" in written
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["drift"]["drifted"] == ["Department"]
    assert report["performance"]["whole"]["rows"] == len(live)
    assert report["config"] == {"seed": 0}
    assert "Department" in seen._repr_html_()


BUSY = Traffic(requests=1_000, rows=1_000, refused=0, failed=0, median=0.01, p99=0.1)


@pytest.mark.parametrize(("failed", "told"), [(11, False), (16, False), (20, True)])
def test_an_error_rate_is_told_when_it_is_more_than_chance(failed, told):
    from dataclasses import replace

    found = alerts(Rules(errors=0.01), replace(BUSY, failed=failed), None)
    assert bool(found) == told


@pytest.mark.parametrize(
    ("name", "score", "low", "high", "told"),
    [
        ("roc_auc", 0.6, 0.55, 0.65, True),
        ("roc_auc", 0.6, 0.5, 0.73, False),  # it may be as good as the limit of 0.72
        ("rmse", 12.0, 11.5, 13.0, True),
        ("rmse", 9.0, 8.5, 9.5, False),
    ],
)
def test_a_score_is_told_when_it_is_surely_worse(name, score, low, high, told):
    begin = pd.Timestamp(0, unit="s", tz="UTC")
    windows = [Window(begin, begin, 100, 100, score, Interval(low, high)), Window(begin, begin, 100, 3)]
    baseline = 0.8 if name == "roc_auc" else 10.0 if told else 9.0
    found = alerts(Rules(loss=0.1), BUSY, None, scored=metric(name), baseline=baseline, windows=windows)
    assert [each.rule for each in found] == ["loss"] * told
