"""Rows that were seen are known again, in whatever order, and others are not."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from framework.data.sketch import SIZE, RowSketch, digest, row_hashes

ROOT = Path(__file__).parents[3]


def table(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(seed)
    X = pd.DataFrame(
        {"a": random.standard_normal(rows), "b": pd.Categorical.from_codes(random.integers(0, 3, rows), list("xyz"))}
    )
    return X, random.integers(0, 2, rows)


def test_of_a_small_table_every_row_is_known():
    hashes = row_hashes(*table(1000, 0))
    sketch = RowSketch.of(hashes[:700])
    assert sketch.seen(hashes[:700][::-1]) == 1.0
    assert sketch.seen(hashes[700:]) == 0.0
    assert sketch.seen(hashes) == pytest.approx(0.7)
    assert sketch.repeated == 0.0


def test_of_a_large_table_the_share_is_told_from_a_part_of_the_rows():
    hashes = row_hashes(*table(4 * SIZE, 0))
    sketch = RowSketch.of(hashes)
    assert len(sketch.kept) == SIZE
    others = row_hashes(*table(20_000, 1))
    mixed = np.concatenate([hashes[:5_000], others[:15_000]])
    assert sketch.seen(mixed) == pytest.approx(0.25, abs=0.03)
    assert sketch.seen(others) == 0.0
    assert np.isnan(sketch.seen(np.full(50, 2**64 - 1, dtype=np.uint64)))


def test_rows_that_repeat_by_chance_are_counted():
    X, y = table(100, 0)
    assert RowSketch.of(row_hashes(pd.concat([X, X]), np.tile(y, 2))).repeated == pytest.approx(0.5)


def test_another_answer_makes_another_row():
    X, y = table(50, 0)
    assert RowSketch.of(row_hashes(X, y)).seen(row_hashes(X, 1 - y)) == 0.0
    assert len(row_hashes(X, None)) == 50


def test_a_digest_does_not_ask_for_an_order():
    hashes = row_hashes(*table(100, 0))
    assert digest(hashes) == digest(hashes[::-1])
    assert digest(hashes) != digest(hashes[1:])


def test_it_is_kept_in_a_file_without_a_pickle(tmp_path):
    sketch = RowSketch.of(row_hashes(*table(100, 0)))
    sketch.save(tmp_path / "seen.npz")
    again = RowSketch.load(tmp_path / "seen.npz")
    assert (again.rows, again.repeated) == (sketch.rows, sketch.repeated)
    np.testing.assert_array_equal(again.kept, sketch.kept)


def test_another_process_hashes_alike():
    code = (
        "import pandas as pd; from framework.data.sketch import row_hashes\n"
        "print(row_hashes(pd.DataFrame({'a': [1.5, None], 'b': ['x', None]}), [0, 1]).tolist())"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert told.strip() == str(
        row_hashes(pd.DataFrame({"a": [1.5, None], "b": ["x", None]}), np.array([0, 1])).tolist()
    )
