"""Many rows: the same from any number of workers, none twice by the same seed, in one whole file with a manifest."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cluster.connect import Session
from framework.plain import WriteError
from synthetic.condition_error import ConditionError
from synthetic.copula import Copula
from synthetic.fitted import Fitted, SamplingError
from synthetic.parts import write_parts
from synthetic.sharded import digest, row_keys, write_rows
from tests.synthetic.tables import fitted

ROWS = 3_500


@cache
def continuous() -> tuple[pd.DataFrame, Fitted]:
    """Rows of which no two are alike."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {"x": random.normal(size=400), "y": random.normal(size=400), "z": random.choice(list("ab"), 400)}
    )
    return table, Copula().fit(table)


def test_the_rows_are_the_same_from_one_two_and_four_workers(ray_session: Session, tmp_path: Path) -> None:
    told = {}
    for workers in (1, 2, 4):
        path = tmp_path / f"{workers}.parquet"
        told[workers] = write_rows(fitted("ar"), path, rows=ROWS, seed=7, workers=workers, shard_rows=500)
        assert pd.read_parquet(path).shape == (ROWS, len(fitted("ar").table.names))
    assert len({manifest.digest for manifest in told.values()}) == 1
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "1.parquet"), pd.read_parquet(tmp_path / "4.parquet"))


def test_parts_that_workers_write_hold_the_rows_of_the_one_file(ray_session: Session, tmp_path: Path) -> None:
    one = write_rows(fitted("copula"), tmp_path / "one.parquet", rows=ROWS, seed=7, shard_rows=500)
    many = write_parts(fitted("copula"), tmp_path / "many", rows=ROWS, seed=7, shard_rows=500, workers=2)
    assert many.digest == one.digest
    assert [part["rows"] for part in many.shards] == [500] * 7
    parts = sorted((tmp_path / "many").glob("part-*.parquet"))
    whole = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    pd.testing.assert_frame_equal(whole, pd.read_parquet(tmp_path / "one.parquet"))
    assert json.loads((tmp_path / "many" / "manifest.json").read_text())["digest"] == one.digest
    with pytest.raises(WriteError, match="is there already"):
        write_parts(fitted("copula"), tmp_path / "many", rows=10)


def test_parts_of_too_many_copies_leave_nothing(ray_session: Session, tmp_path: Path) -> None:
    coarse = pd.DataFrame({"a": [0, 1] * 100, "b": [0, 0, 1, 1] * 50})
    with pytest.raises(SamplingError, match=r"rows are equal to rows learned from.*--keep-copies"):
        write_parts(Copula().fit(coarse), tmp_path / "x", rows=400, copies_of=coarse, shard_rows=100)
    assert not list(tmp_path.iterdir())


def test_a_column_may_be_missing_in_the_first_shard_and_not_in_others(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"x": random.normal(size=2_000), "rare": [None] * 1_990 + ["a", "b"] * 5})
    table["number"] = np.where(np.arange(2_000) < 1_990, np.nan, 1.0)
    table["truth"] = pd.Series([None] * 1_990 + [True, False] * 5, dtype=object)
    write_rows(Copula().fit(table), tmp_path / "rows.parquet", rows=4_000, shard_rows=20, seed=1)
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert rows.iloc[:20][["rare", "number", "truth"]].isna().all(axis=None)
    assert set(rows["rare"].dropna()) == {"a", "b"}
    assert set(rows["truth"].dropna()) == {True, False}
    assert rows["number"].notna().any()
    assert rows.dtypes.tolist() == table.dtypes.tolist()


def test_a_mistake_on_a_worker_is_a_sentence_here(ray_session: Session, tmp_path: Path) -> None:
    coarse = pd.DataFrame({"a": [0, 1] * 100, "b": [0, 0, 1, 1] * 50})
    with pytest.raises(SamplingError, match=r"rows are equal to rows learned from.*--keep-copies"):
        write_rows(Copula().fit(coarse), tmp_path / "x.parquet", rows=400, copies_of=coarse, workers=2, shard_rows=100)
    assert not list(tmp_path.iterdir())


def test_no_two_shards_repeat_a_row(tmp_path: Path) -> None:
    manifest = write_rows(continuous()[1], tmp_path / "rows.parquet", rows=2_000, shard_rows=250)
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert len(rows.drop_duplicates()) == 2_000
    assert len({shard["sha256"] for shard in manifest.shards}) == len(manifest.shards) == 8
    other = write_rows(continuous()[1], tmp_path / "other.parquet", rows=2_000, shard_rows=250, seed=1)
    assert other.digest != manifest.digest
    assert not set(row_keys(pd.read_parquet(tmp_path / "other.parquet"))) & set(row_keys(rows))


def test_the_manifest_tells_what_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    manifest = write_rows(fitted("copula"), path, rows=300, seed=4, conditions={"species": "Gentoo"}, shard_rows=200)
    told = json.loads((tmp_path / "rows.manifest.json").read_text())
    rows = pd.read_parquet(path)
    assert told["rows"] == len(rows) == 300
    assert told["conditions"] == {"species": "Gentoo"}
    assert told["facts"]["engine"] == "copula"
    assert [shard["rows"] for shard in told["shards"]] == [200, 100]
    assert told["shards"][0]["sha256"] == digest(rows.iloc[:200])
    assert told["digest"] == manifest.digest
    assert rows["species"].eq("Gentoo").all()


def test_rows_equal_to_one_learned_from_are_dropped_and_counted(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    coarse = pd.DataFrame({name: random.integers(0, 6, 300) for name in "abcd"})
    model = Copula().fit(coarse)
    plain = write_rows(model, tmp_path / "plain.parquet", rows=1_000)
    clean = write_rows(model, tmp_path / "clean.parquet", rows=1_000, copies_of=coarse)
    learned = set(map(tuple, coarse.to_numpy()))
    copies = [row in learned for row in map(tuple, pd.read_parquet(tmp_path / "plain.parquet").to_numpy())]
    assert sum(copies) > 0
    rows = pd.read_parquet(tmp_path / "clean.parquet")
    assert len(rows) == 1_000
    assert not learned & set(map(tuple, rows.to_numpy()))
    assert clean.copies_dropped >= sum(copies)
    assert plain.copies_dropped == 0


def test_nothing_is_left_where_rows_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConditionError, match="never had the value 'Emperor'"):
        write_rows(fitted("copula"), tmp_path / "a.parquet", rows=10, conditions={"species": "Emperor"})
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        write_rows(fitted("copula"), tmp_path / "file" / "b.parquet", rows=10)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
