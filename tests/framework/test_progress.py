"""What a person sees while a contest runs."""

import io
import time

from framework.contenders import Constant, Linear
from framework.contest.report import Report
from framework.leaderboard import Entry, Failure
from framework.progress import Lines, Live, Terminal, watch
from framework.statistics import Interval
from tests.awkward import Raises

ENTRY = Entry("linear", 0.8433, Interval(0.8, 0.9), 1.5, Linear(), predicted=None)  # type: ignore[arg-type]
FAILURE = Failure("raises", "failed", "ValueError: no", 0.2, Raises())


class Sheet:
    """A screen that keeps what was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, list[tuple[str, str, str]]]] = []
        self.cleared = 0

    def show(self, title: str, rows: list[tuple[str, str, str]]) -> None:
        self.shown.append((title, rows))

    def clear(self) -> None:
        self.cleared += 1


def test_a_log_has_a_line_per_event_and_is_not_flooded_by_steps() -> None:
    out = io.StringIO()
    view = watch(out)
    assert isinstance(view, Lines)
    view.entered([Constant(), Linear()])
    view.began("linear")
    for step in range(1000):
        view.reported(Report("linear", False, step, {"loss": 1.0}, time.time()))
    view.ended(ENTRY)
    view.ended(FAILURE)
    told = out.getvalue()
    assert "2 contenders: constant, linear" in told
    assert "linear: 0.8433 (1.5 s)" in told
    assert "raises: failed: ValueError: no" in told
    assert told.count("step") <= 1


def test_a_live_table_says_who_waits_runs_and_is_done() -> None:
    sheet = Sheet()
    view = Live(sheet)
    view.entered([Constant(), Linear(), Raises()])
    view.began("linear")
    view.drawn = 0.0
    view.reported(Report("linear", False, 7, {"loss": 0.25}, time.time()))
    running = {name: (what, figures) for name, what, figures in sheet.shown[-1][1]}
    assert running["constant"] == ("waiting", "")
    assert running["linear"][0].startswith("running")
    assert running["linear"][1] == "step 7 loss 0.2500"
    view.ended(ENTRY)
    view.ended(FAILURE)
    done = {name: (what, figures) for name, what, figures in sheet.shown[-1][1]}
    assert done["linear"] == ("done", "0.8433 (1.5 s)")
    assert done["raises"][0] == "failed"
    view.closed(None)  # type: ignore[arg-type]
    assert sheet.cleared == 1


def test_a_terminal_shows_the_table() -> None:
    out = io.StringIO()
    screen = Terminal(out)
    screen.show("contest, 3 s", [("linear", "running 1 s", "step 7")])
    screen.clear()
    assert "contest, 3 s" in out.getvalue()
    assert "running 1 s" in out.getvalue()
