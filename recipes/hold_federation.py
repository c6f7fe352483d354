"""How does one model learn from portfolios on machines of their own?"""

from dataclasses import dataclass
from pathlib import Path

from federated import FederatedAverage, strategies
from federated.deployment.certificate import own_certificate
from federated.deployment.cox_federation import FederatedCox, federate_cox
from federated.deployment.federation import Federated, federate
from federated.deployment.listener import Listener
from federated.deployment.register import Register
from federated.deployment.signing import signers_of
from federated.privacy import RecordLevel
from federated.rounds import Terms
from federated.survival.solution import CoxError
from framework import run
from framework.recipe import write_report


@dataclass(frozen=True)
class Config:
    listen: str  # HOST:PORT: the address of this machine that silos dial; port 0: a free one
    silos: str  # the register, a JSON file of names and certificates: {"north": "north.pem", …}
    target: str  # the column to predict, by its name in every silo; with --duration: of whether it has happened
    certificate: str  # the coordinator's own, a PEM file that every silo has too, made for the host they dial
    key: str  # the certificate's, a PEM file without a password
    duration: str = ""  # the column of how long a row was seen: then a Cox model is learned, by sums; else a net
    outcomes: tuple[str, str] = ("0", "1")  # how the target writes "not yet" and "it happened", with --duration
    times: tuple[float, ...] = ()  # of a baseline that silos share, with --duration; by default each has its own
    rounds: int = 60  # at most; of a Cox model the steps of Newton's method
    patience: int = 15  # rounds without gain on the silos' validation rows, after which it stops
    strategy: str = "FedAdam"  # how updates are combined: FedAvg, FedAdam, FedProx, Krum …
    personal: bool = True  # then each silo's part of the model is fine-tuned on its own rows
    secure: bool = False  # secure aggregation: sums of updates are learned, and no silo's own; 3 silos or more
    epsilon: float | None = None  # hides each row of each silo: differential privacy by noise in the silos; else none
    delta: float = 1e-5  # the chance that this fails; well below 1 / rows
    clip: float = 1.0  # the norm that each row's gradient is held to
    statistics: float = 0.2  # the share of epsilon for what is agreed of the columns; 0: that is declared public
    metric: str = ""  # what silos stop by; by default that of the target's kind
    quorum: int = 2  # silos that must answer in a round
    wait: float = 600.0  # seconds that silos have to come, all of the register
    round_seconds: float = 600.0  # after which a round ends without those that are late
    silo: str = "silo"  # the column by which the model knows a silo's rows when it predicts
    seed: int = 0  # fixes the first weights and each silo's split
    out: str = "federation"  # for report.json, the model and a net's checkpoint, from which it goes on


SMOKE = Config("127.0.0.1:0", "silos.json", "rent", "coordinator.pem", "coordinator.key", rounds=2)


def main(config: Config) -> Federated | FederatedCox:
    if config.duration and config.epsilon is not None:
        raise CoxError("--epsilon is of nets: nothing hides rows in the sums of a Cox model. Leave it out.")
    plain = strategies.named(config.strategy)
    strategy = strategies.FineTuned(plain) if config.personal else plain
    privacy = None
    if config.epsilon is not None:
        privacy = RecordLevel(config.epsilon, config.delta, config.clip, config.statistics)
    contender = FederatedAverage(
        strategy=strategy, rounds=config.rounds, patience=config.patience, secure=config.secure, privacy=privacy
    )
    out, register = Path(config.out), Register.open(config.silos)
    own = own_certificate(config.certificate, config.key)
    terms = Terms(config.quorum, config.round_seconds, patience=config.patience)
    registry = signers_of(register) if config.secure else None
    made: Federated | FederatedCox
    with Listener(register, config.listen, own, registry=registry) as listener:
        print(f"port {listener.port}: waiting for {', '.join(register.silos)}")
        listener.gather(config.wait, least=config.quorum)
        if config.duration:
            made = federate_cox(
                listener,
                config.target,
                config.duration,
                outcomes=config.outcomes,
                terms=terms,
                times=config.times,
                steps=config.rounds,
                secure=config.secure,
            )
        else:
            made = federate(
                listener,
                contender,
                config.target,
                terms=terms,
                folder=out / "rounds",
                seed=config.seed,
                metric=config.metric,
                silo=config.silo,
            )
    print(f"{made.save(out)}: {made}")
    write_report(config, **made.to_json())
    return made


if __name__ == "__main__":
    run(main)
