"""How is a served model doing, by the log of its predictions?"""

from dataclasses import asdict, dataclass
from pathlib import Path

from framework import run
from framework.monitoring.alerts import Rules
from framework.monitoring.health import Health, hours_ago, monitor
from framework.monitoring.metrics import write_metrics
from framework.monitoring.parts import prune
from framework.monitoring.retraining import retrain, run_of


@dataclass(frozen=True)
class Config:
    model: str  # models:/NAME@champion, models:/NAME/VERSION or a model folder
    log: str  # the folder that its predictions are logged to
    name: str | None = None  # what it is asked by; the name it is registered under by default
    outcomes: str | None = None  # a table of outcomes: request, row, outcome; those posted to the log by default
    hours: float | None = None  # look at the last so many hours; at all that is logged by default
    window: float = 24.0  # hours of a window of the score
    drifted: float = 0.2  # alert: more than this share of the columns drifted
    joint: float = 0.05  # alert: all columns together lie further from training (MMD, 0 to 1.41)
    errors: float = 0.01  # alert: more than this share of the requests failed
    seconds: float = 1.0  # alert: 1 of 100 requests took longer
    loss: float = 0.1  # alert: the score is worse than in validation by more than this share of it
    fail_on_alert: bool = False  # end with status 3 where there is an alert
    retrain: str | None = None  # fresh rows: where there is an alert, run the model's contest again on them
    minutes: float | None = None  # of that contest; as many as the first one had by default
    metrics: str | None = None  # a .prom file for the textfile collector of Prometheus' node_exporter
    keep_days: float | None = None  # remove from the log what is older, of all its models
    seed: int = 0  # of the intervals
    out: str | None = None  # a folder for report.json and report.html


SMOKE = Config("models:/species@champion", log="predictions")


def main(config: Config) -> Health:
    health = monitor(
        config.model,
        config.log,
        name=config.name,
        came=config.outcomes,
        since=hours_ago(config.hours),
        hours=config.window,
        rules=Rules(
            drifted=config.drifted,
            joint=config.joint,
            errors=config.errors,
            seconds=config.seconds,
            loss=config.loss,
        ),
        failing=config.fail_on_alert,
        seed=config.seed,
    )
    print(health.write(config.out, config=asdict(config)))
    if config.metrics:
        write_metrics(health, Path(config.metrics))
    if config.retrain and health.alerts:
        print(retrain(run_of(config.model), config.retrain, minutes=config.minutes))
    if config.keep_days is not None:
        print(f"{prune(config.log, days=config.keep_days)} old files of {config.log} are removed")
    return health


if __name__ == "__main__":
    run(main)
