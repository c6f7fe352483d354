"""Values become places and come back."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthetic.codec import Numbers, codec_from_json, learn_numbers
from synthetic.columns import learn_codec, settled
from synthetic.table import TableCodec
from tests.synthetic.tables import penguins


def test_places_of_learned_values_give_them_back() -> None:
    table = penguins()
    codec = TableCodec.learn(table)
    again = codec.decode(codec.encode(table))
    for name in table.columns:
        a, b = table[name], again[name]
        assert a.isna().equals(b.isna()), name
        if isinstance(codec[name], Numbers) and codec[name].binned:
            low, high = a.quantile([0.02, 0.98])
            inner = a.between(low, high)
            assert (a[inner] - b[inner]).abs().max() <= (a.max() - a.min()) * 1e-6, name
        else:
            pd.testing.assert_series_equal(a, b)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1e9, 1e9) | st.sampled_from([0.0, 5.0, float("nan")]), min_size=30, max_size=200),
    st.integers(0, 2**32 - 1),
)
def test_any_numbers_are_told_within_their_range(values: list[float], seed: int) -> None:
    array = np.array(values)
    codec = learn_numbers("x", "float64", array)
    places = codec.place(array)
    assert ((places >= 0) & (places < codec.card)).all() or not codec.card
    drawn = codec.values_at(np.random.default_rng(seed).random(50) * codec.card)
    there = array[~np.isnan(array)]
    known = drawn[~np.isnan(drawn)]
    assert len(known) == 0 or (known.min() >= there.min() - 1e-6 and known.max() <= there.max() + 1e-6)
    assert np.array_equal(np.isnan(codec.values_at(places)), np.isnan(array))


def test_tokens_follow_the_order_of_values() -> None:
    values = np.concatenate([np.zeros(300), np.random.default_rng(0).lognormal(3, 1, 700)])
    codec = learn_numbers("income", "float64", values)
    assert codec.atoms.tolist() == [0.0]
    line = codec.values_at(np.arange(codec.card) + 0.5)
    assert (np.diff(line) >= 0).all()


def test_no_single_rows_extreme_is_told() -> None:
    values = np.append(np.random.default_rng(0).normal(50, 5, 999), 9_999.123)
    codec = learn_numbers("salary", "float64", values)
    assert codec.values_at(np.array([codec.card - 1e-9]))[0] < 9_999


def test_values_that_many_rows_share_within_a_bin_are_drawn_as_often() -> None:
    random = np.random.default_rng(0)
    values = random.lognormal(7, 0.6, 8_000).round(2)
    rounded = random.random(len(values)) < 0.4
    values[rounded] = values[rounded].round(-1)
    codec = learn_numbers("price", "float64", values)
    tokens = codec.place(values).astype(np.int64)
    drawn = codec.values_at(tokens + random.random(len(tokens)) * (1 - 1e-9))
    whole = [float(np.isclose(each % 10, 0).mean()) for each in (values, drawn)]
    assert whole[0] > 0.35
    assert whole[1] > 0.3 * whole[0]
    again = codec_from_json(json.loads(json.dumps(codec.to_json())))
    assert np.array_equal(codec.place(values), again.encode(pd.Series(values)))


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["2020-01-05", "2021-03-04", None] * 20, name="day"),
        pd.Series(pd.date_range("2020-01-01", periods=60, freq="7h", tz="Europe/Berlin"), name="at"),
        pd.Series(pd.to_timedelta(np.arange(60) % 9, unit="h"), name="for"),
        pd.Series(np.arange(60, dtype=np.int8) % 5, name="small"),
        pd.Series([True, None, False] * 20, name="maybe", dtype="boolean"),
        pd.Series(["a", None, "b"] * 20, name="text", dtype="string"),
        pd.Series(pd.Categorical([1, 2, 2] * 20, categories=[1, 2, 3], ordered=True), name="level"),
        pd.Series([1.5, 2.5] * 30, name="half", dtype="float32"),
    ],
    ids=lambda column: f"{column.name}: {column.dtype}",
)
def test_every_type_comes_back_as_itself_also_through_json(column: pd.Series) -> None:
    learned = learn_codec(str(column.name), column)
    codec = codec_from_json(json.loads(json.dumps(learned.to_json())))
    again = codec.decode(learned.encode(column))
    assert again.dtype == column.dtype
    assert again.isna().tolist() == column.isna().tolist()
    if not (isinstance(learned, Numbers) and learned.binned):
        pd.testing.assert_series_equal(again, column)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 2, 3, 4] * 30),
        pd.Series(np.arange(200) ** 2),
        pd.Series(np.arange(200, dtype=np.uint8)),
        pd.Series(np.arange(200) / 7).astype("float32"),
        pd.Series(np.where(np.arange(200) % 9, np.arange(200) / 7, np.nan)),
        pd.Series(pd.array([*range(199), None], "Int64")),
        pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(200) * 3_601, unit="s")),
        pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta([1, 2, 3, 4] * 30, unit="D")),
    ],
)
def test_numbers_made_whole_columns_at_a_time_are_those_made_value_by_value(column: pd.Series) -> None:
    codec = learn_codec("x", column)
    assert isinstance(codec, Numbers)
    places = np.random.default_rng(0).random(500) * codec.card
    made = TableCodec((codec,)).decode(places[:, None])
    pd.testing.assert_frame_equal(made, codec.column(codec.values_at(places)).to_frame("x"))
    assert made["x"].dtype == column.dtype
    made.iloc[:, 0] = made["x"].iloc[0]  # and are nobody else's: the next ones are the same
    again = TableCodec((codec,)).decode(places[:, None])["x"]
    pd.testing.assert_series_equal(again, codec.column(codec.values_at(places)), check_names=False)


def test_numbers_of_a_csv_file_are_read_as_numbers() -> None:
    table = pd.DataFrame(
        {"n": ["1", "2"] * 20, "x": ["1.5", None] * 20, "code": ["007", "012"] * 20, "yes": ["no", "yes"] * 20}
    )
    assert settled(table).dtypes.astype(str).tolist() == ["int64", "float64", "object", "object"]
