"""What every synthesizer promises, whichever engine is in it."""

import subprocess
import sys
from dataclasses import FrozenInstanceError, is_dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from framework.contender import Context
from framework.data.data_error import DataError
from synthetic.columns import ColumnError
from synthetic.condition_error import ConditionError
from synthetic.constraints import Predicate
from synthetic.engines import EngineError, engine, names
from synthetic.fitted import BLOCK, Fitted, SynthesizerStoreError
from synthetic.sdv import SDVError
from synthetic.synthesizer import Synthesizer
from synthetic.table import TableCodec
from tests.synthetic.tables import ENGINES, fitted, penguins

ROOT = Path(__file__).parents[2]
each = pytest.mark.parametrize("name", ENGINES)
OURS = [name for name in ENGINES if not name.startswith("sdv")]


def test_every_engine_is_a_frozen_dataclass_under_its_name() -> None:
    assert set(ENGINES) <= set(names())
    for name in names():
        made = engine(name)
        assert isinstance(made, Synthesizer)
        assert is_dataclass(made)
        assert made.name == name
        assert bool(made.licence) == name.startswith("sdv:")
        with pytest.raises(FrozenInstanceError):
            made.name = "another"  # type: ignore[misc]
    with pytest.raises(EngineError, match=r"there is no engine 'ctgan'; there are: auto, .*sdv:ctgan"):
        engine("ctgan")


@each
def test_rows_have_the_columns_dtypes_and_values_that_were_learned(name: str) -> None:
    table, rows = penguins(), fitted(name).sample(500, seed=1)
    assert len(rows) == 500
    assert list(rows.columns) == list(table.columns)
    assert rows.dtypes.tolist() == table.dtypes.tolist()
    assert set(rows["species"]) == set(table["species"])
    assert set(rows["island"].cat.categories) == {"Dream", "Biscoe", "Torgersen", "Elsewhere"}
    assert "Elsewhere" not in set(rows["island"])
    assert rows["planet"].eq("Earth").all()
    assert rows["wings"].isna().all()
    assert (rows["flipper_length_mm"].dropna() % 1 == 0).all()
    assert rows["seen"].dt.normalize().equals(rows["seen"])
    for column in ("bill_length_mm", "body_mass_g", "seen"):
        assert rows[column].dropna().between(table[column].min(), table[column].max()).all()


@each
def test_the_missing_share_is_kept(name: str) -> None:
    table, rows = penguins(), fitted(name).sample(2_000, seed=2)
    slack = 0.12 if name == "gan" else 0.05  # a GAN of a second's training
    for column in table.columns:
        assert abs(rows[column].isna().mean() - table[column].isna().mean()) < slack, column


@each
def test_the_same_seed_gives_the_same_rows_and_another_others(name: str) -> None:
    rows = fitted(name).sample(200, seed=5)
    pd.testing.assert_frame_equal(rows, fitted(name).sample(200, seed=5))
    assert not rows.equals(fitted(name).sample(200, seed=6))
    again = ENGINES[name].fit(penguins(), (), Context(seed=3)).sample(200, seed=5)
    pd.testing.assert_frame_equal(rows, again)


@pytest.mark.parametrize("name", ["ar", "copula"])
def test_no_more_rows_are_made_than_are_kept_and_they_are_those_of_a_constraint_that_always_holds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    always = Predicate(("species",), lambda rows: seen.append(len(rows)) or np.ones(len(rows), dtype=bool))
    asked_of_each = replace(fitted(name), constraints=(always,))
    counts = (0, 1, 100, 9_000)
    expected = [asked_of_each.sample(n, seed=4) for n in counts]
    assert all(drawn > n for drawn, n in zip(seen, (0, 1, 100), strict=False))
    real, made = TableCodec.decode, []
    monkeypatch.setattr(TableCodec, "decode", lambda table, places: made.append(len(places)) or real(table, places))
    for n, rows in zip(counts, expected, strict=True):
        pd.testing.assert_frame_equal(fitted(name).sample(n, seed=4), rows)
    assert made == [0, 1, 100, BLOCK, 9_000 - BLOCK]


@each
def test_no_rows_are_a_table_without_rows(name: str) -> None:
    rows = fitted(name).sample(0)
    assert rows.empty
    assert rows.dtypes.tolist() == penguins().dtypes.tolist()
    with pytest.raises(ConditionError, match="-1 rows were asked for"):
        fitted(name).sample(-1)


