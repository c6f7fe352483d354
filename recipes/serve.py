"""How is a registered model asked over HTTP?"""

from dataclasses import dataclass

from framework import run, serve
from framework.monitoring.metrics import counting
from framework.monitoring.prediction_log import logging_to
from framework.recipe import write_report
from framework.serving.endpoint import Endpoint, join, stay


@dataclass(frozen=True)
class Config:
    model: str  # models:/NAME@champion, models:/NAME/VERSION or a model folder
    name: str | None = None  # what it is asked by; the name it is registered under by default
    host: str = "127.0.0.1"  # the address to listen on; any but loopback needs FRAMEWORK_SERVE_TOKEN
    port: int | None = None  # 8000 by default; a second model joins the server that runs
    replicas: int = 1  # processes that answer
    log: str | None = None  # a folder that predictions are logged to, for recipes.monitor; private as the rows are
    log_share: float = 1.0  # of the requests, logged
    log_without: tuple[str, ...] = ()  # columns that are never logged
    roots: tuple[str, ...] = ()  # folders below which batch jobs may read and write files; none by default
    seconds: float | None = None  # how long to serve; until Ctrl-C or recipes.unserve by default
    seed: int = 0  # no part of it is random; every recipe takes one
    out: str | None = None  # a folder for report.json


SMOKE = Config("models:/species@champion", seconds=1.0)


def main(config: Config) -> Endpoint:
    joined = join()
    logged = [logging_to(config.log, share=config.log_share, without=config.log_without)] if config.log else []
    endpoint = serve(
        config.model,
        name=config.name,
        host=config.host,
        port=config.port,
        replicas=config.replicas,
        roots=config.roots or None,
        observers=[counting(), *logged] if logged else None,
    )
    print(f"{endpoint.name} is served at {endpoint.url}\n{endpoint.curl()}", flush=True)
    write_report(config, name=endpoint.name, url=endpoint.url, curl=endpoint.curl())
    if not joined:
        stay(seconds=config.seconds)
    return endpoint


if __name__ == "__main__":
    run(main)
