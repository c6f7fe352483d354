"""The score of each series on its own: a mean over many hides the few that are told badly."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.data.frame import Truth
from framework.metric import Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from framework.leaderboard import Leaderboard

BEST = 3  # entries beside each other
SHOWN = 30  # series in the figure


def per_series(
    metric: Metric, truth: Truth, predicted: Mapping[str, np.ndarray], labels: Sequence[Any] = ()
) -> pd.DataFrame:
    """One row for each series: series, steps, and a column with the score of every forecast, nan where it has none.

    predicted: name → forecast, shape (rows,), the first one's worst series first. labels: the name of each row's
    series, shape (rows,); without them its code.
    """
    codes = np.zeros(len(truth), dtype=np.int64) if truth.series is None else truth.series
    lines = []
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        of = truth.take(rows)
        scores = {name: metric.score(of, told[rows]) for name, told in predicted.items()}
        lines.append({"series": labels[rows[0]] if len(labels) else int(code), "steps": len(rows), **scores})
    table = pd.DataFrame(lines, columns=["series", "steps", *predicted])
    if not predicted or table.empty:
        return table
    return table.sort_values(next(iter(predicted)), ascending=metric.direction == "max", ignore_index=True)


def of_board(board: "Leaderboard") -> pd.DataFrame:
    """One row for each series of a contest's forecast, the worst for the best entry first, on the rows ranked on:
    series, steps, and the score of the best entries and of the last, mostly the floor. No rows where there is only one
    series.

    `test` is the winner's score on the test rows; nan where a series has none there.
    """
    problem, entries = board.split.problem, board.entries
    if problem.kind != "forecast" or problem.series is None or not entries:
        return pd.DataFrame(columns=["series", "steps", "test"])
    rows, names = (board.ranked_on.frame if board.ranked_on else board.split.fold.valid), str(problem.series)
    shown = dict.fromkeys((*entries[:BEST], entries[-1]))
    told = {entry.name: entry.predicted for entry in shown}
    table = per_series(board.metric, rows.truth, told, rows.X[names].astype(str).tolist())
    table["test"] = np.nan
    if board.champion is not None:
        test = board.split.test
        tested = per_series(
            board.metric, test.truth, {"test": board.champion.predicted}, test.X[names].astype(str).tolist()
        )
        table["test"] = table["series"].map(tested.set_index("series")["test"]).astype(np.float64)
    return table


def series_json(board: "Leaderboard") -> list[dict[str, Any]]:
    """The same as plain data, what `leaderboard.json` holds under "series"."""
    table = of_board(board)
    names = [name for name in table.columns if name not in ("series", "steps", "test")]
    return [
        {
            "series": line["series"],
            "steps": int(line["steps"]),
            "scores": {name: float(line[name]) for name in names},
            "test_score": float(line["test"]),
        }
        for line in table.to_dict("records")
    ]


def figure(metric: Metric, table: pd.DataFrame) -> "Figure":
    """A dot for each forecast's score of a series, the worst series at the top. table: as `per_series` gives it."""
    from framework.figures import CYCLE, PALE, canvas

    shown = table.head(SHOWN).iloc[::-1]
    names = [name for name in table.columns if name not in ("series", "steps")]
    title = f"{metric.title} by series" + (f": the worst {SHOWN} of {len(table)}" if len(table) > SHOWN else "")
    drawn, axes = canvas(title, metric.title, "", (6.4, 1.6 + 0.28 * len(shown)))
    places = np.arange(len(shown))
    values = shown[names].to_numpy(dtype=np.float64)
    axes.hlines(places, values.min(axis=1), values.max(axis=1), color=PALE, lw=2, zorder=1)
    for place, name in enumerate(names):
        axes.scatter(values[:, place], places, s=36, color=CYCLE[place % len(CYCLE)], label=name, zorder=2)
    axes.set_yticks(places, [str(label)[:28] for label in shown["series"]])
    if len(names) > 1:
        axes.legend(frameon=False, loc="best")
    return drawn
