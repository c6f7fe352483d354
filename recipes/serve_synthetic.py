"""How are synthetic rows asked for over HTTP?"""

import os
from dataclasses import dataclass

from framework import run
from framework.recipe import write_report
from framework.serving.server import TOKEN, join, stay
from synthetic.service.serving import curl, serve_rows


@dataclass(frozen=True)
class Config:
    models: tuple[str, ...]  # folders of recipes.synthesize --save, or models:/NAME@champion; each is asked by its name
    name: str = "synthetic"  # they answer at /api/v1/data/NAME, until recipes.unserve NAME
    host: str = "127.0.0.1"  # the address to listen on; any but loopback needs FRAMEWORK_SERVE_TOKEN
    port: int | None = None  # 8000 by default; it joins the server that runs
    most_rows: int = 100_000  # of one request
    buffered: int = 10_000  # rows of each model drawn ahead, so that one row is no cold start
    seconds: float | None = None  # how long to serve; until Ctrl-C or recipes.unserve by default
    seed: int = 0  # rows hang on the seed of each request; every recipe takes one
    out: str | None = None  # a folder for report.json


SMOKE = Config(("synthesizer",), seconds=1.0)


def main(config: Config) -> str:
    joined = join()
    url = serve_rows(
        config.models,
        name=config.name,
        host=config.host,
        port=config.port,
        most_rows=config.most_rows,
        buffered=config.buffered,
    )
    asked = curl(url, token=bool(os.environ.get(TOKEN)))
    print(f"synthetic rows are served at {url}\n{asked}", flush=True)
    write_report(config, url=url, curl=asked)
    if not joined:
        stay(seconds=config.seconds)
    return url


if __name__ == "__main__":
    run(main)
