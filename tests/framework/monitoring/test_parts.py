"""Folders of Parquet parts: whole files only, side by side, and a crash that costs the open part."""

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from framework.monitoring.parts import LogError, Parts, prune, read_parts

ROOT = Path(__file__).parents[3]
WRITER = """
import os, sys
from framework.monitoring.parts import Parts
parts = Parts(sys.argv[1], rows=100, seconds=60)
for place in range(250):
    parts.add([{"at": 1e9 + place, "who": sys.argv[2], "place": place}])
if sys.argv[2] == "crash":
    os._exit(9)
parts.close()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_part_is_full_after_so_many_rows_and_closing_writes_the_rest(tmp_path):
    parts = Parts(tmp_path / "log", rows=100, seconds=60)
    for place in range(250):
        parts.add([{"at": 1e9 + place, "place": place}])
    assert [parquet.read_metadata(path).num_rows for path in sorted((tmp_path / "log").iterdir())] == [100, 100]
    parts.close()
    assert read_parts(tmp_path / "log").column("place").to_pylist() == list(range(250))
    assert parts.dropped == 0
    mode = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "log").iterdir()}
    assert mode == {0o600}
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700


def test_a_few_rows_are_written_after_so_many_seconds(tmp_path):
    parts = Parts(tmp_path, rows=100, seconds=0.05)
    parts.add([{"at": 1.0, "place": 0}])
    until = time.monotonic() + 240
    while not list(tmp_path.glob("*.parquet")) and time.monotonic() < until:
        time.sleep(0.01)
    assert read_parts(tmp_path).num_rows == 1
    parts.close()


def test_writers_of_several_processes_and_threads_lose_nothing_and_a_crash_loses_the_open_part(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), who], cwd=ROOT) for who in ("a", "b", "crash")
    ]
    shared = Parts(tmp_path, rows=100, seconds=60)
    threads = [
        threading.Thread(
            target=lambda name: [shared.add([{"at": 1e9 + p, "who": name, "place": p}]) for p in range(250)],
            args=(f"thread {number}",),
        )
        for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared.close()
    assert [writer.wait(240) for writer in writers] == [0, 0, 9]
    frame = read_parts(tmp_path).to_pandas()
    counts = frame.groupby("who")["place"].nunique().to_dict()
    assert counts == {"a": 250, "b": 250, "crash": 200, **{f"thread {number}": 250 for number in range(3)}}
    assert frame["at"].is_monotonic_increasing


def test_files_outside_the_time_asked_for_are_not_opened(tmp_path):
    parts = Parts(tmp_path, rows=10, seconds=60)
    for place in range(30):
        parts.add([{"at": 1000.0 + place, "place": place}])
    parts.close()
    first, last = names(tmp_path)[0], names(tmp_path)[2]
    for name in (first, last):
        (tmp_path / name).write_bytes(b"damaged, were it opened")
    assert read_parts(tmp_path, since=1013.0, until=1020.0).column("place").to_pylist() == list(range(13, 20))
    with pytest.raises(Exception, match="Parquet"):
        read_parts(tmp_path)


def test_an_open_part_of_another_process_is_not_read(tmp_path):
    parts = Parts(tmp_path, rows=1, seconds=60)
    parts.add([{"at": 1.0}])
    parts.close()
    (tmp_path / f".{names(tmp_path)[0]}.part").write_bytes(b"half of one")
    assert read_parts(tmp_path).num_rows == 1
    assert read_parts(tmp_path / "nothing").num_rows == 0


def test_values_of_several_types_become_texts_and_others_keep_theirs(tmp_path):
    parts = Parts(tmp_path, rows=2, seconds=60)
    parts.add([{"at": 1.0, "mixed": 1, "number": 1}, {"at": 2.0, "mixed": "b", "number": 2.5, "yes": True}])
    parts.add([{"at": 3.0, "mixed": 3.0, "number": None, "large": 2**70}, {"at": 4.0, "mixed": None, "number": 4}])
    parts.close()
    table = read_parts(tmp_path).to_pydict()
    assert table["mixed"] == ["1", "b", "3", None]
    assert table["number"] == [1.0, 2.5, None, 4.0]
    assert table["yes"] == [None, True, None, None]
    assert table["large"] == [None, None, str(2**70), None]


def test_a_log_that_cannot_be_written_counts_what_it_drops_and_goes_on(tmp_path, caplog):
    parts = Parts(tmp_path / "log", rows=1, seconds=60)
    (tmp_path / "log").rmdir()
    parts.add([{"at": 1.0}])
    parts.add([{"at": 2.0}, {"at": 3.0}])
    assert parts.dropped == 3
    assert caplog.text.count("could not be written") == 1
    (tmp_path / "log").mkdir()
    parts.add([{"at": 4.0}])
    parts.close()
    assert read_parts(tmp_path / "log").num_rows == 1


def test_old_files_are_removed(tmp_path):
    parts = Parts(tmp_path / "a", rows=1, seconds=60)
    parts.add([{"at": time.time() - 9 * 86_400}])
    parts.add([{"at": time.time() - 1 * 86_400}])
    parts.close()
    assert prune(tmp_path, days=7) == 1
    assert read_parts(tmp_path / "a").num_rows == 1
    with pytest.raises(LogError, match="0 days"):
        prune(tmp_path, days=0)


def test_a_folder_that_cannot_be_made_gets_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot be made"):
        Parts(tmp_path / "file" / "log")
    with pytest.raises(LogError, match="more than 0"):
        Parts(tmp_path, rows=0)
    if os.geteuid():
        tmp_path.chmod(0o500)
        with pytest.raises(LogError, match="cannot be written to"):
            Parts(tmp_path)
