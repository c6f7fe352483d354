"""How is a served model taken down?"""

import sys
from dataclasses import dataclass

from framework import run
from framework.recipe import write_report
from framework.serving.endpoint import unserve
from framework.serving.server import join


@dataclass(frozen=True)
class Config:
    name: str  # the served model's name; `python -m recipes.unserve NAME` is enough
    seed: int = 0  # no part of it is random; every recipe takes one
    out: str | None = None  # a folder for report.json


SMOKE = Config("species")


def main(config: Config) -> str:
    join()
    unserve(config.name)
    print(f"{config.name} is no longer served")
    write_report(config, name=config.name)
    return config.name


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        sys.argv.insert(1, "--name")
    run(main)
