"""A contest as it happens: a live table on a terminal or in a notebook, plain lines in a job's log."""

import html
import sys
import time
from typing import Protocol, TextIO

from framework.contender import Contender
from framework.contest.report import Report
from framework.leaderboard import Entry, Failure, Leaderboard, number

LINE_SECONDS = 10.0  # how often a job's log hears of one contender's steps
DRAW_SECONDS = 0.25


def watch(stream: TextIO | None = None) -> "Lines | Live":
    """The view that fits where this runs."""
    out = stream or sys.stdout
    if _notebook():
        return Live(Cell())
    return Live(Terminal(out)) if out.isatty() else Lines(out)


class Lines:
    """One line per event a person would tell a colleague."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.began_at = time.time()
        self.last: dict[str, float] = {}

    def entered(self, contenders: list[Contender]) -> None:
        names = ", ".join(contender.name for contender in contenders)
        self._say(f"{len(contenders)} contender{'s'[: len(contenders) != 1]}: {names}")

    def began(self, name: str) -> None:
        self.last[name] = time.time()

    def reported(self, report: Report) -> None:
        if report.remark:
            self._say(f"{report.contender}: {report.remark}")
        elif report.time - self.last.get(report.contender, 0.0) >= LINE_SECONDS:
            self.last[report.contender] = report.time
            self._say(f"{report.contender}: step {report.step} {_figures(report.metrics)}")

    def ended(self, row: Entry | Failure) -> None:
        self._say(f"{row.name}: {_outcome(row)} ({row.seconds:.1f} s)")

    def closed(self, board: Leaderboard) -> None:
        self._say(f"contest over after {board.seconds:.0f} s")

    def _say(self, text: str) -> None:
        print(f"[{time.time() - self.began_at:5.1f} s] {text}", file=self.out, flush=True)


class Live:
    """A table that is drawn again while the contest runs."""

    def __init__(self, screen: "Screen") -> None:
        self.screen = screen
        self.began_at = time.time()
        self.drawn = 0.0
        self.state: dict[str, tuple[str, str, float | None]] = {}  # name → (what, figures, since when it runs)

    def entered(self, contenders: list[Contender]) -> None:
        self.state = {contender.name: ("waiting", "", None) for contender in contenders}
        self._draw()

    def began(self, name: str) -> None:
        self.state[name] = ("running", "", time.time())
        self._draw()

    def reported(self, report: Report) -> None:
        _, _, since = self.state.get(report.contender, ("", "", time.time()))
        self.state[report.contender] = (
            "running",
            report.remark or f"step {report.step} {_figures(report.metrics)}",
            since,
        )
        if time.time() - self.drawn > DRAW_SECONDS:
            self._draw()

    def ended(self, row: Entry | Failure) -> None:
        self.state[row.name] = (row.status, f"{_outcome(row)} ({row.seconds:.1f} s)", None)
        self._draw()

    def closed(self, board: Leaderboard) -> None:
        self.screen.clear()

    def _draw(self) -> None:
        self.drawn = time.time()
        rows = [
            (name, what if since is None else f"{what} {time.time() - since:.0f} s", figures)
            for name, (what, figures, since) in self.state.items()
        ]
        self.screen.show(f"contest, {time.time() - self.began_at:.0f} s", rows)


class Screen(Protocol):
    """Where a table is drawn over the last one."""

    def show(self, title: str, rows: list[tuple[str, str, str]]) -> None: ...

    def clear(self) -> None: ...


class Terminal:
    """A terminal's lines, redrawn by rich; gone when the contest is over."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live as Lines

        console = Console(file=out, force_terminal=True)
        self.lines = Lines(console=console, auto_refresh=False, transient=True)

    def show(self, title: str, rows: list[tuple[str, str, str]]) -> None:
        from rich.table import Table

        table = Table("contender", "", "", title=title, title_justify="left")
        for row in rows:
            table.add_row(*row)
        if not self.lines.is_started:
            self.lines.start()
        self.lines.update(table, refresh=True)

    def clear(self) -> None:
        self.lines.stop()


class Cell:
    """A notebook cell's output, replaced as the contest goes on."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self.html = HTML
        self.handle = display(HTML(""), display_id=True)

    def show(self, title: str, rows: list[tuple[str, str, str]]) -> None:
        cells = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        self.handle.update(self.html(f"<table><caption>{html.escape(title)}</caption>{cells}</table>"))

    def clear(self) -> None:
        self.handle.update(self.html(""))


def _outcome(row: Entry | Failure) -> str:
    return number(row.score) if isinstance(row, Entry) else f"{row.status}: {row.reason}"


def _figures(metrics: dict[str, float]) -> str:
    return " ".join(f"{name} {number(value)}" for name, value in metrics.items())


def _notebook() -> bool:
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None else None
    return found is not None and found.__class__.__name__ == "ZMQInteractiveShell"
