"""The table of synthetic rows: means over splits, their interval, and ceilings beside them."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.synthetic import interval, measured, rarest, summary
from benchmarks.synthetic_contest import SHOWN, report
from tests.synthetic.tables import attrition


def test_the_interval_is_students() -> None:
    values = [0.97, 0.99, 1.01]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert 2 * interval(values) == pytest.approx(high - low)
    assert math.isnan(interval([0.9]))


def test_seeds_are_averaged_within_a_split_and_the_interval_is_of_splits() -> None:
    told = {(split, seed): {"C2ST": (0.6 + split / 10 + seed / 100, 0.5)} for split in (0, 1) for seed in (0, 2)}
    half = stats.t.ppf(0.975, 1) * np.std([0.61, 0.71], ddof=1) / math.sqrt(2)
    assert summary(told) == {"C2ST": f"0.660 ± {half:.3f} (0.500)"}
    assert summary({(0, 0): {"fit CPU-s": (12.34, math.nan)}}) == {"fit CPU-s": "12.3"}


def test_the_rarest_category_counts_from_half_a_percent() -> None:
    real = pd.DataFrame({"a": ["x"] * 988 + ["y"] * 10 + ["z"] * 2})
    assert rarest(real, pd.DataFrame({"a": ["x"] * 995 + ["y"] * 5})) == pytest.approx(0.5)
    assert rarest(real, pd.DataFrame({"a": ["x"] * 1_000})) == 0.0


def test_a_fit_is_told_with_what_real_rows_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.synthetic.MANY", 1_000)
    figures, fitted = measured(attrition(), "copula", "Attrition", seed=0, split=1)
    assert fitted.facts["rows"] == 1_176
    assert all(0.8 < each < 1 for each in figures["quality"])
    assert figures["quality ÷ ceiling"][0] == pytest.approx(figures["quality"][0] / figures["quality"][1])
    assert figures["C2ST"][0] > figures["C2ST"][1] > 0.4
    assert figures["TSTR ÷ TRTR"][0] < 1.05
    assert figures["fit CPU-s"][0] > 0


def test_the_winner_is_told_beside_the_best_other_over_the_seeds_that_both_have() -> None:
    told = dict.fromkeys(SHOWN, 0.5) | {"gate": ""}
    kept = {
        "wa_churn/contest/0": told | {"TSTR ÷ TRTR": 0.96},
        "wa_churn/contest/1": told | {"TSTR ÷ TRTR": 0.50},
        "wa_churn/mostlyai/0": told | {"TSTR ÷ TRTR": 0.99},
        "wa_churn/ar/0": told | {"TSTR ÷ TRTR": 0.95, "gate": "it leaks."},
        "wa_churn/sdv_tvae/0": {"failed": ["killed"]},
        "ames/contest/0": told | {"TSTR ÷ TRTR": 0.90},
        "ames/ar/0": told | {"TSTR ÷ TRTR": 0.80},
        "HMDA/contest/0": told,
        "HMDA/ar/1": told,
    }
    wa_churn, ames, hmda = report(kept).split("\n**")[1:]
    assert "contest's TSTR is 3.0% below that of mostlyai." in wa_churn  # (0.99 - 0.96) / 0.99
    assert "| sdv_tvae | failed: killed |" in wa_churn
    assert [line.split(" | ")[-1] for line in wa_churn.splitlines() if line.startswith("| ar")] == ["0 of 1 |"]
    assert "contest's TSTR is 12.5% above that of ar." in ames
    assert "contest's TSTR" not in hmda
