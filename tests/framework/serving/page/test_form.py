"""The playground's fields: a column's typical value, a slider over its usual ones, a sentence for what does not fit."""

from pathlib import Path

import pytest

from framework.data.column import Column
from framework.monitoring.reference import Summary
from framework.serving.live import open_model
from framework.serving.page.form import fields, filled, row_of, slider_of, text_of, value_of
from framework.serving.page.numbers import alike, breakable, natural, percent, signed
from tests.framework.serving.page.conftest import NASTY


def test_a_form_left_alone_is_the_model_s_example(birds: Path) -> None:
    served = open_model("birds", uri=str(birds), version=None, folder=str(birds))
    known = fields(served, ["island", NASTY])
    assert [field.column.name for field in known][:2] == ["island", NASTY]
    assert row_of(filled(known, {})) == served.example()
    assert list(row_of(known)) == list(served.predictor.schema.names)
    island, depth = known[:2]
    assert island.slider is None
    assert depth.slider is not None
    assert 13 < float(depth.slider.least) < float(depth.value) < float(depth.slider.most) < 22
    assert float(depth.slider.step) == 0.01
    year = next(field for field in known if field.column.name == "year")
    assert year.slider is not None
    assert (year.slider.least, year.slider.most, year.slider.step) == ("2007", "2009", "1")


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        (Column("n", "number"), "3.5", 3.5),
        (Column("n", "number"), " 1,250 ", 1250.0),
        (Column("n", "number", written=","), "3,5", 3.5),
        (Column("n", "number"), "", None),
        (Column("n", "number"), "n/a", None),
        (Column("b", "boolean"), "yes", True),
        (Column("b", "boolean"), "no", False),
        (Column("c", "category", ("a", "b")), "a", "a"),
        (Column("d", "date", example="2024-05-01T00:00:00"), "2024-06-30", "2024-06-30"),
        (Column("t", "text"), "Élan", "Élan"),
    ],
)
def test_a_text_means_what_its_column_holds(column: Column, text: str, value: object) -> None:
    assert value_of(column, text) == value


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (Column("n", "number", example=4200.0), "4200"),
        (Column("n", "number", example=0.1 + 0.2), "0.3"),
        (Column("b", "boolean", example=False), "no"),
        (Column("d", "date", example="2024-05-01T00:00:00"), "2024-05-01"),
        (Column("d", "date", example="2024-05-01T07:30:00"), "2024-05-01T07:30:00"),
        (Column("c", "category", ("a",), example="a"), "a"),
        (Column("n", "number"), ""),
    ],
)
def test_a_field_shows_its_column_s_example(column: Column, shown: str) -> None:
    assert text_of(column) == shown


def test_a_slider_needs_a_spread() -> None:
    column = Column("n", "number")
    assert slider_of(column, None) is None
    assert slider_of(column, Summary(10, 0, (5.0, 5.0), (0.5, 1.0))) is None
    found = slider_of(column, Summary(10, 0, (-0.0123, 0.0, 0.0456), (0.1, 0.5, 1.0)))
    assert found is not None
    assert (found.least, found.most, found.step) == ("-0.0123", "0.0456", "0.0001")
    assert slider_of(Column("t", "text"), Summary(10, 0, (1.0, 9.0), (0.5, 1.0))) is None


def test_numbers_are_written_in_natural_units() -> None:
    assert [natural(value) for value in (0.84123, 12.3456, 27840.4, 3, -2.5, 1e20, float("nan"))] == [
        "0.8412", "12.35", "27,840", "3", "−2.5000", "100,000,000,000,000,000,000", "–",
    ]  # fmt: skip
    assert [signed(value, 0.5) for value in (0.5, -0.0123, 0.0)] == ["+0.500", "−0.012", "0.000"]
    assert [alike(value, 51_200.0) for value in (51_200.0, -9.5, -0.1)] == ["51,200", "−10", "0"]
    assert alike(0.0, 0.0) == "0.00"
    assert percent(0.12345) == "12.3 %"
    assert breakable("bill_lengthMm<b>") == "bill_<wbr>length<wbr>Mm&lt;b&gt;"
