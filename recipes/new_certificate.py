"""How does a silo, or its coordinator, get a certificate of its own?"""

from dataclasses import dataclass
from pathlib import Path

from federated.deployment.certificate import make_certificate
from framework import run
from framework.recipe import write_report
from framework.serving.tls import Certificate


@dataclass(frozen=True)
class Config:
    name: str  # whose it is; the files are called so
    hosts: tuple[str, ...] = ()  # of a coordinator: the names and addresses that silos dial it by
    days: float = 365.0  # for which it is valid
    folder: str = "."  # where NAME.pem and NAME.key are written, readable by this user alone
    seed: int = 0  # a key is never made from a seed; every recipe takes one
    out: str | None = None  # a folder for report.json, without the key


SMOKE = Config("north")


def main(config: Config) -> Certificate:
    made = make_certificate(config.name, Path(config.folder), hosts=config.hosts, days=config.days)
    print(f"{made.path}: give this one to the other side, by a way that both trust\n{made.key}: keep this one here")
    write_report(config, certificate=made.path)
    return made


if __name__ == "__main__":
    run(main)
