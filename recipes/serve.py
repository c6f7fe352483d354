"""How is a registered model asked over HTTP?"""

from dataclasses import dataclass

from framework import run, serve
from framework.recipe import write_report
from framework.serving.endpoint import Endpoint, join, stay


@dataclass(frozen=True)
class Config:
    model: str  # models:/NAME@champion, models:/NAME/VERSION or a model folder
    name: str | None = None  # what it is asked by; the name it is registered under by default
    host: str = "127.0.0.1"  # the address to listen on; any but loopback needs FRAMEWORK_SERVE_TOKEN
    port: int | None = None  # 8000 by default; a second model joins the server that runs
    replicas: int = 1  # processes that answer
    seconds: float | None = None  # how long to serve; until Ctrl-C or recipes.unserve by default
    seed: int = 0  # no part of it is random; every recipe takes one
    out: str | None = None  # a folder for report.json


SMOKE = Config("models:/species@champion", seconds=1.0)


def main(config: Config) -> Endpoint:
    joined = join()
    endpoint = serve(config.model, name=config.name, host=config.host, port=config.port, replicas=config.replicas)
    print(f"{endpoint.name} is served at {endpoint.url}\n{endpoint.curl()}", flush=True)
    write_report(config, name=endpoint.name, url=endpoint.url, curl=endpoint.curl())
    if not joined:
        stay(seconds=config.seconds)
    return endpoint


if __name__ == "__main__":
    run(main)