@each
def test_conditions_hold_in_every_row(name: str) -> None:
    rows = fitted(name).sample(50, {"species": "Gentoo", "heavy": True}, seed=1)
    assert len(rows) == 50
    assert rows["species"].eq("Gentoo").all()
    assert rows["heavy"].all()


@each
@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ({"species": "Emperor"}, "column 'species' never had the value 'Emperor'"),
        ({"kind": "Gentoo"}, "a condition names column 'kind', which is not in the table"),
        ({"body_mass_g": 90_000}, "'body_mass_g' never had the value 90000 .* between 2800.0 and 61"),
        ({"body_mass_g": "heavy"}, "column 'body_mass_g' takes a number; 'heavy' is none"),
        ({"species": None}, "column 'species' was never missing"),
    ],
)
def test_a_condition_never_seen_is_refused_before_anything_is_drawn(
    name: str, conditions: dict[str, object], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(*asked: object) -> None:
        raise AssertionError("rows were drawn")

    monkeypatch.setattr(type(fitted(name).core), "draw", drawn)
    with pytest.raises(ConditionError, match=told):
        fitted(name).sample(10, conditions)


@pytest.mark.parametrize("name", OURS)
def test_saved_as_plain_data_it_draws_the_same_rows_in_a_fresh_process(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    fitted(name).save(folder)
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert kinds <= {".json", ".safetensors"}
    script = (
        "import sys; from pathlib import Path; from synthetic.fitted import Fitted\n"
        "Fitted.load(Path(sys.argv[1])).sample(100, {'species': 'Adelie'}, seed=9).to_parquet(sys.argv[2])\n"
        "print([m for m in ('sdv', 'ctgan', 'rdt', 'copulas') if m in sys.modules])"
    )
    rows = tmp_path / "rows.parquet"
    told = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(rows)], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert told.stdout.strip() == "[]"  # what is served needs nothing of SDV's licence
    pd.testing.assert_frame_equal(pd.read_parquet(rows), fitted(name).sample(100, {"species": "Adelie"}, seed=9))


@pytest.mark.parametrize("name", ENGINES)
def test_a_model_says_which_engine_made_it_of_what(name: str) -> None:
    told = fitted(name).facts
    assert told["engine"] == name == ENGINES[name].name
    assert told["licence"] == ENGINES[name].licence
    assert (told["seed"], told["rows"]) == (3, 344)


def test_a_model_of_sdv_is_not_saved_as_a_pickle(tmp_path: Path) -> None:
    with pytest.raises(SDVError, match="keeps its models as pickles"):
        fitted("sdv:gaussian_copula").save(tmp_path)
    assert "Business Source License" in fitted("sdv:gaussian_copula").facts["licence"]


def test_a_folder_of_another_project_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(SynthesizerStoreError, match="is no synthesizer"):
        Fitted.load(tmp_path)
    (tmp_path / "synthesizer.json").write_text('{"core": "os:system"}')
    with pytest.raises(SynthesizerStoreError, match="'os:system', which is not ours"):
        Fitted.load(tmp_path)


def some(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(20_000) % 7, **columns})


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (pd.DataFrame({"x": [1, 2, 3]}), "the table has 3 rows; at least 20 are needed"),
        (some(customer_id=np.arange(20_000)), "column 'customer_id' tells the rows apart.*--without customer_id"),
        (
            some(note=[f"written on day {n % 9_000} in town" for n in range(20_000)]),
            "'note' holds 9,000 distinct texts",
        ),
        (some(town=[f"town {n % 10_000}" for n in range(20_000)]), "'town' holds 10,000 distinct texts.*group"),
        (some(tags=[["a", "b"]] * 20_000), "'tags' holds nested"),
        (some(far=np.where(np.arange(20_000) == 5, np.inf, 1.5)), "'far' holds an infinite value"),
        (pd.DataFrame(np.ones((30, 2)), columns=["twice", "twice"]), "column 'twice' is there twice"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_that_cannot_be_learned_is_refused_by_name(table: pd.DataFrame, told: str) -> None:
    from framework.data.schema import SchemaError

    with pytest.raises((ColumnError, DataError, SchemaError), match=told):
        engine("copula").fit(table)


@each
def test_a_table_of_twenty_rows_and_one_of_a_single_column_are_learned(name: str) -> None:
    for table in (penguins().head(20), penguins()[["bill_length_mm"]], penguins()[["species"]].head(40)):
        rows = ENGINES[name].fit(table, (), Context(seed=1)).sample(30, seed=1)
        assert rows.dtypes.tolist() == table.dtypes.tolist()
        assert len(rows) == 30
